"""One whole update: through PyTensor's interpreter for every choice, and as compiled by JAX for two of them."""

import helpers_graphs as by_definition
import numpy as np
import pytest
from helpers_graphs import KNOBS, Episode

from pg_theano.compiler import program as compiling
from pg_theano.graphs.algorithms import common

COST, ENTROPY, NORM, SIGNAL, ADVANTAGE, FINITE = range(6)


def interpreted(spec, function):
    run = by_definition.interpreted_graph(spec, function)

    def call(state, rollout, knobs=KNOBS):
        return run(state | rollout._asdict() | {"knobs": knobs})

    return call


@pytest.fixture(scope="module")
def rich():
    """A program with one of everything that keeps state, compiled by JAX: (spec, program, what was compiled)."""
    spec = by_definition.make_spec(
        optimizer="adam",
        baseline="mean_so_far",
        normalize_observations=True,
        clips_gradient=True,
        exploration="epsilon_softmax",
        signal="episode_return",
    )
    reports = []
    return spec, compiling.load(spec, backend="jax", report=lambda *line: reports.append(line)), reports


@pytest.fixture(scope="module")
def plain():
    """A linear policy, its gradient compiled by JAX, with a ladder up to 128 steps."""
    spec = by_definition.make_spec(
        hidden=(), average="episodes", baseline="leave_one_out", time_limit=128, max_steps=128
    )
    return spec, compiling.load(spec, backend="jax", report=lambda *_: None)


def settled(spec, program, rng):
    """A State after two updates, in which nothing is 0 any more."""
    state = program.init(rng)
    for lengths in ([8, 3, 5], [2, 7, 1, 4]):
        rollout = by_definition.pad(by_definition.random_episodes(rng, lengths), 4, 8)
        state, metrics = program.train(state, rollout, KNOBS)
        assert metrics["finite"] == 1
    return {name: np.asarray(value) for name, value in state.items()}


# -- padding


