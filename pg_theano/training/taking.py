"""What a new run takes over of another: each array that fits by name and shape; normalisers and optimisers whole."""

from typing import NamedTuple

import numpy as np

from pg_theano import parameters
from pg_theano.runs.starting import NORMALIZERS, OPTIMIZERS, Start
from pg_theano.spec import Spec
from pg_theano.types import RETURN_SO_FAR, Array, State, UserError

MEAN = "search/mean"
"""Of State: where a search of parameters stands, which is `params` in the search's own precision."""


class Taken(NamedTuple):
    """Arrays with their shapes, in words: taken, of the other run but left there, and new."""

    taken: list[str]
    left: list[str]
    new: list[str]

    def lines(self) -> list[str]:
        named = (("taken", self.taken), ("left", self.left), ("newly drawn", self.new))
        return [f"{word}: {', '.join(arrays)}" for word, arrays in named if arrays]


def over(fresh: State, spec: Spec, start: Start) -> tuple[State, Taken]:
    """The State of a new run, with what fits of another's. Errors: `UserError` where nothing of its policy fits.

    An optimiser is taken where all parameters have the names and shapes that they have there.
    """
    state, found = dict(fresh), Taken([], [], [])
    state["params"] = params = _parameters(np.array(fresh["params"]), spec, start, found)
    if MEAN in state:
        state[MEAN] = params.astype(np.asarray(fresh[MEAN]).dtype)
    same = _layout(spec) == _layout(start.spec)
    for prefix in (*NORMALIZERS, *OPTIMIZERS):
        ours, theirs = _part(fresh, prefix), _part(start.state, prefix)
        if ours and (same or prefix in NORMALIZERS) and _shapes(ours) == _shapes(theirs):
            state |= {name: _as(theirs[name], one.dtype, name, start) for name, one in ours.items()}
            found.taken.extend(map(_shown, ours, ours.values()))
        else:
            found.left.extend(map(_shown, theirs, theirs.values()))
            found.new.extend(_shown(name, one) for name, one in ours.items() if name != MEAN)
    return state, found


def _part(state: State, prefix: str) -> State:
    """An optimiser's entries, or a normaliser's; the returns so far are of episodes that are over."""
    named = {name: np.asarray(one) for name, one in state.items() if name.startswith(prefix)}
    return {name: one for name, one in named.items() if name != RETURN_SO_FAR}


def _layout(spec: Spec) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(shape)) for name, shape, *_ in spec.acting.layout]


def _parameters(params: Array, spec: Spec, start: Start, found: Taken) -> Array:
    """The parameters [D] with those that fit in their places."""
    ours = parameters.views(params, spec.acting.layout)
    theirs = parameters.views(start.state["params"], start.spec.acting.layout)
    fits = {name for name in ours if name in theirs and ours[name].shape == theirs[name].shape}
    if all(map(parameters.is_value, fits)):
        raise UserError.at(
            start.where,
            f"none of its policy's arrays fits: it has {_all(theirs)}",
            f"some of {_all(ours)}",
            "its own policy.hidden, and a task whose observations have as many numbers",
        )
    for name, array in ours.items():
        if name in fits:
            array[...] = _as(theirs[name], params.dtype, name, start)
            found.taken.append(_shown(name, array))
        else:
            there = f" (there {list(theirs[name].shape)})" if name in theirs else ""
            found.new.append(_shown(name, array) + there)
    found.left.extend(_shown(name, array) for name, array in theirs.items() if name not in ours)
    return params


def _shapes(arrays: State) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(array) for name, array in arrays.items()}


def _as(array: Array, dtype: np.dtype, name: str, start: Start) -> Array:
    """An array in the new run's precision. Errors: `UserError` for what is no finite number there."""
    with np.errstate(over="ignore"):
        found = array.astype(dtype) if array.dtype.kind == "f" else np.full(array.shape, np.nan)
    if not np.isfinite(found).all():
        raise UserError.at(
            start.where, f"{name}: not all of it is finite", f"finite numbers of {dtype}", "another checkpoint"
        )
    return found


def _shown(name: str, array: Array) -> str:
    return f"{name} {list(np.shape(array))}"


def _all(arrays: State) -> str:
    return ", ".join(map(_shown, arrays, arrays.values()))
