"""Env steps per second of the whole training loop, against environments, hidden width and engine.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --only default,baseline

Real env steps over seconds of collecting and updating, as `result.json` has them: no start-up, no compiling, no
evaluation. REINFORCE, one episode of each environment an update, without stopping.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measuring
from measuring import PEERS, Cells, median, table

NAME = "throughput"
ENGINES = ("compiled", "gymnasium")
ENVS = {16: 60, 64: 40, 256: 30, 1024: 20, 4096: 15}  # environments: updates
WIDTHS = (8, 16, 32, 64, 128, 256)
OWN_PPO = PEERS / "own_ppo.yaml"
"""Our PPO with the pure-JAX peer's network and numbers."""
BACKENDS = ("jax", "c", "numba")
PARTS = ("default", "environments", "width", "backend", "baseline", "peer")


def ours(options: argparse.Namespace, cache: Path, envs: int, updates: int, seed: int, *more: str) -> dict[str, Any]:
    words = measuring.training_words(envs=envs, updates=updates, seed=seed, more=more)
    return figures(*measuring.train(options, words, cache))


def figures(result: dict[str, Any] | None, seen: measuring.Outcome) -> dict[str, Any]:
    """Speed, and who used the time: collecting, updating, and what else the loop did between the two."""
    if result is None:
        return measuring.failure(seen)
    seconds = result["seconds"]
    trained = seconds["collect"] + seconds["update"]
    rest = seconds["total"] - sum(value for part, value in seconds.items() if part != "total")
    return {
        "steps_per_second": result["steps_per_second"],
        "env_steps": result["env_steps"],
        "episode_steps": result["env_steps"] / result["episodes"],
        "collect_share": seconds["collect"] / trained,
        "update_share": seconds["update"] / trained,
        "overhead_share": rest / (trained + rest),
        "training_seconds": trained,
        "cpu_seconds": seen.cpu,
    }


def random_actions(seed: int, envs: int = 64, steps: int = 10_000) -> dict[str, Any]:
    """Gymnasium's own vectorised CartPole under random actions: nothing else is done. To be run pinned, by itself."""
    import gymnasium
    import numpy as np

    vector = gymnasium.make_vec("CartPole-v1", envs, vectorization_mode="vector_entry_point")
    vector.reset(seed=seed)
    actions = np.random.default_rng(seed).integers(0, 2, (steps, envs))
    resetting, real = np.zeros(envs, bool), 0
    began = time.perf_counter()
    for action in actions:
        *_, terminated, truncated, _ = vector.step(action)
        real += envs - int(resetting.sum())  # the step after an end only resets
        resetting = terminated | truncated
    return {"steps_per_second": real / (time.perf_counter() - began), "env_steps": real}


def baseline(options: argparse.Namespace, cache: Path, seed: int) -> dict[str, Any]:
    command = [options.python, str(Path(__file__).resolve()), "--random-actions", str(seed)]
    return spoken(options, command, cache)


def peer(options: argparse.Namespace, cache: Path, seed: int, name: str) -> dict[str, Any]:
    command = [options.peer_python, str(PEERS / "jax_ppo.py"), "--no-evaluation", "--total-steps", "256000"]
    return spoken(options, [*command, "--environment", name, "--seed", str(seed)], cache)


def spoken(options: argparse.Namespace, command: list[str], cache: Path) -> dict[str, Any]:
    """What a program says in its last line."""
    env = measuring.environment(options.source, cache)
    seen = measuring.run(command, cwd=options.results, env=env, core=options.core, timeout=options.timeout)
    if seen.code != 0:
        return measuring.failure(seen)
    line = json.loads(seen.out.splitlines()[-1])
    return {name: line[name] for name in ("steps_per_second", "env_steps")} | {"cpu_seconds": seen.cpu}


