"""One page of what was trained or searched: `python -m pg_theano.report runs/cartpole --out report.html`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pg_theano import checkpoints, commands
from pg_theano.types import UserError

MOST_POLICIES = 4
"""So many policies are played and drawn, those of the first runs."""


def report(paths: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], *, play: bool = True) -> Path:
    """Write a page of runs, sets of seeds and searches into `out` (.html), which appears whole or not at all.

    The page asks no other host for anything, and reads without scripts. `play`: the policies are played for it, which
    runs the environments. Errors: `UserError`: no run, no records yet, no .html, cannot be written.
    """
    out, folders = Path(out), [Path(path) for path in paths]
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out}: got {out.suffix or 'no ending'}; expected a file that ends in .html; try {out}.html")
    if not out.resolve().parent.is_dir():
        raise UserError(f"{out}: no such folder; expected one that exists; try --out report.html")
    content = page_of(folders, play=play).encode()
    try:
        checkpoints.write_atomically(out, content)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None
    return out


def page_of(folders: Sequence[Path], *, play: bool = True) -> str:
    """The page's HTML."""
    from pg_theano.pages import html, training

    searches = [path for path in folders if (path / "search.yaml").is_file()]
    trained = [training.read(path) for path in folders if path not in searches]
    names = [one.name for one in trained]
    trained = [
        one._replace(name=str(path)) if names.count(one.name) > 1 else one
        for one, path in zip(trained, [path for path in folders if path not in searches], strict=True)
    ]
    sections: list[str] = []
    if trained:
        sections += [training.overview(trained), training.curves_section(trained)]
        if play:
            from pg_theano.pages import policies

            sections.append(policies.section(trained[:MOST_POLICIES]))
        sections += [training.times_section(trained), training.config_section(trained)]
    if searches:
        from pg_theano.pages import searched

        sections += [searched.section(path) for path in searches]
    title = ", ".join([*[one.name for one in trained], *[path.resolve().name for path in searches]])
    return html.page(title, html.contents(sections), sections)


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("report", __doc__, "python -m pg_theano.report runs/cartpole runs/ppo --out report.html")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run, a folder of seeds, or a search")
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the page (report.html)")
    parser.add_argument("--no-play", action="store_true", help="do not play the policies: no environment is run")
    return commands.run(parser, _report, argv)


def _report(arguments: argparse.Namespace) -> int:
    out = report(arguments.runs, arguments.out, play=not arguments.no_play)
    print(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
