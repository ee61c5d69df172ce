"""Figures of runs: cost, episode length, return and schedules, read back from `metrics.jsonl` and `result.json`.

Import this module late: matplotlib takes half a second to import. Only its object API and the Agg canvas are
used, so drawing leaves no global state behind and needs no screen. The margins are fixed in inches (every legend
stands above its panel, where no curve can reach it), which saves the second pass of a layout engine.
"""

import itertools
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.runs.curves import Curve, Run, curve_of_run, distinct, evaluations_of_run, number, outcome, read_run
from pg_theano.system import console
from pg_theano.system.writing import replacing
from pg_theano.types import Array, UserError

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, MaxNLocator
except ValueError as error:  # it reads the variable as it is imported
    raise UserError(
        f"MPLBACKEND: got {os.environ.get('MPLBACKEND')!r}; expected a backend of matplotlib's; try unset MPLBACKEND"
    ) from error

WIDTH, PANELS_HEIGHT, DPI = 12.0, 7.6, 100  # inches, inches, dots per inch: 1200 pixels wide
COLOURS = ("#0b4f8a", "#e08a00", "#1a9c7a", "#8c1d4f", "#6fb7e9", "#3a3a3a")  # of six different greys
LINES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#333333"
TICKS = (1, 2, 2.5, 5, 10)
SCHEDULES = {
    "learning_rate": "learning rate\n(step size)",
    "exploration_rate": "exploration\n(probability)",
    "spread": "spread of a\ngeneration (std)",
    "episodes_per_update": "episodes\n(per update)",
}
X_LABELS = {"env_steps": "environment steps", "update": "updates", "record": "records"}


# Drawing


class Look(NamedTuple):
    """How one run looks in every panel."""

    colour: str
    line: Any
    marker: str
    band_opacity: float


def looks(count: int) -> list[Look]:
    """One a run: colour, line style and marker all differ, so that a grey print can still be read."""
    opacity = 0.2 if count == 1 else 0.13 if count <= 4 else 0.05
    every = zip(itertools.cycle(COLOURS), itertools.cycle(LINES), itertools.cycle(MARKERS), range(count))
    return [Look(colour, line, marker, opacity) for colour, line, marker, _ in every]


def bare(axes: Any) -> Any:
    """The same axes with a pale grid, and with grey spines at the left and below alone."""
    axes.tick_params(labelsize=8, color="#999999", labelcolor=INK, length=3)
    axes.grid(True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#999999")
    return axes


class Panel:
    """One axes and the entries of its legend; lives while its figure is drawn."""

    def __init__(self, axes: Any, *, x: str, y_label: str, neutral: bool) -> None:
        self.axes, self.x, self.neutral = axes, x, neutral
        self.entries: dict[str, Any] = {}
        axes.set_ylabel(y_label, fontsize=9, color=INK)
        bare(axes)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=TICKS))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=TICKS))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}".replace("-", "−")))

    def line(self, curve: Curve | None, look: Look, label: str, band_label: str | None = None) -> None:
        """A line and, where it has any width, its band."""
        if curve is None:
            return
        dots = {"marker": look.marker, "markersize": 3} if curve.x.size <= 12 else {}
        self.axes.plot(curve.x, curve.middle, color=look.colour, linestyle=look.line, linewidth=1.5, **dots)
        self._entry(label, look, lambda ink: Line2D([], [], color=ink, linewidth=1.5, linestyle=look.line))
        if band_label and np.any(curve.high > curve.low):
            opacity = look.band_opacity
            if curve.x.size == 1:
                self.axes.vlines(curve.x, curve.low, curve.high, color=look.colour, alpha=opacity, linewidth=6)
            self.axes.fill_between(curve.x, curve.low, curve.high, color=look.colour, alpha=opacity, linewidth=0)
            self._entry(band_label, look, lambda ink: Patch(color=ink, alpha=max(opacity, 0.2), linewidth=0))

    def highs(self, curve: Curve | None, look: Look, label: str) -> None:
        """The upper end of a curve's band, as a thin dotted line."""
        if curve is None:
            return
        thin = {"linestyle": (0, (2, 1)), "linewidth": 0.9, "alpha": 0.75}
        dots = {"marker": look.marker, "markersize": 3} if curve.x.size == 1 else {}
        self.axes.plot(curve.x, curve.high, color=look.colour, **thin, **dots)
        self._entry(label, look, lambda ink: Line2D([], [], color=ink, **thin))

    def points(self, curve: Curve | None, look: Look, label: str) -> None:
        """Separate markers, edged in white so that they stand out from a line."""
        if curve is None:
            return
        mark = {
            "linestyle": "",
            "marker": look.marker,
            "markersize": 6,
            "markeredgewidth": 0.8,
            "markeredgecolor": "white",
        }
        self.axes.plot(curve.x, curve.middle, color=look.colour, zorder=3, **mark)
        self._entry(label, look, lambda ink: Line2D([], [], color=ink, **mark))

    def levels(self, ys: Sequence[float], label: str) -> None:
        """Horizontal dashed lines over the whole panel."""
        for y in ys:
            self.entries[label] = self.axes.axhline(y, color="black", linestyle=(0, (6, 3)), linewidth=1.0)

    def finish(self, *, legend: bool = True, x_label: bool = True) -> None:
        self.axes.set_xlim(left=0)
        if self.axes.get_xlim()[1] > 1e8:  # eleven characters a number: room for fewer of them
            self.axes.xaxis.set_major_locator(MaxNLocator(3, integer=True, steps=TICKS))
        if x_label:
            self.axes.set_xlabel(X_LABELS[self.x], fontsize=9, color=INK)
        else:
            self.axes.tick_params(labelbottom=False)
        if legend and self.entries:
            self.axes.legend(
                self.entries.values(), self.entries.keys(), loc="lower left", bbox_to_anchor=(-0.01, 0.985),
                ncols=len(self.entries), frameon=False, fontsize=8.2, handlelength=1.7, columnspacing=0.8,
                handletextpad=0.5, labelcolor=INK, borderaxespad=0.2,
            )  # fmt: skip

    def _entry(self, label: str, look: Look, handle: Callable[[str], Any]) -> None:
        """In the run's own colour; in ink where several runs share the entry."""
        self.entries.setdefault(label, handle(INK if self.neutral else look.colour))


