"""LongPole-v0: Gymnasium's CartPole with a pole of another length, half of which is `length` in metres (there 0.5)."""

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class LongPole(CartPoleEnv):
    def __init__(self, length=1.0, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.length = length
        self.polemass_length = self.masspole * length


gymnasium.register("LongPole-v0", "long_pole:LongPole", max_episode_steps=500, reward_threshold=475.0)
