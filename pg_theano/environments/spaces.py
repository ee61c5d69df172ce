"""Spaces of Gymnasium as plain data, and what goes between them and a policy: rows of numbers."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from pg_theano.types import ActionSpace, Array, UserError

COMPOSITE = (gymnasium.spaces.Dict, gymnasium.spaces.Tuple)
"""Observation spaces of several parts, which Gymnasium's own wrapper makes one row of."""

_KINDS: Any = gymnasium.spaces


def spaces_of(observation: Any, action: Any) -> dict[str, Any]:
    """What a policy must know of an environment's spaces when it is used without the environment, as plain data."""
    return {"observation": observed(observation), "action": as_data(action)}


def observed(space: Any) -> dict[str, Any]:
    """An observation space as plain data, all that is needed to make a row of numbers of an observation."""
    if isinstance(space, gymnasium.spaces.Dict):
        return {"kind": "Dict", "spaces": {name: observed(part) for name, part in space.spaces.items()}}
    if isinstance(space, gymnasium.spaces.Tuple):
        return {"kind": "Tuple", "spaces": [observed(part) for part in space.spaces]}
    if isinstance(space, gymnasium.spaces.Box):  # its bounds do not count, and those of a picture are long
        return {"kind": "Box", "dtype": space.dtype.str, "shape": list(space.shape)}
    known = (gymnasium.spaces.Discrete, gymnasium.spaces.MultiDiscrete, gymnasium.spaces.MultiBinary)
    return as_data(space) if isinstance(space, known) else {"kind": type(space).__name__}


def as_data(space: Any) -> dict[str, Any]:
    """An action space as plain data, all that an action must be made of."""
    described: dict[str, Any] = {"dtype": space.dtype.str, "shape": list(space.shape)}
    if isinstance(space, gymnasium.spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)} | described
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return {"kind": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()} | described
    if isinstance(space, gymnasium.spaces.MultiBinary):
        return {"kind": "MultiBinary"} | described
    return {"kind": "Box", "low": space.low.tolist(), "high": space.high.tolist()} | described


def from_data(data: dict[str, Any]) -> Any:
    """The space that `as_data` or `observed` described."""
    kind, kinds = data["kind"], _KINDS
    if kind == "Dict":
        return kinds.Dict({name: from_data(part) for name, part in data["spaces"].items()})
    if kind == "Tuple":
        return kinds.Tuple([from_data(part) for part in data["spaces"]])
    dtype, shape = np.dtype(data["dtype"]), data["shape"]
    if kind == "Discrete":
        return kinds.Discrete(data["n"], start=data["start"], dtype=dtype.type)
    if kind == "MultiDiscrete":
        return kinds.MultiDiscrete(np.array(data["nvec"]), start=np.array(data["start"]), dtype=dtype.type)
    if kind == "MultiBinary":
        return kinds.MultiBinary(shape)
    if "low" not in data:
        whole = np.iinfo(dtype.type) if dtype.kind in "iu" else None
        low, high = (whole.min, whole.max) if whole else (-np.inf, np.inf)
        return kinds.Box(low, high, shape, dtype.type)
    return kinds.Box(np.array(data["low"], dtype), np.array(data["high"], dtype), dtype=dtype.type)


class Observation(NamedTuple):
    size: int
    convert: Callable[[Any], Array]


