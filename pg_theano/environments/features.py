"""Names of the numbers that an observation becomes: known ones, those of a Dict's keys, or their places."""

import math
from collections.abc import Mapping
from typing import Any

from pg_theano.environments.rows import MOST_NUMBERS
from pg_theano.environments.spaces import parts_of, size_of, whole_of

NAMES = {
    "CartPole": ("cart position", "cart velocity", "pole angle", "pole angular velocity"),
    "Pendulum": ("cos θ", "sin θ", "angular velocity"),
    "MountainCar": ("position", "velocity"),
    "Acrobot": ("cos θ₁", "sin θ₁", "cos θ₂", "sin θ₂", "angular velocity 1", "angular velocity 2"),
    "LunarLander": ("x", "y", "velocity x", "velocity y", "angle", "angular velocity", "left leg", "right leg"),
}


def bare(id: str) -> str:
    """An environment's id without its module and namespace."""
    return id.rpartition(":")[2].rpartition("/")[2]


def names_of(id: str, size: int, described: Mapping[str, Any] | None) -> list[str]:
    """A name for each of the `size` numbers of a row; `described` is the observation space as a run records it."""
    if described and "observe" in described and len(described["observe"]) == size:
        whole = whole_of(described)
        if size_of(whole) <= MOST_NUMBERS:
            names = names_of(id, size_of(whole), whole)
            return [names[place] for place in described["observe"]]
    known = next((names for key, names in NAMES.items() if bare(id).startswith(key) and len(names) == size), None)
    if known:
        return list(known)
    if described and size_of(described) == size:  # looked at first: a stranger's file may claim any size
        return _named(described, "")
    return [f"observation {i}" for i in range(size)]


def _named(data: Mapping[str, Any], name: str) -> list[str]:
    """In the order of a row (see `rows.rows_of`). A part of a part is `above.below`."""
    own = name or "observation"
    match data["kind"]:
        case "Dict":
            return [one for key, part in parts_of(data) for one in _named(part, f"{name}.{key}" if name else str(key))]
        case "Tuple":
            return [one for i, part in parts_of(data) for one in _named(part, f"{own} part {i}")]
        case "OneOf":
            width = max(len(_named(part, name)) for _, part in parts_of(data))
            return [f"{own}: which", *[f"{own}: number {i}" for i in range(width)]]
        case "Discrete":
            return [f"{own} = {data['start'] + i}" for i in range(data["n"])]
        case "MultiDiscrete":
            pairs = zip(_flat(data["nvec"]), _flat(data["start"]), strict=True)
            return [f"{own} {c} = {start + i}" for c, (n, start) in enumerate(pairs) for i in range(n)]
        case "Text":
            return [f"{own}: character {i}" for i in range(data["max_length"])]
    size = math.prod(data["shape"])
    return [own] if size == 1 and name else [f"{own} {i}" for i in range(size)]


def _flat(values: Any) -> list[int]:
    """Whole numbers of a list of any depth."""
    return [one for value in values for one in _flat(value)] if isinstance(values, list) else [int(values)]
