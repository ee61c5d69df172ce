"""Interrupted at random moments"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from part import Figures, Part, Row

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))
import helpers_processes as processes

EACH = 15  # interruptions of a kind of run: 7 kinds make 105
AT_ONCE = 3  # ... of one run


def interrupted(engine: str) -> Figures:
    """Runs that are stopped three times each, by Ctrl-C, SIGTERM or SIGKILL; how many came out as if never stopped."""
    rng, signals, runs, equal = random.Random(engine), Counter[int](), 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        expected = processes.ran_whole(Path(scratch), processes.words_of(engine))
    with tempfile.TemporaryDirectory() as scratch:  # once more, with what it compiles in the cache
        began = time.monotonic()
        assert processes.ran_whole(Path(scratch), processes.words_of(engine)) == expected
        seconds = time.monotonic() - began
    while signals.total() < EACH:
        found, stopped = processes.interrupted(engine, AT_ONCE, rng, 0.8 * seconds)
        runs, equal = runs + 1, equal + (found == expected)
        signals.update(stopped)
    by = {"sigint": (130, -2), "sigterm": (143, -15), "sigkill": (-9,)}
    return {"interruptions": signals.total(), "runs": runs, "equal": equal} | {
        name: sum(signals[code] for code in codes) for name, codes in by.items()
    }


def rows(found: Mapping[str, Figures]) -> list[Row]:
    total = Counter[str]()
    for figures in found.values():
        total.update({key: value for key, value in figures.items() if isinstance(value, int)})
    kinds = ", ".join(found)
    made = [
        Row(
            f"100 interruptions at random (Ctrl-C, SIGTERM, SIGKILL), all resumed, all equal bit for bit: {kinds}",
            f"{total['interruptions']} ({total['sigint']}, {total['sigterm']}, {total['sigkill']}) of {total['runs']} "
            f"runs; {total['equal']} equal",
            total["interruptions"] >= 100 and total["equal"] == total["runs"],
            "SB3: parameters differ by 8e-3, as its random state is not saved (as the issue quotes)",
        )
    ]
    for name, how in (
        ("gymnasium", "open episodes of an environment whose state cannot be saved: replayed by seed and actions, the "
         "last observation and the sum of rewards compared"),
        ("does not replay", "an environment that does not replay: no episode stays open from one update to the next"),
    ):  # fmt: skip
        if one := found.get(name):
            made.append(Row(how, f"{one['equal']} of {one['runs']} runs equal", one["equal"] == one["runs"]))
    return made


PART = Part({engine: lambda e=engine: interrupted(e) for engine in processes.ENGINES}, rows)
