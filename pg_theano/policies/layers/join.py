"""The parts of an observation, each through layers of its own, in NumPy and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Layer, Placed
from pg_theano.policies import networks
from pg_theano.types import Array


def forward(
    placed: Placed, arrays: Sequence[Array], before: Layer | None, after: Layer | None
) -> Callable[[Array], Array]:
    """What the branches give, one after the other, of rows x [..., N, Σ sizes]."""
    layer: Any = placed.layer
    ends, first, ways = np.cumsum(layer.sizes), 0, []
    for end, size, path in zip(ends, layer.sizes, layer.parts(), strict=True):
        last = first + sum(len(one.arrays) for one in path)
        ways.append((slice(end - size, end), networks.inside(path, arrays[first:last])))
        first = last
    return lambda x: np.concatenate([through(x[..., part]) for part, through in ways], axis=-1)


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str) -> str:
    layer: Any = placed.layer
    given, end, first = [], 0, 0
    for size, path in zip(layer.sizes, layer.parts(), strict=True):
        start, end, last = end, end + size, first + sum(len(one.arrays) for one in path)
        columns = graph.add("Gather", x, graph.constant([*range(start, end)], np.int64), axis=1)
        given.append(networks.nodes_inside(path, arrays[first:last], graph, columns))
        first = last
    return graph.add("Concat", *given, axis=1)
