"""Compare algorithms, or any knob, fairly: `python -m pg_theano.compare runs/ppo-* runs/vpg-* --by algorithm`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pg_theano.config.tables import help_text
from pg_theano.reports.comparing import results
from pg_theano.reports.comparing.comparing import compare
from pg_theano.system import commands, writing
from pg_theano.system.console import say


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "compare",
        __doc__,
        "python -m pg_theano.compare runs/ppo-* runs/vpg-* --by algorithm --page compared.md",
        knobs=help_text,
    )
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", type=Path, help="a run folder, or a set of seeds (runs=N)")
    add(
        "--by",
        default="algorithm",
        metavar="KNOB",
        help="what makes a group: a knob, a,b, or run: a folder (algorithm)",
    )
    add(
        "--score",
        default="evaluation",
        choices=("evaluation", "learning_curve", "steps_to_solve"),
        help="final evaluation; mean return while training; env steps until solved (evaluation)",
    )
    add(
        "--normalise",
        default="auto",
        choices=("auto", "none", "solved", "range"),
        help="none; solved: 0 is random play, 1 the threshold; range: worst and best of these runs (auto: none of one "
        "task, solved of several, range where a task has no threshold)",
    )
    add("--bounds", action="append", default=[], metavar="TASK=LOW,HIGH", help="what counts as 0 and as 1 of a task")
    add(
        "--curve",
        default="evaluation",
        choices=tuple(results.CURVES),
        help="greedy evaluations, or returns while training",
    )
    add("--seed", type=commands.natural, default=0, metavar="N", help="of the resamples (0)")
    add("--out", type=Path, metavar="FILE", help="the figure, .png, .pdf, .svg (plots/compare.png)")
    add("--no-plot", action="store_true", help="draw no figure")
    add("--page", type=Path, metavar="FILE.md", help="write the table there too")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _compare, argv)


def _compare(arguments: argparse.Namespace) -> int:
    found = compare(
        arguments.runs,
        by=arguments.by,
        score=arguments.score,
        normalise=arguments.normalise,
        bounds=arguments.bounds,
        curve=arguments.curve,
        seed=arguments.seed,
    )
    for line in results.said(found):
        say(line, sys.stderr)
    out = None
    if not arguments.no_plot:
        from pg_theano.reports.comparing import figure  # late: matplotlib takes half a second to import

        out = figure.draw(found, arguments.out or Path("plots") / "compare.png")
    text = results.markdown(found)
    if arguments.page is not None:
        writing.write_atomically(arguments.page, f"{text}\n".encode())
    if arguments.json:
        commands.answer(results.plain(found) | {"figure": None if out is None else str(out)})
    else:
        say(text)
        if out is not None:
            say(f"\nwrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
