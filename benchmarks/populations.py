"""Seconds of search until a linear policy passes 475 on Gymnasium's CartPole: populations of ours, pycma and evotorch.

    python benchmarks/populations.py
    python benchmarks/populations.py --rounds 2 --only cem,cma_1

Every program runs in a process of its own, pinned to the same core, A B C ... A B C ..., a round a seed. Seconds of
search are those of asking, playing and telling: no import, no compiling, no evaluation. Ours are warm.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import measuring
from measuring import PEERS, Cells, median, table

NAME = "populations"
OURS = {
    "cem": "**pg_theano**, `algorithm.name=cem`",
    "cmaes": "**pg_theano**, `algorithm.name=cmaes`",
    "pgpe": "**pg_theano**, `algorithm.name=pgpe`",
    "es": "**pg_theano**, `algorithm.name=es`",
}
OTHERS = {
    "cma_1": ("pycma, 8 candidates, one episode each", "cma_linear.py", ["--episodes-each", "1"]),
    "cma_8": ("pycma, 8 candidates, 8 episodes each", "cma_linear.py", []),
    "evotorch": ("evotorch, PGPE", "evotorch_pgpe.py", []),
}


def measure(options: argparse.Namespace, program: str, seed: int, cache: Any) -> dict[str, Any]:
    with measuring.scratch() as folder:
        if program in OTHERS:
            _, script, words = OTHERS[program]
            command = [options.peer_python, str(PEERS / script), *words, "--seed", str(seed)]
        else:
            command = measuring.ours(options, [f"algorithm.name={program}", "--json", "--no-plot", "--seed", str(seed)])
        env = measuring.environment(options.source, cache)
        seen = measuring.run(command, cwd=folder, env=env, core=options.core, timeout=options.timeout)
        if seen.code != 0:
            return measuring.failure(seen)
        line = json.loads(seen.out.splitlines()[-1])
        if program in OTHERS:
            return {
                "solved": line["solved"],
                "search_seconds": line["training_seconds"],
                "env_steps": line["env_steps"],
                "exit_seconds": seen.wall,
            }
        return {
            "solved": line["status"] == "solved",
            "search_seconds": line["seconds"]["collect"] + line["seconds"]["update"],
            "env_steps": line["env_steps"],
            "episodes": line["episodes"],
            "exit_seconds": seen.wall,
        }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--rounds", type=int, default=5, help="rounds, a seed each; medians are shown")
    parser.add_argument("--only", default=",".join([*OURS, *OTHERS]), help="programs, with commas")
    options = parser.parse_args(argv)
    chosen = options.only.split(",")
    unknown = [name for name in chosen if name not in OURS and name not in OTHERS]
    if unknown:
        parser.error(f"--only: got {', '.join(unknown)}; expected some of {', '.join([*OURS, *OTHERS])}")
    cells = Cells(options, NAME)
    code = measuring.fingerprint(options.source / "pg_theano", PEERS)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    with measuring.scratch() as cache:
        for name in chosen:
            if name in OURS:
                measure(options, name, 1000, cache)
        for number in range(options.rounds):
            print(f"round {number + 1}")
            for name in chosen:
                key = {"program": name, "seed": number + 1, "code": code}
                found[name].append(
                    cells.get(key, lambda name=name, number=number: measure(options, name, number + 1, cache))
                )
    data = {"facts": measuring.facts(options), "rounds": options.rounds, "cells": found}
    measuring.write(options, NAME, data, section)


def section(data: dict[str, Any]) -> str:
    rows = []
    medians: dict[str, float | None] = {}
    for name, cells in data["cells"].items():
        failed = next((cell["error"] for cell in cells if "error" in cell), None)
        label = OURS.get(name) or OTHERS[name][0]
        if failed:
            rows.append([label, failed, None, None, None, None])
            continue
        medians[name] = median([cell["search_seconds"] if cell["solved"] else None for cell in cells])
        solved = [cell for cell in cells if cell["solved"]]
        rows.append(
            [
                label,
                medians[name],
                median([cell["env_steps"] for cell in solved]) if solved else None,
                median([cell["episodes"] for cell in solved]) if solved and "episodes" in solved[0] else None,
                median([cell["exit_seconds"] for cell in cells]),
                f"{len(solved)} of {len(cells)}",
            ]
        )
    head = ["program", "seconds of search", "env steps", "episodes", "process start to exit, s", "solved"]
    text = ["## Populations: seconds of search to 475 on CartPole", ""]
    text += [
        "A linear policy on CartPole-v1. Seconds of search are those of asking, playing and telling, without imports, "
        f"compiling and evaluations; medians of {data['rounds']} rounds, a seed each, in turn on one core. A program "
        "has solved it once the mean return of 100 greedy episodes in fresh Gymnasium environments is at least 475; "
        "ours twice.",
        "",
        table(head, rows),
        "",
    ]
    ratios = [
        f"{OTHERS[peer][0]} takes {medians[peer] / medians[own]:.1f} times our `{own}`"
        for own, peer in (("cem", "cma_1"), ("cmaes", "cma_1"), ("pgpe", "evotorch"))
        if medians.get(own) and medians.get(peer)
    ]
    return "\n".join([*text, *([f"Ratios: {'; '.join(ratios)}.", ""] if ratios else [])])


if __name__ == "__main__":
    sys.exit(main())
