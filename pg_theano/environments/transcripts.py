"""What an environment told in playing, bit for bit, and where two tellings of the same seeds and actions differ."""

import numbers
import random
from typing import Any, NamedTuple

import numpy as np

NEARLY = 0.05
"""So far a number may be off, beside the largest, in a step that counts as nearly the same."""


class Told(NamedTuple):
    """What a reset or a step gave, to be compared."""

    bits: bytes  # observation, reward, flags
    info: bytes
    step: int
    seed: int
    obs: Any  # the numbers themselves, where it is an array


def packed(value: Any) -> bytes:
    """A value's own bits, whatever it is made of; of an object that has none, its type."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"{value.dtype.str}{value.shape}".encode() + np.asarray(value).tobytes()  # masked ones raise
    if isinstance(value, np.generic):
        return value.dtype.str.encode() + value.tobytes()
    if isinstance(value, dict):
        return b"{" + b",".join(repr(key).encode() + b":" + packed(inner) for key, inner in value.items()) + b"}"
    if isinstance(value, (list, tuple)):
        return b"[" + b",".join(map(packed, value)) + b"]"
    if isinstance(value, (str, bytes, numbers.Number, type(None))):
        return repr(value).encode()
    return type(value).__name__.encode()


def first_difference(story: list[Told], other: list[Told], what: str) -> Told | None:
    return next((one for one, two in zip(story, other, strict=False) if getattr(one, what) != getattr(two, what)), None)


def nearly(story: list[Told], other: list[Told], at: Told) -> float:
    """How far a step was off that is all but the same; 0 where it is another one, or the first of its episode."""
    index = next(index for index, one in enumerate(story) if one is at)
    one, two = story[index].obs, other[index].obs
    if not at.step or one is None or two is None or one.shape != two.shape:
        return 0.0
    off = float(np.max(np.abs(one - two), initial=0.0))
    return off if off <= NEARLY * (1 + float(np.max(np.abs(one), initial=0.0))) else 0.0


def numbers_of(obs: Any) -> Any:
    return obs.astype(np.float64) if isinstance(obs, np.ndarray) and obs.dtype.kind == "f" else None


def global_randomness() -> tuple[Any, ...]:
    """Where the global generators stand."""
    state: Any = np.random.get_state()  # noqa: NPY002  it is what is looked for
    return state[1].tobytes(), state[2:], random.getstate()


def attributes_of(kind: type) -> dict[str, bytes]:
    """A class's own values, and those of the classes above it."""
    own = {name: value for one in reversed(kind.__mro__) for name, value in vars(one).items() if one is not object}
    return {name: packed(value) for name, value in own.items() if not (name.startswith("__") or callable(value))}
