"""Killed at any moment"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from part import Figures, Part, Row

ROOT = Path(__file__).resolve().parents[3]
CELLS = 10
EACH = 25  # of each kind in a cell: 2 x 25 x 10 = 500


def measured(*words: object) -> Figures:
    """What `tests/helpers_killing.py` prints; the quick form of this is tests/test_killed.py."""
    script = [sys.executable, str(ROOT / "tests" / "helpers_killing.py"), *map(str, words)]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(script, capture_output=True, text=True, env=surroundings, timeout=3600)
    if done.returncode:
        return {"error": done.stderr[-500:]}
    return json.loads(done.stdout) | {"said": done.stderr[-2000:]}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    def total(kind: str, name: str) -> int:
        return sum(figures[name] for cell, figures in found.items() if cell.startswith(kind))

    struck = total("kills", "outside") + total("kills", "in_writes")
    lost, struck_naive = total("naive", "unreadable"), total("naive", "outside") + total("naive", "in_writes")
    beside = f"one file that is written over, struck the same way: {lost} of {struck_naive} lost"
    return [
        Row(
            "500 SIGKILLs, half of them inside writes: no checkpoint unreadable",
            f"{total('kills', 'unreadable')} unreadable of {struck} ({total('kills', 'in_writes')} inside writes)",
            struck >= 500 and total("kills", "unreadable") == 0,
            f"{beside}; as the issue quotes: over the old file 72 of 200 lost, SB3's save 9 of 40",
        ),
        Row(
            "none older than the last one reported",
            f"{total('kills', 'older')} of {struck}",
            total("kills", "older") == 0 and total("kills", "other") == 0,
        ),
        Row(
            "resumed after every kill, each run equals the one that was never killed, bit for bit",
            f"{total('kills', 'equal')} of {total('kills', 'runs')} runs",
            0 < total("kills", "runs") == total("kills", "equal"),
        ),
        Row(
            "temporary files of killed writers are cleared at the next start",
            f"{total('kills', 'temporaries')} were left by kills, 0 by the runs that ended",
            total("kills", "temporaries") > 0 and total("kills", "runs") == total("kills", "equal"),
        ),
    ]


PART = Part(
    {f"kills {number}": lambda n=number: measured("kills", EACH, n) for number in range(CELLS)}
    | {f"naive {number}": lambda n=number: measured("naive", EACH, n) for number in range(4)},
    rows,
)
