"""Baselines against loops, against each other, and against what they promise of the expected gradient."""

import itertools

import helpers_graphs as by_definition
import numpy as np
import pytensor.tensor as pt
import pytest
from helpers_graphs import Episode

from pg_theano.graphs import baselines


@pytest.fixture(scope="module")
def three():
    """signal, mask [T, E] -> the three baselines of one minibatch, by name."""
    signal, mask = pt.dmatrix(), pt.dmatrix()
    made = {
        "running_mean": baselines.running_mean(signal),
        "per_timestep": baselines.per_timestep(signal, mask),
        "leave_one_out": baselines.leave_one_out(signal, mask),
    }
    run = by_definition.interpreted([signal, mask], list(made.values()))
    return lambda s, m: dict(zip(made, run(s, m), strict=True))


def columns(signals, steps, rows):
    """Ragged signals as [T, E], with garbage where nothing happened, and their mask."""
    block, mask = np.full((steps, rows), 7e5), np.zeros((steps, rows))
    for e, own in enumerate(signals):
        block[: len(own), e], mask[: len(own), e] = own, 1
    return block, mask


@pytest.mark.parametrize("name", ["running_mean", "per_timestep", "leave_one_out"])
@pytest.mark.parametrize("lengths", [[1], [5], [1, 1], [4, 4, 4], [7, 2, 5], [6, 1], [3, 9, 9, 1, 4]])
def test_a_baseline_is_its_definition(three, name, lengths):
    """Over ragged minibatches with an extra row and extra timesteps of garbage.

    Caught, when planted: the mask left out; t for t+1 below the running sum; the own episode left in
    `leave_one_out`; the mean over the minibatch where nobody else reaches t; padded episodes counted.
    """
    rng = np.random.default_rng(len(lengths))
    for _ in range(5):
        signals = [rng.normal(3, 5, n) for n in lengths]
        got = three(*columns(signals, max(lengths) + 2, len(lengths) + 1))[name]
        for e, expected in enumerate(by_definition.baseline_by_definition(name, signals)):
            column = np.broadcast_to(got, (max(lengths) + 2, len(lengths) + 1))[: len(expected), e]
            np.testing.assert_allclose(column, expected, rtol=0, atol=1e-12)


def test_baselines_of_a_worked_example(three):
    """Episodes with signals 1, 5 and 3, on paper."""
    got = three(*columns([[1.0, 5.0], [3.0]], 2, 2))
    assert got["running_mean"][:, 0].tolist() == [1.0, 3.0]
    assert got["per_timestep"][:, 0].tolist() == [2.0, 5.0]
    assert got["leave_one_out"][:, 0].tolist() == [3.0, 3.0]  # at t = 1 nobody else: the mean over the other, 3
    assert got["leave_one_out"][0, 1] == 1.0


# -- carried over updates


def interpreted_train(**changes):
    spec = by_definition.make_spec(hidden=(), **changes)
    run = by_definition.interpreted_graph(spec, "train")

    def train(state, rollout, knobs=by_definition.KNOBS):
        out = run(state | rollout._asdict() | {"knobs": knobs})
        return out, out["metrics"]

    return spec, train


def test_mean_so_far_is_the_mean_of_all_earlier_updates():
    """`advantage_mean` over real steps is s̄ − b; b is the mean before this update, 0 in the first.

    Caught, when planted: this update's signals in its own baseline; the count not carried; means of updates
    averaged without their weights; padding counted.
    """
    spec, train = interpreted_train(baseline="mean_so_far", signal="episode_return")
    rng = np.random.default_rng(0)
    state, earlier = by_definition.initial_state(spec, rng), []
    for lengths in ([3, 8], [1], [5, 2, 7], [4, 4]):
        episodes = by_definition.random_episodes(rng, lengths)
        signals = [by_definition.signal_by_definition("episode_return", e.reward, 0.9) for e in episodes]
        expected = by_definition.mean_of(np.concatenate(earlier)) if earlier else 0.0
        np.testing.assert_allclose(state["baseline/mean"], expected, rtol=0, atol=1e-12)
        state, metrics = train(state, by_definition.pad(episodes, 4, 8, garbage=rng))
        own = by_definition.mean_of(np.concatenate(signals))
        np.testing.assert_allclose(metrics[4], own - expected, rtol=0, atol=1e-12)
        earlier += signals
        assert state["baseline/count"] == sum(map(len, earlier))


