"""Draw one run, or compare several: `python -m pg_theano.plot RUN [RUN ...]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pg_theano.types import UserError

EXAMPLE = """example:
  python -m pg_theano.plot runs/cartpole runs/cartpole-ppo --out plots/compared.png

A folder that holds seed-0/, seed-1/, ... is drawn as one group: mean over the seeds, band from lowest to highest.
"""


def main(argv: list[str] | None = None) -> int:
    """Parse, draw, print the file; 0, or 2 with one line on stderr for what the user can mend."""
    parser = argparse.ArgumentParser(
        prog="python -m pg_theano.plot",
        description="Draw cost, episode length, return and schedules of one or more runs.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run folder, such as runs/cartpole")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="a .png, .pdf or .svg (default: plots/<first run>.png)"
    )
    parser.add_argument("--title", metavar="T", help="in place of the environment and the outcome")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    arguments = parser.parse_args(argv)
    out = arguments.out or Path("plots") / f"{arguments.runs[0].resolve().name}.png"
    try:
        from pg_theano.plots import draw  # late: matplotlib is slow to import, and -h must not wait for it

        draw(arguments.runs, out, title=arguments.title)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"file": str(out)}) if arguments.json else f"wrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
