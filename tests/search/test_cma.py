"""CMA-ES through the package: our dict of arrays against an object of the package that is kept alive."""

import re
from pathlib import Path

import cmaes
import numpy as np
import pytest

from pg_theano.training.population import cma, searchers
from pg_theano.types import UserError


class Shared:
    """A generator where the package expects a RandomState."""

    def __init__(self, rng):
        self.randn = rng.standard_normal


def ellipsoid(x):
    """Minimised at (1, ..., 1); axes of 1 to 1,000, turned."""
    turned = np.linalg.qr(np.random.default_rng(1).standard_normal((x.shape[1], x.shape[1])))[0]
    return ((np.logspace(0, 3, x.shape[1]) * ((x - 1) @ turned)) ** 2).sum(axis=1)


@pytest.mark.parametrize(("size", "population_size"), [(2, 6), (7, None), (7, 30)])
def test_generations_through_the_state_equal_those_of_an_object_kept_alive(size, population_size):
    """The same draws; the package asks for itself. Candidates agree to 1e-12 of their spread (one matrix product for
    all, instead of one each), and what `tell` makes of the same candidates to the bit.

    Caught, when planted: an entry of HELD not set again (each but the mean, which the resumed search of `test_cem.py`
    catches); fitness not negated; the eigenvectors computed anew from a covariance that they had already changed.
    """
    searcher = searchers.make("cmaes", size=size, population_size=population_size, initial_std=0.6)
    alive = cmaes.CMA(mean=np.zeros(size), sigma=0.6, population_size=population_size)
    alive._rng = Shared(np.random.default_rng(5))
    rng, state = np.random.default_rng(5), searcher.init(np.zeros(size))
    for _ in range(60):
        expected = np.array([alive.ask() for _ in range(alive.population_size)])
        candidates = searcher.ask(state, rng, {})
        scale = np.abs(expected - alive.mean).max()
        np.testing.assert_allclose(candidates, expected, rtol=0, atol=1e-12 * scale + 1e-15)
        values = ellipsoid(expected)
        alive.tell(list(zip(expected, values, strict=True)))
        state = searcher.tell(state, expected, -values, {})
        assert np.array_equal(state["mean"], alive.mean) and state["generation"] == alive.generation
        assert state["std"] == alive._sigma and np.array_equal(state["path/covariance"], alive._pc)
        assert np.array_equal(state["path/std"], alive._p_sigma)


def test_all_that_the_package_remembers_from_one_generation_to_the_next_is_held():
    """Every attribute that 5 generations change is in HELD, but for its generator and a record that only its own
    stopping rule reads. A new version of the package that remembers more fails here.

    Caught, when planted: an entry of HELD taken out.
    """
    alive = cmaes.CMA(mean=np.zeros(3), sigma=0.6)
    alive._eigen_decomposition()
    before = {name: np.array(value, copy=True) for name, value in vars(alive).items() if name != "_rng"}
    for _ in range(5):
        asked = [alive.ask() for _ in range(alive.population_size)]
        alive.tell([(x, float((x**2).sum())) for x in asked])
    alive._eigen_decomposition()
    changed = {name for name, value in before.items() if not np.array_equal(value, np.array(getattr(alive, name)))}
    assert changed - {"_funhist_values"} == set(cma.HELD.values())


def test_a_version_of_the_package_that_names_things_otherwise_is_refused(monkeypatch):
    """Caught, when planted: no check, and the attribute set where nobody reads it."""

    class Renamed(cmaes.CMA):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self._path = self.__dict__.pop("_pc")

    monkeypatch.setattr(cmaes, "CMA", Renamed)
    with pytest.raises(UserError, match=r"its CMA object has no _pc, .* pip install"):
        searchers.make("cmaes", size=3, population_size=None, initial_std=1.0)


@pytest.mark.parametrize("size", [1, 2, 5, 10, 100])
def test_the_default_population_is_the_packages(size):
    assert searchers.default_population("cmaes", size) == cmaes.CMA(mean=np.zeros(size), sigma=1.0).population_size


def test_parameters_that_run_away_end_the_search_in_words():
    """The package says it with a bare assertion. Caught, when planted: no check."""
    searcher = searchers.make("cmaes", size=2, population_size=6, initial_std=1e32)
    state = searcher.init(np.zeros(2))
    candidates = searcher.ask(state, np.random.default_rng(0), {})
    with pytest.raises(UserError, match="smaller initial_std"):
        searcher.tell(state, candidates, candidates[:, 0], {})


def test_the_package_is_imported_in_one_file():
    """Caught, when planted: `import cmaes` in searchers.py."""
    package = Path(cma.__file__).parents[1]
    imported = re.compile(r"^\s*(import|from) cmaes\b", re.M)
    assert {path.name for path in package.rglob("*.py") if imported.search(path.read_text())} == {"cma.py"}
