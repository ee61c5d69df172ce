"""Any function: known ones against known minima, `cmaes` itself and SciPy; what is asked of the function; bad input."""

import concurrent.futures
import doctest
import math
import statistics
import subprocess
import sys

import cmaes
import numpy as np
import pytest
import scipy.optimize

from pg_theano.search import minimise
from pg_theano.types import UserError

METHODS = ["cem", "pgpe", "es", "cmaes"]
SEEDS = range(3)


def sphere(x):
    return float(np.sum((x - 1.0) ** 2))


def spheres(x):
    return np.sum((x - 1.0) ** 2, axis=1)


def rosenbrock(x):
    return np.sum(100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2, axis=1)


def rastrigin(x):
    return 10 * x.shape[1] + np.sum(x**2 - 10 * np.cos(2 * np.pi * x), axis=1)


def run(function, x0, method, seed=0, **options):
    return minimise(function, x0, method=method, seed=seed, batch=True, **options)


# -- known functions


# Of the 5-dimensional sphere, 4,000 evaluations from a distance of √5; the bound is some 30 times the worst of 3 seeds.
@pytest.mark.parametrize(("method", "bound"), [("cmaes", 1e-7), ("pgpe", 1e-6), ("cem", 1e-4), ("es", 1e-4)])
def test_the_minimum_of_a_sphere_is_found(method, bound):
    for seed in SEEDS:
        result = run(spheres, np.zeros(5), method, seed, budget=4_000, target=1e-8)
        assert sphere(result.mean) < bound
        assert result.fun == pytest.approx(sphere(result.x), rel=1e-12)


@pytest.mark.slow
def test_cmaes_solves_rosenbrock_in_as_many_evaluations_as_the_package_and_in_fewer_than_scipy():
    """Five dimensions, to 1e-8, from 0, three seeds. SciPy's simplex and differential evolution are given the same start,
    or a box of ±2. Caught, when planted: an evolution path of the step size that is not kept.
    """
    ours = [run(rosenbrock, np.zeros(5), "cmaes", s, initial_std=0.5, budget=20_000, target=1e-8) for s in SEEDS]
    assert all(result.reason == "target" for result in ours)
    package = [packages_evaluations(s) for s in SEEDS]
    count = statistics.median(result.evaluations for result in ours)
    assert count < 1.25 * statistics.median(package)

    def one(x):
        return rosenbrock(x[None])[0]

    box = [(-2, 2)] * 5  # 75 candidates a generation: 3,075 evaluations in all
    evolved = [scipy.optimize.differential_evolution(one, box, rng=s, maxiter=40, polish=False) for s in SEEDS]
    assert max(result.evaluations for result in ours) < 3_000
    assert min(result.fun for result in evolved) > 1e-4
    simplex = scipy.optimize.minimize(one, np.zeros(5), method="Nelder-Mead", options={"fatol": 1e-8, "maxfev": 4_000})
    assert simplex.fun < 1e-6  # the function's minimum is where we say
    assert max(np.abs(result.x - simplex.x).max() for result in ours) < 0.01


def packages_evaluations(seed):
    alive = cmaes.CMA(mean=np.zeros(5), sigma=0.5, seed=seed)
    for generation in range(2_500):
        asked = np.array([alive.ask() for _ in range(alive.population_size)])
        values = rosenbrock(asked)
        if values.min() <= 1e-8:
            return (generation + 1) * alive.population_size
        alive.tell(list(zip(asked, values, strict=True)))
    raise AssertionError("the package did not solve it")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "bound"), [("cem", 3.0), ("pgpe", 3.0)])
def test_the_others_get_into_rosenbrocks_valley_and_some_way_along_it(method, bound):
    """At the start, 0, the value is 4; Gaussians along the axes do not fit a curved valley, and it goes slowly."""
    found = [run(rosenbrock, np.zeros(5), method, s, initial_std=0.5, budget=12_000).fun for s in SEEDS]
    assert max(found) < bound and statistics.median(found) < 2.5


