"""A recurrent layer along its sequences, and its gradient: one product a step forward, and one back.

PyTensor would differentiate the scan by itself, step by step: ∂L/∂U summed up within the loop, buffers written and read
again by index. Here the loop back holds what must follow step by step, and no more. What a unit remembers depends on
its own gates and numbers alone, so that a step's gradient is a product with factors c, which are of all steps at once:

    q_t  =  ∂L/∂(remembered after t), given,  +  d(before)_{t+1}
    d(before)_t  =  c^k_t ⊙ q_t + U·(c^u_t ⊙ q_t),  0 where an episode begins with t            u = Uᵀ·h
    ∂L/∂(W·x + b)_t  =  c^v_t ⊙ q_t,      ∂L/∂U  =  Σ_t h_{t−1}·(c^u_t ⊙ q_t)ᵀ       Werbos 1990; docs/derivations.md

It is an expression again, so that there are second derivatives.
"""

from __future__ import annotations

import functools
import operator

import pytensor
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from pg_theano.graphs.folding import fold, unfold


def along(step, width, driven, begins, back, before):
    """What is remembered after each step, [L, M, R].

    Shapes: `driven` W·x + b [L, gH, R]; `begins` [L, R], 1 where nothing is remembered; `back` U [H, gH]; `before` the
    first step [M, R]. `step` is a kind's, H its `width`.
    """

    def following(driven, begins, before, back):
        before = pt.switch(begins[None, :] > 0, 0, before)
        return step(width, driven, back.T @ before[:width], before)

    after = pytensor.scan(
        following,
        sequences=[driven, begins],
        outputs_info=[before],
        non_sequences=[back],
        n_steps=begins.type.shape[0] or begins.shape[0],
        strict=True,
        return_updates=False,
    )
    return Remembering(step, width)(after, driven, begins, back, before)


class Remembering(Op):
    """(after, driven, begins, back, before) of `along` to after: nothing but the gradient is its own."""

    __props__ = ("step", "width")
    view_map = {0: [0]}

    def __init__(self, step, width: int):
        self.step, self.width = step, width

    def make_node(self, *inputs):
        inputs = [*map(pt.as_tensor_variable, inputs)]
        return Apply(self, inputs, [inputs[0].type()])

    def infer_shape(self, fgraph, node, shapes):
        return [shapes[0]]

    def connection_pattern(self, node):
        return [[False], [True], [False], [True], [True]]

    def pullback(self, inputs, outputs, gradients):
        _, driven, begins, back, before = inputs
        d_driven, d_back, d_before = _pullback(self, driven, begins, back, before, outputs[0], gradients[0])
        return [DisconnectedType()(), d_driven, DisconnectedType()(), d_back, d_before]

    def perform(self, node, inputs, outputs):
        outputs[0][0] = inputs[0]


def _pullback(op, driven, begins, back, before, after, upstream):
    """(d_driven, d_back, d_before)."""
    width, gates = op.width, back.type.shape[1] // op.width
    later = pt.set_subtensor(pt.zeros_like(after)[1:], after[:-1])
    known = pt.set_subtensor(later[0], before)  # not joined, for the gradient of that asks JAX for sizes
    known = fold(pt.switch(begins[:, None, :] > 0, 0, known), begins)  # [M, L·R] as each step had it
    hidden = known[:width]
    of_driven, of_told, of_known = _factors(op, fold(driven, begins), back.T @ hidden, known)
    kept = known.type.shape[0] // width

    def earlier(upstream, begins, *rest):
        *factors, later, back = rest
        reaches = upstream + later
        d_told = _weighed(factors[:kept], reaches, width, gates)
        d_known = _weighed(factors[kept:], reaches, width, kept)
        d_known = pt.concatenate([d_known[:width] + back @ d_told, d_known[width:]], axis=0)
        return [pt.switch(begins[None, :] > 0, 0, d_known), reaches]

    d_before, reaches = pytensor.scan(
        earlier,
        sequences=[upstream, begins, *(unfold(each, begins) for each in (*of_told, *of_known))],
        outputs_info=[pt.zeros_like(before), None],
        non_sequences=[back],
        n_steps=begins.type.shape[0] or begins.shape[0],
        go_backwards=True,
        strict=True,
        return_updates=False,
    )
    reaches = fold(reaches[::-1], begins)  # q
    d_driven = unfold(_weighed(of_driven, reaches, width, gates), begins)
    return d_driven, hidden @ _weighed(of_told, reaches, width, gates).T, d_before[-1]


def _factors(op, driven, told, known):
    """c by W·x + b, by Uᵀ·h and by what was known: of each a list, one factor for each number that a unit keeps."""
    given, given_to, found = op.step(op.width, driven, told, known), [driven, told, known], []
    for start in range(0, known.type.shape[0], op.width):
        one = pt.set_subtensor(pt.zeros_like(given)[start : start + op.width], 1)
        found.append(pytensor.grad(None, given_to, known_grads={given: one}, consider_constant=given_to))
    return zip(*found, strict=True)


def _weighed(factors, reaches, width, number):
    """Σ over what a unit keeps: a factor [number·H, N] times that part of `reaches` [M, N], beside each of its rows."""
    terms = [
        each * pt.concatenate([reaches[k * width : (k + 1) * width]] * number, axis=0) for k, each in enumerate(factors)
    ]
    return functools.reduce(operator.add, terms)
