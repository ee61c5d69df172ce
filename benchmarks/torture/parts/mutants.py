"""Mutation testing of the mathematics: a random sample of one-place faults, and the tests that notice."""

from __future__ import annotations

import atexit
import functools
import sys
from collections.abc import Mapping
from pathlib import PurePosixPath

from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests" / "museum"))
import mutants
from forking import Server
from survivors import reason_of

TOGETHER = 10
LEAST = 0.9


@functools.cache
def server() -> Server:
    started = Server(ROOT).__enter__()
    atexit.register(started.__exit__)
    return started


@functools.cache
def sample() -> list[mutants.Mutant]:
    return mutants.sampled(ROOT)


def measured(first: int) -> Figures:
    """What became of ten of the sample: by which test each was killed, and after how long."""
    fates = [mutants.fate(server(), ROOT, mutant) for mutant in sample()[first : first + TOGETHER]]
    return {
        "killed": sum(fate["killed"] for fate in fates),
        "of": len(fates),
        "timed_out": sum(fate["timed_out"] for fate in fates),
        "seconds": round(sum(fate["seconds"] for fate in fates), 1),
        "fates": fates,
    }


def plain(code: str) -> str:
    """Code on one line of a table."""
    return f"`{' '.join(code.split())}`".replace("|", "\\|")


def cell_of(first: int) -> str:
    return f"seed {mutants.SEED}, mutants {first:03d} to {first + TOGETHER - 1:03d}"


def rows(found: Mapping[str, Figures]) -> list[Row]:
    fates = [fate for cell in found.values() for fate in cell["fates"]]
    killed, timed_out = sum(fate["killed"] for fate in fates), sum(fate["timed_out"] for fate in fates)
    survivors = [fate for fate in fates if not fate["killed"]]
    reasons = [reason_of(fate) for fate in survivors]
    promise = f"At least {LEAST:.0%} of {mutants.SAMPLE} mutants of the mathematics killed (seed {mutants.SEED})"
    figure = f"{killed} of {len(fates)} killed ({killed / len(fates):.1%}), {timed_out} of them by the clock"
    made = [Row(promise, figure, len(fates) == mutants.SAMPLE and killed >= LEAST * len(fates))]
    said = sum(bool(reason) for reason in reasons)
    listed = "; ".join(
        f"`{PurePosixPath(fate['file']).stem}.{fate['symbol']}` {plain(fate['old'])} → {plain(fate['new'])}: "
        f"{reason or '?'}"
        for fate, reason in zip(survivors, reasons, strict=True)
    )
    made.append(Row("Every survivor has its reason", f"{said} of {len(survivors)}. {listed}", said == len(survivors)))
    return made


PART = Part(
    {cell_of(first): functools.partial(measured, first) for first in range(0, mutants.SAMPLE, TOGETHER)},
    rows,
)