# Start (2.5, ..., 2.5), some 31 + 50 above the minimum, among 5⁵ local minima, the best other one at 0.995.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "bound", "options"),
    [("cem", 5.0, {}), ("pgpe", 2.5, {}), ("cmaes", 2.5, {"population_size": 100}), ("es", 1.0, {})],
)
def test_rastrigin_is_searched_as_a_whole(method, bound, options):
    """The median over three seeds. A local search (SciPy's simplex) stays where it starts, above 20."""
    start = np.full(5, 2.5)
    found = [run(rastrigin, start, method, s, initial_std=2.0, budget=20_000, target=1e-6, **options) for s in SEEDS]
    assert statistics.median(rastrigin(result.mean[None])[0] for result in found) < bound
    local = scipy.optimize.minimize(lambda x: rastrigin(x[None])[0], start, method="Nelder-Mead")
    assert local.fun > 20


# Ten dimensions, from a value of 10, noise of std 0.5 on each evaluation: the bound is about twice the worst seen, or more.
@pytest.mark.parametrize(("method", "bound"), [("cmaes", 0.7), ("cem", 0.4), ("pgpe", 0.4), ("es", 0.02)])
def test_through_noise_the_mean_is_closer_than_the_noise_is_large(method, bound):
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        result = run(
            lambda x, rng=rng: spheres(x) + 0.5 * rng.standard_normal(len(x)), np.zeros(10), method, seed, budget=6_000
        )
        assert sphere(result.mean) < bound
        assert method == "es" or result.fun < 0  # the luckiest value lies: this is why `mean` is there


# -- what it does


def test_the_same_seed_finds_the_same_and_another_another():
    first, again, other = (run(spheres, np.zeros(3), "cem", seed, budget=200) for seed in (1, 1, 2))
    assert np.array_equal(first.x, again.x) and first.history == again.history
    assert not np.array_equal(first.x, other.x)


def test_the_budget_is_spent_in_whole_generations_and_never_exceeded():
    """Caught, when planted: one generation more."""
    calls = []
    result = minimise(lambda x: calls.append(1) or sphere(x), np.zeros(3), method="cem", population_size=30, budget=100)
    assert len(calls) == result.evaluations == 90 and result.generations == len(result.history) == 3
    assert result.reason == "budget"


def test_history_and_result_are_the_functions_own_values():
    """Caught, when planted: the fitness for the value; the last best instead of the least of all."""
    seen = []

    def noted(x):
        seen.append(spheres(x))
        return seen[-1]

    result = run(noted, np.zeros(3), "es", budget=300)
    for generation, values in zip(result.history, seen, strict=True):
        assert generation.lowest == values.min() and generation.median == np.median(values)
    assert [g.best for g in result.history] == [min(map(np.min, seen[: k + 1])) for k in range(len(seen))]
    assert result.fun == min(map(np.min, seen)) == sphere(result.x)


def test_it_stops_at_the_target_when_called_back_and_when_it_stands_still():
    """Caught, when planted: a target that must be undercut; no end for a search that has converged (NaN in cmaes)."""
    assert run(spheres, np.zeros(2), "cmaes", target=1e-3).reason == "target"
    assert run(lambda x: np.zeros(len(x)), np.zeros(2), "cmaes", target=0.0).generations == 1
    result = run(spheres, np.zeros(2), "cem", callback=lambda generation, x: generation.evaluations >= 96)
    assert result.reason == "callback" and result.evaluations == 96
    assert run(spheres, np.zeros(2), "cmaes", budget=50_000).reason == "converged"


def test_a_knob_may_be_a_function_of_the_generation():
    """Caught, when planted: the knob of generation 0 for all."""
    kept = run(spheres, np.zeros(3), "es", budget=2_000, learning_rate=lambda k: 0.5 if k < 10 else 0.0)
    ten = run(spheres, np.zeros(3), "es", budget=kept.history[9].evaluations, learning_rate=0.5)
    assert np.array_equal(kept.mean, ten.mean)


