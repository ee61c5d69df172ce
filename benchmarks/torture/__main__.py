"""Every promise of reliability, held to its figure: `make torture`, recorded in `benchmarks/reliability.md`.

    python benchmarks/torture                       # all parts; finished cells are printed and skipped
    python benchmarks/torture --only kills,bits     # some
    python benchmarks/torture --only kills --fresh  # measured anew
    python benchmarks/torture --report              # only the report, from the cells that are there

It takes hours. It may be stopped at any time: what a cell measured is kept when it ends, below `--results`.
Exit code 1 where a promise was not kept or a cell failed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))
sys.path.insert(0, str(HERE.parent))

import measuring
from measuring import Cells, table
from part import Figures, Part

REPORT = HERE.parent / "reliability.md"
NAMES = sorted(path.stem for path in (HERE / "parts").glob("[a-z]*.py"))


def part_of(name: str) -> Part:
    return importlib.import_module(f"parts.{name}").PART


def measured(options: argparse.Namespace, name: str) -> bool:
    """Measure what is not there; returns whether every cell is."""
    print(f"{name}:", flush=True)
    part = part_of(name)
    cells = Cells(options, f"torture-{name}")
    commit = measuring.facts_of_commit()
    found = [
        cells.get({"cell": cell}, lambda m=measure: m() | {"commit": commit}) for cell, measure in part.cells.items()
    ]
    return all("error" not in figures for figures in found)


def kept(options: argparse.Namespace, name: str, part: Part) -> dict[str, Figures]:
    there = Cells(argparse.Namespace(results=options.results, fresh=False), f"torture-{name}").done
    by_name = {json.loads(key)["cell"]: figures for key, figures in there.items()}
    return {cell: by_name[cell] for cell in part.cells if cell in by_name}


def section(name: str, part: Part, found: Mapping[str, Figures]) -> tuple[str, bool]:
    """A part's heading and table, and whether each of its promises was kept."""
    title = (importlib.import_module(f"parts.{name}").__doc__ or name).strip().splitlines()[0].rstrip(".")
    rows = part.rows(found) if found else []
    held = bool(rows) and all(row.kept for row in rows)
    lines = [[row.promise, row.figure, "yes" if row.kept else "**no**", row.beside] for row in rows]
    when = sorted({f"{figures['at'][:10]}, {figures['commit']}" for figures in found.values()})
    body = table(["promise", "here", "kept", "others"], lines) if rows else "Not measured."
    note = "" if len(found) == len(part.cells) else f" {len(found)} of {len(part.cells)} cells."
    return f"## {title}\n\n`python benchmarks/torture --only {name}`.{note} {'; '.join(when)}\n\n{body}\n", held


def as_it_stands(name: str) -> tuple[str, bool] | None:
    """A part's section of the report that is there: measured elsewhere, or earlier, its cells thrown away since."""
    for text in REPORT.read_text().split("\n## ")[1:] if REPORT.exists() else []:
        if f"`python benchmarks/torture --only {name}`." in text:
            return f"## {text.rstrip()}\n", "| **no** |" not in text and "\nNot measured." not in text
    return None


def report(options: argparse.Namespace) -> bool:
    """Write `benchmarks/reliability.md`; returns whether every promise was kept.

    From the cells that are there; a part without any stays as it stands: cells are of one machine, the report of all.
    """
    sections = []
    for name in NAMES:
        part = part_of(name)
        found = kept(options, name, part)
        stands = None if found else as_it_stands(name)
        sections.append(stands or section(name, part, found))
    processor = measuring.facts(options)["machine"]
    head = (
        "# Reliability\n\nWritten by `python benchmarks/torture` (`make torture`): each promise, the figure that was "
        f"measured, and what others do where it was measured too. {processor['processor']}, {processor['cores']} "
        f"cores, {processor['memory_gib']} GiB. The quick form of each part runs in `make test`.\n"
    )
    REPORT.write_text("\n".join([head, *(text for text, _ in sections)]))
    print(f"wrote {REPORT}")
    return all(held for _, held in sections)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--only", help=f"parts, separated by commas, of: {', '.join(NAMES)}")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the report")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else NAMES
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(NAMES)}")
    whole = options.report or min([measured(options, name) for name in wanted])  # all, each measured
    return 0 if report(options) and whole else 1


if __name__ == "__main__":
    sys.exit(main())
