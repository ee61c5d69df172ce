"""Stretches of a fixed number of steps, in which episodes stay open from one to the next.

segments = Segments(environment, dtype="float32")
played = segments.collect(act, state, knobs, noise=noise, episode_seeds=rng)      # noise [T, N, U]
picture = segments.settle()                                                       # after every update
saved = segments.arrays(picture)                                                  # into a checkpoint
Segments(other, dtype="float32").restore(saved)                                   # goes on, bit for bit
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from pg_theano.runs.checkpoints import AS_WRITTEN
from pg_theano.training.playing.episodes import LONGEST_EPISODE, Playing, check_finite, drive
from pg_theano.types import EXPLORE, Array, Knobs, Played, Program, Record, Rollout, State, UserError


class Open(NamedTuple):
    """The episodes that are open between two stretches. Nothing in it is ever written to."""

    seeds: tuple[int, ...]  # [N]; nothing else is there where nothing is open
    lengths: Array  # [N] steps so far
    returns: Array  # [N] rewards so far
    obs: Array  # [N, F] as last seen
    blocks: tuple[Array, ...]  # what the environments were given, each [T, N, ...]; the last ends now


class Segments:
    """Stretches of T steps of N environments, each going on where the last one stopped.

    An episode that ends is followed by another at once. The one that environment e begins after step t of a stretch has
    the seed [t+1, e] of an array that is drawn as the stretch begins, so that no draw depends on when episodes end;
    row 0 is of episodes that begin with the stretch. An open episode is kept as its seed and its actions and is
    replayed when a run is resumed. Where the environment does not replay, every stretch begins fresh episodes, and
    nothing is open between two.
    """

    def __init__(self, environment: Any, *, dtype: str, keep: Collection[str] = Rollout._fields):
        self.environment, self.keep, self.kind = environment, keep, np.dtype(dtype)
        self.replays: bool | None = None  # whether the environment does; None before the first stretch
        self._everyone = np.ones(environment.num_envs, bool)
        # Of the open episodes, as in `Open`. Replaced, never written to: `settle` gives them away.
        self._obs: Array | None = None
        self._lengths = np.zeros(environment.num_envs, np.int64)
        self._returns = np.zeros(environment.num_envs)
        self._blocks: tuple[Array, ...] = ()
        self._kept = 0  # steps in the blocks

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
        episode that follows. `action` is what the policy chose, not what the environment made of it. Errors:
        `UserError` for what an environment does wrong, and an episode that does not end though nothing limits it.
        """
        environment, (steps, num_envs) = self.environment, noise.shape[:2]
        seeds = episode_seeds.integers(0, 2**31 - 1, size=(steps + 1, num_envs))
        if self.replays is None:
            self.replays = environment.replays()
        if self._obs is None or not self.replays:
            self._obs = environment.begin(self._everyone, seeds[0], all_over=True)
            self._lengths, self._returns = np.zeros(num_envs, np.int64), np.zeros(num_envs)
            check_finite(environment, self._obs, None, self._everyone, self._lengths - 1)

        # All of it new each time: whoever learns from it may read it later than this returns.
        space = environment.task.action
        obs = np.empty((steps + 1, *self._obs.shape), self.kind)
        sizes, whole = () if space.kind == "discrete" else (space.size,), space.kind != "box"
        action = np.empty((steps, num_envs, *sizes), np.int32 if whole else self.kind)
        log_prob, reward = np.zeros((2, steps, num_envs), self.kind)
        terminated, truncated = np.empty((2, steps, num_envs), bool)
        mask = np.ones((steps, num_envs), self.kind)
        with_log_prob = "log_prob" in self.keep
        given, successors = [], []
        returns, lengths = [np.zeros(0)], [np.zeros(0, np.int64)]

        cut, dropped = 0, []
        obs[0], begun, total = self._obs, -self._lengths, self._returns.copy()
        for step in range(steps):
            chosen, chosen_log_prob = act(state, obs[step], noise[step], knobs, choice)
            action[step] = chosen
            own = environment.given(action[step])
            given.append(own.copy())  # an environment may write over what it is given
            seen, reward_now, terminated_now, truncated_now = environment.take(own)
            if not math.isfinite(np.add.reduce(seen, axis=None)):
                check_finite(environment, seen, None, self._everyone, step - begun)
            if with_log_prob:
                log_prob[step] = chosen_log_prob
            reward[step], terminated[step], truncated[step] = reward_now, terminated_now, truncated_now
            total += reward_now
            ended = terminated_now | truncated_now
            over = ended.nonzero()[0]
            if over.size:
                successors.append((step, over, seen[over]))
                counted = over
                if lost := environment.lost:  # a fault has ended an episode: nothing is learned from it
                    counted = np.setdiff1d(over, lost)
                    for index in lost:
                        dropped += [index] if begun[index] < 0 else []
                        mask[max(begun[index], 0) : step + 1, index] = 0
                cut += int(np.count_nonzero(truncated_now[counted]))
                returns.append(total[counted])
                lengths.append(step + 1 - begun[counted])
                total[over], begun[over] = 0.0, step + 1
                if self.replays or step + 1 < steps:
                    seen = environment.begin(ended, seeds[step + 1])
                    check_finite(environment, seen, None, ended, step - begun)
            obs[step + 1] = seen

        if not self.replays:  # what is dropped after this stretch is cut off, and V stands for the rest
            truncated[-1] |= ~terminated[-1]
        self._obs, self._lengths, self._returns = obs[-1].copy(), steps - begun, total
        self._remember(np.array(given))
        self._check_lengths()

        fields = {"obs": obs[:-1], "action": action, "log_prob": log_prob, "reward": reward}
        fields |= {"terminated": terminated, "truncated": truncated, "mask": mask}
        if "next_obs" in self.keep:
            following = obs[1:].copy()
            for step, over, last in successors:
                following[step, over] = last
            fields["next_obs"] = following
        wanted = {name: np.ascontiguousarray(fields[name].swapaxes(0, 1)) for name in self.keep}
        rollout = Rollout(**{name: wanted.get(name) for name in Rollout._fields})
        return Played(rollout, np.concatenate(returns), np.concatenate(lengths), int(mask.sum()), cut, dropped)

    def _remember(self, given: Array) -> None:
        """Keep the blocks that open episodes reach back into; drop what is older than the oldest."""
        if not self.replays:
            return
        blocks, oldest = (*self._blocks, given), int(self._lengths.max())
        self._kept += len(given)
        stale = 0
        while stale < len(blocks) and self._kept - len(blocks[stale]) >= oldest:
            self._kept -= len(blocks[stale])
            stale += 1
        self._blocks = blocks[stale:]

    def _check_lengths(self) -> None:
        task = self.environment.task
        limit = task.time_limit or LONGEST_EPISODE
        if self._lengths.max() >= limit:
            raise UserError(
                f"{task.id}, environment {int(self._lengths.argmax())}: an episode has not ended after {limit} "
                "steps; expected an end; try environment.max_episode_steps=1000"
            )

    def settle(self) -> Open:
        """What is open now; later stretches do not change it. Costs nothing that grows with an episode's length."""
        if self._obs is None or not self.replays:
            return Open((), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, self.environment.task.obs_size)), ())
        return Open(tuple(self.environment.seeds), self._lengths, self._returns, self._obs, self._blocks)

    def arrays(self, open: Open) -> dict[str, Array]:
        """What a checkpoint keeps of it: seeds, lengths, rewards and observations so far [N], and the actions.

        Actions are those of environment 0's episode, then environment 1's, ...: [Σ lengths, ...].
        """
        blocks = np.concatenate(open.blocks) if open.blocks else np.zeros((0, len(open.seeds)))
        own = [blocks[len(blocks) - length :, index] for index, length in enumerate(open.lengths)]
        return {
            "open/seed": np.array(open.seeds, np.int64),
            "open/length": open.lengths,
            "open/return": open.returns,
            "open/obs": open.obs,
            "open/actions": np.concatenate(own) if own else np.zeros(0),
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Open the episodes of a checkpoint again: each from its seed, by the same actions.

        Errors: `UserError` where the last observation or the sum of rewards is not the saved one, bit for bit.
        """
        task, num_envs = self.environment.task, self.environment.num_envs
        count = arrays["open/seed"].size if "open/seed" in arrays else num_envs
        if not count:
            return
        if count != num_envs:
            raise UserError(f"environment.num_envs: got {num_envs}; the checkpoint has {count} open episodes")
        kinds = {"seed": np.int64, "length": np.int64, "return": np.float64, "obs": self.kind}
        check_carried(
            arrays,
            {name: ((count,) if name != "obs" else (count, task.obs_size), kind) for name, kind in kinds.items()},
        )
        seeds, lengths = arrays["open/seed"], arrays["open/length"]
        actions = arrays.get("open/actions", np.zeros(()))
        if lengths.min() < 0 or seeds.min() < 0 or actions.ndim == 0 or len(actions) != lengths.sum():
            raise UserError(
                f"the checkpoint's open episodes have {lengths.sum()} steps and other actions; {AS_WRITTEN}"
            )
        ends = np.cumsum(lengths)
        obs, returns = np.empty((num_envs, task.obs_size), self.kind), np.empty(num_envs)
        own = [actions[end - length : end].copy() for end, length in zip(ends, lengths, strict=True)]
        for index, (seed, given) in enumerate(zip(seeds, own, strict=True)):
            obs[index], returns[index], steps = self.environment.replay(index, int(seed), given.copy())
            expected = arrays["open/obs"][index], arrays["open/return"][index]
            if steps < len(given):
                what = f"the episode is over, that of the checkpoint was open after {len(given)} steps"
            elif obs[index].tobytes() != expected[0].tobytes():
                what = "the observation is not that of the checkpoint"
            elif returns[index].tobytes() != expected[1].tobytes():
                what = "the sum of rewards is not that of the checkpoint"
            else:
                continue
            raise UserError(
                f"{task.id}, environment {index}, step {steps} (seed {seed}): does not replay: {what}, after the same "
                "seed and actions. Resume with the versions and the machine it was made on, or begin a new run"
            )
        block = np.zeros((int(lengths.max()), num_envs, *own[0].shape[1:]), own[0].dtype)
        for index, given in enumerate(own):
            block[len(block) - len(given) :, index] = given
        self.replays, self._obs, self._lengths, self._returns = True, obs, lengths.astype(np.int64), returns
        self._blocks, self._kept = (block,), len(block)


class CompiledOpen(NamedTuple):
    """The same of a compiled environment: its state says all that is open. Nothing in it is ever written to."""

    env_state: Any  # [S, N]
    lengths: Any  # [N]
    returns: Array  # [N]
    begins: Array  # [N] 1 where an episode is still to begin


def check_carried(arrays: Mapping[str, Array], expected: Mapping[str, tuple[tuple[int, ...], Any]]) -> None:
    """Errors: `UserError` for an array of open episodes of another shape or kind of number, or none."""
    for name, (shape, kind) in expected.items():
        found = arrays.get(f"open/{name}")
        if found is None or found.shape != shape or found.dtype != kind:
            got = "nothing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise UserError(
                f"the checkpoint's open/{name}: got {got}; expected {np.dtype(kind)} {list(shape)}; {AS_WRITTEN}"
            )


class CompiledSegments:
    """Stretches of T steps of N environments on a compiled environment, in one call each."""

    replays = True

    def __init__(self, program: Program, *, num_envs: int, num_steps: int, dtype: str):
        self.program, self.num_envs, self.num_steps, self.kind = program, num_envs, num_steps, np.dtype(dtype)
        facts = program.manifest["environment"]
        self.columns, self._num_noise = facts["columns"], facts["num_initial_noise"]
        self._open = CompiledOpen(
            np.zeros((facts["state_size"], num_envs), self.kind),
            np.zeros(num_envs, self.kind),
            np.zeros(num_envs),
            np.ones(num_envs, self.kind),
        )

    def collect(self, state: State, knobs: Knobs, *, noise: Array, episode_seeds: np.random.Generator) -> Played:
        """Play T steps of every environment with the noise [T, N, U]; the episodes begun have their own noise."""
        playing = self.playing(noise=noise, episode_seeds=episode_seeds)
        return drive(playing, lambda values: self.program.rollout(state, knobs, values))

    def playing(self, *, noise: Array, episode_seeds: np.random.Generator) -> Playing:
        """The same, for whoever makes the call."""
        opened = self._open
        fresh = episode_seeds.random((self.num_steps + 1, self._num_noise, self.num_envs), self.kind)
        out = yield {
            "env_state": opened.env_state,
            "elapsed": opened.lengths,
            "begins": opened.begins,
            "initial_noise": fresh,
            "noise": np.ascontiguousarray(noise.swapaxes(1, 2)),
        }
        record = Record(out["record"], self.columns)
        returns, lengths, open_returns = self._ended(record, opened)
        begins = np.zeros_like(opened.begins)
        self._open = CompiledOpen(out["env_state"], out["elapsed"], open_returns, begins)
        return Played(record, returns, lengths, self.num_steps * self.num_envs)

    def _ended(self, record: Record, opened: CompiledOpen) -> tuple[Array, Array, Array]:
        """(returns [M], lengths [M]) of the episodes that ended, and the returns [N] of those still open."""
        values = np.asarray(record.values)
        rows = {name: self.columns[name][0] for name in ("reward", "terminated", "truncated")}
        sums = np.cumsum(values[:, rows["reward"]], axis=0, dtype=np.float64)  # [T, N]
        step, env = np.nonzero(values[:, rows["terminated"]] + values[:, rows["truncated"]])
        order = np.lexsort((step, env))  # each environment's ends after one another
        step, env = step[order], env[order]
        first = np.concatenate([[True], env[1:] != env[:-1]]) if len(env) else np.zeros(0, bool)
        before = np.concatenate([[0], step[:-1]]) if len(env) else step
        earlier = np.where(first, -opened.returns[env], sums[before, env])
        begun = np.where(first, -np.asarray(opened.lengths)[env] - 1, before)
        returns, lengths = sums[step, env] - earlier, (step - begun).astype(np.int64)
        last = np.concatenate([first[1:], [True]]) if len(env) else first
        rest = sums[-1] + opened.returns
        rest[env[last]] = sums[-1, env[last]] - sums[step[last], env[last]]
        by_time = np.lexsort((env, step))
        return returns[by_time], lengths[by_time], rest

    def settle(self) -> CompiledOpen:
        """What is open now; later stretches do not change it."""
        return self._open

    def arrays(self, picture: CompiledOpen) -> dict[str, Array]:
        """What a checkpoint keeps of it."""
        return {f"open/{name}": np.asarray(value) for name, value in picture._asdict().items()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on where a checkpoint was. Errors: `UserError` where it has another number of environments."""
        count = arrays["open/returns"].size if "open/returns" in arrays else self.num_envs
        if count != self.num_envs:
            raise UserError(f"environment.num_envs: got {self.num_envs}; the checkpoint has {count} open episodes")
        fresh = self._open._asdict()
        check_carried(arrays, {name: (value.shape, value.dtype) for name, value in fresh.items()})
        self._open = CompiledOpen(**{name: arrays[f"open/{name}"] for name in fresh})
