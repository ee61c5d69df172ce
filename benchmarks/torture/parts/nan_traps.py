"""NaN traps of symbolic graphs, on the backends where they hide differently."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping

from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
import helpers_traps as traps

from pg_theano.compiler import program as compiling
from pg_theano.types import Rollout

BACKENDS = ["jax", "numba"]
SEEN_ON_NUMBA = "max of (1, NaN, 2) is 2, and x == x of NaN is 1 (tests/graphs/test_nan_traps.py)"


def measured(algorithm: str, backend: str) -> Figures:
    spec = traps.spec_of(algorithm)
    program = compiling.load(spec, backend=backend, report=lambda *_: None, rows=3)

    def run(state, block, order, knobs):
        return program.train(state, Rollout(**block), knobs, order)

    fell, number = traps.checked(spec, run)
    return {"traps": number, "fell_into": fell, "fallen": len(fell)}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    made = []
    for backend in BACKENDS:
        cells = {cell: figures for cell, figures in found.items() if cell.endswith(backend)}
        if cells:
            number, fallen = (sum(one[key] for one in cells.values()) for key in ("traps", "fallen"))
            promise = f"{backend}, {len(cells)} algorithms: finite, or finite = 0 and every entry of State as it was"
            beside = SEEN_ON_NUMBA if backend == "numba" else "–"
            made.append(Row(promise, f"{number - fallen} of {number} traps", not fallen, beside))
    return made


PART = Part(
    {
        f"{algorithm} on {backend}": functools.partial(measured, algorithm, backend)
        for backend in BACKENDS
        for algorithm in traps.ALGORITHMS
    },
    rows,
)
