"""The space of a search: one axis for each hyper-parameter, and its unit interval."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pg_theano.types import Array, UserError


class Axis(NamedTuple):
    """One hyper-parameter: a range of numbers, or a few choices."""

    name: str  # the knob: schedules.learning_rate.initial
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] | None = None
    points: int | None = None  # of a grid; None: as many as the method has for all
    threshold: float | None = None  # cho's, as a share of the range

    def value(self, unit: float) -> Any:
        """The value at `unit` of the way, 0 to 1, from low to high; on a log axis of their logarithms."""
        unit = min(max(float(unit), 0.0), 1.0)
        if self.choices is not None:
            return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        value = min(max(value, self.low), self.high)  # exp(log(x)) may end beside x
        return round(value) if self.integer else float(value)

    def unit(self, value: Any) -> float:
        """Where a value lies, 0 to 1: `value(unit(x)) = x`. A choice lies in the middle of its share."""
        if self.choices is not None:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def place(self, value: Any) -> float:
        """Where a value stands in a figure: itself, or the number of a choice."""
        return float(value) if self.choices is None else float(self.choices.index(value))

    def places(self, units: Array) -> Array:
        """Values at unit coordinates [N], not rounded and not held within the range."""
        if self.log:
            return np.exp(np.log(self.low) + units * (np.log(self.high) - np.log(self.low)))
        return self.low + units * (self.high - self.low)

    def grid(self, points: int, low: float = 0.0, high: float = 1.0) -> list[Any]:
        """`points` values from unit `low` to `high`, both ends included; integers once each; all of the choices."""
        if self.choices is not None:
            return list(self.choices)
        return list(dict.fromkeys(self.value(unit) for unit in np.linspace(low, high, points)))


def label(value: Any) -> Any:
    """A choice as a storage and a table can hold it: scalars as they are, lists and mappings as JSON."""
    return value if isinstance(value, (str, int, float, bool, type(None))) else json.dumps(value)


def product(values: Mapping[str, Sequence[Any]], limit: int, limit_name: str) -> list[dict[str, Any]]:
    """The Cartesian product, its neighbours far apart in the list. Errors: `UserError` where it is over the limit.

    In the order of an odometer a batch would hold one value of the first name alone, and fail as a whole where that
    value is a bad one; a stride of about the golden ratio of the size, prime to it, visits every point once.
    """
    size = math.prod(map(len, values.values()))
    if size > limit:
        sizes = " x ".join(str(len(one)) for one in values.values())
        raise UserError(
            f"search.space: a grid of {sizes} = {size:,} points; expected at most {limit:,} ({limit_name}); try fewer "
            "points or knobs, or more"
        )
    points = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    stride = next(one for one in itertools.count(max(round(0.618 * size), 1)) if math.gcd(one, size) == 1)
    return [points[i * stride % size] for i in range(size)]


def uniform(axes: Sequence[Axis], rng: np.random.Generator) -> dict[str, Any]:
    """A point drawn uniformly, on a log axis uniformly in its logarithm; each integer and each choice is as likely."""
    point = {}
    for axis, unit in zip(axes, rng.random(len(axes)), strict=True):
        if axis.integer and not axis.log:
            point[axis.name] = int(axis.low) + min(int(unit * (axis.high - axis.low + 1)), int(axis.high - axis.low))
        else:
            point[axis.name] = axis.value(unit)
    return point


def encoded(axes: Sequence[Axis], points: Sequence[Mapping[str, Any]]) -> Array:
    """Points as rows of numbers in [0, 1]: a column a number, and a column each choice (1 where it is taken). [N, D]"""
    rows = []
    for point in points:
        row: list[float] = []
        for axis in axes:
            value = point[axis.name]
            if axis.choices is not None:
                row += [float(value == choice) for choice in axis.choices]
            else:
                row.append(axis.unit(value))
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(len(points), -1)


def rows_of(axes: Sequence[Axis], units: Array) -> Array:
    """`encoded` of the points at these unit coordinates [N, number of axes], many at once. [N, D]"""
    columns: list[Array] = []
    for axis, unit in zip(axes, units.T, strict=True):
        if axis.choices is not None:
            taken = np.minimum((unit * len(axis.choices)).astype(int), len(axis.choices) - 1)
            columns += [(taken == i).astype(np.float64) for i in range(len(axis.choices))]
        elif axis.integer:
            low, high = (np.log(axis.low), np.log(axis.high)) if axis.log else (axis.low, axis.high)
            value = low + unit * (high - low)
            whole = np.log(np.round(np.exp(value))) if axis.log else np.round(value)
            columns.append((whole - low) / (high - low))
        else:
            columns.append(unit)
    return np.stack(columns, axis=1)
