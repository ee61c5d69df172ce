"""Tasks that need a memory: ppo without one, with four frames, a GRU, an LSTM; and steps per second beside pure JAX.

    pip install --target FOLDER --no-deps popgym mazelib cython             # for POPGym's tasks (Morad et al. 2023)
    PYTHONPATH=FOLDER python benchmarks/memory.py                           # all cells; finished ones are skipped
    PYTHONPATH=FOLDER python benchmarks/memory.py --only RepeatFirst,CountRecall --kinds gru --seeds 3
    python benchmarks/memory.py --only cartpole,pendulum,mountaincarcontinuous
    python benchmarks/memory.py --speed --peer-python PEER/bin/python       # the peer needs jax and optax

A cell is one seed of one task with one kind of memory, trained by the command to the end of its budget in a folder of
its own below `results`; one that was interrupted is resumed. It is judged by the mean of 100 greedy episodes in fresh
environments on other seeds, of the best checkpoint by the run's own evaluations.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import measuring
import numpy as np
from measuring import HERE, PEERS, ROOT, Cells, table

sys.path.insert(0, str(ROOT))

from pg_theano.config.reading import resolved, to_dict
from pg_theano.runs import statistics as aggregates
from pg_theano.training.evaluating import evaluate

NAME = "memory"
EPISODES, OTHER_SEEDS, RESAMPLES = 100, 1_000_000, 10_000


class Row(NamedTuple):
    """A task: its config, knobs over it, which memories, how many seeds, and what is asked of the GRU."""

    config: str | None
    words: list[str]
    kinds: list[str]
    seeds: int
    steps: int
    asked: str


KINDS = {
    "memoryless": ["policy.network=[{dense: 64}, {dense: 64}]"],
    "frames": [
        "policy.network=[{dense: 64}, {dense: 64}]",
        "environment.wrappers=[{'gymnasium.wrappers:FrameStackObservation': {stack_size: 4}}]",
    ],
    "gru": ["policy.network=[{dense: 64}, {gru: 64}]"],
    "lstm": ["policy.network=[{dense: 64}, {lstm: 64}]"],
}
POPGYM = [
    "algorithm.name=ppo", "environment.num_envs=16", "algorithm.num_steps=128", "algorithm.num_epochs=5",
    "algorithm.num_minibatches=4", "algorithm.discount=0.99", "algorithm.gae_lambda=0.95", "policy.activation=tanh",
    "policy.initialization=orthogonal", "algorithm.entropy_coefficient=0.003", "optimizer.max_gradient_norm=0.5",
    "schedules.learning_rate={kind: linear, initial: 1.0e-3, final: 0.0, over_updates: 489}", "solved.stop=false",
    "evaluation.every_updates=25", "evaluation.episodes=50",
]  # fmt: skip
CONTROL = [
    "algorithm.name=ppo", "environment.num_envs=16", "policy.activation=tanh", "normalize.rewards=true",
    "normalize.observations=true", "algorithm.gae_lambda=0.95", "algorithm.num_epochs=10", "solved.stop=false",
]  # fmt: skip
PENDULUM = [
    "environment.id=Pendulum-v1", "environment.observe=[0,1]", "algorithm.name=ppo", "environment.num_envs=8",
    "algorithm.discount=0.9", "algorithm.gae_lambda=0.95", "algorithm.num_epochs=10", "algorithm.num_steps=200",
    "algorithm.sequence_length=50", "algorithm.num_minibatches=16", "policy.activation=tanh",
    "policy.initialization=orthogonal", "policy.noise=state_dependent", "policy.noise_every=4",
    "normalize.rewards=true", "optimizer.max_gradient_norm=0.5", "evaluation.every_updates=10",
    "evaluation.episodes=20", "solved.stop=false",
    "schedules.learning_rate={kind: linear, initial: 1.0e-3, final: 1.0e-4, over_updates: 63}",
]  # fmt: skip
MOUNTAINCAR = [
    "environment.id=MountainCarContinuous-v0", "environment.observe=[0]", *CONTROL, "algorithm.discount=0.99",
    "algorithm.num_steps=128", "algorithm.num_minibatches=8", "policy.noise=pink", "evaluation.every_updates=10",
    "schedules.learning_rate={kind: linear, initial: 1.0e-3, final: 0.0, over_updates: 147}",
]  # fmt: skip


def popgym(name: str, asked: str = "") -> Row:
    return Row(None, [f"environment.id=popgym:popgym-{name}Easy-v0", *POPGYM], [*KINDS], 5, 1_000_000, asked)


ROWS = {
    "cartpole": Row("ppo-cartpole-memory", [], ["gru"], 10, 100_000, "10 of 10 at 475"),
    "pendulum": Row(None, PENDULUM, ["gru"], 10, 100_000, "−217.9"),
    "mountaincarcontinuous": Row(None, MOUNTAINCAR, ["gru"], 10, 300_000, "91.5"),
    "RepeatFirst": popgym("RepeatFirst", "0.9"),
    "RepeatPrevious": popgym("RepeatPrevious", "0.9"),
    "CountRecall": popgym("CountRecall"),
    "PositionOnlyCartPole": popgym("PositionOnlyCartPole"),
}
"""The first three are classic tasks without velocities (`environment.observe`); their references are rl-zoo's."""


