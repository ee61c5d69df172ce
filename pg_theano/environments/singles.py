"""Single environments side by side in this process, each begun by a seed of its own."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from pg_theano.config import knobs
from pg_theano.environments import masks, telling
from pg_theano.environments.place import PASSED, PLACE
from pg_theano.environments.rows import Flat, observation_of
from pg_theano.environments.slot import Slot
from pg_theano.environments.spaces import action_of
from pg_theano.environments.telling import LARGEST_REWARD
from pg_theano.types import Array, Task, UserError

STEPS_TRIED = 16  # twice, to see whether an environment replays
FLAGS = frozenset((bool, np.bool_, int, np.int64))  # of `terminated` and `truncated`; any other is looked at by itself


class Slots:
    """Single environments side by side, each begun by a seed of its own; none resets by itself.

    Not Gymnasium's `SyncVectorEnv`: to check sixteen results at once costs less than what that does with them.
    """

    limit_holds = False  # a wrapper may make several episodes one
    stays_open = False  # where nothing replays, every stretch begins fresh episodes
    skipped: Array | None = None  # which rows of a step only reset: none

    def __init__(self, config: knobs.Environment, envs: Sequence[gymnasium.Env], dtype: str, squash: bool):
        self.slots = [env if isinstance(env, Slot) else Slot(env, config.id, i, dtype) for i, env in enumerate(envs)]
        self.num_envs, self.kind, self._look = len(envs), "single environments", config.look
        self.config, self.dtype, self.squash = config, dtype, squash
        first = self.slots[0]
        for slot in self.slots:
            if slot.spaces() != first.spaces():
                raise UserError.at(config.id, f"the spaces of environment {slot.index} are not those of environment 0")
        limits: list[Any] = [config.max_episode_steps, first.spec and first.spec.max_episode_steps]
        limits += [first.get_wrapper_attr("_max_episode_steps")] if first.has_wrapper_attr("_max_episode_steps") else []
        time_limit = next(filter(None, limits), None)
        threshold = first.spec.reward_threshold if first.spec else None
        self._action = action_of(first.action_space, config.id, squash)
        original = first.env.env if isinstance(first.env, Flat) else first.env  # as the environment itself gives it
        spaces = masks.described(original, config)
        self._observation = observation_of(first.observation_space, config.id, dtype, masks.places(spaces))
        self.given = self._action.given  # a policy's actions [N, ...] to what the environments take
        self.task = Task(config.id, self._observation.size, self._action.space, time_limit, threshold, spaces)
        # Of anything but a box only the space itself can say whether an observation belongs to it.
        self._shape = first.observation_space.shape if first._is_box else None
        self._only_numbers = first._is_box and spaces is not None and "observe" not in spaces["observation"]
        self._only_numbers &= self._observation.dtype != np.uint8
        self._kinds = "u" if self._observation.dtype == np.uint8 else "fiub"  # of numbers that need no closer look
        self._obs = np.zeros((self.num_envs, self.task.obs_size), self._observation.dtype)  # replaced, never written to
        self.real = np.ones(self.num_envs, bool)
        self.lost: Sequence[int] = ()  # environments whose episode a fault has ended: none, as a fault ends the run
        self.player: object = None  # who began the episodes that are open
        self._parked, self._playing = False, self.slots
        self._taken: tuple[list[Slot], list[Any]] = [], []  # who was stepped last, and what they returned

    @property
    def seeds(self) -> list[int]:
        """The seed of each environment's episode."""
        return [slot.seed for slot in self.slots]

    def begin(self, which: Array, seeds: Array, *, all_over: bool = False) -> Array:
        """Reset the environments of `which` [N], each with its seed; returns all observations [N, F]."""
        if self._parked:
            self.play(self.real | which)
        over = which.nonzero()[0]
        fresh = [self.slots[index].reset(seed=int(seeds[index]))[0] for index in over]
        obs = self._obs.copy()
        if fresh:
            obs[over] = self._observation.convert(np.array(fresh))
        self._obs = obs
        return obs

    def park(self, which: Array) -> None:
        """Leave the environments of `which` [N] out: a step of theirs costs nothing and is not real."""
        self.play(self.real & ~which)

    def play(self, real: Array) -> None:
        """Step the environments of `real` [N] alone."""
        self.real, self._parked = real, not real.all()
        self._playing = [self.slots[index] for index in np.flatnonzero(real)]

    def step(self, action: Array) -> tuple[Array, Array, Array, Array, Array | None]:
        """(next_obs [N, F], reward [N], terminated [N], truncated [N], real [N]): the true successors."""
        return *self.take(self.given(action)), self.real

    def take(self, given: Array) -> tuple[Array, Array, Array, Array]:
        """The same for actions that `given` has converted to what the environments take, one a row."""
        results, place = [], PLACE
        slot = self.slots[0]
        place.calls += 1
        try:
            for slot, own in zip(self._playing, given[self.real] if self._parked else given, strict=True):
                slot.steps += 1
                place.now = slot, own
                results.append(slot.env.step(own))
        except PASSED:
            raise
        except BaseException as error:
            if slot.steps > 1:  # what it said last: the results of the step before
                slot.info = next((told[4] for one, told in zip(*self._taken, strict=True) if one is slot), None)
            raise slot.raised(error, own) from error
        finally:
            place.now = None
        self._taken = self._playing, results
        seen, reward, terminated, truncated = self._together(results) or self._one_by_one(results)
        obs = self._rows(seen)
        if self._parked:
            obs, reward = self._spread(obs, self._obs), self._spread(reward, np.zeros(self.num_envs))
            terminated, truncated = (
                self._spread(flags, np.zeros(self.num_envs, bool)) for flags in (terminated, truncated)
            )
        self._obs = obs
        return obs, reward, terminated, truncated

    def _rows(self, seen: Array) -> Array:
        """Checked observations as rows [N, F], of their own. A number too large for them becomes an infinity."""
        if not self._only_numbers:
            return self._observation.convert(seen)
        return seen.astype(self._observation.dtype).reshape(len(seen), self._observation.size)

    def _spread(self, rows: Array, parked: Array) -> Array:
        """Put the rows of the environments that play among the `parked` rows of all."""
        every = parked.copy()
        every[self.real] = rows
        return every

    def _together(self, results: list[Any]) -> tuple[Array, Array, Array, Array] | None:
        """Four columns of results that are certainly sound; None if each must be checked by itself."""
        try:
            seen, reward, terminated, truncated, _ = zip(*results, strict=True)
            obs, rewards = np.array(seen), np.fromiter(reward, np.float64, len(results))
            ends = [np.fromiter(flags, bool, len(results)) for flags in (terminated, truncated)]
            bounded = math.fsum(map(abs, reward)) <= LARGEST_REWARD  # which takes no text for a number, as NumPy does
        except (TypeError, ValueError, OverflowError):
            return None
        if self._shape is None or obs.shape[1:] != self._shape or obs.dtype.kind not in self._kinds:
            return None
        if not (bounded and FLAGS.issuperset(map(type, terminated)) and FLAGS.issuperset(map(type, truncated))):
            return None
        return obs, rewards, ends[0], ends[1]

    def _one_by_one(self, results: list[Any]) -> tuple[Array, Array, Array, Array]:
        sound = [slot.sound(result) for slot, result in zip(self._playing, results, strict=True)]
        seen, reward, terminated, truncated = zip(*sound, strict=True)
        return np.array(seen), np.array(reward), np.array(terminated), np.array(truncated)

    def replay(self, index: int, seed: int, given: Array) -> tuple[Array, float, int]:
        """Begin an environment's episode by its seed and take the same actions again, [L, ...] as `given` made them.

        (observation [F], sum of rewards, steps until the episode ended or the actions did)
        """
        slot, total = self.slots[index], 0.0
        seen = slot.reset(seed=seed)[0]
        for own in given:
            seen, reward, terminated, truncated, _ = slot.step(own)
            total += reward
            if terminated or truncated:
                break
        self._obs = self._obs.copy()
        self._obs[index] = self._observation.convert(np.array(seen)[None])[0]
        return self._obs[index], total, slot.steps

    def replays(self) -> bool:
        """Whether the same seeds and the same actions give the same steps, bit for bit, a second time; it is taken for
        granted where `environment.look` is false."""
        if not self._look:
            return True
        slot = self.slots[0]
        space = copy.deepcopy(slot.action_space)  # the environment's own generator is none of our business
        space.seed(0)
        actions = [space.sample() for _ in range(STEPS_TRIED)]

        def told() -> list[bytes]:
            story, seed, over = [], 0, True
            for action in actions:
                if over:
                    story.append(np.asarray(slot.reset(seed=seed)[0]).tobytes())
                    seed += 1
                allowed = masks.within(space, slot.mask(), action)
                obs, reward, terminated, truncated, _ = slot.step(copy.copy(allowed))
                over = terminated or truncated
                story.append(np.asarray(obs).tobytes() + np.array([reward, terminated, truncated], float).tobytes())
            return story

        return told() == told()

    def close(self) -> None:
        for slot in self.slots:
            telling.close_quietly(slot, f"{slot.id}, environment {slot.index}")
