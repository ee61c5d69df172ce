"""Minimise any function of a vector with the searchers that train policies."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np

from pg_theano.training.population import searchers
from pg_theano.types import Array, UserError

Knob = float | Callable[[int], float]
"""A number, or a function of the generation (0, 1, 2, ...) that gives one."""

STILL = 1e-12
"""The search has converged when no parameter of any two candidates differs by more than this, times `initial_std`."""


class Generation(NamedTuple):
    """The values seen by the end of a generation; smaller is better."""

    evaluations: int  # so far
    best: float  # so far
    lowest: float  # of this generation
    median: float  # of this generation's finite values


class Result(NamedTuple):
    """The outcome of a search."""

    x: Array  # [D] the best candidate that was evaluated
    fun: float  # its value
    mean: Array  # [D] where the search stands: of a noisy function a better answer than a lucky candidate
    evaluations: int
    generations: int
    history: list[Generation]
    reason: str  # why it ended: "target", "converged", "callback" or "budget"


class Options(TypedDict, total=False):
    """Further arguments of `minimise`. From `elite_fraction` on they are knobs: a number, or one of each generation."""

    population_size: int | None  # candidates in a generation; None for `searchers.default_population`
    batch: bool  # the function takes a whole generation [P, D] and returns [P]
    workers: Any  # an object with `map(function, list of x)`: an Executor, `distribute.Workers`
    bounds: Any  # (low, high), numbers or [D], or ±inf. Outside it the function is not called: candidates are reflected
    callback: Callable[[Generation, Array], Any] | None  # of (Generation, best x); the search stops when it is true
    covariance: str  # as in `searchers.make`
    optimizer: str
    elite_fraction: Knob
    extra_std: Knob
    learning_rate: Knob
    std_learning_rate: Knob
    max_gradient_norm: Knob
    beta1: Knob
    beta2: Knob
    epsilon: Knob
    momentum: Knob
    rmsprop_decay: Knob


DEFAULTS: dict[str, Any] = {
    "population_size": None, "batch": False, "workers": None, "bounds": None, "callback": None,
    "covariance": "diagonal", "optimizer": "adam",
}  # fmt: skip
"""Of all `Options` but the knobs, whose defaults depend on the method: see `defaults`."""


def minimise(
    function: Callable[[Array], Any],
    x0: Sequence[float] | Array,
    *,
    method: str = "cmaes",
    initial_std: float = 1.0,
    budget: int = 10_000,
    seed: int = 0,
    target: float | None = None,
    **options: Unpack[Options],
) -> Result:
    """The least value that a search finds of function(x), x [D], without its gradient.

        >>> from pg_theano.search import minimise
        >>> def rosenbrock(x):
        ...     return float(sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))
        >>> result = minimise(rosenbrock, [0.0, 0.0, 0.0], initial_std=0.5, target=1e-10)
        >>> result.reason, [round(float(number), 3) for number in result.x]
        ('target', [1.0, 1.0, 1.0])

    method           "cmaes" (the best of them for a smooth function without noise), "cem", "pgpe" or "es"
    initial_std      of the first candidates around x0, in units of x: a third of how far the minimum may be
    budget           evaluations at most; whole generations are spent
    seed             every random number follows from it
    target           stop as soon as a value is this low

    `Options` has the others: population_size, batch, workers, bounds, callback, covariance, optimizer, and the knobs,
    whose defaults are those of `defaults`.

    A value that is not finite is worse than all others. Errors: `UserError` for an x0 that is not a finite vector
    inside the bounds, an unknown method or knob, a budget below one generation, an odd population with mirrored
    sampling (pgpe, es), a function that returns anything but a number (or [P]), or none that is finite in a whole
    generation.
    """
    if not callable(function):
        raise UserError(f"function: got {function!r:.60}; expected what is called with x [D] and gives a number")
    start = _vector(x0)
    told: dict[str, Any] = DEFAULTS | options
    inside = _reflection(told["bounds"], start)
    shape = {name: told[name] for name in ("population_size", "covariance", "optimizer")}
    searcher = searchers.make(method, size=start.size, initial_std=initial_std, **shape)
    number = told["population_size"] or searchers.default_population(method, start.size)
    if budget < number:
        raise UserError(f"budget: got {budget} evaluations; expected {number} or more, which is one generation")
    batch, workers, callback = told["batch"], told["workers"], told["callback"]
    if batch and workers is not None:
        raise UserError("workers: the function takes a whole generation at once (batch); expected one of the two")
    knobs = _knobs(method, initial_std, budget // number, {n: v for n, v in told.items() if n not in DEFAULTS})
    rng = np.random.default_rng(np.random.SeedSequence(seed))

    state, known, reason = searcher.init(start), _Known(start), "budget"
    while reason == "budget" and (len(known.history) + 1) * number <= budget:
        at = {name: float(knob(len(known.history)) if callable(knob) else knob) for name, knob in knobs.items()}
        candidates = searcher.ask(state, rng, at)
        points = inside(candidates)
        values = _evaluated(function, points, batch=batch, workers=workers)
        known.add(points, values)
        state = searcher.tell(state, candidates, -values, at)
        reason = known.reason(candidates, target=target, callback=callback, still=STILL * initial_std)
    return known.result(inside(state["mean"]), reason)


class _Known:
    """The best point so far, and what is known after each generation."""

    def __init__(self, start: Array):
        self.best, self.best_x = math.inf, start
        self.history: list[Generation] = []

    def add(self, points: Array, values: Array) -> None:
        """Errors: `UserError` where no value is finite."""
        finite = np.isfinite(values)
        if not finite.any():
            raise UserError(
                f"function: none of the {len(values)} values of generation {len(self.history)} is finite "
                f"(the first: {values[0]} at x = {points[0].tolist()}); try another x0 or a smaller initial_std"
            )
        lowest = int(np.argmin(np.where(finite, values, np.inf)))
        if values[lowest] < self.best:
            self.best, self.best_x = float(values[lowest]), points[lowest].copy()
        evaluations = (len(self.history) + 1) * len(values)
        median = float(np.median(values[finite]))
        self.history.append(Generation(evaluations, self.best, float(values[lowest]), median))

    def reason(self, candidates: Array, *, target: float | None, callback: Any, still: float) -> str:
        """Why the search ends after this generation; "budget" where it may go on."""
        if target is not None and self.best <= target:
            return "target"
        if callback is not None and callback(self.history[-1], self.best_x):
            return "callback"
        return "converged" if np.ptp(candidates, axis=0).max() <= still else "budget"

    def result(self, mean: Array, reason: str) -> Result:
        generations = len(self.history)
        return Result(self.best_x, self.best, mean, self.history[-1].evaluations, generations, self.history, reason)


def defaults(method: str, initial_std: float, generations: int) -> dict[str, Knob]:
    """The default knobs of a method, for a search of so many generations.

    cem's extra noise falls by a twentieth a generation. es, whose std stays, comes to rest by its learning rate
    alone: it falls to e⁻⁵ of what it was by the end of the budget.
    """
    adam: dict[str, Knob] = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    of: dict[str, dict[str, Knob]] = {
        "cmaes": {},
        "cem": {"elite_fraction": 0.2, "extra_std": lambda k: 0.5 * initial_std * math.exp(-0.05 * k)},
        "pgpe": {"learning_rate": 0.3, "std_learning_rate": 0.5, "max_gradient_norm": math.inf, **adam},
        "es": {"learning_rate": lambda k: 0.3 * math.exp(-5 * k / generations), "max_gradient_norm": math.inf, **adam},
    }
    return of[method]


def _knobs(method: str, initial_std: float, generations: int, given: dict[str, Knob]) -> dict[str, Knob]:
    known = defaults(method, initial_std, generations)
    known |= {name: 0.9 for name in ("momentum", "rmsprop_decay") if method == "pgpe"}
    for name in given:
        if name not in known:
            raise UserError(
                f"minimise: {name} is no argument and no knob of {method}; expected one of {', '.join(known) or 'none'}"
            )
    return known | given


def _vector(x0: Any) -> Array:
    try:
        start = np.array(x0, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"x0: got {x0!r}; expected a vector of numbers") from error
    if start.ndim != 1 or not start.size:
        raise UserError(f"x0: got an array of shape {start.shape}; expected a vector [D] with one number or more")
    if not np.isfinite(start).all():
        index = int(np.argmin(np.isfinite(start)))
        raise UserError(f"x0: x0[{index}] is {start[index]}; expected finite numbers")
    return start


def _reflection(bounds: Any, start: Array) -> Callable[[Array], Array]:
    """x -> the point inside the bounds that repeated reflection at them leads to; [..., D] to [..., D]."""
    if bounds is None:
        return lambda x: x
    try:
        low, high = (np.broadcast_to(np.asarray(bound, np.float64), start.shape) for bound in bounds)
    except (TypeError, ValueError) as error:
        raise UserError(f"bounds: got {bounds!r}; expected (low, high), each a number or [{start.size}]") from error
    if not (low < high).all():
        index = int(np.argmin(low < high))
        raise UserError(f"bounds: low {low[index]} and high {high[index]} of x[{index}]; expected low < high")
    if not ((low <= start) & (start <= high)).all():
        index = int(np.argmin((low <= start) & (start <= high)))
        raise UserError(f"x0: x0[{index}] is {start[index]}; expected it within {low[index]} and {high[index]}")
    closed = np.isfinite(low) & np.isfinite(high)
    width = np.where(closed, high, 1.0) - np.where(closed, low, 0.0)

    def inside(x: Array) -> Array:
        x = np.where(x < low, 2 * low - x, x)  # as far inside as it was outside; enough where only `low` is there
        x = np.where((x > high) & ~closed, 2 * high - x, x)
        way = np.mod(x - low, 2 * width, where=closed, out=np.zeros_like(x))
        folded = np.where(closed, low, 0.0) + np.minimum(way, 2 * width - way)
        return np.clip(np.where(closed & (x > high), folded, x), low, high)

    return inside


def _evaluated(function: Any, points: Array, *, batch: bool, workers: Any) -> Array:
    """Values [P] of the function at the points [P, D]."""
    if batch:
        values = np.asarray(function(points))
        if values.shape != points.shape[:1]:
            raise UserError(
                f"function: returned an array of shape {values.shape} for {len(points)} candidates {points.shape}; "
                f"expected ({len(points)},)"
            )
        return _numbers(values)
    mapped = map(function, points) if workers is None else workers.map(function, list(points))
    results = [np.asarray(value) for value in mapped]
    for value in results:
        if value.ndim:
            raise UserError(
                f"function: returned an array of shape {value.shape} for one x; expected a number "
                "(batch=True for a function of a whole generation)"
            )
    return _numbers(np.array(results))


def _numbers(values: Array) -> Array:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"function: returned {values.ravel()[0]!r}; expected a real number") from error
