"""Five environments, each so small that only one thing can be wrong with who does not learn it.

    constant value            one step, paid 1                              V is 1
    value from observation    one step, paid the observation, ±1            V(±1) is ±1
    discounting               two steps, the second paid 1                  V is γ, then 1
    choice of action          one step, paid for the action                 the policy takes it
    choice from observation   one step, paid for what suits the observation the policy takes that

Every algorithm, by the graph and, where there is a twin, by hand.
"""

import importlib.util

import numpy as np
import pytest
from helpers_runs import merged, ran

from pg_theano import parameters
from pg_theano.runs import checkpoints
from pg_theano.runs import folder as runs
from pg_theano.spec.reading import spec_of

pytestmark = [pytest.mark.usefixtures("elsewhere", "functions_kept"), pytest.mark.slow]

OPTIMISED = False  # see conftest.machine_code
DISCOUNT = 0.8

# One shape of graph for each algorithm and kind of action: all its probes share what was compiled.
COMMON = {
    "environment": {"num_envs": 16},
    "policy": {"hidden": [8], "activation": "tanh"},
    "algorithm": {"discount": DISCOUNT, "num_minibatches": 2},
    "schedules": {"learning_rate": {"initial": 0.03}},
    "optimizer": {"name": "adam", "max_gradient_norm": 1.0},
    "evaluation": {"episodes": 1, "every_updates": 10**6},
}
EPISODES = {"episodes_per_update": {"initial": 32}}
WHOLE = {
    "algorithm": {"num_epochs": 5},
    "schedules": EPISODES | {"value_learning_rate": {"initial": 0.03}},
    "budget": {"updates": 80},
}
ALGORITHMS = {
    "ppo": {
        "algorithm": {"name": "ppo", "num_steps": 8, "num_epochs": 4},
        "schedules": {"learning_rate": {"initial": 0.01}},
        "budget": {"updates": 50},
    },
    "a2c": {
        "algorithm": {"name": "a2c", "num_steps": 4, "num_minibatches": 1, "gae_lambda": 0.9},
        "budget": {"updates": 120},
    },
    "vpg": merged(WHOLE, {"algorithm": {"name": "vpg"}}),
    "npg": merged(WHOLE, {"algorithm": {"name": "npg", "target_kl": 0.05}, "budget": {"updates": 160}}),
    "trpo": merged(WHOLE, {"algorithm": {"name": "trpo", "target_kl": 0.05}, "budget": {"updates": 160}}),
    "reinforce": {"algorithm": {"num_minibatches": 1}, "schedules": EPISODES, "budget": {"updates": 80}},
}
NO_TWIN = importlib.util.find_spec("pg_theano.by_hand.program") is None
TWIN = [
    pytest.param(name, "by_hand", marks=pytest.mark.skipif(NO_TWIN, reason="no twin yet"), id=f"{name}, by hand")
    for name in ("vpg", "ppo")
]
CRITICS = [
    pytest.param("ppo", "symbolic", id="ppo"),
    *(pytest.param(name, "symbolic", marks=pytest.mark.slow, id=name) for name in ("a2c", "vpg", "npg", "trpo")),
    *TWIN,
]
EVERYONE = [*CRITICS, pytest.param("reinforce", "symbolic", id="reinforce")]


class Trained:
    """What a run has learned, through a forward pass of the test's own."""

    def __init__(self, folder):
        self.state = checkpoints.newest(folder / "checkpoints").state
        _, facts = runs.read_run(folder)
        self.acting = spec_of(facts["spec"]).acting
        self.layers = parameters.views(self.state["params"], self.acting.layout)

    def forward(self, head, obs):
        path = [self.layers[name] for placed in self.acting.path(head) for name, *_ in placed.arrays]
        x = np.atleast_2d(np.asarray(obs, float)).T  # [N, 1]
        for weight, bias in zip(path[:-2:2], path[1:-2:2], strict=True):
            x = np.tanh(x @ weight + bias)
        return x @ path[-2] + path[-1]

    def values(self, *obs):
        return self.forward("value", obs)[:, 0].tolist()

    def probabilities(self, *obs):
        """Of action 1."""
        z = np.exp(self.forward("policy", obs))
        return (z[:, 1] / z.sum(axis=1)).tolist()

    def means(self, *obs):
        return self.forward("policy", obs)[:, 0].tolist()


