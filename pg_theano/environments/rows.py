"""Rows of numbers of the observations of any space, as it is recorded.

    size, convert = rows_of(described["observation"], dtype)       # a batch of observations to rows [N, F]

Whoever makes a row of an observation does it here and by what was recorded: training, `load`, an exported file.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from pg_theano.environments.spaces import choices_of, from_data, observed, parts_of, size_of, whole_of
from pg_theano.types import Array, Task, UserError

PARTS = ("Dict", "Tuple", "OneOf", "Text")
"""Kinds of observations that are no array, or several."""
MOST_NUMBERS = 10_000_000
"""In one observation, or one action."""


QUICKER_BY_TABLE = range(65, 1025)
"""Choices of which a table with a row for each is quicker than a comparison with all, and takes at most 8 MB."""


class Outside(ValueError):
    """An observation that is none of its space."""


class Observation(NamedTuple):
    size: int
    convert: Callable[[Any], Array]
    """A batch of N observations, as Gymnasium's vector environments give one, to rows [N, F]."""
    dtype: Any = None
    """Of the rows."""


def observation_of(space: Any, id: str, dtype: Any, seen: Sequence[int] | None = None) -> Observation:
    """How observations of a space become rows of F numbers, those at the places that are `seen`, or all.

    Errors: `UserError` where they cannot.
    """
    found = observed(space, id)
    size = size_of(found)
    if not 1 <= size <= MOST_NUMBERS:
        advice = "a wrapper in environment.wrappers that makes it so"
        raise UserError.at(id, f"an observation is {size:,} numbers", f"1 to {MOST_NUMBERS:,}", advice)
    return rows_of(found if seen is None else found | {"observe": seen}, dtype)


def has_parts(space: Any) -> bool:
    """Whether `Flat` must make a row of what it gives: it is no array, or several."""
    return isinstance(space, tuple(getattr(gymnasium.spaces, kind) for kind in PARTS))


def rows_of(data: dict[str, Any], dtype: Any) -> Observation:
    """How a batch of observations of a space that `observed` described becomes rows of F numbers.

    Box, MultiBinary        its numbers
    Discrete, MultiDiscrete a 1 at each choice, counted from its start
    Text                    for each character its place; after the last one, how many characters there are
    Dict, Tuple             their parts, in their own order
    OneOf                   which it is, then that one, filled up with its first number

    Of these, the places that `environment.observe` has named. Without a `dtype` numbers keep their own, and pixels do
    with one: see `dtype_of`. `convert` raises `Outside`, KeyError, TypeError or ValueError for what is none of the
    space.
    """
    if "observe" in data:
        whole, seen = rows_of(whole_of(data), dtype), np.array(data["observe"])
        return Observation(len(seen), lambda obs: whole.convert(obs).take(seen, axis=1), whole.dtype)
    makers = {"Dict": _joined, "Tuple": _joined, "OneOf": _one_of, "Text": _spelled}
    makers |= {"Discrete": _one_hot, "MultiDiscrete": _one_hot}
    dtype = dtype and dtype_of(data, dtype)
    return Observation(size_of(data), makers.get(data["kind"], _flat)(data, dtype), dtype)


def dtype_of(data: Mapping[str, Any] | None, dtype: Any) -> np.dtype:
    """Of rows of an observation: a box of bytes, as pixels are, stays bytes, a quarter of float32; all else `dtype`."""
    return np.dtype(np.uint8 if data and data["kind"] == "Box" and data["dtype"] == "|u1" else dtype)


def dtype_in(task: Task, dtype: Any) -> np.dtype:
    """Of the rows of a task; one that ends with a mask of actions is of `dtype`."""
    return np.dtype(dtype) if task.mask_size else dtype_of((task.spaces or {}).get("observation"), dtype)


