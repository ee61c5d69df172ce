"""A layer of the user's own: its function, held to its contract."""

import pytensor.tensor as pt
from pytensor.graph.replace import vectorize_graph

from pg_theano.graphs import own


def expression(placed, arrays, x, *, multiply):
    """The user's function of rows [N, F], back as columns. `x` [F, N]; the result [G, N].

    Where each column has arrays of its own, [..., N], the function is of one row, and is taken N times at once.
    """
    layer = placed.layer
    shapes = {name: tuple(shape) for name, (shape, _) in layer.learned.items()}
    function = own.tried_layer(layer, shapes, x.type.dtype)
    arrays = [pt.stack(array) if isinstance(array, list) else array for array in arrays]
    if any(array.type.ndim > len(shape) for array, shape in zip(arrays, shapes.values(), strict=True)):
        one = {name: pt.tensor(name, shape=shape, dtype=x.type.dtype) for name, shape in shapes.items()}
        row = pt.tensor("row", shape=(1, layer.inputs), dtype=x.type.dtype)
        columns = dict(zip(one.values(), [pt.moveaxis(array, -1, 0) for array in arrays], strict=True))
        made = vectorize_graph(function(one, row, **layer.kwargs), columns | {row: x.T[:, None, :]})[:, 0]
    else:
        made = function(dict(zip(shapes, arrays, strict=True)), x.T, **layer.kwargs)
    return pt.specify_shape(made, (None, layer.gives)).T
