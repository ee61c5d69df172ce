"""Process start to a policy that passes 475 on Gymnasium's CartPole: this project and four others, warm and cold.

    python benchmarks/time_to_solve.py
    python benchmarks/time_to_solve.py --rounds 2 --only pg_theano,sb3_ppo --modes warm

Every program runs in a process of its own, pinned to the same core, A B C ... A B C ..., a round a seed.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring
from measuring import PEERS, Cells, median, shown, table

NAME = "time_to_solve"
LABELS = {
    "pg_theano": "**pg_theano**, REINFORCE (no plot)",
    "pg_theano_plot": "**pg_theano**, the default command (with plot)",
    "pg_theano_ppo": "**pg_theano**, PPO, 2x64 tanh (no plot)",
    "pg_theano_cem": "**pg_theano**, cross-entropy method, linear policy (no plot)",
    "sb3_ppo": "Stable-Baselines3 PPO, rl-zoo's tuned",
    "torch_ppo": "torch PPO, CleanRL's defaults",
    "jax_ppo_published": "pure-JAX PPO, PureJaxRL's, gymnax",
    "jax_ppo": "pure-JAX PPO, gymnax, JAX's persistent cache on",
    "jax_ppo_inline": "pure-JAX PPO, CartPole written out, persistent cache on",
    "cma_linear": "pycma, linear policy",
}
PEER_SCRIPTS: dict[str, tuple[str, list[str]]] = {
    "sb3_ppo": ("sb3_ppo.py", []),
    "torch_ppo": ("torch_ppo.py", []),
    "jax_ppo_published": ("jax_ppo.py", []),
    "jax_ppo": ("jax_ppo.py", []),
    "jax_ppo_inline": ("jax_ppo.py", ["--environment", "inline"]),
    "cma_linear": ("cma_linear.py", []),
}
BASE = "pg_theano"


def measure(options: argparse.Namespace, program: str, seed: int, cache: Path) -> dict[str, Any]:
    """One process: when it had solved, when it ended, and what it cost."""
    with measuring.scratch() as folder:
        if program in PEER_SCRIPTS:
            script, words = PEER_SCRIPTS[program]
            command = [options.peer_python, str(PEERS / script), *words, "--seed", str(seed)]
        else:
            words = [] if program == "pg_theano_plot" else ["--json", "--no-plot"]
            command = measuring.ours(options, [*options.programs[program], *words, "--seed", str(seed)])
        env = measuring.environment(options.source, cache)
        if program == "jax_ppo_published":
            del env["JAX_COMPILATION_CACHE_DIR"]
        seen = measuring.run(command, cwd=folder, env=env, core=options.core, timeout=options.timeout)
        if seen.code != 0:
            return measuring.failure(seen)
        both = {"exit_seconds": seen.wall, "cpu_seconds": seen.cpu, "memory_mib": seen.memory / 2**20}
        if program in PEER_SCRIPTS:
            line = json.loads(seen.out.splitlines()[-1])
            names = ("solved", "env_steps", "steps_per_second", "training_seconds", "evaluation_seconds")
            return {"seconds": line["seconds_to_solve"]} | both | {name: line[name] for name in names}
        result = json.loads(next(folder.glob("runs/*/result.json")).read_text())
        solved = result["status"] == "solved"
        parts = {f"{part}_seconds": seconds for part, seconds in result["seconds"].items()}
        own = {name: result[name] for name in ("env_steps", "steps_per_second")}
        return {"seconds": seen.wall if solved else None, "solved": solved} | both | own | parts


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with its own seed")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--only", default="", help="programs, with commas: " + ",".join(LABELS))
    parser.add_argument("--modes", default="warm,cold")
    parser.add_argument("--warm-ups", type=int, default=2, help="unmeasured runs, on other seeds, that fill the caches")
    parser.add_argument(
        "--also", action="append", default=[], metavar="NAME=WORDS", help="one more of ours: ppo='configs/ppo.yaml'"
    )
    options = parser.parse_args(argv)
    options.programs = {"pg_theano": [], "pg_theano_plot": [], "pg_theano_ppo": ["algorithm.name=ppo"]}
    options.programs["pg_theano_cem"] = ["algorithm.name=cem"]
    for name, _, words in (text.partition("=") for text in options.also):
        existing = [(options.source / word) for word in shlex.split(words)]
        options.programs[name] = [
            str(path.resolve()) if path.exists() else word
            for path, word in zip(existing, shlex.split(words), strict=True)
        ]
    names = [*options.programs, *PEER_SCRIPTS]
    chosen = [name for name in options.only.split(",") if name] or names
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        parser.error(f"--only: {', '.join(unknown)} not known; known: {', '.join(names)}")
    code = {name: measuring.fingerprint(PEERS) for name in PEER_SCRIPTS}
    code |= dict.fromkeys(options.programs, measuring.fingerprint(options.source / "pg_theano"))
    modes = options.modes.split(",")
    cells = Cells(options, NAME)
    found: dict[str, dict[str, list[dict[str, Any]]]] = {mode: {name: [] for name in chosen} for mode in modes}

    with measuring.scratch() as warm:
        filled: set[str] = set()

        def cell(name: str, mode: str, seed: int) -> dict[str, Any]:
            if mode == "cold":
                with measuring.scratch() as empty:
                    return measure(options, name, seed, empty)
            if name not in filled:  # only programs that are measured need their caches filled
                filled.add(name)
                for number in range(options.warm_ups):
                    measure(options, name, 1000 + number, warm / name)
            return measure(options, name, seed, warm / name)

        for number in range(options.rounds):
            for mode in modes:
                print(f"round {number + 1}, {mode}")
                for name in chosen:
                    if mode == "cold" and name == "jax_ppo":  # with an empty cache, as published
                        continue
                    seed = options.first_seed + number
                    key = {"mode": mode, "program": name, "seed": seed, "code": code[name], "core": options.core}
                    if mode == "warm":
                        key["warm_ups"] = options.warm_ups
                    found[mode][name].append(
                        cells.get(key, lambda name=name, mode=mode, seed=seed: cell(name, mode, seed))
                    )
    data = {"facts": measuring.facts(options), "rounds": options.rounds, "warm_ups": options.warm_ups, "cells": found}
    measuring.write(options, NAME, data, section)


def summarised(cells: list[dict[str, Any]]) -> dict[str, Any]:
    whole = [cell for cell in cells if "error" not in cell]
    figures = {name: median([c[name] for c in whole]) if whole else None for name in ("exit_seconds", "cpu_seconds")}
    steps = [c["env_steps"] for c in whole if c["solved"]]
    times = [cell.get("seconds") for cell in cells]
    solved = [seconds for seconds in times if seconds is not None]
    return figures | {
        "seconds": median(times),
        "spread": f"{shown(min(solved))} to {shown(max(solved))}" if solved else None,
        "solved": f"{len(solved)} of {len(cells)}",
        "env_steps": median(steps) if steps else None,
        "steps_per_second": median([c["steps_per_second"] for c in whole]) if whole else None,
    }


def over(value: float | None, base: float | None) -> str | None:
    return f"{value / base:.2f}" if value and base else None


def section(data: dict[str, Any]) -> str:
    head = [
        "program", "median seconds to 475", "fastest to slowest", "ratio", "seconds to exit", "CPU seconds",
        "CPU ratio", "solved", "env steps, where solved", "training steps/s",
    ]  # fmt: skip
    text = ["## Time to solve", ""]
    text += [
        "Seconds from process start to a policy whose 100 greedy episodes in a fresh Gymnasium CartPole-v1 have a mean "
        f"of at least 475: medians of {data['rounds']} rounds, a seed each, all pinned to one core, one after the "
        "other. For the peers the clock stops at the first evaluation that passes, inside the process; for us at the "
        "exit of the process, after a second evaluation on fresh seeds. The peers are asked every 1,024 steps (the "
        "JAX ones every 10,240, pycma after each generation), and an evaluation that can no longer pass is cut short. "
        "A run that never passed counts as infinitely long. Ratios are medians over our median without the plot.",
        "",
    ]
    titles = {
        "warm": f"Warm: {data['warm_ups']} earlier runs on other seeds have filled the caches. PureJaxRL does not "
        "switch JAX's persistent cache on; the first of its rows is as published.",
        "cold": "Cold: every cache is an empty folder (ours, JAX's, PyTensor's, matplotlib's). Python's bytecode files "
        "and the operating system's page cache stay.",
    }
    for mode, programs in data["cells"].items():
        text += [titles[mode], ""]
        figures = {name: summarised(cells) for name, cells in programs.items() if cells}
        base = figures.get(BASE, {})
        rows = []
        for name, f in figures.items():
            label = LABELS.get(name, f"**pg_theano**, {name}")
            ratios = [over(f[key], base.get(key)) for key in ("seconds", "cpu_seconds")]
            rows.append(
                [label, f["seconds"], f["spread"], ratios[0], f["exit_seconds"], f["cpu_seconds"], ratios[1]]
                + [f[key] for key in ("solved", "env_steps", "steps_per_second")]
            )
        text += [table(head, rows), ""]
        failed = [f"- {name}: {c['error']}" for name, cells in programs.items() for c in cells if "error" in c]
        text += [*failed, ""] if failed else []
    return "\n".join(text)


if __name__ == "__main__":
    main()
