"""PettingZoo's pistonball, each piston of which sees numbers in place of a picture.

Where the ball is, how it moves, and how high this piston and its neighbours stand.

    python -m pg_theano.train configs/ppo-pistonball.yaml
"""

import gymnasium
import numpy as np
from pettingzoo.butterfly import pistonball_v6
from pettingzoo.utils import BaseParallelWrapper

SPACE = gymnasium.spaces.Box(-np.inf, np.inf, (8,), np.float32)


class Vector(BaseParallelWrapper):
    def observation_space(self, agent):
        return SPACE

    def reset(self, seed=None, options=None):
        obs, infos = self.env.reset(seed=seed, options=options)
        return self.seen(obs), infos

    def step(self, actions):
        obs, *rest = self.env.step(actions)
        return self.seen(obs), *rest

    def seen(self, agents):
        """What each of the agents sees."""
        game = self.env.unwrapped
        ball, width = game.ball, game.screen_width
        heights = [piston.position[1] / 100 for piston in game.pistonList]
        heights = [heights[0], *heights, heights[-1]]
        rows = {}
        for agent in agents:
            place = game.agent_name_mapping[agent]
            x = game.pistonList[place].position[0]
            near = heights[place : place + 3]
            rows[agent] = np.array(
                [
                    (ball.position[0] - x) / 100,
                    x / width,
                    ball.position[1] / 100,
                    *(v / 100 for v in ball.velocity),
                    *near,
                ],
                np.float32,
            )
        return rows


def parallel_env(**kwargs):
    return Vector(pistonball_v6.parallel_env(**{"continuous": False} | kwargs))
