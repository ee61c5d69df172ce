"""PPO, A2C and VPG: gradients and whole updates against loops over steps, and what they promise of the expectation."""

import helpers_actor_critics as by_definition
import numpy as np
import pytest
from helpers_actor_critics import MIXED, experience, interpreted_graph, make_spec, remember
from helpers_graphs import KNOBS, PADDED

from pg_theano.compiler import program as compiling
from pg_theano.graphs.algorithms import common
from pg_theano.training import minibatches
from pg_theano.types import Rollout

RNG = np.random.default_rng


def settled(spec, rng, rows=3):
    """A State in which nothing is 0 any more, as after some updates."""
    state = {}
    for name, shape, _ in common.state_entries(spec):
        sizes = [rows if size == "E" else size for size in shape]
        signed = name.endswith(("params", "mean", "velocity", "first_moment", "so_far"))
        state[name] = rng.normal(0, 0.7, sizes) if signed else rng.uniform(0.5, 1.5, sizes)
        if name.endswith(("count", "step")):
            state[name] = np.array(3.0)
    return state


def problem(spec, seed=0, ends=MIXED):
    """(State, block, its minibatches) of three environments."""
    rng = RNG(seed)
    state = settled(spec, rng)
    block = remember(spec, state, experience(spec, rng, ends))
    mask = block["mask"].T.ravel()
    order = None
    if spec.learning.algorithm != "a2c":
        order = minibatches.draw(
            rng,
            mask,
            mask.size,
            num_epochs=spec.learning.passes.num_epochs,
            num_minibatches=spec.learning.passes.num_minibatches,
            dtype=spec.dtype,
        )
    return state, block, order


# -- gradients


def mixtures():
    """Every kind of action under every algorithm; all else dealt out at random, each value about equally often."""
    rng = RNG(6)
    cells = [(algorithm, kind) for algorithm in ("ppo", "a2c", "vpg") for kind in by_definition.KINDS]
    cells += [("npg", "discrete"), ("trpo", "gsde"), ("npg", "squashed")]
    choices = {
        "advantage": ["gae", "monte_carlo", "td", "n_step"],
        "baseline": ["value", "none"],
        "hidden": [(2,), (3, 2)],
        "value_hidden": [(2,), (), (2, 3)],
        "activation": ["tanh", "sigmoid"],
        "shared": [False, True],
        "standardize_advantages": [False, True],
        "normalize_observations": [False, True],
        "normalize_rewards": [False, True],
        "num_steps": [None, 8],
        "clips_value": [False, True],
    }
    dealt = {key: rng.permutation([i % len(values) for i in range(len(cells))]) for key, values in choices.items()}
    for i, (algorithm, kind) in enumerate(cells):
        changes = {key: values[dealt[key][i]] for key, values in choices.items()}
        if changes["advantage"] != "monte_carlo":
            changes["baseline"] = "value"
        changes["shared"] = changes["shared"] and algorithm in ("ppo", "a2c")
        changes["clips_value"] = changes["clips_value"] and algorithm == "ppo"
        slow = algorithm != "ppo" and kind not in ("discrete", "gsde")
        yield pytest.param(algorithm, kind, changes, id=f"{algorithm} {kind}", marks=[pytest.mark.slow] * slow)


