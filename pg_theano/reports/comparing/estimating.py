"""Scores, profiles and curves of groups of runs, and the warnings that the evidence needs."""

from collections.abc import Mapping, Sequence

import numpy as np

from pg_theano.reports.comparing import scales
from pg_theano.reports.comparing.reading import Cells, Finished, LeftOut, differences
from pg_theano.reports.comparing.results import FEW, RESAMPLES_OF_CURVES
from pg_theano.runs import statistics
from pg_theano.runs.curves import Curve, number
from pg_theano.types import Array, UserError

POINTS = 60
UNEQUAL = 1.1  # budgets of two groups whose ratio is over this are said

Scored = dict[str, dict[str, list[tuple[Finished, float]]]]


def scores_of(cells: Cells, score: str, left_out: list[LeftOut]) -> Scored:
    """Each run with its score; runs without one are left out. Errors: `UserError` if a whole group is."""
    horizons = scales.horizons(cells)
    scored: Scored = {}
    for name, group in cells.items():
        for task, runs in group.items():
            kept = scored.setdefault(name, {}).setdefault(task, [])
            for run in runs:
                try:
                    value = scales.score_of(run, score, horizons[task])
                    if not np.isfinite(value):
                        raise UserError(f"its score is {value}")
                    kept.append((run, value))
                except UserError as error:
                    left_out.append(LeftOut(run.path, str(error)))
            if not kept:
                raise UserError(f"{name}: {left_out[-1].why} ({task}); expected a score; try --score evaluation")
    return scored


def profile(strata: Sequence[Array], thresholds: Array, lower: bool, rng: np.random.Generator) -> Curve:
    """The share of runs over each threshold (under it, where lower is better), and its pointwise interval."""
    if lower:
        strata, at = [-one for one in strata], -thresholds
    else:
        at = thresholds
    middle = statistics.profile(*strata, at=at)
    drawn = statistics.resampled(strata, rng, RESAMPLES_OF_CURVES)
    low, high = statistics.interval(statistics.profile(*drawn, at=at).T)
    return Curve(thresholds, middle, low, high)


# -- sample efficiency


def efficiency(
    cells: Cells, column: str, how: str, bounds: Mapping[str, tuple[float, float]], seed: int
) -> tuple[dict[str, Curve | None], str, str]:
    """({group: curve}, label of x, label of y): the interquartile mean of a column over env steps.

    Over the env steps of one task; of several, over the share of the most that any run of the task had. Between two
    points a run is interpolated, and after its last it is what it was: where it was solved, its final evaluation, for
    ever; where not, to its own end, and there the curve of its group ends. It begins where every run has had a value.
    """
    tasks = list(next(iter(cells.values())))
    evaluations = {task: [run.evaluation for group in cells.values() for run in group[task]] for task in tasks}
    scale, _ = scales.scale_of(cells, evaluations, how, bounds, "evaluation")
    one = len(tasks) == 1
    whole = scales.horizons(cells)
    found: dict[str, Curve | None] = {}
    for name, group in cells.items():
        lines = [[_line(run, column, 1.0 if one else whole[task]) for run in runs] for task, runs in group.items()]
        solved = [run.result["status"] == "solved" for runs in group.values() for run in runs]
        flat = [line for each in lines for line in each]
        if any(x.size == 0 for x, _ in flat):
            found[name] = None
            continue
        start = max(x[0] for x, _ in flat)
        last = whole[tasks[0]] if one else 1.0
        end = min([last, *(x[-1] for (x, _), for_ever in zip(flat, solved, strict=True) if not for_ever)])
        grid = np.linspace(start, max(start, end), POINTS)
        strata = [
            scales.scaled(np.stack([np.interp(grid, x, y) for x, y in each], axis=-1), scale, task)
            for task, each in zip(tasks, lines, strict=True)
        ]  # [POINTS, n_m] of each task
        found[name] = _band(grid, strata, seed)
    steps = "environment steps" if one else "share of the task's environment steps"
    words = {"evaluation_mean": "greedy evaluation", "return_mean": "return while training"}[column]
    return found, steps, words + ("" if scale.how == "none" else f" {scale.words.removeprefix('score ')}")


