"""What several searchers share: a generation drawn in mirrored pairs, its order by fitness, and its ranks."""

import numpy as np

from pg_theano.types import Array, UserError


def worst_last(fitness: Array) -> Array:
    """Fitness as float64, −∞ where it is not finite: such a candidate is worse than every other. [P] to [P].

    Errors: `UserError` where none is finite, for then there is nothing to learn from.
    """
    fitness = np.asarray(fitness, np.float64)
    finite = np.isfinite(fitness)
    if not finite.any():
        raise UserError(
            f"fitness: none of the {fitness.size} candidates has a finite one (the first: {fitness[0]}); "
            "expected a finite number for at least one; try a smaller initial_std"
        )
    return np.where(finite, fitness, -np.inf)


def best_first(fitness: Array) -> Array:
    """Indices of the candidates, best first; of equals the first drawn, and what is not finite last. [P] to [P]."""
    return np.argsort(-worst_last(fitness), kind="stable")


def centred_ranks(fitness: Array) -> Array:
    """The share of the others that each candidate beats, from −½ (none) to ½ (all).

        u_p = (#{q: F_q < F_p} + ½·#{q ≠ p: F_q = F_p}) / (P − 1) − ½           Salimans et al. 2017, section 2

    Equals share the mean of their ranks (theirs are ranked by chance), so that a generation in which all are equal
    has no gradient. The sum is 0. Shapes: [P] to [P], P at least 2.
    """
    fitness = worst_last(fitness)
    ordered = np.sort(fitness)
    below = np.searchsorted(ordered, fitness, "left")
    not_above = np.searchsorted(ordered, fitness, "right")
    return (below + not_above - 1) / (2.0 * (len(fitness) - 1)) - 0.5


def check_even(population_size: int) -> None:
    """Errors: `UserError` for a population that cannot be drawn in pairs."""
    if population_size % 2:
        raise UserError(
            f"population_size must be even for mirrored sampling; got {population_size}; try {population_size + 1}"
        )


def mirrored(rng: np.random.Generator, mean: Array, std: Array, population_size: int) -> Array:
    """Candidates [P, D]: the first half mean + std·ε, the second half mean − std·ε, in the same order of ε ~ N(0, 1).

    So candidate i and candidate i + P/2 are a pair, and `candidates.reshape(2, P/2, D)` has the pairs side by side.
    Sehnke et al. 2010, section 3.3; Salimans et al. 2017, section 2.1. `std` is [D] or a scalar.
    """
    step = std * rng.standard_normal((population_size // 2, mean.size), mean.dtype)  # [P/2, D]
    return np.concatenate([mean + step, mean - step])
