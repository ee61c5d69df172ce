"""Look for faults in an environment, before anything is trained on it: `python -m pg_theano.check_env ID`.

report = check_env("my_module:MyEnv-v0")      # in a notebook
report.healthy, report.lines()
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pg_theano.config.tables import help_text
from pg_theano.environments.checking import check_env
from pg_theano.system import commands
from pg_theano.system.console import say
from pg_theano.types import UserError


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "check_env",
        __doc__,
        "python -m pg_theano.check_env my_module:MyEnv-v0 'environment.kwargs={difficulty: 2}'",
        knobs=help_text,
    )
    add = parser.add_argument
    add("what", nargs="+", metavar="ID | CONFIG.yaml | knob=value", help="an environment, then knobs set over it")
    add("--timeout", type=float, default=10.0, metavar="S", help="seconds that one step or reset may take (10)")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _check, argv)


def _check(arguments: argparse.Namespace) -> int:
    name, overrides = commands.config_and_overrides(arguments.what)
    if not 0 < arguments.timeout < 1e6:
        raise UserError(f"--timeout: got {arguments.timeout:g}; expected seconds above 0")
    if name is not None and name.endswith((".yaml", ".yml")) and not Path(name).exists():
        raise UserError(f"{name}: no such file; expected a config, or Gymnasium's id of an environment")
    report = check_env(name, overrides=overrides, timeout=arguments.timeout)
    if arguments.json:
        commands.answer(
            {
                "environment": report.environment,
                "healthy": report.healthy,
                "findings": [one._asdict() | {"line": one.line(report.environment)} for one in report.findings],
                "seconds": report.seconds,
            }
        )
    else:
        say("\n".join(report.lines() or [f"{report.environment}: no fault found"]))
    return 0 if report.healthy else 1


if __name__ == "__main__":
    sys.exit(main())
