"""What PPO learns with its defaults, on tasks that have little in common.

    python benchmarks/ppo_defaults.py --results DIR           # every task, five seeds; finished cells are skipped
    python benchmarks/ppo_defaults.py --results DIR --only FrozenLake-v1 --seeds 3 --name fewer algorithm.num_epochs=4

A cell is one seed of one task: trained with the defaults and the knobs of the command line to the end of its budget (or
until solved, where the task has a threshold), then judged by 100 greedy episodes in fresh environments, on seeds that
no training, evaluation or confirmation used. `--name` says under which name the cells of other knobs are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from measuring import ROOT

sys.path.insert(0, str(ROOT))

import pg_theano
from pg_theano.runs import statistics as aggregates
from pg_theano.training.display import Quiet
from pg_theano.training.evaluating import evaluate

OTHER_SEEDS = 1_000_000
FLAT = ["minigrid.wrappers:ImgObsWrapper"]
TASKS = {
    "CartPole-v1": ({}, 100_000),
    "Acrobot-v1": ({}, 200_000),
    "FrozenLake-v1": ({}, 100_000),
    "LunarLander-v3": ({}, 300_000),
    "Hopper-v5": ({}, 300_000),
    "minigrid:MiniGrid-Empty-5x5-v0": ({"wrappers": FLAT}, 100_000),
}
"""Id, knobs of the environment that it needs, and env steps."""


def cell(folder: Path, task: str, seed: int, overrides: list[str]) -> dict[str, float]:
    """The figures of one cell, trained, resumed or read."""
    done = folder / "cell.json"
    if done.exists():
        return json.loads(done.read_text())
    environment, steps = TASKS[task]
    if (folder / "run" / "run.json").exists():
        if not (folder / "run" / "result.json").exists():
            pg_theano.run(resume=folder / "run", plot=False, display=Quiet)
    else:
        config = {
            "seed": seed,
            "algorithm": {"name": "ppo"},
            "environment": {"id": task, **environment},
            "budget": {"env_steps": steps, "updates": None},
        }
        pg_theano.run(config, *overrides, run_dir=folder / "run", plot=False, display=Quiet)
    result = json.loads((folder / "run" / "result.json").read_text())
    judged = evaluate(folder / "run", episodes=100, seed=OTHER_SEEDS + seed)
    figures = {"mean": judged["mean"], "steps": result["env_steps"], "seconds": sum(result["seconds"].values())}
    done.write_text(json.dumps(figures))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="knob=value", help="knobs over the defaults")
    parser.add_argument("--results", type=Path, required=True, help="where cells are kept")
    parser.add_argument("--name", default="defaults", help="of this set of knobs (defaults)")
    parser.add_argument("--only", default=",".join(TASKS), help="tasks")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    print("| task | env steps | mean of each seed | IQM (95 %) | steps, median |\n|---|---:|---|---:|---:|")
    for task in options.only.split(","):
        found = []
        for seed in range(options.seeds):
            folder = options.results / options.name / f"{task.rpartition(':')[2]}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            found.append(cell(folder, task, seed, options.overrides))
        means = np.array([one["mean"] for one in found])
        middle = float(aggregates.interquartile_mean(means))
        drawn = aggregates.resampled([means], np.random.default_rng(0), 10_000)
        low, high = aggregates.interval(aggregates.interquartile_mean(*drawn))
        steps = np.median([one["steps"] for one in found])
        each = ", ".join(f"{mean:.4g}" for mean in sorted(means))
        row = [task, f"{TASKS[task][1]:,}", each, f"{middle:.4g} ({low:.4g} to {high:.4g})", f"{steps:,.0f}"]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
