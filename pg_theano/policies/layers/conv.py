"""Convolutions in NumPy, as patches and a product, and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Layer, Placed, Window
from pg_theano.policies.layers.dense import FUNCTIONS, activated
from pg_theano.types import Array


def forward(
    placed: Placed, arrays: Sequence[Array], before: Layer | None, after: Layer | None
) -> Callable[[Array], Array]:
    """f(w ∗ x + b) for rows x [..., N, H·W·C]; the result [..., N, H'·W'·filters]."""
    layer: Any = placed.layer
    window, (weight, bias) = layer.window(placed.inputs), arrays
    if weight.ndim > 2:  # [A, ...], a layer for each of A blocks of rows
        weight, bias = weight[..., None, :, :], bias[..., None, None, :]
    activate = FUNCTIONS[layer.activation]

    def apply(x: Array) -> Array:
        y = patches(window, x) @ weight + bias
        return activate(y.reshape(*y.shape[:-2], -1))

    return apply


def patches(window: Window, x: Array, filling: float = 0.0) -> Array:
    """What the window sees at each place: rows [..., N, H·W·C] to [..., N, H'·W', kernel·kernel·C]."""
    images = x.reshape(*x.shape[:-1], *window.inputs)
    around = ((0, 0),) * (images.ndim - 3) + window.padding + ((0, 0),)
    if any(map(any, around)):
        images = np.pad(images, around, constant_values=filling)
    seen = np.lib.stride_tricks.sliding_window_view(images, window.kernel, axis=(-3, -2))  # [..., H, W, C, kh, kw]
    seen = seen[..., :: window.stride[0], :: window.stride[1], :, :, :]
    return np.moveaxis(seen, -3, -1).reshape(*x.shape[:-1], -1, window.size)


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str) -> str:
    layer: Any = placed.layer
    window, (weight, bias) = layer.window(placed.inputs), arrays
    kernel = weight.reshape(*window.kernel, window.inputs[2], layer.filters).transpose(3, 2, 0, 1)
    images = channels_first(window, graph, x)
    y = graph.add("Conv", images, graph.constant(kernel), graph.constant(bias), **how(window))
    return channels_last(graph, activated(layer, graph, y))


def how(window: Window) -> dict[str, Any]:
    """The window as attributes of ONNX."""
    (top, bottom), (left, right) = window.padding
    return {"kernel_shape": [*window.kernel], "strides": [*window.stride], "pads": [top, left, bottom, right]}


def channels_first(window: Window, graph: Any, x: str) -> str:
    """Rows [N, H·W·C] as ONNX has images, [N, C, H, W]."""
    images = graph.add("Reshape", x, graph.constant([0, *window.inputs], np.int64))
    return graph.add("Transpose", images, perm=[0, 3, 1, 2])


def channels_last(graph: Any, y: str) -> str:
    """And back."""
    return graph.add("Reshape", graph.add("Transpose", y, perm=[0, 2, 3, 1]), graph.constant([0, -1], np.int64))
