"""The figure of a comparison: estimates with their intervals, performance profiles, sample efficiency."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pg_theano.reports import plots
from pg_theano.reports.comparing.results import Comparison, Estimate, short
from pg_theano.runs.curves import number
from pg_theano.runs.figures import OBJECTIVES

MOST_PAIRS = 10
ROW = 0.27  # inches of a bar


def draw(found: Comparison, out: Path) -> Path:
    """Draw a comparison into `out` (.png, .pdf or .svg), which appears whole or not at all. Errors: `UserError`."""
    kind = plots.kind_of(out)
    return plots.saved(figure_of(found), out, kind)


def figure_of(found: Comparison) -> Any:
    """Estimates in the first row, curves in the second."""
    pairs = found.improvements[:MOST_PAIRS]
    bars = max(len(found.groups), len(pairs))
    above, first, between, second, below = 0.95, 0.2 + ROW * bars, 0.75, 3.0, 0.55  # inches
    height = above + first + between + second + below
    figure = plots.Figure(figsize=(plots.WIDTH, height), dpi=plots.DPI, facecolor="white")
    plots.FigureCanvasAgg(figure)
    styles = dict(zip([group.name for group in found.groups], plots.looks(len(found.groups)), strict=True))
    title = f"{', '.join(found.bounds)}: {OBJECTIVES[found.score]}, by {', '.join(found.by)}"
    figure.text(0.5, 1 - 0.12 / height, plots.plain(title), ha="center", va="top", fontsize=12.5, color="black")
    counts = [sum(map(len, group.scores.values())) for group in found.groups]
    figure.legend(
        [plots.Line2D([], [], color=look.colour, linestyle=look.line, linewidth=2) for look in styles.values()],
        [plots.plain(f"{short(group.name)} ({count} run{'' if count == 1 else 's'})")
         for group, count in zip(found.groups, counts, strict=True)],
        loc="upper center", bbox_to_anchor=(0.5, 1 - 0.33 / height), ncols=min(len(styles), 6), frameon=False,
        fontsize=9.5, handlelength=3.5,
    )  # fmt: skip
    gap = "" if found.target is None else f"optimality gap to {number(found.target)}"
    panels = {"iqm": "interquartile mean", "median": "median", **({"gap": gap} if gap else {"mean": "mean"})}
    top, left, right = 1 - above / height, 0.05, 0.985
    grid = figure.add_gridspec(
        1, 5, wspace=0.2, left=left, right=right, top=top, bottom=top - first / height,
        width_ratios=[1, 1, 1, 0.62, 1.1],
    )  # fmt: skip
    for i, (name, words) in enumerate(panels.items()):
        rows = [(group.name, getattr(group, name), styles[group.name].colour) for group in found.groups]
        _bars(figure.add_subplot(grid[i]), rows, words, labelled=False)
    rows = [(f"{short(one.better)} > {short(one.worse)}", one.probability, styles[one.better].colour) for one in pairs]
    axes = figure.add_subplot(grid[4])
    _bars(axes, rows, "probability of improvement", labelled=True)
    axes.set_xlim(0, 1.02)
    axes.axvline(0.5, color="black", linestyle=(0, (6, 3)), linewidth=1.0)
    grid = figure.add_gridspec(
        1, 2, wspace=0.16, left=0.065, right=right, top=(second + below) / height, bottom=below / height
    )
    better = "in fewer than τ" if found.lower_is_better else "over τ"
    profiles = plots.Panel(figure.add_subplot(grid[0]), x="tau", y_label=f"share of runs {better}", neutral=True)
    learning = plots.Panel(figure.add_subplot(grid[1]), x="env_steps", y_label=plots.plain(found.returns), neutral=True)
    for group in found.groups:
        profiles.line(group.profile, styles[group.name], "share", "95 %, pointwise")
        learning.line(group.efficiency, styles[group.name], "interquartile mean of runs", "95 %, pointwise")
    _finish(profiles, f"τ: {found.words}", float(found.groups[0].profile.x[0]))
    profiles.axes.set_ylim(-0.02, 1.03)
    _finish(learning, found.steps, 0.0)
    return figure


def _finish(panel: plots.Panel, x_label: str, left: float) -> None:
    panel.finish(x_label=False)
    panel.axes.tick_params(labelbottom=True)
    panel.axes.set_xlim(left=left)
    panel.axes.xaxis.set_major_locator(plots.MaxNLocator(6, steps=plots.TICKS))
    panel.axes.set_xlabel(plots.plain(x_label), fontsize=9, color=plots.INK)


def _bars(axes: Any, rows: Sequence[tuple[str, Estimate, str]], title: str, *, labelled: bool) -> None:
    """An interval a row, the first on top, with a line at the estimate itself."""
    for i, (_, one, colour) in enumerate(rows):
        if one.low is not None and one.high is not None:
            axes.barh(i, one.high - one.low, left=one.low, height=0.62, color=colour, alpha=0.55, linewidth=0)
        axes.vlines(one.value, i - 0.31, i + 0.31, color=colour, linewidth=2.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.use_sticky_edges = False  # an interval that ends at the edge looks cut
    axes.margins(x=0.06)
    axes.set_yticks(range(len(rows)), [plots.plain(name) for name, *_ in rows] if labelled else [""] * len(rows))
    axes.set_title(title, fontsize=9.5, color=plots.INK)
    axes.tick_params(labelsize=8, color="#999999", labelcolor=plots.INK, length=3)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(plots.MaxNLocator(4, steps=plots.TICKS))
    axes.xaxis.set_major_formatter(plots.FuncFormatter(lambda value, _: f"{value:,.6g}".replace("-", "−")))
    axes.grid(True, axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#999999")
