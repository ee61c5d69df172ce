"""What a policy reacts to: the derivative is exact for every kind of policy, and no unit decides the order."""

import collections
import json
from pathlib import Path

import helpers_graphs as by_definition
import numpy as np
import pytest
from gymnasium import spaces
from helpers_runs import ran
from test_layers import INPUTS, PIXELS, SAMPLES, acting_of
from test_report import ALL, SPECS, a_policy

from pg_theano import parameters
from pg_theano.environments import features
from pg_theano.environments.spaces import observed
from pg_theano.graphs import explaining as graph
from pg_theano.layers import Dense, Embed, Image
from pg_theano.policies import acting as forward
from pg_theano.runs import folder
from pg_theano.spec import Acting, Learning, Spec, reading
from pg_theano.training import explaining
from pg_theano.types import ActionSpace, UserError

OPTIMISED = False  # see conftest.machine_code

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"

NONE = np.zeros((6, 0))  # remembered
MANY = {"kind": "multi_discrete", "size": 17, "choices": [2, 3] + [2] * 15}  # one expression for all components
KINDS = [
    *ALL,
    (SPECS[0], {"exploration": "epsilon_greedy"}),
    (SPECS[3], {"squash": True}),
    (SPECS[3], {"normalize_observations": True, "log_std": "state_dependent"}),
]


def done(acting, state, obs, action):
    """S [N, C] from the NumPy pass, by its definition."""
    given, rows = forward.probs(acting, state, obs), np.arange(len(obs))
    match acting.action.kind:
        case "discrete":
            return given[rows, action][:, None]
        case "multi_discrete":
            return np.stack([part[rows, action[:, c]] for c, part in enumerate(given)], axis=1)
        case "multi_binary":
            return np.where(action > 0, given, 1 - given)
    if not acting.squash:
        return given[0]
    return np.tanh(given[0]) * (np.array(acting.action.high) - np.array(acting.action.low)) / 2


def slopes(acting, state, obs, action):
    """∂S/∂o [N, C, F], of the graph as it stands, interpreted."""
    made = graph.slope(Spec(acting, Learning("explained")))
    run = by_definition.interpreted(list(made.inputs.values()), made.outputs["slope"])
    given = state | {"obs": obs, "action": action}
    each = [run(*[(given | {"part": part})[name] for name in made.inputs]) for part in np.eye(graph.num_parts(acting))]
    return np.stack(each, axis=1)


def check(acting, state):
    rng = np.random.default_rng(3)
    obs, size = rng.normal(size=(5, acting.obs_size)), acting.action.size
    action = rng.integers(0, 2, 5 if acting.action.kind == "discrete" else (5, size)).astype(np.int32)
    steps = 1e-6 * np.eye(acting.obs_size)
    expected = [
        (done(acting, state, obs + step, action) - done(acting, state, obs - step, action)) / 2e-6 for step in steps
    ]
    np.testing.assert_allclose(slopes(acting, state, obs, action), np.stack(expected, axis=2), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("action", "knobs"), KINDS)
def test_the_derivative_is_that_of_differences_for_every_kind_of_action(action, knobs):
    """Caught, when planted: the derivative by the normalised observation; π of action 0 for the one taken; ½ of the
    range left out."""
    found = a_policy(action, **knobs)
    bounds = {"low": [-3.0] * 2, "high": [1.0] * 2}
    check(found.acting if not knobs.get("squash") else wider(found.acting, bounds), found.state)


def wider(acting, bounds):
    plain = acting.plain()
    return reading.acting_of(plain | {"action": plain["action"] | bounds})


def test_and_for_many_components():
    """Caught, when planted: a component's choices counted from another's place."""
    outputs = sum(MANY["choices"])
    layout = [["policy/w1", [3, outputs], ""], ["policy/b1", [outputs], ""]]
    plain = a_policy(SPECS[1]).acting.plain() | {"layout": layout}
    acting = reading.acting_of(plain | {"action": MANY | {"low": [], "high": []}})
    check(acting, {"params": np.random.default_rng(0).normal(size=acting.num_params)})


