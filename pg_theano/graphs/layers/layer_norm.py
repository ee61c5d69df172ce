"""Layer normalisation."""

import pytensor.tensor as pt

from pg_theano.graphs.common import total
from pg_theano.graphs.layers.dense import activated
from pg_theano.graphs.networks import over_columns


def expression(placed, arrays, x, *, multiply):
    """f(g·(x − μ)/√(σ² + ε) + b), μ and σ² over the numbers of each column. `x` [F, N], and so the result."""
    gain, bias = map(over_columns, arrays)
    size = x.type.shape[0] or x.shape[0]
    away = x - total(x, axis=0, keepdims=True) / size
    variance = total(away**2, axis=0, keepdims=True) / size
    return activated(placed.layer, gain * (away / pt.sqrt(variance + placed.layer.epsilon)) + bias)
