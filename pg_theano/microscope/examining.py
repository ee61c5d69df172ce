"""The microscope: a config's first policy, or those of a run, each with the true gradient and every estimator of it."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano import parameters
from pg_theano.config import reading, schedules, user_code
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.environments import making
from pg_theano.microscope import along, gathering, watching
from pg_theano.microscope import estimators as weighing
from pg_theano.microscope.estimators import Estimator
from pg_theano.microscope.looking import FEWEST_BLOCKS, Look, Point
from pg_theano.runs import checkpoints, folder, recorded
from pg_theano.spec import Spec
from pg_theano.training import seeding, specs
from pg_theano.types import State, UserError

LARGEST = 1024  # episodes of a batch
PRECISE = 0.02  # half of the interval of every cosine
MICROSCOPE = 100  # of a seed sequence: no purpose of a run has this number


class Asked(NamedTuple):
    """What one asks of the microscope."""

    episodes: int | None = None  # at most, at each point; None: 32,768 where the task is compiled, else 2,048
    precision: float = PRECISE
    seed: int | None = None  # of the first policy and of the episodes; None: the config's
    discount: float | None = None  # γ of J; None: the config's
    along: bool = False  # whether J is measured along a step, too


AS_USUAL = Asked()


class Report(NamedTuple):
    """What the microscope saw."""

    of: str
    config: Config
    discount: float
    estimators: list[Estimator]
    sizes: list[int]
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
        points, discounts = [], (config.algorithm.discount, discount)
        for index, (name, update, state) in enumerate(subject.states):
            seed = np.random.SeedSequence(
                config.seed if asked.seed is None else asked.seed, spawn_key=(MICROSCOPE, index)
            )
            look = Look(watched, state, every, sizes, learned_from(config), discounts, critic)
            blocks = look.blocks(seed, most, functools.partial(_say, say, name))
            point = look.point(name, update, blocks, asked.precision)
            if asked.along:
                made = along.along(look, own_of(config, every), seed, point, most, unit_of(config, watched.num_params))
                point = point._replace(along=made)
            points.append(point)
        return Report(subject.of, config, discount, every, sizes, own_of(config, every), critic, points)
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


def learned_from(config: Config) -> tuple[int, int]:
    """(episodes, steps) of an update, of which one is 0."""
    if steps := config.algorithm.num_steps:
        return 0, steps * config.environment.num_envs
    return schedules.episodes_at(config, 0), 0


def unit_of(config: Config, num_params: int) -> float:
    """The length of Adam's first step, which moves each parameter by the learning rate: η·√P."""
    return schedules.knobs_at(config, 0)["learning_rate"] * math.sqrt(num_params)


def rate_of(config: Config) -> float:
    """ε, where the exploration has one."""
    return schedules.knobs_at(config, 0)["exploration_rate"] if config.exploration.name != "softmax" else 0.0


def own_of(config: Config, every: Sequence[Estimator]) -> str:
    """The estimator that a run of this config learns by; "" where it is none of these."""
    algorithm, record = config.algorithm, ALGORITHMS[config.algorithm.name]
    if record.pathwise:
        return ""
    if record.reads("algorithm.signal"):
        plain, to_go = algorithm.baseline == "none", algorithm.signal == "reward_to_go"
        wanted: str = algorithm.signal if plain else algorithm.baseline if to_go else ""
    elif record.reads("algorithm.advantage") and algorithm.advantage not in ("gae", None):
        monte_carlo = "gae, λ = 1" if algorithm.baseline == "value" else "reward_to_go"
        kinds = {"td": "gae, λ = 0", "monte_carlo": monte_carlo, "n_step": f"n_step, n = {algorithm.bootstrap_steps}"}
        wanted = kinds.get(algorithm.advantage, "")
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
        states.append(("end" if update == last else "on the way", update, state))
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