@pytest.mark.parametrize("layers", [layers for each in SAMPLES.values() for layers in each], ids=str)
def test_and_for_every_kind_of_layer(layers):
    first = () if isinstance(layers[0], Image | Embed) else (Dense(INPUTS, "sigmoid"),)
    acting = acting_of(*first, *layers, inputs=40 if PIXELS in layers else INPUTS)
    check(acting, {"params": np.random.default_rng(1).normal(0, 0.7, acting.num_params)})


def linear(weights):
    """CartPole's policy without a hidden layer: π(1|o) = σ(w·o)."""
    layout = [("policy/w1", (4, 2), ""), ("policy/b1", (2,), "")]
    network = parameters.dense_network(layout, "tanh", False)
    acting = Acting(4, ActionSpace("discrete", 1, [2], [], []), layout, network, "tanh", dtype="float64")
    params = np.concatenate([np.stack([np.zeros(4), weights], axis=1).ravel(), np.zeros(2)])
    return acting, {"params": params}


def test_a_linear_policy_reacts_as_its_weights_say(functions_kept):
    """π(a|o) = σ(±w·o), so ∂π(a|o)/∂o_f = ±π(1−π)·w_f: the mean of |·| is |w_f| times what all features share.

    Caught, when planted: the mean of the derivative in place of its size; rows of the last batch's filling counted.
    """
    weights, rng = np.array([0.3, -1.2, 0.05, 2.0]), np.random.default_rng(0)
    obs = rng.normal(size=(explaining.BATCH + 9, 4)) * [2.0, 0.5, 40.0, 0.1]
    action = rng.integers(0, 2, len(obs)).astype(np.int32)
    found = explaining.of_states(*linear(weights), obs, action, names=list("abcd"))
    right = 1 / (1 + np.exp(-obs @ weights))
    expected = np.abs(weights) * (right * (1 - right)).mean()
    np.testing.assert_allclose(found.joined, expected, rtol=1e-9)
    np.testing.assert_allclose(found.reaction, expected * obs.std(axis=0), rtol=1e-9)
    assert found.order == np.argsort(-np.abs(weights) * obs.std(axis=0)).tolist()
    assert found.share.sum() == pytest.approx(1)
    # A unit of a feature changes its slope, and not the order.
    scale = np.array([1.0, 1000.0, 1e-3, 60.0])
    other = explaining.of_states(*linear(weights / scale), obs * scale, action, names=list("abcd"))
    np.testing.assert_allclose(other.reaction, found.reaction, rtol=1e-9)
    assert np.argsort(-other.joined).tolist() != np.argsort(-found.joined).tolist()


def test_a_run_says_what_it_reacts_to(tmp_path, functions_kept):
    """A linear policy that was trained on CartPole: the order of its slopes is that of its weights.

    Caught, when planted: the derivative by the normalised observation.
    """
    config = {"policy": {"hidden": []}, "budget": {"updates": 3}, "evaluation": {"episodes": 3}}
    ran(config | {"algorithm": {"name": "a2c"}, "normalize": {"observations": True}}, tmp_path / "run")
    found = explaining.explain(tmp_path / "run", episodes=2, seed=1)
    _, _, spec, checkpoint = folder.trained(tmp_path / "run")
    layer = parameters.views(checkpoint.state["params"], spec.acting.layout)["policy/w1"]
    weights = np.abs(layer[:, 1] - layer[:, 0]) / np.sqrt(checkpoint.state["normalizer/variance"] + 1e-8)
    assert np.argsort(found.joined).tolist() == np.argsort(weights).tolist()
    np.testing.assert_allclose(found.joined / found.joined.max(), weights / weights.max(), rtol=1e-4)
    assert found.names == ["cart position", "cart velocity", "pole angle", "pole angular velocity"]
    first = found.names[found.order[0]]
    assert str(found).splitlines()[1].startswith(first)
    assert found._repr_html_().index(first) < found._repr_html_().index(found.names[found.order[1]])
    assert json.loads(json.dumps(found.plain()))["features"][0]["name"] == first
    again = explaining.explain(tmp_path / "run", episodes=2, seed=1)
    assert again.plain() == found.plain()


