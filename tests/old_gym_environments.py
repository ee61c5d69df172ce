"""Environments written to each form that the API of Gym had before 0.26, and the same task written to Gymnasium's.

The task is CartPole's dynamics, or a walk of five steps whose rewards tell who asked for what. Nothing of `gym` is here,
nor are its spaces: `Space` stands for them, with the attributes that they had.
"""

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv


class Space:
    """What a space of Gym's looked like."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def box(low, high, dtype=np.float32):
    low, high = np.array(low, dtype), np.array(high, dtype)
    return Space(low=low, high=high, shape=low.shape, dtype=np.dtype(dtype))


class _Walk:
    """Five steps along a line that begins where the seed says; action 1 pays 1. `limit`: ended by time, else by the task."""

    metadata = {"render.modes": ["rgb_array"], "video.frames_per_second": 20}

    def __init__(self, limit=False):
        self.observation_space, self.action_space = box([-10.0], [10.0]), Space(n=2, shape=(), dtype=np.dtype("int64"))
        self.limit, self.rng, self.closed = limit, np.random.default_rng(), False

    def begin(self):
        self.at, self.time = np.array([self.rng.uniform(-1, 1)], np.float32), 0
        return self.at.copy()

    def move(self, action):
        self.at = self.at + np.float32(0.5 if action else -0.5)
        self.time += 1
        return self.at.copy(), float(action), self.time >= 5

    def render(self, mode="human"):
        return np.full((4, 4, 3), 10 * self.time, np.uint8) if mode == "rgb_array" else None

    def close(self):
        self.closed = True


class FourValues(_Walk):
    """Gym 0.1 to 0.21: `seed`, `reset()`, four values, the wrapper's word for an end by time."""

    def seed(self, seed=None):
        self.rng = np.random.default_rng(seed)
        return [seed]

    def reset(self):
        return self.begin()

    def step(self, action):
        obs, reward, done = self.move(action)
        return obs, reward, done, {"TimeLimit.truncated": True} if done and self.limit else {}


class SeededReset(FourValues):
    """Gym 0.22 to 0.25: `reset(seed=, return_info=, options=)`, four values."""

    seed = None

    def reset(self, *, seed=None, return_info=False, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.options = options
        return (self.begin(), {"begun": True}) if return_info else self.begin()


class FiveValues(SeededReset):
    """Gym 0.26: (obs, info) and five values."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed, return_info=True, options=options)

    def step(self, action):
        obs, reward, done = self.move(action)
        return obs, reward, done and not self.limit, done and self.limit, {}


class Wrapped:
    """A wrapper of that time: it hands on whatever `reset` is given, and its attributes are what it wraps."""

    def __init__(self, limit=False):
        self.env = FourValues(limit)

    def __getattr__(self, name):
        if name == "env":
            raise AttributeError(name)
        return getattr(self.env, name)

    def reset(self, **kwargs):
        return self.env.reset(**kwargs)

    def step(self, action):
        return self.env.step(action)


class New(gymnasium.Env):
    """The same walk, as Gymnasium has it."""

    def __init__(self, limit=False, render_mode=None):
        self.walk = FiveValues(limit)
        self.observation_space = gymnasium.spaces.Box(-10, 10, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return self.walk.reset(seed=seed)

    def step(self, action):
        return self.walk.step(action)


class Unseeded(FourValues):
    """Neither `reset` nor the environment takes a seed."""

    seed = None


class ThreeValues(FourValues):
    def step(self, action):
        return self.move(action)


class NoSpaces(FourValues):
    def __init__(self):
        super().__init__()
        self.action_space = Space(size=2)


class OldCartPole:
    """Gymnasium's dynamics behind the old four values: what is learned is equal, bit for bit."""

    def __init__(self):
        self._inner = CartPoleEnv()
        self.action_space = Space(n=2, shape=(), dtype=np.dtype("int64"))
        bounds = self._inner.observation_space
        self.observation_space = Space(low=bounds.low, high=bounds.high, shape=(4,), dtype=np.dtype("float32"))
        self._seed = None

    def seed(self, seed=None):
        self._seed = seed
        return [seed]

    def reset(self):
        obs, _ = self._inner.reset(seed=self._seed)
        self._seed = None
        return obs

    def step(self, action):
        obs, reward, terminated, _, info = self._inner.step(action)
        return obs, reward, terminated, info


gymnasium.register("NewWalk-v0", "old_gym_environments:New")


class _FourValuesNew(New):
    """Registered with Gymnasium, and its step is old: what a person meets first."""

    def step(self, action):
        obs, reward, done = self.walk.move(action)
        return obs, reward, done, {}


gymnasium.register("FourValuesNew-v0", "old_gym_environments:_FourValuesNew")
