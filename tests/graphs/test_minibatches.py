"""The order in which a rollout is learned from: what `minibatches.draw` promises, for any sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_theano.training import minibatches


def drawn(mask, columns, epochs, batches, seed=0):
    """(index, weight) of each epoch: [epochs, batches, B]."""
    mask = None if mask is None else np.array(mask, float)
    got = minibatches.draw(
        np.random.default_rng(seed), mask, columns, num_epochs=epochs, num_minibatches=batches, dtype="float32"
    )
    size = -(-columns // batches)
    assert {name: (value.shape, value.dtype.name) for name, value in got.items()} == {
        "index": ((epochs * batches, size), "int32"),
        "weight": ((epochs * batches, size), "float32"),
    }
    return got["index"].reshape(epochs, batches, size), got["weight"].reshape(epochs, batches, size)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.booleans(), min_size=1, max_size=60).filter(any), st.integers(1, 3), st.integers(1, 13), st.booleans()
)
def test_an_epoch_is_every_real_step_once(mask, epochs, batches, whole):
    """In minibatches whose sizes differ by one at most, no padding among them; whatever divides what.

    Caught, when planted: the last steps dropped; one long minibatch at the end; padding drawn; one order for all
    epochs; weight 1 for what fills a minibatch up.
    """
    real = list(range(len(mask))) if whole else np.flatnonzero(mask).tolist()
    index, weight = drawn(None if whole else mask, len(mask), epochs, batches)
    assert np.isin(weight, [0, 1]).all()
    assert ((index >= 0) & (index < len(mask))).all()
    for epoch in range(epochs):
        sizes = weight[epoch].sum(axis=1)
        assert sizes.min() >= 1 and sizes.max() - sizes.min() <= 1
        learned = sorted(index[epoch][weight[epoch] > 0].tolist())
        if len(real) >= batches:
            assert learned == real
        else:  # fewer steps than minibatches: each once or a few times, in minibatches of one
            counts = np.unique(learned, return_counts=True)
            assert counts[0].tolist() == real
            assert counts[1].max() - counts[1].min() <= 1 and len(learned) == batches


def test_the_sizes_of_a_worked_example():
    """17 real steps of 24 in 3 minibatches: 6, 6 and 5 of room for 8."""
    index, weight = drawn([1] * 17 + [0] * 7, 24, 1, 3)
    assert weight.sum(axis=2).tolist() == [[6, 6, 5]]
    assert index.shape == (1, 3, 8)
    assert index[weight > 0].max() == 16


def test_a_generator_gives_one_order_and_each_epoch_its_own():
    """Caught, when planted: no shuffling; one permutation repeated."""
    first, again, other = (drawn(None, 64, 2, 4, seed)[0] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert (first[0] != first[1]).any()
    assert (first[0].ravel() != np.arange(64)).any()


@pytest.mark.parametrize("batches", [1, 4])
def test_every_step_is_as_often_in_every_place(batches):
    """Over 2000 epochs each of 8 steps comes first about 250 times. Caught, when planted: no shuffling."""
    index, _ = drawn(None, 8, 2000, batches)
    counts = np.bincount(index[:, 0, 0], minlength=8)
    assert counts.min() > 180 and counts.max() < 320
