"""What a layer is, as plain data, and the kinds that take a row of numbers. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

Layout = list[tuple[str, tuple[int, ...], Any]]
"""(name, shape, initialiser) of each array, in order."""

Shape = tuple[int, ...]
Activation = Literal["sigmoid", "tanh", "relu"]


class Layer(Protocol):
    """A layer of a network as plain data. Between layers an observation is flat: ∏ `inputs` numbers.

    The other faces of a kind stand under its name: its expression in `graphs/layers/`, NumPy and ONNX in
    `policies/layers/`.
    """

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        """What it learns, in order."""

    def output(self, inputs: Shape) -> Shape:
        """The shape of what it gives."""


class Placed(NamedTuple):
    """A layer where it stands in a network."""

    layer: Layer
    inputs: Shape  # of what it is given
    arrays: Layout  # what it learns, under its names in the whole layout: policy/w1, policy/b1, ...


def layout_of(placed: Iterable[Placed]) -> Layout:
    """What layers learn, one after the other."""
    return [entry for one in placed for entry in one.arrays]


@dataclass(frozen=True, slots=True)
class Dense:
    """f(Wᵀ·x + b) of all inputs; Wᵀ·x + b where there is no activation: the last layer of a policy or of values."""

    width: int
    activation: Activation | None = None

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        """Weights [inputs, outputs] and biases [outputs], which start at 0 but for "fan_in".

        `initialization` is "glorot", "orthogonal" or "fan_in". Orthogonal weights have a `gain`, Glorot's have none.
        "fan_in" is uniform within ±1/√inputs, biases too (after LeCun et al. 1998, section 4.6; torch's default).
        """
        size = math.prod(inputs)
        weights, biases = {
            "glorot": ("glorot", "zeros"),
            "orthogonal": (["orthogonal", gain], "zeros"),
            "fan_in": (["uniform", 1 / math.sqrt(size)],) * 2,
        }[initialization]
        return [("w", (size, self.width), weights), ("b", (self.width,), biases)]

    def output(self, inputs: Shape) -> Shape:
        return (self.width,)


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """g·(x − μ)/√(σ² + ε) + b over all numbers of a layer (Ba et al. 2016, eq. 3), then f."""

    epsilon: float = 1e-5
    activation: Activation | None = None

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        size = math.prod(inputs)
        return [("g", (size,), "ones"), ("b", (size,), "zeros")]

    def output(self, inputs: Shape) -> Shape:
        return inputs


@dataclass(frozen=True, slots=True)
class Embed:
    """A learned vector of `width` numbers for each choice of a Discrete or MultiDiscrete observation."""

    sizes: tuple[int, ...]
    width: int

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        """A table [choices, width] of all components, standard normal as torch's."""
        return [("t", (sum(self.sizes), self.width), 1.0)]

    def output(self, inputs: Shape) -> Shape:
        if math.prod(inputs) != sum(self.sizes):
            raise ValueError(f"{sum(self.sizes)} choices are needed, and {list(inputs)} reaches it")
        return (len(self.sizes) * self.width,)
