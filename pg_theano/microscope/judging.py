"""Gradients of single episodes beside the true one: cosine, bias, variance of batches of any size, with intervals.

The episodes lie in B blocks. Of each block are kept, for every estimator and size n of a batch, the mean of its
batches' estimates ĝ, of their directions ĝ/‖ĝ‖, of their squared lengths; and T, the block's part of the true gradient.
All that is said is made of products of *different* blocks, so that nothing is judged by the episodes that it was made
of:

    ⟨x, y⟩ = 1/(B·(B−1))·Σ_{b≠b'} x_b·y_b'                  unbiased for 𝔼[x]·𝔼[y]       (Hoeffding 1948, a U-statistic)

    ‖∇J‖²        ⟨T, T⟩                     ‖𝔼[ĝ]‖²      ⟨ĝ, ĝ⟩
    cosine       ⟨ĝ/‖ĝ‖, T⟩ / ‖∇J‖          of one batch of n, in the mean
    angle        ⟨ĝ, T⟩ / (‖𝔼[ĝ]‖·‖∇J‖)     bias²        ⟨ĝ, ĝ⟩ − 2·⟨ĝ, T⟩ + ⟨T, T⟩, over ‖∇J‖²
    variance     n·(𝔼‖ĝ‖² − ‖𝔼[ĝ]‖²) / ‖𝔼[ĝ]‖²        of one episode, over the squared length

Intervals are bootstrapped over blocks, truth and estimates together (Efron 1979): they have the truth's own error too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pg_theano.exact.card import GOOD
from pg_theano.types import Array

RESAMPLES = 400


class Block(NamedTuple):
    """What is kept of one block: K estimators, S sizes of batches, P parameters."""

    direction: Array  # [K, S, P]
    mean: Array  # [K, S, P]
    square: Array  # [K, S]
    truth: Array  # [K, P] what each is held to: ∇J, or its natural gradient


class Interval(NamedTuple):
    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


UNKNOWN = Interval(math.nan, math.nan, math.nan)


class Verdict(NamedTuple):
    """Of one estimator; the last five at the size that was asked for."""

    cosines: list[Interval]  # of each size
    episodes: float  # until a batch's mean cosine is 0.9; ∞ where it never is
    bias: Interval  # percent
    angle: Interval  # degrees
    scale: Interval
    variance: Interval  # of one episode, over squared length
    signal_to_noise: float  # ‖𝔼[ĝ]‖ over the standard deviation of one batch


def block_of(batches: Sequence[Sequence[Array]], truth: Array) -> Block:
    """From the estimates [batches, P] of each estimator at each size of a batch, and the truth [K, P]."""
    lengths = [[np.linalg.norm(one, axis=1) for one in sizes] for sizes in batches]
    unit = [
        [np.mean(one / np.where(length > 0, length, 1)[:, None], axis=0) for one, length in zip(sizes, of, strict=True)]
        for sizes, of in zip(batches, lengths, strict=True)
    ]
    return Block(
        np.array(unit),
        np.array([[one.mean(axis=0) for one in sizes] for sizes in batches]),
        np.array([[float(np.mean(length**2)) for length in of] for of in lengths]),
        truth,
    )


def verdicts(blocks: Sequence[Block], sizes: Sequence[int], at: int, rng: np.random.Generator) -> list[Verdict]:
    """What is to be said of each estimator; bias and what follows at `sizes[at]`."""
    number = len(blocks)
    counts = rng.multinomial(number, np.full(number, 1 / number), RESAMPLES).astype(float)
    weights = np.concatenate([np.ones((1, number)), counts])  # [1 + R, B], of which the first is all, once
    each = []
    for k in range(len(blocks[0].mean)):
        truth = np.array([one.truth[k] for one in blocks], float)  # [B, P]
        size = root(across(truth @ truth.T, weights))  # [1 + R]
        cosines = [
            across(np.array([one.direction[k, s] for one in blocks], float) @ truth.T, weights) / size
            for s in range(len(sizes))
        ]
        each.append(_verdict(cosines, size, blocks, (k, at), (weights, sizes)))
    return each


def _verdict(
    cosines: list[Array],
    size: Array,
    blocks: Sequence[Block],
    where: tuple[int, int],
    how: tuple[Array, Sequence[int]],
) -> Verdict:
    (k, s), (weights, sizes), number = where, how, len(blocks)
    mean = np.array([one.mean[k, s] for one in blocks], float)
    truth = np.array([one.truth[k] for one in blocks], float)
    own, shared = across(mean @ mean.T, weights), across(mean @ truth.T, weights)
    squares = weights @ np.array([one.square[k, s] for one in blocks]) / weights.sum(axis=1)
    length = root(own)  # NaN where an expectation is not told from zero: it has no direction
    towards, variance = shared / (length * size), sizes[s] * (squares - own) / length**2
    bias = np.sqrt(np.maximum(own - 2 * shared + size**2, 0)) / size
    found, scale = [interval(one, number, -1, 1) for one in cosines], interval(np.nan_to_num(length / size), number, 0)
    angle = angles(interval(towards, number, -1, 1)) if scale.low > 0 else UNKNOWN
    return Verdict(
        found,
        episodes_to(GOOD, sizes, [one.value for one in found], float(towards[0]), float(variance[0])),
        interval(100 * bias, number, 0),
        angle,
        scale,
        interval(variance, number, 0) if scale.low > 0 else UNKNOWN,
        float(math.sqrt(own[0] / (squares[0] - own[0]))) if 0 < own[0] < squares[0] else math.nan,
    )


def root(squares: Array) -> Array:
    """√, and NaN of what is not above zero."""
    return np.sqrt(np.where(squares > 0, squares, np.nan))


def angles(cosine: Interval) -> Interval:
    """Degrees."""
    low, value, high = (math.degrees(math.acos(one)) for one in (cosine.high, cosine.value, cosine.low))
    return Interval(value, low, high)


def across(products: Array, weights: Array) -> Array:
    """⟨x, y⟩ from all products [B, B], for each row of weights [R, B]: of pairs of different blocks alone. [R]"""
    pairs = ((weights @ products) * weights).sum(axis=1) - (weights**2) @ np.diag(products)
    return pairs / (weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1))


def interval(found: Array, number: int, least: float = -math.inf, most: float = math.inf) -> Interval:
    """The first of the figures, give or take Student's 97.5 % quantile times the spread of those resampled."""
    value, resampled = float(found[0]), found[1:][np.isfinite(found[1:])]
    if not math.isfinite(value) or len(resampled) < len(found) // 2:
        return UNKNOWN
    half = quantile(number - 1) * float(resampled.std())
    return Interval(min(most, max(least, value)), max(least, value - half), min(most, value + half))


def quantile(freedom: int) -> float:
    """Student's 97.5 % quantile.                                              Abramowitz and Stegun 1964, 26.7.5"""
    z, n = 1.959964, float(freedom)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def episodes_to(good: float, sizes: Sequence[int], cosines: Sequence[float], towards: float, variance: float) -> float:
    """How many episodes it takes to a cosine, and to keep it with more: between two sizes in the logarithm, beyond the
    last as `card.needed`.

    ∞ where the estimator's expectation itself does not have it.
    """
    last = max((s for s, cosine in enumerate(cosines) if not cosine >= good), default=-1)
    if last < 0:
        return float(sizes[0])
    if last + 1 < len(sizes):
        share = (good - cosines[last]) / (cosines[last + 1] - cosines[last]) if math.isfinite(cosines[last]) else 1.0
        return float(sizes[last] * (sizes[last + 1] / sizes[last]) ** share)
    if not towards > good:
        return math.inf
    return max(float(sizes[-1]), variance / (towards**2 / good**2 - 1))