# -- one cell


def words_of(options: argparse.Namespace, task: str, kind: str) -> list[str]:
    """What the command is given beside seed and folder: a config, or none, and knobs."""
    row = ROWS[task]
    config = [] if row.config is None else [str(ROOT / "configs" / f"{row.config}.yaml")]
    own = KINDS[kind] if row.config is None else []
    return [*config, *row.words, *own, f"budget.env_steps={row.steps}", "budget.updates=null", *options.overrides]


def cell(options: argparse.Namespace, task: str, kind: str, seed: int, words: list[str]) -> dict[str, Any]:
    folder = options.results / NAME / f"{task}-{kind}-seed{seed}"
    given = ["--resume", str(folder)] if (folder / "run.json").exists() else [*words, f"--seed={seed}"]
    given += [] if given[0] == "--resume" else ["--run-dir", str(folder)]
    result = folder / "result.json"
    if not result.exists() or json.loads(result.read_text())["status"] not in ("solved", "budget"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = ["taskset", "-c", str(options.core), options.python, "-m", "pg_theano.train", *given, "--no-plot"]
        env = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
        subprocess.run(command, check=True, cwd=options.results, env=env, stdout=subprocess.DEVNULL)
    found, judged = json.loads(result.read_text()), evaluate(folder, episodes=EPISODES, seed=OTHER_SEEDS + seed)
    seconds = found["seconds"]
    return {
        "mean": judged["mean"],
        "std": judged["std"],
        "env_steps": found["env_steps"],
        "seconds": seconds["collect"] + seconds["update"],
        "total": seconds["total"],
    }


# -- speed


SPEED = [
    "environment.engine=compiled", "environment.observe=[0,2]", "environment.num_envs=16", "algorithm.name=ppo",
    "algorithm.num_steps=64", "algorithm.num_epochs=10", "algorithm.num_minibatches=8", "algorithm.discount=0.98",
    "algorithm.gae_lambda=0.9", "policy.activation=tanh", "policy.network=[{dense: 32}, {gru: 32}]",
    "schedules.learning_rate.initial=1.5e-3", "solved.stop=false", "evaluation.every_updates=1000000",
    "evaluation.episodes=1", "budget.updates=null",
]  # fmt: skip
STEPS = {"ours": 400_000, "jax": 400_000}


def pair(options: argparse.Namespace, number: int) -> dict[str, float]:
    """Steps per second of training, ours and then the peer's, compilation left out: by the clock, on one core."""
    cache = options.results / "cache-memory"
    words = [*SPEED, f"budget.env_steps={STEPS['ours']}", f"--seed={number}"]
    result, seen = measuring.train(options, words, cache)
    if result is None:
        raise SystemExit(measuring.failure(seen)["error"])
    seconds = result["seconds"]["collect"] + result["seconds"]["update"]
    command = [options.peer_python, str(PEERS / "jax_recurrent_ppo.py"), f"--total-steps={STEPS['jax']}"]
    env = measuring.environment(options.source, cache) | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    outcome = measuring.run(
        [*command, f"--seed={number}"], cwd=PEERS, env=env, core=options.core, timeout=options.timeout
    )
    if outcome.code:
        raise SystemExit(measuring.failure(outcome)["error"])
    theirs = json.loads(outcome.out.splitlines()[-1])
    return {"ours": result["env_steps"] / seconds, "jax": theirs["steps_per_second"]}


# -- the page


def section(data: dict[str, Any]) -> str:
    rows = [
        [
            one["task"],
            one["kind"],
            f"{one['steps']:,}",
            len(one["means"]),
            f"**{one['iqm']:.3g}** ({one['low']:.3g} to {one['high']:.3g})",
            f"{min(one['means']):.3g}",
            f"{max(one['means']):.3g}",
            f"{statistics.median(one['seconds']):.0f}",
            one["asked"] if one["kind"] == "gru" else "",
        ]
        for one in data["tasks"]
    ]
    head = ["task", "memory", "env steps", "seeds", "IQM (95 %)", "worst", "best", "seconds, median", "asked"]
    lines = [
        "# Memory",
        "",
        "The mean of 100 greedy episodes of each seed in fresh environments, of the best checkpoint by the run's own",
        "evaluations; over seeds the interquartile mean (Agarwal et al. 2021) with its 95 % bootstrap interval.",
        "Seconds are of collecting and learning, on one core. Tasks with a capital letter are POPGym's, Easy",
        "(Morad et al. 2023), by one set of hyper-parameters. The others have their velocities hidden",
        "(`environment.observe`); asked there: the figure of rl-zoo's PPO-LSTM, for its interval to reach.",
        "",
        table(head, rows),
        "",
    ]
    if data.get("speed"):
        ours, jax = ([one[who] for one in data["speed"]] for who in ("ours", "jax"))
        ratio = statistics.median(a / b for a, b in zip(ours, jax, strict=True))
        lines += [
            "## Steps per second",
            "",
            "A GRU of 32 behind a dense layer of 32, policy and values apart, compiled CartPole without velocities,",
            "16 environments, 64 steps, 10 epochs of 8 minibatches of whole rows; one core, in turn, compilation left",
            "out. Beside ours pure JAX, an update one function: [`jax_recurrent_ppo.py`](peers/jax_recurrent_ppo.py).",
            "",
            table(
                ["ours, median", "pure JAX, median", "ours / pure JAX, median of pairs", "pairs"],
                [[f"{statistics.median(ours):,.0f}", f"{statistics.median(jax):,.0f}", f"{ratio:.2f}", len(ours)]],
            ),
            "",
        ]
    commands = ["python benchmarks/memory.py --only TASKS --kinds KINDS --seeds N"]
    commands += [f"python benchmarks/memory.py --speed --pairs {len(data['speed'])}"] if data.get("speed") else []
    return "\n".join([*lines, *(f"    {one}" for one in commands), ""])


def figures(task: str, kind: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    means = [one["mean"] for one in found]
    (drawn,) = aggregates.resampled([means], np.random.default_rng(0), RESAMPLES)
    low, high = map(float, aggregates.interval(aggregates.interquartile_mean(drawn)))
    row, iqm = ROWS[task], float(aggregates.interquartile_mean(means))
    seconds = [one["seconds"] for one in found]
    told = {"task": task, "kind": kind, "steps": row.steps, "asked": row.asked}
    return told | {"means": means, "iqm": iqm, "low": low, "high": high, "seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--only", default=",".join(ROWS), metavar="A,B", help="tasks")
    parser.add_argument("--kinds", metavar="A,B", help=f"memories, of {', '.join(KINDS)} (those of each task)")
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N-1 (10; POPGym's 5)")
    parser.add_argument("--speed", action="store_true", help="pairs of steps per second, and no cells")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--page", type=Path, default=HERE / "memory.md", help="the table")
    parser.add_argument("overrides", nargs="*", metavar="knob=value", help="knobs set over all configs")
    options = parser.parse_intermixed_args()
    written = options.results / f"{NAME}.json"
    known = json.loads(written.read_text()) if written.exists() else {"tasks": [], "speed": []}
    if options.speed:
        pairs = [pair(options, number) for number in range(options.pairs + 1)][1:]  # the first one compiles
        everything = known | {"speed": pairs, "facts": measuring.facts(options)}
    else:
        cells, data = Cells(options, NAME), []
        for task in options.only.split(","):
            for kind in options.kinds.split(",") if options.kinds else ROWS[task].kinds:
                words, found = words_of(options, task, kind), []
                file, *knobs = words if words[0].endswith(".yaml") else [None, *words]
                shaped = json.dumps(to_dict(resolved(file, knobs).config), sort_keys=True)
                knobs = hashlib.sha256(shaped.encode()).hexdigest()[:16]
                for seed in range(options.seeds or ROWS[task].seeds):
                    key = {"task": task, "kind": kind, "seed": seed, "knobs": knobs}
                    found.append(cells.get(key, partial(cell, options, task, kind, seed, words)))
                data.append(figures(task, kind, found))
        names = [(one["task"], one["kind"]) for one in data]
        others = [one for one in known["tasks"] if (one["task"], one["kind"]) not in names]
        places = [(task, kind) for task in ROWS for kind in KINDS]
        tasks = sorted([*others, *data], key=lambda one: places.index((one["task"], one["kind"])))
        everything = known | {"tasks": tasks, "facts": measuring.facts(options)}
    measuring.write(options, NAME, everything, section)
    options.page.write_text(section(everything))
    return 0


if __name__ == "__main__":
    sys.exit(main())
