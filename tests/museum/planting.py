"""A planted fault: in which function, which text stands in the place of which, and the tests that catch it.

Where a function stands is looked up in the package as it is, so that nothing here changes when a file moves.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Fault(NamedTuple):
    name: str  # what is wrong, in a few words; of all faults there is one of each name
    symbol: str  # the function, class or constant of the package that has the old text
    old: str  # exactly once in all that are named so
    new: str
    tests: tuple[str, ...]  # node ids below tests/, all of which fail; without [...], any of its cases
    why: str  # what would go wrong, and how quietly


class Place(NamedTuple):
    path: str  # from the repository: "pg_theano/..."
    start: int  # characters before the text


def planted(fault: Fault, repository: Path) -> dict[str, str]:
    """{path: the file's text with the fault in it}. Errors: `LookupError` where the old text is gone, or there twice."""
    found = places(repository, fault.symbol, fault.old)
    if len(found) != 1:
        where = ", ".join(sorted({place.path for place in found})) or "no file"
        raise LookupError(
            f"{fault.name}: {fault.symbol} has the old text {len(found)} times ({where}); expected once: {fault.old!r}"
        )
    if fault.new == fault.old:
        raise LookupError(f"{fault.name}: the new text is the old one")
    (path, start) = found[0]
    text = (repository / path).read_text()
    return {path: text[:start] + fault.new + text[start + len(fault.old) :]}


def places(repository: Path, symbol: str, text: str) -> list[Place]:
    """Where the package has a text inside of what is named so."""
    found = set()
    for path, source in sources(repository):
        if text not in source:
            continue
        for start, end in spans(source, symbol):
            at = source.find(text, start, end)
            while at >= 0:
                found.add(Place(path, at))
                at = source.find(text, at + 1, end)
    return sorted(found)


def file_of(repository: Path, module: str, half: str = "") -> str:
    """The path of the one module of this name, below a folder where there are twins. Errors: `LookupError`."""
    found = list((repository / "pg_theano" / half).rglob(f"{module}.py"))
    if len(found) != 1:
        raise LookupError(f"pg_theano/{half} has {len(found)} modules named {module}; expected one")
    return found[0].relative_to(repository).as_posix()


def symbol_at(text: str, line: int) -> str:
    """The innermost function or class of a source around a line, or the constant that is assigned there; "" for none."""
    around = [(last - first, name) for name, first, last in definitions(text) if first <= line <= last]
    return min(around)[1] if around else ""


def sources(repository: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((repository / "pg_theano").rglob("*.py")):
        yield path.relative_to(repository).as_posix(), path.read_text()


def spans(text: str, symbol: str) -> Iterator[tuple[int, int]]:
    """Characters from the first line to the last of everything that is named so."""
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    for name, first, last in definitions(text):
        if name == symbol:
            yield lines[first - 1], lines[last]


def definitions(text: str) -> Iterator[tuple[str, int, int]]:
    """(name, first line, last line) of all functions and classes, and of what a module assigns to a name."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node.lineno, node.end_lineno or node.lineno
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, node.lineno, node.end_lineno or node.lineno


def named(fault: Fault) -> list[str]:
    """The node ids of its tests, as pytest takes them."""
    return [f"tests/{test}" for test in fault.tests]


def uncaught(fault: Fault, failed: object) -> list[str]:
    """Its tests that did not fail, where `failed` holds the node ids that did."""
    ids = [str(one) for one in failed]  # type: ignore[attr-defined]
    return [test for test in named(fault) if not any(one == test or one.startswith(f"{test}[") for one in ids)]
