"""A comparison in words: Markdown that reads on a terminal too, and plain data for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pg_theano.reports.comparing.results import Comparison, Estimate, short
from pg_theano.runs import scores
from pg_theano.runs.curves import Curve, number
from pg_theano.system.opening import printable

SCALES = {
    "none": "as it is",
    "solved": "0 is random play, 1 the threshold",
    "range": "0 is the worst, 1 the best of these runs",
}


def said(found: Comparison) -> list[str]:
    """Lines on what was left out, and on what the figures do not show."""
    return [*(f"left out: {one}" for one in found.left_out), *(f"warning: {one}" for one in found.warnings)]


def markdown(found: Comparison) -> str:
    """The figures of each group, and of each pair which is better."""
    better = "lower" if found.lower_is_better else "higher"
    tasks = ", ".join(found.bounds)
    lines = [
        f"{len(found.groups)} groups by {', '.join(found.by)}, {tasks}: {scores.OBJECTIVES[found.score]}, "
        f"{_scale(found)}; {better} is better. In brackets 95 % of stratified bootstraps.",
        "",
    ]
    gap = None if found.target is None else f"gap to {number(found.target)}"
    head = ["group", "runs", "interquartile mean", "median", "mean", *([gap] if gap else [])]
    rows = []
    for group in found.groups:
        counts = [len(one) for one in group.scores.values()]
        estimates = [group.iqm, group.median, group.mean, *([group.gap] if group.gap else [])]
        least = f"{min(counts)}{'' if min(counts) == max(counts) else ' or more'}"
        shown = least if len(counts) == 1 else f"{sum(counts)} ({least} a task)"
        rows.append([short(group.name), shown, *map(_cell, estimates)])
    lines += [*_table(head, rows), ""]
    pairs = [
        [f"{short(one.better)} over {short(one.worse)}", _cell(one.probability), _verdict(one.probability)]
        for one in found.improvements
    ]
    lines += _table(["pair", "probability of improvement", ""], pairs)
    if found.also_differ:
        most = 8
        rest = f" and {len(found.also_differ) - most} more" if len(found.also_differ) > most else ""
        lines += ["", f"The runs also differ in {', '.join(found.also_differ[:most])}{rest}."]
    if said(found):
        lines += ["", *(f"- {printable(one)}" for one in said(found))]
    return "\n".join(lines)


def _scale(found: Comparison) -> str:
    if found.normalised == "none":
        return SCALES["none"]
    each = "; ".join(f"{task} {number(low)} to {number(high)}" for task, (low, high) in found.bounds.items())
    return f"{found.words} ({each})"


def _cell(one: Estimate | None) -> str:
    if one is None:
        return "–"
    if one.low is None or one.high is None:
        return number(one.value)
    return f"{number(one.value)} [{number(one.low)}, {number(one.high)}]"


def _verdict(one: Estimate) -> str:
    if one.low is None:
        return "one run of a task: nothing can be said"
    return "better" if one.low > 0.5 else "not told apart"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned, so that it reads as it stands."""
    shown = [[printable(cell).replace("|", "\\|") for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in shown) for i in range(len(head))]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in shown]
    return [lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]]


def plain(found: Comparison) -> dict[str, Any]:
    """The whole comparison for JSON."""
    made = found._asdict()
    made["groups"] = {
        group.name: {
            "scores": group.scores,
            **{
                name: None if one is None else one._asdict()
                for name, one in group._asdict().items()
                if name in ("iqm", "median", "mean", "gap")
            },
            "profile": _plain_curve(group.profile),
            "efficiency": _plain_curve(group.efficiency),
        }
        for group in found.groups
    }
    made["improvements"] = [
        {"better": one.better, "worse": one.worse, **one.probability._asdict()} for one in found.improvements
    ]
    return made


def _plain_curve(curve: Curve | None) -> dict[str, list[float]] | None:
    return None if curve is None else {name: column.tolist() for name, column in curve._asdict().items()}
