"""Two styles in which advantages are often tested, to be compared with random cases against the definition.

Not part of the suite: `benchmarks/torture/parts/museum.py` runs them against the ten faults of `faults_of_gae.py`.
"""

import numpy as np
import pytest
from helpers_runs import ran, result

from pg_theano.by_hand import advantages


@pytest.mark.usefixtures("elsewhere")
def test_ppo_learns_cartpole(tmp_path):
    """A learning test: PPO by hand, 40,000 steps, and the usual bar of 195."""
    ran(
        {
            "environment": {"id": "CartPole-v1", "num_envs": 8, "engine": "gymnasium"},
            "policy": {"hidden": [32], "activation": "tanh"},
            "algorithm": {
                **{"name": "ppo", "discount": 0.98, "gae_lambda": 0.9, "num_steps": 64},
                **{"num_epochs": 8, "num_minibatches": 2},
            },
            "schedules": {"learning_rate": {"initial": 0.003}},
            "budget": {"updates": 80},
            "solved": {"stop": False},
            "evaluation": {"episodes": 20, "every_updates": 80},
            "gradients": "by_hand",
        },
        tmp_path / "run",
    )
    assert result(tmp_path / "run")["evaluation"]["mean"] >= 195


def test_gae_of_one_episode():
    """The usual style: one episode that is over at the end, worked out by the loop that everybody writes."""
    reward, value = np.array([1.0, 0.5, -1.0, 2.0]), np.array([0.3, 0.8, 0.1, 0.6])
    last_value, discount, gae_lambda = 0.7, 0.9, 0.8
    done = np.array([0.0, 0.0, 0.0, 1.0])
    following = np.append(value[1:], last_value)
    expected, running = np.zeros(4), 0.0
    for t in reversed(range(4)):
        delta = reward[t] + discount * following[t] * (1 - done[t]) - value[t]
        expected[t] = running = delta + discount * gae_lambda * (1 - done[t]) * running
    ours = advantages.gae(
        reward[None],
        value[None],
        following[None],
        done[None] > 0,
        np.zeros((1, 4), bool),
        np.ones((1, 4)),
        discount=discount,
        gae_lambda=gae_lambda,
    )
    np.testing.assert_allclose(ours[0], expected)
