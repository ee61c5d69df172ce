"""Gather what the benchmarks found into one page: tables, machine, versions, date, commands.

python benchmarks/report.py                      # writes benchmarks/README.md
python benchmarks/report.py --output page.md
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import agents
import growth
import hopper
import limit
import populations
import throughput
import time_to_solve
from measuring import HERE, table

PARTS: tuple[ModuleType, ...] = (time_to_solve, populations, throughput, agents, limit, growth, hopper)
HEAD = """# Benchmarks

`make bench` measures all of this again: it makes `.venv-bench` for the peers from `benchmarks/requirements.txt`, runs
the programs one after the other and writes this page. Finished cells are kept in `benchmarks/results/*.jsonl`; a rerun
skips them as long as the measured code is the same (`--fresh` forgets them). Results worse than a peer's are printed
like the others. Every program runs on one core with one thread; close everything else before you measure.

How well PPO learns on seven tasks, against the tuned reference, is on a page of its own: [quality.md](quality.md)
(`make quality`).
"""


def origin(facts: dict[str, Any]) -> str:
    """Where, when, how: the small print of a section; `note` is what a person has to add."""
    machine = facts["machine"]
    line = (
        f"*{facts['date']}; {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}; pinned to core {machine['pinned_to_core']}; load average at the end "
        f"{facts['load_average_at_the_end']:.1f}; commit {facts['commit'] or 'unknown'}.* `{facts['command']}`"
    )
    return line + (f" {facts['note']}" if facts.get("note") else "") + "\n"


def learning() -> list[str]:
    """The pages of `learning.py`, each a section: how reliably a config learns, over seeds."""
    sections = []
    for path in sorted(HERE.glob("learning-*.md"), key=lambda p: (p.stem != "learning-cartpole", p.stem)):
        sections.append(path.read_text().replace("# ", "## ", 1))
    return sections


def page(results: Path) -> tuple[str, list[str]]:
    """The page, and the names of parts that have no results yet."""
    found, missing = [], []
    for part in PARTS:
        path = results / f"{part.NAME}.json"
        if path.exists():
            found.append((part, json.loads(path.read_text())))
        else:
            missing.append(part.NAME)
    text = [HEAD, *learning(), ""]
    for part, data in found:
        text += [part.section(data), origin(data["facts"])]
    if found:
        facts = max((data["facts"] for _, data in found), key=lambda f: f["date"])
        versions = facts["versions"]
        names = sorted(set(versions["ours"]) | set(versions["peers"]))
        rows = [[name, versions["ours"].get(name), versions["peers"].get(name)] for name in names]
        text += ["## Versions", "", table(["package", "with us", "with the peers"], rows), ""]
    if missing:
        text += [f"Not measured yet: {', '.join(missing)}.", ""]
    return "\n".join(text), missing


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the results are")
    parser.add_argument("--output", type=Path, default=HERE / "README.md")
    options = parser.parse_args(argv)
    text, missing = page(options.results)
    figure = options.results / "growth.png"
    if figure.exists():  # beside the page, so that the results folder need not be kept
        shutil.copyfile(figure, options.output.parent / "growth.png")
        text = text.replace("(results/growth.png)", "(growth.png)")
    options.output.write_text(text)
    print(f"wrote {os.path.relpath(options.output)}" + (f"; not measured yet: {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    main()
