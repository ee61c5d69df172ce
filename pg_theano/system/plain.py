"""Plain data as text, and back: numbers, text, lists, tuples, dicts and arrays of numbers. Reading it runs nothing.

    text = encoded({"returns": np.zeros(3)})
    value = decoded(text)                      # Errors: `ValueError` for anything else

What a worker of a cluster answers comes this way: a pickle could be a program.
"""

from __future__ import annotations

import base64
import builtins
import json
import re
from typing import Any

import numpy as np

from pg_theano.types import UserError

DTYPE = re.compile(r"[<>|][biuf][0-9]{1,2}")


def encoded(value: Any) -> str:
    """Errors: `TypeError` for what is no plain data."""
    return json.dumps(_outward(value))


def _outward(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list):
        return [_outward(one) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [_outward(one) for one in value]}
    if isinstance(value, dict):
        return {"dict": [[_outward(key), _outward(one)] for key, one in value.items()]}
    if isinstance(value, np.ndarray | np.generic) and DTYPE.fullmatch(value.dtype.str):
        numbers = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"array" if isinstance(value, np.ndarray) else "number": [value.dtype.str, list(value.shape), numbers]}
    raise TypeError(f"got {type(value).__name__}; expected plain data: numbers, text, lists, dicts, arrays of numbers")


def decoded(text: str) -> Any:
    try:
        return _inward(json.loads(text))
    except (ValueError, TypeError, RecursionError, AttributeError) as error:
        raise ValueError(f"no plain data: {error}") from None


def _inward(value: Any) -> Any:
    if isinstance(value, list):
        return [_inward(one) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tuple":
        return tuple(_inward(one) for one in inner)
    if kind == "dict":
        return {_inward(key): _inward(one) for key, one in inner}
    dtype, shape, numbers = inner
    if kind not in ("array", "number") or not DTYPE.fullmatch(dtype):
        raise ValueError(f"{kind} {dtype}"[:80])
    array = np.frombuffer(bytearray(base64.b64decode(numbers)), dtype).reshape(shape)
    return array if kind == "array" else array[()]


# -- errors


def of_error(error: Exception | None) -> list[Any] | None:
    """An exception by the name of its type, its arguments where they are plain, and its notes."""
    if error is None:
        return None
    arguments = list(error.args)
    if isinstance(error, UserError) or not all(type(one) in (bool, int, float, str) for one in arguments):
        arguments = [str(error)]
    return [type(error).__name__, arguments, list(getattr(error, "__notes__", []))]


def error_of(found: list[Any] | None) -> Exception | None:
    """The same kind of exception, where it is ours or Python's own; else a RuntimeError of the same words."""
    if found is None:
        return None
    name, arguments, notes = found
    kind = UserError if name == UserError.__name__ else getattr(builtins, name, None)
    made: Exception = RuntimeError(f"{name}: {', '.join(map(str, arguments))}")
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            made = kind(*arguments)
        except Exception:  # it takes other arguments
            made.add_note(f"of type {name}")
    for note in notes:
        made.add_note(str(note))
    return made
