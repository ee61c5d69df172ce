"""Playing whole episodes: `collect` gives one block of experience, episode-major."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Mapping
from typing import Any

import numpy as np

from pg_theano.compiler.padding import bucket, power_of_two
from pg_theano.environments.singles import LARGEST_REWARD, wrong_reward
from pg_theano.types import EXPLORE, Array, Knobs, Played, Program, Record, Rollout, State, UserError

LONGEST_EPISODE = 2**17
"""Where an environment without a time limit is stopped, in steps."""


NOISE_BLOCK = 64
"""Steps whose noise is drawn at once. Each update has a generator of its own, so what is left over is never missed."""


@np.errstate(over="ignore", invalid="ignore")  # parameters that explode stop the run, once they reach the loss
def collect(
    environment: Any,
    act: Callable[..., tuple[Array, Array]],
    state: State,
    knobs: Knobs,
    *,
    num_episodes: int,
    draw: Callable[..., Array],
    episode_seeds: np.random.Generator | Array,
    action_noise: np.random.Generator,
    dtype: str,
    choice: int = EXPLORE,
    keep: Collection[str] = Rollout._fields,
    with_lost: bool = False,
) -> Played:
    """Play `num_episodes` episodes from reset to end; environment i plays episodes i, i + N, i + 2N, ...

    None is dropped and none is begun that will not be finished: taking the first to end would favour short ones. An
    environment that has no episode left idles; its rows have mask 0. In the rollout E is `num_episodes` rounded up to a
    power of two, and T comes from the ladder. `keep` names its fields that are wanted, `reward` among them; without any
    there is no rollout. `draw(action_noise, steps, N)` gives noise [steps, N, U]; `episode_seeds` draws a seed for
    each episode, or is them.

    An episode that a fault has ended (`environment.on_fault`) has mask 0 and is not counted; `with_lost`, its return is
    NaN and its length 0.
    """
    num_envs, kind = environment.num_envs, np.dtype(dtype)
    seeds = episode_seeds
    if isinstance(seeds, np.random.Generator):
        seeds = seeds.integers(0, 2**31 - 1, size=num_episodes)
    limit = environment.task.time_limit or LONGEST_EPISODE
    records = _Records(keep, num_envs, environment.task, kind) if keep else None
    returns, lengths = np.zeros(num_episodes), np.zeros(num_episodes, np.int64)
    lost: list[int] = []
    cut = 0  # episodes that were truncated

    episode = np.arange(num_envs)  # which episode each environment plays
    time = np.zeros(num_envs, np.int64)  # and at which step of it
    total = np.zeros(num_envs)  # and the rewards so far
    playing = episode < num_episodes
    if not playing.all():
        environment.park(~playing)
    obs = environment.begin(playing, seeds[np.minimum(episode, num_episodes - 1)], all_over=True)
    check_finite(environment, obs, None, playing, time - 1)
    left, steps = num_episodes, 0
    while left:
        if steps % NOISE_BLOCK == 0:  # one call of the generator costs as much as a thousand numbers
            noise = draw(action_noise, NOISE_BLOCK, num_envs)
        action, log_prob = act(state, obs, noise[steps % NOISE_BLOCK], knobs, choice)
        next_obs, reward, terminated, truncated, real = environment.step(action)
        mask = playing if real is None else playing & real
        check_finite(environment, next_obs, reward, mask, time)
        ended = (terminated | truncated) & mask
        if records is not None:
            records.add(obs, action, log_prob, reward, next_obs, terminated, truncated, mask, ended)
        time += mask
        if records is None:
            total += reward * mask
        for index in environment.lost:
            lost.append(int(episode[index]))
            if records is not None:
                records.forget(index, int(time[index]))
        obs = next_obs
        steps += 1
        over = ended.nonzero()[0]
        if over.size:  # few of many: by index, which costs less than by mask
            left -= over.size
            cut += int(np.count_nonzero(truncated[over]))
            finished = episode[over]
            returns[finished], lengths[finished] = total[over], time[over]
            time[over], total[over] = 0, 0.0
            following = finished + num_envs
            episode[over] = following
            another = following < num_episodes
            if not another.all():
                idle = np.zeros(num_envs, bool)
                idle[over[~another]] = True
                playing = playing & ~idle
                environment.park(idle)
                ended = ended & playing
            fresh = environment.begin(ended, seeds[np.minimum(episode, num_episodes - 1)]) if another.any() else None
            if fresh is not None:
                obs = fresh
                check_finite(environment, obs, None, ended, time - 1)
        elif steps >= limit and time.max() >= limit:
            raise UserError(
                f"{environment.task.id}, environment {int(time.argmax())}: an episode has not ended after {limit} "
                "steps; expected an end; try environment.max_episode_steps=1000"
            )
    if len(lost) == num_episodes:
        raise UserError(f"{environment.task.id}: a fault has ended each of {num_episodes} episodes; nothing is left")
    rollout = None
    if records is not None:
        rollout = records.rollout(num_episodes, environment.task.time_limit)
        returns = rollout.reward.sum(axis=1, dtype=np.float64)[:num_episodes]
    if lost:
        returns[lost], lengths[lost] = np.nan, 0
        if not with_lost:
            kept = ~np.isnan(returns)
            returns, lengths = returns[kept], lengths[kept]
    return Played(rollout, returns, lengths, int(lengths.sum()), cut)


def chunk_of(time_limit: int | None) -> int:
    """Steps that a compiled environment plays in one call: a time limit in equal parts of at most 128."""
    if time_limit is None:
        return 128
    return -(-time_limit // -(-time_limit // 128))


def rungs(chunk: int, limit: int | None) -> list[int]:
    """The ladder of T of a record, in whole chunks: one, four, sixteen, ..., up to those that hold the time limit.

    Steeper than the ladder of Gymnasium: padding costs 0.2 ms an update here, and a further T 60 ms to load.
    """
    sizes, longest = [chunk], -(-(limit or LONGEST_EPISODE) // chunk) * chunk
    while sizes[-1] < longest:
        sizes.append(min(4 * sizes[-1], longest))
    return sizes


Playing = Generator[dict[str, Any], dict[str, Any], Played]
"""A compiled environment being played: yields what each call of `rollout` is given, is sent what came out of it, and
returns what was played. So whoever makes the calls may make those of several agents in one."""


def drive(playing: Playing, rollout: Callable[[dict[str, Any]], dict[str, Any]]) -> Played:
    """Play to the end, one call after the other."""
    values = next(playing)
    while True:
        out = rollout(values)
        try:
            values = playing.send(out)
        except StopIteration as end:
            return end.value


def collect_compiled(program: Program, state: State, knobs: Knobs, **options: Any) -> Played:
    """Play whole episodes on a compiled environment: `options` are those of `episodes_compiled`."""
    playing = episodes_compiled(program.manifest["environment"], **options)
    return drive(playing, lambda values: program.rollout(state, knobs, values))


def episodes_compiled(
    facts: dict[str, Any],
    *,
    num_episodes: int,
    time_limit: int | None,
    episode_seeds: np.random.Generator,
    action_noise: np.random.Generator,
    draw: Callable[..., Array],
    dtype: str,
) -> Playing:
    """Play `num_episodes` whole episodes on a compiled environment, side by side, in chunks until all have ended.

    `facts` is what a program's manifest says of the environment.
    """
    kind = np.dtype(dtype)
    rows, chunk = power_of_two(num_episodes), facts["chunk"]
    alive: Any = (np.arange(rows) < num_episodes).astype(kind)
    env_state: Any = np.zeros((facts["state_size"], rows), kind)
    initial_noise = episode_seeds.random((facts["num_initial_noise"], rows), kind)
    limit = time_limit or LONGEST_EPISODE
    parts: list[Any] = []
    while np.asarray(alive).any():
        elapsed = len(parts) * chunk
        if elapsed >= limit and time_limit is None:
            raise UserError(
                f"an episode has not ended after {limit} steps; expected an end; try environment.max_episode_steps=1000"
            )
        out = yield {
            "env_state": env_state,
            "alive": alive,
            "elapsed": np.asarray(elapsed, kind),
            "begins": np.asarray(not parts, kind),
            "initial_noise": initial_noise,
            "noise": np.ascontiguousarray(draw(action_noise, chunk, rows).swapaxes(1, 2)),
        }
        env_state, alive = out["env_state"], out["alive"]
        parts.append(out["record"])
    values = parts[0]
    if len(parts) > 1:
        steps = next(size for size in rungs(chunk, time_limit) if size >= len(parts) * chunk)
        values = np.zeros((steps, *parts[0].shape[1:]), kind)
        for number, part in enumerate(parts):
            values[number * chunk : (number + 1) * chunk] = np.asarray(part)
    record = Record(values, facts["columns"])
    first = facts["columns"]["reward"][0]
    sums = np.asarray(values)[:, first : first + 2].sum(axis=0, dtype=np.float64)  # reward, mask
    lengths = sums[1, :num_episodes].astype(np.int64)
    return Played(record, sums[0, :num_episodes], lengths, int(lengths.sum()))


class NothingOpen:
    """What a checkpoint holds of open episodes where an update plays whole ones: nothing."""

    replays = True

    def settle(self) -> None:
        return None

    def arrays(self, picture: None) -> dict[str, Array]:
        return {}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        pass


class _Records:
    """Rows of a block as they come, [step, environment], and then by episode."""

    def __init__(self, keep: Collection[str], num_envs: int, task: Any, kind: np.dtype):
        self.keep, self.kind, self.size = keep, kind, 0
        space, obs_size = task.action, task.obs_size
        shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
            "obs": (kind, (obs_size,)),
            "action": (kind if space.kind == "box" else np.int32, () if space.kind == "discrete" else (space.size,)),
            "log_prob": (kind, ()),
            "reward": (kind, ()),
            "next_obs": (kind, (obs_size,)),
            "terminated": (bool, ()),
            "truncated": (bool, ()),
            "mask": (bool, ()),
            "ended": (bool, ()),
        }
        wanted = {*keep, "mask", "ended"}
        self.columns = {
            name: np.empty((128, num_envs, *shape), dtype) for name, (dtype, shape) in shapes.items() if name in wanted
        }
        self.places = [(place, name) for place, name in enumerate(shapes) if name in wanted]

    def add(self, *values: Array) -> None:
        if self.size == len(self.columns["mask"]):
            self.columns = {name: np.concatenate([c, np.empty_like(c)]) for name, c in self.columns.items()}
        for place, name in self.places:
            self.columns[name][self.size] = values[place]
        self.size += 1

    def forget(self, index: int, steps: int) -> None:
        """The last steps of an environment: an episode that is none of this record's."""
        self.columns["mask"][self.size - steps : self.size, index] = False

    def rollout(self, num_episodes: int, time_limit: int | None) -> Rollout:
        columns = {name: column[: self.size] for name, column in self.columns.items()}
        mask, ended = columns["mask"], columns["ended"]
        # Where each real step belongs: the environment's k-th episode, and its steps since that began.
        number = np.cumsum(mask, axis=0)  # of real steps, this one included
        begun = np.zeros_like(number)
        begun[1:] = np.maximum.accumulate(np.where(ended, number, 0), axis=0)[:-1]
        order = np.zeros_like(number)
        order[1:] = np.cumsum(ended, axis=0)[:-1]
        episode = np.arange(mask.shape[1]) + mask.shape[1] * order
        time = number - begun - 1
        rows, steps = power_of_two(num_episodes), bucket(int(time.max()) + 1, time_limit)
        # Flat indices and `take`: half the time of pairs of them.
        real = np.flatnonzero(mask)
        place = (episode * steps + time).ravel().take(real)

        def placed(name: str) -> Array | None:
            if name not in self.keep:
                return None
            column = columns[name]
            block = np.zeros((rows * steps, *column.shape[2:]), self.kind if name == "mask" else column.dtype)
            block[place] = column.reshape(-1, *column.shape[2:]).take(real, axis=0)
            return block.reshape(rows, steps, *column.shape[2:])

        return Rollout(**{name: placed(name) for name in Rollout._fields})


