"""A layer of the user's own, as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pg_theano.layers.joined import Join, Residual
from pg_theano.layers.plain import Layer, Layout, Shape


@dataclass(frozen=True, slots=True)
class Own:
    """A function of PyTensor tensors, module:name, with what the functions beside it say of the numbers that reach it.

    NumPy cannot follow it: a policy with one acts by its compiled graph.
    """

    name: str
    kwargs: dict[str, Any]
    source: str | None  # the fingerprint of its files
    inputs: int
    learned: dict[str, Any]  # (shape, initialiser) of each array, by its name, in order
    gives: int

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        if math.prod(inputs) != self.inputs:
            raise ValueError(f"it was asked about {self.inputs} numbers, and {list(inputs)} reaches it")
        return [(f"{name}_", tuple(shape), how) for name, (shape, how) in self.learned.items()]

    def output(self, inputs: Shape) -> Shape:
        return (self.gives,)


def every(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Layers, and those inside them."""
    for layer in layers:
        yield layer
        if isinstance(layer, Residual):
            yield from every(layer.layers)
        if isinstance(layer, Join):
            yield from (inside for branch in layer.branches for inside in every(branch))
