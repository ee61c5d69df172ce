"""Schedules: a number for each update k = 0, 1, 2, ..."""

from __future__ import annotations

import math
from typing import Any


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
