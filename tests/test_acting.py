"""Actions from the NumPy forward pass against those of the graph: the same noise, the same actions."""

import itertools
import math

import helpers_graphs as by_definition
import numpy as np
import pytest
from helpers_graphs import KNOBS

from pg_theano import parameters
from pg_theano.compiler import program as compiling
from pg_theano.policies import acting, choosing
from pg_theano.types import EXPLORE, GREEDY, NUM_UNIFORMS, SAMPLE, ActionSpace

CHOICES = {"explore": EXPLORE, "greedy": GREEDY, "sample": SAMPLE}
MIXTURES = [  # every pair of exploration and activation, each with both dtypes, normalised and not
    (exploration, activation, (e + a) % 2 == 0, ["float32", "float64"][(e // 2 + a) % 2])
    for e, exploration in enumerate(by_definition.EXPLORATIONS)
    for a, activation in enumerate(by_definition.ACTIVATIONS)
]


def case(exploration, activation, normalize, dtype, hidden=(5, 3), num_actions=3, logistic=False):
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
        logistic=logistic,
    )
    state = {"params": rng.normal(0, 1.5, spec.acting.num_params).astype(dtype)}
    if normalize:
        state["normalizer/mean"] = rng.normal(size=4).astype(dtype)
        state["normalizer/variance"] = rng.uniform(0.1, 9, 4).astype(dtype)
    obs = (rng.normal(size=(64, 4)) * np.exp(rng.normal(0, 2, (64, 1)))).astype(dtype)
    return spec, state, obs, rng.random((64, NUM_UNIFORMS[exploration]), dtype)


def near_a_boundary(spec, state, obs, noise):
    """[N]: a uniform number, or two log-probabilities, so close that rounding may decide."""
    log_p = np.array([by_definition.log_probs_by_definition(spec, state, o.astype("float64")) for o in obs])
    edges = np.cumsum(np.exp(log_p), axis=1)[:, :-1]
    close = (np.abs(edges - noise[:, :1]) < 1e-6).any(axis=1)
    return close | (np.diff(np.sort(log_p, axis=1)[:, -2:], axis=1)[:, 0] < 1e-5)


def assert_agree(spec, state, obs, noise, ours, theirs):
    """The same actions, but where float32 cannot tell; the same log-probabilities of the same actions."""
    (action, log_prob), (other_action, other_log_prob) = ours, theirs
    assert action.dtype == other_action.dtype == np.int32
    assert log_prob.dtype == spec.dtype
    same = np.array(action == other_action)
    if spec.dtype == "float64":
        assert same.all()
    else:
        assert (same | near_a_boundary(spec, state, obs, noise)).all()
    tolerance = {"float64": 1e-12, "float32": 1e-5}[spec.dtype]
    scale = 1 + np.abs(other_log_prob[same])
    assert (np.abs(log_prob[same] - other_log_prob[same]) <= tolerance * scale).all()


@pytest.mark.parametrize("choice", CHOICES)
def test_acting_changes_nothing(choice):
    """Whoever evaluates moves no normaliser: the same observations, the same actions, and State bit for bit as it was.

    Caught, when planted: running means that every observation acted on is counted into.
    """
    spec, state, obs, noise = case("softmax", "tanh", True, "float32")
    before, seen = {name: value.tobytes() for name, value in state.items()}, obs.copy()
    act = acting.numpy_act(spec.acting)
    first, *others = (act(state, obs, noise, KNOBS, CHOICES[choice]) for _ in range(3))
    assert all(np.array_equal(ours, theirs) for other in others for ours, theirs in zip(first, other, strict=True))
    assert {name: value.tobytes() for name, value in state.items()} == before
    assert np.array_equal(obs, seen)


@pytest.mark.parametrize(("exploration", "activation", "normalize", "dtype"), MIXTURES)
def test_numpy_chooses_as_the_graph_does(exploration, activation, normalize, dtype):
    """Every strategy, activation and dtype, three ways to choose, four rates; the graph through PyTensor's interpreter.

    Caught, when planted, in NumPy alone: noise columns exchanged; ε decided against 1−u; the mixture taken
    for a greedy strategy; a variance for its root; the bound of ±10 left out; logits not shifted; log π of another
    action.
    """
    spec, state, obs, noise = case(exploration, activation, normalize, dtype)
    ours, graph = acting.numpy_act(spec.acting), by_definition.interpreted_graph(spec, "act")
    for choice, rate in itertools.product(CHOICES.values(), (0.0, 0.01, 0.4, 1.0)):
        knobs = KNOBS | {"exploration_rate": rate}
        out = graph(state | {"obs": obs, "noise": noise, "knobs": knobs, "choice": choice})
        theirs = out["action"], out["log_prob"]
        assert_agree(spec, state, obs, noise, ours(state, obs, noise, knobs, choice), theirs)


@pytest.mark.parametrize("rows", [1, 2, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("space", [*by_definition.EXPLORATIONS, 1, 3, 17, "squashed"])
def test_log_probs_of_a_block_are_those_of_every_step_bit_for_bit(space, dtype, rows):
    """What a stretch keeps in place of log π, step by step, and makes log π of at its end. Caught, when planted: actions
    in another order, actions kept for the mean."""
    rng = np.random.default_rng(1)
    if isinstance(space, str) and space in by_definition.EXPLORATIONS:
        spec, state, obs, noise = case(space, "tanh", True, dtype)
    else:
        size = 3 if space == "squashed" else space
        box = ActionSpace("box", size, [], [-1.0] * size, [1.0] * size)
        shape = {"hidden": (5, 3), "obs_size": 4, "action": box._asdict(), "squash": space == "squashed"}
        spec = by_definition.make_spec(dtype=dtype, **shape)
        state = {"params": rng.normal(0, 1.5, spec.acting.num_params).astype(dtype)}
        obs, noise = rng.normal(size=(64, 4)).astype(dtype), rng.normal(size=(64, size)).astype(dtype)
    act, knobs = acting.numpy_act(spec.acting), KNOBS | {"exploration_rate": 0.3}
    later, log_probs = act.later
    act(state | {"params": state["params"] + 1}, obs[:5], noise[:5], knobs, EXPLORE)  # of others nothing is kept
    steps = range(0, 48, rows)
    plain = [act(state, obs[at : at + rows], noise[at : at + rows], knobs, EXPLORE) for at in steps]
    kept = [later(state, obs[at : at + rows], noise[at : at + rows], knobs, EXPLORE) for at in steps]
    actions = np.array([action for action, _ in kept])
    assert actions.tobytes() == np.array([action for action, _ in plain]).tobytes()
    found = log_probs(state, np.array([one for _, one in kept]), actions, knobs)
    assert found.tobytes() == np.array([log_prob for _, log_prob in plain]).tobytes()
    assert found.dtype == dtype and found.shape == (len(steps), rows)


@pytest.mark.parametrize("rows", [1, 3, 200])
def test_a_network_called_with_rows_of_its_own_gives_the_bits_of_plain_products(rows):
    """Small arrays have biases, normalisers and σ once for each row; large ones, and other numbers of rows afterwards,
    have them as they are."""
    spec, state, obs, noise = case("softmax", "tanh", True, "float32", hidden=(64, 64))
    act, named = acting.numpy_act(spec.acting), parameters.views(state["params"], spec.acting.layout)
    obs = np.resize(obs, (rows, 4))
    for number in (rows, 1, min(rows, 5), rows):
        x = obs[:number] - state["normalizer/mean"]
        x = np.clip(x / np.sqrt(state["normalizer/variance"] + np.float32(1e-8)), -10, 10)
        weights = list(named.values())
        for layer in (0, 2, 4):
            x = x @ weights[layer] + weights[layer + 1]
            x = np.tanh(x) if layer < 4 else x
        expected = choosing.log_softmax(x)
        action, log_prob = act(state, obs[:number], np.resize(noise, (number, 1)), KNOBS, SAMPLE)
        np.testing.assert_allclose(log_prob, expected[np.arange(len(x)), action], rtol=1e-6, atol=1e-6)
        kept = act.later[0](state, obs[:number], np.resize(noise, (number, 1)), KNOBS, SAMPLE)[1]
        assert kept.tobytes() == (x - x.max(axis=1, keepdims=True)).tobytes()


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
    ours = acting.numpy_act(spec.acting, with_log_prob=False)
    graph = by_definition.interpreted_graph(spec, "act")
    for choice, rate in itertools.product(CHOICES.values(), (0.0, 0.4)):
        knobs = KNOBS | {"exploration_rate": rate}
        action, log_prob = ours(state, obs, noise, knobs, choice)
        out = graph(state | {"obs": obs, "noise": noise, "knobs": knobs, "choice": choice})
        assert log_prob is None
        assert action.dtype == np.int32
        assert len(np.unique(action)) > 1
        same = np.array(action == out["action"])
        assert (same | (near_a_boundary(spec, state, obs, noise) if dtype == "float32" else False)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exploration", by_definition.EXPLORATIONS)
def test_a_logistic_policy_chooses_as_the_graphs_does(exploration, dtype):
    """One logit for two actions, with and without log-probabilities, and log π of both from the definition.

    Caught, when planted: action 0 for a positive logit, in the shortcut or elsewhere; ε spread over one action.
    """
    spec, state, obs, noise = case(exploration, "tanh", False, dtype, hidden=(), num_actions=2, logistic=True)
    graph = by_definition.interpreted_graph(spec, "act")
    for choice, rate in itertools.product(CHOICES.values(), (0.0, 0.4)):
        knobs = KNOBS | {"exploration_rate": rate}
        out = graph(state | {"obs": obs, "noise": noise, "knobs": knobs, "choice": choice})
        ours = acting.numpy_act(spec.acting)(state, obs, noise, knobs, choice)
        assert_agree(spec, state, obs, noise, ours, (out["action"], out["log_prob"]))
        with np.errstate(over="ignore"):  # as in the loop
            action, log_prob = acting.numpy_act(spec.acting, with_log_prob=False)(state, obs, noise, knobs, choice)
        assert log_prob is None and action.dtype == np.int32 and len(np.unique(action)) == 2
        assert ((action == out["action"]) | near_a_boundary(spec, state, obs, noise)).all()
    expected = [by_definition.log_probs_by_definition(spec, state, o) for o in obs]
    np.testing.assert_allclose(acting.log_probs(spec.acting, state, obs), expected, rtol=1e-5, atol=1e-5)


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
    program, ours = compiling.load(spec, backend="jax", report=lambda *_: None), acting.numpy_act(spec.acting)
    for choice, rate in itertools.product(CHOICES.values(), (0.0, 0.4)):
        knobs = KNOBS | {"exploration_rate": rate}
        theirs = program.act(state, obs, noise, knobs, choice)
        assert_agree(spec, state, obs, noise, ours(state, obs, noise, knobs, choice), theirs)


def test_the_compiled_state_is_taken_as_it_is():
    """Parameters replaced between two calls are used at once. Caught, when planted: layers kept for ever."""
    spec, state, obs, noise = case("softmax", "tanh", False, "float64")
    act = acting.numpy_act(spec.acting)
    _, before = act(state, obs, noise, KNOBS, GREEDY)
    _, after = act(state | {"params": state["params"] * 0}, obs, noise, KNOBS, GREEDY)
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, np.log(1 / 3))


@pytest.mark.parametrize("exploration", by_definition.EXPLORATIONS)
def test_a_greedy_choice_is_the_first_of_the_likeliest_whatever_the_strategy(exploration):
    """Caught, when planted: GREEDY that still explores; SAMPLE that does."""
    spec, state, obs, noise = case(exploration, "relu", False, "float64")
    state = {"params": np.zeros_like(state["params"])}
    act, knobs = acting.numpy_act(spec.acting), KNOBS | {"exploration_rate": 1.0}
    assert act(state, obs, noise, knobs, GREEDY)[0].tolist() == [0] * 64
    sampled = act(state, obs, noise, knobs, SAMPLE)[0]
    assert sampled.tolist() == np.floor(noise[:, 0] * 3).astype(int).tolist()


def test_log_probs_of_every_action_are_the_definitions():
    """Caught, when planted: not normalised; logits for log-probabilities."""
    spec, state, obs, _ = case("softmax", "sigmoid", True, "float64")
    expected = [by_definition.log_probs_by_definition(spec, state, o) for o in obs]
    np.testing.assert_allclose(acting.log_probs(spec.acting, state, obs), expected, rtol=0, atol=1e-12)


def test_actions_are_those_of_the_space_for_the_largest_uniform_number():
    """There is no action 3. Caught, when planted: rounded to the nearest; the last sum of the CDF counted too."""
    for exploration in by_definition.EXPLORATIONS:
        for dtype in ("float32", "float64"):
            spec, state, obs, noise = case(exploration, "tanh", False, dtype)
            noise[:] = np.nextafter(np.array(1, dtype), np.array(0, dtype))
            action, _ = acting.numpy_act(spec.acting)(state, obs, noise, KNOBS | {"exploration_rate": 1.0}, EXPLORE)
            assert set(action.tolist()) <= {0, 1, 2}


def test_an_action_of_probability_zero_is_not_taken_even_at_zero():
    """log π = (−1e4, 0, −1e4) and u = 0: action 1. Caught, when planted: < for ≤."""
    spec = by_definition.make_spec(hidden=(), obs_size=1)
    state = {"params": np.array([-1e4, 0.0, -1e4, 0.0, 0.0, 0.0])}
    action, log_prob = acting.numpy_act(spec.acting)(state, np.ones((1, 1)), np.zeros((1, 1)), KNOBS, EXPLORE)
    assert action.tolist() == [1]
    assert log_prob.tolist() == [0.0]


# -- every other kind of action

BOX = ActionSpace("box", 3, [], [-2.0, 0.0, 1.0], [2.0, 0.5, 7.0])._asdict()
SPACES = {
    "multi_discrete": {"action": ActionSpace("multi_discrete", 3, [2, 4, 3], [], [])._asdict()},
    "many components": {"action": ActionSpace("multi_discrete", 20, [2, 4, 3, 1] * 5, [], [])._asdict()},
    "multi_binary": {"action": ActionSpace("multi_binary", 4, [2] * 4, [], [])._asdict()},
    "gaussian": {"action": BOX},
    "pink": {"action": BOX, "noise": "pink"},
    "squashed": {"action": BOX, "squash": True},
    "squashed, one without room": {"action": BOX | {"low": [-2.0, 0.5, 1.0]}, "squash": True},
    "gaussian of the network": {"action": BOX, "log_std": "state_dependent"},
    "squashed of the network": {"action": BOX, "log_std": "state_dependent", "squash": True},
    "state_dependent": {"action": BOX, "noise": "state_dependent"},
    "squashed state_dependent": {"action": BOX, "noise": "state_dependent", "squash": True},
}
WAYS = [  # normalised or not, shared trunk or not, dtype, activation, hidden layers
    (False, False, "float64", "sigmoid", (5, 4)),
    (True, False, "float32", "tanh", (5, 4)),
    (False, True, "float32", "sigmoid", (5,)),
    (True, True, "float64", "relu", (5, 4)),
    (True, False, "float64", "sigmoid", ()),
]


def case_of(space, normalize, shared, dtype, activation, hidden):
    """(spec, State, obs [64, F], noise [64, U]), with a value network beside the policy."""
    rng = np.random.default_rng(3)
    spec = by_definition.make_spec(
        **SPACES[space],
        normalize_observations=normalize,
        shared=shared,
        dtype=dtype,
        activation=activation,
        hidden=hidden,
        value_hidden=(7,),
        obs_size=4,
    )
    state = {"params": rng.normal(0, 0.7, spec.acting.num_params).astype(dtype)}
    if normalize:
        state["normalizer/mean"] = rng.normal(size=4).astype(dtype)
        state["normalizer/variance"] = rng.uniform(0.1, 9, 4).astype(dtype)
    obs = (rng.normal(size=(64, 4)) * np.exp(rng.normal(0, 1, (64, 1)))).astype(dtype)
    kind, size = spec.acting.noise_kind
    noise = rng.random((64, size), dtype) if kind == "uniform" else rng.normal(size=(64, size)).astype(dtype)
    return spec, state, obs, noise


def of_the_graph(spec, state, obs, noise):
    """(sample, its log-probability, mode, its log-probability), actions [E, C], and each component's own probability
    of the noise, from `graphs/` in float64.
    """
    import pytensor.tensor as pt

    from pg_theano.graphs import distributions, networks, normalizers
    from pg_theano.graphs.layers import dense

    wide = {name: np.asarray(value, "float64") for name, value in state.items()}
    named = parameters.views(wide["params"], spec.acting.layout)
    spec = by_definition.changed(spec, dtype="float64")
    x = pt.constant(obs.T.astype("float64"))
    if spec.acting.normalize_observations:
        x = normalizers.normalize(x, wide["normalizer/mean"], wide["normalizer/variance"])
    *hidden, head = spec.acting.path("policy")
    layers = {name: pt.constant(array) for name, array in named.items()}
    x = networks.through(hidden, layers, x, multiply=dense.product)
    outputs = networks.through([head], layers, x, multiply=dense.product)
    log_std = named.get("policy/log_std")
    inputs = distributions.inputs_of(spec.acting, outputs, None if log_std is None else pt.constant(log_std), x)
    distribution = distributions.of(spec.acting)
    sample = distribution.sample(inputs, pt.constant(noise.T.astype("float64")))
    mode = distribution.mode(inputs)
    given = pt.matrix(dtype=sample.dtype)
    made = [sample, mode, *(distribution.log_prob(inputs, a) for a in (sample, mode))]
    sample, mode, sample_log_prob, mode_log_prob = by_definition.interpreted([], made)()
    log_prob_of = by_definition.interpreted([given], distribution.log_prob(inputs, given))
    return sample.T, sample_log_prob, mode.T, mode_log_prob, lambda a: log_prob_of(a.T.astype(sample.dtype))


@pytest.mark.parametrize(("normalize", "shared", "dtype", "activation", "hidden"), WAYS)
@pytest.mark.parametrize("space", SPACES)
def test_numpy_acts_as_the_distributions_of_the_graph(space, normalize, shared, dtype, activation, hidden):
    """Sample and mode, and the log-probability of both; a value network in the layout plays no part.

    In float32 a few of the integers drawn may differ, where u and the boundary round differently.
    Caught, when planted, in NumPy alone: the variance for σ; log 2π, the determinant or the half range left out; rows
    of the noise by component and then feature; a head of the value network taken for a layer of the policy; the
    log-std taken for one; features of tanh for those of a sigmoid, or the other way round without a hidden layer; no
    bound of a network's log-std; σ(z) for σ(−z); the same uniform for all components; a mode that is noisy.
    """
    spec, state, obs, noise = case_of(space, normalize, shared, dtype, activation, hidden)
    sample, sample_log_prob, mode, mode_log_prob, log_prob_of = of_the_graph(spec, state, obs, noise)
    act, knobs = acting.numpy_act(spec.acting), KNOBS
    rough = dtype == "float32"
    error = 2e-4 if rough else 1e-10
    tolerance = {"rtol": error, "atol": error}
    for choice, expected, expected_log_prob in [
        (EXPLORE, sample, sample_log_prob),
        (SAMPLE, sample, sample_log_prob),
        (GREEDY, mode, mode_log_prob),
    ]:
        action, log_prob = act(state, obs, noise, knobs, choice)
        assert action.shape == (64, spec.acting.action.size)
        assert action.dtype == (dtype if spec.acting.action.kind == "box" else np.int32)
        assert log_prob.dtype == dtype
        if spec.acting.action.kind == "box":
            np.testing.assert_allclose(action, expected, **tolerance)
            np.testing.assert_allclose(log_prob, expected_log_prob, **tolerance)
        else:
            assert (action != expected).sum() <= (1 if rough else 0)
            np.testing.assert_allclose(log_prob, log_prob_of(action), **tolerance)
        bare, nothing = acting.numpy_act(spec.acting, with_log_prob=False)(state, obs, noise, knobs, choice)
        assert nothing is None
        assert np.array_equal(bare, action)
    assert not np.array_equal(sample, mode)


@pytest.mark.parametrize("space", SPACES)
def test_nothing_overflows_where_a_network_is_certain(space):
    """Outputs of ±1e4 in float32: a warning of NumPy is an error here."""
    spec, state, obs, noise = case_of(space, False, False, "float32", "tanh", ())
    params = np.zeros_like(state["params"])
    bias = parameters.views(params, spec.acting.layout)["policy/b1"]
    bias[::2], bias[1::2] = 1e4, -1e4
    with np.errstate(all="raise", under="ignore"):
        for choice in (EXPLORE, GREEDY):
            action, log_prob = acting.numpy_act(spec.acting)({"params": params}, obs, noise, KNOBS, choice)
            assert np.isfinite(action).all()
            assert np.isfinite(log_prob).all()


def test_every_number_of_a_log_std_is_replaced_with_the_parameters():
    """And a normaliser that has learned is used at once. Caught, when planted: the log-std, or the scale, kept for ever."""
    spec, state, obs, noise = case_of("gaussian", True, False, "float64", "tanh", (5,))
    act = acting.numpy_act(spec.acting)
    before, _ = act(state, obs, noise, KNOBS, EXPLORE)
    params = state["params"].copy()
    parameters.views(params, spec.acting.layout)["policy/log_std"][:] += math.log(2)
    mean, _ = act(state, obs, noise, KNOBS, GREEDY)
    after, _ = act(state | {"params": params}, obs, noise, KNOBS, EXPLORE)
    np.testing.assert_allclose(after - mean, 2 * (before - mean), rtol=1e-9)
    moved = {"normalizer/mean": state["normalizer/mean"] + 1}
    assert not np.array_equal(act(state | moved, obs, noise, KNOBS, GREEDY)[0], mean)
    assert np.array_equal(act(state, obs, noise, KNOBS, GREEDY)[0], mean)
