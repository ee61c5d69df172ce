"""What Python code hands in, under the name that a config has for it: an environment of a notebook's cell.

with handed(name, made, facts):       # while a call lasts
    found(name)                       # the same, wherever the config is read
packed(name); taken_in(packed)        # for our own worker processes, in memory
"""

import base64
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pg_theano.types import UserError


class Handed(NamedTuple):
    """Something given, and what a run records of it."""

    made: Any
    facts: Mapping[str, Any]


_HELD: dict[str, Handed] = {}


def found(name: str) -> Any:
    """What is held under a name; None where nothing is."""
    return _HELD[name].made if name in _HELD else None


def facts(name: str) -> Mapping[str, Any] | None:
    """What a run records of it."""
    return _HELD[name].facts if name in _HELD else None


@contextlib.contextmanager
def handed(name: str, made: Any, facts: Mapping[str, Any]) -> Iterator[None]:
    """Hold something while a call lasts; what was held under that name comes back afterwards."""
    before = _HELD.get(name)
    _HELD[name] = Handed(made, facts)
    try:
        yield
    finally:
        del _HELD[name]
        if before is not None:
            _HELD[name] = before


def packed(name: str) -> str | None:
    """What is held under a name, for a process of ours; None where nothing is. Errors: `UserError`."""
    if name not in _HELD:
        return None
    import cloudpickle  # Gymnasium brings it; it takes classes of `__main__` by value

    try:
        return base64.b64encode(cloudpickle.dumps((name, _HELD[name]))).decode()
    except Exception as error:
        raise UserError.at(
            name,
            f"cannot be handed to another process ({type(error).__name__}: {error})",
            "a class, or what can be pickled",
            "environment.workers=0, or the class itself",
        ) from error


def taken_in(content: str | None) -> None:
    """Hold what `packed` made, as long as this process lives. Read from the parent's pipe, and from nowhere else."""
    if content is not None:
        import cloudpickle

        name, what = cloudpickle.loads(base64.b64decode(content))
        _HELD[name] = what


def dropped(name: str) -> None:
    """Hold it no longer."""
    del _HELD[name]
