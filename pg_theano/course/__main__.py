"""Exercises that check themselves, and say what went wrong: `python -m pg_theano.course start 1`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pg_theano.course.exercise import template
from pg_theano.course.listed import EXERCISES, KNOWN, numbered
from pg_theano.course.submitting import Judged, judged, judged_all, submissions
from pg_theano.system import commands, importing
from pg_theano.system.console import MODULE, say
from pg_theano.types import UserError

WORDS = "list, start N, check N [FILE or FOLDER], check all [FOLDER]"


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("course", __doc__, "python -m pg_theano.course check 3")
    add = parser.add_argument
    add("action", nargs="?", choices=["list", "start", "check"], default="list", help=f"{WORDS} (list)")
    add("exercise", nargs="?", help="its number or its name; `check all`: every exercise_N.py that is here")
    add("file", nargs="?", type=Path, help="the submission (exercise_N.py), or a folder of submissions")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _command, argv)


def _command(arguments: argparse.Namespace) -> int:
    if arguments.action == "list":
        return _list(arguments)
    if arguments.exercise is None:
        raise UserError.at(f"course {arguments.action}", "got no exercise", f"a number from 1 to {len(EXERCISES)}")
    if arguments.action == "start":
        return _start(arguments)
    if importing.refused():
        raise UserError.at("course check", "got --no-user-code", "leave to run the submission", "it without")
    return _check_all(arguments) if arguments.exercise == "all" else _check(arguments)


def _list(arguments: argparse.Namespace) -> int:
    if arguments.json:
        rows = [
            {"exercise": k, "name": one.name, "title": one.title, "chapter": one.chapter}
            for k, one in enumerate(EXERCISES, 1)
        ]
        commands.answer({"exercises": rows})
        return 0
    say("Exercises; begin with `python -m pg_theano.course start 1`".replace("python -m pg_theano.", MODULE))
    for k, one in enumerate(EXERCISES, 1):
        say(f"{k:>3}  {one.name:<16} {one.title}")
    return 0


def _start(arguments: argparse.Namespace) -> int:
    number, exercise = numbered(arguments.exercise)
    path = arguments.file or Path(f"exercise_{number}.py")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(exercise, number))
    except FileExistsError:
        raise UserError.at(path, "is there already", "a new name", f"{MODULE}course check {number} {path}") from None
    if arguments.json:
        commands.answer({"exercise": number, "file": str(path)})
    else:
        also = " and learn" if exercise.learns else ""
        check = f'make course ARGS="check {number}"' if "MAKELEVEL" in os.environ else f"{MODULE}course check {number}"
        say(f"wrote {path}: fill in {exercise.function}{also}, then {check}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    number, exercise = numbered(arguments.exercise)
    path = arguments.file or Path(f"exercise_{number}.py")
    if path.is_dir():
        return _table(arguments, path, judged_all(submissions(path, number)))
    if exercise.learns and not arguments.json:
        say(f"learning on five seeds; up to {exercise.seconds / 60:.0f} minutes", sys.stderr)
    found = judged(path, number)
    if found.printed:
        say(found.printed.rstrip(), sys.stderr)
    if arguments.json:
        commands.answer(found.plain())
    else:
        _say(found)
    return 0 if found.verdict.right else 1


def _say(found: Judged) -> None:
    number, one = found.number, found.verdict
    if one.right:
        say(f"exercise {number}: {one.said}")
        return
    say(f"exercise {number}: wrong: {one.said}")
    if one.advice:
        say(f"  try: {one.advice}")
    if one.shown_by:
        say(f"  seen with {one.shown_by}")


def _table(arguments: argparse.Namespace, folder: Path, found: list[Judged]) -> int:
    """A row to a submission, for teachers."""
    if not found:
        raise UserError.at(folder, "holds no submission", "exercise_N.py, in whatever folder below it")
    if arguments.json:
        commands.answer({"submissions": [one.plain() for one in found]})
    else:
        for one in found:
            name = one.path.relative_to(folder)
            say(f"{name}  exercise {one.number}: {'right' if one.verdict.right else f'wrong: {one.verdict.said}'}")
    return 0 if all(one.verdict.right for one in found) else 1


def _check_all(arguments: argparse.Namespace) -> int:
    """What the reader knows by now; of a folder with folders in it, a row to a submission."""
    folder = arguments.file or Path()
    if not folder.is_dir():
        raise UserError.at(folder, "no such folder", "one with exercise_N.py in it")
    if any(path.parent != folder for path, _ in submissions(folder)):
        return _table(arguments, folder, judged_all(submissions(folder)))
    found = {one.exercise.name: one for one in judged_all(submissions(folder))}
    known: list[dict[str, Any]] = [
        {"known": all(name in found and found[name].verdict.right for name in names), "what": what, "exercises": names}
        for what, names in KNOWN
    ]
    if arguments.json:
        commands.answer({"known": known, "submissions": [one.plain() for one in found.values()]})
    else:
        say("Now I know what it means:" if all(one["known"] for one in known) else "I know what it means, so far:")
        for one in known:
            say(f"  [{'x' if one['known'] else ' '}] {one['what']}  ({', '.join(map(_number, one['exercises']))})")
        for wrong in [one for one in found.values() if not one.verdict.right]:
            _say(wrong)
    return 0 if all(one["known"] for one in known) else 1


def _number(name: str) -> str:
    return str(numbered(name)[0])


if __name__ == "__main__":
    sys.exit(main())
