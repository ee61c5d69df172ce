"""Holding a function of a user's to the definition of advantages, and naming what is wrong with it.

report = probe("my_module:advantages")
report.right, report.lines()
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pg_theano.clinic import calling, definition
from pg_theano.clinic.calling import Function
from pg_theano.clinic.cases import cases
from pg_theano.clinic.definition import RIGHT, Case, Reading
from pg_theano.clinic.faults import FAULTS, OF_TARGETS, Fault
from pg_theano.types import Array, UserError

CLOSE = 1e-5
"""Of the largest number of a case: what float32 loses in ten steps is a tenth of it."""
MOST_LINES = 6
HOLD_SB3 = "stable_baselines3/common/buffers.py RolloutBuffer.compute_returns_and_advantage"
HOLD_CLEANRL = "cleanrl/ppo.py, below `# bootstrap value if not done`"
HOLD_OURS = "pg_theano/by_hand/advantages.py"


class Found(NamedTuple):
    """What is wrong: one fault, or two at once; none where no usual one fits. And the smallest case that shows it."""

    what: str  # "advantages" or "targets"
    faults: tuple[Fault, ...]
    case: Case  # as the function was told of it
    expected: Array  # [T, N]
    got: Array  # [T, N]
    number: int  # cases that differ
    only: str  # "" or where the differences are, if no fault is named
    look: tuple[tuple[int, str], ...]  # lines of the function


class Report(NamedTuple):
    name: str
    number: int  # cases tried
    found: Found | None
    notes: tuple[str, ...]
    place: str = ""

    @property
    def right(self) -> bool:
        return self.found is None

    def as_json(self) -> dict[str, Any]:
        """Plain data: NaN as null."""
        answer: dict[str, Any] = {"function": self.name, "right": self.right, "cases": self.number}
        if self.found is not None:
            found = self.found
            answer |= {
                "wrong": found.what,
                "differ": found.number,
                "faults": [{name: getattr(one, name) for name in _TOLD} for one in found.faults],
                "only": found.only or None,
                "case": {
                    **{name: _plain(value) for name, value in found.case._asdict().items()},
                    "expected": _plain(found.expected),
                    "got": _plain(found.got),
                },
                "look": [{"line": number, "text": text.strip()} for number, text in found.look],
            }
        return answer | {"notes": list(self.notes)}

    def lines(self) -> list[str]:
        """The report as lines of text."""
        if self.found is None:
            return [f"{self.name}: right in all of {self.number} cases", *map("note: {}".format, self.notes)]
        found = self.found
        lines = [f"{self.name}: {found.what} wrong in {found.number} of {self.number} cases"]
        for fault in found.faults:
            lines += [f"fault: {fault.name}", f"  it {fault.says}", f"  expected: {fault.should}"]
        if not found.faults:
            said = ["fault: none of the usual ones, nor two of them at once", found.only]
            lines.append("; ".join(filter(None, said)))
        lines += ["the smallest case that shows it:", *_table(found)]
        if found.look:
            lines += [f"look at, of {self.place.rpartition(':')[0] or self.name}:"]
            lines += [f"  {number:>4}  {text.strip()}" for number, text in found.look]
        for fault in found.faults[:1]:
            lines.append("the same place elsewhere:")
            names = ((fault.sb3, HOLD_SB3), (fault.cleanrl, HOLD_CLEANRL), (fault.ours, HOLD_OURS))
            lines += [f"  {where}: {name}" for name, where in names]
        return [*lines, *map("note: {}".format, self.notes)]


_TOLD = ("name", "says", "should", "sb3", "cleanrl", "ours")


def probe(name: str, *, layout: str = "TN", timeout: float = 5.0, **how: Any) -> Report:
    """Hold `module:name` of the current folder to the definition; `how` is that of `held`. Errors: `UserError`."""
    return held(calling.found(name, layout, timeout), **how)


def held(
    function: Function, *, number: int = 60, seed: int = 0, gamma: float | None = None, lam: float | None = None
) -> Report:
    """Hold a function to the definition on all small cases, and on `number` random ones.

    γ and λ are drawn for each case, unless they are given: a function that takes neither needs both. Errors:
    `UserError` where the function raises, does not come back, or gives what is no array of the shape of rewards.
    """
    told = set(function.given.values())
    for one, value in (("gamma", gamma), ("lam", lam)):
        if one not in told and value is None:
            advice = f"--{one} with the value that it has inside"
            raise UserError.at(function.name, f"takes no {one}", "it among its parameters, or its value", advice)
    tried = list(cases(number, seed, gamma=gamma, lam=lam, wide=function.layout != "T"))
    with np.errstate(all="ignore"):
        again = [function(tried[-1])[0], function(tried[-1])[0]]
        if not np.array_equal(again[0], again[1], equal_nan=True):
            raise function.wrong("gave two answers to the same arrays", "a sum that begins anew at each call")
        answers = [function(case) for case in tried]
        seen = [calling.seen(case, function) for case in tried]
        found = _wrong("advantages", seen, [one[0] for one in answers], definition.estimated, FAULTS, function)
        if found is None and answers[0][1] is not None:
            second = [one[1] for one in answers if one[1] is not None]
            found = _wrong("targets", seen, second, _targets, OF_TARGETS, function)
    return Report(function.name, len(tried), found, tuple(_notes(function)), function.place)


def _targets(case: Case, reading: Reading) -> Array:
    return definition.targets(case, definition.estimated(case), reading)


def _wrong(
    what: str,
    seen: Sequence[Case],
    got: Sequence[Array],
    define: Callable[[Case, Reading], Array],
    faults: Sequence[Fault],
    function: Function,
) -> Found | None:
    expected = [define(case, RIGHT) for case in seen]
    differ = [place for place in range(len(seen)) if not _same(expected[place], got[place])]
    if not differ:
        return None
    # Those that differ come first: they tell the most readings apart.
    order = sorted(range(len(seen)), key=lambda place: (not _same(expected[place], got[place]), -expected[place].size))

    def fits(reading: Reading) -> bool:
        if reading.gives == "standardised":
            return all(_affine(define(seen[at], reading._replace(gives="advantages")), got[at]) for at in order)
        return all(_same(define(seen[at], reading), got[at]) for at in order)

    single = [(one,) for one in faults if fits(one.reading)]
    named: tuple[Fault, ...] = single[0] if single else ()
    if not named:
        for first, second in itertools.combinations(faults, 2):
            if not set(first.changes) & set(second.changes) and fits(RIGHT._replace(**first.changes, **second.changes)):
                named = (first, second)
                break
    at = differ[0]
    only = "" if named else _only(seen, set(differ))
    words = {word for fault in named for word in fault.look} or {"delta", "done", "gamma", "lam", "termin", "trunc"}
    look = tuple(one for one in function.lines if _speaks(one[1], words))[:MOST_LINES]
    return Found(what, named, seen[at], expected[at], got[at], len(differ), only, look)


def _same(expected: Array, got: Array) -> bool:
    """Up to what float32 rounds."""
    scale = max(1.0, float(np.abs(expected).max()))
    return bool(np.all(np.abs(expected - got) <= CLOSE * scale))  # NaN is not


def _affine(expected: Array, got: Array) -> bool:
    """Whether one is the other but for its mean and its scale; of fewer than three steps that says nothing."""
    if expected.size < 3 or expected.std() < 1e-6:
        return True
    if not np.isfinite(got).all() or got.std() < 1e-9:
        return False
    return bool(np.allclose(definition.standardised(expected), definition.standardised(got), rtol=0, atol=1e-4))


def _only(seen: Sequence[Case], differ: set[int]) -> str:
    """What all cases that differ have, if those that do not differ lack it."""
    kinds = {
        "where a termination is": lambda case: bool((case.terminated & ~case.truncated).any()),
        "where a truncation is": lambda case: bool((case.truncated & ~case.terminated).any()),
        "where both flags stand in one step": lambda case: bool((case.terminated & case.truncated).any()),
        "where an episode goes on beyond the last row": lambda case: not case.ended[-1].all(),
        "where something follows in the same column": lambda case: len(case.rewards) > 1,
        "with several environments": lambda case: case.rewards.shape[1] > 1,
    }
    said = [name for name, has in kinds.items() if all(has(seen[at]) for at in differ)]
    return f"it differs only {' and '.join(said)}" if said else ""


def _speaks(line: str, words: set[str]) -> bool:
    code = line.partition("#")[0].strip().lower()
    if not code or code.startswith(("def ", '"""', "@")):
        return False
    return any(re.search(rf"{re.escape(word)}", code) for word in words)


