"""Evolution strategy: the gradient of the expected fitness around the mean, from mirrored samples. NumPy alone."""

from __future__ import annotations

import numpy as np

from pg_theano.by_hand import optimizers
from pg_theano.training.population import mirrored
from pg_theano.training.population.ranking import centred_ranks
from pg_theano.types import Array, Searcher, SearchState, UserError

CONSTANTS = {"sgd": (), "adam": ("beta1", "beta2", "epsilon")}
"""What each optimiser reads beside the learning rate."""


def gradient_of(candidates: Array, signal: Array, mean: Array, std: Array) -> Array:
    """∇ of 𝔼[F(mean + std·ε)] with respect to the mean, estimated from a generation.

        g = 1/(P·σ) · Σ_p u_p·ε_p,     ε_p = (θ_p − mean)/σ              Salimans et al. 2017, algorithm 2

    `signal` u is the fitness, or its ranks. Shapes: [P, D], [P], [D], scalar to [D].
    """
    noise = (candidates - mean) / std  # [P, D]
    return signal @ noise / (len(candidates) * std)


def make(*, size: int, population_size: int, initial_std: float, dtype: str, optimizer: str) -> Searcher:
    """The searcher: N(mean, std²) with a std that stays as it was, and a mean that climbs.

        mean' = mean + step of the optimiser along g, u = centred ranks of the fitness

    Candidates are mirrored, first half and second half (`mirrored.draw`). Departure from Salimans et al. 2017: the
    learning rate is in units of the std, so that the same one fits parameters of every scale; Adam moves each
    parameter by about learning_rate·std, "sgd" the mean by learning_rate·std²·g (`learning_rate` = 1 is the natural
    gradient's step). They also decay the weights; we do not.

    Reads the knobs `learning_rate`; with "adam" `beta1`, `beta2`, `epsilon`; and `max_gradient_norm`, the longest
    std·g, where there is one. State: "mean" [D], "std" scalar, and Adam's "mean/first_moment", "mean/second_moment",
    "mean/step". Errors: `UserError` for an odd population, or an optimiser other than sgd and adam.
    """
    mirrored.check_even(population_size)
    if optimizer not in optimizers.BY_NAME:
        raise UserError(f"optimizer: got {optimizer}; es expects {' or '.join(optimizers.BY_NAME)}")

    def init(x0: Array) -> SearchState:
        state = {"mean": np.array(x0, dtype), "std": np.array(initial_std, dtype)}
        shapes = {"step": ()}
        return state | {f"mean/{name}": np.zeros(shapes.get(name, size), dtype) for name in optimizers.STATE[optimizer]}

    def ask(state, rng, knobs):
        return mirrored.draw(rng, state["mean"], state["std"], population_size)

    def tell(state, candidates, fitness, knobs):
        std = state["std"]
        signal = centred_ranks(fitness).astype(dtype)
        uphill = std * gradient_of(candidates, signal, state["mean"], std)  # [D], of the mean in units of the std
        (uphill,), _ = optimizers.clip_by_global_norm([uphill], knobs.get("max_gradient_norm"))
        constants = {name: knobs[name] for name in CONSTANTS[optimizer]}
        rate = knobs["learning_rate"] * std
        moved = optimizers.BY_NAME[optimizer](state, "mean", -uphill, learning_rate=rate, **constants)
        return {name: np.asarray(value, dtype) for name, value in moved.items()}

    return Searcher(init, ask, tell)
