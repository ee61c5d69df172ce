"""The figure of the microscope: how the cosine to the true gradient rises with the batch, for each estimator."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.reports import plots

ROW_HEIGHT, LEGENDS = 2.9, 1.9  # inches
GOOD = 0.9


def check(out: Path) -> None:
    """Errors: `UserError` for a file that cannot be a figure, before anything is played."""
    plots.kind_of(out)


def draw(seen: Mapping[str, Any], out: Path) -> Path:
    """Draw what `python -m pg_theano.microscope --json` says: a row for each policy, a panel for each choice.

    The file appears complete or not at all. Errors: `UserError`: an unknown kind of figure, or it cannot be written.
    """
    return plots.saved(figure_of(seen), out, plots.kind_of(out))


def figure_of(seen: Mapping[str, Any]) -> Any:
    """A row for each policy, a panel for each choice."""
    groups = list(dict.fromkeys(one["group"] for one in seen["points"][0]["estimators"]))
    rows = len(seen["points"])
    height = 0.5 + LEGENDS + ROW_HEIGHT * rows
    figure = plots.Figure(figsize=(plots.WIDTH, height), dpi=plots.DPI, facecolor="white")
    plots.FigureCanvasAgg(figure)
    title = f"{seen['of']}: {seen['algorithm']} on {seen['environment']}, cosine of an estimate to the true gradient"
    figure.text(0.5, 1 - 0.1 / height, plots.plain(title), ha="center", va="top", fontsize=12)
    margins = {"left": 0.075, "right": 0.99, "top": 1 - (LEGENDS + 0.2) / height, "bottom": 0.5 / height}
    grid = figure.add_gridspec(rows, len(groups), wspace=0.16, hspace=0.2, **margins)
    for row, point in enumerate(seen["points"]):
        for column, group in enumerate(groups):
            axes = plots.bare(figure.add_subplot(grid[row, column]))
            _panel(axes, seen, [one for one in point["estimators"] if one["group"] == group])
            if not row:
                above = {"bbox_to_anchor": (-0.02, 1.06), "borderaxespad": 0.2}
                axes.legend(loc="lower left", frameon=False, fontsize=7.8, **above)
            axes.set_title(group, fontsize=8.5, color="#777777", loc="left", pad=4)
            if column:
                axes.set_yticklabels([])
            else:
                name = plots.plain(f"{point['name']}, update {point['update']:,}")
                axes.set_ylabel(f"{name}\nmean return {point['mean_return']:.4g}", fontsize=9, color=plots.INK)
            if row == rows - 1:
                axes.set_xlabel("episodes in the batch", fontsize=9, color=plots.INK)
    return figure


def _panel(axes: Any, seen: Mapping[str, Any], estimators: Sequence[Mapping[str, Any]]) -> None:
    """The estimators of one choice, each a line with its interval; that of the run is thick."""
    sizes = seen["sizes"]
    axes.axhline(GOOD, color="#999999", linewidth=0.8, linestyle=":")
    for one, look in zip(estimators, plots.looks(len(estimators)), strict=True):
        value, low, high = np.array([[np.nan if x is None else x for x in of] for of in one["cosines"]]).T
        own = one["name"] == seen["own"]
        axes.fill_between(sizes, low, high, color=look.colour, alpha=0.12, linewidth=0)
        label = plots.plain(one["name"].partition(":")[0] + (" (this run)" if own else ""))
        axes.plot(
            sizes, value, linestyle=look.line, marker=look.marker, markersize=4, color=look.colour,
            linewidth=2.6 if own else 1.3, label=label,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.set_ylim(-0.3, 1.04)
