"""The JSON schema of configs, for editors: `python -m pg_theano.config --schema > configs/schema.json`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pg_theano.config.schema import text
from pg_theano.system import commands


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("config", __doc__, "python -m pg_theano.config --schema > configs/schema.json")
    parser.add_argument("--schema", action="store_true", help="the schema, which is all that there is to print")
    return commands.run(parser, _schema, argv)


def _schema(arguments: argparse.Namespace) -> int:
    print(text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