def check_finite(environment: Any, obs: Array, reward: Array | None, real: Array, time: Array) -> None:
    """Nothing not finite goes further, nor an absurd reward: which environment, at which step, of which seed."""
    # A sum is finite only if all its terms are, and costs less than a look at each of them.
    if math.isfinite(np.add.reduce(obs, axis=None)) and (
        reward is None or np.add.reduce(np.abs(reward)) <= LARGEST_REWARD
    ):
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
    """No absurd reward of a compiled environment goes further, nor, where `everything` is looked at, what is not
    finite: of which column, at which step. `where` says what a column is: "CartPole-v1, update 3, episode"; `before`,
    how many steps it has in the records before this one."""
    first, values = record.columns["reward"][0], np.asarray(record.values)
    rewards = values[:, first]
    if not (rewards.max() <= LARGEST_REWARD and rewards.min() >= -LARGEST_REWARD):  # of NaN neither is
        step, column = np.argwhere(~(np.abs(rewards) <= LARGEST_REWARD))[0]
        raise UserError(f"{where} {column}, step {before + step + 1}: {wrong_reward(float(rewards[step, column]))}")
    if everything and not np.isfinite(values).all():
        step, _, column = np.argwhere(~np.isfinite(values))[0]
        raise UserError(f"{where} {column}, step {before + step + 1}: an observation is not finite; it must be")
