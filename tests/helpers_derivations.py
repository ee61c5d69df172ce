"""Three derivations of every gradient: the graph's, the one on paper, and differences, over random shapes.

A `Case` is one layer, distribution or objective at one random shape: the arrays by which it is differentiated, the
scalar that the graph makes of them, and the gradient by hand: of `pg_theano/by_hand` where that has it, else derived in
the docstring here. A `by_hand` gradient is laid out as the arrays are; the graph is feature-major, the twin by rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
from scipy.special import erf, expit, log_softmax

from pg_theano import parameters
from pg_theano.by_hand import layers, policies, ppo
from pg_theano.by_hand import networks as by_hand_networks
from pg_theano.by_hand.networks import Network
from pg_theano.graphs import distributions, exploration, networks, objectives
from pg_theano.graphs import policies as graph_policies
from pg_theano.graphs.algorithms import pgpe
from pg_theano.graphs.layers import dense as dense_graph
from pg_theano.layers import Dense, Placed, layout_of
from pg_theano.parameters import dense_layers


class Case(NamedTuple):
    arrays: list  # by which is differentiated
    graph: Callable[[list], Any]  # of symbols like them, a scalar
    by_hand: list  # gradients, like the arrays
    value: float | None = None  # the scalar by hand, where there is a twin


def differences(function, arrays):
    """Central differences with Richardson's combination of two steps: the error is O(step⁴)."""
    gradients = []
    for k, array in enumerate(arrays):
        gradient = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            slopes = []
            for step in (2e-4, 4e-4):
                sides = []
                for sign in (1, -1):
                    moved = array.copy()
                    moved[place] += sign * step
                    sides.append(function(*arrays[:k], moved, *arrays[k + 1 :]))
                slopes.append((sides[0] - sides[1]) / (2 * step))
            gradient[place] = (4 * slopes[0] - slopes[1]) / 3
        gradients.append(gradient)
    return gradients


def errors(case):
    """(symbolic against by hand, symbolic against numerical), relative to the largest derivative, at least 1."""
    arrays = [np.array(array, float) for array in case.arrays]
    symbols = [pt.tensor(shape=array.shape, dtype="float64") for array in arrays]
    value = case.graph(symbols)
    run = by_definition.interpreted(symbols, [value, *pytensor.grad(value, symbols, disconnected_inputs="ignore")])
    forward = by_definition.interpreted(symbols, value)
    at, *symbolic = run(*arrays)
    scale = max(1.0, *(float(np.abs(gradient).max(initial=0)) for gradient in symbolic))

    def apart(others):
        pairs = zip(symbolic, others, strict=True)
        return max(float(np.abs(a - b).max(initial=0)) for a, b in pairs) / scale

    by_hand = apart([np.reshape(one, array.shape) for one, array in zip(case.by_hand, arrays, strict=True)])
    if case.value is not None:
        by_hand = max(by_hand, abs(float(at) - case.value) / max(1.0, abs(case.value)))
    return by_hand, apart(differences(lambda *moved: float(forward(*moved)), arrays))


def sizes(rng, *names):
    return {name: int(rng.integers(1, 5)) for name in names}


def rows(rng):
    return int(rng.choice([1, 2, 6]))


# -- layers


def dense(rng):
    n, inputs, outputs = rows(rng), *sizes(rng, "inputs", "outputs").values()
    x, w, b = rng.normal(size=(n, inputs)), rng.normal(size=(inputs, outputs)), rng.normal(size=outputs)
    weights = rng.normal(size=(n, outputs))
    multiply = [dense_graph.product, dense_graph.in_scan][rng.integers(2)]
    d_x, d_w, d_b = layers.dense_backward(weights, x, w)
    return Case(
        [x.T, w, b],
        lambda s: (
            dense_graph.expression(Placed(Dense(outputs), (inputs,), []), s[1:], s[0], multiply=multiply) * weights.T
        ).sum(),
        [d_x.T, d_w, d_b],
        float((weights * layers.dense(x, w, b)).sum()),
    )


