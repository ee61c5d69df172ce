"""Policy gradients with parameter-based exploration: draws and ranks. `graphs/algorithms/pgpe.py` is the gradient."""

import math

import numpy as np

from pg_theano.compiler import functions, program
from pg_theano.spec.smaller import Gaussian
from pg_theano.training.population import ranking
from pg_theano.types import Array, Searcher, SearchState, UserError

OPTIMIZERS = {
    "sgd": (),
    "momentum": ("momentum",),
    "rmsprop": ("rmsprop_decay", "epsilon"),
    "adam": ("beta1", "beta2", "epsilon"),
}
"""What each optimiser reads beside the learning rate."""


def make(
    *,
    size: int,
    population_size: int,
    initial_std: float,
    dtype: str,
    optimizer: str,
    backend: str,
    report: functions.Report,
) -> Searcher:
    """The searcher: mean and std of one Gaussian for each parameter, both learned by gradient.

    Candidates are mirrored, first half and second half (`ranking.mirrored`); `tell` needs them in that order. The
    signal is the centred ranks of the fitness, less a baseline; the gradients and the steps are one compiled function
    (`graphs/algorithms/pgpe.py` has the equations). Sehnke et al. 2010; the optimiser on the mean as in Toklu et al.
    2020.

    Reads the knobs `learning_rate`, in units of the std: Adam moves each parameter by about learning_rate·std;
    `std_learning_rate`, of log std; what the optimiser reads (`OPTIMIZERS`); and `max_gradient_norm`, the longest
    gradient in units of the std, where there is one. State: "mean" [D], "std" [D], and the optimiser's own.
    Errors: `UserError` for an odd population or an unknown optimiser.
    """
    ranking.check_even(population_size)
    if optimizer not in OPTIMIZERS:
        raise UserError.of("optimizer", f"got {optimizer}; pgpe expects one of {', '.join(OPTIMIZERS)}")
    gaussian = Gaussian(size, optimizer, dtype)
    compiled = program.functions("algorithms.pgpe", gaussian, "tell", report=report, backend=backend)
    pairs = population_size // 2
    compiled.prepare([("tell", pairs, None)])
    entries, names = compiled.manifest["state"], compiled.manifest["knobs"]
    reads = ("learning_rate", "std_learning_rate", *OPTIMIZERS[optimizer])

    def init(x0: Array) -> SearchState:
        given = {"mean": np.array(x0, dtype), "std": np.full(size, initial_std, dtype)}
        return {name: given[name] if how == "given" else np.zeros(shape, dtype) for name, shape, how in entries}

    def ask(state, rng, knobs):
        return ranking.mirrored(rng, state["mean"], state["std"], population_size)

    def tell(state, candidates, fitness, knobs):
        read = {"max_gradient_norm": knobs.get("max_gradient_norm", math.inf)} | {name: knobs[name] for name in reads}
        values = {
            "candidates": np.asarray(candidates, dtype).reshape(2, pairs, size),
            "signal": ranking.centred_ranks(fitness).astype(dtype).reshape(2, pairs),
            "knobs": np.array([read.get(name, 0.0) for name in names], dtype),
        }
        told = compiled.call("tell", {"E": pairs}, state, values)
        return {name: np.asarray(told[name]) for name, *_ in entries}

    return Searcher(init, ask, tell)
