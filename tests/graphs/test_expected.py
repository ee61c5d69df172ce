"""`algorithm.advantage: expected`: the exact expectation over actions, one step deep, on a task that is enumerated.

∇J = Σ_s d(s)·Σ_a ∇π(a|s)·Q(s, a),   d(s): how often an episode passes s          Sutton et al. 2000, theorem 1
"""

import dataclasses
import math

import helpers_actor_critics as actor_critics
import jax
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_graphs import KNOBS
from pytensor.compile.mode import Mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.jax.linker import JAXLinker

from pg_theano.graphs import environments
from pg_theano.graphs import rollout as rollouts
from pg_theano.graphs.algorithms import common, ppo, vpg
from pg_theano.graphs.environments import base
from pg_theano.spec import Engine
from pg_theano.training.run import run
from pg_theano.types import UserError

MODE = Mode(JAXLinker(), RewriteDatabaseQuery(include=["fast_compile", "jax"], exclude=["fusion", "inplace"]))
PAYS = np.array([[0.3, -0.5, 1.2], [1.0, 0.4, -0.7], [-0.2, 0.9, 0.1]])  # of a place and an action
GOES = np.array([[1, 2, 2], [2, 2, 3], [3, 3, 3]])  # 3: over


class Walk:
    """Three places, seen one-hot; each action leads on and is paid as the tables say."""

    obs_low, obs_high = (0.0,) * 3, (1.0,) * 3
    action_kind, num_actions = "discrete", 3
    max_steps = None
    state_size, num_initial_noise = 1, 1

    def initial(noise):
        return (0.0 * noise[0],)

    def transition(state, action):
        return (read(GOES, state, action),)

    def observation(state):
        return tuple(pt.eq(state[0], place).astype(state[0].dtype) for place in range(3))

    def reward(state, action, next_state):
        return read(PAYS, state, action)

    def terminated(next_state):
        return next_state[0] > 2.5


def read(table, state, action):
    chosen = pt.constant(np.asarray(table, "float64").ravel())[state[0].astype("int32") * 3 + action]
    return chosen.astype(state[0].dtype)


@pytest.fixture
def spec_of(monkeypatch):
    """A spec of an algorithm that plays Walk, in stretches of as many steps as are learned from."""
    walk = base.from_class(Walk)
    monkeypatch.setattr(environments, "load", lambda *_: walk)

    def made(algorithm, steps, **changes):
        spec = actor_critics.make_spec(
            algorithm, obs_size=3, value_hidden=(), num_steps=steps, advantage="expected", num_epochs=1, **changes
        )
        learning = dataclasses.replace(spec.learning, takes=(*spec.learning.takes, "env_state"))
        return spec._replace(learning=learning, engine=Engine("test:Walk", None, steps))

    return made


def function(graph):
    with jax.enable_x64(True), pytensor.config.change_flags(floatX="float64"):
        inputs, names = list(graph.inputs.values()), list(graph.outputs)
        compiled = pytensor.function(inputs, list(graph.outputs.values()), mode=MODE, on_unused_input="ignore")

    def call(values):
        with jax.enable_x64(True):
            return dict(zip(names, map(np.asarray, compiled(*(values[name] for name in graph.inputs))), strict=True))

    return call


def probabilities(spec, params):
    """π(a|s) of the small network of the specs, from its layout: [S, A]."""
    place, parts = 0, {}
    for name, shape, *_ in spec.acting.layout:
        parts[name] = params[place : place + math.prod(shape)].reshape(shape)
        place += math.prod(shape)
    weights = [one for name, one in parts.items() if name.startswith("policy/")]
    logits = np.tanh(np.eye(3) @ weights[0] + weights[1]) @ weights[2] + weights[3]
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


def values_of(share, discount=1.0):
    """V and Q of a policy [S, A], going backward from the end."""
    value, worth = np.zeros(4), np.zeros((3, 3))
    for place in (2, 1, 0):
        worth[place] = PAYS[place] + discount * value[GOES[place]]
        value[place] = share[place] @ worth[place]
    return value[:3], worth


def given(spec, params, places, rng):
    """What learning is given: a record of these places, whose actions and what followed are noise."""
    rows = rollouts.columns(spec)
    record = np.zeros((len(places), sum(size for _, size in rows.values()), 1))
    for name, (start, size) in rows.items():
        what = {
            "obs": np.eye(3)[places],
            "env_state": np.array(places)[:, None],
            "action": rng.integers(0, 3, (len(places), 1)),
            "terminated": rng.integers(0, 2, (len(places), 1)),
            "truncated": np.zeros((len(places), 1)),
        }.get(name, rng.normal(size=(len(places), size)))
        record[:, start : start + size, 0] = what
    state = {name: np.zeros(shape) for name, shape, _ in common.state_entries(spec)} | {"params": params}
    vector = np.array([(KNOBS | {"discount": 1.0, "entropy_coefficient": 0.0})[name] for name in common.knobs_of(spec)])
    return state | {"knobs": vector, "record": record, "at": params}


def params_of(spec, rng):
    """(parameters whose V is exact for their policy, how many are the policy's)."""
    number = spec.acting.num_params - spec.acting.num_value_params
    params = rng.normal(0, 0.8, spec.acting.num_params)
    params[number:] = [*(values_of(probabilities(spec, params))[0] - 0.7), 0.7]  # at the end it says 0.7
    return params, number


