"""Gated recurrent units in NumPy, one row an observation, and as ONNX nodes: see `graphs/layers/gru.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Placed
from pg_theano.policies.layers.recurrent import columns, driven, sigmoid
from pg_theano.types import Array


def step(placed: Placed, arrays: Sequence[Array]) -> Callable[[Array, Array], Array]:
    """(x [..., N, inputs], h [..., N, H]) -> h' [..., N, H]."""
    width: int = placed.layer.output(placed.inputs)[0]
    drive, (_, back, _) = driven(arrays), arrays

    def remembers(x: Array, before: Array) -> Array:
        y, told = drive(x), before @ back
        gates = sigmoid(y[..., : 2 * width] + told[..., : 2 * width])
        reset, kept = gates[..., :width], gates[..., width:]
        new = np.tanh(y[..., 2 * width :] + reset * told[..., 2 * width :])
        return new + kept * (before - new)

    return remembers


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str, before: str) -> tuple[str, str]:
    """(h', h') as the names of nodes: what it gives, and what it remembers."""
    width = placed.layer.output(placed.inputs)[0]
    weight, back, bias = map(graph.constant, arrays)
    y, told = graph.add("Gemm", x, weight, bias), graph.add("MatMul", before, back)
    of_y, of_told = (columns(graph, one, [width] * 3) for one in (y, told))
    reset, kept = (graph.add("Sigmoid", graph.add("Add", of_y[k], of_told[k])) for k in (0, 1))
    new = graph.add("Tanh", graph.add("Add", of_y[2], graph.add("Mul", reset, of_told[2])))
    after = graph.add("Add", new, graph.add("Mul", kept, graph.add("Sub", before, new)))
    return after, after
