"""The figure of the cards of gradients: a row for each way to estimate one, a dot for each seed."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.reports import plots

PANELS = {"bias": "bias, %", "angle": "angle, °", "variance": "variance / length²", "episodes": "episodes to 0.9"}
ROW, ENDS = 0.24, 1.15  # inches: of a row, and of what stands above and below the rows


def check(out: Path) -> None:
    """Errors: `UserError` for a file that cannot be a figure, before anything is computed."""
    plots.kind_of(out)


def draw(seeds: Sequence[Sequence[Mapping[str, Any]]], out: Path) -> Path:
    """Draw the rows of each seed, as `python -m pg_theano.bias --json` says them. What is null has no dot.

    The file appears complete or not at all. Errors: `UserError`: an unknown kind of figure, or it cannot be written.
    """
    names = [row["name"] for row in seeds[0]]
    groups = [row["group"] for row in seeds[0]]
    height = ENDS + ROW * len(names)
    figure = plots.Figure(figsize=(plots.WIDTH, height), dpi=plots.DPI, facecolor="white")
    plots.FigureCanvasAgg(figure)
    margins = {"left": 0.21, "right": 0.985, "top": 1 - 0.55 / height, "bottom": 0.55 / height}
    grid = figure.add_gridspec(1, len(PANELS), wspace=0.08, **margins)
    looks = dict(zip(dict.fromkeys(groups), plots.looks(len(set(groups))), strict=True))
    for column, (key, label) in enumerate(PANELS.items()):
        axes = plots.bare(figure.add_subplot(grid[0, column]))
        for place, group in enumerate(groups):
            values = [math.nan if rows[place][key] is None else max(rows[place][key], 0.0) for rows in seeds]
            look = looks[group]
            axes.plot(values, np.full(len(seeds), -place), look.marker, color=look.colour, markersize=5, alpha=0.75)
        axes.set_yticks(-np.arange(len(names)), [] if column else [plots.plain(name) for name in names], fontsize=8.5)
        axes.set_ylim(0.7 - len(names), 0.7)
        axes.set_title(label, fontsize=9.5, color=plots.INK, loc="left")
        if key in ("variance", "episodes"):
            axes.set_xscale("log", subs=[])
            low, high = axes.get_xlim()
            ticks = [size * 10**power for power in range(-3, 9) for size in (1, 3) if low <= size * 10**power <= high]
            axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    text = f"{len(seeds)} policies, a dot each; what has no dot is not to be had, as an angle of nothing"
    figure.text(0.985, 0.12 / height, text, ha="right", fontsize=8.5, color="#777777")
    return plots.saved(figure, out, plots.kind_of(out))
