"""A return can be differentiated through the dynamics."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.jax.linker import JAXLinker

from pg_theano.graphs.environments import load

E, T = 3, 8


@pytest.mark.slow
def test_gradient_of_a_pendulums_return_is_the_central_difference():
    """With respect to every action and to the first state."""
    pendulum = load("Pendulum-v1")
    first, actions = pt.matrix("first", dtype="float64"), pt.matrix("actions", dtype="float64")  # [2, E], [T, E]
    state, total = (first[0], first[1]), 0.0
    for t in range(T):
        action = (actions[t],)
        next_state = pendulum.transition(state, action)
        total = total + pendulum.reward(state, action, next_state).sum()
        state = next_state
    mode = Mode(JAXLinker(), RewriteDatabaseQuery(include=["fast_compile", "jax"], exclude=["fusion", "inplace"]))
    with pytensor.config.change_flags(floatX="float64"):
        gradients = pytensor.grad(total, [first, actions])
        evaluate = pytensor.function([first, actions], [total, *gradients], mode=mode)

    rng = np.random.default_rng(0)
    at = [rng.uniform([[-6.0], [-2.0]], [[6.0], [2.0]], size=(2, E)), rng.uniform(-1.5, 1.5, size=(T, E))]
    _, *exact = evaluate(*at)
    width = 1e-5
    for which, gradient in enumerate(exact):
        numeric = np.empty_like(at[which])
        for index in np.ndindex(*numeric.shape):
            ends = []
            for sign in (1.0, -1.0):
                moved = [array.copy() for array in at]
                moved[which][index] += sign * width
                ends.append(float(evaluate(*moved)[0]))
            numeric[index] = (ends[0] - ends[1]) / (2 * width)
        assert abs(numeric).min() > 1e-4  # every input matters
        assert np.allclose(np.asarray(gradient), numeric, rtol=1e-6, atol=1e-8)
