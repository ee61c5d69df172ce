"""Masked actions, against the definition: the probabilities of what is allowed, renormalised by enumeration."""

import dataclasses
import itertools

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_graphs import KNOBS

from pg_theano.graphs import distributions, exploration, masks
from pg_theano.policies import acting
from pg_theano.types import EXPLORE, GREEDY, NUM_UNIFORMS, SAMPLE, ActionSpace

MASKS = np.array([one for one in itertools.product((0, 1), repeat=4) if any(one)]).T  # [A, N], all that allow one
A, N = MASKS.shape
RNG = np.random.default_rng(0)
NEAR, OLD = RNG.normal(0, 2, (2, A, N))
FAR = 1e4 * NEAR  # logits that saturate, beside a mask


def masked_spec(action, **changes):
    """A policy of two features, whose rows end with a mask."""
    spec = by_definition.make_spec(action=action._asdict(), **changes)
    size = sum(action.choices)
    return spec._replace(acting=dataclasses.replace(spec.acting, obs_size=2 + size, mask_size=size))


def discrete(number):
    return ActionSpace("discrete", 1, [number], [], [])


def probs_of(logits, mask):
    """exp(z) over what is allowed, divided by its sum, in float64."""
    weights = np.where(mask > 0, np.exp(np.minimum(logits - np.where(mask > 0, logits, -np.inf).max(axis=0), 0)), 0.0)
    return weights / weights.sum(axis=0)


def entropy_of(probs):
    return -np.sum(np.where(probs > 0, probs * np.log(np.maximum(probs, 1e-300)), 0.0), axis=0)


@pytest.fixture(scope="module", params=["float32", "float64"])
def told(request):
    """(log π [A, N], entropy [N], KL [N] and ∂/∂z of Σ log π(a), Σ H, Σ KL, each [A, N]) of logits, old ones, actions."""
    dtype = request.param
    spec = masked_spec(discrete(A), dtype=dtype)
    z, old = (pt.tensor(name, shape=(A, None), dtype=dtype) for name in ("z", "old"))
    mask, action = pt.tensor("m", shape=(A, None), dtype=dtype), pt.ivector()
    law = distributions.of(spec.acting)
    inputs, before = (distributions.inputs_of(spec.acting, masks.masked(one, mask), None, None) for one in (z, old))
    values = [law.log_prob(inputs, action), law.entropy(inputs), law.kl(before, inputs)]
    slopes = [pytensor.grad(value.sum(), z) for value in values]
    return dtype, by_definition.interpreted([z, old, mask, action], [pt.exp(inputs[0]), *values, *slopes])


@pytest.mark.parametrize("logits", [NEAR, FAR], ids=["near", "far"])
def test_a_masked_distribution_is_the_renormalised_one(told, logits):
    """Probabilities, log π, entropy, KL and their gradients, exactly 0 where the mask says so, in both dtypes.

    Caught, when planted: a mask of −50 in place of −10³⁰ (π is 2·10⁻²²); −∞ (NaN in the gradient of the entropy); the
    entropy with its bound at −80 (10⁻³³ where one action is allowed); the mask taken after the softmax.
    """
    dtype, function = told
    action = np.array([int(np.flatnonzero(MASKS[:, n])[n % MASKS[:, n].sum()]) for n in range(N)], np.int32)
    given = [one.astype(dtype) for one in (logits, OLD, MASKS)]
    probs, log_prob, entropy, kl, *slopes = function(*given, action)
    expected, before = probs_of(given[0].astype(float), MASKS), probs_of(given[1].astype(float), MASKS)
    near = {"rtol": 0, "atol": 1e-12 if dtype == "float64" else 3e-6}
    assert (probs[MASKS == 0] == 0).all()
    np.testing.assert_allclose(probs, expected, **near)
    np.testing.assert_allclose(entropy, entropy_of(expected), **near)
    alone = MASKS.sum(axis=0) == 1
    assert (entropy[alone] == 0).all() and (kl[alone] == 0).all() and (log_prob[alone] == 0).all()
    assert all(np.isfinite(slope).all() and (slope[MASKS == 0] == 0).all() for slope in slopes)
    if logits is NEAR:
        log_expected = np.log(expected, where=MASKS > 0, out=np.zeros_like(expected))
        log_before = np.log(before, where=MASKS > 0, out=np.zeros_like(expected))
        np.testing.assert_allclose(log_prob, log_expected[action, np.arange(N)], **near)
        np.testing.assert_allclose(kl, np.sum(before * (log_before - log_expected), axis=0), **near)
        chosen = np.arange(A)[:, None] == action
        np.testing.assert_allclose(slopes[0], chosen - expected, **near)  # ∂log π(a)/∂z_b = 1{a=b} − π_b
        np.testing.assert_allclose(slopes[1], -expected * (log_expected + entropy_of(expected)), **near)
        np.testing.assert_allclose(slopes[2], expected - before, **near)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_of_padding_that_allows_nothing_is_finite(dtype):
    """Rows of 0 stand behind the end of an episode; their weight is 0, which 0·∞ would not be."""
    spec = masked_spec(discrete(3), dtype=dtype)
    z = pt.as_tensor(np.zeros((3, 1), dtype)).copy()
    inputs = distributions.inputs_of(spec.acting, masks.masked(z, pt.zeros_like(z)), None, None)
    law = distributions.of(spec.acting)
    values = [law.log_prob(inputs, pt.zeros(1, dtype="int32")), law.entropy(inputs), law.kl(inputs, inputs)]
    found = by_definition.interpreted([], [*values, *(pytensor.grad(0 * value.sum(), z) for value in values)])()
    assert all(np.isfinite(one).all() for one in found)