def slopes(spec, params, number, worth):
    """Σ_a ∇π(a|s)·Q(s, a) of each place, by central differences: [S, D]."""
    rows = np.zeros((number, 3))
    for i in range(number):
        ends = []
        for sign in (1, -1):
            moved = params.copy()
            moved[i] += sign * 1e-5
            ends.append((probabilities(spec, moved) * worth).sum(axis=1))
        rows[i] = (ends[0] - ends[1]) / 2e-5
    return rows.T


def test_its_expectation_is_the_true_gradients_share_and_no_action_changes_it(spec_of):
    """With V exact, Σ_s d(s) of what it gives in s is ∇J of all trajectories, whatever was done there.

    Caught, when planted: no weight π(a|s), the weight of another state, Q without what follows, V after an end, the
    step that was taken in place of the fork, log π of the action taken.
    """
    rng = np.random.default_rng(3)
    spec = spec_of("vpg", 2)
    params, number = params_of(spec, rng)
    gradient = function(vpg.gradient(spec))
    share = probabilities(spec, params)
    visits = np.zeros(4)
    visits[0] = 1.0
    for place in range(3):
        np.add.at(visits, GOES[place], visits[place] * share[place])
    found, total = [], np.zeros(number)
    for place in range(3):
        both = [gradient(given(spec, params, [place] * 2, rng))["gradient"][:number] for _ in range(2)]
        np.testing.assert_allclose(both[0], both[1], rtol=0, atol=1e-14)  # no variance from the action
        found.append(-both[0])
        total -= visits[place] * both[0]
    np.testing.assert_allclose(found, slopes(spec, params, number, values_of(share)[1]), rtol=0, atol=1e-9)
    true = np.zeros(number)
    for i in range(number):
        moved = [params + sign * 1e-5 * np.eye(len(params))[i] for sign in (1, -1)]
        ends = [values_of(probabilities(spec, one))[0][0] for one in moved]
        true[i] = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(total, true, rtol=0, atol=1e-9)
    assert abs(true).max() > 0.01


def test_a_minibatch_takes_all_actions_of_its_steps(spec_of):
    """PPO's first step, from ratios of 1, goes along their share. Caught, when planted: columns of one action alone,
    those of other steps, a weight that is not π, the padding of a minibatch learned from."""
    rng = np.random.default_rng(4)
    spec = spec_of("ppo", 4, num_minibatches=1)
    params, number = params_of(spec, rng)
    order = {"index": np.array([[3, 1, 0]], "int32"), "weight": np.array([[1.0, 1.0, 0.0]])}
    after = function(ppo.train(spec))(given(spec, params, [0, 1, 2, 2], rng) | order)
    expected = slopes(spec, params, number, values_of(probabilities(spec, params))[1])[[2, 1]].mean(axis=0)
    moved = (after["params"] - params)[:number] / KNOBS["learning_rate"]
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-9)
    assert after["metrics"][-1] == 1


@pytest.mark.parametrize("steps", [5, None])
def test_a_rollout_tells_the_state_in_which_each_step_began(steps):
    """CartPole's observation is its state. Caught, when planted: the state after the step."""
    spec = actor_critics.make_spec("vpg", "discrete", obs_size=4, action="two", num_steps=steps, advantage="expected")
    learning = dataclasses.replace(spec.learning, takes=(*spec.learning.takes, "env_state"))
    engine = Engine("pg_theano.graphs.environments.cartpole:CartPole", None, 5)
    spec = spec._replace(learning=learning, engine=engine)
    graph, rng = common.rollout(spec), np.random.default_rng(0)
    whole = {"env_state": (4, 2), "elapsed": (2,) if steps else (), "begins": (2,) if steps else (), "alive": (2,)}
    values = {name: np.ones(shape) for name, shape in whole.items()} | {
        "knobs": np.full(graph.inputs["knobs"].type.shape, 0.5)
    }
    values |= {"params": rng.normal(size=spec.acting.num_params), "noise": rng.random((5, 1, 2))}
    values |= {"initial_noise": rng.random((6, 4, 2) if steps else (4, 2))}
    record = function(graph)(values)["record"]
    rows = rollouts.columns(spec)
    seen, state, after = (record[:, rows[name][0] :][:, :4] for name in ("obs", "env_state", "next_obs"))
    np.testing.assert_array_equal(seen, state)
    assert (state != after).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"environment": {"id": "Pendulum-v1"}},
            "got expected, and Pendulum-v1 has a box action space; expected Discrete",
        ),
        (
            {"environment": {"engine": "gymnasium"}},
            "CartPole-v1 is stepped here, not compiled; expected a task that is an",
        ),
        ({"policy": {"logistic": True}}, "policy.logistic has one number for two actions; expected false"),
        ({"policy": {"network": [{"gru": 4}]}}, "the policy remembers; expected layers without memory"),
    ],
    ids=["box", "no expression", "logistic", "memory"],
)
def test_what_it_cannot_try_is_refused_in_one_line(changes, message, tmp_path):
    """Before anything is compiled."""
    config = {"algorithm": {"name": "ppo", "advantage": "expected"}} | changes
    with pytest.raises(UserError) as caught:
        run(config, run_dir=tmp_path / "run")
    assert message in str(caught.value)
    assert "algorithm.advantage: " in str(caught.value)
    assert "\n" not in str(caught.value)
