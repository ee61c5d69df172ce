"""The cross-entropy method against its definition, and what all searchers share: ranks, purity, resuming, errors."""

import math

import numpy as np
import pytest

from pg_theano.training.population import cem, ranking, searchers
from pg_theano.types import UserError

CONSTANTS = {
    "elite_fraction": 0.25, "extra_std": 0.1, "learning_rate": 0.3, "std_learning_rate": 0.5,
    "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
}  # fmt: skip


def make(name="cem", *, size=3, population_size=8, initial_std=0.5, **changes):
    return searchers.make(name, size=size, population_size=population_size, initial_std=initial_std, **changes)


def test_a_generation_is_the_elites_mean_and_variance_with_the_extra_variance_added():
    """Worked by hand: P = 8, a quarter are elites, (1, 2) and (3, 6): mean (2, 4), variance (1, 4); extra std 0.5.

    Caught, when planted: stds added (1.5, 2.5); the extra std added as a variance; 1/(n−1); the worst kept; a square
    root forgotten.
    """
    searcher = make(size=2)
    candidates = np.array([[9.0, 9], [1, 2], [7, 7], [3, 6], [8, 8], [5, 5], [0, 0], [6, 1]])
    values = np.array([0.0, 10, -3, 12, 1, 9, 2, -1])
    state = searcher.tell(searcher.init(np.zeros(2)), candidates, values, {"elite_fraction": 0.25, "extra_std": 0.5})
    np.testing.assert_allclose(state["mean"], [2, 4], rtol=1e-15)
    np.testing.assert_allclose(state["std"], [math.sqrt(1.25), math.sqrt(4.25)], rtol=1e-15)


def test_a_full_covariance_is_that_of_the_elites_with_the_extra_variance_on_its_diagonal():
    """Caught, when planted: the extra variance added to every entry; 1/(n−1)."""
    searcher = make(size=2, covariance="full")
    candidates = np.array([[9.0, 9], [1, 2], [7, 7], [3, 6], [8, 8], [5, 5], [0, 0], [6, 1]])
    values = np.array([0.0, 10, -3, 12, 1, 9, 2, -1])
    state = searcher.tell(searcher.init(np.zeros(2)), candidates, values, {"elite_fraction": 0.25, "extra_std": 0.5})
    np.testing.assert_allclose(state["covariance"], [[1.25, 2], [2, 4.25]], rtol=1e-15)


@pytest.mark.parametrize(
    ("population", "fraction", "number"), [(50, 0.2, 10), (50, 0.01, 2), (9, 0.5, 4), (3, 1.0, 3), (2, 0.1, 2)]
)
def test_elites_are_the_nearest_whole_number_and_two_at_least(population, fraction, number):
    assert cem.elite_count(population, fraction) == number


@pytest.mark.parametrize(
    "covariance",
    [
        np.array([[2.0, -1, 0.5], [-1, 3, 0], [0.5, 0, 1]]),
        np.ones((3, 3)),  # of rank one
        np.zeros((3, 3)),
        np.diag([1.0, -1e-17, 4]),  # as rounding may leave it
    ],
)
def test_candidates_have_the_covariance_of_the_state_even_a_singular_one(covariance):
    """40,000 draws: an entry of a sample covariance errs by about 3·√(2/40,000).

    Caught, when planted: noise @ R instead of noise @ Rᵀ; eigenvalues as they are (NaN).
    """
    searcher = make(population_size=40_000, covariance="full")
    state = {"mean": np.array([1.0, 2, 3]), "covariance": covariance}
    candidates = searcher.ask(state, np.random.default_rng(0), {})
    np.testing.assert_allclose(np.cov(candidates.T), covariance, atol=0.09)
    np.testing.assert_allclose(candidates.mean(axis=0), [1, 2, 3], atol=0.05)


def test_centred_ranks_share_what_equals_have_and_put_what_is_not_finite_last():
    """Six candidates: ranks 0 to 5 over 5, less a half; the two equals share ranks 3 and 4, NaN and −∞ 0 and 1.

    Caught, when planted: ranks in order of appearance for equals; NaN first, as a sort puts it at the end.
    """
    found = ranking.centred_ranks(np.array([2.0, np.nan, 7.0, 2.0, -np.inf, 1.0]))
    np.testing.assert_allclose(found, np.array([3.5, 0.5, 5, 3.5, 0.5, 2]) / 5 - 0.5, atol=1e-15)
    assert ranking.centred_ranks(np.full(4, 3.0)).tolist() == [0, 0, 0, 0]


def test_the_best_come_first_and_of_equals_the_first_drawn():
    """An infinite fitness is no fitness. Caught, when planted: +∞ taken as the best; an unstable order."""
    values = np.array([1.0, np.inf, 4, np.nan, 4, -2] + [1.0] * 30)
    assert ranking.best_first(values)[:3].tolist() == [2, 4, 0]
    assert set(ranking.best_first(values)[-2:].tolist()) == {1, 3}


QUICK = ["cem", "es", "cmaes", "pgpe"]


@pytest.fixture(scope="module", params=QUICK)
def searcher(request):
    return request.param, make(request.param)


