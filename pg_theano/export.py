"""Hand over what was learned: `python -m pg_theano.export runs/cartpole --to onnx`."""

import argparse
import sys
from collections.abc import Sequence

from pg_theano.runs.exported import KINDS, export
from pg_theano.system import commands
from pg_theano.system.console import say


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("export", __doc__, "python -m pg_theano.export runs/cartpole --to onnx --out policy.onnx")
    commands.add_allow_import(parser)
    parser.add_argument("run", metavar="RUN", help="a run folder; its best checkpoint is taken")
    parser.add_argument("--to", required=True, choices=KINDS, help="NumPy, any runtime, JAX; the metrics")
    parser.add_argument("--out", metavar="FILE", help="where to (default: <run>.<kind> in this folder)")
    return commands.run(parser, _export, argv)


def _export(arguments: argparse.Namespace) -> int:
    written = export(arguments.run, arguments.to, arguments.out)
    say(f"wrote {written} ({written.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
