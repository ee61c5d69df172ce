"""Runs whose seals agree and whose entries are a stranger's"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
import helpers_hostile as hostile

PARTS = 10


def measured(kind: str, part: int) -> Figures:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                number, other = hostile.tried(Path(folder), kind, part, PARTS)
        finally:
            os.chdir(before)
    return {"changes": number, "other": [repr(one)[:300] for one in other]}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    number = sum(figures["changes"] for figures in found.values())
    other = [one for figures in found.values() for one in figures["other"]]
    promise = (
        "every entry of run.json, result.json, checkpoints and State in turn of another kind, or gone, and sealed: "
    )
    promise += f"one line, or a run, from each of {len(hostile.READERS)} readers"
    told = f"{number:,} changes of {len(hostile.CONFIGS)} kinds of run, {len(other)} other errors"
    return [Row(promise, told + (f": {other[0]}" if other else ""), not other and len(found) == len(PART.cells))]


PART = Part(
    {f"{kind} {part}": functools.partial(measured, kind, part) for kind in hostile.CONFIGS for part in range(PARTS)},
    rows,
)
