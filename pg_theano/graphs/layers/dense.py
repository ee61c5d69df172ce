"""Dense layers, and the ways to multiply their weights by columns of observations."""

from __future__ import annotations

import functools
import operator

import pytensor.tensor as pt

from pg_theano.graphs.common import total
from pg_theano.types import NARROW

ACTIVATIONS = {"sigmoid": pt.sigmoid, "tanh": pt.tanh, "relu": lambda x: pt.maximum(x, 0)}


def expression(placed, arrays, x, *, multiply):
    """f(Wᵀ·x + b).

    Shapes: `arrays` is [W [inputs, outputs], b [outputs]]; `x` [inputs, N]; the result [outputs, N]. `multiply` is how
    Wᵀ·x is computed. Where each column has a layer of its own, b is [outputs, N], and W is [inputs, outputs, N] for
    `columnwise`, a list of [outputs, N] for each input for `own_product`.
    """
    weight, bias = arrays
    y = multiply(weight, x) + (bias[:, None] if bias.type.ndim == 1 else bias)
    return activated(placed.layer, y)


def activated(layer, y):
    """f(y); y where the layer has no activation."""
    return ACTIVATIONS[layer.activation](y) if layer.activation else y


def outer_sum(weight, x):
    """Wᵀ·x as Σ_i w_i·x_iᵀ, a sum of outer products: for a narrow layer and few columns.

    XLA fuses this with everything around it, where a matrix product is a call of its own: in a scan over 16 episodes
    1.3 instead of 3.7 µs a step. Its nodes grow with the layer's inputs.
    """
    total = weight[0][:, None] * x[0][None, :]
    for i in range(1, weight.type.shape[0]):
        total = total + weight[i][:, None] * x[i][None, :]
    return total


def own_product(weight, x):
    """Wᵀ·x as a sum of products, where each column has weights of its own: `weight` is [outputs, N] for every input.

    The rows of x come from one `split`, whose gradient is one `join`; that of an index would be a scatter for each.
    """
    rows = pt.split(x, len(weight) * [1], n_splits=len(weight), axis=0)
    products = [own * pt.specify_broadcastable(row, 0) for own, row in zip(weight, rows, strict=True)]
    return functools.reduce(operator.add, products)


def columnwise(weight, x):
    """Wᵀ·x where each column has weights of its own: `weight` [inputs, outputs, N]."""
    if weight.type.shape[0] > NARROW:
        return total(weight * x[:, None, :], axis=0)
    return functools.reduce(operator.add, (weight[i] * x[i][None, :] for i in range(weight.type.shape[0])))


def product(weight, x):
    """Wᵀ·x as a matrix product: for many columns, or a wide layer."""
    return weight.T @ x


def in_scan(weight, x):
    """Wᵀ·x for a step of a scan: a sum of outer products for a narrow layer, a matrix product for a wide one."""
    return (outer_sum if weight.type.shape[0] <= NARROW else product)(weight, x)
