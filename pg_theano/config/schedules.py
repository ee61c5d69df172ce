"""The values of knobs at an update k = 0, 1, 2, ...: schedules, and what a config has constant."""

import math
from typing import Any

from pg_theano.config.kinds import INPUT, Schedule
from pg_theano.config.knobs import Config
from pg_theano.types import Knobs

INPUTS = {
    name: part
    for part in ("schedules", "algorithm", "optimizer")
    for name, field in type(getattr(Config(), part)).model_fields.items()
    if INPUT in field.metadata
}
"""The knobs that are inputs of the graphs, by name, and the section of each. `knobs.py` marks them."""


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
    """The value of every input, a schedule's first one. 1 for a limit that is not set, as no graph reads it then."""
    values = {name: getattr(getattr(config, part), name) for name, part in INPUTS.items()}
    values |= {name: value.initial for name, value in values.items() if isinstance(value, Schedule)}
    return {name: 1.0 if value is None else value for name, value in values.items()}


def knobs_at(config: Config, update: int) -> Knobs:
    """The value of every input at an update."""
    moving = [name for name, part in INPUTS.items() if part == "schedules"]
    return constant_knobs(config) | {name: value_at(getattr(config.schedules, name), update) for name in moving}


def episodes_at(config: Config, update: int) -> int:
    """The minibatch of an update, in episodes: the schedule's value, rounded, at least 1."""
    return max(1, round(value_at(config.schedules.episodes_per_update, update)))
