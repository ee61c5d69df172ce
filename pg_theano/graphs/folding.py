"""Columns of sequences, and the same with time as an axis: two Ops, each the gradient of the other.

    Unfold: x [F, L·R], column t·R + r, to [L, F, R];     Fold: back

They are a reshape and a transposition. Ops of our own, because L and R are known when a function is called and not when
its graph is built, and PyTensor's JAX backend reshapes to sizes that it knows as it builds. For JAX see
`compiler/convolving.py`.
"""

from __future__ import annotations

import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op


class Unfold(Op):
    """(x [F, L·R], like [L, R]) to [L, F, R]; of `like` only the shape is read."""

    __props__ = ()

    def make_node(self, *inputs):
        x, like = map(pt.as_tensor_variable, inputs)
        steps, rows = like.type.shape
        return Apply(self, [x, like], [pt.tensor(dtype=x.dtype, shape=(steps, x.type.shape[0], rows))])

    def infer_shape(self, fgraph, node, shapes):
        (features, _), (steps, rows) = shapes
        return [(steps, features, rows)]

    def connection_pattern(self, node):
        return [[True], [False]]

    def pullback(self, inputs, outputs, gradients):
        return [fold(gradients[0], inputs[1]), DisconnectedType()()]

    def perform(self, node, inputs, outputs):
        x, like = inputs
        outputs[0][0] = x.reshape(len(x), *like.shape).swapaxes(0, 1).copy()


class Fold(Op):
    """(x [L, F, R], like [L, R]) to [F, L·R]."""

    __props__ = ()

    def make_node(self, *inputs):
        x, like = map(pt.as_tensor_variable, inputs)
        return Apply(self, [x, like], [pt.tensor(dtype=x.dtype, shape=(x.type.shape[1], None))])

    def infer_shape(self, fgraph, node, shapes):
        steps, features, rows = shapes[0]
        return [(features, steps * rows)]

    def connection_pattern(self, node):
        return [[True], [False]]

    def pullback(self, inputs, outputs, gradients):
        return [unfold(gradients[0], inputs[1]), DisconnectedType()()]

    def perform(self, node, inputs, outputs):
        x = inputs[0]
        outputs[0][0] = x.swapaxes(0, 1).reshape(x.shape[1], -1).copy()


fold, unfold = Fold(), Unfold()