@pytest.mark.slow
def test_padding_has_no_effect_on_the_compiled_gradient(plain):
    """Three episodes in 4 rows of 64 steps and in 8 rows of 128; zeros or garbage where nothing happened.

    Caught, when planted: rewards not masked (garbage reaches real steps through the sums); the mask left out of both
    advantage and loss (either alone is enough), or of the count of episodes.
    """
    spec, program = plain
    rng = np.random.default_rng(0)
    episodes = by_definition.random_episodes(rng, [40, 64, 7])
    state = by_definition.initial_state(spec, rng)
    reference = program.gradient(state, by_definition.pad(episodes, 4, 64), KNOBS)
    for rows, steps, garbage in ((4, 64, rng), (8, 128, None), (8, 128, rng)):
        got = program.gradient(state, by_definition.pad(episodes, rows, steps, garbage=garbage), KNOBS)
        np.testing.assert_allclose(got["gradient"], reference["gradient"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(got["loss"], reference["loss"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("baseline", by_definition.BASELINES)
@pytest.mark.parametrize("signal", by_definition.SIGNALS)
def test_padding_has_no_effect_on_anything(signal, baseline):
    """Every output of `train`, State and metrics, for every signal and baseline. As above; caught besides: the mask
    left out of the normaliser's statistics, of the entropy, of the signal's mean, or of the standardisation.
    """
    spec = by_definition.make_spec(
        hidden=(),
        signal=signal,
        baseline=baseline,
        standardize_advantages=signal != "episode_return",
        average="steps" if signal == "reward" else "episodes",
        normalize_observations=True,
    )
    rng = np.random.default_rng(1)
    state, train = by_definition.initial_state(spec, rng), interpreted(spec, "train")
    episodes = by_definition.random_episodes(rng, [5, 2, 4])
    reference = train(state, by_definition.pad(episodes, 3, 5))
    padded = train(state, by_definition.pad(episodes, 4, 8, garbage=rng))
    for name, value in reference.items():
        np.testing.assert_allclose(padded[name], value, rtol=0, atol=1e-12, err_msg=name)


# -- pairing, sign, weights


def score(spec, params, obs, action):
    """∇θ log π(a|o) of a linear softmax policy, on paper: ∂/∂W = o·(1[a] − π)ᵀ, ∂/∂b = 1[a] − π."""
    log_p = by_definition.log_probs_by_definition(spec, {"params": params}, obs)
    error = np.eye(spec.acting.num_outputs)[action] - np.exp(log_p)
    return np.concatenate([np.outer(obs, error).ravel(), error])


def test_the_compiled_gradient_is_the_sum_of_scores_weighted_by_advantages(plain):
    """−(1/n)·Σ Â_t·∇log π(a_t|o_t), step by step, every action beside the observation that it answered.

    Caught, when planted: actions shifted by a step; actions flattened by episode and observations by time; the sign;
    a sum over n steps for n episodes. With the actions dealt out anew the gradient is another.
    """
    spec, program = plain
    rng = np.random.default_rng(2)
    episodes = by_definition.random_episodes(rng, [6, 64, 9, 1])
    state = by_definition.initial_state(spec, rng)
    advantages = by_definition.advantages_by_definition(spec, episodes, KNOBS["discount"])
    expected = np.zeros(spec.acting.num_params)
    for episode, advantage in zip(episodes, advantages, strict=True):
        for t in range(len(advantage)):
            expected -= advantage[t] * score(spec, state["params"], episode.obs[t], episode.action[t]) / 4
    got = program.gradient(state, by_definition.pad(episodes, 4, 64), KNOBS)["gradient"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    dealt = [Episode(e.obs, np.roll(e.action, 1), e.reward) for e in episodes]
    other = program.gradient(state, by_definition.pad(dealt, 4, 64), KNOBS)["gradient"]
    assert np.abs(other - expected).max() > 0.1


@pytest.mark.parametrize(
    ("optimizer", "exploration"), list(zip(by_definition.OPTIMIZERS, by_definition.EXPLORATIONS, strict=True))
)
def test_an_update_makes_a_good_action_likelier_and_a_bad_one_less_likely(optimizer, exploration):
    """One step, one action, advantage ±1. Caught, when planted: the sign of the loss, of the update, of an
    optimiser's step.
    """
    spec = by_definition.make_spec(optimizer=optimizer, exploration=exploration)
    rng = np.random.default_rng(3)
    state, obs = by_definition.initial_state(spec, rng), rng.normal(size=(1, 2))
    before = by_definition.log_probs_by_definition(spec, state, obs[0])[1]
    train = interpreted(spec, "train")
    for reward in (1.0, -1.0):
        episode = Episode(obs, np.array([1]), np.array([reward]))
        moved = train(state, by_definition.pad([episode], 1, 8), KNOBS | {"learning_rate": 1e-2})
        after = by_definition.log_probs_by_definition(spec, moved, obs[0])[1]
        assert (after - before) * reward > 1e-5


def test_compiled_updates_climb_towards_the_action_that_pays(rich):
    """Thirty updates on a one-step task that pays action 2: its probability goes from ⅓ to above 0.9."""
    spec, program, _ = rich
    rng = np.random.default_rng(4)
    state = program.init(rng)
    for _ in range(30):
        action = rng.integers(0, 3, 4)
        episodes = [Episode(np.zeros((1, 2)), np.array([a]), np.array([float(a == 2)])) for a in action]
        state, _ = program.train(state, by_definition.pad(episodes, 4, 8), KNOBS | {"learning_rate": 0.1})
    state = {name: np.asarray(value) for name, value in state.items()}
    assert np.exp(by_definition.log_probs_by_definition(spec, state, np.zeros(2))[2]) > 0.9


@pytest.mark.parametrize("average", ["steps", "episodes"])
def test_short_and_long_episodes_weigh_as_stated(average):
    """An episode of 1 step and one of 8: by steps the loss is Σ/9, by episodes Σ/2, and no episode is averaged first.

    Caught, when planted: a mean of the means of episodes (short ones favoured); steps and episodes exchanged; padded
    rows counted as episodes.
    """
    spec = by_definition.make_spec(average=average)
    rng = np.random.default_rng(5)
    episodes = by_definition.random_episodes(rng, [1, 8])
    state = by_definition.initial_state(spec, rng)
    got = interpreted(spec, "gradient")(state, by_definition.pad(episodes, 4, 8))
    sums = [
        by_definition.loss_by_definition(by_definition.make_spec(average="episodes"), state, [e], KNOBS)
        for e in episodes
    ]
    np.testing.assert_allclose(got["loss"], sum(sums) / {"steps": 9, "episodes": 2}[average], rtol=1e-12)
    expected = by_definition.gradient_by_differences(spec, state, episodes, KNOBS)
    np.testing.assert_allclose(got["gradient"], expected, rtol=1e-6, atol=1e-8)


# -- what an update tells, and what it refuses


def test_compiled_updates_are_the_definitions(rich):
    """Metrics and State of two updates in a row, against loops: cost, entropy, norm before clipping, means of signal
    and advantage; Adam on the clipped gradient; mean so far; normaliser.

    Caught, when planted: the norm measured after clipping; clipping not applied; entropy with padding or of the wrong
    sign, or of the network (0.87) in place of the mixture that acts; metrics in another order.
    """
    spec, program, _ = rich
    rng = np.random.default_rng(6)
    state = by_definition.initial_state(spec, rng)
    first, second, earlier, seen = np.zeros(spec.acting.num_params), np.zeros(spec.acting.num_params), [], []
    for update, lengths in enumerate(([8, 3, 5], [2, 7, 1, 4]), start=1):
        episodes = by_definition.random_episodes(rng, lengths)
        rollout = by_definition.pad(episodes, 4, 8, garbage=rng)
        gradient = by_definition.gradient_by_differences(spec, state, episodes, KNOBS, earlier)
        log_p = [by_definition.log_probs_by_definition(spec, state, o) for e in episodes for o in e.obs]
        signals = [by_definition.signal_by_definition(spec.learning.signal, e.reward, 0.9) for e in episodes]
        advantages = by_definition.advantages_by_definition(spec, episodes, 0.9, earlier)
        got, metrics = program.train(state, rollout, KNOBS)
        expected = {
            "cost": by_definition.loss_by_definition(spec, state, episodes, KNOBS, earlier),
            "entropy": np.mean([-np.sum(q * np.log(q)) for q in (0.3 / 3 + 0.7 * np.exp(log_p))]),
            "gradient_norm": np.sqrt(np.sum(gradient**2)),
            "signal_mean": np.concatenate(signals).mean(),
            "advantage_mean": np.concatenate(advantages).mean(),
            "finite": 1,
        }
        assert set(metrics) == set(expected)
        assert expected["gradient_norm"] > KNOBS["max_gradient_norm"]  # so that clipping is at work
        for name, value in expected.items():
            np.testing.assert_allclose(metrics[name], value, rtol=1e-7, atol=1e-10, err_msg=name)

        gradient *= KNOBS["max_gradient_norm"] / expected["gradient_norm"]
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        step = (first / (1 - 0.9**update)) / (np.sqrt(second / (1 - 0.999**update)) + 1e-8)
        np.testing.assert_allclose(got["params"], state["params"] - 0.1 * step, rtol=0, atol=1e-7)
        np.testing.assert_allclose(got["optimizer/first_moment"], first, rtol=0, atol=1e-9)
        np.testing.assert_allclose(got["optimizer/second_moment"], second, rtol=0, atol=1e-9)
        assert np.asarray(got["optimizer/step"]) == update
        earlier += signals
        seen += [e.obs for e in episodes]
        np.testing.assert_allclose(got["baseline/mean"], np.concatenate(earlier).mean(), rtol=1e-12)
        np.testing.assert_allclose(got["normalizer/mean"], np.concatenate(seen).mean(axis=0), rtol=1e-11)
        np.testing.assert_allclose(got["normalizer/variance"], np.concatenate(seen).var(axis=0), rtol=1e-10)
        state = {name: np.asarray(value) for name, value in got.items()}


def broken_rollouts(rng):
    """(what is wrong, a rollout with it)."""
    episodes = by_definition.random_episodes(rng, [8, 3, 5])
    for what, field, value in (
        ("a NaN reward", "reward", np.nan),
        ("an infinite reward", "reward", np.inf),
        ("a reward of minus infinity", "reward", -np.inf),
        ("rewards whose gradient overflows", "reward", 1e200),
        ("a NaN observation", "obs", np.nan),
    ):
        rollout = by_definition.pad(episodes, 4, 8)
        getattr(rollout, field)[1, 1] = value
        yield what, rollout


def unchanged(before, after):
    return [n for n in before if np.asarray(before[n]).tobytes() == np.asarray(after[n]).tobytes()]


def test_a_compiled_update_that_is_not_finite_changes_no_entry_of_the_state(rich):
    """Bit for bit, and says finite = 0. Caught, when planted: only the parameters kept; only the loss looked at;
    x == x for isnan together with a loss that is an infinity.
    """
    spec, program, _ = rich
    rng = np.random.default_rng(7)
    state = settled(spec, program, rng)
    for what, rollout in broken_rollouts(rng):
        after, metrics = program.train(state, rollout, KNOBS)
        assert metrics["finite"] == 0, what
        assert set(after) == set(state)
        assert unchanged(state, after) == list(state), what


@pytest.mark.parametrize("optimizer", by_definition.OPTIMIZERS)
def test_no_optimizer_lets_what_is_not_finite_in(optimizer):
    """As above, in every optimiser's state, with clipping or without."""
    spec = by_definition.make_spec(hidden=(), optimizer=optimizer, clips_gradient=optimizer in ("sgd", "rmsprop"))
    rng = np.random.default_rng(8)
    state, train = by_definition.initial_state(spec, rng), interpreted(spec, "train")
    with np.errstate(all="ignore"):
        for what, rollout in broken_rollouts(rng):
            out = train(state, rollout)
            assert out["metrics"][FINITE] == 0, what
            assert unchanged(state, out) == list(state), what


@pytest.mark.parametrize(
    ("what", "changes", "knobs", "obs"),
    [
        ("a step that overflows", {}, {"learning_rate": 1e308}, 1e10),
        ("observations whose square overflows", {"normalize_observations": True}, {}, 1e200),
    ],
)
def test_a_state_that_would_not_be_finite_is_refused_too(what, changes, knobs, obs):
    """Loss and gradient are finite, what they would make of the State is not: finite = 0, nothing changed."""
    spec = by_definition.make_spec(hidden=(), **changes)
    rng = np.random.default_rng(9)
    state, episodes = by_definition.initial_state(spec, rng), by_definition.random_episodes(rng, [4, 2])
    rollout = by_definition.pad([Episode(e.obs * obs, e.action, e.reward) for e in episodes], 2, 8)
    with np.errstate(all="ignore"):
        out = interpreted(spec, "train")(state, rollout, KNOBS | knobs)
    assert out["metrics"][FINITE] == 0, what
    assert unchanged(state, out) == list(state), what


# -- one graph for all values of the knobs


@pytest.mark.slow
def test_knobs_are_inputs_and_change_nothing_compiled(rich):
    """Two rates of learning, of exploration, two discounts, two bounds: other results, no further compilation, and a
    second shape is one further line of report.

    Caught, when planted: a knob read from the spec as a constant; a key of compiled functions with the knobs in it.
    """
    spec, program, reports = rich
    rng = np.random.default_rng(10)
    state = settled(spec, program, rng)
    rollout = by_definition.pad(by_definition.random_episodes(rng, [8, 3, 5]), 4, 8)
    reference, _ = program.train(state, rollout, KNOBS)
    lines = len(reports)
    for name, value in (
        ("learning_rate", 0.01),
        ("exploration_rate", 0.7),
        ("discount", 0.5),
        ("max_gradient_norm", 0.05),
        ("beta1", 0.5),
        ("beta2", 0.9),
        ("epsilon", 1.0),
    ):
        other, _ = program.train(state, rollout, KNOBS | {name: value})
        assert np.abs(np.asarray(other["params"]) - np.asarray(reference["params"])).max() > 1e-9, name
    assert len(reports) == lines
    wider = by_definition.pad(by_definition.random_episodes(rng, [8, 3, 5, 1, 2]), 8, 8)
    program.train(state, wider, KNOBS)
    program.train(state, wider, KNOBS)
    assert [line[0].startswith("train [E=8, T=8]") for line in reports[lines:]] == [True]


def test_a_seed_gives_one_state_and_one_update(rich):
    """Bit for bit; another seed another. Caught, when planted: a generator made anew from the clock."""
    spec, program, _ = rich
    first, second, third = (program.init(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert list(first) == [name for name, *_ in common.state_entries(spec)]
    assert unchanged(first, second) == list(first)
    assert "params" not in unchanged(first, third)
    assert all(np.asarray(value).dtype == np.float64 for value in first.values())
    assert first["normalizer/variance"].tolist() == [1, 1]
    rollout = by_definition.pad(by_definition.random_episodes(np.random.default_rng(0), [8, 3]), 4, 8)
    one, two = (program.train(state, rollout, KNOBS)[0] for state in (first, second))
    assert unchanged(one, two) == list(one)


def test_a_record_of_a_compiled_environment_is_learned_from_as_the_same_rollout():
    """[T, K, E], with rows obs, action, reward, mask. Caught, when planted: two rows exchanged; episodes and time
    exchanged.
    """
    changes = {"obs_size": 4, "num_actions": 2, "normalize_observations": True, "baseline": "leave_one_out"}
    spec = by_definition.make_spec(**changes)
    scanned = by_definition.make_spec(**changes, dynamics="CartPole-v1", chunk=8)
    rng = np.random.default_rng(11)
    state = by_definition.initial_state(spec, rng)
    rollout = by_definition.pad(by_definition.random_episodes(rng, [8, 3, 5], obs_size=4, num_actions=2), 4, 8)
    fields = [*np.moveaxis(rollout.obs, 2, 0), rollout.action, rollout.reward, rollout.mask]  # K of [E, T]
    record = np.stack(fields).transpose(2, 0, 1)  # [T, K, E]
    expected = interpreted(spec, "train")(state, rollout)
    got = by_definition.interpreted_graph(scanned, "train")(state | {"record": record, "knobs": KNOBS})
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-14, err_msg=name)
