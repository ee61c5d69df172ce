"""The evolution strategy: its gradient against the analytic one, mirrored order, its step."""

import numpy as np
import pytest

from pg_theano.by_hand import optimizers
from pg_theano.training.population import es, ranking, searchers

ADAM = {"learning_rate": 0.3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}


def test_the_halves_of_a_generation_mirror_each_other():
    """Caught, when planted: pairs side by side, [2i] and [2i+1]; the sign of the second half."""
    mean, std = np.array([1.0, -2, 3]), np.array([1.0, 0.1, 10])
    candidates = ranking.mirrored(np.random.default_rng(0), mean, std, 10)
    np.testing.assert_allclose(candidates[:5] + candidates[5:], np.tile(2 * mean, (5, 1)), atol=1e-13)
    noise = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_allclose(candidates[:5], mean + std * noise, rtol=1e-15)


def test_the_gradient_is_unbiased():
    """Of F(θ) = c·θ − ½·θᵀAθ the smoothed gradient is c − A·μ exactly; 4,000 generations of 8, 4.5 standard errors.

    Caught, when planted: σ for 1/σ; 1/P forgotten; ε without σ.
    """
    rng = np.random.default_rng(3)
    size, std = 3, np.float64(0.7)
    root = rng.standard_normal((size, size))
    matrix, slope, mean = root @ root.T, rng.standard_normal(size), rng.standard_normal(size)
    found = []
    for _ in range(4_000):
        candidates = ranking.mirrored(rng, mean, std, 8)
        values = candidates @ slope - 0.5 * ((candidates @ matrix) * candidates).sum(axis=1)
        found.append(es.gradient_of(candidates, values, mean, std))
    error = np.mean(found, axis=0) - (slope - matrix @ mean)
    doubt = 4.5 * np.std(found, axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(error) < doubt)
    assert np.linalg.norm(doubt) < 0.1 * np.linalg.norm(slope - matrix @ mean)  # so that a factor would be seen


def test_two_steps_are_adams_of_the_ranked_gradient_in_units_of_the_std():
    """Written from Kingma and Ba 2015, algorithm 1. Caught, when planted: descent; a rate in units of the parameters;
    the raw fitness for its ranks.
    """
    std = 0.5
    searcher = searchers.make("es", size=2, population_size=4, initial_std=std)
    state, rng = searcher.init(np.array([1.0, 2.0])), np.random.default_rng(0)
    mean, first, second = np.array([1.0, 2.0]), 0.0, 0.0
    for step in (1, 2):
        candidates = searcher.ask(state, rng, ADAM)
        values = np.exp(-candidates).sum(axis=1)
        noise = (candidates - mean) / std
        gradient = sum(rank * e for rank, e in zip(ranking.centred_ranks(values), noise, strict=True)) / 4
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        mean = mean + 0.3 * std * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        state = searcher.tell(state, candidates, values, ADAM)
        np.testing.assert_allclose(state["mean"], mean, rtol=1e-13)
    assert state["std"] == std and state["mean/step"] == 2


def test_clipping_bounds_the_step_of_sgd():
    """Caught, when planted: a max_gradient_norm that nobody reads."""
    searcher = searchers.make("es", size=2, population_size=6, initial_std=0.5, optimizer="sgd")
    state = searcher.init(np.zeros(2))
    candidates = searcher.ask(state, np.random.default_rng(0), {})
    knobs = {"learning_rate": 1.0, "max_gradient_norm": 1e-3}
    moved = searcher.tell(state, candidates, candidates.sum(axis=1), knobs)["mean"]
    assert np.linalg.norm(moved) == pytest.approx(0.5e-3, rel=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_its_optimisers_are_the_twins_bit_for_bit(optimizer, dtype):
    """Twelve generations, clipped and not, beside `by_hand/optimizers.py`. Caught, when planted: Adam's root of the
    biased moment; a norm of the mean; ε inside the root.
    """
    knobs = ADAM | {"max_gradient_norm": 0.05}
    searcher = searchers.make("es", size=5, population_size=8, initial_std=0.5, optimizer=optimizer, dtype=dtype)
    rng = np.random.default_rng(0)
    state = searcher.init(rng.standard_normal(5))
    for step in range(12):
        knobs["max_gradient_norm"] = (0.05, None)[step % 2]
        candidates = searcher.ask(state, rng, knobs)
        values = np.cos(candidates).sum(axis=1)
        signal = ranking.centred_ranks(values).astype(dtype)
        uphill = state["std"] * es.gradient_of(candidates, signal, state["mean"], state["std"])
        (uphill,), norm = optimizers.clip_by_global_norm([uphill], knobs["max_gradient_norm"])
        rate = knobs["learning_rate"] * state["std"]
        constants = {name: knobs[name] for name in ("beta1", "beta2", "epsilon") if optimizer == "adam"}
        theirs = optimizers.BY_NAME[optimizer](state, "mean", -uphill, learning_rate=rate, **constants)
        assert norm > 0.05
        state = searcher.tell(state, candidates, values, knobs)
        assert {name: np.asarray(value, dtype).tobytes() for name, value in theirs.items()} == {
            name: value.tobytes() for name, value in state.items()
        }
