"""How well `ppo` learns, against the tuned agents that rl-zoo publishes for Stable-Baselines3, after as many env steps.

    python benchmarks/quality.py                                   # all tasks; finished cells are skipped
    python benchmarks/quality.py --only ppo-pendulum,ppo-acrobot --seeds 3
    python benchmarks/quality.py --only mujoco                     # six tasks of MuJoCo: locomotion.py
    python benchmarks/quality.py --speed                           # steps per second beside it, on one core

A cell is one seed of one config, trained by the command to the end of its budget in a folder of its own below
`results`; one that was interrupted is resumed. It is then judged: the mean over 100 greedy episodes in fresh Gymnasium
environments, on seeds that no training, evaluation or confirmation used. Of the checkpoints of a run the best by its
own evaluations during training is judged, as everywhere in this project.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import measuring
import numpy as np
from measuring import HERE, ROOT, Cells, table

sys.path.insert(0, str(ROOT))

import locomotion

from pg_theano.config.reading import read_config, to_dict
from pg_theano.evaluate import evaluate
from pg_theano.runs import folder as runs
from pg_theano.runs import statistics as aggregates

NAME = "quality"
EPISODES, OTHER_SEEDS, RESAMPLES = 100, 1_000_000, 10_000


class Reference(NamedTuple):
    """What rl-zoo's benchmark.md says of SB3's PPO: one run, tuned; and how many env steps it had."""

    task: str
    mean: float
    steps: int
    seeds: int  # how many of ours


TASKS = {
    "ppo-cartpole": Reference("CartPole-v1", 500.0, 100_000, 10),
    "ppo-acrobot": Reference("Acrobot-v1", -73.506, 1_000_000, 10),
    "ppo-mountaincar": Reference("MountainCar-v0", -110.423, 1_000_000, 10),
    "ppo-mountaincarcontinuous": Reference("MountainCarContinuous-v0", 88.343, 20_000, 10),
    "ppo-pendulum": Reference("Pendulum-v1", -172.225, 100_000, 10),
    "ppo-lunarlander": Reference("LunarLander-v3", 242.119, 1_000_000, 10),
    "ppo-bipedalwalker": Reference("BipedalWalker-v3", 287.939, 5_000_000, 3),
}
SEARCHES = {
    "pgpe-pendulum": Reference("Pendulum-v1", -200.0, 0, 10),
    "pgpe-lunarlander": Reference("LunarLander-v3", 200.0, 0, 3),
}
"""Searches of parameters: the task, the mean that was asked for, and seeds."""
KNOWN = TASKS | SEARCHES
SPEED = {"ppo-acrobot": 2300, "ppo-pendulum": 880, "ppo-lunarlander": 1350}
"""SB3's steps per second of CPU time on a machine of this kind, as they were given to us."""


# -- one cell


