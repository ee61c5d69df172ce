"""What a page shows of a search: its history, what mattered, a slice along each knob, CHO's parabolas, the best."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pg_theano.reports.pages import figures, html
from pg_theano.reports.pages.figures import Mark
from pg_theano.reports.search_display import headline, number
from pg_theano.runs.curves import Curve
from pg_theano.runs.figures import OBJECTIVES
from pg_theano.search import cho, samplers, storage, study
from pg_theano.search.axes import Axis, label
from pg_theano.search.plan import Plan
from pg_theano.search.storage import Trial
from pg_theano.types import Array, UserError

BEST, PARABOLAS = 10, 4  # rows of the best configs; rounds whose parabola is drawn, the last ones
TRIAL, TOP, GREEN, OTHER = 0, 1, 2, 5  # colours


def section(path: Path) -> str:
    """The page of one search. Errors: `UserError` without a search, a readable storage or a trial."""
    plan = study.read_folder(path)
    trials = storage.Store(path, plan.search.storage, plan.name, plan.axes, plan.maximise).trials()
    if not trials:
        raise UserError(f"{path}: no trials yet; report again after the first batch")
    seconds = sum(trial.facts.get("seconds", 0.0) for trial in trials)
    state = samplers.cho_of(plan, trials) if plan.search.method == "cho" else None
    slices = [_slice(plan, axis, trials, state) for axis in plan.axes]
    parabolas = " Green: the means of CHO's last rounds and the quadratics through them." if state else ""
    return html.section(
        f"search-{path.resolve().name}",
        f"Search {plan.name}",
        f"<p>{html.text(headline(plan, trials, seconds))} of trials.</p>",
        f'<div class="charts wide">{_history(plan, trials)}{_importance(plan, trials)}</div>',
        f'<h3>Slices</h3><p class="soft">Every score over one knob; the ring is the best.{parabolas}</p>',
        f'<div class="charts">{"".join(slices)}</div>',
        "<h3>The best configs</h3>",
        _best(plan, trials),
    )


def _flat(x: Sequence[float] | Array, y: Sequence[float] | Array) -> Curve:
    values = np.asarray(y, np.float64)
    return Curve(np.asarray(x, np.float64), values, values, values)


def _scored(trials: Sequence[Trial], state: str) -> list[tuple[Trial, float]]:
    return [
        (trial, trial.score)
        for trial in trials
        if trial.state == state and trial.score is not None and math.isfinite(trial.score)
    ]


def _history(plan: Plan, trials: Sequence[Trial]) -> str:
    complete, pruned = _scored(trials, "complete"), _scored(trials, "pruned")
    numbers, scores = [trial.number for trial, _ in complete], [score for _, score in complete]
    marks = [Mark("points", _flat(numbers, scores), TRIAL, "trial")]
    if pruned:
        curve = _flat([trial.number for trial, _ in pruned], [score for _, score in pruned])
        marks.append(Mark("points", curve, OTHER, "pruned, at its last rung"))
    if scores:
        top = (np.maximum if plan.maximise else np.minimum).accumulate(scores)
        steps = _flat(np.repeat(numbers, 2)[1:], np.repeat(top, 2)[:-1])
        marks.append(Mark("steps", steps, TOP, "best so far"))
    if failed := [trial.number for trial in trials if trial.state == "failed"]:
        low = min(scores, default=0.0)
        marks.append(Mark("points", _flat(failed, [low] * len(failed)), 3, "failed"))
    return figures.chart("History", marks, x="trial", y=OBJECTIVES[plan.search.objective])


def _importance(plan: Plan, trials: Sequence[Trial]) -> str:
    found = storage.importances(plan.axes, trials, plan.maximise)
    title = "Importance: share of the scores' variance (fANOVA)"
    if not found:
        return f"<figure><figcaption>{title}</figcaption><p>Too few different scores to tell.</p></figure>"
    short = dict(zip([axis.name for axis in plan.axes], samplers.names(plan.axes), strict=True))
    names = sorted(found, key=lambda name: -found[name])
    return figures.bars(title, [short[name] for name in names], [found[name] for name in names])


def _slice(plan: Plan, axis: Axis, trials: Sequence[Trial], state: cho.State | None) -> str:
    complete = _scored(trials, "complete")
    x, y = [axis.place(trial.params[axis.name]) for trial, _ in complete], [score for _, score in complete]
    if not y:
        return ""
    top = int(np.argmax(y) if plan.maximise else np.argmin(y))
    marks = [
        Mark("rings", _flat(x[top : top + 1], y[top : top + 1]), TOP, "best"),
        Mark("points", _flat(x, y), TRIAL, "trial"),
        *(_parabolas(plan, axis, state) if state else []),
    ]
    scale: Any = "log" if axis.log else "linear"
    if axis.choices is not None:
        scale = [(float(i), number(label(one))) for i, one in enumerate(axis.choices)]
    room = 0.06 * (max(y) - min(y)) or max(abs(y[0]) * 0.1, 1.0)  # a parabola may leave the picture, no trial does
    name = samplers.names(plan.axes)[list(plan.axes).index(axis)]
    return figures.chart(
        name, marks, x=name, y=OBJECTIVES[plan.search.objective], scale_x=scale,
        hold=(min(y) - room, max(y) + room),
    )  # fmt: skip


def _parabolas(plan: Plan, axis: Axis, state: cho.State) -> list[Mark]:
    """The means of each of the last rounds and the quadratic through them; the newest is the thick one."""
    sign = -1.0 if plan.maximise else 1.0
    marks = []
    rounds = [one for one in state.rounds if axis.name in one.fits][-PARABOLAS:]
    for age, one in enumerate(reversed(rounds)):
        fit, newest = one.fits[axis.name], age == 0
        if newest:
            means = sign * np.array(fit.means)
            real = np.isfinite(means)
            places = np.array([axis.place(value) for value in fit.values])
            marks.append(Mark("points", _flat(places[real], means[real]), GREEN, "means of CHO's last round"))
        if fit.coefficients is not None and len(fit.values) > 1:
            units = np.linspace(axis.unit(fit.values[0]), axis.unit(fit.values[-1]), 40)
            a, b, c = fit.coefficients
            kind, series = ("line", "its quadratic") if newest else ("thin", "quadratics of the rounds before")
            marks.append(Mark(kind, _flat(axis.places(units), sign * (a + b * units + c * units**2)), GREEN, series))
    return marks


def _best(plan: Plan, trials: Sequence[Trial]) -> str:
    sign = -1.0 if plan.maximise else 1.0
    complete = sorted(_scored(trials, "complete"), key=lambda one: (sign * one[1], one[0].number))
    if not complete:
        return "<p>No trial is complete.</p>"
    rows = [
        [f"trial {trial.number}", number(score), *(number(trial.params[axis.name]) for axis in plan.axes),
         f"{trial.facts.get('seconds', 0.0):.1f} s"]
        for trial, score in complete[:BEST]
    ]  # fmt: skip
    head = ["", OBJECTIVES[plan.search.objective], *samplers.names(plan.axes), "took"]
    shown = html.table(head, rows, marked=[True])
    first = complete[0][0]
    if "seeds" not in first.facts:
        return shown
    config = yaml.safe_dump(study.config_of(plan, first), sort_keys=False)
    return shown + html.details(f"The config of trial {first.number}, to train", f"<pre>{html.text(config)}</pre>")
