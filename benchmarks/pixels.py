"""PPO from images: what it reaches on MiniGrid and MinAtar. `python benchmarks/pixels.py [--only NAME] [--table]`.

A finished cell is one line of `pixels.jsonl`, which is kept; the next start goes on with those that are missing. The
packages of the environments (extras minigrid, minatar) must be importable. Judged on 100 fresh episodes, whose seeds no
training has seen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import yaml
from locomotion import interval
from measuring import HERE, ROOT, table

from pg_theano.evaluate import evaluate
from pg_theano.runs import statistics as aggregates

CELLS, PAGE, EPISODES, OTHER_SEEDS = HERE / "pixels.jsonl", HERE / "pixels.md", 100, 1_000_000
CORRIDOR = [
    "environment.id=minigrid:MiniGrid-KeyCorridorS3R1-v0",
    "budget.env_steps=500000",
    "algorithm.standardize_advantages=false",  # which makes much of noise for as long as no reward was found
    "normalize.rewards=true",
    "solved={stop: true, threshold: 0.95}",
    "schedules.learning_rate={kind: linear, initial: 1.0e-3, final: 0.0, over_updates: 489}",
]
MILLION = [
    "budget.env_steps=1000000",
    "schedules.learning_rate={kind: linear, initial: 1.0e-3, final: 0.0, over_updates: 244}",
]
DENSE = ["policy.network=null", "policy.hidden=[128, 128]"]
ASTERIX, INVADERS = (f"environment.id=minatar.gym:MinAtar/{name}-v1" for name in ("Asterix", "SpaceInvaders"))
TASKS: dict[str, tuple[str, list[str], int, float | None]] = {
    "DoorKey-5x5": ("ppo-minigrid-doorkey", [], 5, 0.964),
    "KeyCorridorS3R1": ("ppo-minigrid-doorkey", CORRIDOR, 5, 0.949),
    "Breakout, conv": ("ppo-minatar-breakout", MILLION, 3, None),
    "Breakout, dense": ("ppo-minatar-breakout", [*MILLION, *DENSE], 3, None),
    "Asterix, conv": ("ppo-minatar-breakout", [*MILLION, ASTERIX], 3, None),
    "Asterix, dense": ("ppo-minatar-breakout", [*MILLION, ASTERIX, *DENSE], 3, None),
    "SpaceInvaders, conv": ("ppo-minatar-breakout", [*MILLION, INVADERS], 3, None),
    "SpaceInvaders, dense": ("ppo-minatar-breakout", [*MILLION, INVADERS, *DENSE], 3, None),
}
"""Each by its config, what is changed, how many seeds, and what the reference reaches."""


SPEED = """

## Speed

One update of `ppo-pong` (128 x 8 steps of 84 x 84 x 4, `nature`, four passes of minibatches of 256) and what is
collected for it, CPU seconds by `peers/pixels_update.py` beside Stable-Baselines3 2.9's CnnPolicy, on one core of a
busy machine, means of updates 2 to 4 of runs in turn (2 pairs): ours 3.48 and 1.15, Stable-Baselines3 2.79 and 0.41;
ours 3.47 and 1.07, Stable-Baselines3 2.98 and 0.41. So ours trains on 0.69 and 0.75 times as many steps a second; 1.5
times was asked.

