"""From a config and a task to a program: the part of the config that shapes the graph, and the part that does not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano import acting, compiling, parameters, schedules
from pg_theano.config import Config
from pg_theano.dynamics import importable
from pg_theano.environments import Task
from pg_theano.rollout import LONGEST_EPISODE, chunk_of
from pg_theano.types import Knobs, Program, UserError

# One child of SeedSequence(seed) for each purpose and index: a generator's state follows from the counters, so that
# the counters are all that a checkpoint must hold, and nothing that one purpose draws shifts another.
INITIAL_WEIGHTS, EPISODE_SEEDS, ACTION_NOISE, MINIBATCHES, EVALUATION, CONFIRMATION, EVALUATE_COMMAND = range(7)


def child(seed: int, purpose: int, index: int = 0) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(purpose, index))


def generator(seed: int, purpose: int, index: int = 0) -> np.random.Generator:
    return np.random.default_rng(child(seed, purpose, index))


def spec_of(config: Config, task: Task, environment: Any = None) -> dict[str, Any]:
    """All that shapes the graph, as plain data. What is missing here (rates, discounts, schedules) is an input.

    `environment` is the compiled engine, where there is one: its dynamics are part of the graph.
    """
    dynamics = getattr(environment, "dynamics", None)
    layout = parameters.dense_layout([task.obs_size, *config.policy.hidden, task.num_actions])
    size = parameters.count(layout)
    if size > 200_000_000:
        gigabytes = size * (12 if config.dtype == "float32" else 24) / 1e9
        raise UserError(
            f"policy.hidden: {size:,} parameters would need {gigabytes:,.0f} GB with their optimiser; "
            "expected at most 200,000,000"
        )
    return {
        "algorithm": config.algorithm.name,
        "obs_size": task.obs_size,
        "num_actions": task.num_actions,
        "layout": [[name, list(shape)] for name, shape in layout],
        "num_params": size,
        "activation": config.policy.activation,
        "signal": config.algorithm.signal,
        "baseline": config.algorithm.baseline,
        "standardize_advantages": config.algorithm.standardize_advantages,
        "average": config.algorithm.average,
        "exploration": config.exploration.name,
        "optimizer": config.optimizer.name,
        "clips_gradient": config.optimizer.max_gradient_norm is not None,
        "normalize_observations": config.normalize.observations,
        "dtype": config.dtype,
        "time_limit": task.time_limit,
        "max_steps": task.time_limit or LONGEST_EPISODE,
        "dynamics": dynamics,
        "dynamics_source": getattr(environment, "source", None),
        "chunk": chunk_of(task.time_limit) if dynamics else None,
    }


def spec_from(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The spec as a run folder recorded it."""
    return dict(facts["spec"])


def load(config: Config, spec: dict[str, Any], report: compiling.Report, folders: Sequence[Path] = ()) -> Program:
    around = functools.partial(importable, folders)
    program = compiling.load(spec, backend=config.backend, report=report, around=around)
    return program._replace(act=acting_for(config, spec, program))


def acting_for(config: Config, spec: dict[str, Any], program: Program | None) -> Callable[..., Any]:
    """Who chooses actions: the compiled graph, or NumPy where it is quicker, asked for, or all there is."""
    how = config.policy.act
    if (
        program is None
        or how == "numpy"
        or (how == "auto" and acting.quicker_in_numpy(spec, config.environment.num_envs))
    ):
        return acting.numpy_act(spec, with_log_prob=program is not None and "log_prob" in program.manifest["takes"])
    return program.act


def constant_knobs(config: Config) -> Knobs:
    optimizer = config.optimizer
    return {
        "discount": config.algorithm.discount,
        "momentum": optimizer.momentum,
        "rmsprop_decay": optimizer.rmsprop_decay,
        "beta1": optimizer.beta1,
        "beta2": optimizer.beta2,
        "epsilon": optimizer.epsilon,
        "max_gradient_norm": optimizer.max_gradient_norm or 1.0,
        "learning_rate": config.schedules.learning_rate.initial,
        "exploration_rate": config.schedules.exploration_rate.initial,
    }


def knobs_at(config: Config, update: int) -> Knobs:
    """Every knob's value at an update."""
    return constant_knobs(config) | {
        "learning_rate": schedules.value_at(config.schedules.learning_rate, update),
        "exploration_rate": schedules.value_at(config.schedules.exploration_rate, update),
    }


def episodes_at(config: Config, update: int) -> int:
    """The minibatch of an update, in episodes: the schedule's value, rounded, at least 1."""
    return max(1, round(schedules.value_at(config.schedules.episodes_per_update, update)))
