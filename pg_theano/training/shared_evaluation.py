"""Evaluations of several agents in one pass: their environments are rows of one vectorised class.

A step of such a class costs hardly more for sixteen hundred rows than for a hundred. Every agent's result is the one
that `evaluate.Evaluator` gives it alone: the same first states, actions from the same function, row by row. Where that
cannot be, nothing is played here, and each agent evaluates by itself.
"""

import contextlib
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import numpy as np

from pg_theano.compiler.program import power_of_two
from pg_theano.config import schedules
from pg_theano.environments import making
from pg_theano.policies import acting
from pg_theano.training import programs, seeding
from pg_theano.training.evaluating import figures_of
from pg_theano.training.loop import Trainer
from pg_theano.training.playing.episodes import NOISE_BLOCK
from pg_theano.types import GREEDY, Array, State, UserError

MOST_ROWS = 2048
"""Rows of one pass: beyond, they leave the cache and gain nothing."""


class Asked(NamedTuple):
    """One evaluation: of which run, on which seeds, how it acts, with which State."""

    trainer: Trainer
    purpose: int
    choice: int
    state: State


class Evaluator:
    """Plays the evaluations of several agents at once, in environments that it makes when they are first needed."""

    def __init__(self, first: Trainer):
        self.config, self.folders, self.spec = first.config, first.setting.folders, first.setting.spec
        self.in_numpy = programs.acts_in_numpy(self.config, self.spec)
        self.episodes = self.config.evaluation.episodes
        self.time_limit = first.setting.task.time_limit
        self.one: making.VectorClass | None = None  # environments of one agent, from which the first states come
        self.many: dict[int, making.VectorClass] = {}  # by number of agents
        self.trusted: bool | None = None if self.time_limit is not None else False

    def play(self, wanted: Iterable[tuple[Trainer, int, int, str]]) -> None:
        """Play what each trainer will ask for, and leave it: (trainer, purpose, choice, "newest" or "best" State).

        The first time, one agent's result is compared with what it gets alone; should they differ, because a class
        keeps more than we see of its rows, none is played here again.
        """
        asked = [
            Asked(trainer, purpose, choice, trainer.now.state if which == "newest" else trainer.now.best())
            for trainer, purpose, choice, which in wanted
            if (which == "newest" or trainer.now.counters.updates)
            and trainer.config.evaluation.episodes == self.episodes
        ]
        if len(asked) < 2 or self.trusted is False or (one := self._of_one()) is None:
            return
        a_pass = max(MOST_ROWS // self.episodes, 1)
        for start in range(0, len(asked), a_pass):
            self._pass(asked[start : start + a_pass], one)

    def _of_one(self) -> making.VectorClass | None:
        """The environments of one agent; None where they are no vectorised class."""
        if self.one is None:
            self.one = self._made(self.episodes)
            self.trusted = None if self.one else False
        return self.one

    def _made(self, rows: int) -> making.VectorClass | None:
        config = self.config
        made = making.make(
            config.environment,
            num_envs=1,
            dtype=config.dtype,
            folders=self.folders,
            whole=rows,
            squash=config.policy.squash,
        )
        if isinstance(made, making.VectorClass):
            return made
        made.close()
        return None

    def _pass(self, asked: list[Asked], single: making.VectorClass) -> None:
        began = time.perf_counter()
        try:
            returns = self._returns(asked, single)
        except UserError:  # somebody's fault: each finds out alone whether it is its own
            return
        if self.trusted is None:
            first = asked[0]
            with first.trainer.setting.parts.of("evaluate"):
                judge, now = first.trainer.judge, first.trainer.now
                alone = judge.evaluation(now, first.purpose, first.choice, first.state)
            self.trusted = alone == figures_of(returns[0])
        if not self.trusted:
            return
        for one, own in zip(asked, returns, strict=True):
            one.trainer.judge.beforehand[one.purpose, one.choice] = figures_of(own)
            one.trainer.setting.parts.seconds["evaluate"] += (time.perf_counter() - began) / len(asked)

    def _rows_of(self, agents: int) -> making.VectorClass:
        """The environments of so many agents, a power of two."""
        number = power_of_two(agents)
        if number not in self.many:
            self.many[number] = cast(making.VectorClass, self._made(number * self.episodes))
        return self.many[number]

    def _begun(
        self, asked: list[Asked], parts: list[slice], single: making.VectorClass, environment: making.VectorClass
    ) -> tuple[Array, list[np.random.Generator]]:
        """(first observations, the generator of each agent's action noise): each as its agent has them alone."""

        def begin(envs: making.VectorClass, seeds: Array) -> Array:
            return cast(Array, envs.begin(np.ones(envs.num_envs, bool), seeds, all_over=True))

        noises, obs = [], begin(environment, np.zeros(1, int)).copy()
        for one, rows in zip(asked, parts, strict=True):
            seed = seeding.child(one.trainer.config.seed, one.purpose, one.trainer.now.counters.updates)
            episode_seeds, action_noise = (np.random.default_rng(child) for child in seed.spawn(2))
            obs[rows] = begin(single, episode_seeds.integers(0, 2**31 - 1, size=self.episodes))
            _copy_rows(single.envs.unwrapped, environment.envs.unwrapped, self.episodes, rows)
            noises.append(action_noise)
        return obs, noises

    @np.errstate(over="ignore", invalid="ignore")
    def _returns(self, asked: list[Asked], single: making.VectorClass) -> Array:
        """The episode returns [A, episodes] of every evaluation."""
        environment = self._rows_of(len(asked))
        parts = [slice(a * self.episodes, (a + 1) * self.episodes) for a in range(len(asked))]
        everyone = slice(0, len(asked) * self.episodes)
        obs, noises = self._begun(asked, parts, single, environment)
        playing = np.zeros(environment.num_envs, bool)
        playing[everyone] = True
        totals, space = np.zeros(environment.num_envs), environment.task.action
        sizes = () if space.kind == "discrete" else (space.size,)
        action = np.zeros((environment.num_envs, *sizes), np.int32 if space.kind != "box" else self.config.dtype)
        knobs = [schedules.constant_knobs(one.trainer.config) | {"exploration_rate": 0.0} for one in asked]
        going, step, noise = list(range(len(asked))), 0, [np.zeros(0)] * len(asked)
        act = None  # of all agents at once: less is called for each, and nothing is drawn
        if self.in_numpy and all(one.choice == GREEDY for one in asked):
            act = acting.greedy_of_agents(self.spec.acting, [one.state for one in asked])
        while going:
            if act is not None:
                action[everyone] = act(obs[everyone].reshape(len(asked), self.episodes, -1))
            for a in going if act is None else ():
                if step % NOISE_BLOCK == 0:
                    noise[a] = asked[a].trainer.judge.evaluator.draw(noises[a], NOISE_BLOCK, self.episodes)
                one, rows, drawn = asked[a], parts[a], noise[a][step % NOISE_BLOCK]
                action[rows], _ = one.trainer.program.act(one.state, obs[rows], drawn, knobs[a], one.choice)
            obs, reward, terminated, truncated, _ = environment.step(action)
            totals += reward * playing
            over = (terminated | truncated) & playing
            if over.any():
                playing &= ~over
                going = [a for a in going if playing[parts[a]].any()]
            step += 1
            if self.time_limit is not None and step > self.time_limit:
                raise UserError("an episode has not ended at its time limit")
        if not np.isfinite(totals[everyone]).all():
            raise UserError("a return is not finite")
        return totals[everyone].reshape(len(asked), self.episodes)

    def close(self) -> None:
        for environment in filter(None, [self.one, *self.many.values()]):
            with contextlib.suppress(Exception):
                environment.close()


def _copy_rows(one: Any, many: Any, rows: int, where: slice) -> None:
    """Copy the rows of all arrays that a vectorised class keeps, from a small instance into a large one.

    The axis of environments is the one in which the two differ.
    """
    for name, value in vars(one).items():
        other = getattr(many, name, None)
        if not (isinstance(value, np.ndarray) and isinstance(other, np.ndarray) and value.ndim == other.ndim):
            continue
        axes = [axis for axis in range(value.ndim) if value.shape[axis] != other.shape[axis]]
        if len(axes) == 1 and value.shape[axes[0]] == rows:
            other = other.copy()  # what it has may be read-only, or somebody else's
            other[(slice(None),) * axes[0] + (where,)] = value
            setattr(many, name, other)