def test_workers_give_what_one_process_gives():
    alone = minimise(sphere, np.zeros(3), method="cem", budget=160)
    with concurrent.futures.ThreadPoolExecutor(2) as workers:
        assert minimise(sphere, np.zeros(3), method="cem", budget=160, workers=workers).history == alone.history


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "bounds", [(1.5, 4.0), (1.5, np.inf), ([1.5, -np.inf], [np.inf, 9.0]), ([-3, 1.5], [0.25, 1.75]), (-np.inf, 3.0)]
)
def test_the_function_is_never_called_outside_the_bounds_and_a_minimum_on_one_is_found(method, bounds):
    """Caught, when planted: `mean` not reflected; low and high exchanged where only one is there."""
    low, high = (np.broadcast_to(np.asarray(bound, float), 2) for bound in bounds)

    def inside(x):
        assert np.all((low <= x) & (x <= high))
        return spheres(x)

    start = np.clip([2.0, 1.6], low, high)
    result = run(inside, start, method, bounds=bounds, initial_std=1.0, budget=3_000, target=1e-9)
    nearest = np.clip([1.0, 1.0], low, high)
    assert np.all((low <= result.mean) & (result.mean <= high))
    assert sphere(result.x) - sphere(nearest) < 0.05


@pytest.mark.parametrize(
    ("bounds", "folded"),
    [
        ((0.0, 1.0), lambda x: np.arccos(np.cos(np.pi * x)) / np.pi),  # a triangle wave of period 2
        ((0.0, np.inf), np.abs),
        ((-np.inf, 1.0), lambda x: 1 - np.abs(1 - x)),
    ],
)
def test_what_is_drawn_outside_is_reflected_as_often_as_it_takes(bounds, folded):
    """The first generation with and without bounds, from the same seed, a std of 4 widths.

    Caught, when planted: reflected once and then clipped; clipped.
    """
    seen = []

    def noted(x):
        seen.append(x.copy())
        return spheres(x)

    for given in (None, bounds):
        run(noted, np.full(3, 0.5), "cem", bounds=given, initial_std=4.0, population_size=24, budget=24)
    assert np.ptp(seen[0]) > 8
    np.testing.assert_allclose(seen[1], folded(seen[0]), rtol=0, atol=1e-7)


def test_the_example_of_the_docstring_runs():
    """`doctest` of the module, in which the package's function of the same name hides it."""
    module = sys.modules["pg_theano.training.population.minimise"]
    assert doctest.testmod(module) == (0, 4)


def test_importing_it_is_cheap():
    """Caught, when planted: `import cmaes` at the top of searchers.py (SciPy comes with it)."""
    heavy = "{'pytensor', 'jax', 'cmaes', 'optuna', 'sklearn', 'scipy', 'pydantic', 'gymnasium'}"
    code = f"import sys, pg_theano.search; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"x0": [0.0, math.nan]}, r"x0\[1\] is nan"),
        ({"x0": [[0.0], [1.0]]}, r"shape \(2, 1\)"),
        ({"x0": 3.0}, r"shape \(\)"),
        ({"x0": []}, r"shape \(0,\)"),
        ({"x0": ["a"]}, "expected a vector of numbers"),
        ({"method": "pgpe", "population_size": 7}, "must be even for mirrored sampling; got 7"),
        ({"method": "es", "population_size": 7}, "must be even for mirrored sampling; got 7"),
        ({"method": "nelder-mead"}, "expected one of cem, pgpe, es, cmaes"),
        ({"method": "cem", "budget": 5}, "got 5 evaluations; expected 24 or more"),
        (
            {"method": "cem", "learning_rate": 1.0},
            "learning_rate is no argument and no knob of cem; expected .* extra_std",
        ),
        ({"initial_std": -1.0}, "expected a positive number"),
        ({"bounds": (1.0, 0.0)}, "expected low < high"),
        ({"bounds": (1.0, 2.0)}, r"x0\[0\] is 0.0; expected it within 1.0 and 2.0"),
        ({"bounds": 3.0}, r"expected \(low, high\)"),
        ({"function": lambda x: x}, r"shape \(2,\) for one x; expected a number"),
        ({"function": lambda x: "low"}, "expected a real number"),
        ({"function": lambda x: math.nan}, "none of the 6 values of generation 0 is finite"),
        ({"function": lambda x: -math.inf}, "none of the 6 values of generation 0 is finite"),
        ({"function": spheres, "batch": True, "workers": object()}, "expected one of the two"),
        ({"function": lambda x: x, "batch": True}, r"shape \(6, 2\) for 6 candidates"),
    ],
)
def test_bad_input_is_named_in_one_line(options, said):
    arguments = {"function": sphere, "x0": [0.0, 0.0]} | options
    with pytest.raises(UserError, match=said) as caught:
        minimise(arguments.pop("function"), arguments.pop("x0"), **arguments)
    assert "\n" not in str(caught.value)
