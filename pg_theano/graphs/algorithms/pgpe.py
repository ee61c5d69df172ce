"""Policy gradients with parameter-based exploration: inputs, gradient, updates of a Gaussian over parameters.

One Gaussian for each parameter is the policy, a draw of all parameters is its action, and the fitness is the reward:
the policy gradient of that (Sehnke et al. 2010). Population of P = 2E candidates: E draws and their mirror images.
"""

import math

import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import distributions, optimizers
from pg_theano.graphs.algorithms.common import OPTIMIZER_KNOBS, graph, optimizer_state
from pg_theano.graphs.common import total
from pg_theano.spec.smaller import Gaussian

__all__ = ["describe", "gradient", "tell"]

KNOBS = ["learning_rate", "std_learning_rate", "max_gradient_norm", *OPTIMIZER_KNOBS]
MOST_CHANGE = 0.2
"""Of a std, in one generation: evotorch's `stdev_max_change`, by the authors of Toklu et al. 2020."""


def state_entries(gaussian: Gaussian):
    """(name, shape, initial value) of all that a generation changes; where the mean and the std begin is the host's."""
    size = gaussian.num_params
    entries = [("mean", (size,), "given"), ("std", (size,), "given")]
    for name, like in optimizers.STATE[gaussian.optimizer].items():
        entries.append((f"optimizer/{name}", (size,) if like == "params" else (), "zeros"))
    return entries


def describe(gaussian: Gaussian):
    return {"state": [[name, list(shape), how] for name, shape, how in state_entries(gaussian)], "knobs": KNOBS}


def symbols(gaussian: Gaussian):
    """(State, candidates [2, E, D], signal [2, E]): pairs side by side; the signal is the fitness, or its ranks."""
    dtype = gaussian.dtype
    state = {name: pt.tensor(name, shape=shape, dtype=dtype) for name, shape, _ in state_entries(gaussian)}
    candidates = pt.tensor("candidates", shape=(2, None, gaussian.num_params), dtype=dtype)
    return state, candidates, pt.tensor("signal", shape=(2, None), dtype=dtype)


def without_baseline(signal):
    """The signal less the mean of all other pairs, which depends on neither of this pair: no bias. [2, E] to [2, E].

        b_i = Σ_{j≠i} (u_j⁺ + u_j⁻)/2 / (E − 1)

    The gradient of the mean does not feel it, for the two of a pair cancel it; that of the std does.
    """
    pair = total(signal, axis=0) / 2  # [E]
    others = pt.maximum(total(pt.ones_like(pair)) - 1, 1)
    return signal - (total(pair) - pair) / others


def gradients_of(candidates, signal, mean, std):
    """∇ of 𝔼[F(θ)], θ ~ N(mean, std²), with respect to the mean and to log std, estimated from a generation.

        J = 1/(2E) · Σ (u − b)·log N(θ; μ, σ²),      ∇J by the graph            Sehnke et al. 2010, eq. 9 and 11

    By log σ, not σ: a step of it keeps σ positive, means the same at every scale, and is bounded as a factor.
    Shapes: [2, E, D], [2, E], [D], [D] to ([D], [D]).
    """
    log_std = pt.log(std)
    inputs = mean[:, None, None], log_std[:, None, None]
    log_prob = distributions.gaussian_log_prob(inputs, candidates.transpose(2, 0, 1))  # [2, E]
    expected = total(without_baseline(signal) * log_prob) / total(pt.ones_like(signal))
    return pytensor.grad(expected, [mean, log_std])


def gradient(gaussian: Gaussian):
    """(mean, std, candidates, signal) to the two gradients, for checks."""
    state, candidates, signal = symbols(gaussian)
    by_mean, by_log_std = gradients_of(candidates, signal, state["mean"], state["std"])
    inputs = {"mean": state["mean"], "std": state["std"], "candidates": candidates, "signal": signal}
    return graph(inputs, {"mean": by_mean, "log_std": by_log_std})


def tell(gaussian: Gaussian):
    """(State, candidates, signal, knobs) to State: one step uphill of the mean, and one of the std.

        μ' = μ + σ·step(σ·∂J/∂μ),      σ' = σ·exp(clip(η_σ·½·∂J/∂log σ, log 0.8, log 1.2))

    Both are natural gradients: the Fisher information of a Gaussian is 1/σ² for μ and 2 for log σ (Wierstra et al.
    2014, section 3.4), so that the learning rates are pure numbers, in units of σ. The mean's step is the optimiser's;
    the std's is plain.
    """
    state, candidates, signal = symbols(gaussian)
    vector = pt.tensor("knobs", shape=(len(KNOBS),), dtype=gaussian.dtype)
    knobs = {name: vector[index] for index, name in enumerate(KNOBS)}
    mean, std = state["mean"], state["std"]
    by_mean, by_log_std = gradients_of(candidates, signal, mean, std)

    downhill = -std * by_mean
    norm = pt.sqrt(total(downhill * downhill))
    downhill = optimizers.clip_by_global_norm(downhill, norm, max_norm=knobs["max_gradient_norm"])
    step, optimiser = optimizers.BY_NAME[gaussian.optimizer](
        pt.zeros_like(mean),
        downhill,
        optimizer_state(state),
        learning_rate=knobs["learning_rate"],
        **{name: knobs[name] for name in OPTIMIZER_KNOBS},
    )
    change = pt.clip(
        knobs["std_learning_rate"] * 0.5 * by_log_std, math.log(1 - MOST_CHANGE), math.log(1 + MOST_CHANGE)
    )
    updated = {"mean": mean + std * step, "std": std * pt.exp(change)}
    updated |= {f"optimizer/{name}": value for name, value in optimiser.items()}
    outputs = {name: updated[name].astype(gaussian.dtype) for name in state}
    return graph(state | {"candidates": candidates, "signal": signal, "knobs": vector}, outputs)
