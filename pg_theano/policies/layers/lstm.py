"""Long short-term memory in NumPy, one row an observation, and as ONNX nodes: see `graphs/layers/lstm.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Placed
from pg_theano.policies.layers.recurrent import columns, driven, sigmoid
from pg_theano.types import Array


def step(placed: Placed, arrays: Sequence[Array]) -> Callable[[Array, Array], Array]:
    """(x [..., N, inputs], h and c [..., N, 2H]) -> h' and c' [..., N, 2H]."""
    width: int = placed.layer.output(placed.inputs)[0]
    drive, (_, back, _) = driven(arrays), arrays

    def remembers(x: Array, before: Array) -> Array:
        y = drive(x) + before[..., :width] @ back
        given, forgets, new, shown = (y[..., k * width : (k + 1) * width] for k in range(4))
        cells = sigmoid(forgets + 1) * before[..., width:] + sigmoid(given) * np.tanh(new)
        return np.concatenate([sigmoid(shown) * np.tanh(cells), cells], axis=-1)

    return remembers


def nodes(placed: Placed, arrays: Sequence[Array], graph: Any, x: str, before: str) -> tuple[str, str]:
    """(h', h' and c') as the names of nodes: what it gives, and what it remembers."""
    width = placed.layer.output(placed.inputs)[0]
    weight, back, bias = map(graph.constant, arrays)
    hidden, cells = columns(graph, before, [width, width])
    y = graph.add("Add", graph.add("Gemm", x, weight, bias), graph.add("MatMul", hidden, back))
    given, forgets, new, shown = columns(graph, y, [width] * 4)
    kept = graph.add("Mul", graph.add("Sigmoid", graph.add("Add", forgets, graph.constant(1.0))), cells)
    added = graph.add("Mul", graph.add("Sigmoid", given), graph.add("Tanh", new))
    following = graph.add("Add", kept, added)
    gives = graph.add("Mul", graph.add("Sigmoid", shown), graph.add("Tanh", following))
    return gives, graph.add("Concat", gives, following, axis=1)
