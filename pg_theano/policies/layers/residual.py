"""Layers beside which what they are given passes, in NumPy and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pg_theano.layers import Layer, Placed, inner
from pg_theano.policies import networks
from pg_theano.policies.layers.dense import FUNCTIONS, activated
from pg_theano.types import Array


def forward(
    placed: Placed, arrays: Sequence[Array], before: Layer | None, after: Layer | None
) -> Callable[[Array], Array]:
    """f(x + layers(x)) for rows x [..., N, F], and so the result."""
    layer: Any = placed.layer
    through, activate = networks.inside(inner(layer.layers, placed.inputs), arrays), FUNCTIONS[layer.activation]
    return lambda x: activate(x + through(x))


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str) -> str:
    layer: Any = placed.layer
    y = networks.nodes_inside(inner(layer.layers, placed.inputs), arrays, graph, x)
    return activated(layer, graph, graph.add("Add", x, y))
