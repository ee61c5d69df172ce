"""One page of what was trained or searched: `python -m pg_theano.report runs/cartpole --out report.html`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pg_theano.system import commands
from pg_theano.system.console import say
from pg_theano.types import UserError


def report(paths: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], *, play: bool = True) -> Path:
    """Write a page of runs, sets of seeds and searches into `out` (.html), which appears whole or not at all.

    The page asks no other host for anything, and reads without scripts. `play`: the policies are played for it, which
    runs the environments. Errors: `UserError`: no run, no records yet, no .html, cannot be written.
    """
    return _written(paths, out, play=play)[0]


def _written(
    paths: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], *, play: bool
) -> tuple[Path, dict[Path, Any]]:
    """(the page, the diagnosis of each run)."""
    from pg_theano.reports.pages import whole

    file, folders = whole.checked(Path(out)), [Path(path) for path in paths]
    searches = [path for path in folders if (path / "search.yaml").is_file()]
    trained = whole.read([path for path in folders if path not in searches])
    diagnoses = whole.diagnoses(trained, play=play)
    sections = whole.sections(trained, diagnoses, play=play) if trained else []
    if searches:
        from pg_theano.reports.pages import searched

        sections += [searched.section(path) for path in searches]
    title = ", ".join([*[one.name for one in trained], *[path.resolve().name for path in searches]])
    return whole.written(file, whole.page(title, sections)), diagnoses


def _newest() -> Path:
    """The run that was begun or gone on with last. Errors: `UserError`: none."""
    found = [path for path in Path("runs").glob("*/") if any(path.iterdir())]
    if not found:
        raise UserError("runs: no run here; expected one, or its name; try python -m pg_theano.train")
    return max(found, key=lambda path: path.stat().st_mtime)


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("report", __doc__, "python -m pg_theano.report runs/cartpole runs/ppo --out report.html")
    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN", help="a run, a folder of seeds, or a search (the newest in runs/)")
    add("--out", default="report.html", metavar="FILE", help="the page (report.html)")
    commands.add_allow_import(parser)
    add("--no-play", action="store_true", help="do not play the policies: no environment is run")
    add("--json", action="store_true", help="print one JSON object and nothing else: which runs learned, and why not")
    return commands.run(parser, _report, argv)


def _report(arguments: argparse.Namespace) -> int:
    out, found = _written(arguments.runs or [_newest()], arguments.out, play=not arguments.no_play)
    if arguments.json:
        runs = [{"run": str(path)} | one.plain() for path, one in found.items()]
        commands.answer({"page": str(out), "bytes": out.stat().st_size, "runs": runs})
        return 0
    say(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB)")
    alike: dict[str, list[Path]] = {}  # runs that did not learn, by their first reason
    for path, one in found.items():
        if one.learned is False:
            alike.setdefault(one.reasons[0].reason if one.reasons else "", []).append(path)
    for path, *others in alike.values():
        say(f"{path}{f' and {len(others)} more' if others else ''} did not learn: {found[path].first}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
