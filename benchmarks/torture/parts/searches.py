"""Searches: workers and coordinators killed, trials that fail, and the same outcome whoever works it off."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Mapping

import measuring
from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests" / "search"))
import helpers_torture as torture

METHODS = ("random", "grid", "cho", "bayesian", "tpe")
TRIALS, WORKERS, REPEATS, RACES = 240, 24, 3, 10
FIRE = f"{WORKERS} workers, {TRIALS} trials"


def under_fire() -> Figures:
    """Held against the same search undisturbed, by two workers."""
    with measuring.scratch() as folder:
        path = torture.written(folder, TRIALS)
        began = torture.begun(path, "--run-dir", "whole", "search.workers=2", cwd=folder, said=folder / "whole.txt")
        assert began.wait(timeout=600) == 0, (folder / "whole.txt").read_text()[-500:]
        figures = torture.under_fire(
            folder, path, workers=WORKERS, trials=TRIALS, worker_kills=4, coordinator_kills=2, seed=0
        )
        equal = torture.left_in(folder / "killed") == torture.left_in(folder / "whole")
        return figures | {"whole": torture.whole(figures, TRIALS), "equal": equal}


def same_outcome(method: str) -> Figures:
    """1, 2 and 8 workers, over repeats: how many searches, and how many different outcomes."""
    with measuring.scratch() as folder:
        trials = 27 if method in ("cho", "grid") else 24
        path = torture.written(folder, trials, method=method)
        outcomes = []
        for repeat in range(REPEATS):
            for workers in (1, 2, 8):
                run, said = folder / f"{workers}-{repeat}", folder / "said.txt"
                began = torture.begun(path, "--run-dir", run, f"search.workers={workers}", cwd=folder, said=said)
                assert began.wait(timeout=300) == 0, said.read_text()[-500:]
                outcomes.append(repr(torture.left_in(run)))
        return {"searches": len(outcomes), "outcomes": len(set(outcomes)), "failed": outcomes[0].count("'failed'")}


def races(resume: bool) -> Figures:
    with measuring.scratch() as folder:
        path = torture.written(folder, 16)
        won, others = 0, []
        for number in range(RACES):
            outcome = torture.raced(folder, path, name=f"race-{number}", resume=resume)
            won += torture.one_won(*outcome)
            others += [] if torture.one_won(*outcome) else [[list(outcome[0]), [text[-300:] for text in outcome[1]]]]
            shutil.rmtree(folder / f"race-{number}", ignore_errors=True)
        return {"races": RACES, "won": won, "others": others}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    made = []
    if FIRE in found:
        figures = found[FIRE]
        made.append(
            Row(
                f"{FIRE}, a fifth failing or NaN, 4 workers killed, the coordinator killed twice and resumed: none "
                "lost, stuck or counted twice; Optuna opens it; the outcome is the undisturbed search's",
                f"{figures['complete']} complete, {figures['failed']} failed, {figures['running']} running, "
                f"{figures['ended_twice']} twice, {figures['orphans']} orphans; {figures['optuna']} ended in Optuna; "
                f"{'equal' if figures['equal'] else 'different'} trials; {figures['seconds']:.0f} s",
                figures["whole"] and figures["equal"] and figures["killed"].count("worker") == 4,
                "Optuna: a line torn by a kill makes its journal unreadable after the next append",
            )
        )
    same = {name: figures for name, figures in found.items() if name in METHODS}
    if same:
        made.append(
            Row(
                f"The same outcome, bit for bit, with 1, 2 and 8 workers, {REPEATS} times each: {', '.join(same)}",
                ", ".join(f"{name} {figures['outcomes']} of {figures['searches']}" for name, figures in same.items()),
                len(same) == len(METHODS) and all(figures["outcomes"] == 1 for figures in same.values()),
            )
        )
    raced = [figures for name, figures in found.items() if name.startswith("races")]
    if raced:
        won, number = (sum(figures[key] for figures in raced) for key in ("won", "races"))
        made.append(
            Row(
                f"{2 * RACES} races of two processes for one search: one wins, the other says who has it",
                f"{won} of {number}",
                won == 2 * RACES,
            )
        )
    return made


PART = Part(
    {
        FIRE: under_fire,
        **{method: functools.partial(same_outcome, method) for method in METHODS},
        "races for a new search": functools.partial(races, False),
        "races to resume one": functools.partial(races, True),
    },
    rows,
)