def activation(name):
    def made(rng):
        x = rng.normal(0, 3, (rows(rng), int(rng.integers(1, 5))))
        x[np.abs(x) < 0.05] = 0.5  # relu has a corner at 0
        weights = rng.normal(size=x.shape)
        forward, backward = layers.ACTIVATIONS[name]
        y = forward(x)
        gradient = backward(weights, y)
        return Case(
            [x], lambda s: (dense_graph.ACTIVATIONS[name](s[0]) * weights).sum(), [gradient], float((weights * y).sum())
        )

    return made


def network(rng):
    """A chain of any depth, from the flat vector of its numbers."""
    shape = tuple(int(size) for size in rng.integers(1, 5, rng.integers(2, 5)))
    twin = Network(shape, str(rng.choice(["sigmoid", "tanh"])))
    params, x = rng.normal(size=by_hand_networks.count(twin)), rng.normal(size=(rows(rng), shape[0]))
    weights = rng.normal(size=(len(x), shape[-1]))
    placed = parameters.Network(policy=dense_layers(shape[1:-1], twin.activation, shape[-1])).placed(shape[0])["policy"]
    y, trace = by_hand_networks.forward(params, twin, x)

    def graph(symbols):
        views = networks.views(symbols[0], layout_of(placed))
        made = networks.through(placed, views, pt.constant(x.T), multiply=dense_graph.product)
        return (made * weights.T).sum()

    gradient = by_hand_networks.backward(weights, params, twin, trace)
    return Case([params], graph, [gradient], float((weights * y).sum()))


# -- distributions: Σ a·log π + b·H + c·KL(old || π), a, b, c of each row


def softmax_parts(z, old, action):
    """Of log π(a), H and KL(old || π) by the logits: 1[j = a] − π_j;  −π_j·(log π_j + H);  π_j − π_old,j. Rows.

    KL = Σ_j π_old,j·(log π_old,j − log π_j), and ∂(−Σ_j π_old,j·log π_j)/∂z_i = −Σ_j π_old,j·(1[i = j] − π_i).
    """
    log_p = log_softmax(z, axis=1)
    p, entropy = np.exp(log_p), -(np.exp(log_p) * log_p).sum(axis=1, keepdims=True)
    taken = np.eye(z.shape[1])[action]
    return taken - p, -p * (log_p + entropy), p - np.exp(log_softmax(old, axis=1))


def weighed(weights, parts):
    return sum(weight[:, None] * part for weight, part in zip(weights, parts, strict=True))


def scalar_of(law, inputs, old, action, weights):
    a, b, c = weights
    return (a * law.log_prob(inputs, action) + b * law.entropy(inputs) + c * law.kl(old, inputs)).sum()


def discrete(rng):
    n, size = rows(rng), int(rng.integers(1, 5))
    z, old, weights = *rng.normal(0, 2, (2, n, size)), rng.normal(size=(3, n))
    action = rng.integers(0, size, n)
    none, (a, b, c) = np.zeros(0), weights
    twin = policies.softmax_backward(z, none, action, a, b)[0]
    law = distributions.DISCRETE

    def graph(symbols):
        inputs, before = ((graph_policies.softmax_log_probs(x),) for x in (symbols[0], pt.constant(old.T)))
        return scalar_of(law, inputs, before, pt.constant(action.astype("int32")), weights)

    return Case([z.T], graph, [(twin + c[:, None] * softmax_parts(z, old, action)[2]).T])


def logistic(rng):
    """One logit for two actions; KL by p = σ(z), as of `multi_binary`."""
    n = rows(rng)
    z, (a, b) = rng.normal(0, 2, (n, 1)), rng.normal(size=(2, n))
    action = rng.integers(0, 2, n)
    gradient = policies.logistic_backward(z, np.zeros(0), action, a, b)[0]

    def graph(symbols):
        inputs = (graph_policies.logistic_log_probs(symbols[0]),)
        law = distributions.DISCRETE
        return (a * law.log_prob(inputs, pt.constant(action.astype("int32"))) + b * law.entropy(inputs)).sum()

    value = a @ policies.logistic_log_prob(z, action) + b @ policies.logistic_entropy(z)
    return Case([z.T], graph, [gradient.T], float(value))


