"""Running statistics of observations and returns against NumPy's over everything seen."""

import helpers_graphs as by_definition
import numpy as np
import pytensor.tensor as pt
import pytest
from helpers_graphs import BOTH, CONTINUES, PADDED, TERMINATED, TRUNCATED
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_theano.graphs import normalizers
from pg_theano.training.population import learner


@pytest.fixture(scope="module")
def updated():
    mean, variance, count, obs, mask = pt.dvector(), pt.dvector(), pt.dscalar(), pt.dmatrix(), pt.dvector()
    symbols = [mean, variance, count, obs, mask]
    return by_definition.interpreted(symbols, list(normalizers.updated(*symbols)))


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_running_statistics_are_numpys_over_all_real_observations(updated, offset):
    """Batches of 1 to 40 columns, a third of them padding with garbage.

    Caught, when planted: padding counted; the term δ²·N·n/N' left out; the initial variance 1 given a weight; a
    standard deviation kept after the first update; N−1 for N.
    """
    rng = np.random.default_rng(0)
    mean, variance, count, seen = np.zeros(2), np.ones(2), np.array(0.0), []
    for number in (1, 40, 7, 2, 19):
        real = rng.normal([[offset], [-3.0]], [[2.0], [0.1]], (2, number))
        seen.append(real)
        garbage = rng.normal(0, 1e6, (2, number // 2 + 1))
        obs, mask = np.concatenate([real, garbage], axis=1), np.repeat([1.0, 0.0], [number, number // 2 + 1])
        order = rng.permutation(len(mask))
        mean, variance, count = updated(mean, variance, count, obs[:, order], mask[order])
        everything = np.concatenate(seen, axis=1)
        assert count == everything.shape[1]
        np.testing.assert_allclose(mean, everything.mean(axis=1), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(variance, everything.var(axis=1), rtol=1e-10, atol=1e-12)


def test_nothing_new_changes_nothing(updated):
    """A batch of padding alone. Caught, when planted: a division by n not held above 0 (NaN)."""
    mean, variance, count = updated(
        np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array(5.0), np.full((2, 3), 9.0), np.zeros(3)
    )
    assert (mean.tolist(), variance.tolist(), count.item()) == ([1, 2], [3, 4], 5)


def test_what_has_seen_nothing_stays_at_its_start(updated):
    """No real step, and none before: mean 0, variance 1, in a population's normaliser too.

    Caught, when planted: a variance of 0/1 (it was 0), by which the first observations after it are divided; the mean of
    no columns, 0/0.
    """
    mean, variance, count = updated(np.zeros(2), np.ones(2), np.array(0.0), np.full((2, 3), 9.0), np.zeros(3))
    assert (mean.tolist(), variance.tolist(), count.item()) == ([0, 0], [1, 1], 0)
    state = dict(zip(learner.NORMALIZER, (np.zeros(2), np.ones(2), np.zeros(())), strict=True))
    seen = learner.moments_of(np.full((4, 3, 2), 9.0), np.zeros((4, 3)))
    after = learner.normalizer_after(state, seen, "float64")
    assert [after[name].tolist() for name in learner.NORMALIZER] == [[0, 0], [1, 1], 0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_normalised_rewards_do_not_depend_on_their_unit(dtype):
    """r/σ bounded to ±10 for σ of 3 and of 3e-12; where σ is 0, 0 stays 0 and what is not becomes ±10.

    Caught, when planted: √(σ² + 1e-8), which makes rewards of 1e-12 a hundred-millionth of what they should be; 0/0.
    """
    with by_definition.floats(dtype):
        reward, variance = pt.matrix(dtype=dtype), pt.scalar(dtype=dtype)
        run = by_definition.interpreted([reward, variance], normalizers.normalize_reward(reward, variance))
    rewards = np.array([[6.0, -1.5, 0.0, 1e6]])
    for unit in (1.0, 1e-12):
        got = run((rewards * unit).astype(dtype), np.array(9 * unit**2, dtype))
        np.testing.assert_allclose(got, [[2.0, -0.5, 0.0, 10.0]], rtol=1e-6)
    assert run(rewards.astype(dtype), np.array(0.0, dtype)).tolist() == [[10, -10, 0, 10]]


def test_normalised_observations_of_a_worked_example():
    """(5 − 1)/2 = 2 at variance 4; bounded to ±10; a feature that never varies does not divide by 0.

    Caught, when planted: variance for its root; no bound.
    """
    obs, mean, variance = pt.dmatrix(), pt.dvector(), pt.dvector()
    run = by_definition.interpreted([obs, mean, variance], normalizers.normalize(obs, mean, variance))
    got = run(np.array([[5.0, -1e9], [3.0, 3.0]]), np.array([1.0, 3.0]), np.array([4.0, 0.0]))
    np.testing.assert_allclose(got, [[2.0, -10.0], [0.0, 0.0]], rtol=1e-8)


def test_an_update_uses_the_statistics_from_before_it():
    """The first update sees mean 0 and variance 1: its loss is that of the raw observations, and only then do the
    statistics move. Rollout and gradient are so of one policy, the one that acted.

    Caught, when planted: statistics updated before the loss.
    """
    rng = np.random.default_rng(1)
    spec = by_definition.make_spec(normalize_observations=True)
    raw = by_definition.make_spec()
    train = by_definition.interpreted_graph(spec, "train")
    state = by_definition.initial_state(spec, rng)
    seen = []
    for _ in range(3):
        episodes = by_definition.random_episodes(rng, [4, 8])
        expected = by_definition.loss_by_definition(spec, state, episodes, by_definition.KNOBS)
        if not seen:
            plain = by_definition.loss_by_definition(raw, state, episodes, by_definition.KNOBS)
            np.testing.assert_allclose(expected, plain, rtol=1e-6)
        rollout = by_definition.pad(episodes, 2, 8, garbage=rng)
        state = train(state | rollout._asdict() | {"knobs": by_definition.KNOBS})
        np.testing.assert_allclose(state["metrics"][0], expected, rtol=1e-11)
        seen += [e.obs for e in episodes]
        np.testing.assert_allclose(state["normalizer/mean"], np.concatenate(seen).mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(state["normalizer/variance"], np.concatenate(seen).var(axis=0), atol=1e-12)


def test_acting_leaves_the_statistics_alone():
    """`act` has no State among its outputs. Caught, when planted: the normaliser's update among them."""
    from pg_theano.graphs.algorithms import reinforce

    graph = reinforce.act(by_definition.make_spec(normalize_observations=True))
    assert list(graph.outputs) == ["action", "log_prob"]
    assert {"normalizer/mean", "normalizer/variance"} <= set(graph.inputs)


# -- rewards


@pytest.fixture(scope="module")
def so_far():
    """(block, carry, discount) -> (R [T, E], carry [E]), blocks of at most 37 steps."""
    wanted = ["reward", "carry", "terminated", "truncated", "mask"]
    symbols = [pt.dvector(name) if name == "carry" else pt.dmatrix(name) for name in wanted]
    discount = pt.dscalar("discount")
    out = normalizers.discounted_return_so_far(*symbols, discount=discount, max_steps=37)
    run = by_definition.interpreted([*symbols, discount], list(out))
    return lambda block, carry, gamma: run(*(carry if name == "carry" else block[name] for name in wanted), gamma)


@st.composite
def blocks(draw):
    shape = draw(st.integers(1, 37)), draw(st.integers(1, 3))
    likely = st.sampled_from([CONTINUES] * 6 + [TERMINATED, TRUNCATED, BOTH, PADDED, PADDED])
    ends = draw(st.lists(likely, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return by_definition.segment(np.reshape(ends, shape), rng), rng.normal(size=shape[1])


DISCOUNTS = st.sampled_from([0.0, 0.5, 0.99, 1.0])


@settings(max_examples=100, deadline=None)
@given(block=blocks(), discount=DISCOUNTS)
def test_returns_so_far_are_the_loop_of_a_wrapper(so_far, block, discount):
    """Caught, when planted: backward in time; a sum not set back at an end, or set back at padding, or at one kind of
    end only; padding that adds; a carry that is left out, not discounted, or kept after an end.
    """
    block, carry = block
    ours, after = so_far(block, carry, discount)
    expected, expected_after = by_definition.returns_so_far(block, carry, discount)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(after, expected_after, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(block=blocks(), discount=DISCOUNTS, data=st.data())
def test_two_blocks_are_one(so_far, block, discount, data):
    block, carry = block
    at = data.draw(st.integers(0, len(block["mask"]) - 1))
    whole, after = so_far(block, carry, discount)
    parts = []
    for half in (slice(0, at), slice(at, None)):
        if half.stop != 0:
            part, carry = so_far({name: values[half] for name, values in block.items()}, carry, discount)
            parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=0, atol=1e-12)
    np.testing.assert_allclose(carry, after, rtol=0, atol=1e-12)


def test_returns_so_far_of_a_worked_example(so_far):
    """γ = 1/2; R = r + C/2, where C is the R before, or what the block began with, or 0 after an end.

    Column 0 begins with 6:   1 + 6/2 = 4,   2 + 4/2 = 4,   4 + 4/2 = 6 and terminates,   8 + 0 = 8; carries 8
    Column 1 begins with 2:   padding,       1 + 2/2 = 2 and truncated,    padding,       3 + 0 = 3 and terminates
    Column 2 begins with 4:   1 + 4/2 = 3,   1 + 3/2 = 5/2, padding,       padding; carries 5/2
    """
    columns = {
        "reward": [[1, 2, 4, 8], [9, 1, 9, 3], [1, 1, 9, 9]],
        "terminated": [[0, 0, 1, 0], [1, 0, 0, 1], [0, 0, 1, 0]],
        "truncated": [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]],
        "mask": [[1, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 0]],
    }
    block = {name: np.array(values, float).T for name, values in columns.items()}
    ours, carry = so_far(block, np.array([6.0, 2.0, 4.0]), 0.5)
    assert ours.T.tolist() == [[4, 4, 6, 8], [0, 2, 0, 3], [3, 2.5, 0, 0]]
    assert carry.tolist() == [8, 0, 2.5]


def test_the_scale_of_rewards_is_that_of_all_returns_so_far(so_far):
    """Statistics of a single number, scalars, over five blocks. Caught, when planted: a carry left out; padding counted."""
    mean, variance, count, values, mask = pt.dscalar(), pt.dscalar(), pt.dscalar(), pt.dvector(), pt.dvector()
    symbols = [mean, variance, count, values, mask]
    updated = by_definition.interpreted(symbols, list(normalizers.updated(*symbols)))
    rng = np.random.default_rng(5)
    ends = rng.choice([CONTINUES, TERMINATED, TRUNCATED, PADDED], (100, 4), p=[0.85, 0.05, 0.05, 0.05])
    whole = by_definition.segment(ends, rng)
    statistics, carry = (np.array(0.0), np.array(1.0), np.array(0.0)), np.zeros(4)
    for start in range(0, 100, 20):
        block = {name: values[start : start + 20] for name, values in whole.items()}
        returns, carry = so_far(block, carry, 0.9)
        statistics = updated(*statistics, returns.ravel(), block["mask"].ravel())
    expected = by_definition.returns_so_far(whole, np.zeros(4), 0.9)[0][whole["mask"] > 0]
    np.testing.assert_allclose(statistics, [expected.mean(), expected.var(), len(expected)], rtol=1e-10)


def test_normalised_rewards_of_a_worked_example():
    """6/√4 = 3, the sign kept and no mean taken off; bounded to ±10; a variance of 0 divides nothing by 0.

    Caught, when planted: variance for its root; no bound.
    """
    reward, variance = pt.dmatrix(), pt.dscalar()
    run = by_definition.interpreted([reward, variance], normalizers.normalize_reward(reward, variance))
    np.testing.assert_allclose(run(np.array([[6.0, -1.0], [0.0, -1e9]]), 4.0), [[3.0, -0.5], [0.0, -10.0]], rtol=1e-8)
    assert run(np.array([[0.0, 1.0]]), 0.0).tolist() == [[0.0, 10.0]]
