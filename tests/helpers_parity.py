"""Every symbolic environment is Gymnasium's task: one step at a time, from Gymnasium's own states.

Differences are |ours − Gymnasium's| / max(1, |Gymnasium's|): absolute near zero, relative to the magnitude of speeds,
of angles that count full turns, and of costs. Angles that are wrapped are compared on the circle.

Gymnasium stores float32 here and there. For the comparison in float64 it is fed float64 actions and its modules see
float64 under the name of `np.float32`, so that its observations come unrounded; MountainCarContinuous keeps the real
one, because it rounds its state, and ours must round the same way. In float32 Gymnasium runs as it is.
"""

import sys
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import gymnasium as gym
import jax
import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.jax.linker import JAXLinker

from pg_theano.graphs.environments import load

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
FAST_TOLERANCE = 2e-11
GAPS = ("next_state", "next_obs", "reward")
WRAPPED_ANGLES = {"Acrobot-v1": [0, 1]}

SPREAD = {  # boxes of states (low, high) in which a step starts, besides those that random actions reach
    "CartPole-v1": [([-2.4, -3.0, -0.209, -3.0], [2.4, 3.0, 0.209, 3.0])],
    "Acrobot-v1": [([-np.pi, -np.pi, -5.0, -12.0], [np.pi, np.pi, 5.0, 12.0])],
    "MountainCar-v0": [([-1.2, -0.07], [0.6, 0.07]), ([0.4, 0.0], [0.55, 0.07]), ([-1.2, -0.07], [-1.1, 0.0])],
    "MountainCarContinuous-v0": [([-1.2, -0.07], [0.6, 0.07]), ([0.4, 0.0], [0.5, 0.07]), ([-1.2, -0.07], [-1.1, 0.0])],
    "Pendulum-v1": [([-20.0, -8.0], [20.0, 8.0])],
}

FAST = {  # and in float64 only: at full speed a step of 0.2 s makes up to 12,000 times a change of its start (4,000 tried)
    "Acrobot-v1": [([-np.pi, -np.pi, -4 * np.pi, -9 * np.pi], [np.pi, np.pi, 4 * np.pi, 9 * np.pi])],
}


def margin_of_goal(env, s):
    ahead, velocity = s[:, 0] - env.goal_position, s[:, 1] - env.goal_velocity
    return np.where(ahead < 0.0, -ahead, np.minimum(ahead, abs(velocity)))


MARGIN = {  # how far a state is from the nearest threshold of termination
    "CartPole-v1": lambda env, s: np.minimum(
        abs(abs(s[:, 0]) - env.x_threshold), abs(abs(s[:, 2]) - env.theta_threshold_radians)
    ),
    "Acrobot-v1": lambda env, s: abs(-np.cos(s[:, 0]) - np.cos(s[:, 0] + s[:, 1]) - 1.0),
    "MountainCar-v0": margin_of_goal,
    "MountainCarContinuous-v0": margin_of_goal,
    "Pendulum-v1": lambda env, s: np.full(len(s), np.inf),
}


class Steps(NamedTuple):
    """N steps, one after the other."""

    state: np.ndarray  # [N, S]
    action: np.ndarray  # [N] or [N, A]
    next_state: np.ndarray  # [N, S]
    next_obs: np.ndarray  # [N, F]
    reward: np.ndarray  # [N]
    terminated: np.ndarray  # [N]
    fast: np.ndarray  # [N], whether it begins in FAST


@contextmanager
def gymnasium_in(dtype, env):
    """Within, the module of `env` finds float64 where it says `np.float32`, if `dtype` is float64."""
    module = sys.modules[type(env.unwrapped).__module__]
    if dtype == "float64" and env.spec.id != "MountainCarContinuous-v0":
        module.np = SimpleNamespace(**{**vars(np), "float32": np.float64})
    try:
        yield
    finally:
        module.np = np


def episode(env, rng, dtype, start=None, max_steps=None, fast=False):
    """The steps of one episode under random actions, a third of which lie outside the bounds of a Box."""
    env.reset(seed=int(rng.integers(2**31)))
    inner, space = env.unwrapped, env.action_space
    if start is not None:
        inner.state = start
    rows, ended = [], False
    while not ended and len(rows) != max_steps:
        if dtype == "float64":
            inner.state = np.array(inner.state, dtype="float64")
        state = np.array(inner.state, dtype="float64")
        discrete = isinstance(space, gym.spaces.Discrete)
        action = rng.integers(space.n) if discrete else rng.uniform(1.5 * space.low, 1.5 * space.high).astype(dtype)
        next_obs, reward, terminated, truncated, _ = env.step(action)
        rows.append((state, action, np.array(inner.state, dtype="float64"), next_obs, reward, terminated, fast))
        ended = terminated or truncated
    return rows