@pytest.mark.parametrize("name", by_definition.EXPLORATIONS)
def test_strategies_explore_among_what_is_allowed(name):
    """By enumeration of the noise, ε = 0.3; log π of the mixture, and its entropy, by the definition.

    Caught, when planted: uniform over all A, of which ruled-out ones are drawn; ε/A for ε/n in the mixture; a mixture
    that gives ruled-out actions ε/n; k counted from 1.
    """
    rate, mask, logits = 0.3, np.array([0, 1, 0, 1, 1])[:, None], np.log([[5.0], [8.0], [7.0], [2.0], [10.0]])
    axes = [(np.arange(n) + 0.5) / n for n in (20, 10, 9)]
    noise = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")])
    spec = masked_spec(discrete(5), exploration=name).acting
    z = masks.masked(pt.specify_shape(pt.as_tensor(logits), (5, 1)), pt.as_tensor(mask.astype(float)))
    inputs = distributions.inputs_of(spec, z, None, None)
    every = pt.repeat(inputs[0], noise.shape[1], axis=1)
    how = {"exploration_rate": pt.as_tensor(rate), "masked": True}
    learned = [exploration.log_prob(name, inputs[0], pt.as_tensor(np.array([a], np.int32)), **how) for a in (1, 3, 4)]
    mixed = (exploration.mixture(name, inputs[0], **how),)
    drawn, learned, entropy = by_definition.interpreted(
        [], [exploration.draw(name, pt.specify_shape(every, (5, None)), noise, **how), pt.concatenate(learned),
             distributions.of(spec).entropy(mixed)]
    )()  # fmt: skip
    pi, best, uniform = np.array([0, 0.4, 0, 0.1, 0.5]), np.eye(5)[4], np.array([0, 1, 0, 1, 1]) / 3
    explores = {"softmax": pi, "epsilon_softmax": uniform, "epsilon_greedy": uniform, "epsilon_greedy_softmax": pi}
    shares = rate * explores[name] + (1 - rate) * (best if "greedy" in name else pi)
    np.testing.assert_allclose(np.bincount(drawn, minlength=5) / len(drawn), shares, rtol=0, atol=1e-12)
    behind = shares if name == "epsilon_softmax" else pi
    np.testing.assert_allclose(np.exp(learned), behind[[1, 3, 4]], rtol=1e-12)
    np.testing.assert_allclose(entropy, [entropy_of(behind)], rtol=1e-12)


ENDS = np.array([0.0, 2.0**-24, 0.5, 1 - 2.0**-24, 1.0])  # uniform numbers, of which one in 2²⁵ rounds to 1


