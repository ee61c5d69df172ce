"""Spaces of Gymnasium as plain data, and what a policy's actions become.

    described = spaces_of(env.observation_space, env.action_space, id)       # recorded with a run, once
    given = action_of(from_data(described["action"]), id).given              # a policy's actions to an environment's

How rows are made of observations: `rows.py`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from pg_theano.environments.sound import surely_finite
from pg_theano.types import ONLY_NUMBERS, ActionSpace, Array, UserError, each_row

_KINDS: Any = gymnasium.spaces


def spaces_of(observation: Any, action: Any, id: str, observe: Sequence[int | str] | None = None) -> dict[str, Any]:
    """What a policy must know of an environment's spaces when it is used without the environment, as plain data.

    With `observe` the observation has an entry of that name: the places in its row that are seen. Errors: `UserError`
    for an observation space that no row of numbers can be made of, and for a place that its row has not.
    """
    found = observed(observation, id)
    seen = {} if observe is None else {"observe": places_of(observe, found, id)}
    return {"observation": found | seen, "action": as_data(action)}


def places_of(observe: Sequence[int | str], data: Mapping[str, Any], id: str) -> list[int]:
    """The places in a row of what `observe` names: places, and keys of a Dict, of which all numbers are seen.

    Errors: `UserError` for a place or a key that there is not, and for one that is named twice.
    """
    size, start, of_key = size_of(data), 0, {}
    found: list[int] = []
    for key, part in parts_of(data):
        of_key[str(key)] = range(start, start := start + size_of(part))
    for one in observe:
        places = of_key.get(one, ()) if isinstance(one, str) else range(one, one + 1)
        if not places or places[-1] >= size:
            keys = f", or a key of it: {', '.join(of_key)}" if data["kind"] == "Dict" else ""
            wanted = f"places from 0 to {size - 1}: an observation of {id} is a row of {size:,} numbers{keys}"
            raise UserError.of("environment.observe", f"got {one!r:.60}", wanted)
        found += places
    if len({*found}) < len(found):
        raise UserError.of("environment.observe", f"got place {max(found, key=found.count)} twice", "each once")
    return found


def whole_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same observation with all of its features seen."""
    return {name: entry for name, entry in data.items() if name != "observe"}


def size_of(data: Mapping[str, Any]) -> int:
    """How many numbers a row has. Nothing is allocated."""
    if "observe" in data:
        return len(data["observe"])
    match data["kind"]:
        case "Dict" | "Tuple":
            return sum(size_of(part) for _, part in parts_of(data))
        case "OneOf":
            return 1 + max(size_of(part) for _, part in parts_of(data))
        case "Text":
            return int(data["max_length"])
        case "Discrete" | "MultiDiscrete":
            return sum(choices_of(data))
    return math.prod(data["shape"])


def choices_of(data: Mapping[str, Any]) -> list[int]:
    """How many there are, of each component."""
    return [int(n) for n in np.ravel(data["n" if data["kind"] == "Discrete" else "nvec"])]


def observed(space: Any, id: str, part: str = "") -> dict[str, Any]:
    """An observation space as plain data, all that is needed to make a row of numbers of an observation.

    The parts of a Dict are in its own order, which is that of the row. Errors: `UserError` that names the part.
    """
    kinds = _KINDS
    if isinstance(space, kinds.Dict) and space.spaces:
        each = [observed(one, id, f"{part}[{key!r}]") for key, one in space.spaces.items()]
        return {"kind": "Dict", "keys": [_plain(key, id) for key in space.spaces], "spaces": each}
    if isinstance(space, kinds.Tuple | kinds.OneOf) and space.spaces:
        kind = "Tuple" if isinstance(space, kinds.Tuple) else "OneOf"
        return {"kind": kind, "spaces": [observed(one, id, f"{part}[{i}]") for i, one in enumerate(space.spaces)]}
    if isinstance(space, kinds.Text):
        sizes = {"min_length": space.min_length, "max_length": space.max_length}
        return {"kind": "Text", "characters": "".join(space.character_list)} | sizes
    if isinstance(space, kinds.Box) and space.dtype.kind in "fiub":  # its bounds do not count; a picture's are long
        return {"kind": "Box", "dtype": space.dtype.str, "shape": list(space.shape)}
    if isinstance(space, kinds.Discrete | kinds.MultiDiscrete | kinds.MultiBinary):
        return as_data(space)
    got = f"its observation space {space} is not supported"
    if part:
        got = f"its observation{part} is of {type(space).__name__}, which is not supported"
    expected = "Box, Discrete, MultiDiscrete, MultiBinary, Text, OneOf, or a Dict or Tuple of these"
    advice = "a wrapper in environment.wrappers that makes it one"
    if part:
        advice = f"environment.wrappers=[{ONLY_NUMBERS}], which leaves out what is none of them"
    raise UserError.at(id, got, expected, advice)


