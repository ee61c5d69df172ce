"""A layer of the user's own: its function, held to its contract."""

import pytensor.tensor as pt

from pg_theano.graphs import own


def expression(placed, arrays, x, *, multiply):
    """The user's function of rows [N, F], back as columns. `x` [F, N]; the result [G, N]."""
    layer = placed.layer
    shapes = {name: tuple(shape) for name, (shape, _) in layer.learned.items()}
    function = own.tried_layer(layer, shapes, x.type.dtype)
    made = function(dict(zip(shapes, arrays, strict=True)), x.T, **layer.kwargs)
    return pt.specify_shape(made, (None, layer.gives)).T
