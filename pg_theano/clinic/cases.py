"""Cases to hold a function to: every kind of end in every place of a few steps, then random ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from pg_theano.clinic.definition import Case
from pg_theano.types import Array

KINDS = ((False, False), (True, False), (False, True), (True, True))
"""(terminated, truncated) of a step."""
LONGEST = 4
"""Steps up to which every case there is is tried, in one environment: 4 + 16 + 64 + 256 of them."""


def cases(number: int, seed: int, *, gamma: float | None, lam: float | None, wide: bool = True) -> Iterator[Case]:
    """Small ones first; then `number` random ones, of several environments where `wide`."""
    rng = np.random.default_rng(seed)

    def factors() -> tuple[float, float]:
        drawn = round(rng.uniform(0.5, 0.95), 2), round(rng.uniform(0.2, 0.7), 2)
        return (drawn[0] if gamma is None else gamma), (drawn[1] if lam is None else lam)

    for steps in range(1, LONGEST + 1):
        for ends in sorted(itertools.product(range(4), repeat=steps), key=lambda ends: (np.count_nonzero(ends), ends)):
            yield _filled(rng, np.array([KINDS[end] for end in ends])[:, None], factors())
    for _ in range(number):
        shape = int(rng.integers(3, 10)), int(rng.integers(2, 6)) if wide else 1
        yield _filled(rng, rng.random((*shape, 2)) < 0.2, factors())


def _filled(rng: np.random.Generator, ends: Array, factors: tuple[float, float]) -> Case:
    """Rewards and values of one decimal. Where an episode goes on, the successor's V is the next row's."""
    terminated, truncated = ends[..., 0].copy(), ends[..., 1].copy()
    rewards, values, final = (np.round(rng.uniform(-3, 3, terminated.shape), 1) for _ in range(3))
    reset = np.round(rng.uniform(-3, 3, terminated.shape[1]), 1)
    following = np.concatenate([values[1:], reset[None]])
    next_values = np.where(terminated | truncated, final, following)
    return Case(rewards, values, next_values, terminated, truncated, reset, *factors)
