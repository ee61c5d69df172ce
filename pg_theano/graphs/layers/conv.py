"""Convolutions: see `graphs/convolution.py`."""

import functools
import operator

import numpy as np

from pg_theano.graphs.convolution import Convolution, parts_of
from pg_theano.graphs.layers.dense import activated
from pg_theano.graphs.networks import over_columns


def expression(placed, arrays, x, *, multiply):
    """f(w ∗ x + b).

    Shapes: `arrays` is [w [kernel·kernel·channels, filters], b [filters]], or of each column [..., N]; `x`
    [height·width·channels, N]; the result [H'·W'·filters, N].
    """
    weight, bias = arrays
    window, filters = placed.layer.window(placed.inputs), placed.layer.filters
    places = window.places[0] * window.places[1]
    if not isinstance(weight, list) and weight.type.ndim == 2:
        y = Convolution(window, filters)(weight, x)
    else:
        y = _columnwise(window, weight, x).reshape((places * filters, -1))
    return activated(placed.layer, y + over_columns(bias[np.tile(np.arange(filters), places)]))


def _columnwise(window, weight, x):
    """w ∗ x where each column has weights of its own: `weight` [size, filters, N], or a list of its rows."""
    channels = window.inputs[2]
    terms = []
    for number, seen in enumerate(parts_of(window, x)):  # [H'·W'·C, N]
        for channel in range(channels):
            own = weight[number * channels + channel]  # [filters, N]
            terms.append(seen[channel::channels, None, :] * own[None])
    return functools.reduce(operator.add, terms)
