"""Playing whole episodes: `collect` gives one block of experience, episode-major."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NotRequired, TypedDict, Unpack

import numpy as np

from pg_theano.compiler.program import bucket, power_of_two
from pg_theano.environments.place import among_environments
from pg_theano.environments.rows import dtype_in
from pg_theano.environments.sound import check_finite, check_length
from pg_theano.runs.checkpoints import AS_WRITTEN
from pg_theano.types import EXPLORE, OF_EVERY_POLICY, Array, Knobs, Played, Rollout, State, Steps, Task, UserError

NOISE_BLOCK = 64
"""Steps whose noise is drawn at once. Each update has a generator of its own, so unused steps are never missed."""


class Episodes(TypedDict):
    """What is played, and from which random numbers."""

    num_episodes: int
    draw: Callable[..., Array]  # (action_noise, steps, N) -> noise [steps, N, U]
    episode_seeds: np.random.Generator | Array  # draws a seed for each episode, or is them
    action_noise: np.random.Generator
    dtype: str
    choice: NotRequired[int]  # how `act` chooses; EXPLORE
    keep: NotRequired[Collection[str]]  # fields of the rollout, `reward` among them; none: no rollout. All of them
    progress: NotRequired[Callable[[int, int], None] | None]  # told how many of how many episodes have ended
    memory: NotRequired[Sequence[Array]]  # `acting.nothing_remembered` of N rows; nothing
    with_lost: NotRequired[bool]  # episodes that a fault ended have return NaN and length 0, and are not left out


@among_environments()
@np.errstate(over="ignore", invalid="ignore")  # parameters that explode stop the run, once they reach the loss
def collect(
    environment: Steps, act: Callable[..., Any], state: State, knobs: Knobs, **asked: Unpack[Episodes]
) -> Played:
    """Play `num_episodes` episodes from reset to end; environment i plays episodes i, i + N, i + 2N, ...

    None is dropped and none is begun that will not be finished: taking the first to end would favour short ones. An
    environment that has no episode left idles; its rows have mask 0. In the rollout E is `num_episodes` rounded up to a
    power of two, and T comes from the ladder. An episode that a fault has ended (`environment.on_fault`) has mask 0 and
    is not counted.
    """
    number, keep = asked["num_episodes"], asked.get("keep", OF_EVERY_POLICY)
    draw, action_noise, choice = asked["draw"], asked["action_noise"], asked.get("choice", EXPLORE)
    seeds, progress = asked["episode_seeds"], asked.get("progress")
    if isinstance(seeds, np.random.Generator):
        seeds = seeds.integers(0, 2**31 - 1, size=number)
    num_envs = environment.num_envs
    records = _Records(keep, num_envs, environment.task, np.dtype(asked["dtype"])) if keep else None
    turns, steps = _Turns(environment, number, seeds), 0
    memory = [one.copy() for one in asked.get("memory", ())]
    obs = turns.begin()
    while turns.left:
        if steps % NOISE_BLOCK == 0:  # one call of the generator costs as much as a thousand numbers
            noise = draw(action_noise, NOISE_BLOCK, num_envs)
        action, log_prob, *memory = act(state, obs, noise[steps % NOISE_BLOCK], knobs, choice, *memory)
        next_obs, reward, terminated, truncated, real = environment.step(action)
        mask = turns.playing if real is None else turns.playing & real
        check_finite(environment, next_obs, reward, mask, turns.time)
        ended = (terminated | truncated) & mask
        if records is not None:
            records.add(obs, action, log_prob, reward, next_obs, terminated, truncated, mask, ended)
        for one in memory:
            one[ended if real is None else ended | ~real] = 0
        turns.count(reward, mask, records)
        steps += 1
        obs, over = next_obs, ended.nonzero()[0]  # few of many: by index, which costs less than by mask
        if over.size:
            fresh = turns.follow(over, ended, truncated)
            obs = next_obs if fresh is None else fresh
        elif steps >= (environment.task.time_limit or 0):  # which costs less than a look at every episode
            check_length(environment, turns.time)
        if progress and (over.size or steps % NOISE_BLOCK == 0):
            progress(number - turns.left, number)
    return turns.played(records, with_lost=asked.get("with_lost", False))


class _Turns:
    """Which episode each environment plays, how far it is, and the figures of the episodes that have ended."""

    def __init__(self, environment: Steps, number: int, seeds: Array):
        num_envs = environment.num_envs
        self.environment, self.number, self.seeds = environment, number, seeds
        self.returns, self.lengths = np.zeros(number), np.zeros(number, np.int64)
        self.episode = np.arange(num_envs)  # of each environment
        self.time = np.zeros(num_envs, np.int64)  # its steps so far
        self.total = np.zeros(num_envs)  # its rewards so far, where there are no records to sum
        self.playing = self.episode < number
        self.left = number
        self.cut = 0  # episodes that were truncated
        self.lost: list[int] = []  # episodes that a fault has ended

    def begin(self) -> Array:
        """Begin the first episodes: observations [N, F]."""
        if not self.playing.all():
            self.environment.park(~self.playing)
        obs = self.environment.begin(self.playing, self._next_seeds(), all_over=True)
        assert obs is not None  # noqa: S101  at the start of a block they are always there
        check_finite(self.environment, obs, None, self.playing, self.time - 1)
        return obs

    def count(self, reward: Array, mask: Array, records: _Records | None) -> None:
        """Add a step to the episodes; note those that a fault ended in it."""
        self.time += mask
        if records is None:
            self.total += reward * mask
        for index in self.environment.lost:
            self.lost.append(int(self.episode[index]))
            if records is not None:
                records.forget(index, int(self.time[index]))

    def follow(self, over: Array, ended: Array, truncated: Array) -> Array | None:
        """Note the episodes that ended and begin those that follow: all observations, or None if they come later.

        `over` are the environments of `ended` [N], by their indices.
        """
        self.left -= over.size
        self.cut += int(np.count_nonzero(truncated[over]))
        finished = self.episode[over]
        self.returns[finished], self.lengths[finished] = self.total[over], self.time[over]
        self.time[over], self.total[over] = 0, 0.0
        following = finished + self.environment.num_envs
        self.episode[over] = following
        another = following < self.number
        if not another.all():
            idle = np.zeros(len(self.episode), bool)
            idle[over[~another]] = True
            self.playing = self.playing & ~idle
            self.environment.park(idle)
            ended = ended & self.playing
        if not another.any():
            return None
        fresh = self.environment.begin(ended, self._next_seeds())
        if fresh is not None:
            check_finite(self.environment, fresh, None, ended, self.time - 1)
        return fresh

    def played(self, records: _Records | None, *, with_lost: bool) -> Played:
        task, lost, returns, lengths = self.environment.task, self.lost, self.returns, self.lengths
        if len(lost) == self.number:
            raise UserError(f"{task.id}: a fault has ended each of {self.number} episodes; nothing is left")
        rollout = None
        if records is not None:
            rollout = records.rollout(self.number, task.time_limit)
            returns = rollout.reward.sum(axis=1, dtype=np.float64)[: self.number]
        if lost:
            returns[lost], lengths[lost] = np.nan, 0
            if not with_lost:
                kept = ~np.isnan(returns)
                returns, lengths = returns[kept], lengths[kept]
        return Played(rollout, returns, lengths, int(lengths.sum()), self.cut)

    def _next_seeds(self) -> Array:
        """Seeds [N]; an environment that has no episode left is given the last one, which it does not use."""
        return self.seeds[np.minimum(self.episode, self.number - 1)]


class NothingOpen:
    """What a checkpoint holds of open episodes where an update plays whole ones: nothing."""

    replays = True

    def settle(self) -> None:
        return None

    def arrays(self, picture: None) -> dict[str, Array]:
        return {}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        pass


def check_carried(arrays: Mapping[str, Array], expected: Mapping[str, tuple[tuple[int, ...], Any]]) -> None:
    """Errors: `UserError` for an array of open episodes that is missing, or of another shape or dtype than expected."""
    for name, (shape, kind) in expected.items():
        found = arrays.get(f"open/{name}")
        if found is None or found.shape != shape or found.dtype != kind:
            got = "nothing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise UserError(
                f"the checkpoint's open/{name}: got {got}; expected {np.dtype(kind)} {list(shape)}; {AS_WRITTEN}"
            )


class _Records:
    """Rows of a block as they come, [step, environment], and then by episode."""

    def __init__(self, keep: Collection[str], num_envs: int, task: Task, kind: np.dtype):
        self.keep, self.kind, self.size = keep, kind, 0
        space, obs_size = task.action, task.obs_size
        seen = dtype_in(task, kind)
        shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
            "obs": (seen, (obs_size,)),
            "action": (kind if space.kind == "box" else np.int32, () if space.kind == "discrete" else (space.size,)),
            "log_prob": (kind, ()),
            "reward": (kind, ()),
            "next_obs": (seen, (obs_size,)),
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
