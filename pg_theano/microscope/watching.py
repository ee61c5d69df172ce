"""A policy that plays whole episodes, and the score of every step of them: compiled where the task is, else stepped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.compiler import program as compiling
from pg_theano.compiler.building import around
from pg_theano.compiler.program import power_of_two
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.environments import making
from pg_theano.microscope.estimators import Episodes
from pg_theano.spec import Learning, Spec
from pg_theano.training import programs
from pg_theano.training.playing import episodes as playing
from pg_theano.training.playing import noise
from pg_theano.training.playing.compiled import chunk_of, drive, episodes_compiled
from pg_theano.types import EXPLORE, Array, Record, Rollout, State, UserError

TAKES = ("obs", "action", "reward", "mask", "next_obs", "terminated", "truncated")
MOST_NUMBERS = 2**22  # of the scores that one call gives
ROWS = 8192  # steps of one call, at most


def check(config: Config) -> None:
    """Errors: `UserError` for what is judged by no score."""
    if ALGORITHMS[config.algorithm.name].searches:
        by_gradient = ", ".join(name for name, record in ALGORITHMS.items() if not record.searches)
        raise UserError.of("algorithm.name", f"{config.algorithm.name} follows no gradient of log π", by_gradient)
    if config.exploration.name in ("epsilon_greedy", "epsilon_greedy_softmax"):
        got = f"{config.exploration.name} has no gradient of what it does"
        raise UserError.of("exploration.name", got, "softmax or epsilon_softmax")
    if config.policy.noise == "state_dependent":
        raise UserError.of("policy.noise", "state_dependent noise has no gradient of its own", "white or pink")
    if config.environment.api == "pettingzoo":
        raise UserError.of("environment.api", "several agents share a return", "one agent, of Gymnasium")


class Watched:
    """The policy of a config on its task. `rate` is ε, where the exploration has one."""

    def __init__(self, config: Config, spec: Spec, environment: making.Playable, folders: Sequence[Path], rate: float):
        if spec.acting.memory_size:
            raise UserError.of("policy.network", "a policy that remembers has no score of a single step", "one without")
        limit = environment.task.time_limit
        told = spec.learning
        learning = Learning(
            "scores", takes=TAKES, knobs=told.knobs, time_limit=told.time_limit, max_steps=told.max_steps
        )
        engine = spec.engine and dataclasses.replace(spec.engine, chunk=chunk_of(limit), step_by_step=False)
        self.config, self.spec, self.limit = config, Spec(spec.acting, learning, engine), limit
        self.environment, self.rate, self.dtype = environment, rate, np.dtype(spec.dtype)
        self.functions = compiling.functions(
            "scoring",
            self.spec,
            "scores",
            report=lambda what, seconds: None,
            around=around(self.spec, folders),
            backend=config.backend,
        )
        self.act: Any = None if engine else programs.acting_alone(config, spec, folders)
        self.num_params = spec.acting.num_params - spec.acting.num_value_params
        self.rows = max(64, min(ROWS, 1 << (MOST_NUMBERS // self.num_params).bit_length() - 1))

    def draw(self, rng: np.random.Generator, steps: int, rows: int) -> Array:
        """White noise: what a policy's probabilities say, without what ties one step to the next."""
        kind, size = self.spec.acting.noise_kind
        return noise.draw(rng, (steps, rows, size), kind=kind, color="white", dtype=self.spec.dtype)

    def play(self, state: State, number: int, seed: np.random.SeedSequence) -> Episodes:
        """`number` whole episodes."""
        episode_seeds, action_noise = (np.random.default_rng(child) for child in seed.spawn(2))
        drawn = {"num_episodes": number, "episode_seeds": episode_seeds, "action_noise": action_noise}
        how: dict[str, Any] = {**drawn, "draw": self.draw, "dtype": self.spec.dtype}
        if isinstance(self.environment, making.Compiled):
            facts, rate = self.functions.manifest["environment"], np.asarray(self.rate, self.dtype)
            sizes = {"E": power_of_two(number)}

            def rollout(values: dict[str, Any]) -> dict[str, Any]:
                return self.functions.call("rollout", sizes, self.acted(state), values | {"exploration_rate": rate})

            played = drive(episodes_compiled(facts, time_limit=self.limit, **how), rollout)
            return of_record(played.rollout, number, self.spec)
        knobs = {"exploration_rate": self.rate}
        played = playing.collect(self.environment, self.act, state, knobs, choice=EXPLORE, keep=TAKES, **how)
        return of_rollout(played.rollout, number)

    def acted(self, state: State) -> State:
        """The part of State that acting reads."""
        names = ["params", *(name for name in state if name in ("normalizer/mean", "normalizer/variance"))]
        return {name: np.asarray(state[name], self.dtype) for name in names}

    def scores(self, state: State, episodes: Episodes) -> Callable[[int, int], Array]:
        """∇log π of a range of the steps that happened, [N, P]."""
        acted, done = self.acted(state), _done(episodes)
        return lambda first, last: self._given("scores", acted, {name: one[first:last] for name, one in done.items()})

    def log_probs(self, state: State, episodes: Episodes) -> Array:
        """log π of each step, 0 where none happened. [E, T]"""
        found = np.zeros(episodes.mask.shape)
        found[episodes.mask > 0] = self._all("log_probs", state, _done(episodes))
        return found

    def values(self, state: State, episodes: Episodes) -> Array:
        """V of each step, and of what followed the last one unless it ended the task; 0 elsewhere. [E, T + 1]

        In units of the reward, where V was learned from rewards that were normalised.
        """
        obs = np.concatenate([episodes.obs[episodes.mask > 0], episodes.last_obs])
        found, number = self._all("values", state, {"obs": obs}).astype(float), len(episodes.last_obs)
        if "reward_normalizer/variance" in state:
            found *= np.sqrt(np.maximum(np.asarray(state["reward_normalizer/variance"], float).item(), 1e-36))
        return placed(found[:-number], found[-number:], episodes)

    def _all(self, function: str, state: State, rows: dict[str, Array]) -> Array:
        """What a function gives for each row, in calls of `self.rows`."""
        acted, parts = self.acted(state), []
        for first in range(0, len(rows["obs"]), self.rows):
            some = {name: one[first : first + self.rows] for name, one in rows.items()}
            parts.append(self._given(function, acted, some))
        return np.concatenate(parts)

    def _given(self, function: str, acted: State, rows: dict[str, Array]) -> Array:
        """The same of `self.rows` rows at most."""
        filled = {name: _filled(one, self.rows) for name, one in rows.items()}
        rate = {"exploration_rate": np.asarray(self.rate, self.dtype)} if "action" in rows else {}
        out = self.functions.call(function, {"E": self.rows}, acted, filled | rate)
        return np.asarray(out[function])[: len(rows["obs"])]


