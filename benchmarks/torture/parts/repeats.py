"""The same run twice"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from part import Figures, Part, Row

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))
import helpers_processes as processes

REPEATS = {  # name: (kind of run, what is changed of it, how often; every second one on a terminal)
    "compiled": ("compiled", {}, 20),
    "gymnasium": ("gymnasium", {}, 16),
    "does not replay": ("does not replay", {}, 10),
    "by hand": ("by hand", {}, 16),
    "agents": ("agents", {}, 10),
    "population, 1 worker": ("population", {"distribute": {"workers": 1}}, 12),
    "population, 2 workers": ("population", {"distribute": {"workers": 2}}, 12),
    "population, 8 workers": ("population", {"distribute": {"workers": 8}}, 12),
}
WIDE = {"policy": {"hidden": [256, 256]}, "budget": {"updates": 5}, "evaluation": {"episodes": 5, "every_updates": 5}}


def one(words: list[str], terminal: bool = False, **more: str) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        run = processes.on_a_terminal if terminal else processes.ran_whole
        return run(Path(scratch), words, **more)


def repeated(name: str) -> Figures:
    engine, changes, times = REPEATS[name]
    found = [one(processes.words_of(engine, **changes), terminal=bool(number % 2)) for number in range(times)]
    return {"repeats": times, "on_a_terminal": times // 2, "different": len(set(found)), "digest": found[0]}


def elsewhere() -> Figures:
    """One core or all, one thread of BLAS or several: what is not promised, looked at."""
    words = {name: processes.words_of(name) for name in ("compiled", "gymnasium", "by hand")}
    words["256 x 256 units"] = processes.words_of("compiled", **WIDE)
    found = {}
    for name, argv in words.items():
        cores = os.sched_getaffinity(0)
        alone = one(argv)
        threads = one(argv, OMP_NUM_THREADS=str(len(cores)), OPENBLAS_NUM_THREADS=str(len(cores)))
        os.sched_setaffinity(0, {min(cores)})
        try:
            pinned = one(argv)
        finally:
            os.sched_setaffinity(0, cores)
        found[name] = {"one core": pinned == alone, "threads of BLAS": threads == alone}
    return {"equal": found, "cores": len(os.sched_getaffinity(0))}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    cells = {name: figures for name, figures in found.items() if name in REPEATS}
    total = sum(figures["repeats"] for figures in cells.values())
    terminals = sum(figures["on_a_terminal"] for figures in cells.values())
    different = sum(figures["different"] - 1 for figures in cells.values())
    made = [
        Row(
            f"the same config and seed, over a hundred processes: {', '.join(cells)}",
            f"{total} runs, {terminals} of them on a terminal: {different} with other metrics, parameters or results",
            total >= 100 and different == 0,
        )
    ]
    workers = {figures["digest"] for name, figures in cells.items() if name.startswith("population")}
    made.append(Row("with 1, 2 or 8 workers", f"{len(workers)} outcome", len(workers) == 1))
    if there := found.get("elsewhere"):
        equal = there["equal"]
        words = "; ".join(
            f"{name}: " + ", ".join(f"{what} {'the same' if same else 'differs'}" for what, same in one.items())
            for name, one in equal.items()
        )
        made.append(
            Row(f"not promised, looked at: other numbers of cores ({there['cores']} here) and threads", words, True)
        )
    return made


PART = Part({name: lambda n=name: repeated(n) for name in REPEATS} | {"elsewhere": elsewhere}, rows)