def epsilon_softmax(rng):
    """Of the mixture q = ε/A + (1−ε)·π:

    ∂log q(a)/∂z_j = (1−ε)·π(a)·(1[j = a] − π_j) / q(a)
    ∂H/∂z_j        = −(1−ε)·π_j·(log q_j − Σ_a π_a·log q_a)             H = −Σ_a q_a·log q_a
    """
    n, size, rate = rows(rng), int(rng.integers(2, 5)), rng.uniform(0.05, 0.9)
    z, (a, b), action = rng.normal(0, 2, (n, size)), rng.normal(size=(2, n)), rng.integers(0, size, n)
    p = np.exp(log_softmax(z, axis=1))
    taken = p[np.arange(n), action]
    share = (1 - rate) * taken / (rate / size + (1 - rate) * taken)
    log_q = np.log(rate / size + (1 - rate) * p)
    d_entropy = -(1 - rate) * p * (log_q - (p * log_q).sum(axis=1, keepdims=True))

    def graph(symbols):
        log_probs, chosen = graph_policies.softmax_log_probs(symbols[0]), pt.constant(action.astype("int32"))
        epsilon = {"exploration_rate": pt.constant(rate)}
        mixture = exploration.learned_from("epsilon_softmax", log_probs, size, **epsilon)
        entropy = distributions.discrete_entropy((mixture,))
        return (a * exploration.log_prob("epsilon_softmax", log_probs, chosen, **epsilon) + b * entropy).sum()

    return Case([z.T], graph, [((a * share)[:, None] * (np.eye(size)[action] - p) + b[:, None] * d_entropy).T])


def multi_discrete(rng):
    """Components add up: each has the softmax's gradients."""
    n, choices = rows(rng), [int(size) for size in rng.integers(1, 5, rng.integers(1, 4))]
    z, old = ([rng.normal(0, 2, (n, size)) for size in choices] for _ in range(2))
    action, weights = np.array([rng.integers(0, size, n) for size in choices]), rng.normal(size=(3, n))

    def graph(symbols):
        inputs, before = (
            tuple(graph_policies.softmax_log_probs(x) for x in parts)
            for parts in (symbols, [pt.constant(x.T) for x in old])
        )
        return scalar_of(distributions.MULTI_DISCRETE, inputs, before, pt.constant(action.astype("int32")), weights)

    parts = [softmax_parts(*one) for one in zip(z, old, action, strict=True)]
    return Case([x.T for x in z], graph, [weighed(weights, part).T for part in parts])


def multi_binary(rng):
    """log π: a − σ(z). H: −z·σ(z)·σ(−z). KL: σ(z) − σ(z_old), since KL = −Σ p_old·log p + const as for the softmax."""
    n, size = rows(rng), int(rng.integers(1, 5))
    z, old, weights = *rng.normal(0, 2, (2, n, size)), rng.normal(size=(3, n))
    action, law = rng.integers(0, 2, (n, size)), distributions.MULTI_BINARY
    parts = action - expit(z), -z * expit(z) * expit(-z), expit(z) - expit(old)

    def graph(symbols):
        chosen = pt.constant(action.T.astype("int32"))
        return scalar_of(law, (symbols[0],), (pt.constant(old.T),), chosen, weights)

    return Case([z.T], graph, [weighed(weights, parts).T])


