"""Playing whole episodes: `collect` gives one block of experience, episode-major."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pg_theano.compiling import bucket, power_of_two
from pg_theano.types import EXPLORE, Array, Knobs, Program, Record, Rollout, State, UserError

LONGEST_EPISODE = 2**17
"""Where an environment without a time limit is stopped, in steps."""


class Episodes(NamedTuple):
    """What was played: the rollout, and one number an episode."""

    rollout: Rollout | Record | None  # None where it was not kept
    returns: Array  # [num_episodes] sum of rewards
    lengths: Array  # [num_episodes] steps


def collect(
    environment: Any,
    act: Callable[..., tuple[Array, Array]],
    state: State,
    knobs: Knobs,
    *,
    num_episodes: int,
    noise_size: int,
    episode_seeds: np.random.Generator,
    action_noise: np.random.Generator,
    dtype: str,
    choice: int = EXPLORE,
    keep: bool = True,
) -> Episodes:
    """Play `num_episodes` episodes from reset to end; environment i plays episodes i, i + N, i + 2N, ...

    None is dropped and none is begun that will not be finished: taking the first to end would favour short ones. An
    environment that has no episode left idles; its rows have mask 0. In the rollout E is `num_episodes` rounded up to a
    power of two, and T comes from the ladder. Without `keep` only returns and lengths are kept, not the experience.
    """
    num_envs = environment.num_envs
    seeds = episode_seeds.integers(0, 2**31 - 1, size=num_episodes)
    limit = environment.task.time_limit or LONGEST_EPISODE
    records = _Records(num_envs, environment.task.obs_size, dtype) if keep else None
    returns, lengths = np.zeros(num_episodes), np.zeros(num_episodes, np.int64)

    everyone = np.arange(num_envs)
    episode = everyone.copy()  # which episode each environment plays
    time = np.zeros(num_envs, np.int64)  # and at which step of it
    total = np.zeros(num_envs)  # and the rewards so far
    playing = episode < num_episodes
    if not playing.all():
        environment.park(~playing)
    obs = environment.begin(playing, seeds[np.minimum(episode, num_episodes - 1)], all_over=True)
    _check(environment, obs, None, playing, time - 1)
    while playing.any():
        noise = action_noise.random((num_envs, noise_size), np.dtype(dtype))
        action, log_prob = act(state, obs, noise, knobs, choice)
        next_obs, reward, terminated, truncated, real = environment.step(action)
        mask = playing & real
        _check(environment, next_obs, reward, mask, time)
        if records is not None:
            records.add(obs, action, log_prob, reward, next_obs, terminated, truncated, mask, episode, time)
        time += mask
        total += np.where(mask, reward, 0.0)
        obs = next_obs
        ended = (terminated | truncated) & mask
        if ended.any():
            returns[episode[ended]], lengths[episode[ended]] = total[ended], time[ended]
            episode = np.where(ended, episode + num_envs, episode)
            time[ended], total[ended] = 0, 0.0
            playing &= episode < num_episodes
            over = ended & ~playing
            if over.any():
                environment.park(over)
            again = ended & playing
            if again.any():
                obs = environment.begin(again, seeds[np.minimum(episode, num_episodes - 1)])
                _check(environment, obs, None, again, time - 1)
        elif time.max() >= limit:
            raise UserError(
                f"{environment.task.id}, environment {int(time.argmax())}: an episode has not ended after {limit} "
                "steps; set environment.max_episode_steps"
            )
    rollout = None if records is None else records.rollout(num_episodes, environment.task.time_limit, dtype)
    return Episodes(rollout, returns, lengths)


def chunk_of(time_limit: int | None) -> int:
    """Steps that a compiled environment plays in one call: a time limit in equal parts of at most 128."""
    if time_limit is None:
        return 128
    return -(-time_limit // -(-time_limit // 128))


def rungs(chunk: int, limit: int | None) -> list[int]:
    """The ladder of T of a record: one chunk, four, sixteen, ..., up to the time limit.

    Steps are cheap here and a further T costs 0.1 s to load, so it is steeper than the ladder of Gymnasium.
    """
    sizes = [chunk]
    while sizes[-1] < (limit or LONGEST_EPISODE):
        sizes.append(min(4 * sizes[-1], limit or LONGEST_EPISODE))
    return sizes


def collect_compiled(
    program: Program,
    state: State,
    knobs: Knobs,
    *,
    num_episodes: int,
    time_limit: int | None,
    episode_seeds: np.random.Generator,
    action_noise: np.random.Generator,
    dtype: str,
) -> Episodes:
    """Play `num_episodes` whole episodes on a compiled environment, side by side, in chunks until all have ended."""
    facts, kind = program.manifest["environment"], np.dtype(dtype)
    rows, chunk, uniforms = power_of_two(num_episodes), facts["chunk"], program.manifest["noise"]["size"]
    alive: Any = (np.arange(rows) < num_episodes).astype(kind)
    env_state: Any = np.zeros((facts["state_size"], rows), kind)
    initial_noise = episode_seeds.random((facts["num_initial_noise"], rows), kind)
    limit = time_limit or LONGEST_EPISODE
    parts: list[Any] = []
    while np.asarray(alive).any():
        elapsed = len(parts) * chunk
        if elapsed >= limit and time_limit is None:
            raise UserError(f"an episode has not ended after {limit} steps; give the environment a time limit")
        out = program.rollout(
            state,
            knobs,
            {
                "env_state": env_state,
                "alive": alive,
                "elapsed": np.asarray(elapsed, kind),
                "begins": np.asarray(not parts, kind),
                "initial_noise": initial_noise,
                "noise": action_noise.random((chunk, uniforms, rows), kind),
            },
        )
        env_state, alive = out["env_state"], out["alive"]
        parts.append(out["record"])
    values = parts[0]
    if len(parts) > 1:
        played = min(len(parts) * chunk, limit)
        steps = next(size for size in rungs(chunk, time_limit) if size >= played)
        values = np.zeros((steps, *parts[0].shape[1:]), kind)
        for number, part in enumerate(parts):
            end = min((number + 1) * chunk, steps)  # a chunk reaches past the time limit by less than its length
            values[number * chunk : end] = np.asarray(part)[: end - number * chunk]
    record = Record(values, facts["columns"])
    if not np.isfinite(np.asarray(values).sum()):
        raise UserError("the compiled environment gave an observation or a reward that is not finite")
    returns = record.field("reward").sum(axis=0, dtype=np.float64)[:num_episodes]
    lengths = record.field("mask").sum(axis=0, dtype=np.float64)[:num_episodes].astype(np.int64)
    return Episodes(record, returns, lengths)


class _Records:
    """Rows of a block as they come, [step, environment], and then by episode."""

    def __init__(self, num_envs: int, obs_size: int, dtype: str):
        self.size = 0
        self.columns: dict[str, Array] = {
            "obs": np.empty((128, num_envs, obs_size), dtype),
            "action": np.empty((128, num_envs), np.int32),
            "log_prob": np.empty((128, num_envs), dtype),
            "reward": np.empty((128, num_envs), dtype),
            "next_obs": np.empty((128, num_envs, obs_size), dtype),
            "terminated": np.empty((128, num_envs), bool),
            "truncated": np.empty((128, num_envs), bool),
            "mask": np.empty((128, num_envs), bool),
            "episode": np.empty((128, num_envs), np.int64),
            "time": np.empty((128, num_envs), np.int64),
        }
        self.in_order = list(self.columns.values())

    def add(self, *values: Array) -> None:
        if self.size == len(self.in_order[0]):
            self.columns = {name: np.concatenate([c, np.empty_like(c)]) for name, c in self.columns.items()}
            self.in_order = list(self.columns.values())
        for column, value in zip(self.in_order, values, strict=True):
            column[self.size] = value
        self.size += 1

    def rollout(self, num_episodes: int, time_limit: int | None, dtype: str) -> Rollout:
        columns = {name: column[: self.size] for name, column in self.columns.items()}
        real = np.nonzero(columns["mask"])
        episode, time = columns["episode"][real], columns["time"][real]
        rows, steps = power_of_two(num_episodes), bucket(int(time.max()) + 1, time_limit)

        def placed(name: str, kind: Any) -> Array:
            column = columns[name]
            block = np.zeros((rows, steps, *column.shape[2:]), kind)
            block[episode, time] = column[real]
            return block

        mask = np.zeros((rows, steps), dtype)
        mask[episode, time] = 1
        return Rollout(
            obs=placed("obs", dtype),
            action=placed("action", np.int32),
            log_prob=placed("log_prob", dtype),
            reward=placed("reward", dtype),
            next_obs=placed("next_obs", dtype),
            terminated=placed("terminated", bool),
            truncated=placed("truncated", bool),
            mask=mask,
        )


def _check(environment: Any, obs: Array, reward: Array | None, real: Array, time: Array) -> None:
    """Nothing that is not finite goes further: which environment, at which step, of which seed."""
    # A sum is finite only if all its terms are, and costs less than a look at each of them.
    if np.isfinite(obs.sum()) and (reward is None or np.isfinite(reward.sum())):
        return
    for index in np.flatnonzero(real):
        where = f"{environment.task.id}, environment {index}, step {time[index] + 1} (seed {environment.seeds[index]})"
        if not np.isfinite(obs[index]).all():
            bad = obs[index][~np.isfinite(obs[index])][0]
            raise UserError(f"{where}: the observation has {bad}; an observation must be finite")
        if reward is not None and not np.isfinite(reward[index]):
            raise UserError(f"{where}: reward is {reward[index]}; a reward must be finite")
