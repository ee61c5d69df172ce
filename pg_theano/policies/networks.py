"""A policy's network in NumPy: a function that is made once for some parameters, and called for each observation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pg_theano.layers import Layer, Placed, kind_of
from pg_theano.policies.layers import dense
from pg_theano.spec import Acting
from pg_theano.types import Array, State


def kind(layer: Layer) -> Any:
    """The module of a kind of layer."""
    return importlib.import_module(f"pg_theano.policies.layers.{kind_of(layer)}")


def forward(acting: Acting, named: Mapping[str, Array]) -> Callable[[Array], tuple[Array, Array]]:
    """rows [..., N, F] -> (outputs [..., N, K], what the last hidden layer hands on [..., N, H]).

    `named` are the layout's arrays, or of each A of them, [A, ...], for A blocks of rows. See `features` for what is
    handed on.
    """
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


def features(acting: Acting) -> Callable[[Array], Array]:
    """What the last layer is given, [N, H], from what the layer before it hands on."""
    layers = [placed.layer for placed in acting.path("policy")][-2:]
    if len(layers) == 1 or not dense.gives_tanh(*layers):
        return lambda handed: handed
    return lambda handed: 0.5 * handed + 0.5


def normalizer(state: State) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature. ([F], [F])"""
    variance = np.asarray(state["normalizer/variance"])
    return np.asarray(state["normalizer/mean"]), np.sqrt(variance + variance.dtype.type(1e-8))


def normalized(obs: Array, mean: Array, std: Array) -> Array:
    """(o − μ)/σ, within ±10."""
    obs = obs - mean
    obs /= std
    np.minimum(obs, 10, out=obs)
    return np.maximum(obs, -10, out=obs)
