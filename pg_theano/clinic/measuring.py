"""Each fault in the twin, before each detector, whole episodes and stretches, over some seeds.

    measure(Path("clinic.jsonl"), say)         # cells are kept as they come, and an interrupted measurement goes on

A cell is one fault, one way of playing, one seed. `measured.json` holds what was measured; `table` prints it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano import parameters
from pg_theano.by_hand import advantages as twin
from pg_theano.by_hand import vpg
from pg_theano.clinic import calling, detectors, planted, table
from pg_theano.clinic.detectors import Advantages
from pg_theano.clinic.probes import DISCOUNT, PROBES, Probe
from pg_theano.runs import checkpoints
from pg_theano.runs import folder as runs
from pg_theano.spec.reading import spec_of
from pg_theano.training.run import run
from pg_theano.types import Array, Rollout

WAYS = ("whole", "stretches")
SEEDS = 5
BUDGET = 100_000  # env steps of CartPole; right code needs 10,000 to 45,000


def function_of(name: str, folder: Path) -> Advantages:
    """The function with a fault, from a file of its own."""
    stem = f"planted_{list(planted.PLANTED).index(name)}"
    (folder / f"{stem}.py").write_text(planted.source(name), "utf-8")
    with contextlib.chdir(folder):
        return calling.found(f"{stem}:advantages").call


@contextlib.contextmanager
def in_the_twin(advantages: Advantages) -> Iterator[None]:
    """The twin estimates by this function meanwhile, its targets too."""
    gae, estimate, targets = twin.gae, vpg.estimate, []

    def planted_gae(
        reward: Array, value: Array, next_value: Array, terminated: Array, truncated: Array, mask: Array, **how: float
    ) -> Array:
        found = np.zeros((2, *reward.shape))
        for e in range(len(reward)):  # the real steps of a row alone, as a buffer without padding has them
            real = mask[e] > 0
            column = [one[e, real][:, None] for one in (reward, value, next_value, terminated, truncated)]
            if real.any():
                both = advantages(*column, how["discount"], how["gae_lambda"])
                found[:, e, real] = np.stack(both)[:, :, 0]
        targets.append(found[1])
        return found[0]

    def planted_estimate(agent: vpg.Agent, state: Any, rollout: Rollout, **how: Any) -> vpg.Steps:
        steps = estimate(agent, state, rollout, **how)
        return steps._replace(target=targets.pop()[np.asarray(rollout.mask) > 0].astype(steps.target.dtype))

    # What the twin's modules call each other by is replaced, and put back.
    twin.gae, vpg.estimate = planted_gae, planted_estimate  # type: ignore[assignment]
    try:
        yield
    finally:
        twin.gae, vpg.estimate = gae, estimate


# -- one cell


def cell(name: str, way: str, seed: int) -> dict[str, Any]:
    """What each detector says of a fault."""
    with tempfile.TemporaryDirectory() as folder:
        advantages = function_of(name, Path(folder))
        with in_the_twin(advantages):
            learned = _curve(way, seed, Path(folder))
            found = {probe.name: _probe(probe, way, seed, Path(folder) / f"p{i}") for i, probe in enumerate(PROBES)}
            error = detectors.by_differences(seed)
    return {
        "fault": name,
        "way": way,
        "seed": seed,
        **learned,
        "probes": found,
        "table": detectors.by_table(advantages),
        "enumeration": detectors.by_enumeration(advantages, way, seed),
        "gradient": error,
    }


def _played(way: str) -> dict[str, Any]:
    return {"name": "ppo"} | ({"num_steps": None} if way == "whole" else {})


def _curve(way: str, seed: int, folder: Path) -> dict[str, Any]:
    """PPO of the twin on CartPole: what it took to solve it, and what it was worth then."""
    config: dict[str, Any] = {
        "gradients": "by_hand",
        "environment": {"id": "CartPole-v1", "engine": "gymnasium"},
        "algorithm": _played(way),
        "budget": {"env_steps": BUDGET},
    }
    if way == "whole":  # the defaults are tuned for stretches
        config["algorithm"] |= {"num_epochs": 10, "num_minibatches": 4}
        config["schedules"] = {"learning_rate": {"initial": 0.003}, "episodes_per_update": {"initial": 8}}
    figures = run(config, seed=seed, run_dir=folder / "curve").figures
    solved = figures["status"] == "solved"
    return {"solved": solved, "env_steps": figures["env_steps"], "mean": figures["evaluation"]["mean"]}


def _probe(probe: Probe, way: str, seed: int, folder: Path) -> bool:
    """Whether the probe was learned."""
    whole = way == "whole"
    config: dict[str, Any] = {
        "gradients": "by_hand",
        "environment": {"num_envs": 16},
        "policy": {"hidden": [8], "activation": "tanh"},
        "algorithm": _played(way) | {"discount": DISCOUNT, "num_minibatches": 2, "num_epochs": 4},
        "schedules": {"learning_rate": {"initial": 0.01}},
        "optimizer": {"name": "adam", "max_gradient_norm": 1.0},
        "evaluation": {"episodes": 1, "every_updates": 10**6},
        "budget": {"updates": probe.updates},
    }
    config["schedules"] |= {"episodes_per_update": {"initial": 64}} if whole else {}
    config["algorithm"] |= {} if whole else {"num_steps": 8}
    run(config, seed=seed, run_dir=folder, environment=probe.environment)
    return all(np.abs(np.subtract(_said(probe, folder), probe.expected)) <= probe.within)


def _said(probe: Probe, folder: Path) -> Array:
    """V, or the probability of action 1, of the probe's observations."""
    state, (_, facts) = checkpoints.newest(folder / "checkpoints").state, runs.read_run(folder)
    acting = spec_of(facts["spec"]).acting
    arrays = parameters.views(state["params"], acting.layout)
    path = [arrays[name] for placed in acting.path(probe.head) for name, *_ in placed.arrays]  # type: ignore[arg-type]
    x = np.array(probe.at)[:, None]  # [N, 1]
    for weight, bias in zip(path[:-2:2], path[1:-2:2], strict=True):
        x = np.tanh(x @ weight + bias)
    outputs = x @ path[-2] + path[-1]
    if probe.head == "value":
        return outputs[:, 0]
    raised = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return raised[:, 1] / raised.sum(axis=1) if raised.shape[1] > 1 else 1 / (1 + np.exp(-outputs[:, 0]))


# -- all cells


def measure(path: Path, say: Callable[[str], None], seeds: int = SEEDS) -> list[dict[str, Any]]:
    """Every cell, in the file `path` as lines of JSON; those that it has already are not measured again."""
    rows = table.read(path) if path.exists() else []
    known = {(row.get("fault"), row.get("way"), row.get("seed")) for row in rows}
    wanted = [key for key in itertools.product(planted.PLANTED, WAYS, range(seeds)) if key not in known]
    for number, (name, way, seed) in enumerate(wanted, 1):
        row = cell(name, way, seed)
        rows.append(row)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        say(
            f"{number} of {len(wanted)}: {name}, {way}, seed {seed}: {row['env_steps']:,} steps, mean {row['mean']:.0f}"
        )
    return rows
