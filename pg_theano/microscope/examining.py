"""The microscope: a config's first policy, or those of a run, each with the true gradient and every estimator of it."""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano import parameters
from pg_theano.config import reading, schedules, user_code
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.environments import making
from pg_theano.microscope import estimators as weighing
from pg_theano.microscope import gathering, judging, watching
from pg_theano.microscope.estimators import Episodes, Estimator, Known
from pg_theano.runs import checkpoints, folder, recorded
from pg_theano.spec import Spec
from pg_theano.training import seeding, specs
from pg_theano.types import Array, State, UserError

LARGEST, FEWEST_BLOCKS = 1024, 16
FITTED = 256  # episodes that the baseline is fitted to, and that are played to say how long it takes
PRECISE = 0.02  # half of the interval of every cosine
MICROSCOPE = 100  # of a seed sequence: no purpose of a run has this number


class Asked(NamedTuple):
    """What one asks of the microscope."""

    episodes: int | None = None  # at most, at each point; None: 32,768 where the task is compiled, else 2,048
    precision: float = PRECISE
    seed: int | None = None  # of the first policy and of the episodes; None: the config's
    discount: float | None = None  # γ of J; None: the config's


AS_USUAL = Asked()


class Point(NamedTuple):
    """One policy that was looked at."""

    name: str
    update: int
    episodes: int
    steps: int
    mean_return: float
    seconds: float
    verdicts: list[judging.Verdict]
    precise: bool  # whether every cosine is known as well as was asked for


class Report(NamedTuple):
    """What the microscope saw."""

    of: str
    config: Config
    discount: float
    estimators: list[Estimator]
    sizes: list[int]
    at: int  # which of the sizes is nearest to what the run learns from
    own: str  # the estimator that the run learns by, of these
    critic: bool  # V is the run's own; else it was fitted
    points: list[Point]


class Subject(NamedTuple):
    """What is looked at: a policy's spec on a task, and its States."""

    of: str
    config: Config
    spec: Spec
    environment: Any
    folders: list[Path]
    states: list[tuple[str, int, State]]