@lru_cache
def gymnasium_steps(task, dtype, num_episodes):
    rng = np.random.default_rng(20)
    env = gym.make(task, disable_env_checker=True)
    rows = []
    with gymnasium_in(dtype, env):
        for _ in range(num_episodes):
            rows += episode(env, rng, dtype)
        for boxes, fast in ((SPREAD[task], False), (FAST.get(task, []) if dtype == "float64" else [], True)):
            for low, high in boxes:
                for start in rng.uniform(low, high, size=(1000, len(low))):
                    rows += episode(env, rng, dtype, start=start, max_steps=1, fast=fast)
    return Steps(*(np.array(column) for column in zip(*rows, strict=True)))


@lru_cache
def compiled(task, dtype):
    """(state [N, S], action) -> (next_state [N, S], next_obs [N, F], reward [N], terminated [N]) of the expressions."""
    environment = load(task)
    state = tuple(pt.vector(f"state_{i}", dtype=dtype) for i in range(environment.state_size))
    discrete = environment.action_kind == "discrete"
    action = pt.vector("action", dtype="int32") if discrete else (pt.vector("action", dtype=dtype),)
    next_state = environment.transition(state, action)
    next_obs = environment.observation(next_state)
    ends = environment.reward(state, action, next_state), environment.terminated(next_state)
    outputs = [*next_state, *next_obs, *ends]
    assert {output.type.dtype for output in outputs} == {dtype, "bool"}
    few_rewrites = Mode(
        JAXLinker(), RewriteDatabaseQuery(include=["fast_compile", "jax"], exclude=["fusion", "inplace"])
    )
    with pytensor.config.change_flags(floatX=dtype):
        function = pytensor.function(
            [*state, *([action] if discrete else action)], outputs, mode=few_rewrites, on_unused_input="ignore"
        )

    def step(states, actions):
        actions = actions.astype("int32") if discrete else actions[:, 0].astype(dtype)
        with jax.enable_x64(dtype == "float64"):  # whatever PyTensor found as it was imported
            arrays = [np.asarray(array) for array in function(*states.T.astype(dtype), actions)]
        size = environment.state_size
        return np.stack(arrays[:size], axis=1), np.stack(arrays[size:-2], axis=1), *arrays[-2:]

    return step


def difference(ours, theirs, angles=()):
    gap = ours.astype("float64") - theirs
    if len(angles):
        gap[:, angles] = (gap[:, angles] + np.pi) % (2 * np.pi) - np.pi
    return abs(gap) / np.maximum(1.0, abs(theirs))


def compared(task, dtype, num_episodes):
    """What one step of ours differs by, over the steps of this many episodes of Gymnasium's and of states spread out."""
    steps = gymnasium_steps(task, dtype, num_episodes)
    next_state, next_obs, reward, terminated = compiled(task, dtype)(steps.state, steps.action)
    margin = MARGIN[task](gym.make(task).unwrapped, steps.next_state)
    sure = margin > 1e-6 if dtype == "float32" else np.ones(len(margin), bool)
    gaps = [
        difference(next_state, steps.next_state, WRAPPED_ANGLES.get(task, ())).max(axis=1),
        difference(next_obs, steps.next_obs).max(axis=1),
        np.where(sure, difference(reward, steps.reward), 0.0),
    ]
    return {
        "steps": len(margin),
        "terminated": int(terminated.sum()),
        "at a threshold": int((~sure).sum()),
        **{name: float(gap[~steps.fast].max()) for name, gap in zip(GAPS, gaps, strict=True)},
        "fast": float(np.max(gaps, axis=0)[steps.fast].max(initial=0.0)),
        "unwrapped": float(abs(next_state[:, WRAPPED_ANGLES.get(task, [])]).max(initial=0.0)),
        "ends otherwise": int((terminated != steps.terminated)[sure].sum()),
    }


def faults(found, task, dtype):
    """What of `compared` is not as it must be."""
    bounds = dict.fromkeys(GAPS, TOLERANCE[dtype]) | {"fast": FAST_TOLERANCE, "unwrapped": np.pi + 1e-6}
    bounds |= {"ends otherwise": 0, "at a threshold": 1e-3 * found["steps"]}
    wrong = [f"{name}: {found[name]:g} > {bound:g}" for name, bound in bounds.items() if not found[name] <= bound]
    some_end = 0 < found["terminated"] < found["steps"]
    return wrong + ([] if some_end == (task != "Pendulum-v1") else [f"{found['terminated']} terminated"])
