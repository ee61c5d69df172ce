"""Signals and standardisation against O(T²) sums over ragged episodes."""

import helpers_graphs as by_definition
import numpy as np
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_theano.graphs import advantages

MAX_STEPS = [1, 5, 16, 37]  # at a power of two, above and between

rewards = st.floats(-1e3, 1e3, allow_nan=False, width=64)


@st.composite
def minibatches(draw):
    """(max_steps, padded T, episodes' rewards): ragged, with room beside and below that is not theirs."""
    max_steps = draw(st.sampled_from(MAX_STEPS))
    episodes = draw(st.lists(st.lists(rewards, min_size=1, max_size=max_steps), min_size=1, max_size=4))
    longest = max(map(len, episodes))
    return max_steps, draw(st.integers(longest, max_steps)), [np.array(e) for e in episodes]


@pytest.fixture(scope="module")
def signals():
    """(name, max_steps) -> function of reward [T, E] and discount."""
    made = {}
    for name in by_definition.SIGNALS:
        for max_steps in MAX_STEPS:
            reward, discount = pt.dmatrix(), pt.dscalar()
            out = advantages.signal(name, reward, discount=discount, max_steps=max_steps)
            made[name, max_steps] = by_definition.interpreted([reward, discount], out)
    return made


@pytest.mark.parametrize("name", by_definition.SIGNALS)
@settings(max_examples=60, deadline=None)
@given(batch=minibatches(), discount=st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_a_signal_is_its_definition(signals, name, batch, discount):
    """Caught, when planted: γ^(t+1) for γᵗ; one round of doubling too few; γ not squared from round to round;
    returns from t+1 on; the sum taken over episodes instead of steps.
    """
    max_steps, steps, episodes = batch
    reward = np.zeros((steps, len(episodes)))
    for e, own in enumerate(episodes):
        reward[: len(own), e] = own
    got = signals[name, max_steps](reward, discount)
    assert got.shape == reward.shape
    for e, own in enumerate(episodes):
        expected = by_definition.signal_by_definition(name, own, discount)
        scale = max(1.0, np.abs(own).sum())
        np.testing.assert_allclose(got[: len(own), e], expected, rtol=0, atol=1e-12 * scale)


def test_signals_of_a_worked_example(signals):
    """r = 1, 2, 4 at γ = 0.5, on paper. Caught, when planted: as above."""
    reward = np.array([[1.0], [2.0], [4.0]])
    assert signals["reward", 5](reward, 0.5)[:, 0].tolist() == [1.0, 1.0, 1.0]
    assert signals["episode_return", 5](reward, 0.5)[:, 0].tolist() == [3.0, 3.0, 3.0]
    assert signals["reward_to_go", 5](reward, 0.5)[:, 0].tolist() == [3.0, 4.0, 4.0]


@pytest.fixture(scope="module")
def standardize():
    advantage, mask = pt.dmatrix(), pt.dmatrix()
    return by_definition.interpreted([advantage, mask], advantages.standardize(advantage, mask))


def test_standardised_advantages_of_a_worked_example(standardize):
    """2, 4, 6 have mean 4 and (population) variance 8/3; the fourth entry is padding.

    Caught, when planted: padding counted; variance where its root belongs; N−1 for N.
    """
    got = standardize(np.array([[2.0, 6.0], [4.0, 100.0]]), np.array([[1.0, 1.0], [1.0, 0.0]]))
    np.testing.assert_allclose(got, [[-1.2247448714, 1.2247448714], [0.0, 0.0]], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("advantage", "mask"),
    [
        ([[3.0]], [[1.0]]),  # a minibatch of one step
        ([[3.0, 8.0], [9.0, 9.0]], [[1.0, 0.0], [0.0, 0.0]]),  # one step beside padding
        ([[0.5, 0.5], [0.5, 0.5]], [[1.0, 1.0], [1.0, 1.0]]),  # equals
        ([[1.0, 2.0]], [[0.0, 0.0]]),  # nothing at all
    ],
)
def test_advantages_without_spread_become_zeros(standardize, advantage, mask):
    """Caught, when planted: no 1e-8 under the fraction (NaN); number of steps not held above 0."""
    assert standardize(np.array(advantage), np.array(mask)).tolist() == np.zeros_like(advantage).tolist()


@pytest.mark.parametrize("value", [0.1, 100.1, 1e9])
def test_many_equal_advantages_become_zeros_in_float32(value):
    """A policy whose episodes all return the same has nothing to learn from them, whatever rounding says."""
    with by_definition.floats("float32"):
        advantage, mask = pt.fmatrix(), pt.fmatrix()
        run = by_definition.interpreted([advantage, mask], advantages.standardize(advantage, mask))
    block = np.full((64, 7), value, "float32")
    assert np.abs(run(block, np.ones_like(block))).max() < 0.05
