"""A task as it was written for Gym before 0.26, with one line changed: `import gym` became the first below."""

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding


class KeepStill(gym.Env):
    """A cart that is pushed about; the observation is where it is [m] and how fast [m/s]."""

    metadata = {"render.modes": []}

    def __init__(self, wind=0.2):
        self.observation_space = gym.spaces.Box(-10.0, 10.0, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(3)  # push left, none, push right
        self.wind = wind
        self.seed()

    def seed(self, seed=None):
        self.random, seed = seeding.np_random(seed)
        return [seed]

    def reset(self):
        self.state = self.random.uniform(-1.0, 1.0, 2)
        self.time = 0
        return self.state.astype(np.float32)

    def step(self, action):
        place, speed = self.state
        speed += 0.1 * ((action - 1) + self.random.normal(0.0, self.wind))
        place += 0.1 * speed
        self.state = np.clip([place, speed], -10.0, 10.0)
        self.time += 1
        info = {"TimeLimit.truncated": True} if self.time == 100 else {}
        return self.state.astype(np.float32), 1.0 - abs(place), bool(info) or abs(place) > 3.0, info