def plan(options: argparse.Namespace, cache: Path) -> list[tuple[dict[str, Any], Callable[[int], dict[str, Any]]]]:
    """(what, measure(seed)) of every cell, in the order of a round."""
    cells: list[tuple[dict[str, Any], Callable[[int], dict[str, Any]]]] = []
    wanted = options.only.split(",")

    def add(part: str, facts: dict[str, Any], measure: Callable[[int], dict[str, Any]]) -> None:
        if part in wanted:
            cells.append(({"part": part} | facts, measure))

    def mine(envs: int, updates: int, *more: str) -> Callable[[int], dict[str, Any]]:
        return lambda seed: ours(options, cache, envs, updates, seed, *more)

    add("default", {"envs": 16, "updates": 60}, mine(16, 60))
    for engine in ENGINES:
        for envs, updates in ENVS.items():
            facts = {"engine": engine, "envs": envs, "updates": updates, "hidden": 8}
            add("environments", facts, mine(envs, updates, f"environment.engine={engine}"))
    for engine in ENGINES:
        for width in WIDTHS:
            facts = {"engine": engine, "envs": 256, "updates": 15, "hidden": width}
            # The default step would throw a wide network into a corner, where episodes last 10 steps.
            rate = f"schedules.learning_rate.initial={0.4 / width}"
            more = (f"environment.engine={engine}", f"policy.hidden=[{width}]", rate)
            add("width", facts, mine(256, 15, *more))
    for backend in BACKENDS:  # on Gymnasium's environments: only jax has compiled ones
        more = ("environment.engine=gymnasium", f"backend={backend}", "policy.act=compiled")
        add("backend", {"backend": backend, "envs": 64, "updates": 40}, mine(64, 40, *more))
    add("baseline", {"what": "random actions, no learning"}, lambda seed: baseline(options, cache, seed))
    for episodes, updates in ((64, 60), (512, 60)):  # with more, environments whose episode has ended idle less
        more = ("environment.engine=gymnasium", f"schedules.episodes_per_update.initial={episodes}")
        facts = {"what": f"our training, {episodes} episodes an update", "updates": updates}
        add("baseline", facts, mine(64, updates, *more))
    for name in ("gymnax", "inline"):
        facts = {"what": f"pure-JAX PPO, {name}"}
        add("peer", facts, lambda seed, name=name: peer(options, cache, seed, name))
    words = [str(OWN_PPO), "solved.stop=false", "evaluation.every_updates=1000000"]
    words += ["evaluation.episodes=1", "budget.env_steps=256000"]
    measure = lambda seed: figures(*measuring.train(options, [*words, f"--seed={seed}"], cache))  # noqa: E731
    add("peer", {"what": "**pg_theano**, PPO with the same network and hyper-parameters"}, measure)
    return cells


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, a seed each; medians are shown")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument("--random-actions", type=int, metavar="SEED", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.random_actions is not None:
        print(json.dumps(random_actions(options.random_actions)))
        return
    cells = Cells(options, NAME)
    code = measuring.fingerprint(options.source / "pg_theano", PEERS, Path(__file__))
    with measuring.scratch() as cache:
        planned = plan(options, cache)
        found: list[list[dict[str, Any]]] = [[] for _ in planned]
        warmed: set[int] = set()
        for number in range(options.rounds):
            print(f"round {number + 1}")
            for index, (facts, measure) in enumerate(planned):

                def warm(
                    index: int = index,
                    facts: dict[str, Any] = facts,
                    measure: Callable[[int], dict[str, Any]] = measure,
                ) -> dict[str, Any]:
                    if index not in warmed and facts.get("backend", "jax") == "jax":  # the others keep nothing
                        warmed.add(index)
                        measure(1000)
                    return measure(number + 1)  # noqa: B023 (called at once)

                if number and facts.get("backend", "jax") != "jax":  # minutes of compiling each: one round
                    continue
                found[index].append(cells.get(facts | {"seed": number + 1, "code": code}, warm))
    data = {
        "rounds": options.rounds,
        "cells": [facts | middle(values) for (facts, _), values in zip(planned, found, strict=True)],
        "facts": measuring.facts(options),
    }
    measuring.write(options, NAME, data, section)


def middle(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of figures over rounds; an error stays an error."""
    failed = next((cell for cell in cells if "error" in cell), None)
    if failed:
        return failed
    numbers = [name for name, value in cells[0].items() if isinstance(value, (int, float))]
    return {name: median([cell[name] for cell in cells]) for name in numbers}


def section(data: dict[str, Any]) -> str:
    text = ["## Throughput", ""]
    text += [
        "Training steps per second: real env steps over seconds of collecting and updating; medians of "
        f"{data['rounds']} rounds, on one core. REINFORCE, 4-8-2 where no width is given; one episode of each "
        "environment an update, nothing evaluated, never stopped. `other` is what the loop did besides, as a share of "
        "the whole.",
        "",
    ]
    names = ("steps_per_second", "episode_steps", "collect_share", "update_share", "overhead_share")
    parts = {part: [cell for cell in data["cells"] if cell["part"] == part] for part in PARTS}

    def measured(cell: dict[str, Any]) -> list[Any]:
        if "error" in cell:
            return [cell["error"], None, None, None, None]
        return [cell[name] if name in names[:2] else f"{cell[name]:.0%}" for name in names]

    heads = ["training steps/s", "mean episode", "collect", "update", "other"]
    for cell in parts["default"]:
        text += [
            "The default config, its first 60 updates:",
            "",
            table(["config", *heads], [["default", *measured(cell)]]),
        ]
        text += [""]
    for part, title, first in (
        ("environments", "Number of environments, width 8:", "envs"),
        ("width", "Hidden width, 256 environments (learning rate 0.4 / width):", "hidden"),
    ):
        if parts[part]:
            rows = [[f"{cell['engine']}, {cell[first]:,}", cell["updates"], *measured(cell)] for cell in parts[part]]
            text += [title, "", table(["engine", "updates", *heads], rows), ""]
    if parts["backend"]:
        rows = [[cell["backend"], *measured(cell)] for cell in parts["backend"]]
        text += [
            "Backend: 64 of Gymnasium's environments, actions by the compiled `act` (`c` and `numba`: one round):",
            "",
        ]
        text += [table(["backend", *heads], rows), ""]
    if parts["baseline"]:
        text += ["Gymnasium's own vectorised CartPole, 64 environments, real steps only:", ""]
        speeds = [cell.get("steps_per_second") for cell in parts["baseline"]]
        rows = [
            [cell["what"], cell.get("error") or speed, f"{speed / speeds[0]:.2f}" if speed and speeds[0] else None]
            for cell, speed in zip(parts["baseline"], speeds, strict=True)
        ]
        text += [table(["what", "steps/s", "over the first"], rows), ""]
    if parts["peer"]:
        rows = [[cell["what"], cell.get("error") or cell["steps_per_second"]] for cell in parts["peer"]]
        text += ["Whole training under jit, 256,000 steps, 2x64 tanh actor and critic, 4 epochs:", ""]
        text += [table(["program", "training steps/s"], rows), ""]
    return "\n".join(text)


if __name__ == "__main__":
    sys.exit(main())
