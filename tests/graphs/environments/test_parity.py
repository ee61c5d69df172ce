"""Every symbolic environment is Gymnasium's task: one step at a time, from Gymnasium's own states.

What is compared, and how: helpers_parity.py.
"""

import gymnasium as gym
import jax
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_parity import compared, compiled, difference, episode, faults, gymnasium_in
from pytensor.compile.mode import Mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.jax.linker import JAXLinker

from pg_theano.graphs.environments import BUILT_IN, load

TWINS = [task for task in BUILT_IN if "/" not in task]  # those that Gymnasium has too


@pytest.mark.parametrize("num_episodes", [30, pytest.param(150, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("task", TWINS)
def test_one_step_is_gymnasiums(task, dtype, num_episodes):
    """1,000 episodes of each: `make torture`.

    Caught, when planted: CartPole's pole-mass term added instead of multiplied, its gravity off, its angle limit 0.2
    or 15°, semi-implicit Euler; Acrobot without one coupling term, with another weight in RK4, unwrapped, unbounded,
    with a lower bar, ended by the state before; MountainCar bouncing from the wall, done at any velocity, in another
    valley; its continuous twin unrounded, charged for the clipped action, with the other's goal, paid a step late;
    Pendulum paid for the next state, for an unwrapped angle or an unclipped torque, explicit Euler, another timestep.
    """
    found = compared(task, dtype, num_episodes)
    print(task, dtype, found)
    assert faults(found, task, dtype) == []


OPEN_LOOP = {  # the largest difference allowed at the end of an episode
    "CartPole-v1": 1e-12,
    "Acrobot-v1": np.inf,  # chaotic
    "MountainCar-v0": 1e-12,
    "MountainCarContinuous-v0": 1e-6,  # rounded to float32 at every step: two neighbours where rounding differs
    "Pendulum-v1": 1e-9,
}


@pytest.mark.parametrize("task", TWINS)
def test_an_episode_on_its_own_stays_with_gymnasiums(task):
    """Only the first state is Gymnasium's, in float64."""
    rng = np.random.default_rng(21)
    env = gym.make(task, disable_env_checker=True)
    step, largest = compiled(task, "float64"), 0.0
    with gymnasium_in("float64", env):
        episodes = [episode(env, rng, "float64") for _ in range(10)]
    state = np.stack([rows[0][0] for rows in episodes])  # [E, S]
    for t in range(max(map(len, episodes))):
        now = [rows[min(t, len(rows) - 1)] for rows in episodes]  # past an end the last row stands in, not compared
        state, obs, _, _ = step(state, np.array([row[1] for row in now]))
        going = [t < len(rows) for rows in episodes]
        largest = max(largest, difference(obs, np.array([row[3] for row in now]))[going].max())
    print(f"{task}, open loop, float64: {largest}")
    assert largest <= OPEN_LOOP[task]


@pytest.mark.parametrize("task", TWINS)
def test_spaces_limits_and_constants_are_gymnasiums(task):
    """Caught, when planted: two actions in MountainCar, another timestep, another goal."""
    environment, env = load(task), gym.make(task)
    assert environment.id == task == env.spec.id
    assert environment.max_steps == env.spec.max_episode_steps
    assert environment.reward_threshold == env.spec.reward_threshold
    assert np.array_equal(np.float32(environment.obs_low), env.observation_space.low)
    assert np.array_equal(np.float32(environment.obs_high), env.observation_space.high)
    if environment.action_kind == "discrete":
        assert env.action_space == gym.spaces.Discrete(environment.num_actions)
        assert environment.action_low == environment.action_high == ()
    else:
        assert env.action_space.shape == (environment.num_actions,)
        assert np.array_equal(np.float32(environment.action_low), env.action_space.low)
        assert np.array_equal(np.float32(environment.action_high), env.action_space.high)
    theirs = {name: getattr(env.unwrapped, name) for name in environment.constants}
    assert environment.constants == theirs and theirs


class Dealt:
    """A generator whose uniforms were dealt beforehand."""

    def __init__(self, noise):
        self.noise = noise

    def uniform(self, low, high, size=None):
        return low + (high - low) * (self.noise if len(self.noise) > 1 else self.noise[0])


@pytest.mark.parametrize("task", TWINS)
def test_resets_are_gymnasiums(task):
    """The same uniforms give the same first state, from the lowest to the highest. Caught, when planted: CartPole's
    start from 0 up."""
    environment, env = load(task), gym.make(task).unwrapped
    size = environment.num_initial_noise
    noises = np.array([np.zeros(size), np.linspace(0.1, 0.8, size), np.ones(size)])  # [3, U]
    noise = tuple(pt.vector(f"noise_{i}", dtype="float64") for i in range(size))
    mode = Mode(JAXLinker(), RewriteDatabaseQuery(include=["fast_compile", "jax"]))
    with jax.enable_x64(True):
        ours = pytensor.function(list(noise), list(environment.initial(noise)), mode=mode)(*noises.T)
    for uniforms, state in zip(noises, np.stack(ours, axis=1), strict=True):
        env.np_random = Dealt(uniforms)
        env.reset()
        assert np.allclose(state, np.asarray(env.state, "float64"), rtol=0, atol=1e-8)  # Acrobot's is float32
