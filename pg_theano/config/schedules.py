"""The knobs of a graph at each update k = 0, 1, 2, ...: constants, and schedules."""

from __future__ import annotations

import math
from typing import Any

from pg_theano.config.knobs import Config
from pg_theano.types import Knobs


def value_at(schedule: Any, update: int) -> float:
    """The schedule's value at an update.

        constant            v(k) = initial
        linear              v(k) = initial + (final − initial)·min(k / over_updates, 1)
        exponential_decay   v(k) = initial·exp(−decay_rate·k)         a negative rate grows

    then held within [minimum, maximum], where given.
    """
    if schedule.kind == "linear":
        share = min(update / schedule.over_updates, 1.0)
        value = schedule.initial + (schedule.final - schedule.initial) * share
    elif schedule.kind == "exponential_decay":
        # exp overflows at 709: by then any maximum is long passed, and a run without one has left all use.
        value = schedule.initial * math.exp(min(-schedule.decay_rate * update, 700.0))
    else:
        value = schedule.initial
    if schedule.minimum is not None:
        value = max(value, schedule.minimum)
    if schedule.maximum is not None:
        value = min(value, schedule.maximum)
    return value


def constant_knobs(config: Config) -> Knobs:
    optimizer, algorithm = config.optimizer, config.algorithm
    return {
        "discount": algorithm.discount,
        "gae_lambda": algorithm.gae_lambda,
        "clip_range": algorithm.clip_range,
        "value_clip_range": algorithm.value_clip_range or 1.0,
        "value_coefficient": algorithm.value_coefficient,
        "entropy_coefficient": algorithm.entropy_coefficient,
        "target_kl": algorithm.target_kl or 1.0,
        "damping": algorithm.damping,
        "momentum": optimizer.momentum,
        "rmsprop_decay": optimizer.rmsprop_decay,
        "beta1": optimizer.beta1,
        "beta2": optimizer.beta2,
        "epsilon": optimizer.epsilon,
        "max_gradient_norm": optimizer.max_gradient_norm or 1.0,
        "learning_rate": config.schedules.learning_rate.initial,
        "value_learning_rate": config.schedules.value_learning_rate.initial,
        "exploration_rate": config.schedules.exploration_rate.initial,
        "elite_fraction": config.schedules.elite_fraction.initial,
        "extra_std": config.schedules.extra_std.initial,
        "std_learning_rate": config.schedules.std_learning_rate.initial,
    }


def knobs_at(config: Config, update: int) -> Knobs:
    """Every knob's value at an update."""
    names = [name for name in type(config.schedules).model_fields if name != "episodes_per_update"]
    return constant_knobs(config) | {name: value_at(getattr(config.schedules, name), update) for name in names}


def episodes_at(config: Config, update: int) -> int:
    """The minibatch of an update, in episodes: the schedule's value, rounded, at least 1."""
    return max(1, round(value_at(config.schedules.episodes_per_update, update)))