def _plain(key: Any, id: str) -> Any:
    """A key of a Dict as JSON keeps it: a tuple is a list there."""
    if isinstance(key, tuple):
        return [_plain(one, id) for one in key]
    key = key.item() if isinstance(key, np.generic) else key
    if key is None or isinstance(key, str | int) or (isinstance(key, float) and math.isfinite(key)):
        return key
    got, advice = f"a key of its observation space is {key!r:.60}", "a wrapper in environment.wrappers that names it so"
    raise UserError.at(id, got, "text, a number, or a tuple of them", advice)


def parts_of(data: Mapping[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """(key, part) of a space that has parts, in the order of a row."""
    parts = data.get("spaces", ())
    if isinstance(parts, dict):  # as versions before 0.3 recorded a Dict, in its own order too
        return list(parts.items())
    return list(zip([_key(key) for key in data.get("keys", range(len(parts)))], parts, strict=True))


def _key(plain: Any) -> Any:
    return tuple(_key(one) for one in plain) if isinstance(plain, list) else plain


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
        return kinds.Dict([(key, from_data(part)) for key, part in parts_of(data)])
    if kind in ("Tuple", "OneOf"):
        return getattr(kinds, kind)([from_data(part) for _, part in parts_of(data)])
    if kind == "Text":
        return kinds.Text(data["max_length"], min_length=data["min_length"], charset=data["characters"])
    dtype, shape = np.dtype(data["dtype"]), data["shape"]
    if kind == "Discrete":
        return kinds.Discrete(data["n"], start=data["start"], dtype=dtype.type)
    if kind == "MultiDiscrete":
        return kinds.MultiDiscrete(np.array(data["nvec"]), start=np.array(data["start"]), dtype=dtype.type)
    if kind == "MultiBinary":
        return kinds.MultiBinary(shape)
    if "low" not in data:
        low, high = {"b": (0, 1), "f": (-np.inf, np.inf)}.get(dtype.kind) or _whole(dtype)
        return kinds.Box(low, high, shape, dtype.type)
    return kinds.Box(np.array(data["low"], dtype), np.array(data["high"], dtype), dtype=dtype.type)


def _whole(dtype: Any) -> tuple[int, int]:
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def check_same(got: Mapping[str, Any], expected: Mapping[str, Any], id: str) -> None:
    """Errors: `UserError` that names both, where an environment's spaces are not those of a policy.

    Of observations neither bounds nor the size of their numbers count; actions are put into the bounds of theirs.
    """
    if all(_comparable(got[part], part) == _comparable(expected[part], part) for part in ("observation", "action")):
        return
    theirs, ours = (
        f"observations {from_data(one['observation'])!s:.200} and actions {from_data(one['action'])!s:.200}"
        for one in (got, expected)
    )
    advice = "a task with these spaces, or a new run that takes over what fits: --from RUN"
    raise UserError.at(id, f"got {theirs}", f"{ours}, as the policy was trained with", advice)


def _comparable(data: Mapping[str, Any], part: str) -> Any:
    """What must be equal of a space, in plain data of this version's form."""
    if "spaces" in data:
        parts = [(key, _comparable(one, part)) for key, one in parts_of(data)]
        return data["kind"], parts, data.get("observe")
    left_out = {"dtype", "low", "high"} if part == "observation" else {"dtype"}
    kind = np.dtype(data["dtype"]).kind if "dtype" in data else None
    return kind, {name: value for name, value in data.items() if name not in left_out}


# -- actions


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
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        starts, own_shape = space.start, space.shape
        plain = ActionSpace("multi_discrete", space.nvec.size, space.nvec.ravel().tolist(), [], [])
        return Action(
            plain, lambda action: np.add(action.reshape(-1, *own_shape), starts, dtype=space.dtype, casting="unsafe")
        )
    if isinstance(space, gymnasium.spaces.MultiBinary):
        size, shape = math.prod(space.shape), space.shape
        plain = ActionSpace("multi_binary", size, [2] * size, [], [])
        return Action(plain, lambda action: np.array(action, space.dtype).reshape(len(action), *shape))
    if isinstance(space, gymnasium.spaces.Box) and space.dtype.kind in "fiub" and 0 not in space.shape:
        return _box_action(space, id, squash)
    raise UserError.at(
        id,
        f"its action space {space} is not supported",
        "Discrete, Box, MultiDiscrete or MultiBinary",
        "a wrapper in environment.wrappers that makes it one",
    )


def _box_action(space: gymnasium.spaces.Box, id: str, squash: bool) -> Action:
    low, high = (bound.reshape(-1).astype(np.float64) for bound in (space.low, space.high))
    half, whole = (high - low) / 2, space.dtype.kind in "iub"
    narrow, bounds = space.dtype == np.float32 and not squash, (low, high)

    def given(action: Array) -> Array:
        nonlocal bounds
        if narrow and action.dtype == np.float32:  # which holds these bounds exactly: the same numbers, sooner
            if bounds[0].shape != action.shape or bounds[0].dtype != action.dtype:
                narrowed = (bound.astype(np.float32) for bound in (low, high))
                bounds = each_row(next(narrowed), action.shape), each_row(next(narrowed), action.shape)
            inside = np.maximum(action, bounds[0])
            inside = np.minimum(inside, bounds[1], out=inside)
            if surely_finite(inside):
                return inside.reshape(len(inside), *space.shape)
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
