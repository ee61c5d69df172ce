"""Stretches of a fixed number of steps, in which episodes stay open from one to the next.

segments = Segments(environment, dtype="float32")
played = segments.collect(act, state, knobs, noise=noise, episode_seeds=rng)      # noise [T, N, U]
picture = segments.settle()                                                       # after every update
saved = segments.arrays(picture)                                                  # into a checkpoint
Segments(other, dtype="float32").restore(saved)                                   # goes on, bit for bit
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from pg_theano.environments.place import among_environments
from pg_theano.environments.rows import dtype_in
from pg_theano.environments.sound import check_finite, check_length, surely_finite
from pg_theano.runs.checkpoints import AS_WRITTEN
from pg_theano.training.playing.block import Block
from pg_theano.training.playing.episodes import check_carried
from pg_theano.types import EXPLORE, OF_EVERY_POLICY, Array, Knobs, Played, State, Steps, UserError


class Replayed(Steps, Protocol):
    """Environments that begin episodes whenever they are asked, and may be able to play one again.

    given    (a policy's actions [N, ...]) -> the actions as the environments take them
    take     (these) -> next_obs [N, F], reward [N], terminated [N], truncated [N]
    replays  () -> whether the same seed and actions give the same episode
    stays_open  whether an episode goes on in the next stretch though it cannot be replayed
    player   who began the episodes that are open; whoever begins others is written here
    skipped  which rows [N] of the last step only reset, or waited, and were no step; None: none
    replay   (environment, seed, its actions) -> its observation [F], sum of rewards, steps until the episode ended
    follow   (seeds [N] or None) -> None; where it is there, which seeds `begin` will give to the episodes that the next
             step ends
    elapsed, replayed  of rows that are played together alone: see `environments/parallel.py`
    """

    stays_open: bool
    player: object

    @property
    def skipped(self) -> Array | None: ...
    @property
    def given(self) -> Callable[[Array], Array]: ...
    def take(self, given: Array) -> tuple[Array, Array, Array, Array]: ...
    def replays(self) -> bool: ...
    def replay(self, index: int, seed: int, given: Array) -> tuple[Array, float, int]: ...


class OtherEpisode(UserError):
    """An episode of a checkpoint, played again by its seed and actions, is not the same."""


class Open(NamedTuple):
    """The episodes that are open between two stretches. No array in it is written to."""

    seeds: tuple[int, ...]  # [N]; empty, as all the rest, if no episode is open
    lengths: Array  # [N] steps so far, of the environment
    returns: Array  # [N] rewards so far
    obs: Array  # [N, F] as last seen
    blocks: tuple[Array, ...]  # actions as the environments took them, each [T, N, ...]; the last block ends now
    memory: Array | None = None  # [N, M] of a policy that remembers


class Segments:
    """Stretches of T steps of N environments, each going on where the last one stopped.

    After an episode ends, the next begins at once. Its seed comes from an array that is drawn as the stretch begins:
    seed [t+1, e] if environment e begins it after step t, row 0 if it begins with the stretch. So no draw depends on
    when episodes end. An open episode is kept as its seed and its actions, and is replayed when a run is resumed. If
    the environment cannot replay, every stretch begins fresh episodes, and none stays open.
    """

    def __init__(
        self,
        environment: Replayed,
        *,
        dtype: str,
        keep: Collection[str] = OF_EVERY_POLICY,
        memory: Sequence[Array] = (),
        sequences: int = 1,
    ):
        """`memory` is `acting.nothing_remembered` of N rows; a stretch is learned from as so many `sequences`."""
        self.environment, self.keep, self.kind = environment, keep, np.dtype(dtype)
        self._memory = [*memory]  # after the last step
        self.sequences = sequences
        self.replays: bool | None = None  # whether the environment can; None before the first stretch
        self._everyone = np.ones(environment.num_envs, bool)
        # Of the open episodes, as in `Open`. Replaced, never written to: `settle` hands them out.
        self._obs: Array | None = None
        self._lengths = self._elapsed = np.zeros(environment.num_envs, np.int64)
        self._returns = np.zeros(environment.num_envs)
        self._blocks: tuple[Array, ...] = ()
        self._kept = 0  # steps in the blocks

    @among_environments()
    @np.errstate(over="ignore", invalid="ignore")  # parameters that explode stop the run, once they reach the loss
    def collect(
        self,
        act: Callable[..., tuple[Array, Array]],
        state: State,
        knobs: Knobs,
        *,
        noise: Array,
        episode_seeds: np.random.Generator,
        choice: int = EXPLORE,
    ) -> Played:
        """Play T steps of every environment, one row of `noise` [T, N, U] a step.

        `next_obs` is the true successor, seen before any reset; after an end, the next `obs` is the first of the
        episode that follows. `action` is what the policy chose, before it was clipped or scaled for the environment.
        Errors: `UserError` for a fault of an environment, and for an episode that does not end.
        """
        environment, (steps, num_envs) = self.environment, noise.shape[:2]
        seeds = episode_seeds.integers(0, 2**31 - 1, size=(steps + 1, num_envs))
        first, taken = self._first(seeds[0])
        block = Block(steps, first, environment.task, self.kind)
        block.dropped += [*range(num_envs)] if taken else []
        obs, action, log_prob, reward = block.obs, block.action, block.log_prob, block.reward
        terminated, truncated = block.terminated, block.truncated
        memory, length = [one.copy() for one in self._memory], steps // self.sequences
        begun, total = -self._lengths, self._returns.copy()
        with_log_prob, kept = "log_prob" in self.keep, list[Array]()
        later = getattr(act, "later", None) if with_log_prob else None
        follow = getattr(environment, "follow", None)
        if later:
            act = later[0]
        for step in range(steps):
            if memory and step % length == 0:
                block.memory.append(memory[0].copy())
            chosen, chosen_log_prob, *memory = act(state, obs[step], noise[step], knobs, choice, *memory)
            action[step] = chosen
            own = environment.given(action[step])
            if step == 0:
                given = np.empty((steps, *own.shape), own.dtype)
            given[step] = own  # a copy: an environment may write over what it is given
            if follow:
                follow(seeds[step + 1] if self.stays or step + 1 < steps else None)
            seen, reward_now, terminated_now, truncated_now = environment.take(own)
            if not surely_finite(seen):
                check_finite(environment, seen, None, self._everyone, step - begun)
            if later:
                kept.append(chosen_log_prob)
            elif with_log_prob:
                log_prob[step] = chosen_log_prob
            reward[step], terminated[step], truncated[step] = reward_now, terminated_now, truncated_now
            total += reward_now
            if environment.skipped is not None:
                block.skip(step, environment.skipped, begun)
                for one in memory:
                    one[environment.skipped] = 0
            ended = terminated_now | truncated_now
            over = ended.nonzero()[0]
            if over.size:
                block.end(step, over, seen, begun, total, environment.lost)
                for one in memory:
                    one[over] = 0
                if self.stays or step + 1 < steps:
                    fresh = environment.begin(ended, seeds[step + 1])  # None: the next step brings them
                    seen = seen if fresh is None else fresh
                    check_finite(environment, seen, None, ended, step - begun)
            obs[step + 1][:] = seen
        if later:
            log_prob[:] = later[1](state, np.array(kept), action, knobs)
        if not self.stays:  # what is dropped after this stretch is cut off, and V stands for the rest
            truncated[-1] |= ~terminated[-1]
        self._obs, self._lengths, self._returns, self._memory = obs[-1].copy(), steps - begun, total, memory
        self._elapsed = getattr(environment, "elapsed", self._lengths)
        self._remember(given)
        check_length(environment, self._lengths)
        return block.played(self.keep)

    @property
    def stays(self) -> bool:
        """Whether episodes stay open from one stretch to the next."""
        return bool(self.replays) or self.environment.stays_open

    def _first(self, seeds: Array) -> tuple[Array, bool]:
        """(the observations [N, F] that a stretch begins with, whether somebody else has ended the open episodes)."""
        environment = self.environment
        if self.replays is None:
            self.replays = environment.replays()
        taken = self._obs is not None and environment.player is not self
        if self._obs is None or not self.stays or taken:
            self._obs = environment.begin(self._everyone, seeds, all_over=True)
            assert self._obs is not None  # noqa: S101  at the start of a block they are always there
            environment.player = self
            self._lengths, self._returns = np.zeros(len(seeds), np.int64), np.zeros(len(seeds))
            self._blocks, self._kept = (), 0
            self._memory = [np.zeros_like(one) for one in self._memory]
            check_finite(environment, self._obs, None, self._everyone, self._lengths - 1)
        return self._obs, taken

    def _remember(self, given: Array) -> None:
        """Keep the blocks of actions that open episodes need; drop the older ones."""
        if not self.replays:
            return
        blocks, oldest = (*self._blocks, given), int(self._elapsed.max())
        self._kept += len(given)
        stale = 0
        while stale < len(blocks) and self._kept - len(blocks[stale]) >= oldest:
            self._kept -= len(blocks[stale])
            stale += 1
        self._blocks = blocks[stale:]

    def settle(self) -> Open:
        """The episodes that are open now; later stretches do not change the answer. Quick, however long they are."""
        if self._obs is None or not self.replays:
            return Open((), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, self.environment.task.obs_size)), ())
        episodes = tuple(self.environment.seeds), self._elapsed, self._returns, self._obs, self._blocks
        return Open(*episodes, *self._memory)

    def arrays(self, open: Open) -> dict[str, Array]:
        """The arrays that a checkpoint keeps: seeds, lengths, returns and observations so far [N], and the actions.

        First the actions of environment 0's episode, then of environment 1's, and so on: [Σ lengths, ...].
        """
        blocks = np.concatenate(open.blocks) if open.blocks else np.zeros((0, len(open.seeds)))
        own = [blocks[len(blocks) - length :, index] for index, length in enumerate(open.lengths)]
        return {
            "open/seed": np.array(open.seeds, np.int64),
            "open/length": open.lengths,
            "open/return": open.returns,
            "open/obs": open.obs,
            "open/actions": np.concatenate(own) if own else np.zeros(0),
            **({} if open.memory is None else {"open/memory": open.memory}),
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Open the episodes of a checkpoint again: each from its seed, by the same actions.

        Errors: `OtherEpisode` where the last observation or the sum of rewards is not the saved one, bit for bit: then
        none is open, and the next stretch begins fresh ones.
        """
        task, num_envs = self.environment.task, self.environment.num_envs
        count = arrays["open/seed"].size if "open/seed" in arrays else num_envs
        if not count and self.environment.stays_open:
            raise OtherEpisode(f"{task.id}: episodes of {self.environment.kind} cannot be played again")
        if not count:
            return
        if count != num_envs:
            raise UserError(f"environment.num_envs: got {num_envs}; the checkpoint has {count} open episodes")
        seen = dtype_in(task, self.kind)
        if seen == np.uint8 and "open/obs" in arrays:  # of before pixels stayed bytes
            arrays = {**arrays, "open/obs": arrays["open/obs"].astype(seen)}
        kinds = {"seed": np.int64, "length": np.int64, "return": np.float64}
        carried: dict[str, Any] = {name: ((count,), kind) for name, kind in kinds.items()}
        carried["obs"] = (count, task.obs_size), seen
        if self._memory:
            carried["memory"] = self._memory[0].shape, self._memory[0].dtype
        check_carried(arrays, carried)
        seeds, lengths = arrays["open/seed"], arrays["open/length"]
        actions = arrays.get("open/actions", np.zeros(()))
        if lengths.min() < 0 or seeds.min() < 0 or actions.ndim == 0 or len(actions) != lengths.sum():
            raise UserError(
                f"the checkpoint's open episodes have {lengths.sum()} steps and other actions; {AS_WRITTEN}"
            )
        ends = np.cumsum(lengths)
        obs, returns = np.empty((num_envs, task.obs_size), seen), np.empty(num_envs)
        own = [actions[end - length : end].copy() for end, length in zip(ends, lengths, strict=True)]
        together = getattr(self.environment, "replayed", lambda seeds, own: None)(seeds, own)
        for index, (seed, given) in enumerate(zip(seeds, own, strict=True)):
            found = together[index] if together else self.environment.replay(index, int(seed), given.copy())
            obs[index], returns[index], steps = found
            expected = arrays["open/obs"][index], arrays["open/return"][index]
            if steps < len(given):
                what = f"the episode is over, that of the checkpoint was open after {len(given)} steps"
            elif obs[index].tobytes() != expected[0].tobytes():
                what = "the observation is not that of the checkpoint"
            elif returns[index].tobytes() != expected[1].tobytes():
                what = "the sum of rewards is not that of the checkpoint"
            else:
                continue
            raise OtherEpisode(
                f"{task.id}, environment {index}, step {steps} (seed {seed}): does not replay: {what}, after the same "
                "seed and actions"
            )
        block = np.zeros((int(lengths.max()), num_envs, *own[0].shape[1:]), own[0].dtype)
        for index, given in enumerate(own):
            block[len(block) - len(given) :, index] = given
        self.replays, self._obs, self._returns, self.environment.player = True, obs, returns, self
        self._lengths = self._elapsed = lengths.astype(np.int64)  # of one that waits, 0 from the next step on
        self._memory = [arrays["open/memory"].copy() for _ in self._memory]
        self._blocks, self._kept = (block,), len(block)
