"""One step downhill, given a gradient: the loss falls fastest against it."""

from collections.abc import Callable, Sequence

import numpy as np

from pg_theano.types import Array, State


def clip_by_global_norm(gradients: Sequence[Array], max_norm: float | None) -> tuple[list[Array], float]:
    """The gradients made shorter where they are too long, as if they were one vector; and how long they were.

        ‖g‖  = √(Σ_i g_i²)                       over every number of every gradient
        g_i' = g_i·min(1, max_norm/‖g‖)          Pascanu et al. 2013

    All shrink by the same factor, so that the direction stays. None for `max_norm` leaves them as they are.
    Shapes: any; the result ([the same], scalar).
    """
    norm = np.sqrt(sum(np.sum(gradient * gradient) for gradient in gradients))
    factor = 1.0 if max_norm is None or norm <= max_norm else max_norm / norm
    return [factor * gradient for gradient in gradients], float(norm)


def sgd(state: State, name: str, gradient: Array, *, learning_rate: float) -> State:
    """θ' = θ − η·g. Returns the State with `name` moved. Shapes: [D]."""
    return state | {name: state[name] - learning_rate * gradient}


def adam(
    state: State,
    name: str,
    gradient: Array,
    *,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> State:
    """A step of about η for every parameter, whatever the size of its gradient.

        m' = β₁·m + (1 − β₁)·g                          a running mean of the gradient
        v' = β₂·v + (1 − β₂)·g²                         and of its square
        θ' = θ − η·(m'/(1 − β₁ᵏ)) / (√(v'/(1 − β₂ᵏ)) + ε)

    m and v begin at 0, and so are too small at first; dividing by 1 − β₁ᵏ, k the number of this step, makes up for it.
    Kingma and Ba 2015, algorithm 1. Returns the State with `name` and its three running numbers moved. Shapes: [D].
    """
    step = state.get(f"{name}/step", 0) + 1
    first = beta1 * state.get(f"{name}/first_moment", np.zeros_like(gradient)) + (1.0 - beta1) * gradient
    second = beta2 * state.get(f"{name}/second_moment", np.zeros_like(gradient)) + (1.0 - beta2) * gradient**2
    direction = (first / (1.0 - beta1**step)) / (np.sqrt(second / (1.0 - beta2**step)) + epsilon)
    return state | {
        name: state[name] - learning_rate * direction,
        f"{name}/step": step,
        f"{name}/first_moment": first,
        f"{name}/second_moment": second,
    }


BY_NAME: dict[str, Callable[..., State]] = {"sgd": sgd, "adam": adam}
STATE = {"sgd": (), "adam": ("first_moment", "second_moment", "step")}
"""What each keeps beside the parameters: vectors like them, and the number of steps."""
