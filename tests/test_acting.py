"""Actions from the NumPy forward pass against those of the graph: the same noise, the same actions."""

import itertools

import helpers_graphs as by_definition
import numpy as np
import pytest
from helpers_graphs import KNOBS

from pg_theano import acting, compiling
from pg_theano.types import EXPLORE, GREEDY, SAMPLE

CHOICES = {"explore": EXPLORE, "greedy": GREEDY, "sample": SAMPLE}
MIXTURES = [  # every pair of exploration and activation, each with both dtypes, normalised and not
    (exploration, activation, (e + a) % 2 == 0, ["float32", "float64"][(e // 2 + a) % 2])
    for e, exploration in enumerate(by_definition.EXPLORATIONS)
    for a, activation in enumerate(by_definition.ACTIVATIONS)
]


def case(exploration, activation, normalize, dtype, hidden=(5, 3), num_actions=3):
    """(spec, State, obs [64, F], noise [64, U]) with observations near and far, and a State that has learned."""
    rng = np.random.default_rng(0)
    spec = by_definition.make_spec(
        hidden=hidden,
        exploration=exploration,
        activation=activation,
        normalize_observations=normalize,
        dtype=dtype,
        obs_size=4,
        num_actions=num_actions,
    )
    state = {"params": rng.normal(0, 1.5, spec["num_params"]).astype(dtype)}
    if normalize:
        state["normalizer/mean"] = rng.normal(size=4).astype(dtype)
        state["normalizer/variance"] = rng.uniform(0.1, 9, 4).astype(dtype)
    obs = (rng.normal(size=(64, 4)) * np.exp(rng.normal(0, 2, (64, 1)))).astype(dtype)
    return spec, state, obs, rng.random((64, acting.NUM_UNIFORMS[exploration]), dtype)


def near_a_boundary(spec, state, obs, noise):
    """[N]: a uniform number, or two log-probabilities, so close that rounding may decide."""
    log_p = np.array([by_definition.log_probs_by_definition(spec, state, o.astype("float64")) for o in obs])
    edges = np.cumsum(np.exp(log_p), axis=1)[:, :-1]
    close = (np.abs(edges - noise[:, :1]) < 1e-6).any(axis=1)
    return close | (np.diff(np.sort(log_p, axis=1)[:, -2:], axis=1)[:, 0] < 1e-5)


def agree(spec, state, obs, noise, ours, theirs):
    """The same actions, but where float32 cannot tell; the same log-probabilities of the same actions."""
    (action, log_prob), (other_action, other_log_prob) = ours, theirs
    assert action.dtype == other_action.dtype == np.int32
    assert log_prob.dtype == spec["dtype"]
    same = np.array(action == other_action)
    if spec["dtype"] == "float64":
        assert same.all()
    else:
        assert (same | near_a_boundary(spec, state, obs, noise)).all()
    tolerance = {"float64": 1e-12, "float32": 1e-5}[spec["dtype"]]
    scale = 1 + np.abs(other_log_prob[same])
    assert (np.abs(log_prob[same] - other_log_prob[same]) <= tolerance * scale).all()


@pytest.mark.parametrize(("exploration", "activation", "normalize", "dtype"), MIXTURES)
def test_numpy_chooses_as_the_graph_does(exploration, activation, normalize, dtype):
    """Every strategy, activation and dtype, three ways to choose, four rates; the graph through PyTensor's interpreter.

    Caught, when planted, in NumPy alone: noise columns exchanged; ε decided against 1−u; the mixture taken
    for a greedy strategy; a variance for its root; the bound of ±10 left out; logits not shifted; log π of another
    action.
    """
    spec, state, obs, noise = case(exploration, activation, normalize, dtype)
    ours, graph = acting.numpy_act(spec), by_definition.interpreted_graph(spec, "act")
    for choice, rate in itertools.product(CHOICES.values(), (0.0, 0.01, 0.4, 1.0)):
        knobs = KNOBS | {"exploration_rate": rate}
        out = graph(state | {"obs": obs, "noise": noise, "knobs": by_definition.vector(knobs, dtype), "choice": choice})
        theirs = out["action"], out["log_prob"]
        agree(spec, state, obs, noise, ours(state, obs, noise, knobs, choice), theirs)


@pytest.mark.parametrize("num_actions", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exploration", by_definition.EXPLORATIONS)
def test_actions_without_log_probs_are_those_of_the_graph(exploration, dtype, num_actions):
    """As training on Gymnasium asks for them: no log-probability, and for two actions a shortcut of its own.

    On a linear policy, whose likeliest action differs from one observation to the next. Caught, when planted: the
    comparison or the difference of the logits the other way round; the shortcut taken for greedy actions, or for
    another exploration.
    """
    spec, state, obs, noise = case(exploration, "sigmoid", False, dtype, hidden=(), num_actions=num_actions)
    ours = acting.numpy_act(spec, with_log_prob=False)
    graph = by_definition.interpreted_graph(spec, "act")
    for choice, rate in itertools.product(CHOICES.values(), (0.0, 0.4)):
        knobs = KNOBS | {"exploration_rate": rate}
        action, log_prob = ours(state, obs, noise, knobs, choice)
        out = graph(state | {"obs": obs, "noise": noise, "knobs": by_definition.vector(knobs, dtype), "choice": choice})
        assert log_prob is None
        assert action.dtype == np.int32
        assert len(np.unique(action)) > 1
        same = np.array(action == out["action"])
        assert (same | (near_a_boundary(spec, state, obs, noise) if dtype == "float32" else False)).all()


@pytest.mark.parametrize(
    "wanted",
    [
        ("epsilon_softmax", "sigmoid", True, "float32"),
        ("epsilon_greedy_softmax", "tanh", False, "float64"),
    ],
    ids=lambda w: "-".join(map(str, w)),
)
def test_numpy_chooses_as_the_compiled_graph_does(wanted):
    """As above, as the loop calls it: `Program.act`, compiled by JAX."""
    spec, state, obs, noise = case(*wanted)
    program, ours = compiling.load(spec, backend="jax", report=lambda *_: None), acting.numpy_act(spec)
    for choice, rate in itertools.product(CHOICES.values(), (0.0, 0.4)):
        knobs = KNOBS | {"exploration_rate": rate}
        theirs = program.act(state, obs, noise, knobs, choice)
        agree(spec, state, obs, noise, ours(state, obs, noise, knobs, choice), theirs)


def test_the_compiled_state_is_taken_as_it_is():
    """Parameters replaced between two calls are used at once. Caught, when planted: layers kept for ever."""
    spec, state, obs, noise = case("softmax", "tanh", False, "float64")
    act = acting.numpy_act(spec)
    _, before = act(state, obs, noise, KNOBS, GREEDY)
    _, after = act(state | {"params": state["params"] * 0}, obs, noise, KNOBS, GREEDY)
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, np.log(1 / 3))


@pytest.mark.parametrize("exploration", by_definition.EXPLORATIONS)
def test_a_greedy_choice_is_the_first_of_the_likeliest_whatever_the_strategy(exploration):
    """Caught, when planted: GREEDY that still explores; SAMPLE that does."""
    spec, state, obs, noise = case(exploration, "relu", False, "float64")
    state = {"params": np.zeros_like(state["params"])}
    act, knobs = acting.numpy_act(spec), KNOBS | {"exploration_rate": 1.0}
    assert act(state, obs, noise, knobs, GREEDY)[0].tolist() == [0] * 64
    sampled = act(state, obs, noise, knobs, SAMPLE)[0]
    assert sampled.tolist() == np.floor(noise[:, 0] * 3).astype(int).tolist()


def test_log_probs_of_every_action_are_the_definitions():
    """Caught, when planted: not normalised; logits for log-probabilities."""
    spec, state, obs, _ = case("softmax", "sigmoid", True, "float64")
    expected = [by_definition.log_probs_by_definition(spec, state, o) for o in obs]
    np.testing.assert_allclose(acting.log_probs(spec, state, obs), expected, rtol=0, atol=1e-12)


def test_actions_are_those_of_the_space_for_the_largest_uniform_number():
    """There is no action 3. Caught, when planted: rounded to the nearest; the last sum of the CDF counted too."""
    for exploration in by_definition.EXPLORATIONS:
        for dtype in ("float32", "float64"):
            spec, state, obs, noise = case(exploration, "tanh", False, dtype)
            noise[:] = np.nextafter(np.array(1, dtype), np.array(0, dtype))
            action, _ = acting.numpy_act(spec)(state, obs, noise, KNOBS | {"exploration_rate": 1.0}, EXPLORE)
            assert set(action.tolist()) <= {0, 1, 2}


def test_numpy_and_graph_ask_for_the_same_noise():
    from pg_theano.graphs import exploration

    assert exploration.NUM_UNIFORMS == acting.NUM_UNIFORMS


def test_an_action_of_probability_zero_is_not_taken_even_at_zero():
    """log π = (−1e4, 0, −1e4) and u = 0: action 1. Caught, when planted: < for ≤."""
    spec = by_definition.make_spec(hidden=(), obs_size=1)
    state = {"params": np.array([-1e4, 0.0, -1e4, 0.0, 0.0, 0.0])}
    action, log_prob = acting.numpy_act(spec)(state, np.ones((1, 1)), np.zeros((1, 1)), KNOBS, EXPLORE)
    assert action.tolist() == [1]
    assert log_prob.tolist() == [0.0]
