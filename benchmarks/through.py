"""CPU seconds of learning to a threshold that was set before: `shac` and `apg`, through the dynamics, over tuned `ppo`.

    python benchmarks/through.py                       # all configs, seeds 0 to 9; finished cells are kept
    python benchmarks/through.py --only quadrotor --seeds 3

A cell is one seed of one config, in a process of its own that has first trained for two updates on another seed, so
that nothing is compiled while it is measured. Its seconds are those of the process's CPU in collecting and updating: no
import, no compiling, no evaluation. It has learned once the mean of 100 greedy episodes reaches `solved.threshold` of
its config twice, on fresh seeds the second time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring
from measuring import ROOT, Cells, median, table

sys.path.insert(0, str(ROOT))

from pg_theano.config.reading import read_config, to_dict

NAME = "through"
TRIED = (
    "A fifth of `ppo`'s time was asked for. It is had on the quadrotor, where two of ten seeds of `ppo` do not "
    "come to the threshold and count as infinite. Tried on the swing-up, on seeds 100 to 106: `apg` with and "
    "without a shortened gradient, which did not come near; `shac` with 16 steps, 16 and 32 environments, twice "
    "the rate, three epochs, most of which missed the threshold on some seed. Tried on the arm: `apg` with rates "
    "of 0.01 and 0.02, 16 and 32 environments and two spreads, which took 0.4 seconds or missed it; `shac` with "
    "16 and 25 steps, discounts of 0.9 and 0.95, one to four epochs and rates of 0.01 to 0.03. The quickest of "
    "each are in the table. A step of `shac` costs 1.2 to 1.6 times one of `ppo`."
)
TASKS = {
    "swingup": "CartPoleSwingUp-v0",
    "quadrotor": "Quadrotor2D-v0",
    "reacher": "Reacher2-v0",
    "doubleintegrator": "DoubleIntegrator-v0",
}


def trained(config: str, seed: int) -> dict[str, Any]:
    """One run in this process, after a short one that compiles all that it needs."""
    from pg_theano.compiler import program
    from pg_theano.runs import figures
    from pg_theano.training.run import run

    figures.time = types.SimpleNamespace(perf_counter=time.process_time)  # its parts in CPU seconds
    program.keep()
    with measuring.scratch() as folder:
        run(config, ["budget.updates=2", "evaluation.every_updates=1"], seed=seed + 1000, run_dir=folder / "warm")
        found = run(config, [], seed=seed, run_dir=folder / "run").figures
    seconds = found["seconds"]
    return {
        "solved": found["status"] == "solved",
        "learning_seconds": seconds["collect"] + seconds["update"],
        "env_steps": found["env_steps"],
        "updates": found["updates"],
        "evaluation": found["evaluation"]["mean"],
        "threshold": found["threshold"],
    }


def measure(options: argparse.Namespace, name: str, seed: int, cache: Any) -> dict[str, Any]:
    words = [str(Path(__file__).resolve()), "--child", str(ROOT / "configs" / f"{name}.yaml"), str(seed)]
    env = measuring.environment(options.source, cache)
    seen = measuring.run(
        [options.python, *words], cwd=options.results, env=env, core=options.core, timeout=options.timeout
    )
    return json.loads(seen.out.splitlines()[-1]) if seen.code == 0 else measuring.failure(seen)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0, 1, ...")
    parser.add_argument("--only", default=",".join(TASKS), help="tasks, with commas")
    parser.add_argument("--child", nargs=2, metavar=("CONFIG", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        print(json.dumps(trained(options.child[0], int(options.child[1]))))
        return
    cells, found = Cells(options, NAME), {}
    cache = (options.results / "cache").resolve()
    for task in options.only.split(","):
        for algorithm in ("ppo", "shac", "apg"):
            name = f"{algorithm}-{task}"
            path = ROOT / "configs" / f"{name}.yaml"
            if not path.exists() or read_config(path).solved.threshold is None:  # as that of Riccati's optimum
                continue
            knobs = json.dumps(to_dict(read_config(path)), sort_keys=True)
            code = hashlib.sha256(knobs.encode()).hexdigest()[:12]
            keys = [{"config": name, "seed": seed, "code": code} for seed in range(options.seeds)]
            found[name] = [
                cells.get(key, lambda name=name, key=key: measure(options, name, key["seed"], cache)) for key in keys
            ]
    measuring.write(options, NAME, {"facts": measuring.facts(options), "cells": found}, section)


def section(data: dict[str, Any]) -> str:
    rows, medians = [], {}
    for name, cells in data["cells"].items():
        whole = [cell for cell in cells if "error" not in cell]
        seconds = [cell["learning_seconds"] if cell["solved"] else None for cell in whole]
        medians[name] = median(seconds) if seconds else None
        solved = [one for one in seconds if one is not None]
        algorithm, task = name.split("-", 1)
        base = medians.get(f"ppo-{task}")
        rows.append(
            [
                f"`{TASKS[task]}`, `{algorithm}`",
                whole[0]["threshold"] if whole else None,
                f"{len(solved)} of {len(cells)}",
                medians[name],
                f"{min(solved):.2f} to {max(solved):.2f}" if solved else None,
                median([cell["env_steps"] if cell["solved"] else None for cell in whole]) if whole else None,
                medians[name] / base if base and medians[name] and algorithm != "ppo" else None,
            ]
        )
    head = ["task", "threshold", "reached", "CPU seconds of learning", "least and most", "env steps", "over `ppo`"]
    words = [
        "CPU seconds of collecting and updating until the mean of 100 greedy episodes reaches the threshold twice, in "
        "a process that has compiled before; medians over seeds, of which one that did not reach it counts as "
        "infinite. A threshold is 1.25 times the cost that `ppo` came to in 2.4 million steps with a rate that falls "
        "to 0: the median over seeds 100 to 102 of each one's best evaluation; of the double integrator, 1.25 "
        "times the cost of the optimum. All were tuned on seeds "
        "from 100, and are measured on seeds 0 to 9.",
        "",
        table(head, rows),
        "",
        TRIED,
        "",
        f"Measured {data['facts']['date']} on {data['facts']['machine']['processor']}, one core, by "
        f"`python benchmarks/through.py`.",
    ]
    return "\n".join(["# Learning through the dynamics", "", *words, ""])


if __name__ == "__main__":
    main()
