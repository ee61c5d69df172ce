"""Returns and advantages against the O(T²) definition, 10,000 random cases."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping

import numpy as np
from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
import helpers_oracles as oracles

CASES, MAX_STEPS, BOUND = 10_000, 33, 1e-12
RUNS = {
    "graph, interpreted": lambda: oracles.by_graph(MAX_STEPS),
    "graph on jax": lambda: oracles.by_graph(MAX_STEPS, "jax"),
    "graph on numba": lambda: oracles.by_graph(MAX_STEPS, "numba"),
    "by hand": lambda: oracles.by_hands,
}


def measured(which: str) -> Figures:
    run, rng = RUNS[which](), np.random.default_rng(0)
    figures = {
        "definition": max(oracles.errors_of_definitions(run, rng, CASES, MAX_STEPS).values()),
        "identities": max(oracles.errors_of_identities(run, rng, CASES, MAX_STEPS).values()),
    }
    if which != "by hand":  # whole episodes' signals are the graph's alone
        figures["signals"] = max(oracles.errors_of_signals(run, rng, CASES, MAX_STEPS).values())
    return figures


def rows(found: Mapping[str, Figures]) -> list[Row]:
    made = []
    for which, figures in found.items():
        errors = {name: figures[name] for name in ("definition", "signals", "identities") if name in figures}
        told = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
        promise = f"{which}: {CASES:,} random cases within {BOUND:g} of the sums, and of the identities"
        made.append(Row(promise, f"largest error: {told}", max(errors.values()) <= BOUND))
    return made


PART = Part({which: functools.partial(measured, which) for which in RUNS}, rows)