def lifter(data: dict[str, Any]) -> Callable[[Any], Any]:
    """What makes a batch of one of an observation."""
    if data["kind"] == "Dict":
        parts = [(key, lifter(part)) for key, part in parts_of(data)]
        return lambda obs: {key: lift(obs[key]) for key, lift in parts}
    if data["kind"] == "Tuple":
        lifts = [lifter(part) for _, part in parts_of(data)]
        return lambda obs: [lift(one) for lift, one in zip(lifts, obs, strict=True)]
    return (lambda obs: [obs]) if data["kind"] in ("Text", "OneOf") else (lambda obs: np.asarray(obs)[None])


def is_alone(data: dict[str, Any], obs: Any) -> bool:
    """Whether it is one observation and no batch, by the first part."""
    if data["kind"] in ("Dict", "Tuple"):
        key, part = parts_of(data)[0]
        return is_alone(part, obs[key])
    if data["kind"] == "Text":
        return isinstance(obs, str)
    return np.ndim(obs[0]) == 0 if data["kind"] == "OneOf" else np.ndim(obs) == len(data["shape"])


def _flat(data: dict[str, Any], dtype: Any) -> Callable[[Any], Array]:
    shape, size = tuple(data["shape"]), math.prod(data["shape"])

    def flat(obs: Any) -> Array:
        obs = np.asarray(obs)
        if obs.shape[1:] != shape:
            raise Outside(f"shape {obs.shape[1:]} in place of {shape}")
        if obs.dtype.kind not in "fiub":
            raise Outside(f"{obs.dtype} in place of numbers")
        if dtype is None:
            return obs.reshape(len(obs), size)
        if obs.dtype == dtype:  # the common case, copied: who stepped may write over what it returned
            return obs.reshape(len(obs), size).copy()
        if dtype == np.uint8 and not _bytes(obs):
            raise Outside("numbers that are no whole ones from 0 to 255, as its space of uint8 has")
        with np.errstate(over="ignore"):  # an infinity is reported where it is known whose it is
            return np.array(obs, dtype).reshape(len(obs), size)

    return flat


def within(space: Any, obs: Array) -> bool:
    """Whether an array can be an observation of a box: numbers, of any size but where the box is of bytes."""
    return obs.dtype.kind in "fiub" and (space.dtype != np.uint8 or _bytes(obs))


@np.errstate(invalid="ignore")
def _bytes(obs: Array) -> bool:
    return obs.dtype == np.uint8 or np.array_equal(obs.astype(np.uint8), obs)


def _one_hot(data: dict[str, Any], dtype: Any) -> Callable[[Any], Array]:
    sizes, starts, shape = choices_of(data), np.ravel(data["start"]).tolist(), tuple(data["shape"])
    column = np.repeat(np.arange(len(sizes)), sizes)  # [F] the component that each number of a row belongs to
    choice = np.concatenate([np.arange(start, start + n) for n, start in zip(sizes, starts, strict=True)])  # [F]
    table = np.eye(sizes[0], dtype=dtype or bool) if len(sizes) == 1 and sizes[0] in QUICKER_BY_TABLE else None

    def one_hot(obs: Any) -> Array:
        obs = np.asarray(obs)
        if obs.shape[1:] != shape:
            raise Outside(f"shape {obs.shape[1:]} in place of {shape}")
        chosen = obs.reshape(len(obs), len(sizes))
        if table is not None:
            place = np.subtract(chosen[:, 0], starts[0], dtype=np.int64)
            if np.minimum.reduce(place) >= 0 and np.maximum.reduce(place) < len(table):
                return table[place]
        rows = (chosen if len(sizes) == 1 else chosen[:, column]) == choice  # [N, F]
        if np.count_nonzero(rows) != chosen.size:
            raise Outside(f"{obs.tolist()!r:.60} is outside of {from_data(data)}")
        return rows if dtype is None else rows.astype(dtype)

    return one_hot


