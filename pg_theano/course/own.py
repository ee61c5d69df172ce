"""Exercises 23 and 24: a vanilla policy gradient, and PPO with GAE, that solve CartPole on five seeds."""

from __future__ import annotations

from pg_theano.course.critics import CRITICS
from pg_theano.course.returns import RETURNS

TO_GO = next(one for one in RETURNS if one.name == "reward-to-go")
GAE = next(one for one in CRITICS if one.name == "gae")
LEARNS = """
Then write `learn(env, seed, num_episodes)`, with NumPy alone: {what}. `env` is Gymnasium's CartPole-v1: an observation
has four numbers, an action is 0 or 1, an episode ends after 500 steps at the latest. Return the policy, a function of
one observation that gives 0 or 1. It is held to a mean of 475 in 20 episodes, on each of five seeds, after
`num_episodes` = {episodes:,} episodes; and with `num_episodes` = 0 it must not know how. Takes up to {minutes} minutes.
"""

OWN = [
    TO_GO._replace(
        name="own-vpg",
        title="a vanilla policy gradient of your own, on CartPole",
        statement=TO_GO.statement
        + "\n"
        + LEARNS.format(
            what="play, weigh each step's score with its reward-to-go less a baseline, step uphill",
            episodes=1000,
            minutes=5,
        ),
        chapter=8,
        learns=1000,
        seconds=300.0,
    ),
    GAE._replace(
        name="own-ppo",
        title="PPO with GAE of your own, on CartPole",
        statement=GAE.statement
        + "\n"
        + LEARNS.format(
            what="advantages by your `gae`, several passes over each rollout, the clipped objective",
            episodes=1000,
            minutes=5,
        ),
        chapter=10,
        learns=1000,
        seconds=300.0,
    ),
]
