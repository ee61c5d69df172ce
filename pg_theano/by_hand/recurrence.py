"""Layers that remember, and how a gradient goes back through time.

R sequences of L steps stand side by side. What a layer remembers is M numbers a row, and `step` makes them anew of what
comes in. A sequence is a loop over steps; where an episode begins the memory is 0, before that step, and nothing goes
back past it.
"""

from collections.abc import Callable

import numpy as np

from pg_theano.by_hand.layers import sigmoid, sigmoid_backward, tanh_backward
from pg_theano.types import Array

Weights = tuple[Array, Array, Array]
"""W [I, gH] of what comes in, U [H, gH] of what is remembered, b [gH]; g gates one after the other, H wide."""
Step = Callable[[Array, Array, Weights], Array]
StepBackward = Callable[[Array, Array, Array, Weights], tuple[Array, Array, Weights]]


def gru(x: Array, before: Array, weights: Weights) -> Array:
    """A step of a gated recurrent unit (Cho et al. 2014, with the reset after the product).

        a = x·W + b,   k = h·U                                        gates r, z, n
        r = σ(a_r + k_r),   z = σ(a_z + k_z),   n = tanh(a_n + r ⊙ k_n)
        h' = (1 − z) ⊙ n + z ⊙ h

    Shapes: `x` [R, I], `before` h [R, H]; the result h' [R, H].
    """
    _, kept, new, _ = _gru_gates(x, before, weights)
    return (1.0 - kept) * new + kept * before


def _gru_gates(x: Array, before: Array, weights: Weights) -> tuple[Array, Array, Array, Array]:
    """(r, z, n, k_n), [R, H] each."""
    w, u, b = weights
    a_r, a_z, a_n = np.split(x @ w + b, 3, axis=1)
    k_r, k_z, k_n = np.split(before @ u, 3, axis=1)
    reset, kept = sigmoid(a_r + k_r), sigmoid(a_z + k_z)
    return reset, kept, np.tanh(a_n + reset * k_n), k_n


def gru_backward(d_after: Array, x: Array, before: Array, weights: Weights) -> tuple[Array, Array, Weights]:
    """The gradient of `gru`, for its three arguments. `d_after` [R, H] is ∂L/∂h'.

    From h' = (1 − z) ⊙ n + z ⊙ h, number by number:

        d_n = d_h'·(1 − z),   d_z = d_h'·(h − n),   d_h = d_h'·z       the first way back to h

    From n = tanh(a_n + r ⊙ k_n), r = σ(a_r + k_r), z = σ(a_z + k_z):

        d_a_n = d_n·(1 − n²),   d_k_n = d_a_n·r,   d_r = d_a_n·k_n
        d_a_r = d_k_r = d_r·r·(1 − r),   d_a_z = d_k_z = d_z·z·(1 − z)

    a and k are dense layers without an activation, of x and of h:

        d_x = d_a·Wᵀ,   d_W = xᵀ·d_a,   d_b = Σ_rows d_a,   d_U = hᵀ·d_k,   d_h += d_k·Uᵀ
    """
    reset, kept, new, k_n = _gru_gates(x, before, weights)
    d_a_n = tanh_backward(d_after * (1.0 - kept), new)
    d_a_z = sigmoid_backward(d_after * (before - new), kept)
    d_a_r = sigmoid_backward(d_a_n * k_n, reset)
    d_a = np.concatenate([d_a_r, d_a_z, d_a_n], axis=1)
    d_k = np.concatenate([d_a_r, d_a_z, d_a_n * reset], axis=1)
    d_x, d_before, gradient = _products_backward(d_a, d_k, x, before, weights)
    return d_x, d_after * kept + d_before, gradient


def lstm(x: Array, before: Array, weights: Weights) -> Array:
    """A step of long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

        a = x·W + b + h·U                                              gates i, f, g, o
        c' = σ(a_f + 1) ⊙ c + σ(a_i) ⊙ tanh a_g
        h' = σ(a_o) ⊙ tanh c'

    The 1 keeps most of c from the start. Shapes: `x` [R, I], `before` [h, c] [R, 2H]; the result [h', c'] [R, 2H].
    """
    *_, shown, cells = _lstm_gates(x, before, weights)
    return np.concatenate([shown * np.tanh(cells), cells], axis=1)


def _lstm_gates(x: Array, before: Array, weights: Weights) -> tuple[Array, Array, Array, Array, Array]:
    """(i, f, g, o, c'), [R, H] each."""
    w, u, b = weights
    h, c = np.split(before, 2, axis=1)
    a_i, a_f, a_g, a_o = np.split(x @ w + b + h @ u, 4, axis=1)
    given, forgotten, new, shown = sigmoid(a_i), sigmoid(a_f + 1.0), np.tanh(a_g), sigmoid(a_o)
    return given, forgotten, new, shown, forgotten * c + given * new


