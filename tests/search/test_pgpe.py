"""PGPE: the graph's gradient against the papers' formulas, differences and the truth; its step."""

import itertools

import helpers_graphs as by_definition
import numpy as np
import pytest

from pg_theano.spec.smaller import Gaussian
from pg_theano.training.population import ranking, searchers

SPEC = Gaussian(num_params=3, optimizer="sgd", dtype="float64")


@pytest.fixture(scope="module")
def gradient():
    """(mean, std, candidates [P, D], signal [P]) to the gradients by the mean and by log std, by the interpreter."""
    call = by_definition.interpreted_graph(SPEC, "gradient", "algorithms.pgpe")

    def found(mean, std, candidates, signal):
        pairs = {"candidates": candidates.reshape(2, -1, 3), "signal": signal.reshape(2, -1)}
        return call({"mean": mean, "std": std} | pairs)

    return found


def a_generation(seed, num_pairs=6):
    rng = np.random.default_rng(seed)
    mean, std = rng.standard_normal(3), rng.uniform(0.2, 2.0, 3)
    return mean, std, ranking.mirrored(rng, mean, std, 2 * num_pairs), rng.standard_normal(2 * num_pairs)


def less_the_other_pairs(signal):
    """u_p minus the mean of all signals but those of p and its mirror image, in a loop."""
    half = len(signal) // 2
    return np.array(
        [signal[p] - np.mean([signal[q] for q in range(2 * half) if (q - p) % half]) for p in range(2 * half)]
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_is_the_one_on_paper(gradient, seed):
    """Sehnke et al. 2010, eq. 11: ∇_μ log p = (θ−μ)/σ², ∇_σ log p = ((θ−μ)² − σ²)/σ³, and ∇_log σ = σ·∇_σ.

    Caught, when planted: a baseline with the pair's own signal in it; half the gradient by log std; 1/P forgotten; a
    density of another σ.
    """
    mean, std, candidates, signal = a_generation(seed)
    advantage = less_the_other_pairs(signal)[:, None]
    by_mean = np.mean(advantage * (candidates - mean) / std**2, axis=0)
    by_std = np.mean(advantage * ((candidates - mean) ** 2 - std**2) / std**3, axis=0)
    found = gradient(mean, std, candidates, signal)
    np.testing.assert_allclose(found["mean"], by_mean, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found["log_std"], std * by_std, rtol=0, atol=1e-10)


def test_the_gradient_is_the_difference_quotient_of_the_expected_log_density(gradient):
    """Central differences of 1/P·Σ (u−b)·log N(θ; μ, σ²), by SciPy's density. Caught, when planted: as above."""
    from scipy.stats import norm

    mean, std, candidates, signal = a_generation(11)
    advantage = less_the_other_pairs(signal)

    def expected(mean, log_std):
        return np.mean(advantage * norm.logpdf(candidates, mean, np.exp(log_std)).sum(axis=1))

    found = gradient(mean, std, candidates, signal)
    for index in range(3):
        small = 1e-5 * np.eye(3)[index]
        by_mean = (expected(mean + small, np.log(std)) - expected(mean - small, np.log(std))) / 2e-5
        by_log_std = (expected(mean, np.log(std) + small) - expected(mean, np.log(std) - small)) / 2e-5
        assert found["mean"][index] == pytest.approx(by_mean, rel=1e-7, abs=1e-8)
        assert found["log_std"][index] == pytest.approx(by_log_std, rel=1e-7, abs=1e-8)


def test_the_gradient_is_unbiased_exactly(gradient):
    """Of F(θ) = c·θ − ½·θᵀAθ, 𝔼F = c·μ − ½·μᵀAμ − ½·Σ A_dd·σ_d²: by μ it is c − Aμ, by log σ −A_dd·σ_d².

    The raw fitness as the signal. The expectation is exact: over every generation of 2 pairs whose 6 draws ε are nodes
    (−√3, 0, √3) of Gauss-Hermite quadrature, weighted (1/6, 2/3, 1/6), which is N(0, 1) to the fifth moment; the
    estimate is of degree 4 in each. Caught, when planted: a baseline with the pair's own signal (the std's gradient
    half of what it should be); a density of another σ; half
    the gradient by log std; 1/P forgotten.
    """
    rng = np.random.default_rng(3)
    root = rng.standard_normal((3, 3))
    matrix, slope = root @ root.T, rng.standard_normal(3)
    mean, std = rng.standard_normal(3), np.array([0.3, 0.7, 1.2])
    expected = {"mean": 0.0, "log_std": 0.0}
    for noise, weight in by_quadrature(6):
        step = std * noise.reshape(2, 3)
        candidates = np.concatenate([mean + step, mean - step])
        values = candidates @ slope - 0.5 * np.einsum("pi,ij,pj->p", candidates, matrix, candidates)
        found = gradient(mean, std, candidates, values)
        expected = {name: expected[name] + weight * found[name] for name in expected}
    np.testing.assert_allclose(expected["mean"], slope - matrix @ mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(expected["log_std"], -np.diag(matrix) * std**2, rtol=0, atol=1e-12)


def by_quadrature(number):
    """(ε [number], weight) of the product rule."""
    nodes, weights = np.sqrt(3) * np.array([-1, 0, 1]), np.array([1, 4, 1]) / 6
    for chosen in itertools.product(range(3), repeat=number):
        yield nodes[list(chosen)], weights[list(chosen)].prod()


@pytest.fixture(scope="module")
def searcher():
    """The compiled one; with the same knobs as `SPEC`'s interpreter reads."""
    return searchers.make("pgpe", size=3, population_size=12, initial_std=0.5, optimizer="sgd")


def test_a_generation_is_one_step_of_each_natural_gradient(gradient, searcher):
    """μ' = μ + η·σ²·∇_μ, σ' = σ·exp(η_σ·½·∇_log σ), with the graph's own gradients (checked above) of the ranks.

    Caught, when planted: descent; the step of the mean not in units of σ; the raw fitness for its ranks; pairs
    taken as neighbours.
    """
    mean, std, candidates, values = a_generation(2)
    state = {"mean": mean, "std": std}
    told = searcher.tell(state, candidates, values, {"learning_rate": 0.7, "std_learning_rate": 0.4})
    found = gradient(mean, std, candidates, ranking.centred_ranks(values))
    np.testing.assert_allclose(told["mean"], mean + 0.7 * std**2 * found["mean"], rtol=1e-12)
    np.testing.assert_allclose(told["std"], std * np.exp(0.4 * 0.5 * found["log_std"]), rtol=1e-12)


def test_a_std_changes_by_a_fifth_at_most(searcher):
    """Caught, when planted: no bound; a bound on one side; log 0.8 for both."""
    mean, std, candidates, _ = a_generation(2)
    for sign, factor in ((1.0, 1.2), (-1.0, 0.8)):
        values = sign * (((candidates - mean) / std) ** 2).sum(axis=1)
        knobs = {"learning_rate": 0.0, "std_learning_rate": 1e6}
        told = searcher.tell({"mean": mean, "std": std}, candidates, values, knobs)
        np.testing.assert_allclose(told["std"], factor * std, rtol=1e-12)
        assert np.array_equal(told["mean"], mean)


def test_clipping_bounds_the_step_of_the_mean(searcher):
    """In units of the std. Caught, when planted: a max_gradient_norm that nobody reads."""
    mean, std, candidates, values = a_generation(4)
    knobs = {"learning_rate": 1.0, "std_learning_rate": 0.0, "max_gradient_norm": 1e-3}
    told = searcher.tell({"mean": mean, "std": std}, candidates, values, knobs)
    assert np.linalg.norm((told["mean"] - mean) / std) == pytest.approx(1e-3, rel=1e-9)


def test_a_generation_of_equals_changes_nothing(searcher):
    mean, std, candidates, _ = a_generation(4)
    knobs = {"learning_rate": 1.0, "std_learning_rate": 1.0}
    told = searcher.tell({"mean": mean, "std": std}, candidates, np.full(12, 500.0), knobs)
    np.testing.assert_allclose(told["mean"], mean, atol=1e-14)
    np.testing.assert_allclose(told["std"], std, rtol=1e-14)
