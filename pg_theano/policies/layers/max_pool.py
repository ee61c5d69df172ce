"""The largest number under a window, in NumPy and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Layer, Placed
from pg_theano.policies.layers.conv import channels_first, channels_last, how, patches
from pg_theano.types import Array


def forward(
    placed: Placed, arrays: Sequence[Array], before: Layer | None, after: Layer | None
) -> Callable[[Array], Array]:
    """Rows x [..., N, H·W·C] to [..., N, H'·W'·C]."""
    layer: Any = placed.layer
    window = layer.window(placed.inputs)

    def apply(x: Array) -> Array:
        seen = patches(window, x, filling=-np.inf)
        largest = seen.reshape(*seen.shape[:-1], -1, window.inputs[2]).max(axis=-2)
        return largest.reshape(*x.shape[:-1], -1)

    return apply


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str) -> str:
    layer: Any = placed.layer
    window = layer.window(placed.inputs)
    return channels_last(graph, graph.add("MaxPool", channels_first(window, graph, x), **how(window)))
