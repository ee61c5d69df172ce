"""The pieces of a network: what each computes, and how a gradient goes back through it.

One rule is behind all of them, the chain rule: if L depends on y, and y on x, then

    ∂L/∂x_j = Σ_i ∂L/∂y_i · ∂y_i/∂x_j

The sum is over everything that x_j touches. `d_y` below is ∂L/∂y, handed down from the layer above.
"""

import numpy as np

from pg_theano.types import Array


def dense(x: Array, weight: Array, bias: Array) -> Array:
    """A weighted sum of the inputs for each output.

        y_nj = Σ_i x_ni·w_ij + b_j            y = x·W + b

    Shapes: `x` [N, I], `weight` [I, J], `bias` [J]; the result [N, J].
    """
    return x @ weight + bias  # [N, J]


def dense_backward(d_y: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """The gradient of `dense`, for its three arguments.

    From y_nj = Σ_i x_ni·w_ij + b_j:

        ∂y_nj/∂x_ni = w_ij      x_ni touches y_n1 ... y_nJ, so sum over j:
        ∂L/∂x_ni = Σ_j ∂L/∂y_nj·w_ij           d_x = d_y·Wᵀ             [N, J]·[J, I] = [N, I]

        ∂y_nj/∂w_ij = x_ni      w_ij touches y_1j ... y_Nj, so sum over n:
        ∂L/∂w_ij = Σ_n x_ni·∂L/∂y_nj           d_W = xᵀ·d_y             [I, N]·[N, J] = [I, J]

        ∂y_nj/∂b_j = 1          b_j touches y_1j ... y_Nj, so sum over n:
        ∂L/∂b_j = Σ_n ∂L/∂y_nj                 d_b = Σ_n d_y            [J]

    Shapes: `d_y` [N, J], `x` [N, I], `weight` [I, J]; the result ([N, I], [I, J], [J]).
    """
    d_x = d_y @ weight.T  # [N, I]
    d_weight = x.T @ d_y  # [I, J]
    d_bias = d_y.sum(axis=0)  # [J]
    return d_x, d_weight, d_bias


def softplus(x: Array) -> Array:
    """log(1 + eˣ), for any x: `logaddexp` takes the larger exponential out first, so that none overflows."""
    return np.logaddexp(0.0, x)


def sigmoid(x: Array) -> Array:
    """From any number to one between 0 and 1.

        σ(x) = 1 / (1 + e^(−x)) = exp(−log(1 + e^(−x)))

    The second form overflows for no x. Any shape.
    """
    return np.exp(-softplus(-x))


def sigmoid_backward(d_y: Array, y: Array) -> Array:
    """The gradient of y = σ(x), from y itself.

        y     = (1 + e^(−x))⁻¹
        dy/dx = −(1 + e^(−x))⁻² · (−e^(−x))              power rule, then the inner derivative
              = 1/(1 + e^(−x)) · e^(−x)/(1 + e^(−x))
              = y·(1 − y)                                because e^(−x)/(1 + e^(−x)) = 1 − 1/(1 + e^(−x))
        d_x   = d_y·y·(1 − y)                            each x touches one y: there is no sum

    Any shape, the same for all.
    """
    return d_y * y * (1.0 - y)


def tanh(x: Array) -> Array:
    """tanh(x) = (eˣ − e^(−x)) / (eˣ + e^(−x)), between −1 and 1. Any shape."""
    return np.tanh(x)


def tanh_backward(d_y: Array, y: Array) -> Array:
    """The gradient of y = tanh(x), from y itself.

        y     = s/c                  s = eˣ − e^(−x),   c = eˣ + e^(−x),   s' = c,   c' = s
        dy/dx = (s'·c − s·c')/c²     quotient rule
              = (c² − s²)/c²
              = 1 − y²
        d_x   = d_y·(1 − y²)

    Any shape, the same for all.
    """
    return d_y * (1.0 - y * y)


def relu(x: Array) -> Array:
    """max(x, 0). Any shape."""
    return np.maximum(x, 0.0)


def relu_backward(d_y: Array, y: Array) -> Array:
    """The gradient of y = max(x, 0), from y itself.

        x > 0:   y = x,   dy/dx = 1
        x < 0:   y = 0,   dy/dx = 0
        x = 0:   there is no derivative; 0 is taken
        d_x = d_y where y > 0, else 0

    Any shape, the same for all.
    """
    return d_y * (y > 0.0)


def mean_squared_error(prediction: Array, target: Array) -> float:
    """L = (1/N)·Σ_n (v_n − g_n)². Shapes: [N], [N]; the result a scalar."""
    return float(np.mean((prediction - target) ** 2))


def mean_squared_error_backward(prediction: Array, target: Array) -> Array:
    """The gradient of the mean squared error for the prediction; the target is a constant.

        L        = (1/N)·Σ_n (v_n − g_n)²
        ∂L/∂v_n  = (1/N)·2·(v_n − g_n)·1        only the n-th term holds v_n

    Shapes: [N], [N]; the result [N].
    """
    return 2.0 * (prediction - target) / len(prediction)


ACTIVATIONS = {"sigmoid": (sigmoid, sigmoid_backward), "tanh": (tanh, tanh_backward), "relu": (relu, relu_backward)}
"""By name: (forward, backward)."""
