"""Environments of several agents, by PettingZoo's parallel API: one policy acts for all, and every agent is a row.

    environment: {api: pettingzoo, id: "mpe2.simple_spread_v3:parallel_env", num_envs: 8}

    environments = Parallel(config.environment, [parallel_env() for _ in range(8)], "float32", squash=False)
    obs = environments.begin(np.ones(24, bool), seeds)           # [N, F], 8 environments of 3 agents: N = 24

Row e·A + a is agent a of environment e. An agent whose episode has ended before the others' waits for them: its steps
are not real. Once the last one's has ended, all begin anew, with the seed of the first row.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pg_theano.config import knobs
from pg_theano.environments import masks
from pg_theano.environments.joint import Joint
from pg_theano.environments.singles import STEPS_TRIED, Slots
from pg_theano.environments.slot import Slot
from pg_theano.environments.telling import close_quietly
from pg_theano.types import Array


class Parallel(Slots):
    """Environments of several agents side by side: `num_envs` rows, one for each agent of each.

    `waiting` [N] are the rows of agents that are gone until their environment begins anew; `elapsed` [N] the steps of
    the row's environment since it did.
    """

    def __init__(self, config: knobs.Environment, envs: Sequence[Any], dtype: str, squash: bool):
        self.joints = [Joint(env, config, index, dtype) for index, env in enumerate(envs)]
        super().__init__(config, [seat for joint in self.joints for seat in joint.seats], dtype, squash)
        self.agents = self.joints[0].agents
        size = len(self.agents)
        self._of = [slice(index * size, (index + 1) * size) for index in range(len(envs))]  # rows of each environment
        self.kind = f"{len(envs)} of {size} agents each"
        self.waiting = np.ones(self.num_envs, bool)
        self._left_out = np.zeros(self.num_envs, bool)  # rows that nobody asks for
        self._asked = np.zeros(self.num_envs, np.int64)  # seeds of the next episodes

    @property
    def elapsed(self) -> Array:
        return np.repeat([joint.steps for joint in self.joints], len(self.agents))

    def begin(self, which: Array, seeds: Array, *, all_over: bool = False) -> Array:
        """Begin the environments of the rows `which` [N] whose agents are all gone; with `all_over` each of them."""
        self._asked = seeds  # also of agents that wait: no seed depends on when they left
        self._left_out = self._left_out & ~which
        if all_over:
            self.waiting[:] = True
        self._begin_where_over(which)
        return self._obs

    def _begin_where_over(self, which: Array) -> Array:
        """Which rows have begun [N]."""
        begun, obs = np.zeros(self.num_envs, bool), self._obs.copy()
        for joint, rows in zip(self.joints, self._of, strict=True):
            if which[rows].any() and self.waiting[rows].all():
                obs[rows] = self._finite(
                    self._observation.convert(np.array(joint.reset(int(self._asked[rows.start])))), joint.seats
                )
                begun[rows] = True
        self.waiting &= ~begun
        self._obs = obs
        return begun

    def park(self, which: Array) -> None:
        """Leave these rows out. Their agents act on as long as one of the others is asked for."""
        self._left_out = self._left_out | which

    def step(self, action: Array) -> tuple[Array, Array, Array, Array, Array | None]:
        """An environment whose last agents were left out as they ended, and others were not, begins by this step."""
        begun = self._begin_where_over(~self._left_out)
        real = ~(self.waiting | self._left_out | begun)
        return *self.take(self.given(action), begun), real

    def take(self, given: Array, begun: Array | None = None) -> tuple[Array, Array, Array, Array]:
        """The same for actions that `given` has converted; the rows `begun` [N] have just been, and take no step."""
        stepped = ~self.waiting
        for rows in self._of:
            if self._left_out[rows].all() or (begun is not None and begun[rows.start]):
                stepped[rows] = False
        results: list[Any] = []
        for joint, rows in zip(self.joints, self._of, strict=True):
            there = np.flatnonzero(stepped[rows])
            if there.size:
                results += joint.step([joint.seats[place] for place in there], given[rows][there])
        if not results:
            nothing = np.zeros(self.num_envs, bool)
            return self._obs, np.zeros(self.num_envs), nothing, nothing
        self.real, self._playing = stepped, [self.slots[row] for row in np.flatnonzero(stepped)]
        seen, reward, terminated, truncated = self._together(results) or self._one_by_one(results)
        obs = self._finite(self._observation.convert(seen), self._playing)
        if not stepped.all():
            obs, reward = self._spread(obs, self._obs), self._spread(reward, np.zeros(self.num_envs))
            nothing = np.zeros(self.num_envs, bool)
            terminated, truncated = self._spread(terminated, nothing), self._spread(truncated, nothing)
        self._obs = obs
        self.skipped = None if stepped.all() else ~stepped
        self.waiting |= terminated | truncated
        for joint, rows in zip(self.joints, self._of, strict=True):
            if stepped[rows].any():
                joint.check_agents([a for a, gone in zip(self.agents, self.waiting[rows], strict=True) if not gone])
        return obs, reward, terminated, truncated

    def _finite(self, obs: Array, seats: Sequence[Slot]) -> Array:
        if math.isfinite(np.add.reduce(obs, axis=None)) or np.isfinite(obs).all():
            return obs
        row = int(np.flatnonzero(~np.isfinite(obs).all(axis=1))[0])
        bad = obs[row][~np.isfinite(obs[row])][0]
        raise seats[row].fault(
            f"the observation has {bad}; an observation must be finite; expected numbers; try check_env"
        )

    def replayed(self, seeds: Sequence[int], own: Sequence[Array]) -> list[tuple[Array, float, int]]:
        """Begin every environment by its seed and take the same actions again, [L, ...] of each row.

        (observation [F], rewards so far of the open episode, steps until the environment was over or the actions were)
        """
        lengths, total, steps = np.array([len(one) for one in own]), np.zeros(self.num_envs), np.zeros(len(own), int)
        block = np.zeros((int(lengths.max()), self.num_envs, *own[0].shape[1:]), own[0].dtype)
        for row, one in enumerate(own):
            block[: len(one), row] = one
        self.begin(np.ones(self.num_envs, bool), np.array(seeds), all_over=True)
        for time, given in enumerate(block):
            self._left_out = lengths <= time
            before = self.elapsed
            _, reward, terminated, truncated = self.take(given)
            total = np.where(terminated | truncated, 0.0, total + reward)
            steps += self.elapsed > before
        self._left_out = np.zeros(self.num_envs, bool)
        return [*zip(self._obs, total.tolist(), steps.tolist(), strict=True)]

    def replays(self) -> bool:
        """Whether the same seeds and actions give the same steps to all agents of the first environment."""
        if not self._look:
            return True
        space = copy.deepcopy(self.slots[0].action_space)
        space.seed(seed=0)
        actions = [np.array([space.sample() for _ in self.slots]) for _ in range(STEPS_TRIED)]
        first = np.arange(self.num_envs) < len(self.agents)

        def told() -> list[bytes]:
            story, over = [], True
            for seed, action in enumerate(actions):
                if over:
                    self.begin(first, np.full(self.num_envs, seed), all_over=True)
                    story.append(self._obs.tobytes())
                allowed = [masks.within(space, slot.mask(), one) for slot, one in zip(self.slots, action, strict=True)]
                story += [part[first].tobytes() for part in self.take(np.array(allowed))]
                over = bool(self.waiting[first].all())
            return story

        return told() == told()

    def close(self) -> None:
        for joint in self.joints:
            close_quietly(joint.env, f"{joint.id}, environment {joint.index}")
