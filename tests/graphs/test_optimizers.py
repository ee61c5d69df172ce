"""Three steps of each optimiser against tables: worked with 40-digit decimals from the papers' equations."""

import helpers_graphs as by_definition
import numpy as np
import pytensor.tensor as pt
import pytest

from pg_theano.graphs import optimizers

PARAMS = [1.0, -2.0]
GRADIENTS = [[0.5, -1.0], [-0.25, 2.0], [1.0, 0.0]]
CONSTANTS = {"momentum": 0.9, "rmsprop_decay": 0.9, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}

AFTER = {  # θ after steps 1, 2 and 3 at η = 0.1
    "sgd": [[0.95, -1.9], [0.975, -2.1], [0.875, -2.1]],
    # v: (0.5, −1), (0.2, 1.1), (1.18, 0.99)
    "momentum": [[0.95, -1.9], [0.93, -2.01], [0.812, -2.109]],
    # s: (0.025, 0.1), (0.02875, 0.49), (0.125875, 0.441)
    "rmsprop": [
        [0.683772253983161, -1.683772243983162],
        [0.831214201442406, -1.969486525615815],
        [0.549356279303669, -1.969486525615815],
    ],
    # the first step is η·sign(g), as Kingma and Ba say
    "adam": [
        [0.900000002, -1.900000001],
        [0.873366298707846, -1.936610353472075],
        [0.807555139677090, -1.964910262000931],
    ],
}


@pytest.fixture(scope="module", params=by_definition.OPTIMIZERS)
def optimizer(request):
    """(name, step): step(params, gradient, state, η) -> (params, state), from states that begin at 0."""
    name = request.param
    params, gradient, rate = pt.dvector(), pt.dvector(), pt.dscalar()
    state = {key: pt.dvector() if like == "params" else pt.dscalar() for key, like in optimizers.STATE[name].items()}
    moved, following = optimizers.BY_NAME[name](params, gradient, state, learning_rate=rate, **CONSTANTS)
    assert set(following) == set(state)
    run = by_definition.interpreted(
        [params, gradient, rate, *state.values()], [moved, *(following[key] for key in state)]
    )

    def step(params, gradient, state, rate):
        params, *values = run(params, gradient, rate, *state.values())
        return params, dict(zip(state, values, strict=True))

    zeros = {key: np.zeros(2) if like == "params" else np.array(0.0) for key, like in optimizers.STATE[name].items()}
    return name, step, zeros


def test_three_steps_are_those_of_the_table(optimizer):
    """Caught, when planted: ascent; η inside the velocity; ε under the root; no correction of the bias, or of k for
    k+1; β₁ and β₂ exchanged; ρ and 1−ρ exchanged.
    """
    name, step, state = optimizer
    params = np.array(PARAMS)
    for gradient, expected in zip(GRADIENTS, AFTER[name], strict=True):
        params, state = step(params, np.array(gradient), state, 0.1)
        np.testing.assert_allclose(params, expected, rtol=0, atol=2e-15)


def test_a_learning_rate_of_zero_moves_nothing_but_the_optimisers_own_state(optimizer):
    """Caught, when planted: a rate that is a constant of the graph."""
    name, step, state = optimizer
    params, following = step(np.array(PARAMS), np.array([0.5, -1.0]), state, 0.0)
    assert params.tolist() == PARAMS
    assert all(np.any(following[key] != state[key]) for key in state), name


@pytest.fixture(scope="module")
def clip():
    gradient, longest = pt.dvector(), pt.dscalar()
    norm = pt.sqrt(pt.sum(gradient**2))
    return by_definition.interpreted(
        [gradient, longest], optimizers.clip_by_global_norm(gradient, norm, max_norm=longest)
    )


@pytest.mark.parametrize(
    ("gradient", "longest", "expected"),
    [
        ([3.0, 4.0], 1.0, [0.6, 0.8]),  # element by element it would be (1, 1)
        ([3.0, 4.0], 5.0, [3.0, 4.0]),
        ([3.0, 4.0], 100.0, [3.0, 4.0]),
        ([0.0, -1e12], 2.0, [0.0, -2.0]),
        ([0.0, 0.0], 1.0, [0.0, 0.0]),
        ([1e-3, 0.0], 1e-6, [1e-6, 0.0]),
    ],
)
def test_clipping_keeps_the_direction_and_bounds_the_length(clip, gradient, longest, expected):
    """Caught, when planted: clipping element by element; every gradient stretched to the bound; 0/0."""
    np.testing.assert_allclose(clip(np.array(gradient), longest), expected, rtol=1e-14)
