"""Figures of runs: cost, episode length, return and schedules, read back from `metrics.jsonl` and `result.json`.

Import this module late: matplotlib takes half a second to import. Only its object API and the Agg canvas are
used, so drawing leaves no global state behind and needs no screen. The margins are fixed in inches (every legend
stands above its panel, where no curve can reach it), which saves the second pass of a layout engine.
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pg_theano import sealed, untrusted
from pg_theano.types import Array, UserError

POINTS = 1000  # a curve never has more: longer runs are binned
MOST_FIELDS = 200  # of the records of one file: each is a column in memory
MOST_OF_A_LINE = 1_000_000  # characters
EVALUATION_POINTS = 60  # more markers than these cover each other
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


class Run(NamedTuple):
    """What is drawn in one colour: a run, or a group of runs that differ in their seed."""

    name: str
    seeds: list[dict[str, Array]]  # the columns of each run; exactly one unless `is_group`
    results: list[dict[str, Any]]  # their `result.json`; empty where there is none yet
    is_group: bool


class Curve(NamedTuple):
    """A line with a band around it. All [N], N <= POINTS, finite, x rising."""

    x: Array
    middle: Array
    low: Array
    high: Array


# Reading


def read_metrics(folder: Path) -> dict[str, Array]:
    """The columns of `folder/metrics.jsonl`, float64 [number of records] each; NaN where a field is missing or null.

    A torn last line is ignored. Where a resumed run wrote an update a second time, the later record counts.
    Raises UserError where there is no such file, no record in it, or a line that is not JSON.
    """
    path = Path(folder) / "metrics.jsonl"
    if not path.is_file():
        raise UserError(f"{folder}: no metrics.jsonl in it; expected a run folder such as runs/cartpole")
    blocks = [_columns(path, records) for records in _blocks_of_records(path, _lines(path))]
    if not blocks:
        raise UserError(f"{path}: no records yet; plot again after the first update")
    names = dict.fromkeys(name for block in blocks for name in block)
    sizes = [next(iter(block.values())).size for block in blocks]
    columns = {
        name: np.concatenate([b.get(name, np.full(n, np.nan)) for b, n in zip(blocks, sizes, strict=True)])
        for name in names
    }
    update = columns.get("update", columns["record"])
    earliest_after = np.minimum.accumulate(np.append(update[1:], np.inf)[::-1])[::-1]
    is_last = ~(update >= earliest_after)
    columns = {name: column[is_last] for name, column in columns.items()}
    columns["record"] = np.arange(1.0, is_last.sum() + 1)
    return columns


def _lines(path: Path) -> Iterator[str]:
    with os.fdopen(untrusted.opened(path), encoding="utf-8", errors="replace") as file:
        while line := file.readline(MOST_OF_A_LINE + 1):
            if len(line) > MOST_OF_A_LINE:
                raise UserError(f"{path}: a line of more than {MOST_OF_A_LINE:,} characters; expected records")
            yield line


def _blocks_of_records(path: Path, lines: Iterator[str], size: int = 2_000) -> Iterator[list[dict]]:
    """Parsed records, `size` at a time: a long run never stands in memory as Python objects."""
    start = 0
    while block := list(islice(lines, size)):
        try:
            records = json.loads(f"[{','.join(filter(str.strip, block))}]")
        except (ValueError, RecursionError):
            bad = next(i for i, line in enumerate(block) if line.strip() and not _is_json(line))
            if any(line.strip() for line in block[bad + 1 :]) or next(lines, None) is not None:
                raise UserError(f"{path}:{start + bad + 1} is not JSON; remove this line and plot again") from None
            records = [json.loads(line) for line in block[:bad] if line.strip()]
        if not all(isinstance(record, dict) for record in records):
            raise UserError(f'{path}: got a line that is no record; expected objects such as {{"update": 0}}')
        if records:
            yield records
        start += len(block)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _columns(path: Path, records: list[dict]) -> dict[str, Array]:
    """One float64 array a field; fields that hold no numbers are left out."""
    columns = {"record": np.zeros(len(records))}
    names = {name for names in {tuple(record) for record in records} for name in names}
    if len(names) > MOST_FIELDS:
        raise UserError(f"{path}: records of {len(names):,} different fields; expected at most {MOST_FIELDS}")
    for name in names:
        with suppress(TypeError, ValueError, OverflowError):
            column = np.array([record.get(name) for record in records], dtype=np.float64)  # None becomes NaN
            if column.ndim == 1:
                columns[name] = column
    return columns


def read_result(folder: Path) -> dict[str, Any]:
    """`folder/result.json`; an empty dict while there is none."""
    path = Path(folder) / "result.json"
    try:
        return _sound(sealed.read_json(path))
    except FileNotFoundError:
        return {}
    except UserError as error:
        raise UserError(f"{error}; remove it and plot again") from None


def _sound(result: dict[str, Any]) -> dict[str, Any]:
    """Of a result what a figure shows, where it is of the kind that a run writes: whoever wrote it."""
    words = {name: result[name] for name in ("name", "status", "environment") if isinstance(result.get(name), str)}
    evaluation = result.get("evaluation")
    inner = {"evaluation": _numbers(evaluation, ("mean", "std", "n"))} if isinstance(evaluation, dict) else {}
    return words | _numbers(result, ("threshold", "updates", "env_steps")) | inner


def _numbers(found: dict[str, Any], names: Sequence[str]) -> dict[str, float]:
    return {
        name: found[name]
        for name in names
        if isinstance(found.get(name), (int, float)) and abs(found[name]) < 1e300  # which no NaN is
    }


def read_run(folder: Path) -> Run:
    """A run folder, or a folder of `seed-*/` run folders (those without a record yet are left out)."""
    folder = Path(folder)
    subfolders = sorted(path for path in folder.glob("seed-*") if path.is_dir())
    if (folder / "metrics.jsonl").exists() or not subfolders:
        result = read_result(folder)
        return Run(result.get("name") or folder.resolve().name, [read_metrics(folder)], [result], False)
    begun = [path for path in subfolders if _has_records(path)]
    if not begun:
        raise UserError(f"{folder}: no records yet in any of its {len(subfolders)} seed folders; plot again later")
    return Run(folder.resolve().name, [read_metrics(p) for p in begun], [read_result(p) for p in begun], True)


def _has_records(folder: Path) -> bool:
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return False
    return _is_json(next(_lines(path), ""))


# Curves


def bin_curve(curve: Curve, points: int = POINTS) -> Curve:
    """At most `points` points: the mean of x and of the line, the lowest low and the highest high of each bin."""
    if curve.x.size <= points:
        return curve
    edges = np.linspace(0, curve.x.size, points + 1).astype(int)[:-1]
    counts = np.diff(np.append(edges, curve.x.size))
    return Curve(
        np.add.reduceat(curve.x, edges) / counts,
        np.add.reduceat(curve.middle, edges) / counts,
        np.minimum.reduceat(curve.low, edges),
        np.maximum.reduceat(curve.high, edges),
    )


def curve_of(columns: dict[str, Array], x: str, y: str, spread: str | None = None) -> Curve | None:
    """One run's column `y` over its column `x`, binned; None where it has no finite value.

    The band is y ± `spread`, kept inside the smallest and largest value seen where these are known; without a
    `spread`, the range of y inside each bin.
    """
    if x not in columns or y not in columns:
        return None
    middle = columns[y]
    low = high = middle
    if spread in columns:
        width = np.nan_to_num(columns[spread])
        low = np.fmax(middle - width, columns.get(y.replace("mean", "min"), middle - width))
        high = np.fmin(middle + width, columns.get(y.replace("mean", "max"), middle + width))
    real = np.isfinite(columns[x]) & np.isfinite(middle)
    if not real.any():
        return None
    return bin_curve(Curve(columns[x][real], middle[real], low[real], high[real]))


def over_seeds(curves: Sequence[Curve]) -> Curve:
    """The mean, lowest and highest of several runs on a common axis.

    Between its points a run is interpolated linearly; after its end it counts with its last value, so that the
    mean does not drop when the quick runs have been solved.
    """
    x = np.linspace(min(c.x[0] for c in curves), max(c.x[-1] for c in curves), POINTS)
    return Curve(
        x,
        np.mean([np.interp(x, c.x, c.middle) for c in curves], axis=0),
        np.min([np.interp(x, c.x, c.low) for c in curves], axis=0),
        np.max([np.interp(x, c.x, c.high) for c in curves], axis=0),
    )


def curve_of_run(run: Run, x: str, y: str, spread: str | None = None) -> Curve | None:
    """The curve of a run; for a group, the mean of its runs in a band from the lowest run to the highest."""
    if not run.is_group:
        return curve_of(run.seeds[0], x, y, spread)
    curves = [curve for columns in run.seeds if (curve := curve_of(columns, x, y)) is not None]
    return over_seeds(curves) if curves else None


def evaluations_of_run(run: Run, x: str) -> Curve | None:
    """The greedy evaluations of all its seeds, in the order of x, binned where there are many."""
    curves = [curve for columns in run.seeds if (curve := curve_of(columns, x, "evaluation_mean")) is not None]
    if not curves:
        return None
    pooled = Curve(*(np.concatenate(parts) for parts in zip(*curves, strict=True)))
    order = np.argsort(pooled.x, kind="stable")
    return bin_curve(Curve(*(part[order] for part in pooled)), EVALUATION_POINTS)


# Words


def number(value: float) -> str:
    """`475.0` -> '475', `1234.56` -> '1,234.6', `0.7421` -> '0.74'."""
    text = f"{value:,.{1 if abs(value) >= 10 else 2}f}".replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text


def outcome(run: Run) -> str:
    """'solved after 41 updates, 62,000 steps; 100 greedy episodes: 498.2 ± 5', or the like for a group."""
    return _outcome_of_group(run) if run.is_group else _outcome_of_one(run.seeds[0], run.results[0])


def _outcome_of_one(columns: dict[str, Array], result: dict[str, Any]) -> str:
    status = {"budget": "budget spent", None: "no result yet"}.get(result.get("status"), result.get("status"))
    updates = _last(columns, result, "updates", "update")
    steps = _last(columns, result, "env_steps", "env_steps")
    counts = [
        f"{value:,.0f} {unit}{'' if value == 1 else 's'}"
        for value, unit in ((updates, "update"), (steps, "step"))
        if value is not None
    ]
    words = f"{status} after {', '.join(counts)}" if counts else str(status)
    evaluation = result.get("evaluation") or {}
    if evaluation.get("mean") is not None:
        words += f"; {evaluation.get('n', '')} greedy episodes: ".replace("  ", " ") + number(evaluation["mean"])
        if evaluation.get("std") is not None:
            words += f" ± {number(evaluation['std'])}"
    return words


def _outcome_of_group(run: Run) -> str:
    solved = [i for i, result in enumerate(run.results) if result.get("status") == "solved"]
    words = f"{len(solved)} of {len(run.seeds)} seeds solved"
    steps = [_last(run.seeds[i], run.results[i], "env_steps", "env_steps") for i in solved]
    steps = [value for value in steps if value is not None]
    if steps:
        words += f", after {np.median(steps):,.0f} steps (median)"
    means = [(result.get("evaluation") or {}).get("mean") for result in run.results]
    means = [mean for mean in means if mean is not None]
    if means:
        words += f"; greedy evaluations: {number(np.mean(means))}, from {number(min(means))} to {number(max(means))}"
    return words


def _last(columns: dict[str, Array], result: dict[str, Any], key: str, column: str) -> float | None:
    """A count as the result tells it, else as the last record does."""
    if result.get(key) is not None:
        return result[key]
    last = columns.get(column, np.array([np.nan]))[-1]
    return None if np.isnan(last) else last


def _distinct(runs: list[Run], folders: Sequence[Path]) -> list[Run]:
    """Runs of the same name are called by their folder instead."""
    names = [run.name for run in runs]
    return [
        run._replace(name=str(folder)) if names.count(run.name) > 1 else run
        for run, folder in zip(runs, folders, strict=True)
    ]


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
    return [
        Look(COLOURS[i % len(COLOURS)], LINES[i % len(LINES)], MARKERS[i % len(MARKERS)], opacity) for i in range(count)
    ]


class Panel:
    """One axes and the entries of its legend; lives while its figure is drawn."""

    def __init__(self, axes: Any, *, x: str, y_label: str, neutral: bool) -> None:
        self.axes, self.x, self.neutral = axes, x, neutral
        self.entries: dict[str, Any] = {}
        axes.set_ylabel(y_label, fontsize=9, color=INK)
        axes.tick_params(labelsize=8, color="#999999", labelcolor=INK, length=3)
        axes.grid(True, color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color("#999999")
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


def figure_of(runs: Sequence[Run], title: str | None = None) -> Figure:
    """The figure: episode length and return over environment steps, cost and schedules over updates."""
    many = len(runs) > 1
    columns = [seed for run in runs for seed in run.seeds]
    steps = next((x for x in ("env_steps", "update") if all(_known(seed, x) for seed in columns)), "record")
    updates = "update" if all(_known(seed, "update") for seed in columns) else "record"
    header = textwrap.wrap(_plain(title or _title(runs)), 115) or [" "]
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
    _draw_schedules(figure, grid[1, 1], runs, styles, updates)
    if many:
        room = 150 if legend_columns == 1 else 84  # characters
        handles = [Line2D([], [], color=s.colour, linestyle=s.line, marker=s.marker, markersize=5) for s in styles]
        labels = [textwrap.shorten(_plain(f"{run.name}: {outcome(run)}"), room, placeholder=" …") for run in runs]
        figure.legend(
            handles, labels, loc="upper center", bbox_to_anchor=(0.5, 1 - (0.14 + 0.25 * len(header)) / height),
            ncols=legend_columns, frameon=False, fontsize=9.5 if legend_columns == 1 else 8,
            handlelength=4.0, labelspacing=0.35,
        )  # fmt: skip
    return figure


def _draw_schedules(figure: Figure, cell: Any, runs: Sequence[Run], styles: Sequence[Look], x: str) -> None:
    """One small panel a schedule that anybody recorded, one above the other: three scales, three axes."""
    every = [seed for run in runs for seed in run.seeds]
    unused = {"exploration_rate"} if all(_known(seed, "spread") for seed in every) else set()  # of searches
    names = [name for name in SCHEDULES if name not in unused and any(_known(seed, name) for seed in every)]
    if not names:
        axes = figure.add_subplot(cell)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no schedules recorded", ha="center", va="center", fontsize=9, color=INK)
    stack = cell.subgridspec(max(len(names), 1), 1, hspace=0.16)
    for i, name in enumerate(names):
        panel = Panel(figure.add_subplot(stack[i]), x=x, y_label=SCHEDULES[name], neutral=len(runs) > 1)
        curves = [curve_of_run(run, x, name) for run in runs]
        for curve, look in zip(curves, styles, strict=True):
            panel.line(curve, look, name, "range")
        highest = max(curve.high.max() for curve in curves if curve is not None)
        panel.axes.set_ylim(0, 1.15 * highest if highest > 0 else 1.0)
        panel.axes.yaxis.set_major_locator(MaxNLocator(3, steps=TICKS))
        panel.axes.yaxis.set_label_coords(-0.095, 0.5)
        panel.finish(legend=False, x_label=i == len(names) - 1)


def _plain(text: str) -> str:
    """A dollar is a dollar, not the start of a formula."""
    return text.replace("$", r"\$")


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
    kind = out.suffix.lower().lstrip(".")
    if kind not in ("png", "pdf", "svg"):
        raise UserError(
            f"{out}: unknown kind of figure; expected a file name that ends in .png, .pdf or .svg; try "
            f"{out.with_suffix('.png')}"
        )
    figure = figure_of(_distinct([read_run(folder) for folder in runs], runs), title)
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    fast = {"pil_kwargs": {"compress_level": 1}} if kind == "png" else {}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(temporary, format=kind, **fast)
        os.replace(temporary, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None
    finally:
        temporary.unlink(missing_ok=True)
    return out
