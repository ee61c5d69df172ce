"""The compiled environments against Gymnasium's, step by step: 1,000 episodes of each task."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping

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
        task, dtype = name.split()
        wrong = parity.faults(figures, task, dtype)
        fast = f"; at full speed {figures['fast']:.1e} of {parity.FAST_TOLERANCE:g}" if figures["fast"] else ""
        told = (
            f"largest difference {max(figures[gap] for gap in parity.GAPS):.1e}{fast}; {figures['steps']:,} steps, "
            f"{figures['terminated']:,} of them last, {figures['at a threshold']} at a threshold left out"
        )
        promise = f"{name}: {EPISODES:,} episodes and states spread out, within {parity.TOLERANCE[dtype]:g}"
        made.append(Row(promise, "; ".join([told, *wrong]), not wrong))
    return made


PART = Part(
    {
        f"{task} {dtype}": functools.partial(measured, task, dtype)
        for task in BUILT_IN
        if "/" not in task  # those that Gymnasium has too
        for dtype in ("float64", "float32")
    },
    rows,
)
