"""Say how good the gradient is that a run learned from: `python -m pg_theano.microscope RUN | CONFIG.yaml`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pg_theano.config.tables import help_text
from pg_theano.microscope import telling
from pg_theano.microscope.examining import PRECISE, Asked, examine
from pg_theano.system import commands, seals
from pg_theano.system.console import say
from pg_theano.types import UserError


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "microscope", __doc__, "python -m pg_theano.microscope runs/cartpole --figure gradients.png", knobs=help_text
    )
    add = parser.add_argument
    add(
        "what",
        nargs="*",
        metavar="RUN | CONFIG.yaml | knob=value",
        help="a run folder: its start, its checkpoints, its end; or a config, and knobs set over it: its first policy",
    )
    add("--episodes", type=commands.positive, metavar="N", help="at most, at each point (32,768 compiled, else 2,048)")
    add("--precision", type=float, default=PRECISE, metavar="P", help="stop where every cosine is known to ±P (0.02)")
    add("--seed", type=commands.natural, metavar="S", help="of the first policy and of the episodes (the config's)")
    add("--discount", type=float, metavar="G", help="γ of the return whose gradient is the true one (the config's)")
    add("--along", action="store_true", help="also measure J along a step: of the true gradient, and of the run's own")
    add("--figure", type=Path, metavar="FILE", help="draw it too: a .png, .pdf or .svg")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _examine, argv)


def _examine(arguments: argparse.Namespace) -> int:
    if not 0 < arguments.precision < 1:
        raise UserError.at(
            "--precision", f"got {arguments.precision:g}", "a number between 0 and 1", "--precision 0.02"
        )
    what, overrides = commands.config_and_overrides(arguments.what)
    if arguments.discount is not None and not 0 <= arguments.discount <= 1:
        raise UserError.at("--discount", f"got {arguments.discount:g}", "a number from 0 to 1", "--discount 1")
    asked = Asked(arguments.episodes, arguments.precision, arguments.seed, arguments.discount, arguments.along)
    if arguments.figure:
        from pg_theano.reports import gradients  # late: matplotlib is slow to import

        gradients.check(arguments.figure)
    report = examine(what, overrides=overrides, asked=asked, say=lambda line: say(line, sys.stderr))
    plain = telling.as_json(report)
    if what is not None and Path(what).is_dir():
        seals.write_json(Path(what) / "microscope.json", plain)
    if arguments.figure:
        say(f"wrote {gradients.draw(plain, arguments.figure)}", sys.stderr)
    if arguments.json:
        commands.answer(plain)
    else:
        say("\n".join(telling.lines(report)))
    return 0


if __name__ == "__main__":
    commands.leave(main())
