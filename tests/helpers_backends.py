"""The same config and seed on two backends: how far apart every number of every update is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers_runs import merged, ran, records

from pg_theano.runs import checkpoints

UPDATES = 20
BASE = {
    "dtype": "float64",
    "environment": {"id": "CartPole-v1", "num_envs": 4, "engine": "gymnasium"},
    "policy": {"hidden": [4]},
    "schedules": {"episodes_per_update": {"initial": 4}},
    "evaluation": {"episodes": 5, "every_updates": 10},
    "solved": {"stop": False},
}
CONFIGS = {
    "reinforce": {},
    "vpg": {"algorithm": {"name": "vpg", "entropy_coefficient": 0.01}},
    "ppo": {
        "algorithm": {
            "name": "ppo",
            "num_steps": 32,
            "num_epochs": 2,
            "num_minibatches": 3,
            "entropy_coefficient": 0.01,
        },
    },
}
"""In Gymnasium's environment: the compiled one is JAX's alone. Of the last two there is a twin by hand."""


def trained(name: str, folder: Path, updates: int, **changes) -> Path:
    """The folder of a run of so many updates."""
    folder.mkdir(parents=True)
    config = merged(merged(BASE, CONFIGS[name]), {"budget": {"updates": updates}})
    ran(merged(config, changes), folder)
    return folder


def difference(one: Path, other: Path) -> float:
    """The largest of all numbers of all records, and of the State at the end, relative to those above 1."""
    ours, theirs = records(one), records(other)
    assert [record.keys() for record in ours] == [record.keys() for record in theirs]
    pairs = [(a[name], b[name]) for a, b in zip(ours, theirs, strict=True) for name in a]
    states = [checkpoints.newest(folder / "checkpoints", "update").state for folder in (one, other)]
    assert states[0].keys() == states[1].keys()
    pairs += [(states[0][name], states[1][name]) for name in states[0]]
    return max(apart(a, b) for a, b in pairs)


def apart(a, b) -> float:
    """|a − b| / max(1, |b|), the largest; of what is no number 0 where it is the same, else infinity."""
    if a is None or isinstance(a, str):
        return 0.0 if a == b else np.inf
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b)), initial=0.0, where=~(np.isnan(a) & np.isnan(b))))
