"""An environment of which a tenth of the candidates raise and a tenth are paid NaN. It says so by its place alone."""

import gymnasium
import numpy as np
from gymnasium import spaces


def fate(place):
    """raise | nan | well: of the third and fourth digit of a place in [0, 1]."""
    digit = int(place * 1000) % 10
    return "raise" if digit == 3 else "nan" if digit == 7 else "well"


class Fragile(gymnasium.Env):
    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, place=0.5):
        self.place, self.time = place, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        self.time += 1
        if self.time == 3 and fate(self.place) == "raise":
            raise RuntimeError(f"nothing stands at {self.place:.3f}")
        reward = 1.0 - (self.place - 0.6) ** 2 + 0.1 * float(action)
        obs = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return obs, float("nan") if fate(self.place) == "nan" else reward, self.time >= 5, False, {}


gymnasium.register("Fragile-v0", Fragile, max_episode_steps=20)
