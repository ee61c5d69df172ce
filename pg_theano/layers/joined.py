"""Kinds of layers that hold others, as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pg_theano.layers.plain import Activation, Layer, Layout, Placed, Shape, layout_of


@dataclass(frozen=True, slots=True)
class Residual:
    """x + layers(x) (He et al. 2016), then f."""

    layers: tuple[Layer, ...]
    activation: Activation | None = None

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        return layout_of(inner(self.layers, inputs, initialization, gain))

    def output(self, inputs: Shape) -> Shape:
        shape = inputs
        for layer in self.layers:
            shape = layer.output(shape)
        if shape != inputs:
            raise ValueError(f"its layers make {list(shape)} of {list(inputs)}, and both are added")
        return inputs


@dataclass(frozen=True, slots=True)
class Join:
    """The parts of an observation, each through layers of its own, one after the other."""

    sizes: tuple[int, ...]  # of each part, in the order of the observation's row
    branches: tuple[tuple[Layer, ...], ...]

    def parts(self, initialization: str = "glorot", gain: float = 1.0) -> list[list[Placed]]:
        """The layers of each branch in their places, arrays named by the branch's number as well."""
        found = []
        for place, (size, layers) in enumerate(zip(self.sizes, self.branches, strict=True), start=1):
            placed = inner(layers, (size,), initialization, gain)
            named = [[(f"{place}_{name}", *how) for name, *how in one.arrays] for one in placed]
            found.append([one._replace(arrays=own) for one, own in zip(placed, named, strict=True)])
        return found

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        return [entry for placed in self.parts(initialization, gain) for entry in layout_of(placed)]

    def output(self, inputs: Shape) -> Shape:
        if math.prod(inputs) != sum(self.sizes):
            raise ValueError(f"parts of {list(self.sizes)} numbers are needed, and {list(inputs)} reaches it")
        given = zip(self.parts(), self.sizes, strict=True)
        ends = [placed[-1].layer.output(placed[-1].inputs) if placed else (size,) for placed, size in given]
        return (sum(math.prod(shape) for shape in ends),)


def inner(layers: Sequence[Layer], inputs: Shape, initialization: str = "glorot", gain: float = 1.0) -> list[Placed]:
    """The layers inside another, in their places; arrays are named by a layer's number and their own names."""
    found, shape = [], inputs
    for number, layer in enumerate(layers, start=1):
        own = [(f"{number}{name}", size, how) for name, size, how in layer.arrays(shape, initialization, gain)]
        found.append(Placed(layer, shape, own))
        shape = layer.output(shape)
    return found
