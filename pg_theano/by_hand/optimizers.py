"""One step downhill, given a gradient: the loss falls fastest against it."""

from __future__ import annotations

import numpy as np

from pg_theano.types import Array, State


def sgd(state: State, name: str, gradient: Array, *, learning_rate: float) -> State:
    """θ' = θ − η·g. Returns the State with `name` moved. Shapes: [D]."""
    return state | {name: state[name] - learning_rate * gradient}


def adam(state: State, name: str, gradient: Array, *, learning_rate: float) -> State:
    """A step of about η for every parameter, whatever the size of its gradient.

        m' = 0.9·m + 0.1·g                              a running mean of the gradient
        v' = 0.999·v + 0.001·g²                         and of its square
        θ' = θ − η·(m'/(1 − 0.9ᵏ)) / (√(v'/(1 − 0.999ᵏ)) + 1e-8)

    m and v begin at 0, and so are too small at first; dividing by 1 − 0.9ᵏ, k the number of this step, makes up for it.
    Kingma and Ba 2015, algorithm 1. Returns the State with `name` and its three running numbers moved. Shapes: [D].
    """
    step = state.get(f"{name}/step", 0) + 1
    first = 0.9 * state.get(f"{name}/first_moment", np.zeros_like(gradient)) + 0.1 * gradient
    second = 0.999 * state.get(f"{name}/second_moment", np.zeros_like(gradient)) + 0.001 * gradient**2
    direction = (first / (1.0 - 0.9**step)) / (np.sqrt(second / (1.0 - 0.999**step)) + 1e-8)
    return state | {
        name: state[name] - learning_rate * direction,
        f"{name}/step": step,
        f"{name}/first_moment": first,
        f"{name}/second_moment": second,
    }


BY_NAME = {"sgd": sgd, "adam": adam}