def test_each_baseline_differs_from_the_others():
    """Same minibatch, same State: five gradients, none equal to another, each the one of its definition.

    Caught, when planted: two names exchanged in the table of reinforce.py; one used for two.
    """
    rng = np.random.default_rng(1)
    earlier = [rng.normal(size=4)]
    episodes = by_definition.random_episodes(rng, [8, 3, 5])
    got = {}
    for name in by_definition.BASELINES:
        spec = by_definition.make_spec(baseline=name)
        state = by_definition.initial_state(spec, np.random.default_rng(2))
        if name == "mean_so_far":
            state |= {"baseline/mean": np.array(earlier[0].mean()), "baseline/count": np.array(4.0)}
        values = state | by_definition.pad(episodes, 4, 8)._asdict()
        out = by_definition.interpreted_graph(spec, "gradient")(values | {"knobs": by_definition.KNOBS})
        expected = by_definition.gradient_by_differences(spec, state, episodes, by_definition.KNOBS, earlier)
        np.testing.assert_allclose(out["gradient"], expected, rtol=1e-6, atol=1e-9)
        got[name] = out["gradient"]
    for one, other in itertools.combinations(got, 2):
        assert np.abs(got[one] - got[other]).max() > 1e-3, (one, other)


# -- bias, by enumeration of every trajectory of a task of two steps and two actions

OBS = {(): [1.0, 0.5], (0,): [-1.0, 0.3], (1,): [0.7, 1.0]}
REWARD = {(0,): 0.5, (1,): -1.0, (0, 0): 2.0, (0, 1): -0.7, (1, 0): 0.2, (1, 1): 3.0}
FIXED = [(0, 0), (0, 1), (1, 0), (1, 1)]
RAGGED = [(0, 0), (0, 1), (1,)]  # action 1 ends the episode at once


def episode_of(actions):
    prefixes = [actions[: t + 1] for t in range(len(actions))]
    return Episode(
        np.array([OBS[p[:-1]] for p in prefixes]), np.array(actions), np.array([REWARD[p] for p in prefixes])
    )


def probability(spec, state, actions):
    total = 0.0
    for t, action in enumerate(actions):
        total += by_definition.log_probs_by_definition(spec, state, np.array(OBS[actions[:t]]))[action]
    return np.exp(total)


def expected_and_true(trajectories, discount, *, baseline, signal="reward_to_go", num_episodes=2):
    """(𝔼 of the estimator over all minibatches, −∇J by central differences of the expected return)."""
    spec = by_definition.make_spec(
        hidden=(2,), num_actions=2, baseline=baseline, signal=signal, average="episodes", time_limit=2, max_steps=2
    )
    run = by_definition.interpreted_graph(spec, "gradient")
    state = by_definition.initial_state(spec, np.random.default_rng(3))
    if baseline == "mean_so_far":
        state["baseline/mean"] = np.array(0.37)
    knobs = by_definition.KNOBS | {"discount": discount}
    probs = {actions: probability(spec, state, actions) for actions in trajectories}
    assert abs(sum(probs.values()) - 1) < 1e-12
    expected = np.zeros(spec.acting.num_params)
    for batch in itertools.product(trajectories, repeat=num_episodes):
        rollout = by_definition.pad([episode_of(a) for a in batch], num_episodes, 2)
        gradient = run(state | rollout._asdict() | {"knobs": knobs})["gradient"]
        expected += np.prod([probs[a] for a in batch]) * gradient

    def expected_return(params):
        moved = state | {"params": params}
        returns = {a: sum(discount**t * r for t, r in enumerate(episode_of(a).reward)) for a in trajectories}
        return sum(probability(spec, moved, a) * returns[a] for a in trajectories)

    true = np.zeros(spec.acting.num_params)
    for i, unit in enumerate(np.eye(len(true)) * 1e-5):
        true[i] = -(expected_return(state["params"] + unit) - expected_return(state["params"] - unit)) / 2e-5
    return expected, true