def figure_of(runs: Sequence[Run], title: str | None = None, stacked: Mapping[str, str] = SCHEDULES) -> Figure:
    """The figure: episode length and return over environment steps, cost and schedules over updates.

    `stacked`: the columns of the small panels, the schedules, and their labels.
    """
    many = len(runs) > 1
    columns = [seed for run in runs for seed in run.seeds]
    steps = next((x for x in ("env_steps", "update") if all(_known(seed, x) for seed in columns)), "record")
    updates = "update" if all(_known(seed, "update") for seed in columns) else "record"
    header = textwrap.wrap(plain(title or _title(runs)), 115) or [" "]
    legend_columns = 1 if len(runs) <= 5 else 2
    legend_rows = -(-len(runs) // legend_columns) if many else 0
    top = 0.5 + 0.25 * len(header) + 0.2 * legend_rows + 0.1 * many  # inches above the panels
    height = PANELS_HEIGHT + top

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.5, 1 - 0.14 / height, "\n".join(header), ha="center", va="top", fontsize=12.5, color="black")
    margins = {"left": 0.077, "right": 0.985, "top": 1 - top / height, "bottom": 0.52 / height}
    grid = figure.add_gridspec(2, 2, wspace=0.19, hspace=0.28, **margins)
    styles = looks(len(runs))
    searches = all(_known(seed, "fitness_elites") for seed in columns)
    what = "fitness (return of a candidate)" if searches else "cost (loss of an update)"
    cost = Panel(figure.add_subplot(grid[0, 0]), x=updates, y_label=what, neutral=many)
    length = Panel(figure.add_subplot(grid[0, 1]), x=steps, y_label="episode length (steps)", neutral=many)
    returns = Panel(figure.add_subplot(grid[1, 0]), x=steps, y_label="return (reward per episode)", neutral=many)
    for run, look in zip(runs, styles, strict=True):
        count = len(run.seeds)
        mean = f"mean of {count} seeds" if run.is_group and not many else "mean"
        band = "seeds, min–max" if run.is_group else "range of binned updates"
        if searches:
            cost.line(curve_of_run(run, updates, "fitness_elites"), look, "best quarter", band)
            cost.highs(curve_of_run(run, updates, "fitness_best"), look, "best")
        else:
            cost.line(curve_of_run(run, updates, "cost"), look, mean if run.is_group and not many else "cost", band)
        length.line(curve_of_run(run, steps, "length_mean"), look, mean, band)
        length.highs(curve_of_run(run, steps, "length_max"), look, "longest episode")
        returns_band = "seeds, min–max" if run.is_group else "episodes, ± std"
        returns.line(curve_of_run(run, steps, "return_mean", "return_std"), look, mean, returns_band)
        returns.points(evaluations_of_run(run, steps), look, "evaluation")
    thresholds = sorted({result.get("threshold") for run in runs for result in run.results} - {None})
    returns.levels(thresholds, f"solved at {', '.join(map(number, thresholds))}")
    for panel in (cost, length, returns):
        panel.finish()
    _draw_stacked(figure, grid[1, 1], runs, styles, updates, stacked)
    if many:
        room = 150 if legend_columns == 1 else 84  # characters
        handles = [Line2D([], [], color=s.colour, linestyle=s.line, marker=s.marker, markersize=5) for s in styles]
        labels = [textwrap.shorten(plain(f"{run.name}: {outcome(run)}"), room, placeholder=" …") for run in runs]
        figure.legend(
            handles, labels, loc="upper center", bbox_to_anchor=(0.5, 1 - (0.14 + 0.25 * len(header)) / height),
            ncols=legend_columns, frameon=False, fontsize=9.5 if legend_columns == 1 else 8,
            handlelength=4.0, labelspacing=0.35,
        )  # fmt: skip
    return figure


