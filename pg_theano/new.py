"""Begin a task of your own, with all that it needs to be trained: `python -m pg_theano.new NAME`."""

import argparse
import sys
from collections.abc import Sequence

from pg_theano.environments.sketch import sketch
from pg_theano.system import commands
from pg_theano.system.console import say


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("new", __doc__, "python -m pg_theano.new my_task")
    add = parser.add_argument
    add("name", metavar="NAME", help="of its folder and its module, in this folder")
    add("--symbolic", action="store_true", help="as expressions, compiled with the policy (else: Gymnasium's API)")
    return commands.run(parser, _new, argv)


def _new(arguments: argparse.Namespace) -> int:
    made = sketch(arguments.name, symbolic=arguments.symbolic)
    say("\n".join(["made:", *(f"  {path}" for path in made)]))
    config = next(path for path in made if path.suffix == ".yaml")
    say(f"to train it: python -m pg_theano.train {config}")
    say(f"to look for faults, once you have changed it: python -m pg_theano.check_env {config}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
