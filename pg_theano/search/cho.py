"""CHO: a grid, a quadratic for each hyper-parameter, a smaller grid around their minimum; coarse to fine.

A round, over the axes of its group (the others stand still):

1. a grid over the current ranges, their Cartesian product;
2. for each axis and each of its values v, the mean outcome over all the others:  m(v) = mean{ y : x = v };
3. a quadratic regression for each axis:                                          q(u) = a + b·u + c·u²;
4. their sum:                                                                     Q(u) = Σ q_i(u_i);
5. its minimum within the current ranges (`scipy.optimize`);
6. the ranges re-centred there, and with them the steps multiplied by `shrink`;
7. until each step is under its threshold; then the minimum itself is evaluated, once.

u is an axis's unit interval, on a log axis that of the logarithm. Choices have no quadratic: the best of their means is
the minimum, and the worse part of them is left out of the next grid as a range would shrink. What failed has no outcome
and is left out of the means. Outcomes are minimised.

    state = init(axes, ...)
    while points := ask(state):            # of the round that is open; [] when the search is done
        state = tell(state, points[:8], outcomes)
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pg_theano.search.axes import Axis, product


class Fit(NamedTuple):
    """What a round measured along one axis."""

    values: tuple[Any, ...]  # of its grid
    means: tuple[float, ...]  # the mean outcome at each; NaN where all failed
    coefficients: tuple[float, float, float] | None  # a, b, c over the unit interval; None: choices


class Round(NamedTuple):
    """A round that is over."""

    axes: tuple[str, ...]
    fits: dict[str, Fit]
    minimum: dict[str, Any]  # of every axis, those that stood still too
    failed: int


class State(NamedTuple):
    """Where a search by CHO stands. `width` is a range's, 1 the whole of it; plain data, rebuilt from the history."""

    axes: tuple[Axis, ...]
    groups: tuple[tuple[str, ...], ...]
    points: int
    shrink: float
    threshold: float
    repeats: int
    limit: int  # of points in a grid
    limit_name: str
    centre: dict[str, Any]  # unit coordinate of a number; of choices the best so far
    width: dict[str, float]
    choices: dict[str, tuple[Any, ...]]  # those still in the grid
    turn: int = 0  # of the group that the open round is over
    told: tuple[tuple[dict[str, Any], float | None], ...] = ()  # of the open round; None: failed
    rounds: tuple[Round, ...] = ()
    done: bool = False


def init(
    axes: Sequence[Axis],
    *,
    points: int,
    shrink: float,
    threshold: float,
    repeats: int,
    order: str | Sequence[Sequence[str]],
    limit: tuple[int, str] = (10_000, "of a grid"),
) -> State:
    """Before the first round. `limit`: the most points of a grid, and what limits them, for the error line."""
    names = [axis.name for axis in axes]
    groups = [names] if order == "together" else [[name] for name in names] if order == "in_turn" else order
    return State(
        tuple(axes),
        tuple(tuple(group) for group in groups),
        points,
        shrink,
        threshold,
        repeats,
        *limit,
        centre={axis.name: 0.5 if axis.choices is None else axis.choices[0] for axis in axes},
        width={axis.name: 1.0 for axis in axes if axis.choices is None},
        choices={axis.name: axis.choices for axis in axes if axis.choices is not None},
    )


def ask(state: State) -> list[dict[str, Any]]:
    """The points of the open round that have no outcome yet, in order; [] when the search is done.

    Errors: `UserError` where the grid is over the limit.
    """
    return grid(state)[len(state.told) :]


def tell(state: State, points: Sequence[Mapping[str, Any]], outcomes: Sequence[float | None]) -> State:
    """The outcomes of the next points, in their order; None for one that failed. Closes the round with its last."""
    told = [(dict(point), outcome) for point, outcome in zip(points, outcomes, strict=True)]
    state = state._replace(told=state.told + tuple(told))
    return state if state.done or len(state.told) < len(grid(state)) else _closed(state)


