"""Several agents: our ppo beside Stable-Baselines3's with SuperSuit, as many steps of agents, same hyper-parameters.

    pip install --target FOLDER mpe2 pettingzoo pygame pymunk           # and, for the peer, in a virtual environment:
    pip install stable-baselines3 supersuit mpe2 pettingzoo pygame pymunk
    PYTHONPATH=FOLDER python benchmarks/several.py --peer-python PEER/bin/python --seeds 5

A cell is one seed: trained to the end of its budget, then judged by 100 greedy episodes on other seeds: the mean over
agents and episodes of the return. Ours is the newest policy, not the best by evaluation, as the peer's is. Finished
cells are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from measuring import PEERS, ROOT, Cells, table

sys.path.insert(0, str(ROOT))
NAME = "several"
EPISODES = 100
TASKS = {"ppo-simple-spread": "configs/ppo-simple-spread.yaml", "pistonball": "docs/examples/pistonball.yaml"}
PEERS_KNOBS = {"gae_lambda": 0.95, "n_epochs": 10, "ent_coef": 0.0, "learning_rate": 1e-3, "max_grad_norm": 0.5}
OTHER_SEED = 1_000_000


def ours(config: str, seed: int, *words: str) -> dict[str, Any]:
    from pg_theano.training.evaluating import evaluate

    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        command = [sys.executable, "-m", "pg_theano.train", str(ROOT / config), f"--seed={seed}", f"--run-dir={run}"]
        command += ["--no-plot", "evaluation.every_updates=1000000", "evaluation.episodes=1", *words]
        env = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", "SDL_VIDEODRIVER": "dummy"}
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
        result = json.loads(Path(run, "result.json").read_text())
        judged = evaluate(run, episodes=EPISODES, seed=OTHER_SEED)
    seconds = result["seconds"]
    return {"mean": judged["mean"], "seconds": seconds["collect"] + seconds["update"], "steps": result["env_steps"]}


def theirs(python: str, config: str, seed: int) -> dict[str, Any]:
    from pg_theano.config.reading import resolved

    knobs = resolved(ROOT / config).config
    envs, steps = knobs.environment.num_envs, knobs.algorithm.num_steps
    agents = 20 if "piston" in config else 3
    given = PEERS_KNOBS | {"n_steps": steps, "batch_size": envs * agents * steps // knobs.algorithm.num_minibatches}
    given |= {"gamma": knobs.algorithm.discount}
    words = [knobs.environment.id, str(seed), str(knobs.budget.env_steps), json.dumps(given), str(envs), str(EPISODES)]
    env = os.environ | {"SDL_VIDEODRIVER": "dummy", "PYTHONPATH": str(ROOT / "docs/examples")}
    done = subprocess.run(
        [python, PEERS / "sb3_supersuit.py", *words], check=True, env=env, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def cell_of(options: argparse.Namespace, task: str, who: str, seed: int) -> dict[str, Any]:
    if who == "ours":
        return ours(TASKS[task], seed)
    if who == "sb3":
        return theirs(options.peer_python, TASKS[task], seed)
    return ours(TASKS[task], seed, "budget.env_steps=1", "schedules.learning_rate.initial=1e-12")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default=",".join(TASKS))
    options = parser.parse_args()
    cells, rows = Cells(options, NAME), []
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    for task in options.only.split(","):
        found: dict[str, list[dict[str, Any]]] = {}
        seeds = range(1, options.seeds + 1)
        for who, seed in [*((who, seed) for seed in seeds for who in ("ours", "sb3")), ("random", 0)]:
            key = {"task": task, "who": who, "seed": seed}
            found.setdefault(who, []).append(cells.get(key, partial(cell_of, options, task, who, seed)))
        for who, title in (("ours", "pg_theano"), ("sb3", "Stable-Baselines3 with SuperSuit")):
            means = [cell["mean"] for cell in found[who]]
            spread = f"{min(means):.1f} to {max(means):.1f}"
            seconds = np.median([cell["seconds"] for cell in found[who]])
            rows.append([task, title, f"{found[who][0]['steps']:,}", f"{np.mean(means):.1f}", spread, f"{seconds:.0f}"])
        rows.append([task, "untrained", "0", f"{found['random'][0]['mean']:.1f}", "", ""])
    print(table(["task", "who", "steps of agents", "mean return", "of seeds", "seconds"], rows))


if __name__ == "__main__":
    main()
