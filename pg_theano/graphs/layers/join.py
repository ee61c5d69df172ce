"""The parts of an observation, each through layers of its own."""

import pytensor.tensor as pt

from pg_theano.graphs.networks import inside


def expression(placed, arrays, x, *, multiply):
    """What the branches give, one after the other. `x` [Σ sizes, N]."""
    given, start, first = [], 0, 0
    for size, path in zip(placed.layer.sizes, placed.layer.parts(), strict=True):
        last = first + sum(len(one.arrays) for one in path)
        given.append(inside(path, arrays[first:last], x[start : start + size], multiply=multiply))
        start, first = start + size, last
    return pt.concatenate(given, axis=0)