def grid(state: State) -> list[dict[str, Any]]:
    """All points of the open round; a repeated point stands there several times, one after the other."""
    if state.done:
        return [_point(state)]
    group = state.groups[state.turn]
    values = {axis.name: _values(state, axis) if axis.name in group else [_still(state, axis)] for axis in state.axes}
    points = product(values, max(state.limit // state.repeats, 1), state.limit_name)
    return [point for point in points for _ in range(state.repeats)]


def step(state: State, axis: Axis) -> float:
    """Between two neighbours of the grid, as a share of the whole range."""
    return state.width[axis.name] / (_count(state, axis) - 1)


def quadratic(units: Sequence[float], means: Sequence[float]) -> tuple[float, float, float]:
    """(a, b, c) of the least-squares a + b·u + c·u²; a line through two values, a constant at one. NaN are left out."""
    u, m = np.array(units, dtype=np.float64), np.array(means, dtype=np.float64)
    known = np.isfinite(m)
    if not known.any():
        return 0.0, 0.0, 0.0
    degree = min(2, len(set(u[known].tolist())) - 1)
    middle = u[known].mean()  # centred: windows are narrow, and u² close to u there
    coefficients = np.zeros(3)
    powers = np.vander(u[known] - middle, degree + 1, increasing=True)
    coefficients[: degree + 1] = np.linalg.lstsq(powers, m[known], rcond=None)[0]
    a, b, c = coefficients.tolist()
    return a - b * middle + c * middle**2, b - 2 * c * middle, c


@functools.lru_cache(maxsize=10_000)  # a search replays its rounds each time it asks
def minimum_of_sum(
    quadratics: tuple[tuple[float, float, float], ...], bounds: tuple[tuple[float, float], ...]
) -> tuple[float, ...]:
    """Where Σ a_i + b_i·u_i + c_i·u_i² is least within the bounds, one coordinate each.

    The sum is separable, so the start is the best of each axis's two ends and middle: a parabola that opens downwards
    then ends at its lower end.
    """
    from scipy import optimize

    a, b, c = np.array(quadratics, dtype=np.float64).T
    low, high = np.array(bounds, dtype=np.float64).T
    scale = max(float(np.abs(b * (high - low)).max()), float(np.abs(c * (high - low) ** 2).max()), 1e-300)
    a, b, c = a / scale, b / scale, c / scale  # the optimiser's tolerances are absolute
    starts = np.stack([low, (low + high) / 2, high])  # [3, D]
    best = np.argmin(b * starts + c * starts**2, axis=0)
    found = optimize.minimize(
        lambda u: float(np.sum(a + b * u + c * u**2)),
        starts[best, np.arange(len(a))],
        jac=lambda u: b + 2 * c * u,
        bounds=list(zip(low, high, strict=True)),
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    return tuple(np.clip(found.x, low, high).tolist())


# -- the end of a round


def _closed(state: State) -> State:
    group = [axis for axis in state.axes if axis.name in state.groups[state.turn]]
    fits = {axis.name: _fit(state, axis) for axis in group}
    centre, choices = dict(state.centre), dict(state.choices)
    numbers = [axis for axis in group if axis.choices is None]
    if numbers and any(outcome is not None for _, outcome in state.told):
        quadratics = tuple(fits[axis.name].coefficients or (0.0, 0.0, 0.0) for axis in numbers)
        found = minimum_of_sum(quadratics, tuple(_window(state, axis) for axis in numbers))
        centre |= {axis.name: u for axis, u in zip(numbers, found, strict=True)}
    for axis in group:
        if axis.choices is not None:
            fit = fits[axis.name]
            order = sorted(range(len(fit.values)), key=lambda i: math.inf if math.isnan(fit.means[i]) else fit.means[i])
            centre[axis.name] = fit.values[order[0]]
            kept = sorted(order[: max(1, math.ceil(len(order) * state.shrink))] if len(order) > 1 else order)
            if len(kept) == len(order) > 1:  # a half of two may round up to both
                kept = sorted(order[:-1])
            choices[axis.name] = tuple(fit.values[i] for i in kept)
    width = {name: old * state.shrink if name in state.groups[state.turn] else old for name, old in state.width.items()}
    closed = state._replace(centre=centre, width=width, choices=choices, told=())
    failed = sum(outcome is None for _, outcome in state.told)
    one = Round(tuple(axis.name for axis in group), fits, _point(closed), failed)
    closed = closed._replace(rounds=(*state.rounds, one))
    waiting = [i for i in range(len(state.groups)) if not _fine(closed, i)]
    if not waiting:
        return closed._replace(done=True)
    after = [i for i in waiting if i > state.turn]
    return closed._replace(turn=(after or waiting)[0])


def _fit(state: State, axis: Axis) -> Fit:
    values = _values(state, axis)
    means = []
    for value in values:
        outcomes = [y for point, y in state.told if point[axis.name] == value and y is not None]
        means.append(float(np.mean(outcomes)) if outcomes else math.nan)
    units = [axis.unit(value) for value in values]
    coefficients = quadratic(units, means) if axis.choices is None else None
    return Fit(tuple(values), tuple(means), coefficients)


def _fine(state: State, group: int) -> bool:
    """Whether each step of a group has been taken under its threshold: the width is already the next round's."""
    for axis in state.axes:
        if axis.name in state.groups[group]:
            if axis.choices is not None:
                if len(state.choices[axis.name]) > 1:
                    return False
            else:
                threshold = state.threshold if axis.threshold is None else axis.threshold
                if step(state, axis) >= threshold and len(_values(state, axis)) > 1:
                    return False
    return True


def _count(state: State, axis: Axis) -> int:
    return state.points if axis.points is None else axis.points


def _window(state: State, axis: Axis) -> tuple[float, float]:
    """The current range around its centre, moved into [0, 1] where it would stick out."""
    half = state.width[axis.name] / 2
    middle = min(max(state.centre[axis.name], half), 1 - half)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _values(state: State, axis: Axis) -> list[Any]:
    if axis.choices is not None:
        return list(state.choices[axis.name])
    return axis.grid(_count(state, axis), *_window(state, axis))


def _still(state: State, axis: Axis) -> Any:
    """The value of an axis that another group's round leaves alone."""
    return state.centre[axis.name] if axis.choices is not None else axis.value(state.centre[axis.name])


def _point(state: State) -> dict[str, Any]:
    return {axis.name: _still(state, axis) for axis in state.axes}
