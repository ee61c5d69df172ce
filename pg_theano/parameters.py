"""Names, shapes and initial values of what is learned. NumPy only.

All parameters live in one flat vector [D]; a layout says which part of it is which array. One vector means one
update for the optimiser, one array in a checkpoint, and few nodes in the graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pg_theano.types import Array

Layout = list[tuple[str, tuple[int, ...]]]


def dense_layout(sizes: Sequence[int], prefix: str = "policy") -> Layout:
    """Weights [inputs, outputs] and biases [outputs] of a chain of dense layers, first to last."""
    layout: Layout = []
    for number, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True), start=1):
        layout += [(f"{prefix}/w{number}", (inputs, outputs)), (f"{prefix}/b{number}", (outputs,))]
    return layout


def count(layout: Layout) -> int:
    """D, the length of the flat vector."""
    return sum(math.prod(shape) for _, shape in layout)


def views(params: Array, layout: Layout) -> dict[str, Array]:
    """The arrays of a layout as views of the flat vector [..., D]; nothing is copied."""
    named, start = {}, 0
    for name, shape in layout:
        size = math.prod(shape)
        named[name] = params[..., start : start + size].reshape(*params.shape[:-1], *shape)
        start += size
    return named


def initial(rng: np.random.Generator, layout: Layout, dtype: str) -> Array:
    """A fresh flat vector [D]: biases 0, weights uniform within ±√(6 / (inputs + outputs)).

    Glorot and Bengio 2010, eq. 16. Drawn in float64 and rounded, so that both dtypes start at the same point.
    """
    parts = []
    for _, shape in layout:
        if len(shape) == 2:
            bound = math.sqrt(6.0 / sum(shape))
            parts.append(rng.uniform(-bound, bound, shape).ravel())
        else:
            parts.append(np.zeros(math.prod(shape)))
    return np.concatenate(parts).astype(dtype)