def normal_parts(mean, log_std, old_mean, old_log_std, action):
    """((log π, H, KL) by μ, the same by log σ), u = (a − μ)/σ. Rows.

        log π   u/σ,               u² − 1
        H       0,                 1
        KL      (μ − μ_old)/σ²,    1 − (σ_old/σ)² − ((μ − μ_old)/σ)²

    of KL = log(σ/σ_old) + (σ_old² + (μ_old − μ)²)/(2σ²) − ½.
    """
    std, distance, one = np.exp(log_std), (mean - old_mean) / np.exp(log_std), np.ones_like(mean)
    u = (action - mean) / std
    ratio = np.exp(2 * (old_log_std - log_std))
    return (u / std, 0 * one, distance / std), (u * u - 1, one, 1 - ratio - distance**2)


def gaussian(rng):
    """One log σ for all rows, or one of each."""
    n, size, shared = rows(rng), int(rng.integers(1, 4)), bool(rng.integers(2))
    mean, old_mean, old_log_std = rng.normal(size=(3, n, size))
    log_std = rng.normal(0, 0.7, (1 if shared else n, size))
    action, weights = rng.normal(size=(n, size)), rng.normal(size=(3, n))
    by_mean, by_log_std = (
        weighed(weights, part) for part in normal_parts(mean, log_std + 0 * mean, old_mean, old_log_std, action)
    )
    if shared:  # and then the twin by hand has the first two parts
        a, b, c = weights
        kl = normal_parts(mean, log_std + 0 * mean, old_mean, old_log_std, action)
        twin = policies.gaussian_backward(mean, log_std[0], action, a, b)
        by_mean = twin[0] + c[:, None] * kl[0][2]
        by_log_std = twin[1] + (c[:, None] * kl[1][2]).sum(axis=0)

    def graph(symbols):
        old = pt.constant(old_mean.T), pt.constant(old_log_std.T)
        return scalar_of(distributions.GAUSSIAN, tuple(symbols), old, pt.constant(action.T), weights)

    return Case([mean.T, log_std.T], graph, [by_mean.T, np.atleast_2d(by_log_std).T])


def squashed(rng):
    """log π(b) = log π(u) less what no parameter is in; KL is that of u; H(b) = H(u) + 𝔼[log(1 − tanh² u)] + const, and

    𝔼[...] = 2·log 2 − 2·Σ_k w_k·m(μ, τ_k),   τ_k² = σ² + s_k²,   m the folded normal's mean
    ∂m/∂μ = erf(μ/(τ·√2)),   ∂m/∂τ = √(2/π)·exp(−½·(μ/τ)²),   ∂τ/∂log σ = σ²/τ
    """
    n, size = rows(rng), int(rng.integers(1, 4))
    mean, log_std, old_mean, old_log_std, action = rng.normal(0, 0.8, (5, n, size))
    weights = rng.normal(size=(3, n))
    half = rng.uniform(0.5, 3, size)
    law = distributions.squashed(distributions.GAUSSIAN, lambda inputs: inputs, half)
    by_mean, by_log_std = normal_parts(mean, log_std, old_mean, old_log_std, action)
    slope_mean, slope_log_std = np.zeros_like(mean), np.zeros_like(mean)
    for weight, spread in zip(distributions.LOGISTIC_WEIGHTS, distributions.LOGISTIC_STDS, strict=True):
        tau = np.sqrt(np.exp(2 * log_std) + spread**2)
        slope_mean -= 2 * weight * erf(mean / (tau * math.sqrt(2)))
        slope_log_std -= (
            2 * weight * math.sqrt(2 / math.pi) * np.exp(-0.5 * (mean / tau) ** 2) * np.exp(2 * log_std) / tau
        )
    by_mean = by_mean[0], by_mean[1] + slope_mean, by_mean[2]
    by_log_std = by_log_std[0], by_log_std[1] + slope_log_std, by_log_std[2]

    def graph(symbols):
        old = pt.constant(old_mean.T), pt.constant(old_log_std.T)
        return scalar_of(law, tuple(symbols), old, pt.constant(action.T), weights)

    return Case([mean.T, log_std.T], graph, [weighed(weights, by_mean).T, weighed(weights, by_log_std).T])


