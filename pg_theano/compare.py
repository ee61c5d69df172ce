"""Compare algorithms, or any knob, fairly: `python -m pg_theano.compare runs/ppo-* runs/vpg-* --by algorithm`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pg_theano.config.tables import help_text
from pg_theano.reports.comparing.comparing import compare
from pg_theano.reports.comparing.results import CURVES
from pg_theano.system import commands, writing
from pg_theano.system.console import say


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "compare",
        __doc__,
        "python -m pg_theano.compare runs/ppo-* runs/vpg-* --by algorithm --page compared.md",
        knobs=help_text,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path, help="a run folder, or a set of seeds (runs=N)")
    parser.add_argument(
        "--by",
        default="algorithm",
        metavar="KNOB",
        help="what makes a group: a knob, a,b, or run: a folder (algorithm)",
    )
    parser.add_argument(
        "--score",
        default="evaluation",
        choices=("evaluation", "learning_curve", "steps_to_solve"),
        help="final evaluation; mean return while training; env steps until solved (evaluation)",
    )
    parser.add_argument(
        "--normalise",
        default="auto",
        choices=("auto", "none", "solved", "range"),
        help="none; solved: 0 is random play, 1 the threshold; range: worst and best of these runs (auto: none of one "
        "task, solved of several, range where a task has no threshold)",
    )
    parser.add_argument(
        "--bounds", action="append", default=[], metavar="TASK=LOW,HIGH", help="what counts as 0 and as 1 of a task"
    )
    parser.add_argument(
        "--curve", default="evaluation", choices=tuple(CURVES), help="greedy evaluations, or returns while training"
    )
    parser.add_argument("--seed", type=commands.natural, default=0, metavar="N", help="of the resamples (0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the figure, .png, .pdf, .svg (plots/compare.png)")
    parser.add_argument("--no-plot", action="store_true", help="draw no figure")
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="write the table there too")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
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
    from pg_theano.reports.comparing import table

    for line in table.said(found):
        say(line, sys.stderr)
    out = None
    if not arguments.no_plot:
        from pg_theano.reports.comparing import figure  # late: matplotlib takes half a second to import

        out = figure.draw(found, arguments.out or Path("plots") / "compare.png")
    text = table.markdown(found)
    if arguments.page is not None:
        writing.write_atomically(arguments.page, f"{text}\n".encode())
    if arguments.json:
        commands.answer(table.plain(found) | {"figure": None if out is None else str(out)})
    else:
        say(text)
        if out is not None:
            say(f"\nwrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
