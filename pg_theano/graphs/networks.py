"""Networks over a flat parameter vector, feature-major: one column of [F, N] is one observation."""

from __future__ import annotations

import importlib
import math
from typing import Any, NamedTuple

import pytensor
import pytensor.tensor as pt
from pytensor.compile.builders import OpFromGraph

from pg_theano.graphs.folding import fold, unfold
from pg_theano.layers import kind_of, memory


def views(params, layout):
    """The arrays of a layout as parts of the flat vector `params` [D], by name; of [D, N], each with N columns."""
    named, start, columns = {}, 0, (-1,) * (params.type.ndim - 1)
    for name, shape, *_ in layout:
        size = math.prod(shape)
        part = params[start : start + size]
        named[name] = part if len(shape) == 1 else part.reshape((*shape, *columns))
        start += size
    return named


def through(path, named, x, *, multiply):
    """What layers give, one after the other: x ← layer(x).

    Shapes: `path` as of `Acting.path`, `named` the layout's arrays by name, `x` [F, N]; the result [outputs, N].
    Feature-major is two to three times quicker on one core than rows of observations.
    """
    for placed in path:
        x = expression(placed, [named[name] for name, *_ in placed.arrays], x, multiply=multiply)
    return x


def expression(placed, arrays, x, *, multiply):
    """What one layer gives, of what it learns and what it is given."""
    return kind(placed.layer).expression(placed, arrays, x, multiply=multiply)


def kind(layer):
    """The module of a kind of layer."""
    return importlib.import_module(f"pg_theano.graphs.layers.{kind_of(layer)}")


def inside(path, arrays, x, *, multiply):
    """`through` for the layers inside another; `arrays` are those of all of them, in their order."""
    start = 0
    for placed in path:
        end = start + len(placed.arrays)
        x = expression(placed, arrays[start:end], x, multiply=multiply)
        start = end
    return x


def over_columns(array):
    """What one layer learns, [G] as a column beside [G, N]; where each column has its own it is [G, N] already."""
    return array[:, None] if array.type.ndim == 1 else array


# -- layers that remember


class Remembered(NamedTuple):
    """What layers remember, and where they begin anew."""

    before: Any  # [M, R] at the first step of each of R sequences
    begins: Any = None  # [L, R] 1 where a step is an episode's first; None: one step of each, L = 1


def remembering(path, named, x, remembered, *, multiply):
    """(what layers give [outputs, L·R], what they remember after each step [M, L·R]).

    Shapes: `x` [F, L·R], column t·R + r is step t of sequence r.
    """
    after, start = [], 0
    for placed in path:
        arrays, size = [named[name] for name, *_ in placed.arrays], memory(placed.layer)
        if size:
            own = remembered._replace(before=remembered.before[start : start + size])
            known = recurrent(placed, arrays, x, own, multiply=multiply)
            x, start = known[: placed.layer.width], start + size
            after.append(known)
        else:
            x = expression(placed, arrays, x, multiply=multiply)
    return x, pt.concatenate(after, axis=0) if after else remembered.before


def recurrent(placed, arrays, x, remembered, *, multiply):
    """What a layer remembers after each step [M, L·R]; its first rows are what it gives."""
    weight, back, bias = arrays
    driven, step, width = multiply(weight, x) + over_columns(bias), kind(placed.layer).step, placed.layer.width
    before, begins = remembered
    if begins is None:
        return step(width, driven, multiply(back, before[:width]), before)

    parts = [unfold(driven, begins), begins, before, back]
    symbols = [part.type() for part in parts]
    loop = OpFromGraph(
        symbols,
        [forward_in_time(step, width, *symbols)],
        pullback=lambda given, outputs, upstream: backward_in_time(step, width, *given, *outputs, *upstream),
        inline=True,
    )
    return fold(loop(*parts), begins)


def forward_in_time(step, width, driven, begins, before, back):
    """What is remembered after each step [L, M, R], of `driven` [L, gH, R]."""

    def following(driven, begins, before, turned):
        before = pt.switch(begins[None, :] > 0, 0, before)
        return step(width, driven, turned @ before[:width], before)

    return pytensor.scan(
        following,
        sequences=[driven, begins],
        outputs_info=[before],
        non_sequences=[back.T],
        n_steps=begins.type.shape[0] or begins.shape[0],
        strict=True,
        return_updates=False,
    )


def backward_in_time(step, width, driven, begins, before, back, after, upstream):
    """The gradient of the loop, from its last step to its first (docs/derivations.md, section 10).

    PyTensor's own would take the product for U, [H, gH], at every step; here it is one product over all steps.
    """
    given = pt.concatenate([before[None], after[:-1]], axis=0)
    given = pt.switch(begins[:, None, :] > 0, 0, given)  # [L, M, R]
    told = unfold(back.T @ fold(given, begins)[:width], begins)

    def preceding(driven, told, given, begins, upstream, later, back):
        made = step(width, driven, told, given)
        d_driven, d_told, d_given = pytensor.grad(
            None, [driven, told, given], known_grads={made: upstream + later}, disconnected_inputs="ignore"
        )
        d_given = pt.inc_subtensor(d_given[:width], back @ d_told)
        return pt.switch(begins[None, :] > 0, 0, d_given), d_driven, d_told

    later, d_driven, d_told = pytensor.scan(
        preceding,
        sequences=[driven, told, given, begins, upstream],
        outputs_info=[pt.zeros_like(before), None, None],
        non_sequences=[back],
        n_steps=begins.type.shape[0] or begins.shape[0],
        go_backwards=True,
        strict=True,
        return_updates=False,
    )
    d_driven, d_told = d_driven[::-1], d_told[::-1]
    d_back = fold(given, begins)[:width] @ fold(d_told, begins).T
    return [d_driven, pt.zeros_like(begins), later[-1], d_back]
