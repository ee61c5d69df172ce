"""The card: how good estimates of a gradient are, beside the true one. The same wherever a gradient is judged.

    bias       ‖𝔼[ĝ] − ∇J‖ / ‖∇J‖         in percent; of it `scale` is ‖𝔼[ĝ]‖ / ‖∇J‖, and
    angle      between 𝔼[ĝ] and ∇J         in degrees: the scale is the learning rate's business, the direction is not
    variance   𝔼‖ĝ − 𝔼[ĝ]‖² / ‖𝔼[ĝ]‖²     over squared length: an estimate that is halved is no better
    cosine     𝔼[cos(ĝ, ∇J)]               of one batch
    episodes   how many it takes until the cosine of their mean is 0.9, ∞ where the angle forbids it:

        cos² ≈ cos²(angle) / (1 + variance/n)     so that     n = variance / (cos²(angle)/0.81 − 1)

The last line takes the mean of n estimates to have the length that it has in the root of the mean square. `variance`
and `cosine` are those of the estimates given; `episodes` counts the episodes in each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pg_theano.types import Array

GOOD = 0.9  # a cosine that is called good


class Card(NamedTuple):
    bias: float  # percent
    angle: float  # degrees; NaN where nothing is expected, which has no direction
    scale: float
    variance: float
    cosine: float
    episodes: float


HEADS = ("bias", "angle", "scale", "variance / length²", "cosine of one", "episodes to 0.9")


def card(estimates: Array, true: Array, chances: Array | None = None, episodes: float = 1.0) -> Card:
    """The card of estimates [N, P] beside the true gradient [P].

    `chances` [N] are their probabilities, where they are all that can happen; without, each counts 1/N, as samples do.
    Errors: ValueError where the true gradient is zero, which has no direction.
    """
    weights = np.full(len(estimates), 1 / len(estimates)) if chances is None else np.asarray(chances)
    size = float(np.linalg.norm(true))
    if not size:
        raise ValueError("the true gradient is zero: nothing has an angle with it; try another policy")
    mean = weights @ estimates  # [P]
    length, towards = float(np.linalg.norm(mean)), cosine(mean, true)
    if length < 1e-12 * (size + float(np.abs(estimates).max())):  # nothing but rounding, which has no direction
        length, towards = 0.0, math.nan
    spread = float(weights @ ((estimates - mean) ** 2).sum(axis=1))
    variance = spread / length**2 if length else math.inf
    return Card(
        bias=100 * float(np.linalg.norm(mean - true)) / size,
        angle=math.degrees(math.acos(towards)) if length else math.nan,
        scale=length / size,
        variance=variance,
        cosine=float(weights @ [cosine(one, true) for one in estimates]),
        episodes=episodes * needed(variance, towards),
    )


def cosine(one: Array, other: Array) -> float:
    """cos of the angle between two vectors [P], in [−1, 1]; 0 where one of them is zero."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return min(1.0, max(-1.0, float(one @ other) / lengths)) if lengths else 0.0


def needed(variance: float, towards: float, good: float = GOOD) -> float:
    """How many estimates it takes until the cosine of their mean is `good`; ∞ where their expectation's is not."""
    if not towards > good or not math.isfinite(variance):
        return math.inf
    return max(1.0, variance / (towards**2 / good**2 - 1))


def cells(one: Card) -> list[str]:
    """A card as a row of words, under HEADS."""
    return [
        f"{one.bias:.1f} %",
        "–" if math.isnan(one.angle) else f"{one.angle:.1f}°",
        f"{one.scale:.2f}",
        "–" if math.isinf(one.variance) else f"{one.variance:.2f}" if one.variance < 1000 else f"{one.variance:.2g}",
        f"{one.cosine:.3f}",
        "never" if math.isinf(one.episodes) else f"{math.ceil(one.episodes):,}",
    ]
