"""Gradients against differences of their loss: array by array, along single numbers and through all of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pg_theano.layers import Layout
from pg_theano.types import Array

NUMERICAL, BY_HAND = 1e-6, 1e-9
"""What counts as equal: symbolic or by hand against numerical, and symbolic against by hand."""

STEPS = (1e-3, 1e-4, 1e-5)
"""h, the largest first: rounding weighs ε·|L|/h. A smaller one is tried where a kink, or a high derivative, is near."""

PLACES = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])  # where the loss is taken, in units of h


class Row(NamedTuple):
    """One array of the layout, or all of them. Errors are relative; None where there is nothing to compare."""

    name: str
    size: int
    compared: int  # directions whose numerical derivative counts
    skipped: int  # directions with a kink too near
    symbolic_by_hand: float | None
    symbolic_numerical: float | None
    by_hand_numerical: float | None


def passes(row: Row) -> bool:
    pairs = zip(errors_of(row), (BY_HAND, NUMERICAL, NUMERICAL), strict=True)
    return row.compared > 0 and all(error is None or error <= tolerance for error, tolerance in pairs)


def errors_of(row: Row) -> tuple[float | None, float | None, float | None]:
    return row.symbolic_by_hand, row.symbolic_numerical, row.by_hand_numerical


def compare(
    loss: Callable[[Array], float],
    at: Array,
    layout: Layout,
    gradients: Mapping[str, Array],
    *,
    points: int,
    rng: np.random.Generator,
) -> tuple[list[Row], Row]:
    """A row for each array and one for all. `gradients` has "symbolic" and perhaps "by_hand", each [D] at `at`."""
    here = loss(at)
    floor = max(40 * np.finfo(float).eps * abs(here) / (STEPS[0] * NUMERICAL), np.finfo(float).tiny)
    rows, start = [], 0
    for name, shape, *_ in layout:
        size = math.prod(shape)
        found = {which: gradient[start : start + size] for which, gradient in gradients.items()}
        scale = max(float(np.abs(found["symbolic"]).max()), floor)
        directions = _directions(rng, size, points)

        def along(direction: Array, start: int = start, size: int = size) -> Callable[[float], float]:
            whole = np.zeros_like(at)
            whole[start : start + size] = direction
            return lambda t: loss(at + t * whole)

        numerical = [derivative(along(one), here, most=0.2 * NUMERICAL * scale) for one in directions]
        rows.append(_row(name, size, found, directions, numerical, scale))
        start += size

    def worst(errors: Sequence[float | None]) -> float | None:
        return max((one for one in errors if one is not None), default=None)

    size, compared, skipped = (sum(counts) for counts in zip(*(row[1:4] for row in rows), strict=True))
    return rows, Row("all", size, compared, skipped, *map(worst, zip(*map(errors_of, rows), strict=True)))


def _row(
    name: str, size: int, found: Mapping[str, Array], directions: Array, numerical: Sequence[float | None], scale: float
) -> Row:
    counts = np.array([value is not None for value in numerical])
    differences = np.array([value for value in numerical if value is not None])

    def against_numerical(which: str) -> float | None:
        if which not in found or not counts.any():
            return None
        return largest(directions[counts] @ found[which] - differences, scale)

    by_hand = largest(found["symbolic"] - found["by_hand"], scale) if "by_hand" in found else None
    figures = by_hand, against_numerical("symbolic"), against_numerical("by_hand")
    return Row(name, size, int(counts.sum()), int((~counts).sum()), *figures)


def derivative(along: Callable[[float], float], here: float, *, most: float) -> float | None:
    """d/dt of `along` at t = 0 by differences of fourth order; None where a kink is nearer than 2h for every h.

        (8·(L(h) − L(−h)) − (L(2h) − L(−2h))) / 12h

    `clip`, `min` and `relu` have kinks, and a difference across one is no derivative. There the differences for h and
    for h/2 disagree, or the slopes of the cubics through L at 0, h/2, h, 2h and at 0, −h/2, −h, −2h: by at least 0.4
    times the error, wherever the kink is. Where either is more than `most` apart, that h does not count.
    """
    for h in STEPS:
        values = np.array([here if place == 0 else along(place * h) for place in PLACES])
        wide, narrow = WIDE @ values / h, NARROW @ values / h
        if max(abs(wide - narrow), abs((RIGHT - LEFT) @ values / h)) <= most:
            return float(wide)
    return None


WIDE = np.array([1, -8, 0, 0, 0, 8, -1]) / 12
NARROW = np.array([0, 1, -8, 0, 8, -1, 0]) / 6
RIGHT = np.array([0, 0, 0, -7 / 2, 16 / 3, -2, 1 / 6])
LEFT = -RIGHT[::-1]


def _directions(rng: np.random.Generator, size: int, points: int) -> Array:
    """[P, size]: single numbers, and where those are not all of them one direction that moves each."""
    chosen = np.sort(rng.permutation(size)[:points])
    single = np.eye(size)[chosen] if size <= points else np.zeros((len(chosen), size))
    single[np.arange(len(chosen)), chosen] = 1.0
    if size <= points:
        return single
    through = rng.choice([-1.0, 1.0], size) / math.sqrt(size)
    return np.concatenate([single, through[None]])


def largest(difference: Array, scale: float) -> float:
    return float(np.abs(difference).max() / scale)