def _draw_stacked(
    figure: Figure, cell: Any, runs: Sequence[Run], styles: Sequence[Look], x: str, labels: Mapping[str, str]
) -> None:
    """One small panel for each recorded column of `labels`, one above the other: a scale and an axis each."""
    every = [seed for run in runs for seed in run.seeds]
    unused = {"exploration_rate"} if all(_known(seed, "spread") for seed in every) else set()  # of searches
    names = [name for name in labels if name not in unused and any(_known(seed, name) for seed in every)]
    if not names:
        axes = figure.add_subplot(cell)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no schedules recorded", ha="center", va="center", fontsize=9, color=INK)
    stack = cell.subgridspec(max(len(names), 1), 1, hspace=0.16)
    for i, name in enumerate(names):
        panel = Panel(figure.add_subplot(stack[i]), x=x, y_label=labels[name], neutral=len(runs) > 1)
        curves = [curve_of_run(run, x, name) for run in runs]
        for curve, look in zip(curves, styles, strict=True):
            panel.line(curve, look, name, "range")
        highest = max(curve.high.max() for curve in curves if curve is not None)
        panel.axes.set_ylim(0, 1.15 * highest if highest > 0 else 1.0)
        panel.axes.yaxis.set_major_locator(MaxNLocator(3, steps=TICKS))
        panel.axes.yaxis.set_label_coords(-0.095, 0.5)
        panel.finish(legend=False, x_label=i == len(names) - 1)


def plain(text: str) -> str:
    """A dollar is a dollar, not the start of a formula; what cannot be printed is shown as an escape."""
    return console.printable(text).replace("$", r"\$")


def _known(columns: dict[str, Array], name: str) -> bool:
    return name in columns and bool(np.isfinite(columns[name]).any())


def _title(runs: Sequence[Run]) -> str:
    environments = dict.fromkeys(r["environment"] for run in runs for r in run.results if r.get("environment"))
    where = ", ".join(environments)
    if len(runs) > 1:
        return f"{where}: {len(runs)} runs compared" if where else f"{len(runs)} runs compared"
    return f"{where or runs[0].name}: {outcome(runs[0])}"


def draw(runs: Sequence[Path], out: Path, *, title: str | None = None) -> Path:
    """Draw the runs into `out` (.png, .pdf or .svg), which appears complete or not at all; returns `out`.

    Raises UserError for a folder that is no run, a run without records, an unknown format or a file that cannot
    be written.
    """
    out = Path(out)
    kind = kind_of(out)
    return saved(figure_of(distinct([read_run(folder) for folder in runs], runs), title), out, kind)


def kind_of(out: Path) -> str:
    """png, pdf or svg. Errors: `UserError` for any other."""
    kind = out.suffix.lower().lstrip(".")
    if kind not in ("png", "pdf", "svg"):
        raise UserError(
            f"{out}: unknown kind of figure; expected a file name that ends in .png, .pdf or .svg; try "
            f"{out.parent / (out.stem or 'figure')}.png"
        )
    return kind


def saved(figure: Figure, out: Path, kind: str) -> Path:
    """`out`, which appears complete or not at all. Errors: `UserError`: it cannot be written."""
    fast = {"pil_kwargs": {"compress_level": 1}} if kind == "png" else {}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            figure.savefig(temporary, format=kind, **fast)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None
    return out
