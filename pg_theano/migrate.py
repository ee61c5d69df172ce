"""Bring hyper-parameters from elsewhere: `python -m pg_theano.migrate sb3-zoo hyperparams/ppo.yml CartPole-v1`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pg_theano.config.rl_zoo.migrating import _line_of, sb3_zoo
from pg_theano.system import commands
from pg_theano.system.console import say
from pg_theano.system.opening import own_file
from pg_theano.system.writing import write_atomically
from pg_theano.types import UserError


def main(argv: Sequence[str] | None = None) -> int:
    example = "python -m pg_theano.migrate sb3-zoo docs/examples/zoo/ppo.yml CartPole-v1 --out configs/mine.yaml"
    parser = commands.parser("migrate", __doc__, example)
    parser.add_argument("source", choices=["sb3-zoo"], help="whose: sb3-zoo is rl-baselines3-zoo's")
    parser.add_argument("file", metavar="FILE.yml", help="its file; the name tells the algorithm: ppo, a2c or trpo")
    parser.add_argument("environment", metavar="ENV", help="whose entry: CartPole-v1, or module:Id")
    parser.add_argument("--algorithm", metavar="NAME", help="where the file's name does not tell it")
    parser.add_argument("--out", metavar="CONFIG.yaml", help="write it there (default: print it)")
    parser.add_argument("--force", action="store_true", help="write over a config that is there")
    parser.add_argument("--json", action="store_true", help="print one JSON object: the config, what is not the same")
    return commands.run(parser, _migrate, argv)


def _migrate(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out) if arguments.out is not None else None
    if out is not None and own_file(out).exists() and not arguments.force:
        raise UserError(f"{out}: is there already; expected a new file; try another name, or --force")
    if out is not None and out.suffix.lower() not in (".yaml", ".yml"):
        raise UserError(f"{out}: got {out.suffix or 'no ending'}; expected a file that ends in .yaml; try {out}.yaml")
    if out is not None and not out.resolve().parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.parent}; expected one; make it first")
    made = sb3_zoo(arguments.file, arguments.environment, algorithm=arguments.algorithm, out=arguments.out)
    if out is not None:
        write_atomically(out, made.text.encode())
    if arguments.json:
        found = {
            "algorithm": made.algorithm,
            "file": made.entry.file,
            "entry": made.entry.name,
            "line": made.entry.line,
            "config": made.data,
            "written": arguments.out,
            "not_the_same": [remark._asdict() for remark in made.remarks],
        }
        commands.answer(found, indent=1)
        return 0
    say(f"wrote {out}" if out is not None else made.text.rstrip("\n"))
    for remark in made.remarks:
        place = f"{made.entry.file}:{remark.line} " if remark.line is not None else ""
        say(f"not the same: {place}{_line_of(remark)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