def _notes(function: Function) -> list[str]:
    notes = []
    if "next_values" not in function.given.values():
        notes.append(
            "it has no V of the successor of a time limit, so γ·V(final observation) was added to the reward there, as "
            "Stable-Baselines3 does before it calls its own; does your loop? CleanRL's ppo.py does not"
        )
    elif function.merged:
        notes.append(
            "it is told that an episode ended, not how, so γ·V(final observation) was added to the reward of a time "
            "limit; does your loop?"
        )
    for name in sorted(function.changes):
        notes.append(f"it writes into its argument {name}: what your loop does next sees what it left there")
    return notes


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return round(float(value), 10) if np.isfinite(value) else None


def _table(found: Found) -> list[str]:
    """The case, one line a step, environment by environment."""
    case = found.case
    heads = ("t", "env", "reward", "V", "V next", "end", "expected", "got", "")
    rows = []
    for n, t in itertools.product(range(case.rewards.shape[1]), range(case.rewards.shape[0])):
        flags = [name for name in ("terminated", "truncated") if getattr(case, name)[t, n]]
        numbers = (case.rewards, case.values, case.next_values, found.expected, found.got)
        reward, value, following, expected, got = (f"{one[t, n]:.4g}" for one in numbers)
        wrong = "" if _same(found.expected[t, n], found.got[t, n]) else "<"
        rows.append((str(t), str(n), reward, value, following, "+".join(flags) or "-", expected, got, wrong))
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    written = ["  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
               for row in (heads, *rows)]  # fmt: skip
    return [f"  γ = {case.gamma:g}, λ = {case.lam:g}", *written]