@pytest.mark.parametrize(("algorithm", "kind", "changes"), list(mixtures()))
def test_loss_and_gradient_are_those_of_a_loop_over_steps(algorithm, kind, changes):
    """On three columns with episodes that terminate, are truncated, both, cut by the block's end, with gaps of garbage
    between them; at parameters other than those that collected. The entropy of a squashed box has no closed form: it is
    held to quadrature, and the gradient beside it is compared without it.

    Advantages and targets are those of State, constants: a difference of two losses is that of the networks alone.

    Caught, when planted: one `done` for terminated and truncated; V(s_t), or V of the next row, for V of the successor;
    γ·λ over either end; the old log-probability left out, or that of the step's own parameters; an advantage that V now
    is part of; standardisation over padding; the entropy's sign; the value coefficient left out; no gradient for
    log-stds; one for the features of their noise; a baseline where there is none; columns by environment; a sum for a
    mean.
    """
    spec = make_spec(algorithm, kind, **changes)
    state, block, _ = problem(spec)
    steps, _ = by_definition.steps_of(spec, state, block)
    at = state["params"] + RNG(1).normal(0, 0.1, spec.acting.num_params)
    run = interpreted_graph(spec, "gradient")
    squashed = spec.acting.squash
    knobs = KNOBS | {"entropy_coefficient": 0.0 if squashed else 0.3}
    got = run(state, block, knobs=knobs, at=at)

    def loss(params):
        return by_definition.losses(spec, params, list(steps.values()), knobs)["loss"]

    np.testing.assert_allclose(got["loss"], loss(at), rtol=1e-10)
    np.testing.assert_allclose(got["gradient"], by_definition.derivative(loss, at), rtol=0, atol=1e-9)
    assert np.abs(got["gradient"]).max() > 1e-3
    if squashed:
        knobs["entropy_coefficient"] = 0.3
        got = run(state, block, knobs=knobs, at=at)
        np.testing.assert_allclose(got["loss"], loss(at), rtol=0, atol=1e-4)
        np.testing.assert_allclose(got["gradient"], by_definition.derivative(loss, at), rtol=0, atol=1e-3)


