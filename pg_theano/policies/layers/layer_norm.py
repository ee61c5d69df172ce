"""Layer normalisation in NumPy and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Layer, Placed
from pg_theano.policies.layers.dense import FUNCTIONS, activated
from pg_theano.types import Array


def forward(
    placed: Placed, arrays: Sequence[Array], before: Layer | None, after: Layer | None
) -> Callable[[Array], Array]:
    """f(g·(x − μ)/√(σ² + ε) + b) for rows x [..., N, F], and so the result."""
    layer: Any = placed.layer
    gain, bias = (array if array.ndim == 1 else array[..., None, :] for array in arrays)
    activate = FUNCTIONS[layer.activation]

    def apply(x: Array) -> Array:
        away = x - x.mean(axis=-1, keepdims=True)
        variance = (away**2).mean(axis=-1, keepdims=True)
        return activate(gain * (away / np.sqrt(variance + x.dtype.type(layer.epsilon))) + bias)

    return apply


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str) -> str:
    gain, bias = map(graph.constant, arrays)
    away = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[1]))
    variance = graph.add("ReduceMean", graph.add("Mul", away, away), axes=[1])
    layer: Any = placed.layer
    root = graph.add("Sqrt", graph.add("Add", variance, graph.constant(layer.epsilon)))
    return activated(layer, graph, graph.add("Add", graph.add("Mul", graph.add("Div", away, root), gain), bias))
