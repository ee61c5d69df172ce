"""Find the fault in your own advantages: `python -m pg_theano.clinic --probe my_module:advantages`.

report = pg_theano.clinic.probe.probe("my_module:advantages")      # in a notebook
"""

import argparse
import sys
from collections.abc import Sequence

from pg_theano.clinic import calling, probe
from pg_theano.system import commands
from pg_theano.system.console import say
from pg_theano.types import UserError


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("clinic", __doc__, "python -m pg_theano.clinic --probe my_module:advantages --json")
    add = parser.add_argument
    add("--probe", metavar="MODULE:NAME", help="your function: arrays of rewards, values and ends in, advantages out")
    add(
        "--layout",
        choices=calling.LAYOUTS,
        default="TN",
        help="[T, N], [N, T], or steps alone (TN)",
    )
    add("--gamma", type=float, metavar="G", help="γ of every case; needed where the function has it inside")
    add("--lam", type=float, metavar="L", help="λ of every case; the same")
    add("--cases", type=commands.positive, default=60, metavar="N", help="random cases, after all small ones (60)")
    add("--seed", type=commands.natural, default=0, metavar="S", help="of the cases (0)")
    add("--timeout", type=float, default=5.0, metavar="S", help="seconds that one case may take (5)")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _clinic, argv)


def _clinic(arguments: argparse.Namespace) -> int:
    if arguments.probe is None:
        raise UserError.at("clinic", "got nothing to do", "--probe module:function", "python -m pg_theano.clinic -h")
    for name in ("gamma", "lam"):
        value = getattr(arguments, name)
        if value is not None and not 0 <= value <= 1:
            raise UserError.at(f"--{name}", f"got {value:g}", "a number from 0 to 1")
    if not 0 < arguments.timeout < 1e6:
        raise UserError.at("--timeout", f"got {arguments.timeout:g}", "seconds above 0")
    report = probe.probe(
        arguments.probe,
        layout=arguments.layout,
        timeout=arguments.timeout,
        number=arguments.cases,
        seed=arguments.seed,
        gamma=arguments.gamma,
        lam=arguments.lam,
    )
    if arguments.json:
        commands.answer(report.as_json())
    else:
        say("\n".join(report.lines()))
    return 0 if report.right else 1


if __name__ == "__main__":
    sys.exit(main())