def _line(run: Finished, column: str, unit: float) -> tuple[Array, Array]:
    """(env steps in `unit`, values) of a run up to its end; of none where the column has none."""
    x, y = (run.columns.get(name, np.array([])) for name in ("env_steps", column))
    if not x.size or not y.size:
        return np.array([]), np.array([])
    real = np.isfinite(x) & np.isfinite(y)
    x, y = x[real], y[real]
    if x.size:
        last = run.evaluation if run.result["status"] == "solved" else y[-1]
        x, y = np.append(x, max(run.result["env_steps"], x[-1])), np.append(y, last)
    return x / unit, y


def _band(grid: Array, strata: Sequence[Array], seed: int) -> Curve:
    """Point by point, to spare memory; always by the same draws, so that whole runs are drawn."""
    rows = []
    for k in range(len(grid)):
        at = [one[k] for one in strata]
        drawn = statistics.resampled(at, np.random.default_rng(seed), RESAMPLES_OF_CURVES)
        rows.append((statistics.interquartile_mean(*at), *statistics.interval(statistics.interquartile_mean(*drawn))))
    return Curve(grid, *np.array(rows, float).T)


# -- what must be said


def warnings(cells: Cells, by: Sequence[str], score: str, left_out: Sequence[LeftOut]) -> list[str]:
    """Reasons not to believe the figures: few seeds, unequal runs, budgets, runs that stopped when solved, failures."""
    return [*_few(cells), *_mixed(cells, by), *_budgets(cells), *_stopped(cells, score), *_failed(left_out)]


def _few(cells: Cells) -> list[str]:
    few = [
        f"{name} ({len(runs)} on {task})"
        for name, group in cells.items()
        for task, runs in group.items()
        if len(runs) < FEW
    ]
    if not few:
        return []
    return [
        f"fewer than five seeds: {_some(few)}; an interval of three holds the truth 75 times in 100, not 95, and one "
        "run has none; try runs=10"
    ]


def _mixed(cells: Cells, by: Sequence[str]) -> list[str]:
    said = []
    for name, group in cells.items():
        for task, runs in group.items():
            differing = [key for key in differences(runs) if not key.startswith("budget.") and key not in by]
            if differing:
                said.append(f"{name}, {task}: its runs differ in {_some(differing)} too, and are averaged all the same")
    return said


def _budgets(cells: Cells) -> list[str]:
    said = []
    for task in next(iter(cells.values())):
        results = {name: [one.result for one in group[task]] for name, group in cells.items()}
        spent = {n: [one["env_steps"] for one in each if one["status"] != "solved"] for n, each in results.items()}
        known = {name: max(steps) for name, steps in spent.items() if steps and max(steps)}
        if known and max(known.values()) > UNEQUAL * min(known.values()):
            each = _some([f"{name} {number(steps)}" for name, steps in known.items()])
            said.append(f"{task}: not the same env steps for all: {each}; who had more had more time to learn")
    return said


def _stopped(cells: Cells, score: str) -> list[str]:
    every = [run for group in cells.values() for runs in group.values() for run in runs]
    solved = sum(run.result["status"] == "solved" for run in every)
    if score != "evaluation" or not solved:
        return []
    return [
        f"{solved} of {len(every)} runs stopped when they were solved: their final evaluations say that they got "
        "there, not how far they would go; try --score steps_to_solve, or train with solved.stop=false"
    ]


def _failed(left_out: Sequence[LeftOut]) -> list[str]:
    failed = sum(one.failed for one in left_out)
    if not failed:
        return []
    runs = "1 run that failed is" if failed == 1 else f"{failed} runs that failed are"
    return [f"{runs} left out, which flatters the config that failed"]


def _some(words: Sequence[str], most: int = 6) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