def _spelled(data: dict[str, Any], dtype: Any) -> Callable[[Any], Array]:
    places, length = {one: place for place, one in enumerate(data["characters"])}, data["max_length"]

    def spelled(obs: Any) -> Array:
        rows = np.full((len(obs), length), len(places), dtype)
        for row, text in zip(rows, obs, strict=True):
            if not (isinstance(text, str) and len(text) <= length and places.keys() >= set(text)):
                raise Outside(f"{text!r:.60} is outside of {from_data(data)}")
            row[: len(text)] = [places[one] for one in text]
        return rows

    return spelled


def _joined(data: dict[str, Any], dtype: Any) -> Callable[[Any], Array]:
    parts = [(key, rows_of(part, None).convert) for key, part in parts_of(data)]
    exactly = data["kind"] == "Tuple"

    def joined(obs: Any) -> Array:
        if exactly and len(obs) != len(parts):
            raise Outside(f"{len(obs)} parts in place of {len(parts)}")
        return np.concatenate([convert(obs[key]) for key, convert in parts], axis=1, dtype=dtype, casting="unsafe")

    return joined


def _one_of(data: dict[str, Any], dtype: Any) -> Callable[[Any], Array]:
    kinds = [(lifter(part), rows_of(part, dtype).convert) for _, part in parts_of(data)]
    width = size_of(data)

    def one_of(obs: Any) -> Array:
        rows = np.empty((len(obs), width), dtype)
        for row, (which, one) in zip(rows, obs, strict=True):
            if not 0 <= which < len(kinds):
                raise Outside(f"kind {which!r:.20} of {len(kinds)}")
            lift, convert = kinds[which]
            flat = convert(lift(one))[0]
            row[0], row[1:] = which, flat[0] if len(flat) else 0
            row[1 : 1 + len(flat)] = flat
        return rows

    return one_of


class Flat(gymnasium.ObservationWrapper):
    """An environment whose observations of several parts are given as one row of numbers."""

    def __init__(self, env: gymnasium.Env, id: str):
        super().__init__(env)
        self.described = observed(env.observation_space, id)
        self._lift = lifter(self.described)
        dtype = np.result_type(np.float32, *_dtypes(self.described))  # one that holds them all
        size, self._convert, _ = observation_of(env.observation_space, id, dtype)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), dtype.type)

    def observation(self, observation: Any) -> Array:
        try:
            return self._convert(self._lift(observation))[0]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            got = f"the observation is {observation!r:.60} ({error}); its space is {self.env.observation_space}"
            raise Outside(f"{got}; expected one of it; try another space") from None


def _dtypes(data: Mapping[str, Any]) -> list[str]:
    """Of its boxes: all else is small whole numbers."""
    inner = [dtype for _, part in parts_of(data) for dtype in _dtypes(part)]
    return [data["dtype"]] if data["kind"] == "Box" else inner


class OnlyNumbers(gymnasium.ObservationWrapper):
    """Leaves out the parts of an observation that no row of numbers can be made of, such as a space of a package's own.

    Errors: `UserError` where nothing is left.
    """

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.observation_space = _numbers_of(env.observation_space)
        if self.observation_space is None:
            observed(env.observation_space, type(env.unwrapped).__name__)  # which says why

    def observation(self, observation: Any) -> Any:
        return _picked(self.observation_space, observation)


def _numbers_of(space: Any) -> Any:
    """The same space without what is not supported; None where nothing is left. Of a Tuple, all or nothing."""
    if isinstance(space, gymnasium.spaces.Dict):
        each = [(key, _numbers_of(part)) for key, part in space.spaces.items()]
        left = [(key, part) for key, part in each if part is not None]
        return gymnasium.spaces.Dict(left) if left else None
    try:
        observed(space, "")
    except UserError:
        return None
    return space


def _picked(space: Any, obs: Any) -> Any:
    if not isinstance(space, gymnasium.spaces.Dict):
        return obs
    return {key: _picked(part, obs[key]) for key, part in space.spaces.items()}
