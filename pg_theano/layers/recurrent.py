"""Kinds of layers that remember, as plain data: what they learn, and how many numbers they keep from step to step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pg_theano.layers.plain import Dense, Layer, Layout, Shape


@dataclass(frozen=True, slots=True)
class Gru:
    """A gated recurrent unit (Cho et al. 2014): see `graphs/layers/gru.py`."""

    width: int

    @property
    def memory(self) -> int:
        """M, how many numbers it keeps."""
        return self.width

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        return _gated(self.width, 3, inputs, initialization)

    def output(self, inputs: Shape) -> Shape:
        return (self.width,)


@dataclass(frozen=True, slots=True)
class Lstm:
    """Long short-term memory (Hochreiter and Schmidhuber 1997): see `graphs/layers/lstm.py`."""

    width: int

    @property
    def memory(self) -> int:
        """M, how many numbers it keeps: what it gives, and its cells."""
        return 2 * self.width

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        return _gated(self.width, 4, inputs, initialization)

    def output(self, inputs: Shape) -> Shape:
        return (self.width,)


def _gated(width: int, gates: int, inputs: Shape, initialization: str) -> Layout:
    """Weights [inputs, gates·width] of what comes in and [width, gates·width] of what is remembered, and biases.

    What is remembered has orthogonal weights, so that it neither grows nor fades (Saxe et al. 2014).
    """
    (_, size, how), bias = Dense(gates * width).arrays((math.prod(inputs),), initialization, 1.0)
    return [("w", size, how), ("u", (width, gates * width), "orthogonal"), bias]


def memory(layer: Layer) -> int:
    """How many numbers a layer keeps from step to step; 0 for one that does not remember."""
    return getattr(layer, "memory", 0)
