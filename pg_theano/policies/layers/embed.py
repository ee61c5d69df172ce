"""A learned vector for each choice, in NumPy and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Layer, Placed
from pg_theano.types import Array


def forward(
    placed: Placed, arrays: Sequence[Array], before: Layer | None, after: Layer | None
) -> Callable[[Array], Array]:
    """The rows of the table that x [..., N, choices] has a 1 at, one after the other: [..., N, components·width]."""
    layer: Any = placed.layer
    ends = np.cumsum(layer.sizes)
    parts = [slice(end - size, end) for end, size in zip(ends, layer.sizes, strict=True)]
    return lambda x: np.concatenate([x[..., part] @ arrays[0][..., part, :] for part in parts], axis=-1)


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str) -> str:
    layer: Any = placed.layer
    vectors, end = [], 0
    for size in layer.sizes:
        start, end = end, end + size
        columns = graph.add("Gather", x, graph.constant([*range(start, end)], np.int64), axis=1)
        vectors.append(graph.add("MatMul", columns, graph.constant(arrays[0][start:end])))
    return graph.add("Concat", *vectors, axis=1)
