"""What the kinds of layers that remember share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.types import Array


def driven(arrays: Sequence[Array]) -> Callable[[Array], Array]:
    """x·W + b; of blocks of rows, each with a layer of its own, where the arrays are."""
    weight, _, bias = arrays
    if weight.ndim > 2:
        bias = bias[..., None, :]
    return lambda x: x @ weight + bias


def sigmoid(x: Array) -> Array:
    """Of tanh, which cannot overflow."""
    half = x.dtype.type(0.5)
    return half * np.tanh(half * x) + half


def columns(graph: Any, x: str, sizes: Sequence[int]) -> list[str]:
    """Columns of rows, each of `sizes` after the other, as ONNX nodes."""
    names = [f"{x}_{k}" for k in range(len(sizes))]
    split = graph.onnx.helper.make_node("Split", [x, graph.constant(sizes, np.int64)], names, axis=1)
    graph.nodes.append(split)
    return names
