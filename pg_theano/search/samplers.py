"""Which candidates come next: each method as one function of the history and the seed, without memory in between.

    asked = next_candidates(plan, trials, count)    # up to `count`; [] where the method has come to its end

So a search that was killed and resumed asks what the undisturbed one would have: candidate `number` is drawn from a
generator of its own.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pg_theano.search import axes as spaces
from pg_theano.search import cho, storage
from pg_theano.search.axes import Axis
from pg_theano.search.plan import Plan
from pg_theano.search.storage import Trial

CANDIDATE = 100
"""The purpose of these draws beside those of a run (`programs.py`): candidate i of a search."""
LIMIT = 10_000
INDEPENDENT = ("random", "grid")
"""Methods that learn nothing from a trial: their candidates may be asked for before others have ended."""


class Candidate(NamedTuple):
    """Parameters by knob; `repeat` counts the trials of one point, which differ in their seeds."""

    params: dict[str, Any]
    repeat: int = 0


def child(seed: int, number: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(CANDIDATE, number))


def generator(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng(child(seed, number))


def next_candidates(plan: Plan, trials: Sequence[Trial], count: int) -> list[Candidate]:
    """The next `count` candidates after these trials, running ones among them. Errors: `UserError`."""
    return _METHODS[plan.search.method](plan, trials, count)


def limit_of_grid(plan: Plan) -> tuple[int, str]:
    """(most points of a grid, the name of that limit). A grid larger than the budget could not be finished."""
    trials = plan.search.budget.trials
    return (LIMIT, "of any grid") if trials is None else (trials, f"search.budget.trials={trials}")


def cho_of(plan: Plan, trials: Sequence[Trial]) -> cho.State:
    """CHO's state after the trials that have ended, in the order of their numbers."""
    own = plan.search.cho
    state = cho.init(
        plan.axes,
        points=own.points,
        shrink=own.shrink,
        threshold=own.threshold,
        repeats=own.repeats,
        order=own.order,
        limit=limit_of_grid(plan),
    )
    sign = -1.0 if plan.maximise else 1.0
    for trial in trials:
        if trial.state == "running":
            break
        state = cho.tell(state, [trial.params], [None if trial.score is None else sign * trial.score])
    return state


def _random(plan: Plan, trials: Sequence[Trial], count: int) -> list[Candidate]:
    numbers = range(len(trials), len(trials) + count)
    return [Candidate(spaces.uniform(plan.axes, generator(plan.config.seed, number))) for number in numbers]


def _grid(plan: Plan, trials: Sequence[Trial], count: int) -> list[Candidate]:
    values = {axis.name: axis.grid(axis.points or plan.search.grid.points) for axis in plan.axes}
    return [Candidate(point) for point in spaces.product(values, *limit_of_grid(plan))[len(trials) :][:count]]


def _cho(plan: Plan, trials: Sequence[Trial], count: int) -> list[Candidate]:
    state = cho_of(plan, trials)
    running = sum(trial.state == "running" for trial in trials)
    points = cho.ask(state)[running : running + count]
    first = len(state.told) + running
    return [Candidate(point, i % plan.search.cho.repeats) for i, point in enumerate(points, first)]


def _of_optuna(make: Callable[[int], Any]) -> Callable[[Plan, Sequence[Trial], int], list[Candidate]]:
    def method(plan: Plan, trials: Sequence[Trial], count: int) -> list[Candidate]:
        def sampler_of(number: int) -> Any:
            return make(int(child(plan.config.seed, number).generate_state(1)[0]))

        return [Candidate(one) for one in storage.proposals(plan.axes, trials, count, plan.maximise, sampler_of)]

    return method


def _bayesian(plan: Plan, trials: Sequence[Trial], count: int) -> list[Candidate]:
    from pg_theano.search import bayesian

    draws = functools.partial(generator, plan.config.seed)
    sampler = bayesian.sampler_class(storage.base_sampler(), plan.axes, plan.maximise, draws)()
    asked = storage.proposals(plan.axes, trials, count, plan.maximise, lambda number: sampler)
    return [Candidate(one) for one in asked]


_METHODS: dict[str, Callable[[Plan, Sequence[Trial], int], list[Candidate]]] = {
    "random": _random,
    "grid": _grid,
    "cho": _cho,
    "tpe": _of_optuna(storage.tpe),
    "gp": _of_optuna(storage.gp),
    "bayesian": _bayesian,
}


def names(axes: Sequence[Axis]) -> list[str]:
    """The last words of the knobs, as many as tell them apart: `learning_rate.initial`, `hidden`."""
    short = []
    for axis in axes:
        parts = axis.name.split(".")
        for length in range(1, len(parts) + 1):
            tail = ".".join(parts[-length:])
            if tail != "initial" and sum(one.name.endswith("." + tail) or one.name == tail for one in axes) == 1:
                break
        short.append(tail)
    return short
