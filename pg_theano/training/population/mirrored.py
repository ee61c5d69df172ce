"""Mirrored sampling: for every step that is tried, its opposite too."""

from __future__ import annotations

import numpy as np

from pg_theano.types import Array, UserError


def check_even(population_size: int) -> None:
    if population_size % 2:
        raise UserError(
            f"population_size must be even for mirrored sampling; got {population_size}; try {population_size + 1}"
        )


def draw(rng: np.random.Generator, mean: Array, std: Array, population_size: int) -> Array:
    """Candidates [P, D]: the first half mean + std·ε, the second half mean − std·ε, in the same order of ε ~ N(0, 1).

    So candidate i and candidate i + P/2 are a pair, and `candidates.reshape(2, P/2, D)` has the pairs side by side.
    Sehnke et al. 2010, section 3.3; Salimans et al. 2017, section 2.1. `std` is [D] or a scalar.
    """
    step = std * rng.standard_normal((population_size // 2, mean.size), mean.dtype)  # [P/2, D]
    return np.concatenate([mean + step, mean - step])
