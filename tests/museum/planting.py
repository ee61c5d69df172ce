"""A planted fault: which file, which text stands in the place of which, and the tests that catch it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Fault(NamedTuple):
    name: str  # what is wrong, in a few words; of all faults there is one of each name
    file: str  # below pg_theano/
    old: str  # exactly once in the file
    new: str
    tests: tuple[str, ...]  # node ids below tests/, all of which fail; without [...], any of its cases
    why: str  # what would go wrong, and how quietly


def planted(fault: Fault, repository: Path) -> dict[str, str]:
    """{path: the file's text with the fault in it}. Errors: `LookupError` where the old text is gone, or there twice."""
    path = f"pg_theano/{fault.file}"
    try:
        text = (repository / path).read_text()
    except FileNotFoundError:
        raise LookupError(f"{fault.name}: {path} is gone; move the fault to where its text is now") from None
    number = text.count(fault.old)
    if number != 1:
        raise LookupError(f"{fault.name}: {path} has the old text {number} times; expected once: {fault.old!r}")
    if fault.new == fault.old:
        raise LookupError(f"{fault.name}: the new text is the old one")
    return {path: text.replace(fault.old, fault.new)}


def named(fault: Fault) -> list[str]:
    """The node ids of its tests, as pytest takes them."""
    return [f"tests/{test}" for test in fault.tests]


def uncaught(fault: Fault, failed: object) -> list[str]:
    """Its tests that did not fail, where `failed` holds the node ids that did."""
    ids = [str(one) for one in failed]  # type: ignore[attr-defined]
    return [test for test in named(fault) if not any(one == test or one.startswith(f"{test}[") for one in ids)]
