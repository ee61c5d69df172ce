"""Runs compared by any knob: interquartile mean, gap, probability of improvement."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pg_theano.reports.comparing.results import CURVES, RESAMPLES, Comparison, Estimate, Group, Improvement
from pg_theano.runs import statistics
from pg_theano.runs.figures import OBJECTIVES
from pg_theano.types import UserError

if TYPE_CHECKING:
    from pg_theano.reports.comparing.scales import Scale

__all__ = ["Comparison", "Estimate", "Group", "Improvement", "compare"]


def compare(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    by: str = "algorithm",
    score: str = "evaluation",
    normalise: str = "auto",
    bounds: Sequence[str] = (),
    curve: str = "evaluation",
    seed: int = 0,
) -> Comparison:
    """The runs of folders, grouped by a knob, in interquartile means, medians, gaps and probabilities of improvement.

        IQM = 2·∫ Q(p) dp, p from ¼ to ¾       gap = γ − mean(min(x, γ))       P(X > Y) + ½·P(X = Y)

    Each has a 95 % interval of 10,000 resamples of the runs of each task (stratified bootstrap, percentiles; Agarwal
    et al. 2021, sections 4.1 to 4.3; equations in `runs/statistics.py`). All tasks weigh the same.

    paths      run folders, or sets of `runs=N`
    by         a knob, several as `a,b`, or `run` for a group a folder
    score      evaluation | learning_curve | steps_to_solve, as in `search.objective`
    normalise  none: as it is, the default of one task; solved: 0 is random play and 1 the threshold, the default of
               several; range: the worst and best of these runs
    bounds     `TASK=LOW,HIGH`: what counts as 0 and as 1 of a task instead
    curve      evaluation | return, over env steps
    seed       of the resamples

    Shapes: scores [n_m] of each task m; profiles [101], sample-efficiency curves [60]. Errors: `UserError` without a
    finished run, two groups, a known knob or a common task. The result names the runs left out, and warnings.
    """
    from pg_theano.reports.comparing import estimating, reading, scales

    keys = _keys(by, score, curve)
    found, left_out = reading.read(_folders(paths))
    cells = reading.grouped(found, keys, left_out)
    raw = estimating.scores_of(cells, score, left_out)
    cells = {name: {task: [run for run, _ in each] for task, each in group.items()} for name, group in raw.items()}
    values = {name: {t: [x for _, x in each] for t, each in group.items()} for name, group in raw.items()}
    every = {task: [x for group in values.values() for x in group[task]] for task in next(iter(cells.values()))}
    limits = scales.bounds_of(bounds)
    scale, said = scales.scale_of(cells, every, normalise, limits, score)
    rng = np.random.default_rng(seed)
    strata = {name: [scales.scaled(x, scale, task) for task, x in group.items()] for name, group in values.items()}
    of_returns = (normalise, limits) if score != "steps_to_solve" else ("auto", {})  # whose bounds are in steps
    efficiency, steps, returns = estimating.efficiency(cells, CURVES[curve], *of_returns, seed)
    return Comparison(
        by=keys,
        score=score,
        words=scale.words,
        normalised=scale.how,
        bounds={task: (scale.low[task], scale.high[task]) for task in every},
        target=scale.target,
        lower_is_better=scale.lower_is_better,
        groups=_groups(values, strata, scale, efficiency, rng),
        improvements=_improvements(strata, scale.lower_is_better, rng),
        also_differ=[key for key in reading.differences(found) if key not in keys and key != "environment.id"],
        left_out=[f"{one.path}: {one.why}" for one in left_out],
        warnings=[*said, *estimating.warnings(cells, keys, score, left_out), *_without_a_curve(efficiency, curve)],
        steps=steps,
        returns=returns,
    )


def _keys(by: str, score: str, curve: str) -> list[str]:
    """The knobs of `by`. Errors: `UserError`, also for an unknown score or curve."""
    from pg_theano.reports.comparing import reading

    if not isinstance(by, str):
        raise UserError(f"by: got {by!r:.60}; expected the name of a knob; try by='algorithm'")
    keys = reading.knobs_of(by)
    if score not in OBJECTIVES or curve not in CURVES:
        got, expected = (score, OBJECTIVES) if curve in CURVES else (curve, CURVES)
        raise UserError(f"compare: got {got!r}; expected one of {', '.join(expected)}; try evaluation")
    return keys


def _folders(paths: Any) -> list[Path]:
    paths = [paths] if isinstance(paths, str | os.PathLike) else paths
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str | os.PathLike) for path in paths):
        raise UserError(f"compare: got {paths!r:.60}; expected run folders; try compare(['runs/ppo', 'runs/vpg'])")
    return [Path(path) for path in paths]


def _groups(
    scores: dict[str, Any],
    strata: dict[str, Any],
    scale: Scale,
    efficiency: Mapping[str, Any],
    rng: np.random.Generator,
) -> list[Group]:
    """The figures of each group, from its scaled scores `strata`: of each task [n_m]."""
    from pg_theano.reports.comparing import estimating

    thresholds = np.linspace(*_ends([x for group in strata.values() for one in group for x in one]), 101)
    return [
        Group(
            name=name,
            scores=scores[name],
            iqm=_estimate(statistics.interquartile_mean, group, rng),
            median=_estimate(statistics.median, group, rng),
            mean=_estimate(statistics.mean, group, rng),
            gap=None if scale.target is None else _estimate(statistics.optimality_gap, group, rng, target=scale.target),
            profile=estimating.profile(group, thresholds, scale.lower_is_better, rng),
            efficiency=efficiency[name],
        )
        for name, group in strata.items()
    ]


def _without_a_curve(efficiency: Mapping[str, Any], curve: str) -> list[str]:
    names = [name for name, found in efficiency.items() if found is None]
    said = f"{', '.join(names)}: no sample-efficiency curve: a run of it has no {curve} while it trained"
    return [said] if names else []


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest value, with a margin on both sides."""
    low, high = min(values), max(values)
    margin = 0.03 * (high - low) or 0.5
    return low - margin, high + margin


def _estimate(statistic: Any, strata: Sequence[Any], rng: np.random.Generator, **options: float) -> Estimate:
    value = float(statistic(*strata, **options))
    if min(map(len, strata)) == 1:
        return Estimate(value, None, None)
    low, high = statistics.interval(statistic(*statistics.resampled(strata, rng, RESAMPLES), **options))
    return Estimate(value, float(low), float(high))


def _improvements(strata: dict[str, list[Any]], lower: bool, rng: np.random.Generator) -> list[Improvement]:
    found, names = [], list(strata)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            xs, ys = ([-x if lower else x for x in strata[name]] for name in (first, second))
            value = statistics.probability_of_improvement(xs, ys)
            better, worse = (first, second) if value >= 0.5 else (second, first)
            low = high = None
            if min(map(len, [*xs, *ys])) > 1:
                drawn = statistics.resampled_improvement(xs, ys, rng, RESAMPLES)
                low, high = map(float, statistics.interval(drawn if value >= 0.5 else 1 - drawn))
            found.append(Improvement(better, worse, Estimate(max(value, 1 - value), low, high)))
    return found
