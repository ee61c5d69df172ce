"""The score of each run, and the scale on which scores of several tasks can stand beside each other.

score = (x − low) / (high − low)          low and high of the task: what counts as 0, and as 1
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pg_theano.reports.comparing.reading import Cells, Finished
from pg_theano.runs.figures import OBJECTIVES, learning_curve, steps_to_solve
from pg_theano.types import Array, UserError

RANDOM = {
    "CartPole-v1": 22.1,
    "Acrobot-v1": -498.1,
    "MountainCar-v0": -200.0,
    "MountainCarContinuous-v0": -33.2,
    "Pendulum-v1": -1230.7,
    "LunarLander-v3": -181.7,
    "BipedalWalker-v3": -102.8,
}
"""Mean return of uniformly random actions in Gymnasium 1.x: 200 to 2,000 episodes, reset(seed=0, 1, ...), to 2 % of the
way from there to solved."""

HOW = ("auto", "none", "solved", "range")


class Scale(NamedTuple):
    """What a score is measured in."""

    how: str  # none, solved or range
    low: dict[str, float]  # of each task, in returns or steps; 0 and 1 where `how` is none
    high: dict[str, float]
    words: str  # for an axis
    target: float | None  # at which the gap is 0; None where nobody knows one
    lower_is_better: bool = False


def score_of(run: Finished, score: str, horizon: float) -> float:
    """What a run is worth, in the terms of `search.objective`; the last two over the env steps of the whole task.

    Errors: `UserError` where it has none.
    """
    if score == "evaluation":
        return run.evaluation
    figures = {"threshold": None, "environment": run.knobs["environment.id"]} | run.result
    budget = run.config.budget.model_copy(update={"env_steps": max(1, round(horizon))})
    config = run.config.model_copy(update={"budget": budget})
    if score == "steps_to_solve":
        if not run.config.solved.stop:
            raise UserError("solved.stop=false: when it was solved is not recorded")
        return steps_to_solve(figures, config)
    steps, returns = (run.columns.get(name) for name in ("env_steps", "return_mean"))
    if steps is None or returns is None:
        raise UserError("no episode ended; there is no learning curve")
    pairs = zip(steps.tolist(), returns.tolist(), strict=True)
    return learning_curve(
        [{"env_steps": x, "return_mean": None if np.isnan(y) else y} for x, y in pairs], figures, config
    )


def horizons(cells: Cells) -> dict[str, float]:
    """The most env steps of any run of each task: at least those of its curve."""
    most: dict[str, float] = {}
    for group in cells.values():
        for task, runs in group.items():
            most[task] = max(most.get(task, 0.0), *(max(run.result["env_steps"], 1.0) for run in runs))
    return most


def threshold_of(cells: Cells, task: str) -> float | None:
    """The threshold that all runs of a task agree on."""
    stated = {run.threshold for group in cells.values() for run in group[task]}
    return stated.pop() if len(stated) == 1 else None


def bounds_of(words: Sequence[str]) -> dict[str, tuple[float, float]]:
    """{task: (low, high)} of `TASK=LOW,HIGH` words. Errors: `UserError`."""
    found = {}
    for word in words:
        task, equals, numbers = word.rpartition("=")
        try:
            low, high = map(float, numbers.split(","))
        except ValueError:
            equals = ""
        if not equals or not np.isfinite([low, high]).all() or low == high:
            raise UserError(
                f"--bounds {word}: got no two different numbers; expected what counts as 0 and as 1 of a task; try "
                f"--bounds {task or 'CartPole-v1'}=22,475"
            )
        found[task] = (low, high)
    return found


def scale_of(
    cells: Cells, values: Mapping[str, Sequence[float]], how: str, bounds: Mapping[str, tuple[float, float]], score: str
) -> tuple[Scale, list[str]]:
    """(the scale, a warning about it); `values` are all scores of each task. Errors: `UserError`."""
    tasks, lower = list(values), score == "steps_to_solve"
    for task in bounds:
        if task not in tasks:
            raise UserError(f"--bounds {task}: no such task; expected one of {', '.join(tasks)}; try {tasks[0]}=0,1")
    if how not in HOW:
        raise UserError(f"--normalise {how}: got no such scale; expected one of {', '.join(HOW)}; try auto")
    if how == "none" and bounds:
        raise UserError("--bounds: got with --normalise none; expected solved; try without --normalise")
    unknown = []
    if how in ("auto", "solved"):
        known = {task: (RANDOM.get(task), threshold_of(cells, task)) for task in tasks} | dict(bounds)
        unknown = [task for task, pair in known.items() if None in pair or (lower and task not in bounds)]
        if how == "auto" and len(tasks) == 1 and not bounds:
            how = "none"
        elif not unknown:
            low, high = ({task: float(pair[i] or 0.0) for task, pair in known.items()} for i in (0, 1))
            words = "score (0: random play, 1: solved)" if not bounds else "score (0 and 1: the tasks' bounds)"
            return Scale("solved", low, high, words, 1.0), []
        elif how == "solved":
            raise UserError(
                f"--normalise solved: got {unknown[0]}, of which no random play or no one threshold is known; expected "
                f"both; try --bounds {unknown[0]}=LOW,HIGH"
            )
        else:
            how = "range"
    if how == "none":
        zero, one = dict.fromkeys(tasks, 0.0), dict.fromkeys(tasks, 1.0)
        target = threshold_of(cells, tasks[0]) if len(tasks) == 1 and not lower else None
        return Scale("none", zero, one, OBJECTIVES[score], target, lower), []
    worst, best = (max, min) if lower else (min, max)
    low, high = ({task: float(end(each)) for task, each in values.items()} for end in (worst, best))
    said = (
        f"no random play or no one threshold is known of {', '.join(unknown)}: scores run from the worst (0) to the "
        f"best (1) of the runs compared, and change with them; try --bounds {unknown[0]}=LOW,HIGH"
        if unknown
        else ""
    )
    return Scale("range", low, high, "score (0: worst, 1: best of these runs)", 1.0), [said] if said else []


def scaled(values: Sequence[float] | Array, scale: Scale, task: str) -> Array:
    """Scores of a task on the scale; of a task in which all runs are equal, 1."""
    low, high = scale.low[task], scale.high[task]
    if low == high:
        return np.ones(np.shape(values))
    return (np.asarray(values, float) - low) / (high - low)