def _done(episodes: Episodes) -> dict[str, Array]:
    """What was seen and done in the steps that happened, [N, ...]."""
    real = episodes.mask > 0
    return {"obs": episodes.obs[real], "action": episodes.action[real]}


def placed(of_steps: Array, of_last: Array, episodes: Episodes) -> Array:
    """[E, T + 1] of the numbers of the steps [N], and of the last successors [E], which are 0 after a termination."""
    value = np.zeros((len(episodes.mask), episodes.mask.shape[1] + 1))
    value[:, :-1][episodes.mask > 0] = of_steps
    value[np.arange(len(value)), episodes.lengths] = np.where(episodes.terminated, 0.0, of_last)
    return value


def _filled(rows: Array, number: int) -> Array:
    """Rows of nothing follow, up to `number`."""
    return np.concatenate([rows, np.zeros((number - len(rows), *rows.shape[1:]), rows.dtype)])


# -- what was played


def of_rollout(rollout: Rollout, number: int) -> Episodes:
    """The first `number` rows of a rollout, as long as the longest."""
    mask = np.asarray(rollout.mask)[:number]
    steps = int(mask.sum(axis=1).max())
    last = mask.sum(axis=1).astype(int) - 1
    each = np.arange(number)
    return Episodes(
        np.asarray(rollout.obs)[:number, :steps],
        np.asarray(rollout.action)[:number, :steps],
        np.asarray(rollout.reward)[:number, :steps] * mask[:, :steps],
        np.asarray(rollout.next_obs)[each, last],
        np.asarray(rollout.terminated)[each, last] > 0,
        mask[:, :steps],
    )


def of_record(record: Record, number: int, spec: Spec) -> Episodes:
    """The same of a compiled environment's record [T, K, E]."""

    def field(name: str) -> Array:
        values = np.moveaxis(record.field(name), -1, 0)
        if name != "action":
            return values
        discrete = spec.acting.action.kind == "discrete"
        values = values.reshape(*values.shape[:2], *([] if discrete else [-1]))
        return values if spec.acting.action.kind == "box" else values.astype(np.int32)

    found = {name: field(name) for name in TAKES}
    return of_rollout(Rollout(**found, log_prob=None), number)
