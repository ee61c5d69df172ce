"""The figure of a search: its history, what mattered, and a slice along each hyper-parameter, with CHO's parabolas."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.reports import plots
from pg_theano.reports.search_display import headline, number
from pg_theano.runs.figures import OBJECTIVES
from pg_theano.search import cho, samplers, storage
from pg_theano.search.axes import Axis, label
from pg_theano.search.plan import Plan
from pg_theano.search.storage import Trial
from pg_theano.types import Array

BLUE, ORANGE, GREEN, GREY = plots.COLOURS[0], plots.COLOURS[1], plots.COLOURS[2], "#999999"
PER_ROW, PARABOLAS = 4, 4  # slices in a row; rounds whose parabola is drawn, the last ones
ROW_HEIGHT = 3.1  # inches


def draw(plan: Plan, trials: Sequence[Trial], out: Path) -> Path:
    """Draw a search into `out` (.png), which appears complete or not at all. Errors: `UserError`: cannot be written."""
    return plots.saved(figure_of(plan, trials), out, "png")


def figure_of(plan: Plan, trials: Sequence[Trial]) -> Any:
    """History and importance in the first row, the slices below."""
    rows = -(-len(plan.axes) // PER_ROW)
    height = 0.6 + ROW_HEIGHT * (1 + rows)
    figure = plots.Figure(figsize=(plots.WIDTH, height), dpi=plots.DPI, facecolor="white")
    plots.FigureCanvasAgg(figure)
    seconds = sum(trial.facts.get("seconds", 0.0) for trial in trials)
    title = plots.plain(f"{headline(plan, trials, seconds)} of trials")
    figure.text(0.5, 1 - 0.12 / height, title, ha="center", va="top", fontsize=12)
    margins = {"left": 0.065, "right": 0.985, "top": 1 - 0.75 / height, "bottom": 0.55 / height}
    grid = figure.add_gridspec(1 + rows, PER_ROW, wspace=0.3, hspace=0.45, **margins)
    _history(plots.bare(figure.add_subplot(grid[0, :2])), plan, trials)
    _importance(plots.bare(figure.add_subplot(grid[0, 3])), plan, trials)
    state = samplers.cho_of(plan, trials) if plan.search.method == "cho" else None
    shared: Any = None
    for i, axis in enumerate(plan.axes):
        axes = plots.bare(figure.add_subplot(grid[1 + i // PER_ROW, i % PER_ROW], sharey=shared))
        shared = shared or axes
        _slice(axes, plan, axis, trials)
        if state is not None:
            _parabolas(axes, plan, axis, state)
        if i % PER_ROW == 0:
            axes.set_ylabel(OBJECTIVES[plan.search.objective], fontsize=9, color=plots.INK)
    scores = _scores(trials, "complete")[1]
    if shared is not None and scores.size:  # a parabola may leave the picture, no trial does
        margin = 0.06 * (np.ptp(scores) or max(abs(scores[0]), 1.0))
        shared.set_ylim(scores.min() - margin, scores.max() + margin)
    return figure


def _scores(trials: Sequence[Trial], state: str) -> tuple[Array, Array]:
    """(numbers [N], scores [N]) of the trials in this state."""
    those = [trial for trial in trials if trial.state == state and trial.score is not None]
    return np.array([trial.number for trial in those]), np.array([trial.score for trial in those], dtype=np.float64)


def _history(axes: Any, plan: Plan, trials: Sequence[Trial]) -> None:
    numbers, scores = _scores(trials, "complete")
    axes.plot(
        numbers, scores, "o", color=BLUE, markersize=4, markeredgecolor="white", markeredgewidth=0.5, label="trial"
    )
    if scores.size:
        best = (np.maximum if plan.maximise else np.minimum).accumulate(scores)
        axes.step(numbers, best, where="post", color=ORANGE, linewidth=1.6, label="best so far")
    pruned = _scores(trials, "pruned")
    if pruned[0].size:
        axes.plot(*pruned, "x", color=GREY, markersize=4, label="pruned, at its last rung")
    failed = [trial.number for trial in trials if trial.state == "failed"]
    if failed:
        bottom = [0.02] * len(failed)
        axes.plot(failed, bottom, "|", color="#8c1d4f", transform=axes.get_xaxis_transform(), label="failed")
    axes.set_xlabel("trial", fontsize=9, color=plots.INK)
    axes.set_ylabel(OBJECTIVES[plan.search.objective], fontsize=9, color=plots.INK)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 0.985), ncols=4, frameon=False, fontsize=8.2, borderaxespad=0.2
    )


def _importance(axes: Any, plan: Plan, trials: Sequence[Trial]) -> None:
    found = storage.importances(plan.axes, trials, plan.maximise)
    short = dict(zip([axis.name for axis in plan.axes], samplers.names(plan.axes), strict=True))
    axes.set_title("share of the scores' variance (fANOVA)", fontsize=8.5, color=plots.INK, loc="right")
    if not found:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "too few different scores to tell", ha="center", va="center", fontsize=9, color=plots.INK)
        return
    names = sorted(found, key=lambda name: found[name])
    axes.barh([plots.plain(short[name]) for name in names], [found[name] for name in names], color=BLUE, height=0.6)
    axes.set_xlim(0, 1)


def _slice(axes: Any, plan: Plan, axis: Axis, trials: Sequence[Trial]) -> None:
    """Every score over this knob's value; the best is ringed."""
    complete = [trial for trial in trials if trial.state == "complete"]
    x, y = [axis.place(trial.params[axis.name]) for trial in complete], [trial.score or 0.0 for trial in complete]
    axes.plot(x, y, "o", color=BLUE, markersize=4, alpha=0.6, markeredgecolor="white", markeredgewidth=0.4)
    if y:
        top = int(np.argmax(y) if plan.maximise else np.argmin(y))
        axes.plot(
            x[top], y[top], "o", markerfacecolor="none", markeredgecolor=ORANGE, markeredgewidth=1.8, markersize=9
        )
    axes.set_xlabel(plots.plain(samplers.names(plan.axes)[plan.axes.index(axis)]), fontsize=9, color=plots.INK)
    if axis.choices is not None:
        axes.set_xticks(range(len(axis.choices)), [plots.plain(number(label(choice))) for choice in axis.choices])
        axes.set_xlim(-0.5, len(axis.choices) - 0.5)
        return
    if axis.log:
        axes.set_xscale("log")
        ticks = [axis.value(unit) for unit in (0.0, 1 / 3, 2 / 3, 1.0)]
        axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axes.minorticks_off()
    ends = np.array([axis.unit(axis.low) - 0.04, axis.unit(axis.high) + 0.04])
    axes.set_xlim(axis.places(ends))


def _parabolas(axes: Any, plan: Plan, axis: Axis, state: cho.State) -> None:
    """The means of each of the last rounds and the quadratic through them, fainter the longer ago."""
    sign = -1.0 if plan.maximise else 1.0
    rounds = [one for one in state.rounds if axis.name in one.fits][-PARABOLAS:]
    for age, one in enumerate(reversed(rounds)):
        fit, alpha = one.fits[axis.name], 1.0 / (1 + age)
        means = sign * np.array(fit.means)
        axes.plot([axis.place(v) for v in fit.values], means, "s", color=GREEN, markersize=5, alpha=alpha)
        if fit.coefficients is not None and len(fit.values) > 1:
            units = np.linspace(axis.unit(fit.values[0]), axis.unit(fit.values[-1]), 60)
            a, b, c = fit.coefficients
            over = sign * (a + b * units + c * units**2)
            axes.plot(axis.places(units), over, color=GREEN, alpha=alpha, linewidth=1.4)
    if rounds and axis is plan.axes[0]:
        axes.set_title("green: CHO's means and quadratics, newest darkest", fontsize=8.2, color=GREEN, loc="left")