@pytest.mark.parametrize("kind", ["few", "many"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_components_are_masked_each_by_itself_however_many(kind, dtype):
    """MultiDiscrete of 2 components, or 20, whose expressions are others: the sum over components of the definition.

    Caught, when planted: the mask of a component taken for its neighbour's; choices that a component has not, drawn
    where u rounds to 1; the last choice drawn there although it is ruled out.
    """
    choices = [3, 4] if kind == "few" else [3, 4, 2, 3] * 5
    spec = masked_spec(ActionSpace("multi_discrete", len(choices), choices, [], []), dtype=dtype).acting
    rng, parts, size = np.random.default_rng(1), np.cumsum(choices)[:-1], sum(choices)
    mask = (rng.random((size, len(ENDS))) < 0.5).astype(dtype)
    for part in np.split(mask, parts):
        part[0, part.sum(axis=0) == 0] = 1
        part[-1, :3], part[0, :3] = 0, 1  # the last choice is ruled out
    logits, old = rng.normal(0, 2, (2, size, len(ENDS))).astype(dtype)
    z, m = pt.specify_shape(pt.as_tensor(logits).copy(), (size, None)), pt.as_tensor(mask)
    law = distributions.of(spec)
    inputs, before = (
        distributions.inputs_of(spec, masks.masked(one, m), None, None)
        for one in (z, pt.specify_shape(pt.as_tensor(old), (size, None)))
    )
    noise = np.tile(ENDS.astype(dtype), (len(choices), 1))
    action = law.sample(inputs, pt.as_tensor(noise))
    values = [law.log_prob(inputs, action), law.entropy(inputs), law.kl(before, inputs)]
    slopes = [pytensor.grad(value.sum(), z) for value in values]
    drawn, mode, *values = by_definition.interpreted([], [action, law.mode(inputs), *values, *slopes])()
    split = [np.split(one.astype(float), parts) for one in (logits, old, mask)]
    probs = [probs_of(one, allowed) for one, _, allowed in zip(*split, strict=True)]
    olds = [probs_of(one, allowed) for _, one, allowed in zip(*split, strict=True)]
    rows = np.arange(len(ENDS))
    assert all(
        (probs[c][drawn[c], rows] > 0).all() and (probs[c].argmax(axis=0) == mode[c]).all() for c in range(len(choices))
    )
    near = {"rtol": 1e-5 if dtype == "float32" else 1e-11, "atol": 1e-5 if dtype == "float32" else 1e-11}
    np.testing.assert_allclose(values[0], sum(np.log(p[a, rows]) for p, a in zip(probs, drawn, strict=True)), **near)
    np.testing.assert_allclose(values[1], sum(map(entropy_of, probs)), **near)
    log = [np.log(np.where(p > 0, p, 1.0)) for p in probs]
    log_old = [np.log(np.where(p > 0, p, 1.0)) for p in olds]
    kl = sum(np.sum(b * (y - x), axis=0) for b, y, x in zip(olds, log_old, log, strict=True))
    np.testing.assert_allclose(values[2], kl, **near)
    assert all(np.isfinite(slope).all() and (slope[mask == 0] == 0).all() for slope in values[3:])


SPACES = {"discrete": discrete(5), "multi_discrete": ActionSpace("multi_discrete", 3, [2, 4, 3], [], [])}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "name"), [*(("discrete", name) for name in by_definition.EXPLORATIONS), ("multi_discrete", "softmax")])  # fmt: skip
def test_numpy_keeps_to_the_mask_as_the_graph_does(kind, name, dtype):
    """Three ways to choose, with log π and without; the normaliser leaves the mask alone. Of 400 rows, none forbidden.

    Caught, when planted, in NumPy alone: the shortcut for two actions; the mask normalised with the features; uniform
    over all; log π over all; the last allowed action not taken where u is 1.
    """
    spec = masked_spec(SPACES[kind], dtype=dtype, exploration=name, normalize_observations=True)
    rng, size, width = np.random.default_rng(2), spec.acting.mask_size, spec.acting.noise_kind[1]
    state = {"params": rng.normal(0, 1.5, spec.acting.num_params), "normalizer/mean": rng.normal(size=2), "normalizer/variance": rng.uniform(0.1, 9, 2)}  # fmt: skip
    state = {name: value.astype(dtype) for name, value in state.items()}
    mask = rng.random((400, size)) < 0.4
    parts = np.split(mask, np.cumsum(spec.acting.action.choices)[:-1], axis=1)
    for part in parts:
        part[~part.any(axis=1), 1] = True
    obs = np.concatenate([rng.normal(size=(400, 2)), mask], axis=1).astype(dtype)
    noise = rng.random((400, width)).astype(dtype)
    noise[:20] = 1
    graph = by_definition.interpreted_graph(spec, "act")
    ours, quick = (acting.numpy_act(spec.acting, with_log_prob=with_one) for with_one in (True, False))
    for choice, rate in itertools.product((EXPLORE, GREEDY, SAMPLE), (0.0, 0.4)):
        knobs = KNOBS | {"exploration_rate": rate}
        out = graph(state | {"obs": obs, "noise": noise, "knobs": knobs, "choice": choice})
        action, log_prob = ours(state, obs, noise, knobs, choice)
        assert np.array_equal(quick(state, obs, noise, knobs, choice)[0], action)
        for found in (action, out["action"]):
            each = found.reshape(400, -1).T
            assert all(part[np.arange(400), one].all() for part, one in zip(parts, each, strict=True))
        same = (action == out["action"]).reshape(400, -1).all(axis=1)
        assert same.all() if dtype == "float64" else same.mean() > 0.99
        np.testing.assert_allclose(
            log_prob[same], out["log_prob"][same], rtol=0, atol=1e-11 if dtype == "float64" else 1e-4
        )
    assert NUM_UNIFORMS[name] == width or kind != "discrete"


def test_the_gradient_of_a_policy_is_that_of_differences(monkeypatch):
    """Through the network, of Σ log π(a|o) + H, over every mask. Caught: the mask multiplied with the logits."""
    spec = masked_spec(discrete(A)).acting
    from pg_theano.graphs import actors, networks

    params, obs = pt.dvector("params"), np.concatenate([RNG.normal(size=(2, N)), MASKS])
    inputs = actors.inputs(spec, networks.views(params, spec.layout), pt.specify_shape(pt.as_tensor(obs), (2 + A, N)))
    law, action = distributions.of(spec), np.argmax(MASKS, axis=0).astype(np.int32)
    value = (law.log_prob(inputs, pt.as_tensor(action)) + law.entropy(inputs)).sum()
    function = by_definition.interpreted([params], [value, pytensor.grad(value, params)])
    at, step = np.random.default_rng(3).normal(size=spec.num_params), 1e-6
    differences = [
        (function(at + step * unit)[0] - function(at - step * unit)[0]) / (2 * step) for unit in np.eye(len(at))
    ]
    np.testing.assert_allclose(function(at)[1], differences, rtol=0, atol=1e-7)