def test_the_complex_steps_are_central_differences():
    """The derivative of the definition, by the other way of taking it: to 1e-6 of the compiled gradient too."""
    spec = make_spec("ppo", "gaussian", standardize_advantages=True, normalize_observations=True)
    state, block, _ = problem(spec)
    steps = list(by_definition.steps_of(spec, state, block)[0].values())

    def loss(params):
        return by_definition.losses(spec, params, steps)["loss"].real

    got = interpreted_graph(spec, "gradient")(state, block)["gradient"]
    for i, unit in enumerate(np.eye(spec.acting.num_params) * 1e-5):
        difference = (loss(state["params"] + unit) - loss(state["params"] - unit)) / 2e-5
        np.testing.assert_allclose(got[i], difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shared", [False, True])
def test_the_value_loss_moves_the_policy_only_through_what_they_share(shared):
    """Separate networks: the policy's part is the same for any weight of V's loss, and V's part is proportional to it.
    A trunk: it feels both, the policy's own head only its own. Caught, when planted: V's features held constant.
    """
    spec = make_spec("a2c", shared=shared)
    state, block, _ = problem(spec)
    run = interpreted_graph(spec, "gradient")
    none, one, two = (
        by_definition.arrays_of(spec, run(state, block, knobs=KNOBS | {"value_coefficient": c})["gradient"])
        for c in (0.0, 1.0, 2.0)
    )
    for name in none:
        difference = np.abs(one[name] - none[name]).max()
        assert (difference > 1e-4) == name.startswith(("value/", "shared/")), name
        np.testing.assert_allclose(two[name] - none[name], 2 * (one[name] - none[name]), rtol=0, atol=1e-12)
    assert all(np.abs(part).max() == 0 for name, part in none.items() if name.startswith("value/"))


# -- whole updates


UPDATES = [
    ("ppo", "discrete", {"optimizer": "adam", "clips_gradient": True, "standardize_advantages": True, "num_steps": 8}),
    ("ppo", "gaussian", {"optimizer": "momentum", "clips_value": True, "normalize_observations": True}),
    ("ppo", "multi_discrete", {"optimizer": "rmsprop", "shared": True, "clips_gradient": True}),
    ("ppo", "gsde", {"optimizer": "sgd", "num_steps": 8, "num_minibatches": 4, "num_epochs": 1}),
    ("ppo", "multi_binary", {"optimizer": "adam", "advantage": "n_step"}),
    ("a2c", "discrete", {"optimizer": "rmsprop", "clips_gradient": True, "shared": True, "num_steps": 8}),
    ("a2c", "gaussian", {"optimizer": "adam", "standardize_advantages": True}),
    ("vpg", "discrete", {"optimizer": "adam", "standardize_advantages": True, "clips_gradient": True}),
    ("vpg", "gaussian", {"optimizer": "momentum", "advantage": "monte_carlo", "baseline": "none"}),
    ("vpg", "log_std of the network", {"optimizer": "rmsprop", "num_steps": 8}),
]


def assert_updated(got, measured, update):
    """State and metrics against those of a definition."""
    expected, metrics = update
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-9, err_msg=name)
    assert set(measured) == set(metrics)
    for name, value in metrics.items():
        np.testing.assert_allclose(measured[name], np.real(value), rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize(
    ("algorithm", "kind", "changes"),
    [
        pytest.param(*cell, id=f"{cell[0]} {cell[1]}", marks=[pytest.mark.slow] * (i not in (0, 3, 5, 7)))
        for i, cell in enumerate(UPDATES)
    ],
)
def test_an_update_is_its_optimiser_steps_one_after_another(algorithm, kind, changes):
    """State and metrics of an update, and of the next one from there, entry by entry: 17 steps in minibatches of 6, 6
    and 5, normalisers and their carry, moments, step counts of both optimisers.

    Caught, when planted: clipping per element; weights ignored; targets and advantages exchanged; a normaliser that
    counts before the log-probabilities, counts padding, or does not count; rewards scaled by the variance of before; its
    carry dropped; one step count, or one rate, for both networks.
    """
    spec = make_spec(algorithm, kind, normalize_rewards=True, **{"normalize_observations": True} | changes)
    state, block, order = problem(spec)
    run = interpreted_graph(spec, "train")
    for seed in (2, 3):
        got, measured = run(state, block, order)
        assert_updated(got, measured, by_definition.updated(spec, state, block, order))
        state = got
        block = remember(spec, state, experience(spec, RNG(seed), MIXED))


@pytest.mark.slow
def test_the_compiled_update_is_the_definitions():
    """Through JAX, as it is trained with: PyTensor's rewrites and XLA's, minibatches that do not divide the rollout."""
    spec = make_spec(
        "ppo",
        "log_std of the network",
        optimizer="adam",
        clips_gradient=True,
        clips_value=True,
        uses_target_kl=True,
        standardize_advantages=True,
        normalize_observations=True,
        normalize_rewards=True,
        num_steps=8,
    )
    state, block, order = problem(spec)
    program = compiling.load(spec, backend="jax", report=lambda *_: None, rows=3)
    for target in (0.03, 1e9):
        knobs = KNOBS | {"target_kl": target, "entropy_coefficient": 0.2}
        got, measured = program.train(state, Rollout(**block), knobs, order)
        assert_updated(got, measured, by_definition.updated(spec, state, block, order, knobs))
        assert (np.asarray(got["optimizer/step"]) == 9) == (target > 1)


def test_target_kl_ends_an_update_where_it_should():
    """The first minibatch whose KL is over 1.5 times the target changes nothing, nor does any after it: parameters,
    moments and step count stay. Metrics are means over the steps taken and the one that ended it.

    Caught, when planted: moments that move on; an end one step late; an update that goes on again; the factor 1.5 left
    out; a mean over all steps.
    """
    spec = make_spec("ppo", optimizer="adam", uses_target_kl=True, num_epochs=3)
    state, _, _ = problem(spec)
    block = remember(spec, state, experience(spec, RNG(4), MIXED, spread=0.0))
    order = minibatches.draw(RNG(4), block["mask"].T.ravel(), 24, num_epochs=3, num_minibatches=3, dtype="float64")
    run, counts = interpreted_graph(spec, "train"), []
    for target in (1e-9, 0.0004, 0.0007, 1e9):
        knobs = KNOBS | {"target_kl": target}
        got, measured = run(state, block, order, knobs)
        assert_updated(got, measured, by_definition.updated(spec, state, block, order, knobs))
        counts.append(int(got["optimizer/step"] - state["optimizer/step"]))
    assert counts == [1, 2, 5, 9]  # KL is 0 at the first minibatch


# -- padding, and what is not finite


NATURAL = [pytest.param(name, marks=pytest.mark.slow) for name in ("npg", "trpo")]


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "vpg", *NATURAL])
def test_padding_has_no_effect_on_an_update(algorithm):
    """Episodes with two further rows of garbage, and garbage of another kind: the same State and metrics."""
    spec = make_spec(
        algorithm,
        standardize_advantages=True,
        normalize_observations=True,
        normalize_rewards=True,
        num_epochs=1,
        num_minibatches=2,
        num_cg_iterations=3,
    )
    ends = [[0, 0, 1], [0, 2, PADDED], [1, PADDED, PADDED]]
    state, plain, order = problem(spec, ends=ends)
    wide = {}
    for name, value in plain.items():
        rest = RNG(5).normal(0, 50, (3, 2, *value.shape[2:])).astype(value.dtype)
        wide[name] = np.concatenate([value, np.zeros_like(rest) if name == "mask" else rest], axis=1)
    for name in ("obs", "next_obs", "reward", "log_prob"):
        wide[name][wide["mask"] == 0] *= 3
    run = interpreted_graph(spec, "train")
    (state_one, one), (state_two, two) = run(state, plain, order), run(state, wide, order)
    assert one["finite"] == two["finite"] == 1
    for name, value in state_one.items():
        np.testing.assert_allclose(state_two[name], value, rtol=0, atol=1e-12, err_msg=name)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-12, err_msg=name)
    assert np.abs(state_one["params"] - state["params"]).max() > 1e-4


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "vpg", *NATURAL])
def test_what_is_not_finite_changes_nothing(algorithm):
    """A NaN or infinite reward, observation or successor: finite = 0, and every entry of State bit for bit as it was.

    Caught, when planted: only the parameters kept; no more looked at than the entropy.
    """
    spec = make_spec(
        algorithm,
        optimizer="adam",
        normalize_observations=True,
        normalize_rewards=True,
        uses_target_kl=algorithm == "ppo",
        num_steps=8,
        num_epochs=1,
        num_minibatches=2,
        num_cg_iterations=3,
        num_line_search_steps=2,
    )
    state, block, order = problem(spec)
    run = interpreted_graph(spec, "train")
    assert run(state, block, order)[1]["finite"] == 1
    for name, value in (("reward", np.nan), ("reward", np.inf), ("obs", np.nan), ("next_obs", np.nan)):
        broken = block | {name: block[name].copy()}
        broken[name][1, 2] = value  # column 1, step 2 is real
        with np.errstate(all="ignore"):
            after, metrics = run(state, broken, order)
        assert metrics["finite"] == 0, name
        assert set(after) == set(state)
        assert [n for n in state if after[n].tobytes() != state[n].tobytes()] == [], name


