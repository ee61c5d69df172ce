"""Clear to the end: bad input, one line each"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
from troubleshooting import SECTIONS, Case, let_go, pattern, prepared

LIMIT = 2.0  # seconds, warm


def held_by(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def told(case: Case) -> tuple[float, list[str]]:
    """(seconds, what is not as it should be) of one command in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder, here = Path(name), Path.cwd()
        try:
            os.chdir(folder)
            command, *words = prepared(case, folder)
            before = held_by(folder)
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", f"pg_theano.{command}", *words],
                capture_output=True,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
                timeout=120,
            )
            seconds = time.perf_counter() - began
            after = held_by(folder)
        finally:
            let_go()
            os.chdir(here)
    wrong = []
    lines = (done.stderr if case.code == 2 else done.stdout).splitlines()
    if done.returncode != case.code:
        wrong.append(f"exit code {done.returncode}")
    if "Traceback" in done.stdout + done.stderr:
        wrong.append("a traceback")
    if len(lines) != 1 or not re.fullmatch(("error: " if case.code == 2 else "") + pattern(case.line), lines[0]):
        wrong.append(f"said {lines[:2]}")
    if {path: after.get(path) for path in before} != before or (not case.leaves and after != before):
        wrong.append("files changed")
    return seconds, wrong


def measured(section: str) -> Figures:
    """Each case twice, the quicker time of both; those that change this process (`impatient`) are left to the tests."""
    some = [case for case in SECTIONS[section] if getattr(case.setup, "__name__", "") != "impatient"]
    outcomes = {}
    for case in some:
        first, second = told(case), told(case)
        outcomes[case.title] = [min(first[0], second[0]), first[1] + second[1]]
    return {"cases": outcomes}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    every = {title: one for figures in found.values() for title, one in figures["cases"].items()}
    wrong = [f"{title}: {'; '.join(problems)}" for title, (_, problems) in every.items() if problems]
    ordered = sorted(every, key=lambda title: every[title][0])
    median, last = every[ordered[len(ordered) // 2]][0], ordered[-1]
    over = [title for title in ordered if every[title][0] >= LIMIT]
    return [
        Row(
            "60 bad inputs: one line with where, what was got, what was expected and what to try; exit code 2; nothing "
            "written or lost",
            f"{len(every) - len(wrong)} of {len(every)}{': ' + ' | '.join(wrong) if wrong else ''}",
            not wrong and len(every) >= 60,
        ),
        Row(
            "each in under two seconds, warm",
            f"median {median:.2f} s, slowest {every[last][0]:.2f} s ({last.lower()})",
            not over,
        ),
    ]


PART = Part({section.lower(): lambda section=section: measured(section) for section in SECTIONS}, rows)
