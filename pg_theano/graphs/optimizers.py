"""Optimisers: (params, gradient, state) to (params, state), over one flat vector [D].

Each is a dict of state entries and a function of expressions; all constants are inputs, so that changing one
compiles nothing.
"""

import pytensor.tensor as pt

STATE = {
    "sgd": {},
    "momentum": {"velocity": "params"},
    "rmsprop": {"mean_square": "params"},
    "adam": {"first_moment": "params", "second_moment": "params", "step": "scalar"},
}
"""What each keeps between updates: a vector like the parameters, or a scalar. All begin at 0."""


def clip_by_global_norm(gradient, norm, *, max_norm):
    """g·min(1, max_norm / ‖g‖₂): the direction stays, element by element nothing is cut.   Pascanu et al. 2013"""
    return gradient * pt.minimum(1.0, max_norm / pt.maximum(norm, 1e-30))


def sgd(params, gradient, state, *, learning_rate, **_):
    """θ' = θ − η·g"""
    return params - learning_rate * gradient, {}


def momentum(params, gradient, state, *, learning_rate, momentum, **_):
    """v' = μ·v + g,   θ' = θ − η·v'                                                    Polyak 1964"""
    velocity = momentum * state["velocity"] + gradient
    return params - learning_rate * velocity, {"velocity": velocity}


def rmsprop(params, gradient, state, *, learning_rate, rmsprop_decay, epsilon, **_):
    """s' = ρ·s + (1−ρ)·g²,   θ' = θ − η·g / (√s' + ε)                       Tieleman and Hinton 2012"""
    mean_square = rmsprop_decay * state["mean_square"] + (1 - rmsprop_decay) * gradient * gradient
    return params - learning_rate * gradient / (pt.sqrt(mean_square) + epsilon), {"mean_square": mean_square}


def adam(params, gradient, state, *, learning_rate, beta1, beta2, epsilon, **_):
    """m' = β₁m + (1−β₁)g,   v' = β₂v + (1−β₂)g²,   k' = k + 1
    θ' = θ − η·(m'/(1−β₁^k')) / (√(v'/(1−β₂^k')) + ε)                    Kingma and Ba 2015, algorithm 1
    """
    step = state["step"] + 1
    first = beta1 * state["first_moment"] + (1 - beta1) * gradient
    second = beta2 * state["second_moment"] + (1 - beta2) * gradient * gradient
    first_unbiased = first / (1 - beta1**step)
    second_unbiased = second / (1 - beta2**step)
    params = params - learning_rate * first_unbiased / (pt.sqrt(second_unbiased) + epsilon)
    return params, {"first_moment": first, "second_moment": second, "step": step}


BY_NAME = {"sgd": sgd, "momentum": momentum, "rmsprop": rmsprop, "adam": adam}
