"""What the observations and rewards of an environment must be: finite, and of a size that can be learned from."""

import math
from typing import Any, Protocol

import numpy as np

from pg_theano.environments.telling import LARGEST_REWARD, wrong_reward
from pg_theano.types import Array, Record, Task, UserError

LONGEST_EPISODE = 2**17
"""Where an environment without a time limit is stopped, in steps."""


class Begun(Protocol):
    """Environments whose episodes have seeds."""

    @property
    def task(self) -> Task: ...
    @property
    def seeds(self) -> Any: ...  # [N]


def endless(steps: int, where: str = "") -> UserError:
    return UserError(
        f"{where}an episode has not ended after {steps} steps; expected an end; try environment.max_episode_steps=1000"
    )


def check_length(environment: Begun, lengths: Array) -> None:
    """Errors: `UserError` for an episode that does not end; `lengths` [N] are the steps of those that are open."""
    task = environment.task
    limit = (getattr(environment, "limit_holds", True) and task.time_limit) or LONGEST_EPISODE
    if lengths.max() >= limit:
        raise endless(limit, f"{task.id}, environment {int(lengths.argmax())}: ")


def surely_finite(rows: Array) -> bool:
    """Whether all numbers are finite; False also where they are too large for a quick look.

    A sum of squares is finite only if all numbers are, and costs less than a look at each of them.
    """
    flat = rows.ravel()
    return rows.dtype.kind != "f" or math.isfinite(flat.dot(flat))


def check_finite(environment: Begun, obs: Array, reward: Array | None, real: Array, time: Array) -> None:
    """Errors: `UserError` for an observation or reward that is not finite, or an absurd reward; it names step and seed.

    Looks at the environments of `real` [N]; `time` [N] is the step of each, counted from 0.
    """
    small = reward is None or np.add.reduce(np.abs(reward)) <= LARGEST_REWARD
    if small and (surely_finite(obs) or math.isfinite(np.add.reduce(obs, axis=None))):
        return
    for index in np.flatnonzero(real):
        where = f"{environment.task.id}, environment {index}, step {time[index] + 1} (seed {environment.seeds[index]})"
        if not np.isfinite(obs[index]).all():
            bad = obs[index][~np.isfinite(obs[index])][0]
            raise UserError(
                f"{where}: the observation has {bad}; an observation must be finite; expected numbers; try check_env"
            )
        if reward is not None and not abs(reward[index]) <= LARGEST_REWARD:
            raise UserError(f"{where}: {wrong_reward(float(reward[index]))}")


def check_record(record: Record, where: str, *, before: int = 0, everything: bool = False) -> None:
    """Errors: `UserError` for an absurd reward of a compiled environment, or, with `everything`, any number that is not
    finite. The line names column and step: `where` says what a column is, such as "CartPole-v1, update 3, episode";
    `before` is how many steps it has in the records before this one.
    """
    first, values = record.columns["reward"][0], np.asarray(record.values)
    rewards = values[:, first]
    if not (rewards.max() <= LARGEST_REWARD and rewards.min() >= -LARGEST_REWARD):  # of NaN neither is
        step, column = np.argwhere(~(np.abs(rewards) <= LARGEST_REWARD))[0]
        raise UserError(f"{where} {column}, step {before + step + 1}: {wrong_reward(float(rewards[step, column]))}")
    if everything and not np.isfinite(values).all():
        step, _, column = np.argwhere(~np.isfinite(values))[0]
        raise UserError(f"{where} {column}, step {before + step + 1}: an observation is not finite; it must be")