def lstm_backward(d_after: Array, x: Array, before: Array, weights: Weights) -> tuple[Array, Array, Weights]:
    """The gradient of `lstm`, for its three arguments. `d_after` [R, 2H] is ∂L/∂h' and ∂L/∂c'.

    c' has two ways on: out of the step, and into h' = o ⊙ tanh c'. So its gradient is a sum:

        d_o = d_h'·tanh c',   d_c' += d_h'·o·(1 − tanh² c')

    From c' = f ⊙ c + i ⊙ g, number by number:

        d_f = d_c'·c,   d_i = d_c'·g,   d_g = d_c'·i,   d_c = d_c'·f       no weight, no tanh: what is kept, is kept

    through the gates, d_a_i = d_i·i·(1 − i), d_a_f and d_a_o alike, d_a_g = d_g·(1 − g²); and from a = x·W + b + h·U:

        d_x = d_a·Wᵀ,   d_W = xᵀ·d_a,   d_b = Σ_rows d_a,   d_U = hᵀ·d_a,   d_h = d_a·Uᵀ
    """
    given, forgotten, new, shown, cells = _lstm_gates(x, before, weights)
    h, c = np.split(before, 2, axis=1)
    d_h, d_cells = np.split(d_after, 2, axis=1)
    d_cells = d_cells + tanh_backward(d_h * shown, np.tanh(cells))
    d_a = np.concatenate(
        [
            sigmoid_backward(d_cells * new, given),
            sigmoid_backward(d_cells * c, forgotten),
            tanh_backward(d_cells * given, new),
            sigmoid_backward(d_h * np.tanh(cells), shown),
        ],
        axis=1,
    )
    d_x, d_before, gradient = _products_backward(d_a, d_a, x, h, weights)
    return d_x, np.concatenate([d_before, d_cells * forgotten], axis=1), gradient


def _products_backward(
    d_a: Array, d_k: Array, x: Array, h: Array, weights: Weights
) -> tuple[Array, Array, tuple[Array, Array, Array]]:
    """Back through a = x·W + b and k = h·U: (d_x [R, I], d_h [R, H], gradients of the weights)."""
    w, u, _ = weights
    return d_a @ w.T, d_k @ u.T, (x.T @ d_a, h.T @ d_k, d_a.sum(axis=0))


def sequence(step: Step, x: Array, begins: Array, before: Array, weights: Weights) -> Array:
    """What is remembered after each step.

        m̃_t = 0 where step t begins an episode, else m_{t−1};   m_t = step(x_t, m̃_t)

    Shapes: `x` [L, R, I], `begins` [L, R] 1 where a step is an episode's first, `before` m_0 [R, M], what acting left
    there; the result [L, R, M].
    """
    after = []
    for now, fresh in zip(x, begins, strict=True):
        before = step(now, np.where(fresh[:, None] > 0, 0.0, before), weights)
        after.append(before)
    return np.array(after)


def sequence_backward(
    backward: StepBackward, d_after: Array, x: Array, begins: Array, before: Array, after: Array, weights: Weights
) -> tuple[Array, Array, Weights]:
    """The gradient of `sequence`, for x, the first memory and the weights. Backpropagation through time.

    m_t has two ways on: what is made of it at step t, whose gradient is `d_after`_t, and step t + 1. So, from the last
    step to the first,

        d_m_t = d_after_t + d_m̃_{t+1} where step t + 1 begins no episode, else d_after_t
        (d_x_t, d_m̃_t, d_W_t, …) = backward(d_m_t, x_t, m̃_t)

    The weights are the same at each step, and so their gradients add up over the steps.

    Shapes: `d_after` and `after`, what `sequence` gave, [L, R, M]; the result as x, `before` and the weights.
    """
    d_x, total = np.zeros(x.shape), [np.zeros(weight.shape) for weight in weights]
    d_next = np.zeros(before.shape)  # ∂L/∂m_t by way of what comes later
    for t in reversed(range(len(x))):
        goes_on = begins[t][:, None] == 0
        given = np.where(goes_on, after[t - 1] if t else before, 0.0)  # m̃_t
        d_x[t], d_given, gradient = backward(d_after[t] + d_next, x[t], given, weights)
        d_next = np.where(goes_on, d_given, 0.0)
        total = [so_far + more for so_far, more in zip(total, gradient, strict=True)]
    w, u, b = total
    return d_x, d_next, (w, u, b)