@pytest.mark.parametrize("trajectories", [FIXED, RAGGED], ids=["fixed", "ragged"])
@pytest.mark.parametrize("baseline", ["none", "mean_so_far", "leave_one_out"])
@pytest.mark.parametrize(("signal", "discount"), [("reward_to_go", 1.0), ("episode_return", 0.9)])
def test_unbiased_baselines_leave_the_expected_gradient_as_it_is(trajectories, baseline, signal, discount):
    """𝔼[∇L] = −∇J, exactly, summed over every pair of episodes with its probability.

    Caught, when planted: the own episode in `leave_one_out`, or its own steps in what stands in where nobody else
    reaches t; this update's mean in `mean_so_far`; a mean over steps under the name of episodes; the wrong sign.
    """
    expected, true = expected_and_true(trajectories, discount, baseline=baseline, signal=signal)
    assert np.abs(true).max() > 0.1
    np.testing.assert_allclose(expected, true, rtol=0, atol=1e-8)


@pytest.mark.parametrize("num_episodes", [1, 2, 3])
def test_per_timestep_shrinks_the_expected_gradient_by_its_own_share(num_episodes):
    """𝔼[∇L] = −(1 − 1/n)·∇J for n episodes of one length: the stated bias. One episode alone learns nothing.

    Caught, when planted: a mean over the other episodes (no bias).
    """
    expected, true = expected_and_true(FIXED, 1.0, baseline="per_timestep", num_episodes=num_episodes)
    np.testing.assert_allclose(expected, (1 - 1 / num_episodes) * true, rtol=0, atol=1e-8)


def test_running_mean_is_biased():
    """The first step of every episode has advantage 0, whatever it was paid: nothing is learned of it.

    Caught, when planted: a mean up to t−1.
    """
    expected, true = expected_and_true(FIXED, 1.0, baseline="running_mean")
    assert np.abs(expected - true).max() > 0.1
    expected, _ = expected_and_true([(0,), (1,)], 1.0, baseline="running_mean")
    np.testing.assert_array_equal(expected, 0)


def test_the_classic_recipe_never_has_a_positive_advantage_where_each_step_pays_one(three):
    """Signal γᵗ·1 less its running mean: at most 0, and below it from the second step on."""
    signal = by_definition.signal_by_definition("reward", np.ones(8), 0.9)
    advantage = signal - three(*columns([signal], 8, 1))["running_mean"][:, 0]
    assert advantage[0] == 0
    assert (advantage[1:] < 0).all()


def test_a_running_mean_of_one_step_is_that_step():
    """And of nothing it stays what it was. Caught, when planted: a count held above 2 in place of 1."""
    mean, count, signal, mask = pt.dscalar(), pt.dscalar(), pt.dmatrix(), pt.dmatrix()
    run = by_definition.interpreted([mean, count, signal, mask], baselines.next_mean_so_far(mean, count, signal, mask))
    assert [float(x) for x in run(0.0, 0.0, [[3.0, 99.0]], [[1.0, 0.0]])] == [3.0, 1.0]
    assert [float(x) for x in run(3.0, 1.0, [[5.0, 99.0]], [[1.0, 0.0]])] == [4.0, 2.0]
    assert [float(x) for x in run(0.0, 0.0, [[7.0, 99.0]], [[0.0, 0.0]])] == [0.0, 0.0]