# -- the exact gradient, by enumeration of every trajectory of a task of three states and three steps

PLACES = np.array([[1.0, -0.4], [-0.8, 0.9], [0.3, 1.2]])  # what is seen in each state
MOVES = np.array(
    [[[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]], [[0.1, 0.1, 0.8], [0.6, 0.4, 0.0]], [[0.3, 0.3, 0.4], [0, 0.5, 0.5]]]
)
PAYS = np.array([[1.0, -0.5], [0.3, 2.0], [-1.5, 0.7]])  # of a state and an action
LENGTH = 3


def trajectories(place=0, length=LENGTH):
    """(probability of what the task does, states, actions)."""
    if length == 0:
        yield 1.0, (), ()
        return
    for action in range(2):
        for following in range(3) if length > 1 else [0]:
            chance = MOVES[place, action, following] if length > 1 else 1.0
            if chance:
                for rest, places, actions in trajectories(following, length - 1):
                    yield chance * rest, (place, *places), (action, *actions)


def log_policy(spec, params):
    return [by_definition.policy(spec, params, place).parts[0] for place in PLACES]


def expectation(spec, params, weigh):
    """Σ over trajectories of P·weigh(states, actions, log π of each step), with P at the parameters themselves or not:
    whatever `weigh` makes of log π, which is complex where the parameters are.
    """
    log_p = log_policy(spec, params)
    return sum(
        chance * weigh(places, actions, [log_p[s][a] for s, a in zip(places, actions, strict=True)])
        for chance, places, actions in trajectories()
    )


