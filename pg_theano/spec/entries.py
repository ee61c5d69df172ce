"""Entries of a stranger's file, each held to what it must be: `take("num_steps", whole(1, 1024))`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args


class Unreadable(ValueError):
    """An entry of plain data that is not what it must be: `entry: got this: why not`."""


Holds = Callable[[Any, str], Any]
REQUIRED = object()
MOST_SHOWN = 40


class Entries:
    """Plain data, of which an entry is taken where it is what it must be."""

    def __init__(self, data: Mapping[str, Any], at: str = ""):
        self.data, self.at = data, at

    def __call__(self, name: str, holds: Holds, default: Any = REQUIRED) -> Any:
        if name in self.data:
            return holds(self.data[name], self.at + name)
        if default is REQUIRED:
            raise Unreadable(f"{self.at}{name}: got nothing: Field required")
        return default


def shown(value: Any) -> str:
    """A value of a file, short, for a line that says what is wrong with it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value)[:MOST_SHOWN]


def held(right: bool, value: Any, entry: str, why: str) -> Any:
    if not right:
        raise Unreadable(f"{entry}: got {shown(value)}: {why[:100]}")
    return value


def text(value: Any, entry: str) -> Any:
    return held(isinstance(value, str), value, entry, "Input should be a valid string")


def flag(value: Any, entry: str) -> Any:
    return held(isinstance(value, bool), value, entry, "Input should be a valid boolean")


def number(value: Any, entry: str) -> Any:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return held(real, value, entry, "Input should be a valid number")


def whole(least: int, most: int) -> Holds:
    def holds(value: Any, entry: str) -> Any:
        held(isinstance(value, int) and not isinstance(value, bool), value, entry, "Input should be a valid integer")
        held(value >= least, value, entry, f"Input should be greater than or equal to {least}")
        return held(value <= most, value, entry, f"Input should be less than or equal to {most}")

    return holds


def word(words: Any) -> Holds:
    pattern = f"^({'|'.join(get_args(words))})$"

    def holds(value: Any, entry: str) -> Any:
        text(value, entry)
        return held(value in get_args(words), value, entry, f"String should match pattern '{pattern}'")

    return holds


def or_none(holds: Holds) -> Holds:
    return lambda value, entry: None if value is None else holds(value, entry)


def list_of(holds: Holds) -> Holds:
    def holds_all(value: Any, entry: str) -> Any:
        held(isinstance(value, list), value, entry, "Input should be a valid list")
        return [holds(one, f"{entry}.{place}") for place, one in enumerate(value)]

    return holds_all


def object_of(what: str) -> Holds:
    why = f"Input should be a valid dictionary{' or instance of ' + what if what else ''}"
    return lambda value, entry: held(isinstance(value, dict), value, entry, why)