def state_dependent(rng):
    """σ_c² = Σ_h φ_h²·exp(2·s_hc) + 10⁻⁶, so ∂log σ_c/∂s_hc = φ_h²·exp(2·s_hc)/σ_c²; features are constants."""
    n, size, width = rows(rng), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    mean, old_mean, action = rng.normal(size=(3, n, size))
    s, old_s = rng.normal(-0.5, 0.5, (2, width, size))
    features, weights = rng.normal(size=(n, width)), rng.normal(size=(3, n))

    def log_std(s):
        return 0.5 * np.log((features**2) @ np.exp(2 * s) + distributions.LEAST_VARIANCE)

    by_mean, by_log_std = normal_parts(mean, log_std(s), old_mean, log_std(old_s), action)
    through = features[:, :, None] ** 2 * np.exp(2 * s) / np.exp(2 * log_std(s))[:, None, :]  # [N, H, C]
    by_s = (weighed(weights, by_log_std)[:, None, :] * through).sum(axis=0)

    def graph(symbols):
        phi = pt.constant(features.T)
        old = pt.constant(old_mean.T), pt.constant(old_s), phi
        inputs = symbols[0], symbols[1], phi
        return scalar_of(distributions.STATE_DEPENDENT, inputs, old, pt.constant(action.T), weights)

    return Case([mean.T, s], graph, [weighed(weights, by_mean).T, by_s])


def bounded_log_std(rng):
    """y = 2 − softplus(2 − x), result −20 + softplus(y + 20): slope σ(2 − x)·σ(y + 20)."""
    x, weights = rng.normal(0, 12, (2, rows(rng)))
    y = 2 - np.logaddexp(0, 2 - x)
    graph = lambda s: (distributions.bounded_log_std(s[0]) * weights).sum()  # noqa: E731
    return Case([x], graph, [weights * expit(2 - x) * expit(y + 20)])


# -- objectives, of log π or V of N steps, some of them padding


def samples(rng):
    """(log π, log π_old, Â, mask): ratios are kept 0.03 from the corners of a clip of 0.2."""
    n = int(rng.integers(1, 8))
    log_prob, advantage = rng.normal(size=(2, n))
    ratio = np.exp(rng.normal(0, 0.4, n))
    for corner in (0.8, 1.2):
        ratio = np.where(np.abs(ratio - corner) < 0.03, corner + 0.05, ratio)
    mask = (rng.random(n) < 0.8).astype(float)
    mask[0] = 1.0
    return log_prob, log_prob - np.log(ratio), advantage, mask


def policy_gradient(rng):
    """∂L/∂log π_n = −Â_n/N."""
    log_prob, _, advantage, mask = samples(rng)
    constants = pt.constant(advantage), pt.constant(mask)
    graph = lambda s: objectives.policy_gradient_loss(s[0], *constants, number=pt.constant(mask.sum()))  # noqa: E731
    return Case([log_prob], graph, [-advantage * mask / mask.sum()])


def surrogate(rng):
    """∂(−r·Â)/∂log π = −r·Â."""
    log_prob, old, advantage, mask = samples(rng)
    constants = [pt.constant(x) for x in (old, advantage, mask)]
    gradient = -np.exp(log_prob - old) * advantage * mask / mask.sum()
    return Case([log_prob], lambda s: objectives.surrogate_loss(s[0], *constants), [gradient])


def ppo_clip(rng):
    """By `by_hand/ppo.py`."""
    log_prob, old, advantage, mask = samples(rng)
    value, slope = ppo.clipped_surrogate(log_prob, old, advantage, clip_range=0.2)
    constants = [pt.constant(x) for x in (old, advantage, mask)]
    graph = lambda s: objectives.ppo_clip_loss(s[0], *constants, clip_range=0.2)  # noqa: E731
    return Case([log_prob], graph, [-slope * mask / mask.sum()], float(-(value * mask).sum() / mask.sum()))


