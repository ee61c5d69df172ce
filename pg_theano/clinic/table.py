"""What was measured, as a table: faults by detectors, for each way of playing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from pg_theano.clinic.planted import RIGHT
from pg_theano.types import UserError

KEPT = Path(__file__).parent / "measured.json"
SEEN = 1e-6
"""A bias of the enumerated gradient, or an error of the gradient check, that is a fault."""
HEADS = ("fault", "curve", "probes", "table", "enumeration", "gradient", "steps", "return")
WORDS = {"whole": "whole episodes", "stretches": "stretches of 64 steps"}


class Row(NamedTuple):
    """One fault, played one way: on how many of its seeds each detector saw it."""

    fault: str
    way: str
    seeds: int
    curve: int  # CartPole was not solved
    probes: int  # one of six was not learned
    table: int
    enumeration: int
    gradient: int
    env_steps: float  # median until solved, or until the budget was spent
    mean: float  # of the return of 100 greedy episodes at the end, over seeds
    failed: tuple[str, ...]  # the probes that were not learned, on any seed


def read(path: Path = KEPT) -> list[dict[str, Any]]:
    """The cells that come with the package, or of a file of one's own. Errors: `UserError`."""
    try:
        text = path.read_text("utf-8")
        found = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        return [dict(one) for one in found]
    except (OSError, ValueError, TypeError) as error:
        raise UserError.at(path, f"cannot be read ({error})", "cells as --measure writes them") from None


def rows(cells: Sequence[dict[str, Any]]) -> list[Row]:
    """A row for each fault and way, in the order of the cells."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["way"], cell["fault"]), []).append(cell)
    return [
        _row(fault, way, group)
        for (way, fault), group in sorted(groups.items(), key=lambda one: list(WORDS).index(one[0][0]))
    ]


def _row(fault: str, way: str, group: Sequence[dict[str, Any]]) -> Row:
    failed = [name for name in group[0]["probes"] if not all(cell["probes"][name] for cell in group)]
    return Row(
        fault,
        way,
        len(group),
        sum(not cell["solved"] for cell in group),
        sum(not all(cell["probes"].values()) for cell in group),
        sum(cell["table"] for cell in group),
        sum(cell["enumeration"] > SEEN for cell in group),
        sum(cell["gradient"] > SEEN for cell in group),
        median(cell["env_steps"] for cell in group),
        sum(cell["mean"] for cell in group) / len(group),
        tuple(failed),
    )


def lines(cells: Sequence[dict[str, Any]]) -> list[str]:
    """The table as lines of text."""
    found, written = rows(cells), []
    for way in dict.fromkeys(row.way for row in found):
        of_way = [row for row in found if row.way == way]
        right = next((row.env_steps for row in of_way if row.fault == RIGHT), None)
        body = [_cells(row, right) for row in of_way]
        widths = [max(len(one[place]) for one in (HEADS, *body)) for place in range(len(HEADS))]
        written.append(f"{WORDS[way]}:")
        for one in (HEADS, *body):
            rest = (f"{cell:>{width}}" for cell, width in zip(one[1:], widths[1:], strict=True))
            written.append(f"  {one[0]:<{widths[0]}}  {'  '.join(rest)}")
    return [
        *written,
        "seeds of each on which a detector saw the fault: the curve, if CartPole was not solved in 100,000 steps; the",
        "probes, if one of six was not learned; the table, one worked by hand; enumeration, a gradient's expectation;",
        "gradient, differences of the loss. Steps to solve it, beside right code's (medians); the greedy return then.",
    ]


def _cells(row: Row, right: float | None) -> tuple[str, ...]:
    seen = (f"{getattr(row, name)}/{row.seeds}" for name in HEADS[1:6])
    steps = f"{row.env_steps:,.0f}" if right is None else f"{row.env_steps:,.0f} (x{row.env_steps / right:.1f})"
    return row.fault, *seen, steps, f"{row.mean:.0f}"
