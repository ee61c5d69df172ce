"""Draw one run, or compare several: `python -m pg_theano.plot RUN [RUN ...]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pg_theano.config.tables import help_text
from pg_theano.system import collector, commands
from pg_theano.system.console import say


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "plot", __doc__, "python -m pg_theano.plot runs/a runs/b --out plots/compared.png", knobs=help_text
    )
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", type=Path, help="a run folder; one that holds seed-*/ is drawn as one group")
    add("--out", metavar="FILE", type=Path, help="a .png, .pdf or .svg (plots/<run>.png, plots/<run>-<run>.png)")
    add("--title", metavar="T", help="in place of the environment and the outcome")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _plot, argv)


def _plot(arguments: argparse.Namespace) -> int:
    names = [run.resolve().name for run in arguments.runs]  # of several a figure of their own
    out = arguments.out or Path("plots") / f"{'-'.join(names)[:120]}.png"
    with collector.seldom():
        from pg_theano.reports.plots import draw  # late: matplotlib is slow to import, and -h must not wait for it

        draw(arguments.runs, out, title=arguments.title)
    if arguments.json:
        commands.answer({"file": str(out)})
    else:
        say(f"wrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