def true_gradient(spec, params, discount):
    """∇J of J = 𝔼[Σ_t γᵗ·r_t]."""

    def discounted(places, actions, log_probs):
        pays = sum(discount**t * PAYS[s, a] for t, (s, a) in enumerate(zip(places, actions, strict=True)))
        return np.exp(sum(log_probs)) * pays

    return by_definition.derivative(lambda moved: expectation(spec, moved, discounted), params)


def expected_estimate(spec, state, knobs):
    """−𝔼[∇L] times the steps of an episode, as L is a mean over steps."""
    run = interpreted_graph(spec, "gradient")

    def estimate(places, actions, log_probs):
        obs, last = PLACES[list(places)][None], np.arange(LENGTH)[None] == LENGTH - 1
        block = {
            "obs": obs,
            "next_obs": np.roll(obs, -1, axis=1),
            "action": np.array([actions], np.int32),
            "reward": np.array([[PAYS[s, a] for s, a in zip(places, actions, strict=True)]]),
            "log_prob": np.real([log_probs]),
            "terminated": last,
            "truncated": np.zeros_like(last),
            "mask": np.ones(last.shape),
        }
        return np.exp(block["log_prob"].sum()) * run(state, block, knobs=knobs)["gradient"]

    assert abs(expectation(spec, state["params"], lambda s, a, log_probs: np.exp(sum(log_probs))) - 1) < 1e-12
    return -LENGTH * expectation(spec, state["params"], estimate)


def task(algorithm, **changes):
    """(spec, State, where the policy's parameters are) of an algorithm on the task."""
    spec = make_spec(algorithm, action="two", **changes)
    return spec, settled(spec, RNG(7)), slice(spec.acting.num_params - spec.acting.num_value_params)


ALONE = {"entropy_coefficient": 0.0, "value_coefficient": 0.0}


@pytest.mark.parametrize("advantage", ["gae", "monte_carlo"])
@pytest.mark.parametrize("algorithm", ["vpg", "a2c", "ppo", "npg", "trpo"])
def test_the_expected_gradient_is_that_of_the_expected_return(algorithm, advantage):
    """𝔼[∇L] = −∇J for γ = 1 and λ = 1, over every trajectory, whatever V says: a baseline does not bias.

    Caught, when planted: the surrogate's sign.
    """
    spec, state, part = task(algorithm, advantage=advantage)
    true = true_gradient(spec, state["params"], 1.0)[part]
    assert np.abs(true).max() > 0.1
    expected = expected_estimate(spec, state, KNOBS | ALONE | {"discount": 1.0, "gae_lambda": 1.0})[part]
    np.testing.assert_allclose(expected, true, rtol=0, atol=1e-10)


def test_the_discount_left_out_of_late_steps_is_the_bias_there_is():
    """For γ < 1 step t counts fully, and not γᵗ, as everybody has it. What is estimated then is not ∇J but
    𝔼[Σ_t ∇log π·G_t]; at γ = 0.5 that is a fifth to one time as far from ∇J as ∇J is from 0.
    """
    spec, state, part = task("vpg")
    discount = 0.5

    def scores(weigh):
        """∇ of 𝔼[Σ_t weigh(t)·log π(a_t|s_t)·G_t], P and G constants."""

        def of(places, actions, log_probs):
            pays = [PAYS[s, a] for s, a in zip(places, actions, strict=True)]
            to_go = [sum(discount ** (k - t) * pays[k] for k in range(t, LENGTH)) for t in range(LENGTH)]
            chance = np.exp(np.sum(np.real(log_probs)))
            return chance * sum(weigh(t) * log_probs[t] * to_go[t] for t in range(LENGTH))

        return by_definition.derivative(lambda moved: expectation(spec, moved, of), state["params"])[part]

    estimated = expected_estimate(spec, state, KNOBS | ALONE | {"discount": discount, "gae_lambda": 1.0})[part]
    true = true_gradient(spec, state["params"], discount)[part]
    np.testing.assert_allclose(scores(lambda t: discount**t), true, rtol=0, atol=1e-12)
    np.testing.assert_allclose(estimated, scores(lambda t: 1.0), rtol=0, atol=1e-10)
    assert 0.2 < np.linalg.norm(estimated - true) / np.linalg.norm(true) < 1.0