Where it goes: an update has 203 GFLOP of products, which XLA multiplies at 137 to 250 GFLOP/s at these sizes on one
core (NumPy's OpenBLAS 84 to 129, PyTorch 69 to 112). Of a gradient step, written in JAX alone as ours is, they are 72
of 147 ms; the other half moves numbers: patches, bytes to float32, images last and back. Images first with patches as
rows take 236 ms, with blocks in place of strides 197, minibatches in four pieces 161. Acting on 8 frames takes 8 ms a
step, of which no more than 2 are products.

No option of XLA's helps. Of that gradient step `xla_cpu_use_onednn`, `xla_cpu_enable_fast_math`,
`xla_cpu_multi_thread_eigen=false`, vectors of 256 or 512 bits and no YNNPACK are within 4 %, and without fusion
emitters it takes 153 ms. Of PPO on 2 x 64 units (`xla_options.py`, CPU ms an update): ours 4.16, the others 4.06 to
4.69, without fusion emitters 8.05.

Peak memory of `ppo-pong` itself: 801 MB, and 3.28 CPU seconds an update; with `next_obs` held apart and V of a whole
rollout at once 1,866 MB and 3.74 (two pairs). Stacking four frames takes 0.9 microseconds a step, Gymnasium's wrapper
4.5.
"""


def knobs_of(name: str) -> str:
    config, changed, *_ = TASKS[name]
    said = yaml.safe_load((ROOT / "configs" / f"{config}.yaml").read_text())
    return hashlib.sha256(json.dumps([said, changed], sort_keys=True).encode()).hexdigest()[:12]


def kept() -> dict[tuple[str, int], dict[str, Any]]:
    """The finished cells of the configs as they are now."""
    cells = map(json.loads, CELLS.read_text().splitlines() if CELLS.exists() else [])
    return {(c["task"], c["seed"]): c for c in cells if c["task"] in TASKS and c["knobs"] == knobs_of(c["task"])}


def measured(name: str, seed: int, results: Path) -> dict[str, Any]:
    """One cell, trained or resumed now."""
    config, changed, *_ = TASKS[name]
    folder = results / f"{name.replace(', ', '-')}-{seed}"
    new = [str(ROOT / "configs" / f"{config}.yaml"), *changed, "--seed", str(seed), "--run-dir", str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["--resume", str(folder)] if (folder / "run.json").exists() else new
    subprocess.run(
        [sys.executable, "-m", "pg_theano.train", *words, "--no-plot"], check=True, stdout=subprocess.DEVNULL
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    judged = evaluate(folder, episodes=EPISODES, seed=OTHER_SEEDS + seed)
    result = json.loads((folder / "result.json").read_text())
    return {
        "task": name,
        "seed": seed,
        "knobs": knobs_of(name),
        "mean": round(judged["mean"], 4),
        "env_steps": result["env_steps"],
        "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 1),
        "at": measuring.now(),
    }


def section(cells: dict[tuple[str, int], dict[str, Any]]) -> str:
    rows: list[list[str | float | None]] = []
    for name, (config, changed, seeds, reference) in TASKS.items():
        own = [cells[name, seed] for seed in range(seeds) if (name, seed) in cells]
        if not own:
            continue
        means = [cell["mean"] for cell in own]
        low, high = interval(means)
        steps = " to ".join(f"{n:,}" for n in sorted({f(c["env_steps"] for c in own) for f in (min, max)}))
        reached = f"{aggregates.interquartile_mean(np.array(means)):.3f} ({low:.3f} to {high:.3f})"
        how = f"`{config}`" + (", changed as `TASKS` says" if changed else "")
        rows.append([name, how, steps, str(len(means)), reached, "" if reference is None else f"{reference}"])
    return (
        "# From images\n\nInterquartile means over seeds of 100 fresh episodes each, and 95 % bootstrap intervals; made"
        " by `python benchmarks/pixels.py`\nfrom `pixels.jsonl`. The references of MiniGrid are rl-zoo's PPO.\n\n"
        + table(["task", "config", "steps", "seeds", "reached", "reference"], rows)
        + SPEED
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=TASKS, help="one task")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "pixels", help="where runs are kept")
    parser.add_argument("--table", action="store_true", help="make the page of what is there")
    options = parser.parse_args()
    for name, (_, _, seeds, _) in TASKS.items():
        for seed in range(seeds):
            if not options.table and (name, seed) not in kept() and options.only in (None, name):
                cell = measured(name, seed, options.results)
                with CELLS.open("a") as file:
                    file.write(json.dumps(cell) + "\n")
    PAGE.write_text(section(kept()))


if __name__ == "__main__":
    main()
