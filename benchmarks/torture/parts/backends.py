"""One config and seed on every backend: the first 20 updates."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping

import measuring
from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
import helpers_backends as backends

BOUND = 1e-6
OTHERS = {"numba": {"backend": "numba"}, "by hand": {"gradients": "by_hand"}}


def measured(name: str, other: str) -> Figures:
    with measuring.scratch() as folder:
        pair = [
            backends.trained(name, folder / which, backends.UPDATES, **changes)
            for which, changes in (("jax", {}), (other, OTHERS[other]))
        ]
        return {"largest": backends.difference(*pair), "updates": len(backends.records(pair[1]))}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    return [
        Row(
            f"{cell}: every number of every record, and the State, equal to {BOUND:g} in float64",
            f"largest difference {figures['largest']:.1e} after {figures['updates']} updates",
            figures["largest"] <= BOUND and figures["updates"] == backends.UPDATES,
        )
        for cell, figures in found.items()
    ]


PART = Part(
    {
        f"{name}, jax and {other}": functools.partial(measured, name, other)
        for name in backends.CONFIGS
        for other in OTHERS
        if other != "by hand" or name != "reinforce"
    },
    rows,
)
