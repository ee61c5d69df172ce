"""Layers of a network as plain data: their fields, what they learn, what they give. NumPy only."""

from pg_theano.layers.images import Conv, Image, MaxPool, Window, window_of
from pg_theano.layers.joined import Join, Residual, inner
from pg_theano.layers.own import Own, every
from pg_theano.layers.plain import Activation, Dense, Embed, Layer, LayerNorm, Layout, Placed, Shape, layout_of
from pg_theano.layers.recurrent import Gru, Lstm, memory

__all__ = [
    "LAYERS",
    "Activation",
    "Conv",
    "Dense",
    "Embed",
    "Gru",
    "Image",
    "Join",
    "Layer",
    "LayerNorm",
    "Layout",
    "Lstm",
    "MaxPool",
    "Own",
    "Placed",
    "Residual",
    "Shape",
    "Window",
    "every",
    "inner",
    "kind_of",
    "layout_of",
    "memory",
    "window_of",
]

LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "image": Image,
    "conv": Conv,
    "max_pool": MaxPool,
    "layer_norm": LayerNorm,
    "residual": Residual,
    "embed": Embed,
    "join": Join,
    "own": Own,
    "gru": Gru,
    "lstm": Lstm,
}
"""Each kind of layer by its name, which is that of its modules too."""


def kind_of(layer: Layer) -> str:
    return next(kind for kind, made in LAYERS.items() if type(layer) is made)
