"""Dense layers in a chain, all their numbers in one flat vector, and one pass back through it.

    h₀ = x,   h_l = f(h_{l−1}·W_l + b_l),   y = h_{L−1}·W_L + b_L           the last layer has no activation

The flat vector [D] is w1, b1, w2, b2, ... row by row: an optimiser then has one array to move.
"""

import math
from typing import NamedTuple

import numpy as np

from pg_theano.by_hand.layers import ACTIVATIONS, dense, dense_backward
from pg_theano.types import Array


class Network(NamedTuple):
    """The shape of a chain; its numbers are elsewhere. `sizes` (4, 32, 1): 4 inputs, 32 hidden units, 1 output."""

    sizes: tuple[int, ...]
    activation: str = "tanh"


def count(network: Network) -> int:
    """D, the length of the flat vector: inputs·outputs weights and one bias an output, for each layer."""
    return sum((inputs + 1) * outputs for inputs, outputs in zip(network.sizes, network.sizes[1:], strict=False))


def initial(rng: np.random.Generator, network: Network) -> Array:
    """A fresh flat vector [D]: weights uniform within ±√(6/(inputs + outputs)), biases 0.

    Glorot and Bengio 2010, eq. 16.
    """
    parts = []
    for inputs, outputs in zip(network.sizes, network.sizes[1:], strict=False):
        bound = math.sqrt(6.0 / (inputs + outputs))
        parts += [rng.uniform(-bound, bound, inputs * outputs), np.zeros(outputs)]
    return np.concatenate(parts)


def unpack(params: Array, network: Network) -> list[tuple[Array, Array]]:
    """(weight [I, J], bias [J]) of each layer, as views of the flat vector [D]."""
    layers, start = [], 0
    for inputs, outputs in zip(network.sizes, network.sizes[1:], strict=False):
        middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
        layers.append((params[start:middle].reshape(inputs, outputs), params[middle:end]))
        start = end
    return layers


def forward(params: Array, network: Network, x: Array) -> tuple[Array, list[Array]]:
    """(y [N, outputs], trace): the trace is what every layer was given, [h₀, ..., h_{L−1}], for the way back.

    Shapes: `params` [D], `x` [N, F].
    """
    activate, _ = ACTIVATIONS[network.activation]
    *hidden, (last_weight, last_bias) = unpack(params, network)
    trace = [x]
    for weight, bias in hidden:
        trace.append(activate(dense(trace[-1], weight, bias)))  # [N, hidden]
    return dense(trace[-1], last_weight, last_bias), trace  # [N, outputs]


def backward(d_y: Array, params: Array, network: Network, trace: list[Array]) -> Array:
    """∂L/∂params [D] from ∂L/∂y [N, outputs]: the chain rule, layer by layer, last to first.

        d_W_l, d_b_l, d_h_{l−1}  from  d_z_l        `dense_backward`,      z_l = h_{l−1}·W_l + b_l
        d_z_{l−1}                from  d_h_{l−1}    the activation's own,  h_{l−1} = f(z_{l−1})

    Every gradient needs what its layer was given on the way forward; that is why the trace was kept.
    """
    _, activation_backward = ACTIVATIONS[network.activation]
    layers = unpack(params, network)
    parts: list[Array] = []
    d_z = d_y
    for number in range(len(layers) - 1, -1, -1):
        d_h, d_weight, d_bias = dense_backward(d_z, trace[number], layers[number][0])
        parts = [d_weight.ravel(), d_bias, *parts]
        if number > 0:
            d_z = activation_backward(d_h, trace[number])
    return np.concatenate(parts)  # [D]
