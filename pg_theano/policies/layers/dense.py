"""Dense layers in NumPy, one row an observation, and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Dense, Layer, Placed
from pg_theano.types import Array, each_row

OPERATORS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


def gives_tanh(layer: Layer | None, after: Layer | None) -> bool:
    """Whether a layer hands on t = tanh(½x) in place of its sigmoid, as a dense layer after it takes that in."""
    return isinstance(layer, Dense) and layer.activation == "sigmoid" and isinstance(after, Dense)


def forward(
    placed: Placed, arrays: Sequence[Array], before: Layer | None, after: Layer | None
) -> Callable[[Array], Array]:
    """f(x·W + b) for rows x [..., N, inputs]; the result [..., N, outputs]. `before` and `after` are its neighbours.

    sigmoid(x) = ½·tanh(½x) + ½: the halves go into the weights, here and of the next layer, once for all the
    observations to come; and tanh cannot overflow, as exp(−x) would.
    """
    layer: Any = placed.layer
    weight, bias = arrays
    half = weight.dtype.type(0.5)
    if gives_tanh(before, layer):
        weight, bias = half * weight, bias + half * weight.sum(axis=-2)
    if layer.activation == "sigmoid":
        weight, bias = half * weight, half * bias
    if weight.ndim > 2:  # [A, inputs, outputs], a layer for each of A blocks of rows
        bias = bias[..., None, :]

    biases = bias  # once a row: see `each_row`

    def weighted(x: Array) -> Array:
        nonlocal biases
        y = x.dot(weight) if weight.ndim == x.ndim == 2 else x @ weight  # the same product, called 0.4 µs quicker
        if biases.shape != y.shape:
            biases = each_row(bias, y.shape)
        y += biases
        return y

    def tanh(x: Array) -> Array:
        y = weighted(x)
        return np.tanh(y, out=y)

    def sigmoid(x: Array) -> Array:
        y = tanh(x)
        y *= half
        y += half
        return y

    def relu(x: Array) -> Array:
        y = weighted(x)
        return np.maximum(y, 0, out=y)

    if gives_tanh(layer, after):
        return tanh
    return {"sigmoid": sigmoid, "tanh": tanh, "relu": relu, None: weighted}[layer.activation]


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str) -> str:
    """The layer as ONNX nodes. `graph` is that of `policies/onnx.py`, `x` the name of rows [N, inputs]."""
    y = graph.add("Gemm", x, *map(graph.constant, arrays))
    return activated(placed.layer, graph, y)


def activated(layer: Any, graph: Any, y: str) -> str:
    return graph.add(OPERATORS[layer.activation], y) if layer.activation else y


FUNCTIONS: dict[Any, Callable[[Array], Array]] = {
    "sigmoid": lambda y: 0.5 * np.tanh(0.5 * y) + 0.5,
    "tanh": np.tanh,
    "relu": lambda y: np.maximum(y, 0),
    None: lambda y: y,
}
"""Activations in NumPy, for layers that no dense one hands its halves to."""
