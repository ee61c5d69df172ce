"""Say which choices bias a policy gradient, exactly, on a task that is enumerated: `python -m pg_theano.bias`."""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pg_theano.bias.rows import Row, rows
from pg_theano.exact import card
from pg_theano.system import commands
from pg_theano.system.console import say

SEEDS = 5  # of a figure


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("bias", __doc__, "python -m pg_theano.bias --seed 1")
    add = parser.add_argument
    add("--seed", type=commands.natural, default=0, metavar="S", help="of the policy and of the wrong V (0)")
    add(
        "--figure", type=Path, metavar="FILE", help=f"draw it of {SEEDS} policies, S and the next: a .png, .pdf or .svg"
    )
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _bias, argv)


def _bias(arguments: argparse.Namespace) -> int:
    if arguments.figure:
        from pg_theano.reports import cards  # late: matplotlib is slow to import

        cards.check(arguments.figure)
    found = rows(arguments.seed)
    if arguments.figure:
        others = [rows(arguments.seed + further) for further in range(1, SEEDS)]
        seeds = [[*map(as_json, of)] for of in (found, *others)]
        say(f"wrote {cards.draw(seeds, arguments.figure)}", sys.stderr)
    if arguments.json:
        commands.answer({"seed": arguments.seed, "rows": [*map(as_json, found)]})
    else:
        say("\n".join(lines(found)))
    return 0


def as_json(row: Row) -> dict[str, Any]:
    figures = {name: value if math.isfinite(value) else None for name, value in row.card._asdict().items()}
    return {"group": row.group, "name": row.name, "why": row.why or None} | figures


def lines(found: Sequence[Row]) -> Iterator[str]:
    """The rows as a table."""
    cells = [card.cells(row.card) for row in found]
    widths = [max(len(head), *(len(row[i]) for row in cells)) for i, head in enumerate(card.HEADS)]
    wide = max(len(row.name) for row in found) + 2
    heads = "  ".join(head.rjust(width) for head, width in zip(card.HEADS, widths, strict=True))
    yield f"{'':<{wide}}  {heads}"
    group = ""
    for row, shown in zip(found, cells, strict=True):
        if row.group != group:
            group = row.group
            yield group
        figures = "  ".join(cell.rjust(width) for cell, width in zip(shown, widths, strict=True))
        yield f"  {row.name:<{wide - 2}}  {figures}  {row.why}".rstrip()
    yield "bias: of the expected estimate, in percent of the true gradient's length; angle and scale: its direction and"
    yield "length apart. Three states, two actions, three steps: every trajectory is summed, nothing is sampled."


if __name__ == "__main__":
    commands.leave(main())
