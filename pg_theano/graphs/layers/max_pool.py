"""The largest number under a window."""

import functools

import pytensor.tensor as pt

from pg_theano.graphs.convolution import parts_of


def expression(placed, arrays, x, *, multiply):
    """max of what lies under the window; beside the image nothing does. `x` [H·W·C, N] to [H'·W'·C, N]."""
    window = placed.layer.window(placed.inputs)
    return functools.reduce(pt.maximum, parts_of(window, x, filling=-float("inf")))
