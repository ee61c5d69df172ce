"""How good a run's gradient was, on a page: what `python -m pg_theano.microscope RUN` wrote into its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.reports.pages import figures, html
from pg_theano.reports.pages.training import Trained
from pg_theano.runs.curves import Curve
from pg_theano.system import seals
from pg_theano.types import UserError

FILE = "microscope.json"


def section(trained: Sequence[Trained]) -> str:
    """A part for each run that was examined; nothing where none was. Errors: `UserError` for a damaged file."""
    examined = [(one, path / FILE) for one in trained for path in one.folders if (path / FILE).is_file()]
    parts = []
    for one, path in examined:
        title = one.name if len(one.folders) == 1 else f"{one.name}, {path.parent.name}"
        parts += [f"<h3>{html.text(title)}</h3>"] if len(examined) > 1 else []
        parts.append(_part(path))
    return html.section("gradient", "How good its gradient was", *parts) if parts else ""


def _part(path: Path) -> str:
    seen = seals.read_json(path)
    try:
        charts, tables = zip(*(_point(seen, point) for point in seen["points"]), strict=True)
        return (
            f'<div class="charts">{"".join(charts)}</div>{"".join(tables)}'
            "<p>The cosine of an estimate to the true gradient, in the mean over batches of so many episodes, with "
            "its 95 % interval; bias and angle are of its expectation. "
            f"What this run learns by: {html.text(seen['own'] or 'none of these')}.</p>"
        )
    except (KeyError, TypeError, ValueError, IndexError):
        raise UserError.at(
            path, "not what the microscope writes", advice=f"python -m pg_theano.microscope {path.parent}"
        ) from None


def _point(seen: Mapping[str, Any], point: Mapping[str, Any]) -> tuple[str, str]:
    """A chart of what the run's choice is among, and a table of all."""
    name, sizes = f"update {point['update']:,}, mean return {point['mean_return']:.4g}", seen["sizes"]
    rows = point["estimators"]
    group = next((one["group"] for one in rows if one["name"] == seen["own"]), rows[0]["group"])
    marks = []
    for colour, one in enumerate([one for one in rows if one["group"] == group][: figures.COLOURS]):
        value, low, high = np.array([[np.nan if x is None else x for x in of] for of in one["cosines"]], float).T
        known = np.isfinite(value)
        curve = Curve(np.array(sizes, float)[known], value[known], low[known], high[known])
        marks += [figures.Mark("band", curve, colour, one["name"]), figures.Mark("line", curve, colour, one["name"])]
    chart = figures.chart(
        name, marks, x="episodes in the batch", y="cosine", levels=[0.9], scale_x="log", hold=(-0.3, 1.05)
    )
    at = sizes.index(point["judged_at"])
    head = ["estimator", f"cosine of {sizes[at]:,} episodes", "bias %", "angle °", "variance", "episodes to 0.9"]
    table = html.table(
        head,
        [
            [
                one["name"],
                _shown(one["cosines"][at][0], 2),
                _shown(one["bias"][0], 1),
                _shown(one["angle"][0], 1),
                _shown(one["variance"][0], 1),
                _shown(one["episodes_to_0.9"], 0),
            ]
            for one in rows
        ],
        marked=[one["name"] == seen["own"] for one in rows],
    )
    return chart, html.details(f"Every estimator, update {point['update']:,}", table)


def _shown(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
