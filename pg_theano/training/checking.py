"""Symbolic, by-hand and numerical gradients of one real rollout, held to each other."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config import batches, schedules, user_code
from pg_theano.config import reading as configs
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.layers import Layout
from pg_theano.spec import Spec
from pg_theano.training import programs, seeding, specs
from pg_theano.training.differences import BY_HAND, Row, compare, largest, passes
from pg_theano.training.playing import collecting
from pg_theano.training.setting import Environment, counted_by_rows
from pg_theano.types import OF_EVERY_POLICY, RETURN_SO_FAR, Array, Record, Rollout, UserError

MOST_ENVS, MOST_STEPS, MOST_EPISODE = 4, 32, 200
"""A rollout need not be large to be real; but every loss below is one pass over all of it."""

MOST_PLACES = 5
"""How often the parameters are moved elsewhere, where all that was tried of an array has a kink too near."""


class Report(NamedTuple):
    """What `check` found."""

    config: Config  # as it was checked: float64, and a small rollout
    steps: int  # real steps in the rollout
    places: int  # where the parameters were moved to until something of each array could be compared
    rows: list[Row]  # one an array
    total: Row
    not_by_hand: str | None  # why there is no by-hand gradient
    passed: bool
    padding: float  # how much of the gradient changes with one more episode, which is masked


def check(
    config: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    overrides: Sequence[str] = (),
    points: int = 20,
    seed: int = 0,
) -> Report:
    """Compare the gradients of a config's networks with each other, in float64 on a rollout that they played.

    The parameters are moved a little from those that played, so that ratios of probabilities are not 1 and PPO clips
    some of them; advantages and targets stay those of the rollout. Numerical derivatives are taken along `points`
    numbers of each array, drawn by `seed`, and along one direction through all of a larger array. Errors: `UserError`
    for a config that cannot be, and for state-dependent noise, whose gradient is no derivative on purpose.

        error = max |a − b| / max(max |symbolic|, floor),   floor = 40·ε·|L| / (h·10⁻⁶), h = 10⁻³

    over the array: below the floor a difference of losses says nothing to six digits, as its rounding is that large.

    Beside it the gradient is taken with one more episode, of any numbers, that is masked: it must not change. It does
    where an objective leaves the mask out, or a policy mixes its rows.
    """
    config, folder, *_ = configs.resolved(config, overrides)
    user_code.check(config, [folder], user_code.to_stderr)
    if ALGORITHMS[config.algorithm.name].searches:
        raise UserError(
            f"algorithm.name: {config.algorithm.name} follows no gradient of a loss; expected one of "
            f"{', '.join(name for name, record in ALGORITHMS.items() if not record.searches)}"
        )
    if ALGORITHMS[config.algorithm.name].pathwise:
        got = f"got {config.algorithm.name}, whose loss is of a task's own expressions and no function of a rollout"
        raise UserError.of("algorithm.name", got, "an algorithm by the score", "algorithm.name=ppo")
    if config.policy.noise == "state_dependent":
        raise UserError(
            "policy.noise: the gradient of state_dependent noise takes the features in its variance for constants, so "
            "that it is no derivative of the loss; expected white or pink"
        )
    asked = config.model_copy(update={"gradients": "symbolic"})
    small, environment = _small(asked, [folder])
    try:
        spec = specs.spec_of(small, environment.task, environment, [folder])
        state, rollout = _played(small, spec, environment, [folder])
    finally:
        environment.close()
    learning = spec._replace(engine=None)  # the same loss, from fields instead of a record
    symbolic = _loaded(small, learning, [folder])
    twin, not_by_hand = _twin(small, learning)

    rng = np.random.default_rng(seed)
    knobs = schedules.knobs_at(small, 0)

    def found_by(program: Any, at: Array) -> Array:
        return np.asarray(program.gradient(state, rollout, knobs, at)["gradient"], float)

    def loss(params: Array) -> float:
        return float(symbolic.gradient(state, rollout, knobs, params)["loss"])

    places, tried = 0, False
    while not tried and places < MOST_PLACES:
        places += 1
        at = state["params"] + _moves(rng, spec.acting.layout)
        gradients = {"symbolic": found_by(symbolic, at)} | ({"by_hand": found_by(twin, at)} if twin else {})
        rows, total = compare(loss, at, spec.acting.layout, gradients, points=points, rng=rng)
        tried = all(row.compared for row in rows)
    wider = state
    if RETURN_SO_FAR in state:  # a number for each environment
        wider = state | {RETURN_SO_FAR: np.append(state[RETURN_SO_FAR], rng.normal())}
    more = np.asarray(symbolic.gradient(wider, padded(rollout, rng), knobs, at)["gradient"], float)
    scale = max(float(np.abs(gradients["symbolic"]).max()), np.finfo(float).tiny)
    padding = largest(more - gradients["symbolic"], scale)
    passed = all(map(passes, [*rows, total])) and padding <= BY_HAND
    return Report(small, int(np.sum(rollout.mask)), places, rows, total, not_by_hand, passed, padding)


def _moves(rng: np.random.Generator, layout: Layout) -> Array:
    """How far each parameter is moved, [D]: far enough that PPO clips some ratios as a rule."""
    parts = [
        rng.normal(0.0, 1.0 / math.sqrt(shape[0]) if len(shape) == 2 else 0.7, math.prod(shape))
        for _, shape, *_ in layout
    ]
    return np.concatenate(parts)


# -- the rollout


def _small(config: Config, folders: Sequence[Path]) -> tuple[Config, Any]:
    """The config in float64 with a small rollout, and its environment, stepped by Gymnasium where it can be."""
    environment, algorithm = config.environment, config.algorithm
    changes: dict[str, Any] = {
        "dtype": "float64",
        "backend": "jax",
        "environment": {"num_envs": min(environment.num_envs, MOST_ENVS)},
        "algorithm": {"num_steps": algorithm.num_steps and min(algorithm.num_steps, MOST_STEPS)},
        "schedules": {"episodes_per_update": {"kind": "constant", "initial": MOST_ENVS}},
    }
    if batches.remembers(config):  # its rollout is learned from as one, and has few sequences
        changes["algorithm"] |= {"num_minibatches": 1, "sequence_length": None}
    if environment.dynamics is None:
        changes["environment"]["engine"] = "gymnasium"
    small = changed(config, changes)
    made = specs.environment_of(small, folders)
    if made.task.time_limit is None or made.task.time_limit > MOST_EPISODE:
        made.close()
        small = changed(small, {"environment": {"max_episode_steps": MOST_EPISODE}})
        made = specs.environment_of(small, folders)
    return counted_by_rows(small, made), made


def changed(config: Config, changes: Mapping[str, Any]) -> Config:
    """The config with some knobs set over it; a schedule is replaced as a whole."""

    def over(under: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
        return under | {
            key: over(under[key], value) if isinstance(value, Mapping) and "kind" not in value else value
            for key, value in changes.items()
        }

    return configs.from_dict(over(configs.to_dict(config), changes))


def _played(config: Config, spec: Spec, environment: Environment, folders: Sequence[Path]) -> tuple[Any, Rollout]:
    """Fresh parameters, and what they play for one update."""
    program = _loaded(config, spec, folders)
    state = program.init(seeding.generator(config.seed, seeding.INITIAL_WEIGHTS))
    collector = collecting.collector_of(config, spec, environment, program)
    played = collector.collect(state, schedules.knobs_at(config, 0), 0).rollout
    return state, _fields(played, spec) if isinstance(played, Record) else played


def _fields(record: Record, spec: Spec) -> Rollout:
    """The record of a compiled environment as a rollout: [T, K, E] to fields [E, T, ...]."""

    def field(name: str) -> Array | None:
        if name not in record.columns:
            return None
        values = np.moveaxis(record.field(name), -1, 0)  # [E, T] or [E, T, F]
        if name == "action":
            values = values.reshape(*values.shape[:2], *([-1] if spec.acting.action.kind != "discrete" else []))
            return values if spec.acting.action.kind == "box" else values.astype(np.int32)
        return values.astype(bool) if name in ("terminated", "truncated") else values

    found = {name: field(name) for name in OF_EVERY_POLICY}
    if record.memory is not None:
        found["memory"] = np.moveaxis(np.asarray(record.memory), -1, 0)  # [E, K, M]
    if found["mask"] is None:  # stretches have no padding
        found["mask"] = np.ones_like(found["reward"])
    return Rollout(**{name: None if v is None else np.ascontiguousarray(v) for name, v in found.items()})


def padded(rollout: Rollout, rng: np.random.Generator) -> Rollout:
    """The rollout and one more episode, of any numbers, which is masked: [E + 1, T, ...]."""

    def with_one(name: str, values: Array) -> Array:
        one = values[-1:].copy()
        if name == "mask":
            one[:] = 0
        elif name == "action":  # others, but of the space
            one = one[:, ::-1]
        elif values.dtype.kind == "f":
            one = rng.normal(size=one.shape)
        return np.ascontiguousarray(np.concatenate([values, one]), values.dtype)

    fields = {name: None if values is None else with_one(name, values) for name, values in rollout._asdict().items()}
    return Rollout(**fields)


def _twin(config: Config, spec: Spec) -> tuple[Any, str | None]:
    """(the by-hand program, None), or (None, why there is none)."""
    try:
        by_hand = changed(config, {"gradients": "by_hand"})
    except UserError as error:
        knob = ".".join(map(str, error.problem.knob))
        return None, str(error.problem._replace(where=knob))
    if spec.acting.action.kind not in ("discrete", "box"):
        return None, f"gradients: by_hand has no {spec.acting.action.kind} actions"
    if not spec.acting.is_dense:
        return None, "gradients: by_hand derives dense layers alone"
    return _loaded(by_hand, spec, ()), None


def _loaded(config: Config, spec: Spec, folders: Sequence[Path]) -> Any:
    return programs.load(config, spec, lambda what, seconds: None, folders, first="act")
