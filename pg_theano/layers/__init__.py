"""Layers of a network as plain data: their fields, what they learn, what they give. NumPy only."""

import dataclasses
from typing import Any

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
    "as_plain",
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


def as_plain(layer: Any) -> list[Any]:
    """[kind, its fields], as files have it; so are the layers inside it."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(one) for one in value]
        return as_plain(value) if dataclasses.is_dataclass(value) else value

    fields = {field.name: plain(getattr(layer, field.name)) for field in dataclasses.fields(layer)}
    return [kind_of(layer), fields]
