"""Learning bands: four tasks, 20 seeds each, against the reference in `benchmarks/bands.json`."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import bands
import measuring
from measuring import ROOT
from part import Figures, Part, Row

from pg_theano.evaluate import evaluate

TASKS = {
    "cartpole": ([], "REINFORCE on CartPole, thousand env steps to solved, taken below 0"),
    "ppo-acrobot": (["budget.updates=61"], "PPO on Acrobot, 250,000 env steps, 100 greedy episodes"),
    "ppo-pendulum": ([], "PPO on Pendulum, 100,000 env steps, 100 greedy episodes"),
    "ppo-mountaincar": (["budget.updates=1000"], "PPO on MountainCar, 256,000 env steps, 100 greedy episodes"),
}
"""Config, knobs set over it, and what a seed's score is. PPO reaches 500 of 500 on CartPole with every seed, which says
nothing; REINFORCE gets there too, and how soon is a figure. A quarter of the others' budget sees a slower learner
better, and costs a quarter."""
SEEDS, TOGETHER, EPISODES = 20, 5, 100
OTHER_SEEDS = 1_000_000  # as in learning.py: no training, evaluation or confirmation used these


def measured(config: str, first: int) -> Figures:
    """The scores of a few seeds, trained together by the command, judged in fresh environments on other seeds."""
    words = [str(ROOT / "configs" / f"{config}.yaml"), *TASKS[config][0]]
    words += [f"runs={TOGETHER}", f"agents_per_process={TOGETHER}"]
    with measuring.scratch() as folder:
        command = [sys.executable, "-m", "pg_theano.train", *words, "--seed", str(first)]
        command += ["--json", "--no-plot", "--run-dir", "set"]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        seen = measuring.run(command, cwd=folder, env=env, core=None, timeout=3600)
        if seen.code != 0:
            return measuring.failure(seen)
        scores = [score(config, folder / "set" / f"seed-{seed}", seed) for seed in range(first, first + TOGETHER)]
    return {"scores": scores, "seconds": seen.wall}


def score(config: str, run: Path, seed: int) -> float:
    if config == "cartpole":
        return -json.loads((run / "result.json").read_text())["env_steps"] / 1000
    return evaluate(run, episodes=EPISODES, seed=OTHER_SEEDS + seed)["mean"]


def cell_of(config: str, first: int) -> str:
    return f"{config}, seeds {first} to {first + TOGETHER - 1}"


def rows(found: Mapping[str, Figures]) -> list[Row]:
    reference, made = bands.read_reference(), []
    for config, (_, what) in TASKS.items():
        cells = [found.get(cell_of(config, first)) for first in range(0, SEEDS, TOGETHER)]
        if None in cells or config not in reference:
            continue
        scores = [one for cell in cells for one in cell["scores"]]
        kept, now = bands.band(reference[config]), bands.band(scores)
        figure = (
            f"{now.iqm:.1f} (95 %: {now.low:.1f} to {now.high:.1f}); reference {kept.iqm:.1f}, alarm below "
            f"{kept.iqm - kept.margin:.1f}; false alarms {100 * kept.false_alarms:.1f} %, smallest drop seen 9 times "
            f"in 10: {kept.smallest_drop:.1f}"
        )
        made.append(Row(f"{what}: interquartile mean within its band", figure, not bands.falls_short(kept, scores)))
    return made


PART = Part(
    cells={
        cell_of(config, first): functools.partial(measured, config, first)
        for config in TASKS
        for first in range(0, SEEDS, TOGETHER)
    },
    rows=rows,
)
