"""Several agents: our ppo beside Stable-Baselines3's with SuperSuit, as many steps of agents, same hyper-parameters.

    pip install --target FOLDER mpe2 pettingzoo pygame pymunk           # and, for the peer, in a virtual environment:
    pip install stable-baselines3 supersuit mpe2 pettingzoo pygame pymunk
    PYTHONPATH=FOLDER python benchmarks/several.py --peer-python PEER/bin/python --seeds 5

A cell is one seed: trained to the end of its budget, then judged on other seeds by greedy episodes and by as many whose
actions are drawn: the mean over agents and episodes of the return. Ours is the newest policy, as the peer's is, and not
the best by evaluation. `sb3-told` is the peer, told which episodes a time limit stopped. Finished cells are kept.
"""

from __future__ import annotations

import argparse
import importlib
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
EPISODES = {"ppo-simple-spread": 100, "pistonball": 20}  # pistonball's steps are slow
TASKS = {"ppo-simple-spread": "configs/ppo-simple-spread.yaml", "pistonball": "docs/examples/pistonball.yaml"}
PEERS_KNOBS = {"gae_lambda": 0.95, "n_epochs": 10, "ent_coef": 0.0, "learning_rate": 1e-3, "max_grad_norm": 0.5}
OTHER_SEED = 1_000_000
WHO = {"ours": "pg_theano", "sb3": "Stable-Baselines3 with SuperSuit", "sb3-told": "the same, told of truncations"}


def ours(config: str, seed: int, episodes: int) -> dict[str, Any]:
    from pg_theano.training.evaluating import evaluate

    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        command = [sys.executable, "-m", "pg_theano.train", str(ROOT / config), f"--seed={seed}", f"--run-dir={run}"]
        command += ["--no-plot", "evaluation.every_updates=1000000", "evaluation.episodes=1"]
        env = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", "SDL_VIDEODRIVER": "dummy"}
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
        result = json.loads(Path(run, "result.json").read_text())
        judged = partial(evaluate, run, episodes=episodes, seed=OTHER_SEED)
        means = {"greedy": judged()["mean"], "sampled": judged(sampled=True)["mean"]}
    seconds = result["seconds"]
    return means | {"seconds": seconds["collect"] + seconds["update"], "steps": result["env_steps"]}


def theirs(python: str, config: str, seed: int, episodes: int, told: bool) -> dict[str, Any]:
    from pg_theano.config.reading import resolved

    knobs = resolved(ROOT / config).config
    envs, steps = knobs.environment.num_envs, knobs.algorithm.num_steps
    agents = 20 if "piston" in config else 3
    given = PEERS_KNOBS | {"n_steps": steps, "batch_size": envs * agents * steps // knobs.algorithm.num_minibatches}
    given |= {"gamma": knobs.algorithm.discount}
    words = [knobs.environment.id, str(seed), str(knobs.budget.env_steps), json.dumps(given), str(envs), str(episodes)]
    env = os.environ | {"SDL_VIDEODRIVER": "dummy", "PYTHONPATH": str(ROOT / "docs/examples")}
    done = subprocess.run(
        [python, PEERS / "sb3_supersuit.py", *words, *["told"] * told],
        check=True,
        env=env,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def by_chance(config: str, episodes: int) -> dict[str, Any]:
    """What uniformly random actions come to."""
    from pg_theano.config.reading import resolved

    module, _, factory = resolved(ROOT / config).config.environment.id.partition(":")
    sys.path.append(str(ROOT / "docs/examples"))
    env, returns = getattr(importlib.import_module(module), factory)(), []
    for episode in range(episodes):
        env.reset(seed=OTHER_SEED + episode)
        for place, agent in enumerate(env.agents):
            env.action_space(agent).seed(episode * 1000 + place)
        totals = dict.fromkeys(env.agents, 0.0)
        while env.agents:
            _, rewards, *_ = env.step({agent: env.action_space(agent).sample() for agent in env.agents})
            totals = {agent: total + rewards.get(agent, 0.0) for agent, total in totals.items()}
        returns.append(np.mean([*totals.values()]))
    return {"sampled": float(np.mean(returns))}


def cell_of(options: argparse.Namespace, task: str, who: str, seed: int) -> dict[str, Any]:
    if who == "random":
        return by_chance(TASKS[task], EPISODES[task])
    if who == "ours":
        return ours(TASKS[task], seed, EPISODES[task])
    return theirs(options.peer_python, TASKS[task], seed, EPISODES[task], who == "sb3-told")


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
        for who, seed in [("random", 0), *((who, seed) for seed in seeds for who in WHO)]:
            key = {"task": task, "who": who, "seed": seed}
            found.setdefault(who, []).append(cells.get(key, partial(cell_of, options, task, who, seed)))
        for who, title in WHO.items():
            means = {way: [cell[way] for cell in found[who]] for way in ("greedy", "sampled")}
            spread = [f"{np.mean(of):.1f} ({min(of):.1f} to {max(of):.1f})" for of in means.values()]
            seconds = np.median([cell["seconds"] for cell in found[who]])
            rows.append([task, title, f"{found[who][0]['steps']:,}", *spread, f"{seconds:.0f}"])
        rows.append([task, "uniformly random", "", "", f"{found['random'][0]['sampled']:.1f}", ""])
    print(table(["task", "who", "steps of agents", "greedy", "sampled", "seconds"], rows))


if __name__ == "__main__":
    main()
