"""Asked to stop"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from part import Figures, Part, Row

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))
import helpers_processes as processes

PHASES = ("compile", "rollout", "update", "evaluation", "save")
ENGINES = ("compiled", "gymnasium", "by hand", "population", "agents")
DELAYS = {
    "compile": (0.1, 0.6),
    "rollout": (0, 0.002),
    "update": (0, 0.001),
    "evaluation": (0, 0.01),
    "save": (0, 0.003),
}


def struck(engine: str) -> Figures:
    """SIGTERM in every phase, as it begins and a moment later; each run is then gone on with."""
    with tempfile.TemporaryDirectory() as scratch:
        expected = processes.ran_whole(Path(scratch), processes.words_of(engine))
    found = [
        processes.stopped_in(phase, delay, signal.SIGTERM, engine, expected)
        for phase in PHASES
        for delay in DELAYS[phase]
    ]
    return {
        "struck": len(found),
        "code_143": sum(one["code"] == 143 for one in found),
        "says": sum(one["says"] for one in found),
        "equal": sum(one["equal"] for one in found),
        "orphans": sum(one["orphans"] for one in found),
        "slowest": max(one["seconds"] or 999.0 for one in found),
    }


def searches() -> Figures:
    found = [
        processes.stopped_search(workers, delay, signal.SIGTERM) for workers in (1, 2) for delay in (0.05, 0.2, 0.4)
    ]
    return {
        "struck": len(found),
        "code_143": sum(one["code"] == 143 for one in found),
        "orphans": sum(one["orphans"] for one in found),
        "slowest": max(one["seconds"] for one in found),
        "outcomes": len({str(one["outcome"]) for one in found}),
    }


def second() -> Figures:
    found = [
        processes.second_ctrl_c(engine, number)
        for engine in ("by hand", "compiled")
        for number in (signal.SIGINT, signal.SIGTERM) * 3
    ]
    return {"struck": len(found), "slowest": max(seconds for _, seconds in found)}


def parents() -> Figures:
    rng = random.Random(0)
    found = [processes.killed_parent("population", rng.uniform(0, 1.0)) for _ in range(20)]
    return {
        "killed": len(found),
        "workers": sum(one["before"] for one in found),
        "orphans": sum(one["left"] for one in found),
    }


def races(number: int) -> Figures:
    return {"races": 10, "won": sum(processes.race(resume=bool(i % 2)) for i in range(10)), "number": number}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    stops = [found[name] for name in ENGINES if name in found]
    total = {key: sum(one[key] for one in stops) for key in ("struck", "code_143", "equal", "says", "orphans")}
    slowest = max((one["slowest"] for one in stops), default=0.0)
    made = [
        Row(
            "SIGTERM during compile, rollout, update, evaluation and save, five kinds of run: saved, exit code 143 "
            "within 30 s, 50 of 50",
            f"{total['code_143']} of {total['struck']}, the slowest after {slowest:.1f} s; {total['equal']} went on to "
            "what the run left alone comes to, bit for bit",
            total["struck"] >= 50 and total["code_143"] == total["equal"] == total["struck"] and slowest <= 30,
        ),
        Row("no orphans, each says how to go on", f"{total['orphans']}; {total['says']}", total["orphans"] == 0),
    ]
    if one := found.get("searches"):
        made.append(
            Row(
                "a search, 1 or 2 workers: the same",
                f"{one['code_143']} of {one['struck']}, the slowest after {one['slowest']:.1f} s, {one['orphans']} "
                f"orphans, {one['outcomes']} outcome",
                one["code_143"] == one["struck"] and one["outcomes"] == 1 and not one["orphans"],
            )
        )
    if one := found.get("second"):
        made.append(
            Row(
                "a second Ctrl-C exits at once (a disk that takes a minute a file)",
                f"{one['struck']} of {one['struck']}, the slowest after {one['slowest']:.2f} s",
                one["slowest"] <= 2,
            )
        )
    if one := found.get("killed parents"):
        made.append(
            Row(
                "20 parents killed by SIGKILL while their workers play: no orphan after 10 s",
                f"{one['orphans']} of {one['workers']} processes",
                one["orphans"] == 0,
                "Gymnasium's async vector environment leaves orphans (as the issue quotes)",
            )
        )
    raced = [figures for name, figures in found.items() if name.startswith("races")]
    if raced:
        won, count = sum(one["won"] for one in raced), sum(one["races"] for one in raced)
        made.append(
            Row(
                "two start at once on one folder, new or resumed: one wins, the other names its process and host, "
                "50 of 50",
                f"{won} of {count}",
                won == count >= 50,
            )
        )
    return made


PART = Part(
    {engine: lambda e=engine: struck(e) for engine in ENGINES}
    | {"searches": searches, "second": second, "killed parents": parents}
    | {f"races {number}": lambda n=number: races(n) for number in range(5)},
    rows,
)
