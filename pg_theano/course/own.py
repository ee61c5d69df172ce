"""Exercises 23 and 24: a vanilla policy gradient, and PPO with GAE, that solve CartPole on five seeds."""

from __future__ import annotations

from pg_theano.course.critics import CRITICS
from pg_theano.course.exercise import Exercise
from pg_theano.course.returns import RETURNS

TO_GO = next(one for one in RETURNS if one.name == "reward-to-go")
GAE = next(one for one in CRITICS if one.name == "gae")
LEARNS = """
Then write `learn(env, seed, num_episodes)`, with NumPy alone: {what}. `env` is Gymnasium's CartPole-v1: an observation
has four numbers, an action is 0 or 1, an episode ends after 500 steps at the latest. Return the policy, a function of
one observation that gives 0 or 1. It is held to a mean of 475 in 20 episodes, on each of five seeds, after
`num_episodes` = {episodes:,} episodes; and with `num_episodes` = 0 it must not know how. Takes up to {minutes} minutes.
"""

EPISODES = 1000


def own(exercise: Exercise, name: str, title: str, what: str, chapter: int) -> Exercise:
    """An exercise that goes on with learning CartPole."""
    return exercise._replace(
        name=name,
        title=f"{title} of your own, on CartPole",
        statement=exercise.statement + "\n" + LEARNS.format(what=what, episodes=EPISODES, minutes=5),
        chapter=chapter,
        learns=EPISODES,
        seconds=300.0,
    )


OWN = [
    own(
        TO_GO,
        "own-vpg",
        "a vanilla policy gradient",
        "play, weigh each step's score with its reward-to-go less a baseline, step uphill",
        8,
    ),
    own(
        GAE,
        "own-ppo",
        "PPO with GAE",
        "advantages by your `gae`, several passes over each rollout, the clipped objective",
        10,
    ),
]
