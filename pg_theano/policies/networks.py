"""A policy's network in NumPy: a function that is made once for some parameters, and called for each observation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Layer, Placed, kind_of, memory
from pg_theano.policies.layers import dense
from pg_theano.policies.layers.recurrent import columns
from pg_theano.spec import Acting
from pg_theano.types import Array, State


def kind(layer: Layer) -> Any:
    """The module of a kind of layer."""
    return importlib.import_module(f"pg_theano.policies.layers.{kind_of(layer)}")


def forward(acting: Acting, named: Mapping[str, Array]) -> Callable[..., tuple[Array, ...]]:
    """rows [..., N, F] -> (outputs [..., N, K], what the last hidden layer hands on [..., N, H]).

    A policy that remembers is given what it remembers, [..., N, M], and gives it back, third. `named` are the layout's
    arrays, or of each A of them, [A, ...], for A blocks of rows. See `features` for what is handed on.
    """
    if acting.memory_size:
        return _remembering(acting, named)
    path = acting.path("policy")
    layers = [None, *(placed.layer for placed in path), None]
    *hidden, head = (
        kind(one.layer).forward(one, [named[name] for name, *_ in one.arrays], layers[i], layers[i + 2])
        for i, one in enumerate(path)
    )

    def apply(x: Array) -> tuple[Array, Array]:
        if x.dtype == np.uint8:
            x = x.astype(acting.dtype)
        for layer in hidden:
            x = layer(x)
        return head(x), x

    return apply


def _remembering(acting: Acting, named: Mapping[str, Array]) -> Callable[[Array, Array], tuple[Array, ...]]:
    placed = acting.network.placed(acting.num_features)
    *hidden, head = placed["policy"]
    last = max((i for i, one in enumerate(placed["value"]) if memory(one.layer)), default=-1)
    paths = placed["shared"], hidden, placed["value"][: last + 1], [head]  # of values, what is remembered alone
    shared, own, valued, ending = ([_made(one, named) for one in path] for path in paths)

    def apply(x: Array, before: Array) -> tuple[Array, ...]:
        after: list[Array] = []
        start = 0

        def through(layers: list[tuple[Any, int, int]], x: Array) -> Array:
            nonlocal start
            for layer, size, width in layers:
                if size:
                    after.append(layer(x, before[..., start : start + size]))
                    x, start = after[-1][..., :width], start + size
                else:
                    x = layer(x)
            return x

        x = through(shared, x)
        features = through(own, x)
        through(valued, x)
        return through(ending, features), features, np.concatenate(after, axis=-1)

    return apply


def _made(placed: Placed, named: Mapping[str, Array]) -> tuple[Any, int, int]:
    """(a layer as a function, how many numbers it remembers, and gives)."""
    arrays, size = [named[name] for name, *_ in placed.arrays], memory(placed.layer)
    if size:
        return kind(placed.layer).step(placed, arrays), size, placed.layer.output(placed.inputs)[0]
    return kind(placed.layer).forward(placed, arrays, None, None), 0, 0


def inside(path: Sequence[Placed], arrays: Sequence[Array]) -> Callable[[Array], Array]:
    """The layers inside another, one after the other; `arrays` are those of all of them, in their order."""
    made, start = [], 0
    layers = [None, *(placed.layer for placed in path), None]
    for i, placed in enumerate(path):
        own = arrays[start : start + len(placed.arrays)]
        made.append(kind(placed.layer).forward(placed, own, layers[i], layers[i + 2]))
        start += len(placed.arrays)

    def apply(x: Array) -> Array:
        for layer in made:
            x = layer(x)
        return x

    return apply


def nodes_inside(path: Sequence[Placed], arrays: Sequence[Array], graph: Any, x: str) -> str:
    """The same as ONNX nodes."""
    start = 0
    for placed in path:
        x = kind(placed.layer).nodes(placed, arrays[start : start + len(placed.arrays)], graph, x)
        start += len(placed.arrays)
    return x


def nodes_of(path: Sequence[Placed], named: Mapping[str, Array], graph: Any, x: str) -> str:
    """The layers of a path as ONNX nodes; what they remember is the input `memory`, and the output `next_memory`."""
    sizes = [size for placed in path if (size := memory(placed.layer))]
    before = iter(columns(graph, "memory", sizes) if len(sizes) > 1 else ["memory"])
    after = []
    for placed in path:
        arrays = [named[name] for name, *_ in placed.arrays]
        if memory(placed.layer):
            x, known = kind(placed.layer).nodes(placed, arrays, graph, x, next(before))
            after.append(known)
        else:
            x = kind(placed.layer).nodes(placed, arrays, graph, x)
    if after:
        graph.add("Concat", *after, output="next_memory", axis=1)
    return x


def features(acting: Acting) -> Callable[[Array], Array]:
    """What the last layer is given, [N, H], from what the layer before it hands on."""
    layers = [placed.layer for placed in acting.path("policy")][-2:]
    if acting.memory_size or len(layers) == 1 or not dense.gives_tanh(*layers):
        return lambda handed: handed
    return lambda handed: 0.5 * handed + 0.5


def normalizer(state: State) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature. ([F], [F])"""
    variance = np.asarray(state["normalizer/variance"])
    return np.asarray(state["normalizer/mean"]), np.sqrt(variance + variance.dtype.type(1e-8))


def normalized(obs: Array, mean: Array, std: Array, most: Any = 10, least: Any = -10) -> Array:
    """(o − μ)/σ, within ±10."""
    obs = obs - mean
    obs /= std
    np.minimum(obs, most, out=obs)
    return np.maximum(obs, least, out=obs)
