"""Files from strangers, fuzzed"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from part import Figures, Part, Row

ROOT = Path(__file__).resolve().parents[3]
EXECUTIONS, CELLS = 100_000, 10  # a cell, and cells of each reader: 1e6
READERS = ("config", "checkpoint", "cache", "run", "search", "journal", "export")


def measured(reader: str, seed: int, executions: int = EXECUTIONS) -> Figures:
    """One cell of atheris; the quick form is tests/test_untrusted.py."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        out = Path(folder) / "figures.json"
        script = str(ROOT / "benchmarks" / "torture" / "fuzzing.py")
        surroundings = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
        done = subprocess.run(
            [sys.executable, script, reader, str(executions), str(seed), str(out)],
            capture_output=True,
            text=True,
            env=surroundings,
            cwd=folder,
            timeout=7200,
        )
        if not out.exists():
            return {"error": (done.stdout + done.stderr)[-1500:]}
        return json.loads(out.read_text())


def rows(found: Mapping[str, Figures]) -> list[Row]:
    made = []
    for reader in READERS:
        cells = [figures for name, figures in found.items() if name.startswith(f"{reader} ")]
        total = sum(figures["executions"] for figures in cells)
        faults = {where for figures in cells for where in figures["faults"]}
        made.append(
            Row(
                f"1e6 executions of atheris on {reader}: only the documented error",
                f"{total:,} executions, {sum(figures['refused'] for figures in cells):,} refused, "
                f"{len(faults)} other errors",
                total >= EXECUTIONS * CELLS and not faults,
            )
        )
    return made


def cell(reader: str, number: int) -> Callable[[], Figures]:
    return lambda: measured(reader, number + 1)


PART = Part({f"{reader} {number}": cell(reader, number) for number in range(CELLS) for reader in READERS}, rows)