def examine(
    what: str | os.PathLike[str] | Config | Mapping[str, Any] | None = None,
    *,
    overrides: Sequence[str] = (),
    asked: Asked = AS_USUAL,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Look at a run folder's policies, or at the first policy of a config: see `Report`.

    J is the expected discounted return of a whole episode, from its reset to its end or its time limit. Errors:
    `UserError`: no run, a config that cannot be, a policy without a score.
    """
    subject = subject_of(what, [*overrides, *([] if asked.seed is None or is_run(what) else [f"seed={asked.seed}"])])
    config = subject.config
    try:
        watched = watching.Watched(config, subject.spec, subject.environment, subject.folders, rate_of(config))
        critic = ALGORITHMS[config.algorithm.name].learns_values
        gae_lambda = config.algorithm.gae_lambda if critic else 0.95
        small = subject.spec.acting.num_params - subject.spec.acting.num_value_params <= gathering.MOST_NATURAL
        every = [one for one in weighing.every(gae_lambda) if small or not one.natural]
        discount = config.algorithm.discount if asked.discount is None else asked.discount
        most = asked.episodes or (32_768 if subject.spec.engine else 2048)
        sizes = sizes_of(most)
        batch = schedules.episodes_at(config, 0)
        at = int(np.argmin([abs(np.log(n / batch)) for n in sizes]))
        points = []
        for index, (name, update, state) in enumerate(subject.states):
            seed = np.random.SeedSequence(
                config.seed if asked.seed is None else asked.seed, spawn_key=(MICROSCOPE, index)
            )
            look = Look(watched, state, every, sizes, at, (config.algorithm.discount, discount), critic, gae_lambda)
            blocks = look.blocks(seed, most, functools.partial(_say, say, name))
            points.append(look.point(name, update, blocks, asked.precision))
        return Report(subject.of, config, discount, every, sizes, at, own_of(config, every), critic, points)
    finally:
        subject.environment.close()


def _say(say: Callable[[str], None], name: str, line: str) -> None:
    say(f"{name}: {line}")


def sizes_of(most: int) -> list[int]:
    """1, 4, 16, ... up to what leaves enough blocks. Errors: `UserError` for too few episodes."""
    largest = min(LARGEST, most // FEWEST_BLOCKS)
    if largest < 1:
        raise UserError.at("--episodes", f"got {most}", f"at least {FEWEST_BLOCKS}", "--episodes 2048")
    return [4**k for k in range(6) if 4**k <= largest]


def rate_of(config: Config) -> float:
    """ε, where the exploration has one."""
    return schedules.knobs_at(config, 0)["exploration_rate"] if config.exploration.name != "softmax" else 0.0


def own_of(config: Config, every: Sequence[Estimator]) -> str:
    """The estimator that a run of this config learns by; "" where it is none of these."""
    algorithm, record = config.algorithm, ALGORITHMS[config.algorithm.name]
    if record.reads("algorithm.signal"):
        plain, to_go = algorithm.baseline == "none", algorithm.signal == "reward_to_go"
        wanted: str = algorithm.signal if plain else algorithm.baseline if to_go else ""
    elif record.reads("algorithm.advantage") and algorithm.advantage not in ("gae", None):
        kinds = {"td": "gae, λ = 0", "monte_carlo": "gae, λ = 1" if algorithm.baseline == "value" else "reward_to_go"}
        wanted = kinds.get(algorithm.advantage, f"n_step, n = {algorithm.bootstrap_steps}")
    else:
        clips, natural = record.reads("algorithm.clip_range"), record.reads("algorithm.damping")
        wanted = "standardised" if clips else "natural" if natural else f"gae, λ = {algorithm.gae_lambda:g}"
    return next((one.name for one in every if wanted and one.is_of(wanted)), "")


# -- what is looked at


def subject_of(what: Any, overrides: Sequence[str]) -> Subject:
    """A run folder, or a config."""
    if is_run(what):
        if overrides:
            raise UserError.at(what, f"got {overrides[0]} beside a run", "a run folder alone", "its config instead")
        return _of_run(Path(what))
    config, home, *_ = reading.resolved(what, overrides)
    user_code.check(config, [home], user_code.to_stderr)
    watching.check(config)
    environment = made(config, [home])
    spec = specs.spec_of(config, environment.task, environment, [home])
    name = "the defaults" if what is None else str(what) if isinstance(what, str | os.PathLike) else "a config"
    return Subject(name, config, spec, environment, [home], [("start", 0, first(config, spec))])


def is_run(what: Any) -> bool:
    return isinstance(what, str | os.PathLike) and Path(what).is_dir()


def _of_run(path: Path) -> Subject:
    config, facts = folder.read_run(path)
    watching.check(config)
    spec = recorded.spec_in(facts, path / "run.json")
    user_code.check_run(config, facts)
    folders = [Path(facts["folder"])]
    states: list[tuple[str, int, State]] = [("start", 0, first(config, spec))]
    found = {}
    for kind in ("best", "update"):
        for one in sorted((path / "checkpoints").glob(f"{kind}-*.npz")):
            checkpoint = checkpoints.load(one)
            recorded.fits(spec, checkpoint.state, checkpoint.path)
            found[checkpoint.facts["counters"]["updates"]] = (kind, checkpoint.state)
    if not found:
        checkpoints.newest(path / "checkpoints")  # which says that there is none
    last = max(found, default=0)
    for update, (_, state) in sorted(found.items()):
        states.append(("end" if update == last else f"update {update:,}", update, state))
    return Subject(str(path), config, spec, made(config, folders), folders, states)


def made(config: Config, folders: Sequence[Path]) -> Any:
    """The environments: compiled, or Gymnasium's own, whole episodes side by side."""
    knobs = config.environment
    engine = making.engine_of(knobs, dtype=config.dtype, backend=config.backend, folders=folders)
    return engine or making.make(
        knobs, num_envs=knobs.num_envs, dtype=config.dtype, folders=folders, squash=config.policy.squash
    )


def first(config: Config, spec: Spec) -> State:
    """The State that a run of this config begins with, as far as acting and V read it."""
    rng = seeding.generator(config.seed, seeding.INITIAL_WEIGHTS)
    state: State = {"params": parameters.initial(rng, spec.acting.layout, spec.dtype)}
    if spec.acting.normalize_observations:
        size = spec.acting.num_features
        state |= {"normalizer/mean": np.zeros(size, spec.dtype), "normalizer/variance": np.ones(size, spec.dtype)}
    return state


# -- one look


class Played(NamedTuple):
    """A block of episodes, and what is told of them."""

    block: judging.Block
    steps: int
    mean_return: float


class Look(NamedTuple):
    """A policy under the microscope."""

    watched: watching.Watched
    state: State
    estimators: list[Estimator]
    sizes: list[int]
    at: int  # which of them bias and variance are told of
    discounts: tuple[float, float]  # γ of the estimators, γ of J
    critic: bool
    gae_lambda: float

    def blocks(self, seed: np.random.SeedSequence, most: int, say: Callable[[str], None]) -> Iterator[Played]:
        """One block of episodes after the other, `most` episodes at most."""
        others, size = self.watched.play(self.state, FITTED, seed.spawn(1)[0]), self.sizes[-1]
        fitted, fisher = [Fitted.to(others, one) for one in self.discounts], self.fisher(others)
        began = time.perf_counter()
        for number in range(most // size):
            played = self.watched.play(self.state, size, seed.spawn(1)[0])
            block = self.block(played, fitted, fisher)
            yield Played(block, int(played.lengths.sum()), float(played.reward.sum(axis=1).mean()))
            if number < 2:  # the first has compiled too
                each, began = time.perf_counter() - began, time.perf_counter()
            if number == 1:
                say(f"at most {most:,} episodes, which take about {max(1.0, each * most / size):,.0f} s")

    def point(self, name: str, update: int, found: Iterator[Played], precision: float) -> Point:
        """Look at more blocks until every cosine is known as well as asked for, or there are no more."""
        began, played, verdicts = time.perf_counter(), [], []
        rng, precise, wanted = np.random.default_rng(update), False, FEWEST_BLOCKS
        while not precise and (more := list(itertools.islice(found, wanted))):
            played += more
            wanted = len(played)
            verdicts = judging.verdicts([one.block for one in played], self.sizes, self.at, rng)
            precise = all(one.half <= precision for each in verdicts for one in each.cosines)
        steps, mean = sum(one.steps for one in played), float(np.mean([one.mean_return for one in played]))
        seconds, episodes = time.perf_counter() - began, len(played) * self.sizes[-1]
        return Point(name, update, episodes, steps, mean, seconds, verdicts, precise)

    def fisher(self, others: Episodes) -> Array | None:
        """Of the policy, from other episodes; None where it is too large."""
        scores = gathering.Scores(self.watched.scores(self.state, others), self.watched.rows, self.watched.num_params)
        none = np.ones((0, int(others.mask.sum())), others.reward.dtype)
        found = gathering.contracted(scores, none, others.lengths, True)
        return None if found.fisher is None else found.fisher.sum(axis=0)

    def block(self, played: Episodes, fitted: Sequence[Fitted], fisher: Array | None) -> judging.Block:
        """What is kept of some episodes. `fitted`: to the signals with each of the two discounts."""
        own, of_j = (one.of(played) for one in fitted)
        value = self.watched.values(self.state, played) if self.critic else own
        known = Known(*self.discounts, of_j[:, :-1], own[:, :-1], value, fitted[0].means, self.gae_lambda)
        scores = gathering.Scores(self.watched.scores(self.state, played), self.watched.rows, self.watched.num_params)
        return gathering.block(self.estimators, played, known, self.sizes, scores, fisher)


class Fitted(NamedTuple):
    """What was learned from other episodes."""

    weights: Array  # of `weighing.features`
    means: dict[str, float]  # of each signal

    @classmethod
    def to(cls, others: Episodes, discount: float) -> Fitted:
        signals = {name: signal(others, discount) for name, signal in weighing.SIGNALS.items()}
        means = {name: float(one.sum() / others.mask.sum()) for name, one in signals.items()}
        return cls(weighing.fit(signals["reward_to_go"], others.obs, others.mask), means)

    def of(self, episodes: Episodes) -> Array:
        """b(s_t, t) of each step, and of the last one's successor unless it ended the task. [E, T + 1]"""
        lengths = episodes.lengths
        seen = np.zeros((len(lengths), episodes.mask.shape[1] + 1, episodes.obs.shape[2]))
        seen[:, :-1] = episodes.obs
        seen[np.arange(len(lengths)), lengths] = episodes.last_obs
        value = weighing.features(seen) @ self.weights
        return watching.placed(value[:, :-1][episodes.mask > 0], value[np.arange(len(value)), lengths], episodes)
