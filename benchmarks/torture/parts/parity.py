"""The compiled environments against Gymnasium's, step by step: 1,000 episodes of each task."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping

import numpy as np
from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
import helpers_parity as parity

from pg_theano.graphs.environments import BUILT_IN

EPISODES = 1_000


def measured(task: str, dtype: str) -> Figures:
    return parity.compared(task, dtype, EPISODES)


def rows(found: Mapping[str, Figures]) -> list[Row]:
    made = []
    for name, figures in found.items():
        bound = parity.TOLERANCE[name.rpartition(" ")[2]]
        largest = max(figures[part] for part in ("next_state", "next_obs", "reward"))
        kept = (
            largest <= bound
            and figures["unwrapped"] <= np.pi + 1e-6
            and figures["ends otherwise"] == 0
            and figures["at a threshold"] <= 1e-3 * figures["steps"]
        )
        told = (
            f"largest difference {largest:.1e} in {figures['steps']:,} steps, {figures['terminated']:,} of them last; "
            f"{figures['ends otherwise']} end otherwise ({figures['at a threshold']} at a threshold left out)"
        )
        made.append(Row(f"{name}: {EPISODES:,} episodes and states spread out, within {bound:g}", told, kept))
    return made


PART = Part(
    {
        f"{task} {dtype}": functools.partial(measured, task, dtype)
        for task in BUILT_IN
        for dtype in ("float64", "float32")
    },
    rows,
)
