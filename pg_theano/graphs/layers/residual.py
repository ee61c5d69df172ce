"""Layers beside which what they are given passes."""

from pg_theano.graphs.layers.dense import activated
from pg_theano.graphs.networks import inside
from pg_theano.layers import inner


def expression(placed, arrays, x, *, multiply):
    """f(x + layers(x)). `x` [F, N], and so the result."""
    y = inside(inner(placed.layer.layers, placed.inputs), arrays, x, multiply=multiply)
    return activated(placed.layer, x + y)
