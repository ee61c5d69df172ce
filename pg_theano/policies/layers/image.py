"""Pixels as an image, in NumPy and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Layer, Placed
from pg_theano.types import Array


def forward(
    placed: Placed, arrays: Sequence[Array], before: Layer | None, after: Layer | None
) -> Callable[[Array], Array]:
    """x / scale, channels last: rows [..., N, height·width·channels], and so the result."""
    layer: Any = placed.layer

    def apply(x: Array) -> Array:
        if layer.channels_first:
            images = x.reshape(*x.shape[:-1], layer.channels, layer.height, layer.width)
            x = np.moveaxis(images, -3, -1).reshape(x.shape)
        return x if layer.scale == 1 else x / x.dtype.type(layer.scale)

    return apply


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str) -> str:
    layer: Any = placed.layer
    if layer.channels_first:
        shape = [0, layer.channels, layer.height, layer.width]
        images = graph.add("Reshape", x, graph.constant(shape, np.int64))
        last = graph.add("Transpose", images, perm=[0, 2, 3, 1])
        x = graph.add("Reshape", last, graph.constant([0, -1], np.int64))
    return x if layer.scale == 1 else graph.add("Div", x, graph.constant(layer.scale))
