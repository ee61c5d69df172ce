"""CPU seconds of 100,352 steps of MuJoCo's Hopper: this project, CleanRL's own script and Stable-Baselines3, in turn.

    python benchmarks/hopper.py --cleanrl FOLDER --cleanrl-python PYTHON

`--cleanrl` is a checkout of CleanRL, whose script is run as it is (for what may be there, it asks for Gymnasium 0.29.1,
so it may have an interpreter of its own). All do the same work: one environment, 49 rollouts of 2,048 steps, 10 epochs
of 32 minibatches, two networks of two tanh layers of 64, observations and rewards normalised, no evaluation. CPU
seconds are of the whole process, from start to exit, so that a busy machine changes little.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring
from measuring import PEERS, ROOT, Cells, median, shown, table

NAME = "hopper"
STEPS = 49 * 2048
OURS = {"pg_theano": (1, 2048), "pg_theano_16": (16, 128)}
"""Environments, and steps of each in a rollout."""
LABELS = {
    "pg_theano": "**pg_theano**, one environment",
    "pg_theano_16": "**pg_theano**, 16 environments: as `configs/ppo-hopper.yaml`",
    "cleanrl": "CleanRL, `ppo_continuous_action.py`",
    "sb3": "Stable-Baselines3 PPO, CleanRL's numbers",
}


def command_of(options: argparse.Namespace, program: str, seed: int, steps: int) -> list[str]:
    if program == "cleanrl":
        script = options.cleanrl / "cleanrl" / "ppo_continuous_action.py"
        words = ["--env-id", "Hopper-v4", "--no-cuda", "--total-timesteps", str(steps), "--seed", str(seed)]
        return [options.cleanrl_python or options.peer_python, str(script), *words]
    if program == "sb3":
        return [options.peer_python, str(PEERS / "sb3_hopper.py"), "--total-steps", str(steps), "--seed", str(seed)]
    envs, stretch = OURS[program]
    words = [
        str(ROOT / "configs" / "ppo-hopper.yaml"),
        f"environment.num_envs={envs}",
        f"algorithm.num_steps={stretch}",
        "algorithm.value_clip_range=0.2",
        f"schedules.learning_rate.over_updates={steps // 2048}",
        f"budget.updates={steps // 2048}",
        "budget.env_steps=null",
        "evaluation.every_updates=1000000",
        "evaluation.episodes=1",
    ]
    return measuring.ours(options, [*words, f"--seed={seed}", "--json", "--no-plot", "--run-dir", "run"])


def measure(options: argparse.Namespace, program: str, seed: int, cache: Path, steps: int = STEPS) -> dict[str, Any]:
    with measuring.scratch() as folder:
        seen = measuring.run(
            command_of(options, program, seed, steps),
            cwd=folder,
            env=measuring.environment(options.source, cache) | {"CUDA_VISIBLE_DEVICES": ""},
            core=options.core,
            timeout=options.timeout,
        )
    if seen.code != 0:
        return measuring.failure(seen)
    return {"cpu_seconds": seen.cpu, "seconds": seen.wall, "memory_mib": seen.memory / 2**20}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--cleanrl", type=Path, help="a checkout of CleanRL; without it that row is left out")
    parser.add_argument("--cleanrl-python", help="an interpreter that has its needs (--peer-python)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, a seed each; medians are shown")
    options = parser.parse_args(argv)
    cells, code = Cells(options, NAME), measuring.fingerprint(options.source / "pg_theano", Path(__file__))
    chosen = [name for name in LABELS if name != "cleanrl" or options.cleanrl]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    with measuring.scratch() as cache:
        for name in chosen:  # caches and bytecode, as for a user's second run
            measure(options, name, 1000, cache / name, steps=2048)
        for seed in range(1, options.rounds + 1):
            for name in chosen:
                key = {"program": name, "seed": seed, "core": options.core, "code": code}
                found[name].append(
                    cells.get(key, lambda name=name, seed=seed: measure(options, name, seed, cache / name))
                )
    data = {"facts": measuring.facts(options), "rounds": options.rounds, "cells": found}
    measuring.write(options, NAME, data, section)


def section(data: dict[str, Any]) -> str:
    rows, base = [], None
    for name, cells in data["cells"].items():
        cpu = [cell["cpu_seconds"] for cell in cells if "error" not in cell]
        middle = median(cpu) if cpu else None
        base = base or middle
        memory = median([cell["memory_mib"] for cell in cells if "error" not in cell]) if cpu else None
        spread = f"{shown(min(cpu))} to {shown(max(cpu))}" if cpu else None
        ratio = f"{middle / base:.2f}" if middle and base else None
        rows.append([LABELS[name], middle, spread, ratio, memory])
    text = [
        "## Hopper",
        "",
        f"CPU seconds of {STEPS:,} steps of MuJoCo's Hopper with PPO, the whole process from start to exit: medians "
        f"of {data['rounds']} rounds, a seed each, pinned to one core, one after the other. The same work for all: one "
        "environment (but for the second row), rollouts of 2,048 steps, 10 epochs of 32 minibatches, policy and value "
        "network of two tanh layers of 64, observations and rewards normalised, the value loss clipped, no evaluation. "
        "Caches are warm. CleanRL's script as it is, on Hopper-v4 (Gymnasium 0.29.1); the others on Hopper-v5.",
        "",
        table(["program", "CPU seconds", "least to most", "ratio", "MiB"], rows),
        "",
    ]
    failed = [f"- {name}: {c['error']}" for name, cells in data["cells"].items() for c in cells if "error" in c]
    return "\n".join([*text, *failed, ""] if failed else text)


if __name__ == "__main__":
    main()
