"""Searchers by name: what each takes and reads, and how many candidates it draws by default."""

import difflib
import math
from typing import Any, NotRequired, TypedDict, Unpack

from pg_theano.types import Searcher, UserError

NAMES = ("cem", "pgpe", "es", "cmaes")


def default_population(name: str, size: int) -> int:
    """Candidates in a generation for D parameters.

        n = 4 + ⌊3·log D⌋                       Hansen 2016, eq. 48

    cmaes, whose rates are made for it, has n; pgpe n, or n + 1 if that is odd; es, which never narrows its search, 2·n;
    cem, whose elites are a fifth of them, 4·n.
    """
    number = 4 + math.floor(3 * math.log(size))
    return {"cmaes": number, "pgpe": number + number % 2, "es": 2 * number, "cem": 4 * number}[name]


class Asked(TypedDict):
    """The arguments of a searcher."""

    size: int  # D, how many parameters
    population_size: int | None  # P, candidates in a generation; None for `default_population`
    initial_std: float  # of the first generation around x0, one for all parameters
    dtype: NotRequired[str]  # of candidates and state: float64, the default, or float32
    covariance: NotRequired[str]  # "diagonal", the default, or "full": cem
    optimizer: NotRequired[str]  # of the mean: adam, the default, sgd, and for pgpe momentum, rmsprop
    backend: NotRequired[str]  # of the compiled function of pgpe, as in `compiler.program`; jax
    report: NotRequired[Any]  # and this


def make(name: str, **asked: Unpack[Asked]) -> Searcher:
    """The searcher of this name: cem, pgpe, es or cmaes; see the module of each for its equations and its state.

    Knobs may change from one generation to the next; a searcher ignores those that it does not read:

    | searcher | reads                                                                                    |
    |----------|------------------------------------------------------------------------------------------|
    | cem      | elite_fraction, extra_std                                                                |
    | pgpe     | learning_rate, std_learning_rate, the optimiser's, max_gradient_norm where there is one  |
    | es       | learning_rate, the optimiser's, max_gradient_norm where there is one                     |
    | cmaes    | none                                                                                     |

    The optimiser's: adam beta1, beta2, epsilon; momentum momentum; rmsprop rmsprop_decay, epsilon; sgd none.

    Errors: `UserError` for an unknown name, a size or a population that is too small, an odd population with mirrored
    sampling (pgpe, es), an initial_std that is not a positive number, an unknown dtype, covariance or optimiser.
    """
    common = _checked(name, asked)
    covariance, optimizer = asked.get("covariance", "diagonal"), asked.get("optimizer", "adam")
    # Each is imported when it is asked for: pgpe brings the compiler with it, cmaes the package.
    if name == "cem":
        from pg_theano.training.population import cem

        return cem.make(**common, covariance=covariance)
    if name == "cmaes":
        from pg_theano.training.population import cma

        return cma.make(**common)
    if covariance == "full":
        raise UserError(f"covariance: got full; {name} has one Gaussian for each parameter; try cem or cmaes")
    if name == "es":
        from pg_theano.training.population import es

        return es.make(**common, optimizer=optimizer)
    from pg_theano.training.population import pgpe

    report = asked.get("report") or (lambda *_: None)
    return pgpe.make(**common, optimizer=optimizer, backend=asked.get("backend", "jax"), report=report)


def _checked(name: str, asked: Asked) -> dict[str, Any]:
    """The arguments that all searchers share, checked. Errors: `UserError`, as for `make`."""
    size, population_size, initial_std = asked["size"], asked["population_size"], asked["initial_std"]
    dtype, covariance = asked.get("dtype", "float64"), asked.get("covariance", "diagonal")
    if name not in NAMES:
        near = difflib.get_close_matches(str(name), NAMES, 1)
        raise UserError(
            f"searcher: got {name}; expected one of {', '.join(NAMES)}" + (f"; did you mean {near[0]}?" if near else "")
        )
    if size < 1:
        raise UserError(f"{name}: got {size} parameters; expected 1 or more")
    if population_size is None:
        population_size = default_population(name, size)
    if population_size < 2:
        raise UserError(f"population_size: got {population_size}; expected 2 or more")
    if not (math.isfinite(initial_std) and initial_std > 0):
        raise UserError(f"initial_std: got {initial_std}; expected a positive number")
    if dtype not in ("float32", "float64"):
        raise UserError(f"dtype: got {dtype}; expected float32 or float64")
    if covariance not in ("diagonal", "full"):
        raise UserError(f"covariance: got {covariance}; expected diagonal or full")
    return {"size": size, "population_size": population_size, "initial_std": initial_std, "dtype": dtype}