@pytest.mark.parametrize("agents", [1, 6])
def test_states_are_thinned_evenly(agents):
    """Steps are, and each keeps its agents. Caught, when planted: the first ones only; every other row, which after
    some thinning is always the same agent's."""
    met = explaining._Met(4)
    for step in range(20_000):
        met.add(
            np.full((agents, 4), [[step, who, 0, 0] for who in range(agents)]), np.full(agents, step % 2), NONE[:agents]
        )
    obs, action, _ = met.arrays()
    assert explaining.MOST_STATES / 2 <= len(obs) <= explaining.MOST_STATES
    assert len(set(np.diff(obs[::agents, 0]).tolist())) == 1
    assert np.bincount(obs[:, 1].astype(int)).tolist() == [len(obs) // agents] * agents
    assert obs[-1, 0] > 19_980 - 20 * agents
    assert action.shape == (len(obs),)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (({"run": 3}), "run: got 3; expected a run folder"),
        (({"run": "nowhere"}), "nowhere: no run folder"),
        (({"run": "x", "episodes": 0}), "episodes: got 0; expected a whole number from 1"),
        (({"run": "x", "seed": -1}), "seed: got -1; expected a whole number from 0"),
        (({"run": "x", "episodes": True}), "episodes: got True"),
    ],
)
def test_bad_input_is_one_line(given, said, elsewhere):
    with pytest.raises(UserError) as error:
        explaining.explain(**given)
    assert str(error.value).startswith(said) or said in str(error.value)
    assert "\n" not in str(error.value)


def test_names_are_in_the_order_of_a_row():
    """One name for each number, of every kind of space. Caught, when planted: keys in the order of their names."""
    space = spaces.Dict(
        collections.OrderedDict(
            zeta=spaces.Box(-1, 1, (2,)),
            alpha=spaces.Discrete(2, start=3),
            one=spaces.Box(0, 1, (1,)),
            inner=spaces.Dict({"b": spaces.MultiBinary(1)}),
            pair=spaces.Tuple([spaces.MultiDiscrete([1, 2]), spaces.Text(2)]),
        )
    )
    size = spaces.flatdim(space)
    names = features.names_of("mine:My-v0", size, json.loads(json.dumps(observed(space, "x"))))
    assert names == [
        *["zeta 0", "zeta 1", "alpha = 3", "alpha = 4", "one", "inner.b", "pair part 0 0 = 0", "pair part 0 1 = 0"],
        *["pair part 0 1 = 1", "pair part 1: character 0", "pair part 1: character 1"],
    ]
    assert features.names_of("CartPole-v1", 4, None)[2] == "pole angle"
    assert features.names_of("Other-v0", 2, None) == ["observation 0", "observation 1"]
    kinds = [spaces.OneOf([spaces.Discrete(3), spaces.Box(0, 1, (5,))]), spaces.Box(0, 1, (2, 3)), spaces.Discrete(4)]
    for one in kinds:
        found = features.names_of("a", spaces.flatdim(one), observed(one, "x"))
        assert len(set(found)) == spaces.flatdim(one)


def test_a_policy_of_ones_own_is_explained_too(tmp_path, functions_kept):
    config = {"policy": {"name": "mirror:policy"}, "budget": {"updates": 1}, "evaluation": {"episodes": 1}}
    ran(config, tmp_path / "run", folder_of_config=EXAMPLES)
    found = explaining.explain(tmp_path / "run", episodes=1)
    assert (found.joined >= 0).all()
    assert found.joined.any()


def test_an_agent_says_it_of_an_environment_that_is_an_object(elsewhere, functions_kept):
    """Caught, when planted: the environment not held while it is played."""
    import gymnasium
    from gymnasium.envs.classic_control import CartPoleEnv

    import pg_theano

    class Mine(CartPoleEnv):
        """Of this function: no file names it."""

    agent = pg_theano.Agent(Mine, "ppo", num_envs=2, display=None, **{"environment.max_episode_steps": 30})
    agent.learn(updates=1)
    found = agent.explain(2, seed=3)
    assert isinstance(agent.policy.observation_space, gymnasium.spaces.Box)
    assert 2 < found.states <= 60
    assert found.names == [f"observation {i}" for i in range(4)]
    with pytest.raises(UserError, match="was given in Python"):
        explaining.explain(agent.run_folder)
    with pytest.raises(UserError, match=r"evaluation\.episodes: got 0"):
        agent.explain(0)
