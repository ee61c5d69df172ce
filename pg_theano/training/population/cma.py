"""CMA-ES through the `cmaes` package: its object's memory as a dict of arrays, and back, in one place.

The package keeps what a generation needs in private attributes. `HELD` names them; `tell` fills a copy of one object
from the state, lets it work, and reads them back. The package's own `ask` draws one candidate at a time, from a
generator of its own: here a whole generation is drawn at once, from ours, in a twentieth of the time.
"""

import warnings
from typing import Any

import numpy as np

from pg_theano.training.population.ranking import worst_last
from pg_theano.types import Array, Searcher, SearchState, UserError

HELD = {
    "mean": "_mean",  # [D]
    "std": "_sigma",  # the step size, a scalar
    "covariance": "_C",  # [D, D], times std² the covariance of the candidates
    "axes": "_B",  # [D, D] its eigenvectors, kept from ask to tell: computed once a generation
    "scales": "_D",  # [D] the roots of its eigenvalues
    "path/std": "_p_sigma",  # [D] evolution path of the step size
    "path/covariance": "_pc",  # [D] evolution path of the covariance
    "generation": "_g",
}
"""State entry -> attribute of the package's object."""

LARGEST = 1e31
"""The package stops with a bare assertion at parameters of 1e32."""


def new(*, size: int, population_size: int, initial_std: float) -> Any:
    """An object of the package as it is before the first generation.

    Errors: `UserError` where this version of the package has no attribute of one of the names in `HELD`.
    """
    import cmaes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its weights divide 0 by 0 for a parameter or two
        optimizer = cmaes.CMA(mean=np.zeros(size), sigma=initial_std, population_size=population_size)
    missing = [name for name in (*HELD.values(), "_eigen_decomposition") if not hasattr(optimizer, name)]
    if missing:
        raise UserError(
            f"cmaes {cmaes.__version__}: its CMA object has no {', '.join(missing)}, which pg_theano keeps; "
            "expected a version like 0.13; try pip install 'cmaes==0.13.*'"
        )
    return optimizer


def _copied(optimizer: Any) -> Any:
    """Its attributes in a new object. `copy.copy` would go the way of pickling, with a new random generator: 0.2 ms."""
    new = object.__new__(type(optimizer))
    vars(new).update(vars(optimizer))
    return new


def to_state(optimizer: Any, dtype: str) -> SearchState:
    """All that the next generation needs, as arrays. The eigenvectors are computed here, and kept."""
    optimizer._eigen_decomposition()
    state = {name: np.array(getattr(optimizer, attribute), np.float64) for name, attribute in HELD.items()}
    return state | {"mean": state["mean"].astype(dtype)}


def from_state(template: Any, state: SearchState) -> Any:
    """The object whose state `to_state` wrote: a copy of the template with every held entry set.

    What is not held is constant, but for a record of values that only the package's own stopping rule would read.
    """
    optimizer = _copied(template)
    for name, attribute in HELD.items():
        value = np.array(state[name], np.float64)  # a copy: the package adds to the mean in place
        setattr(optimizer, attribute, value if value.ndim else value.item())
    optimizer._g = int(optimizer._g)
    return optimizer


def make(*, size: int, population_size: int, initial_std: float, dtype: str) -> Searcher:
    """The searcher: covariance matrix adaptation (Hansen 2016, "The CMA evolution strategy: a tutorial"), by `cmaes`.

        θ_p ~ N(mean, std²·C),   C = axes·diag(scales²)·axesᵀ          eq. 5

    The package minimises, so it is given −fitness. It reads no knob: all its rates follow from D and P. State: the
    entries of `HELD`, float64 as the package computes; "mean" alone, like the candidates, is of `dtype`.
    Errors: `UserError` for a population under 4, which leaves its weights undefined, or for one that runs away.
    """
    if population_size < 4:
        raise UserError(f"population_size must be 4 or more for cmaes; got {population_size}")
    template = new(size=size, population_size=population_size, initial_std=initial_std)

    def init(x0: Array) -> SearchState:
        optimizer = _copied(template)
        optimizer._mean = np.array(x0, dtype).astype(np.float64)
        return to_state(optimizer, dtype)

    def ask(state, rng, knobs):
        noise = rng.standard_normal((population_size, size))  # [P, D]
        step = (noise * state["scales"]) @ state["axes"].T  # ~ N(0, C)
        return (state["mean"] + state["std"] * step).astype(dtype)

    def tell(state, candidates, fitness, knobs):
        if not np.abs(candidates).max() < LARGEST:
            raise UserError(f"cmaes: a candidate has a parameter beyond {LARGEST:g}; try a smaller initial_std")
        optimizer = from_state(template, state)
        optimizer.tell(list(zip(np.asarray(candidates, np.float64), (-worst_last(fitness)).tolist(), strict=True)))
        return to_state(optimizer, dtype)

    return Searcher(init, ask, tell)