def trained(probe, algorithm, gradients, folder):
    """The probe learned by the algorithm; says what that took, beside compiling."""
    config = merged(COMMON, ALGORITHMS[algorithm])
    config = merged(config, {"environment": {"id": f"probe_environments:{probe}-v0"}, "gradients": gradients})
    if probe.startswith("Box"):
        config = merged(config, {"policy": {"initial_log_std": -0.5}})
    figures = ran(config, folder).figures
    seconds = figures["seconds"]
    print(f"{probe}, {algorithm}, {gradients}: {seconds['total'] - seconds['compile'] - seconds['import']:.2f} s")
    return Trained(folder)


@pytest.mark.parametrize(("algorithm", "gradients"), CRITICS)
def test_constant_value(algorithm, gradients, tmp_path):
    """Caught, when planted: a value loss with the wrong sign, one that is not differentiated, V of the next episode
    after a termination."""
    assert trained("ConstantValue", algorithm, gradients, tmp_path / "run").values(0) == pytest.approx([1], abs=0.05)


@pytest.mark.parametrize(("algorithm", "gradients"), CRITICS)
def test_value_from_observation(algorithm, gradients, tmp_path):
    """Caught, when planted: targets of a neighbour, observations one row apart from their rewards."""
    found = trained("ValueFromObs", algorithm, gradients, tmp_path / "run").values(1, -1)
    assert found == pytest.approx([1, -1], abs=0.1)


@pytest.mark.parametrize(("algorithm", "gradients"), CRITICS)
def test_discounting(algorithm, gradients, tmp_path):
    """Caught, when planted: no discount, one too many, the reward of the second step given to the first."""
    found = trained("Discounting", algorithm, gradients, tmp_path / "run").values(0, 1)
    assert found == pytest.approx([DISCOUNT, 1], abs=0.05)


def test_discounting_of_reinforce(tmp_path):
    """It has no V; the mean of what it was paid from each of the two steps on is its baseline."""
    state = trained("Discounting", "reinforce", "symbolic", tmp_path / "run").state
    assert state["baseline/mean"] == pytest.approx((DISCOUNT + 1) / 2, abs=1e-5)


@pytest.mark.parametrize(("algorithm", "gradients"), EVERYONE)
def test_choice_of_action(algorithm, gradients, tmp_path):
    """Caught, when planted: ascent and descent exchanged."""
    assert trained("ActionChoice", algorithm, gradients, tmp_path / "run").probabilities(0)[0] > 0.95


@pytest.mark.parametrize(("algorithm", "gradients"), EVERYONE)
def test_choice_from_observation(algorithm, gradients, tmp_path):
    """Caught, when planted: advantages of another row."""
    one, zero = trained("ActionFromObs", algorithm, gradients, tmp_path / "run").probabilities(1, -1)
    assert one > 0.95
    assert zero < 0.05


@pytest.mark.parametrize(("algorithm", "gradients"), EVERYONE)
def test_choice_of_a_real_number(algorithm, gradients, tmp_path):
    assert trained("BoxChoice", algorithm, gradients, tmp_path / "run").means(0) == pytest.approx([0.5], abs=0.15)


@pytest.mark.parametrize(("algorithm", "gradients"), EVERYONE)
def test_choice_of_a_real_number_from_observation(algorithm, gradients, tmp_path):
    found = trained("BoxFromObs", algorithm, gradients, tmp_path / "run").means(1, -1)
    assert found == pytest.approx([0.5, -0.5], abs=0.2)
