"""One submission in a process of its own, or a folder of them side by side."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.course import child
from pg_theano.course.exercise import Exercise, cases_of
from pg_theano.course.judging import Verdict, verdict
from pg_theano.course.listed import EXERCISES
from pg_theano.types import UserError

PATIENCE = 30.0
"""Seconds by the clock on the wall that a submission has, beside twice those that it may compute: a busy machine."""
NAMED = re.compile(r"exercise_0*(\d+)\.py$")


class Judged(NamedTuple):
    """A submission and what is said of it."""

    path: Path
    number: int
    exercise: Exercise
    verdict: Verdict
    printed: str = ""  # the end of what it printed

    def plain(self) -> dict[str, Any]:
        said = {"exercise": self.number, "name": self.exercise.name, "file": str(self.path)}
        return said | self.verdict._asdict()


def answers(path: Path, exercise: Exercise) -> tuple[dict[str, Any], str]:
    """What a submission gives for all cases, or {"error": ...}; and the end of what it printed."""
    with tempfile.TemporaryDirectory(prefix="pg-theano-course-") as folder:
        asked, given, printed = (Path(folder) / name for name in ("asked.json", "answers.json", "printed"))
        wanted = {
            "path": str(path.resolve()),
            "function": exercise.function,
            "signature": exercise.signature,
            "learns": exercise.learns,
            "seconds": exercise.seconds,
            "cases": [child.packed(case) for case in cases_of(exercise)],
        }
        asked.write_text(json.dumps(wanted), encoding="utf-8")
        words = [sys.executable, "-P", child.__file__, str(asked), str(given)]
        with printed.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=path.resolve().parent,
                env=os.environ | child.QUIET,
            )
            limit = PATIENCE + 2 * exercise.seconds
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                return {"error": f"did not come back within {limit:g} s; does it sleep or wait?"}, ""
            finally:
                process.kill()
                process.wait()
        said = printed.read_bytes()[-2000:].decode("utf-8", "replace")
        if given.exists():
            return json.loads(given.read_text("utf-8")), said
        if code == child.TOO_LONG:
            return {"error": f"took longer than {exercise.seconds:g} s; is there a loop without an end?"}, said
        return {"error": f"ended the process, exit code {code}; expected it to return"}, said


def judged(path: Path, number: int) -> Judged:
    """The verdict of one file. One that is not there is a `UserError`."""
    exercise = EXERCISES[number - 1]
    if not path.is_file():
        raise UserError.at(path, "no such file", advice=f"python -m pg_theano.course start {number}")
    found, printed = answers(path, exercise)
    return Judged(path, number, exercise, verdict(exercise, found), printed)


def submissions(folder: Path, number: int | None = None) -> list[tuple[Path, int]]:
    """(file, exercise) of all below a folder: `exercise_3.py` in whatever folder; with a number every Python file."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        named = NAMED.search(path.name)
        if number is not None and (named is None or int(named[1]) == number):
            found.append((path, number))
        elif number is None and named and 1 <= int(named[1]) <= len(EXERCISES):
            found.append((path, int(named[1])))
    return found


def judged_all(found: Sequence[tuple[Path, int]]) -> list[Judged]:
    """All of them, as many at a time as there are cores."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda one: judged(*one), found))
