"""A learned vector for each choice."""

import pytensor.tensor as pt


def expression(placed, arrays, x, *, multiply):
    """The rows of the table that `x` [choices, N] has a 1 at, one after the other: [components·width, N]."""
    (table,) = arrays
    vectors, start = [], 0
    for size in placed.layer.sizes:
        vectors.append(multiply(table[start : start + size], x[start : start + size]))
        start += size
    return pt.concatenate(vectors, axis=0)