def observation_of(space: Any, id: str, dtype: str) -> Observation:
    """How observations of a space become rows of F numbers."""
    if isinstance(space, gymnasium.spaces.Box):
        size, kind = math.prod(space.shape), np.dtype(dtype)

        def flat(obs: Any) -> Array:
            if obs.dtype == kind:  # the common case, copied: who stepped may write over what it returned
                return obs.reshape(len(obs), size).copy()
            with np.errstate(over="ignore"):  # an infinity is reported where it is known whose it is
                return np.array(obs, dtype).reshape(len(obs), size)

        return Observation(size, flat)
    if isinstance(space, gymnasium.spaces.MultiBinary):
        bits = math.prod(space.shape)
        return Observation(bits, lambda obs: np.array(obs, dtype).reshape(len(obs), bits))
    if isinstance(space, gymnasium.spaces.Discrete):
        table = np.eye(int(space.n), dtype=dtype)
        return Observation(int(space.n), lambda obs: table[np.asarray(obs) - space.start])
    if isinstance(space, gymnasium.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        tables = [np.eye(int(n), dtype=dtype) for n in space.nvec]

        def convert(obs: Any) -> Array:
            columns = np.asarray(obs) - space.start
            return np.concatenate([table[columns[:, i]] for i, table in enumerate(tables)], axis=1)

        return Observation(int(space.nvec.sum()), convert)
    raise UserError.at(
        id,
        f"its observation space {space} is not supported",
        "Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple that Gymnasium can flatten",
        "a wrapper in environment.wrappers that makes it one",
    )


class Action(NamedTuple):
    space: ActionSpace
    given: Callable[[Array], Array]
    """Actions as a policy chooses them, [N] or [N, C], to what N environments take: always an array of its own."""


def action_of(space: Any, id: str, squash: bool = False) -> Action:
    """How a policy's actions become those of a space, in the space's own dtype and shape.

    discrete, multi-discrete   a + start
    box                        min(max(a, low), high), or low + (high − low)·(tanh a + 1)/2 where squashed
    """
    if squash and not (isinstance(space, gymnasium.spaces.Box) and space.is_bounded()):
        raise UserError.of(
            "policy.squash",
            f"got true, and {id} has the action space {space}; expected a Box with finite bounds; try false",
        )
    if isinstance(space, gymnasium.spaces.Discrete):
        start = int(space.start)
        plain = ActionSpace("discrete", 1, [int(space.n)], [], [])
        return Action(plain, lambda action: np.add(action, start, dtype=space.dtype, casting="unsafe"))
    if isinstance(space, gymnasium.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        starts = space.start
        plain = ActionSpace("multi_discrete", len(space.nvec), space.nvec.tolist(), [], [])
        return Action(plain, lambda action: np.add(action, starts, dtype=space.dtype, casting="unsafe"))
    if isinstance(space, gymnasium.spaces.MultiBinary):
        size, shape = math.prod(space.shape), space.shape
        plain = ActionSpace("multi_binary", size, [2] * size, [], [])
        return Action(plain, lambda action: np.array(action, space.dtype).reshape(len(action), *shape))
    if isinstance(space, gymnasium.spaces.Box):
        return _box_action(space, id, squash)
    raise UserError.at(
        id,
        f"its action space {space} is not supported",
        "Discrete, Box, MultiDiscrete of one dimension or MultiBinary",
        "a wrapper in environment.wrappers that makes it one",
    )


def _box_action(space: gymnasium.spaces.Box, id: str, squash: bool) -> Action:
    low, high = (bound.reshape(-1).astype(np.float64) for bound in (space.low, space.high))
    half, whole = (high - low) / 2, space.dtype.kind in "iu"

    def given(action: Array) -> Array:
        # Rounding may carry what was squashed past a bound; clipping it as well costs nothing that counts.
        inside = np.minimum(np.maximum(low + half * (np.tanh(action) + 1) if squash else action, low), high)
        # An infinity is clipped like any number; what is left is not a number, or has no bound to stop it.
        if not math.isfinite(np.add.reduce(inside, axis=None)) and not np.isfinite(inside).all():
            index = int(np.flatnonzero(~np.isfinite(inside).all(axis=1))[0])
            raise UserError(
                f"{id}, environment {index}: the policy's action is {np.asarray(action)[index].tolist()}; expected "
                "a finite one; try a lower schedules.learning_rate"
            )
        return (np.rint(inside) if whole else inside).astype(space.dtype).reshape(len(inside), *space.shape)

    return Action(ActionSpace("box", len(low), [], low.tolist(), high.tolist()), given)