def play(searcher, state, generations, *, seed=7, optimum=1.0):
    """Generations from `generations`, each with a generator of its own; what they drew, and the state after them."""
    drawn = []
    for generation in generations:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, generation)))
        candidates = searcher.ask(state, rng, CONSTANTS)
        drawn.append(candidates)
        state = searcher.tell(state, candidates, -((candidates - optimum) ** 2).sum(axis=1), CONSTANTS)
    return drawn, state


def test_a_resumed_search_equals_an_uninterrupted_one_bit_for_bit(searcher):
    """The state goes through an .npz-like copy half-way, and on into a searcher made anew.

    Caught, when planted: the eigenvectors of cmaes, or Adam's step of es, kept in the closure and not in the state.
    """
    name, one = searcher
    drawn, state = play(one, one.init(np.zeros(3)), range(8))
    first, half = play(one, one.init(np.zeros(3)), range(4))
    again = make(name)
    second, resumed = play(again, {key: value.copy() for key, value in half.items()}, range(4, 8))
    for expected, got in zip(drawn, first + second, strict=True):
        assert np.array_equal(expected, got)
    assert {key: value.tobytes() for key, value in state.items()} == {key: v.tobytes() for key, v in resumed.items()}


def test_asking_and_telling_change_nothing_that_they_are_given(searcher):
    """Caught, when planted: the mean of cmaes not copied, to which the package adds in place."""
    _, one = searcher
    state = one.init(np.arange(3.0))
    before = {key: value.copy() for key, value in state.items()}
    candidates = one.ask(state, np.random.default_rng(0), CONSTANTS)
    values = -(candidates**2).sum(axis=1)
    kept = candidates.copy(), values.copy()
    first, second = (one.tell(state, candidates, values, CONSTANTS) for _ in range(2))
    assert all(np.array_equal(before[key], state[key]) for key in state)
    assert np.array_equal(kept[0], candidates) and np.array_equal(kept[1], values)
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_state_is_arrays_of_the_same_names_shapes_and_dtypes_from_one_generation_to_the_next(searcher):
    _, one = searcher
    states = [one.init(np.zeros(3)), play(one, one.init(np.zeros(3)), range(2))[1]]
    described = [{key: (type(v), v.dtype, v.shape) for key, v in state.items()} for state in states]
    assert described[0] == described[1]
    assert described[0]["mean"] == (np.ndarray, np.float64, (3,))


def test_the_mean_walks_towards_higher_fitness(searcher):
    """Caught, when planted in each: the sign of the fitness."""
    _, one = searcher
    _, state = play(one, one.init(np.zeros(3)), range(30))
    assert np.linalg.norm(state["mean"] - 1) < 0.5 * math.sqrt(3)


def test_a_candidate_without_a_finite_fitness_counts_as_the_worst(searcher):
    """Caught, when planted: NaN told to cmaes as it is; +∞ as the best."""
    _, one = searcher
    state = one.init(np.zeros(3))
    candidates = one.ask(state, np.random.default_rng(1), CONSTANTS)
    values = -((candidates - 1) ** 2).sum(axis=1)
    worst = int(np.argmin(values))
    expected = one.tell(state, candidates, values, CONSTANTS)
    for bad in (np.nan, np.inf, -np.inf):
        told = one.tell(state, candidates, np.where(np.arange(8) == worst, bad, values), CONSTANTS)
        assert all(np.array_equal(expected[key], told[key]) for key in told)


def test_a_generation_without_any_finite_fitness_is_refused(searcher):
    _, one = searcher
    state = one.init(np.zeros(3))
    candidates = one.ask(state, np.random.default_rng(1), CONSTANTS)
    with pytest.raises(UserError, match="none of the 8 candidates"):
        one.tell(state, candidates, np.full(8, np.nan), CONSTANTS)


@pytest.mark.parametrize("name", ["cem", "es", "cmaes"])
def test_candidates_and_mean_are_of_the_dtype(name):
    one = make(name, dtype="float32")
    _, state = play(one, one.init(np.zeros(3)), range(2))
    assert state["mean"].dtype == one.ask(state, np.random.default_rng(0), CONSTANTS).dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "cma"}, "did you mean cmaes"),
        ({"name": "pgpe", "population_size": 7}, "population_size must be even for mirrored sampling; got 7"),
        ({"name": "es", "population_size": 7}, "population_size must be even for mirrored sampling; got 7"),
        ({"name": "cmaes", "population_size": 3}, "4 or more for cmaes; got 3"),
        ({"population_size": 1}, "expected 2 or more"),
        ({"size": 0}, "expected 1 or more"),
        ({"initial_std": 0.0}, "expected a positive number"),
        ({"initial_std": math.nan}, "expected a positive number"),
        ({"dtype": "float16"}, "float32 or float64"),
        ({"covariance": "low-rank"}, "diagonal or full"),
        ({"name": "es", "covariance": "full"}, "try cem or cmaes"),
        ({"name": "es", "optimizer": "rmsprop"}, "es expects sgd or adam"),
        ({"name": "pgpe", "optimizer": "adagrad"}, "pgpe expects one of"),
    ],
)
def test_bad_arguments_are_named(arguments, said):
    with pytest.raises(UserError, match=said) as caught:
        make(**arguments)
    assert "\n" not in str(caught.value)
