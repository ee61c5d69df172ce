"""Agents trained together: trained agents per second, and steps per second, against agents in a batch.

    python benchmarks/agents.py
    python benchmarks/agents.py --numbers 1,16 --rounds 5

Each agent makes exactly 60 updates of the default config (REINFORCE on CartPole-v1, 16 environments) without stopping.
`together` is `runs: N` with `agents_per_process: N`, `loop` the same seeds one after the other in one process. Agents
per second are those of the command's wall-clock time without its imports (so with what is read from the compile cache
for each run, with checkpoints and results), steps per second those of collecting and updating alone. `solve` is the
default command as it is, until each of its seeds is solved, evaluations included. The peer is a pure-JAX PPO, all of it
under `jax.vmap`, beside ours with its network and numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring
from measuring import PEERS, Cells, median, table
from throughput import OWN_PPO, spoken

NAME = "agents"
UPDATES = 60
LONGEST_LOOP = 16
"""Runs of the loop, which is as quick per agent with more."""
PEER_STEPS = 40_960  # of each agent


def ours(options: argparse.Namespace, cache: Path, words: Sequence[str], number: int, together: bool) -> dict[str, Any]:
    """One command that trains `number` seeds: agents and steps a second, and who used the time."""
    with measuring.scratch() as folder:
        more = [f"runs={number}", f"agents_per_process={number if together else 1}"]
        command = measuring.ours(options, [*words, *more, "--json", "--no-plot", "--run-dir", "set"])
        env = measuring.environment(options.source, cache)
        seen = measuring.run(command, cwd=folder, env=env, core=options.core, timeout=options.timeout)
        if seen.code != 0:
            return measuring.failure(seen)
        paths = sorted(folder.glob("set/seed-*/result.json")) if number > 1 else [folder / "set" / "result.json"]
        results = [json.loads(path.read_text()) for path in paths]
    seconds = {part: sum(one["seconds"][part] for one in results) for part in results[0]["seconds"]}
    imported = results[0]["seconds"]["import"] if not together or number == 1 else seconds["import"]
    trained = seconds["collect"] + seconds["update"]
    steps = sum(one["env_steps"] for one in results)
    busy = seen.wall - imported
    return {
        "agents_per_second": len(results) / busy,
        "steps_per_second": steps / trained,
        "env_steps": steps,
        "collect_share": seconds["collect"] / busy,
        "update_share": seconds["update"] / busy,
        "evaluate_share": seconds["evaluate"] / busy,
        "compile_share": seconds["compile"] / busy,
        "wall_seconds": seen.wall,
        "cpu_seconds": seen.cpu,
    }


def peer(options: argparse.Namespace, cache: Path, number: int, seed: int) -> dict[str, Any]:
    command = [options.peer_python, str(PEERS / "jax_ppo.py"), "--no-evaluation", "--environment", "inline"]
    command += ["--total-steps", str(PEER_STEPS), "--agents", str(number), "--seed", str(seed)]
    return spoken(options, command, cache)


def own_ppo(options: argparse.Namespace, cache: Path, number: int, seed: int) -> dict[str, Any]:
    words = [str(OWN_PPO), f"budget.env_steps={PEER_STEPS}", "evaluation.every_updates=1000000"]
    words += ["evaluation.episodes=1", "solved.stop=false", f"--seed={seed}"]
    return ours(options, cache, words, number, True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, a seed each; medians are shown")
    parser.add_argument("--numbers", default="1,4,16,64,256", help="agents in a batch, with commas")
    parser.add_argument("--peer-numbers", default="1,4,16", help="the same of both PPOs")
    options = parser.parse_args(argv)
    cells = Cells(options, NAME)
    code = measuring.fingerprint(options.source / "pg_theano", PEERS, Path(__file__))
    fixed = lambda seed: measuring.training_words(envs=16, updates=UPDATES, seed=seed)  # noqa: E731
    whole = lambda seed: [f"--seed={seed}"]  # noqa: E731
    plan: list[tuple[dict[str, Any], Any]] = []
    with measuring.scratch() as cache:
        for number in map(int, options.numbers.split(",")):
            for how in ("loop", "together"):  # one beside the other, round by round
                if number > LONGEST_LOOP if how == "loop" else number == 1:
                    continue
                for what, words in (("fixed", fixed), ("solve", whole)):
                    if what == "solve" and number != 16:
                        continue
                    measure = lambda seed, words=words, number=number, how=how: ours(  # noqa: E731
                        options, cache, words(seed), number, how == "together"
                    )
                    plan.append(({"what": what, "agents": number, "how": how}, measure))
        for number in map(int, filter(None, options.peer_numbers.split(","))):
            facts = {"what": "ppo", "agents": number}
            plan.append((facts | {"how": "peer"}, lambda seed, number=number: peer(options, cache, number, seed)))
            plan.append((facts | {"how": "ours"}, lambda seed, number=number: own_ppo(options, cache, number, seed)))
        found: list[list[dict[str, Any]]] = [[] for _ in plan]
        for index in range(options.rounds):
            print(f"round {index + 1}")
            for place, (facts, measure) in enumerate(plan):

                def warm(index: int = index, measure: Any = measure) -> dict[str, Any]:
                    if index == 0:
                        measure(1000)
                    return measure(1 + 100 * index)

                found[place].append(cells.get(facts | {"round": index + 1, "code": code}, warm))
    middles = []
    for (facts, _), values in zip(plan, found, strict=True):
        failed = next((one["error"] for one in values if "error" in one), None)
        names = [name for name, value in values[0].items() if isinstance(value, (int, float))]
        middle = {"error": failed} if failed else {name: median([one[name] for one in values]) for name in names}
        middles.append(facts | middle)
    data = {"rounds": options.rounds, "cells": middles, "facts": measuring.facts(options)}
    measuring.write(options, NAME, data, section)


def section(data: dict[str, Any]) -> str:
    cells = data["cells"]
    text = ["## Agents together", ""]
    text += [
        f"REINFORCE on CartPole-v1 as by default, {UPDATES} updates of 16 episodes each for every agent, nothing "
        f"evaluated; one core, medians of {data['rounds']} rounds. `loop`: one run after the other in one process. "
        "Seconds are those of the whole command without its imports; `steps/s` is of collecting and updating alone.",
        "",
    ]
    loops = {cell["agents"]: cell for cell in cells if cell["how"] == "loop" and cell["what"] == "fixed"}
    longest = max(loops, default=None)
    heads = ["agents/s", "over the loop", "training steps/s", "over the loop", "collect", "update", "cached compiles"]
    rows = []
    for cell in (cell for cell in cells if cell["what"] == "fixed"):
        if "error" in cell:
            rows.append([f"{cell['agents']}, {cell['how']}: {cell['error']}", *[None] * len(heads)])
            continue
        beside = loops.get(cell["agents"], loops.get(longest))
        rows.append([f"{cell['agents']}, {cell['how']}", *_figures(cell, beside)])
    text += [table(["agents", *heads], rows), ""]
    solve = [cell for cell in cells if cell["what"] == "solve" and "error" not in cell]
    if solve:
        rows = [
            [f"{cell['agents']}, {cell['how']}", cell["wall_seconds"], f"{cell['evaluate_share']:.0%}"]
            for cell in solve
        ]
        text += ["Until all are solved, evaluations of 100 episodes included:", ""]
        text += [table(["agents", "seconds", "evaluating"], rows), ""]
    ppo = [cell for cell in cells if cell["what"] == "ppo"]
    if ppo:
        by = {(cell["agents"], cell["how"]): cell.get("error") or cell["steps_per_second"] for cell in ppo}
        numbers = sorted({agents for agents, _ in by})
        rows = [[f"{number}", by[number, "peer"], by[number, "ours"]] for number in numbers]
        text += [f"PPO, 2x64 tanh actor and critic, {PEER_STEPS:,} steps of each agent, training steps/s:", ""]
        text += [table(["agents", "pure-JAX PPO under jax.vmap", "**pg_theano**"], rows), ""]
    return "\n".join(text)


def _figures(cell: dict[str, Any], beside: dict[str, Any] | None) -> list[Any]:
    """The figures of one row, over those of the loop beside it."""
    row: list[Any] = []
    for name in ("agents_per_second", "steps_per_second"):
        ratio = f"{cell[name] / beside[name]:.2f}" if beside and "error" not in beside else None
        row += [cell[name], ratio]
    return row + [f"{cell[name]:.0%}" for name in ("collect_share", "update_share", "compile_share")]


if __name__ == "__main__":
    sys.exit(main())
