"""Layers that remember, derived on paper: against differences, and against the graph's gradient."""

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from pg_theano.by_hand import recurrence
from pg_theano.graphs import networks
from pg_theano.graphs.layers import dense
from pg_theano.layers import Gru, Lstm, Placed

STEPS, ROWS, INPUTS, WIDTH = 6, 4, 3, 5
KINDS = {
    "gru": (Gru(WIDTH), recurrence.gru, recurrence.gru_backward),
    "lstm": (Lstm(WIDTH), recurrence.lstm, recurrence.lstm_backward),
}


def case(layer):
    """Episodes begin at a first step, within a sequence, twice in one, and nowhere in the last row."""
    rng = np.random.default_rng(3)
    weights = tuple(rng.normal(0, 0.7, shape) for _, shape, _ in layer.arrays((INPUTS,), "glorot", 1.0))
    begins = np.zeros((STEPS, ROWS))
    begins[[0, 2, 3, 5], [0, 1, 2, 2]] = 1
    x, before = rng.normal(size=(STEPS, ROWS, INPUTS)), rng.normal(size=(ROWS, layer.memory))
    return x, begins, before, weights, rng.normal(size=(STEPS, ROWS, layer.memory))


def by_hand(step, backward, x, begins, before, weights, d_after):
    after = recurrence.sequence(step, x, begins, before, weights)
    d_x, d_before, gradient = recurrence.sequence_backward(backward, d_after, x, begins, before, after, weights)
    return after, [d_x, d_before, *gradient]


@pytest.mark.parametrize("kind", KINDS)
def test_back_through_time_is_the_gradient_of_the_graph(kind):
    """To 1e-9, with an episode that begins inside a sequence, and the first memory, which acting left.

    Caught, when planted: the gradient cut at a step that begins nothing; not cut where an episode begins; the reset gate
    left out of h's second way; the cell's way into h' left out; gates exchanged.
    """
    layer, step, backward = KINDS[kind]
    x, begins, before, weights, upstream = case(layer)
    after, found = by_hand(step, backward, x, begins, before, weights, upstream)
    symbols = [pt.dtensor3(), pt.dmatrix(), *(pt.tensor(shape=w.shape, dtype="float64") for w in weights)]
    rows, first, *arrays = symbols
    flat = rows.reshape((-1, INPUTS)).T  # [F, L·R]
    placed = Placed(layer, (INPUTS,), [])
    remembered = networks.Remembered(first.T, pt.constant(begins))
    given = networks.recurrent(placed, arrays, flat, remembered, multiply=dense.product)
    loss = (given * upstream.reshape(-1, layer.memory).T).sum()
    outputs = [given, *pytensor.grad(loss, symbols)]
    expected, *gradient = by_definition.interpreted(symbols, outputs)(x, before, *weights)
    np.testing.assert_allclose(after.reshape(-1, layer.memory).T, expected, rtol=0, atol=1e-12)
    for ours, theirs in zip(found, gradient, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_back_through_time_is_the_difference_quotient(kind):
    """Of each number, without the graph."""
    layer, step, backward = KINDS[kind]
    x, begins, before, weights, upstream = case(layer)
    _, found = by_hand(step, backward, x, begins, before, weights, upstream)
    arguments = [x, before, *weights]

    def loss(place, change):
        moved = [one + change if i == place else one for i, one in enumerate(arguments)]
        return (recurrence.sequence(step, moved[0], begins, moved[1], tuple(moved[2:])) * upstream).sum()

    for place, gradient in enumerate(found):
        for index in np.ndindex(*gradient.shape):
            change = np.zeros(gradient.shape)
            change[index] = 1e-6
            quotient = (loss(place, change) - loss(place, -change)) / 2e-6
            np.testing.assert_allclose(gradient[index], quotient, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_goes_back_past_an_episode_that_begins(kind):
    """Row 0 begins at once: its first memory has no gradient. Row 1 begins at step 2: nor have steps 0 and 1 from later."""
    layer, step, backward = KINDS[kind]
    x, begins, before, weights, upstream = case(layer)
    upstream[:2, 1] = 0.0
    _, (d_x, d_before, *_) = by_hand(step, backward, x, begins, before, weights, upstream)
    assert not d_before[0].any() and d_before[3].all()
    assert not d_x[:2, 1].any() and d_x[2:, 1].all()