def value(rng):
    """2·(V − target)/N, of the steps that are real."""
    _, prediction, target, mask = samples(rng)
    real = mask > 0
    gradient = np.zeros_like(mask)
    gradient[real] = layers.mean_squared_error_backward(prediction[real], target[real])
    graph = lambda s: objectives.value_loss(s[0], pt.constant(target), pt.constant(mask))  # noqa: E731
    return Case([prediction], graph, [gradient], layers.mean_squared_error(prediction[real], target[real]))


def clipped_value(rng):
    """2·(V − target)/N where V has moved less than ε, or is farther from the target than its clipped self; else 0."""
    prediction, old, target, mask = samples(rng)
    near = old + np.clip(prediction - old, -0.3, 0.3)
    corners = (np.abs(np.abs(prediction - old) - 0.3) < 0.03) | (
        np.abs((prediction - target) ** 2 - (near - target) ** 2) < 0.03
    )
    mask = np.where(corners & (near != prediction), 0.0, mask)
    own = (near == prediction) | ((prediction - target) ** 2 > (near - target) ** 2)
    gradient = np.where(own, 2 * (prediction - target), 0.0) * mask / max(mask.sum(), 1)
    constants = [pt.constant(x) for x in (old, target, mask)]
    graph = lambda s: objectives.clipped_value_loss(s[0], *constants, value_clip_range=0.3)  # noqa: E731
    return Case([prediction], graph, [gradient])


def kl_of_samples(rng):
    """∂((r − 1) − log r)/∂log π = r − 1."""
    log_prob, old, _, mask = samples(rng)
    gradient = (np.exp(log_prob - old) - 1) * mask / mask.sum()
    return Case([log_prob], lambda s: objectives.kl_of_samples(s[0], pt.constant(old), pt.constant(mask)), [gradient])


def searched(rng):
    """PGPE's Σ (u − b)·log N(θ; μ, σ²)/2E by μ and log σ: (u − b)·(θ − μ)/σ², (u − b)·(((θ − μ)/σ)² − 1)."""
    pairs, size = rows(rng), int(rng.integers(1, 4))
    mean, log_std = rng.normal(size=(2, size))
    candidates, signal = rng.normal(size=(2, pairs, size)), rng.normal(size=(2, pairs))
    baseline = by_definition.interpreted([], pgpe.without_baseline(pt.constant(signal)))()
    u = (candidates - mean) / np.exp(log_std)
    weight = baseline[..., None] / signal.size
    by_mean, by_log_std = (weight * u / np.exp(log_std)).sum((0, 1)), (weight * (u * u - 1)).sum((0, 1))

    def graph(symbols):
        inputs = symbols[0][:, None, None], symbols[1][:, None, None]
        log_prob = distributions.gaussian_log_prob(inputs, pt.constant(candidates.transpose(2, 0, 1)))
        return (pt.constant(baseline) * log_prob).sum() / signal.size

    return Case([mean, log_std], graph, [by_mean, by_log_std])


LAYERS = {"dense": dense, **{name: activation(name) for name in layers.ACTIVATIONS}, "network": network}
DISTRIBUTIONS = {
    one.__name__: one
    for one in (
        discrete, logistic, epsilon_softmax, multi_discrete, multi_binary, gaussian, squashed, state_dependent,
        bounded_log_std,
    )
}  # fmt: skip
OBJECTIVES = {
    one.__name__: one
    for one in (policy_gradient, surrogate, ppo_clip, value, clipped_value, kl_of_samples, searched)
}  # fmt: skip
EVERYTHING = LAYERS | DISTRIBUTIONS | OBJECTIVES
BY_HAND, NUMERICAL = 1e-12, 1e-8


def worst(name, seed, number):
    """The largest errors over so many random shapes: (symbolic against by hand, symbolic against numerical)."""
    rng = np.random.default_rng(seed)
    found = [errors(EVERYTHING[name](rng)) for _ in range(number)]
    return max(one[0] for one in found), max(one[1] for one in found)
