"""Dense networks, unit by unit, and gradients of the whole loss by central differences."""

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from pg_theano.graphs import networks
from pg_theano.graphs.layers import dense


@pytest.mark.parametrize("hidden", [(), (4,), (3, 5), (2, 18, 3)])
@pytest.mark.parametrize("activation", by_definition.ACTIVATIONS)
def test_the_forward_pass_is_that_of_a_loop_over_units(activation, hidden):
    """As matrix products, and as what a scan uses instead, for layers narrow and wide.

    Caught, when planted: an activation on the last layer; a bias left out; activations' names exchanged; weights
    read transposed.
    """
    rng = np.random.default_rng(0)
    spec = by_definition.make_spec(hidden=hidden, activation=activation, obs_size=3, num_actions=2)
    params, obs = pt.dvector(), pt.dmatrix()
    layers, path = networks.views(params, spec.acting.layout), spec.acting.path("policy")
    outputs = [networks.through(path, layers, obs, multiply=m) for m in (dense.product, dense.in_scan)]
    forward = by_definition.interpreted([params, obs], outputs)
    weights, x = rng.normal(size=spec.acting.num_params), rng.normal(0, 2, (3, 6))
    expected = [by_definition.logits_by_definition(spec, weights, column) for column in x.T]
    for got in forward(weights, x):
        np.testing.assert_allclose(got.T, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", by_definition.ACTIVATIONS)
def test_large_inputs_do_not_overflow(activation):
    """Sums of ±1e4 in, finite numbers and derivatives out. Caught, when planted: sigmoid as 1/(1 + exp(−x)) (NaN)."""
    x = pt.dvector()
    y = dense.ACTIVATIONS[activation](x)
    value, slope = by_definition.interpreted([x], [y, pytensor.grad(y.sum(), x)])(np.array([-1e4, 0.5, 1e4]))
    middle = {"sigmoid": 1 / (1 + np.exp(-0.5)), "tanh": np.tanh(0.5), "relu": 0.5}[activation]
    ends = {"sigmoid": (0, 1), "tanh": (-1, 1), "relu": (0, 1e4)}[activation]
    np.testing.assert_allclose(value, [ends[0], middle, ends[1]], rtol=1e-12, atol=1e-12)
    bent = {"sigmoid": middle * (1 - middle), "tanh": 1 - middle**2, "relu": 1}[activation]
    np.testing.assert_allclose(slope, [0, bent, activation == "relu"], rtol=1e-12, atol=1e-12)


def combinations():
    """Every activation, signal, baseline, exploration, mean and 0 to 3 hidden layers, in 15 random mixtures."""
    rng = np.random.default_rng(4)
    choices = {
        "baseline": by_definition.BASELINES,
        "signal": by_definition.SIGNALS,
        "activation": by_definition.ACTIVATIONS,
        "exploration": by_definition.EXPLORATIONS,
        "average": ["steps", "episodes"],
        "standardize_advantages": [False, True],
        "normalize_observations": [False, True],
        "hidden": [(), (3,), (2, 3), (2, 2, 2)],
    }
    columns = {key: rng.permutation([i % len(values) for i in range(15)]) for key, values in choices.items()}
    return [{key: choices[key][columns[key][i]] for key in choices} for i in range(15)]


@pytest.mark.parametrize("changes", combinations(), ids=lambda c: "-".join(str(v) for v in c.values()))
def test_loss_and_gradient_are_those_of_the_definition(changes):
    """The loss by loops over ragged episodes; the gradient by central differences of it, advantages held fixed.

    Caught, when planted: a gradient that runs through the advantage or takes the mixture's log-probability for the
    network's; the sign of the loss; obs and action paired by another order; obs not normalised; a mean over padded
    steps; standardised with padding; the signal's name ignored.
    """
    rng = np.random.default_rng(5)
    spec = by_definition.make_spec(**changes)
    episodes, earlier = by_definition.random_episodes(rng, [5, 1, 3]), [rng.normal(size=3)]
    state = by_definition.initial_state(spec, rng)
    if spec.learning.baseline == "mean_so_far":
        state["baseline/mean"] = np.array(earlier[0].mean())
    if spec.acting.normalize_observations:
        state |= {"normalizer/mean": rng.normal(size=2), "normalizer/variance": rng.uniform(0.5, 2, 2)}
    rollout = by_definition.pad(episodes, 4, 8, garbage=rng)
    out = by_definition.interpreted_graph(spec, "gradient")(state | rollout._asdict() | {"knobs": by_definition.KNOBS})
    loss = by_definition.loss_by_definition(spec, state, episodes, by_definition.KNOBS, earlier)
    np.testing.assert_allclose(out["loss"], loss, rtol=1e-11, atol=1e-12)
    expected = by_definition.gradient_by_differences(spec, state, episodes, by_definition.KNOBS, earlier)
    np.testing.assert_allclose(out["gradient"], expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
