"""What the microscope saw, as lines of text and as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pg_theano.microscope.examining import Report
from pg_theano.microscope.judging import Interval, Verdict
from pg_theano.microscope.looking import Along, Point

MARK = "*"  # before the estimator that the run learns by


def as_json(report: Report) -> dict[str, Any]:
    """Everything, as plain data; what is not known is null."""
    return {
        "of": report.of,
        "environment": report.config.environment.dynamics or report.config.environment.id,
        "algorithm": report.config.algorithm.name,
        "discount": report.discount,
        "learns_with_discount": report.config.algorithm.discount,
        "value": "the run's own" if report.critic else "fitted",
        "own": report.own or None,
        "sizes": report.sizes,
        "points": [_point(report, one) for one in report.points],
    }


def _point(report: Report, point: Point) -> dict[str, Any]:
    rows = zip(report.estimators, point.verdicts, strict=True)
    plain = {name: value for name, value in point._asdict().items() if name not in ("verdicts", "at")}
    if point.along:
        told = point.along._asdict()
        plain["along"] = told | {name: [*map(_interval, told[name])] for name in ("true", "own", "promised")}
    plain["judged_at"] = report.sizes[point.at]
    return plain | {"estimators": [{"name": e.name, "group": e.group} | _verdict(v, point) for e, v in rows]}


def _verdict(verdict: Verdict, point: Point) -> dict[str, Any]:
    intervals = {name: _interval(getattr(verdict, name)) for name in ("bias", "angle", "scale", "variance")}
    return {
        "cosines": [_interval(one) for one in verdict.cosines],
        "episodes_to_0.9": _number(verdict.episodes),
        "steps_to_0.9": _number(verdict.episodes * point.steps / point.episodes),
        **intervals,
        "signal_to_noise": _number(verdict.signal_to_noise),
    }


def _interval(one: Interval) -> list[float | None]:
    return [_number(one.value), _number(one.low), _number(one.high)]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


# -- lines


def lines(report: Report) -> Iterator[str]:
    """A table for each point."""
    task = report.config.environment.dynamics or report.config.environment.id
    yield f"{report.of}: {report.config.algorithm.name} on {task}, J discounted by {report.discount:g}"
    for point in report.points:
        yield ""
        yield from of_point(report, point)
        if point.along:
            yield ""
            yield from of_along(report, point, point.along)
    yield ""
    yield from legend(report)


def of_point(report: Report, point: Point) -> Iterator[str]:
    yield (
        f"{point.name}, update {point.update:,}: mean return {point.mean_return:.4g}; {point.episodes:,} episodes, "
        f"{point.steps:,} steps, {point.seconds:.1f} s; bias of a batch of {report.sizes[point.at]:,}"
    )
    rows = [cells(verdict, point) for verdict in point.verdicts]
    heads = [*(f"{n:,}" for n in report.sizes), "bias", "angle", "scale", "variance", "episodes", "steps"]
    widths = [max(len(head), *(len(row[i]) for row in rows)) for i, head in enumerate(heads)]
    names = [f"{MARK if one.name == report.own else ' '} {one.name}" for one in report.estimators]
    wide = max(map(len, names))
    yield f"{'cosine of a batch of so many episodes:':<{wide}}  " + "  ".join(
        head.rjust(width) for head, width in zip(heads, widths, strict=True)
    )
    group = ""
    for estimator, name, row in zip(report.estimators, names, rows, strict=True):
        if estimator.group != group:
            group = estimator.group
            yield group
        yield f"{name:<{wide}}  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def cells(verdict: Verdict, point: Point) -> list[str]:
    """A row of the table."""
    cosines = [shown(one, "{:.2f}", 0.02) for one in verdict.cosines]
    known = math.isfinite(verdict.angle.value)
    steps = verdict.episodes * point.steps / point.episodes
    return [
        *cosines,
        least(verdict.bias, " %") if math.isfinite(verdict.bias.value) else "?",
        least(verdict.angle, "°") if known else "?",
        f"{verdict.scale.value:.2f}" if known else "?",
        f"{verdict.variance.value:.3g}" if known else "?",
        *(
            ("never" if math.isinf(one) else f"{math.ceil(one):,}") if known else "?"
            for one in (verdict.episodes, steps)
        ),
    ]


def shown(one: Interval, form: str, precise: float) -> str:
    """A figure, and how far it is known where that is not as well as usual."""
    if not math.isfinite(one.value):
        return "?"
    return form.format(one.value) + (f"±{one.half:.2f}" if one.half > precise else "")


def of_along(report: Report, point: Point, told: Along) -> Iterator[str]:
    """J along a step."""
    yield f"change of J along a step, in lengths of Adam's first one ({told.unit:.3g}); ± 95 %"
    rows = {
        "along the true gradient": told.true,
        f"along its own estimates, batches of {report.sizes[point.at]:,}": told.own,
        "as the surrogate of those promises": told.promised,
    }
    cells = {name: [f"{one.value:+.3g} ±{one.half:.2g}" for one in row] for name, row in rows.items()}
    width, wide = max(len(cell) for row in cells.values() for cell in row), max(map(len, cells))
    yield f"{'':<{wide}}  " + "  ".join(f"{h:g}".rjust(width) for h in told.lengths)
    for name, row in cells.items():
        yield f"{name:<{wide}}  " + "  ".join(cell.rjust(width) for cell in row)


def least(one: Interval, unit: str) -> str:
    """A figure that cannot be negative; where it is not told from zero, what it is at most."""
    return f"≤{max(one.high, 0.1):.1f}{unit}" if one.low <= 0 else f"{one.value:.1f}{unit}"


def legend(report: Report) -> Iterator[str]:
    """What the columns are."""
    value = "the run's own" if report.critic else "fitted to other episodes"
    yield f"{MARK} what this config learns by. V(s): {value}." if report.own else f"V(s): {value}."
    yield "bias, angle, scale: of the expected estimate of a batch, beside ∇J; variance: of one episode, over its"
    yield "squared length; episodes, steps: to a cosine of 0.9. Known to ±0.02 (95 %), or as it says."
