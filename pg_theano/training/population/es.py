"""Evolution strategy: the gradient of the expected fitness around the mean, from mirrored samples. NumPy alone."""

from collections.abc import Callable

import numpy as np

from pg_theano.training.population import ranking
from pg_theano.types import Array, Searcher, SearchState, UserError


def gradient_of(candidates: Array, signal: Array, mean: Array, std: Array) -> Array:
    """∇ of 𝔼[F(mean + std·ε)] with respect to the mean, estimated from a generation.

        g = 1/(P·σ) · Σ_p u_p·ε_p,     ε_p = (θ_p − mean)/σ              Salimans et al. 2017, algorithm 2

    `signal` u is the fitness, or its ranks. Shapes: [P, D], [P], [D], scalar to [D].
    """
    noise = (candidates - mean) / std  # [P, D]
    return signal @ noise / (len(candidates) * std)


def shortened(gradient: Array, max_norm: float | None) -> Array:
    """g·min(1, max_norm/‖g‖₂); unchanged where `max_norm` is None.           Pascanu et al. 2013. [D] to [D]."""
    norm = np.sqrt(np.sum(gradient * gradient))
    return (1.0 if max_norm is None or norm <= max_norm else max_norm / norm) * gradient


def sgd(state: SearchState, gradient: Array, *, learning_rate: float) -> SearchState:
    """θ' = θ − η·g"""
    return state | {"mean": state["mean"] - learning_rate * gradient}


def adam(
    state: SearchState, gradient: Array, *, learning_rate: float, beta1: float, beta2: float, epsilon: float
) -> SearchState:
    """m' = β₁m + (1−β₁)g,   v' = β₂v + (1−β₂)g²,   k' = k + 1
    θ' = θ − η·(m'/(1−β₁^k')) / (√(v'/(1−β₂^k')) + ε)                    Kingma and Ba 2015, algorithm 1
    """
    step = state["mean/step"] + 1
    first = beta1 * state["mean/first_moment"] + (1.0 - beta1) * gradient
    second = beta2 * state["mean/second_moment"] + (1.0 - beta2) * gradient**2
    direction = (first / (1.0 - beta1**step)) / (np.sqrt(second / (1.0 - beta2**step)) + epsilon)
    moved = {"mean": state["mean"] - learning_rate * direction}
    return state | moved | {"mean/step": step, "mean/first_moment": first, "mean/second_moment": second}


OPTIMIZERS: dict[str, tuple[Callable[..., SearchState], tuple[str, ...], tuple[str, ...]]] = {
    "sgd": (sgd, (), ()),
    "adam": (adam, ("beta1", "beta2", "epsilon"), ("first_moment", "second_moment", "step")),
}
"""Name -> (its step downhill, the knobs it reads beside the learning rate, what it keeps between generations)."""


def make(*, size: int, population_size: int, initial_std: float, dtype: str, optimizer: str) -> Searcher:
    """The searcher: N(mean, std²) with a std that stays as it was, and a mean that climbs.

        mean' = mean + step of the optimiser along g, u = centred ranks of the fitness

    Candidates are mirrored, first half and second half (`ranking.mirrored`). Departure from Salimans et al. 2017: the
    learning rate is in units of the std, so that the same one fits parameters of every scale; Adam moves each
    parameter by about learning_rate·std, "sgd" the mean by learning_rate·std²·g (`learning_rate` = 1 is the natural
    gradient's step). They also decay the weights; we do not.

    Reads the knobs `learning_rate`; with "adam" `beta1`, `beta2`, `epsilon`; and `max_gradient_norm`, the longest
    std·g, where there is one. State: "mean" [D], "std" scalar, and Adam's "mean/first_moment", "mean/second_moment",
    "mean/step". Errors: `UserError` for an odd population, or an optimiser other than sgd and adam.
    """
    ranking.check_even(population_size)
    if optimizer not in OPTIMIZERS:
        raise UserError.of("optimizer", f"got {optimizer}; es expects {' or '.join(OPTIMIZERS)}")
    descend, reads, keeps = OPTIMIZERS[optimizer]

    def init(x0: Array) -> SearchState:
        state = {"mean": np.array(x0, dtype), "std": np.array(initial_std, dtype)}
        return state | {f"mean/{name}": np.zeros(() if name == "step" else size, dtype) for name in keeps}

    def ask(state, rng, knobs):
        return ranking.mirrored(rng, state["mean"], state["std"], population_size)

    def tell(state, candidates, fitness, knobs):
        std = state["std"]
        signal = ranking.centred_ranks(fitness).astype(dtype)
        uphill = std * gradient_of(candidates, signal, state["mean"], std)  # [D], of the mean in units of the std
        uphill = shortened(uphill, knobs.get("max_gradient_norm"))
        rate = knobs["learning_rate"] * std
        moved = descend(state, -uphill, learning_rate=rate, **{name: knobs[name] for name in reads})
        return {name: np.asarray(value, dtype) for name, value in moved.items()}

    return Searcher(init, ask, tell)