def trained(options: argparse.Namespace, config: str, seed: int) -> Path:
    """The folder of a finished run, trained or resumed now where it is not finished."""
    path, folder = ROOT / "configs" / f"{config}.yaml", options.results / NAME / f"{config}-seed{seed}"
    wanted = to_dict(read_config(path, options.overrides, seed))
    if (folder / "run.json").exists():
        recorded = to_dict(runs.read_run(folder)[0])
        differs = [key for key in wanted if recorded.get(key) != wanted[key]]
        if differs:
            raise SystemExit(f"{folder}: another config was trained there ({', '.join(differs)}); remove it")
        words = ["--resume", str(folder)]
    else:
        words = [str(path), *options.overrides, "--seed", str(seed), "--run-dir", str(folder)]
    result = folder / "result.json"
    if not result.exists() or json.loads(result.read_text())["status"] not in ("solved", "budget"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = [options.python, "-m", "pg_theano.train", *words, "--no-plot"]
        pinned = ["taskset", "-c", str(options.core)] if options.core is not None else []
        subprocess.run([*pinned, *command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return folder


def cell(options: argparse.Namespace, config: str, seed: int) -> dict[str, Any]:
    folder = trained(options, config, seed)
    result = json.loads((folder / "result.json").read_text())
    judged = evaluate(folder, episodes=EPISODES, seed=OTHER_SEEDS + seed)
    return {
        "mean": judged["mean"],
        "std": judged["std"],
        "env_steps": result["env_steps"],
    }


# -- figures


def section(data: dict[str, Any]) -> str:
    rows = []
    for config, figures in data["tasks"].items():
        if config in SEARCHES:
            continue
        reference = TASKS[config]
        reached = "yes" if figures["high"] >= reference.mean else "no"
        rows.append(
            [
                reference.task,
                f"{reference.mean:g}",
                f"{reference.steps:,}",
                len(figures["means"]),
                f"**{figures['iqm']:.1f}** ({figures['low']:.1f} to {figures['high']:.1f})",
                f"{min(figures['means']):.1f}",
                f"{max(figures['means']):.1f}",
                reached,
            ]
        )
    head = ["task", "rl-zoo's PPO, one run", "env steps", "seeds", "ours: IQM (95 %)", "worst", "best", "reached"]
    lines = [
        "# Quality: PPO against the tuned reference",
        "",
        "The mean of 100 greedy episodes of each seed in fresh Gymnasium environments; over seeds the interquartile",
        "mean (Agarwal et al. 2021) with its 95 % bootstrap interval. Reached: its upper end is at the reference.",
        "rl-zoo's figures are from its benchmark.md (DLR-RM/rl-baselines3-zoo): one training run each, LunarLander-v2.",
        "Hyper-parameters are its own (hyperparams/ppo.yml), in `configs/`. The classic tasks were trained on this",
        "project's compiled environments, the Box2D tasks on Gymnasium's.",
        "",
        table(head, rows),
        "",
    ]
    searched = {config: figures for config, figures in data["tasks"].items() if config in SEARCHES}
    if searched:
        head = ["config", "asked for", "seeds", "env steps, median", "IQM (95 %)", "worst", "best", "reached"]
        rows = [
            [
                f"`{config}.yaml`",
                f"{SEARCHES[config].mean:g}",
                len(figures["means"]),
                f"{statistics.median(figures['env_steps']):,.0f}",
                f"**{figures['iqm']:.1f}** ({figures['low']:.1f} to {figures['high']:.1f})",
                f"{min(figures['means']):.1f}",
                f"{max(figures['means']):.1f}",
                "yes" if figures["iqm"] >= SEARCHES[config].mean else "no",
            ]
            for config, figures in searched.items()
        ]
        lines += [
            "## Searches of parameters",
            "",
            "Policy gradients with parameter-based exploration, no gradient of the policy; judged in the same way.",
            "Reached: the interquartile mean itself is at the figure that was asked for.",
            "",
            table(head, rows),
            "",
        ]
    if data.get("speed"):
        lines += [
            "## Steps per second on Gymnasium's environments",
            "",
            "One core, `environment.engine=gymnasium`, collecting and updating; beside it the same environments",
            "stepped with random actions by Gymnasium's `SyncVectorEnv`, in turn, five rounds each; medians. SB3's",
            "figure is the one that this project was asked to beat five times over.",
            "",
            table(
                ["task", "ours", "random actions", "ours / random", "SB3 (given)", "ours / SB3"],
                [
                    [
                        TASKS[config].task,
                        f"{speed['ours']:,.0f}",
                        f"{speed['random']:,.0f}",
                        f"{speed['ours'] / speed['random']:.2f}",
                        f"{SPEED[config]:,}",
                        f"{speed['ours'] / SPEED[config]:.1f}",
                    ]
                    for config, speed in data["speed"].items()
                ],
            ),
            "",
        ]
    facts = data["facts"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"]["ours"].items())
    processor, cores = facts["machine"]["processor"], facts["machine"]["cores"]
    lines += [f"Measured {facts['date']} on {processor}, {cores} cores; {versions}.", "", f"    {facts['command']}", ""]
    return "\n".join(lines)


# -- speed


def random_steps(id: str, num_envs: int, steps: int, seed: int) -> float:
    """Steps per second of CPU time of Gymnasium's own SyncVectorEnv under random actions."""
    import gymnasium

    vector = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(id) for _ in range(num_envs)])
    vector.reset(seed=seed)
    vector.action_space.seed(seed)
    actions = [vector.action_space.sample() for _ in range(steps)]
    began = time.process_time()
    for action in actions:
        vector.step(action)
    return num_envs * steps / (time.process_time() - began)


def speed_of(options: argparse.Namespace, config: str) -> dict[str, float]:
    made = read_config(ROOT / "configs" / f"{config}.yaml")
    task, num_envs, num_steps = made.environment.id, made.environment.num_envs, made.algorithm.num_steps
    assert num_steps is not None
    ours, random = [], []
    for round in range(5):
        words = [
            str(ROOT / "configs" / f"{config}.yaml"),
            "environment.engine=gymnasium",
            f"budget.updates={max(3, 40_000 // (num_envs * num_steps))}",
            "evaluation.every_updates=1000000",
            "evaluation.episodes=1",
            "solved.stop=false",
            f"--seed={round}",
        ]
        result, seen = measuring.train(options, words, options.results / "cache-quality")
        if result is None:
            raise SystemExit(measuring.failure(seen)["error"])
        ours.append(result["steps_per_second"])
        command = [options.python, str(Path(__file__).resolve()), "--random-actions", task, str(num_envs), str(round)]
        outcome = measuring.run(
            command,
            cwd=ROOT,
            env=measuring.environment(options.source, options.results / "cache-quality"),
            core=options.core,
            timeout=options.timeout,
        )
        random.append(float(outcome.out))
    return {"ours": statistics.median(ours), "random": statistics.median(random)}


def main() -> int:
    if sys.argv[1:2] == ["--random-actions"]:
        task, num_envs, seed = sys.argv[2:]
        print(random_steps(task, int(num_envs), 20_000 // int(num_envs), int(seed)))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--only", default=",".join(KNOWN), metavar="A,B", help="configs (all), or mujoco")
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N-1 (10; BipedalWalker 3, mujoco 5)")
    parser.add_argument("--cells", type=Path, default=locomotion.CELLS, help="mujoco: the file that keeps them")
    parser.add_argument("--table", action="store_true", help="mujoco: the page of what is kept; train nothing")
    parser.add_argument("--speed", action="store_true", help="measure steps per second too")
    parser.add_argument("--page", type=Path, default=HERE / "quality.md", help="the table")
    parser.add_argument("overrides", nargs="*", metavar="knob=value", help="knobs set over the configs")
    options = parser.parse_intermixed_args()
    if options.only == "mujoco":
        return locomotion.main(options, trained)
    wanted = options.only.split(",")
    unknown = [name for name in wanted if name not in KNOWN]
    if unknown:
        parser.error(f"--only: got {', '.join(unknown)}; expected mujoco, or some of {', '.join(KNOWN)}")
    cells, rng, data = Cells(options, NAME), np.random.default_rng(0), {}
    for config in wanted:
        number = options.seeds or KNOWN[config].seeds
        resolved = to_dict(read_config(ROOT / "configs" / f"{config}.yaml", options.overrides))
        knobs = hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:16]
        found = [
            cells.get({"config": config, "seed": seed, "knobs": knobs}, lambda c=config, s=seed: cell(options, c, s))
            for seed in range(number)
        ]
        means = [one["mean"] for one in found]
        (drawn,) = aggregates.resampled([means], rng, RESAMPLES)
        low, high = map(float, aggregates.interval(aggregates.interquartile_mean(drawn)))  # one stratum, the task
        data[config] = {
            "means": means,
            "env_steps": [one["env_steps"] for one in found],
            "iqm": float(aggregates.interquartile_mean(means)),
            "low": low,
            "high": high,
        }
    written = options.results / f"{NAME}.json"
    known = json.loads(written.read_text()) if written.exists() else {}
    speed = known.get("speed", {})
    if options.speed:
        speed |= {config: speed_of(options, config) for config in wanted if config in SPEED}
    tasks = {config: data.get(config) or known.get("tasks", {}).get(config) for config in KNOWN}
    everything = {
        "tasks": {config: figures for config, figures in tasks.items() if figures},
        "speed": speed,
        "facts": measuring.facts(options),
    }
    measuring.write(options, NAME, everything, section)
    options.page.write_text(section(everything))
    return 0


if __name__ == "__main__":
    sys.exit(main())
