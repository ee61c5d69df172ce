"""The knobs that an entry of rl-zoo becomes, and remarks on what has no exact equivalent."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pg_theano.config.rl_zoo import entries, words


class Knob(NamedTuple):
    """A value to write, and where it comes from."""

    value: Any
    source: str
    line: int | None = None
    given: bool = True  # by the entry: then it is written even where it is the default here


class Remark(NamedTuple):
    """A key of the entry that has no exact equivalent."""

    key: str  # as the entry calls it
    said: str
    line: int | None


class Draft:
    """A config that is being put together. Each key of the entry is taken once; `left` holds the others."""

    def __init__(self, algorithm: str, entry: entries.Entry) -> None:
        self.algorithm, self.entry = algorithm, entry
        self.left = dict(entry.values)
        self.knobs: dict[str, Knob] = {}
        self.remarks: list[Remark] = []

    def take(self, key: str) -> tuple[Any, bool]:
        """(the entry's value of a key, or the default over there; whether the entry has it)"""
        if key in self.left:
            return self.left.pop(key), True
        return (words.OF_ALL | words.DEFAULTS[self.algorithm]).get(key), False

    def put(self, knob: str, value: Any, key: str, given: bool, more: str = "") -> None:
        """`more` follows the entry's own words in the comment beside the knob."""
        if given:
            source = f"{self.entry.place(key)} {key}: {entries.shown(self.entry.values[key])}{more}"
        else:
            source = more or f"SB3's default of {key}"
        self.knobs[knob] = Knob(value, source, self.entry.lines.get(key), given)

    def remark(self, key: str, said: str) -> None:
        top = key.partition(".")[0]
        self.remarks.append(Remark(key, said, self.entry.lines.get(top)))


def inside(given: dict[str, Any], defaults: dict[str, Any]) -> Callable[[str], tuple[Any, bool]]:
    """`Draft.take` for a dict inside an entry."""
    return lambda key: (given.pop(key), True) if key in given else (defaults.get(key), False)
