"""Running statistics of observations against NumPy's over everything seen."""

import helpers_graphs as by_definition
import numpy as np
import pytensor.tensor as pt
import pytest

from pg_theano.graphs import normalizers


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
        state = train(state | rollout._asdict() | {"knobs": by_definition.vector(by_definition.KNOBS)})
        np.testing.assert_allclose(state["metrics"][0], expected, rtol=1e-11)
        seen += [e.obs for e in episodes]
        np.testing.assert_allclose(state["normalizer/mean"], np.concatenate(seen).mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(state["normalizer/variance"], np.concatenate(seen).var(axis=0), atol=1e-12)


def test_acting_leaves_the_statistics_alone():
    """`act` has no State among its outputs. Caught, when planted: the normaliser's update among them."""
    from pg_theano.graphs import reinforce

    graph = reinforce.act(by_definition.make_spec(normalize_observations=True))
    assert list(graph.outputs) == ["action", "log_prob"]
    assert {"normalizer/mean", "normalizer/variance"} <= set(graph.inputs)
