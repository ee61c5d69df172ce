"""The cross-entropy method: a Gaussian over the parameters, fitted to the best of each generation."""

import numpy as np

from pg_theano.training.population.ranking import best_first
from pg_theano.types import Array, Searcher, SearchState


def elite_count(population_size: int, elite_fraction: float) -> int:
    """The number of elites: the nearest whole number, but at least two, because one has no spread."""
    return min(population_size, max(2, round(population_size * elite_fraction)))


def make(*, size: int, population_size: int, initial_std: float, dtype: str, covariance: str) -> Searcher:
    """The searcher, with one Gaussian for each parameter (`covariance` "diagonal") or one for all ("full").

        θ_p    ~ N(mean, std²)  or  N(mean, C)                 p = 1..P
        elites = the n best of them                            n = P·elite_fraction
        mean   = 𝔼[elites]
        std²   = Var[elites] + extra_std²   or   C = Cov[elites] + extra_std²·I

    Rubinstein 1999 (the method); Mannor, Rubinstein and Gat 2003 (policies); Szita and Lőrincz 2006, eq. 3 (the extra
    noise, which keeps the search from freezing too early). `extra_std` is a standard deviation, in units of the
    parameters: what is added is its square, to a variance. The variance is that of the elites alone, 1/n.

    Reads the knobs `elite_fraction` in (0, 1] and `extra_std` ≥ 0; let both decay by giving others each generation.
    State: "mean" [D], and "std" [D] or "covariance" [D, D]. A full covariance of fewer elites than D + 1 is singular
    but for the extra noise: it is drawn from all the same, in the subspace that the elites span.
    """

    def init(x0: Array) -> SearchState:
        mean = np.array(x0, dtype)
        if covariance == "full":
            return {"mean": mean, "covariance": (initial_std**2 * np.eye(size)).astype(dtype)}
        return {"mean": mean, "std": np.full(size, initial_std, dtype)}

    def ask(state, rng, knobs):
        noise = rng.standard_normal((population_size, size), dtype)  # [P, D]
        if covariance == "full":
            return state["mean"] + noise @ root(state["covariance"]).T
        return state["mean"] + state["std"] * noise

    def tell(state, candidates, fitness, knobs):
        elites = candidates[best_first(fitness)[: elite_count(len(candidates), knobs["elite_fraction"])]]  # [n, D]
        mean = elites.mean(axis=0)
        centred = elites - mean
        extra = knobs["extra_std"] ** 2
        if covariance == "full":
            fitted = centred.T @ centred / len(elites) + extra * np.eye(size)
            return {"mean": mean.astype(dtype), "covariance": fitted.astype(dtype)}
        std = np.sqrt((centred * centred).mean(axis=0) + extra)
        return {"mean": mean.astype(dtype), "std": std.astype(dtype)}

    return Searcher(init, ask, tell)


def root(covariance: Array) -> Array:
    """A matrix R with R·Rᵀ = C, for any covariance C that is symmetric but for rounding, singular ones too. [D, D].

    Cholesky's, the quickest; where rounding has left C not positive definite, that of the eigenvectors, with
    eigenvalues below 0 taken as 0.
    """
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        variances, axes = np.linalg.eigh(covariance)
        return axes * np.sqrt(np.maximum(variances, 0))
