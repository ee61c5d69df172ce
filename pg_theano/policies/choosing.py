"""What is chosen of a network's outputs, in NumPy: one function for each kind of action.

    action, log_prob = CHOOSERS["discrete"](acting, True)(outputs, hidden, log_std, noise, rate, choice)

The same expressions as `graphs/distributions.py` and `graphs/exploration.py`, held to them by parity tests; one row an
observation. Under a mask: `masked.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from pg_theano.parameters import LOG_STD
from pg_theano.policies import networks
from pg_theano.spec import Acting
from pg_theano.types import EXPLORE, GREEDY, Array, each_row

Later = Literal["later"]
LATER: Later = "later"
"""In place of whether there is a log π: what it follows from is given, and `density_of` makes it of a whole block."""
LEAST_VARIANCE = 1e-6
LEAST_LOG_STD, MOST_LOG_STD = -20.0, 2.0


# -- one of A actions


def _choose_discrete(acting: Acting, with_log_prob: bool | Later) -> Callable[..., tuple[Array, Array | None]]:
    exploration, num_actions = acting.exploration, acting.action.choices[0]
    quick = exploration == "softmax" and num_actions == 2 and not with_log_prob

    def choose(outputs, hidden, log_std, noise, rate, choice):
        if quick and choice != GREEDY:  # P(0) = 1 / (1 + exp(z₁ − z₀)) ≤ u, without the division; logistic: z₀ is 0
            ratio = np.exp(outputs[:, 0] if acting.logistic else outputs[:, 1] - outputs[:, 0])
            ratio += 1
            ratio *= noise[:, 0]
            return (ratio >= 1).astype(np.int32), None
        logits = logits_of(acting, outputs)
        logits -= np.maximum.reduce(logits, axis=1, keepdims=True)
        if choice == GREEDY or (choice == EXPLORE and exploration.startswith("epsilon_greedy")):
            action = logits.argmax(axis=1)
        else:
            action = _sample(logits, noise[:, 0])
        if choice == EXPLORE and exploration != "softmax":
            explores = noise[:, 1] < rate
            if exploration == "epsilon_greedy_softmax":
                other = _sample(logits, noise[:, 0])
            else:
                other = np.minimum((noise[:, 2] * num_actions).astype(np.int32), num_actions - 1)
            action = np.where(explores, other, action)
        action = action.astype(np.int32)
        if not with_log_prob:
            return action, None
        return action, logits if with_log_prob == LATER else density(logits, action, log_std, rate)

    density = _density_discrete(acting)
    return choose


def _density_discrete(acting: Acting) -> Callable[..., Array]:
    exploration, num_actions = acting.exploration, acting.action.choices[0]

    def density(logits, action, log_std, rate):
        log_prob = log_prob_of(logits, action)
        if exploration == "epsilon_softmax" and rate > 0:
            log_prob = np.log(rate / num_actions + (1 - rate) * np.exp(np.maximum(log_prob, -80.0)))
        return log_prob

    return density


def logits_of(acting: Acting, outputs: Array) -> Array:
    """A logit for each action, [E, A]: the network's, or 0 and the one that a logistic policy has."""
    return np.concatenate([np.zeros_like(outputs), outputs], axis=1) if acting.logistic else outputs


def log_softmax(logits: Array) -> Array:
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def log_prob_of(logits: Array, action: Array) -> Array:
    """log π of the action taken; the largest logit is 0. [E, A], [E] to [E]."""
    return logits[np.arange(len(logits)), action] - np.log(np.add.reduce(np.exp(logits), axis=1))


def _sample(logits: Array, uniform: Array) -> Array:
    """Inverse CDF: how many of the first A−1 cumulative probabilities are not above the uniform number.

    The weights exp z are not normalised; u·Σ exp z is compared instead. The largest z is 0.
    """
    weights = np.exp(logits)
    cumulative = np.add.accumulate(weights, axis=1)
    return np.add.reduce(cumulative[:, :-1] <= (uniform * cumulative[:, -1])[:, None], axis=1)


# -- one of A_c choices for each of C components


def multi_discrete(
    acting: Acting, with_log_prob: bool, sample: Callable[[Array, Array], Array] | None = None
) -> Callable[..., tuple[Array, Array | None]]:
    """`sample` draws one component: (logits [E, A], uniform [E]) -> [E]; None: `_sample`."""
    drawn = sample or _sample
    ends = np.cumsum(acting.action.choices).tolist()
    parts = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def choose(outputs, hidden, log_std, noise, rate, choice):
        action = np.empty((len(outputs), len(parts)), np.int32)
        log_prob = np.zeros(len(outputs), outputs.dtype) if with_log_prob else None
        for c, part in enumerate(parts):
            logits = outputs[:, part]
            logits = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
            action[:, c] = logits.argmax(axis=1) if choice == GREEDY else drawn(logits, noise[:, c])
            if log_prob is not None:
                log_prob += log_prob_of(logits, action[:, c])
        return action, log_prob

    return choose


# -- C components, each 0 or 1


def _choose_multi_binary(acting: Acting, with_log_prob: bool) -> Callable[..., tuple[Array, Array | None]]:
    def choose(logits, hidden, log_std, noise, rate, choice):
        # u ≥ σ(−z) = ½ − ½·tanh(½z), which cannot overflow
        ones = logits > 0 if choice == GREEDY else noise >= 0.5 - 0.5 * np.tanh(0.5 * logits)
        action = ones.astype(np.int32)
        if not with_log_prob:
            return action, None
        return action, -np.logaddexp(0, np.where(ones, -logits, logits)).sum(axis=1)

    return choose


# -- C real numbers


def log_std_of(acting: Acting) -> Callable[..., Any]:
    """What depends on the parameter policy/log_std alone, made once for all the observations to come, N `rows` each."""
    if LOG_STD not in [name for name, *_ in acting.layout]:  # the network gives it, or there is none
        return lambda named, rows=1: (None, None)
    if acting.noise == "state_dependent":
        return lambda named, rows=1: (np.exp(named[LOG_STD]), np.exp(2 * named[LOG_STD]))
    shape = acting.action.size
    return lambda named, rows=1: (each_row(np.exp(named[LOG_STD]), (rows, shape)), float(named[LOG_STD].sum()))


def _choose_box(acting: Acting, with_log_prob: bool | Later) -> Callable[..., tuple[Array, Array | None]]:
    draw, density = drawer_of(acting), _density_box(acting)

    def choose(outputs, hidden, log_std, noise, rate, choice):
        greedy = choice == GREEDY
        mean, action, std, sum_log_std = draw(outputs, hidden, log_std, None if greedy else noise, with_log_prob)
        if not with_log_prob or std is None:  # what draws nothing has no density
            return action, None
        return action, mean if with_log_prob == LATER else density(mean, action, (std, sum_log_std), rate)

    return choose


def _density_box(acting: Acting) -> Callable[..., Array]:
    size, squash = acting.action.size, acting.squash
    constant = -0.5 * size * math.log(2 * math.pi)
    if squash:
        half_range = (np.array(acting.action.high) - np.array(acting.action.low)) / 2
        half_range[half_range == 0] = 1  # a component without room is a constant
        constant -= float(np.log(half_range.astype(acting.dtype)).sum())

    def density(mean, action, log_std, rate):
        std, sum_log_std = log_std
        standard = action - mean
        standard /= std
        log_prob = np.einsum("ec,ec->e", standard, standard)
        log_prob *= -0.5
        log_prob -= sum_log_std
        log_prob += constant
        if squash:  # − Σ 2·(log 2 − u − softplus(−2u))
            slope = np.logaddexp(0, -2 * action)
            slope += action
            log_prob += 2 * np.add.reduce(slope, axis=1)
            log_prob -= 2 * size * math.log(2)
        return log_prob

    return density


def drawer_of(acting: Acting) -> Callable[..., Any]:
    if acting.noise == "state_dependent":
        return _drawn_state_dependent(acting)
    return _drawn_of_network(acting.action.size) if acting.log_std == "state_dependent" else _drawn


def _drawn(mean, hidden, log_std, noise, with_log_prob):
    """(mean, action, std, Σ log_std) for a log-std that is a parameter [C]; without noise the action is the mean.

    And so it is where there is no log-std: a search of parameters explores with those, not with actions.
    """
    std, sum_log_std = log_std
    if noise is None or std is None:
        return mean, mean, std, sum_log_std
    action = noise * std
    action += mean
    return mean, action, std, sum_log_std


def _drawn_of_network(size: int) -> Callable[..., Any]:
    """As `_drawn`, for a log-std that the network gives, bounded as in `graphs/distributions.bounded_log_std`."""

    def drawn(outputs, hidden, log_std, noise, with_log_prob):
        mean = outputs[:, :size]
        below = MOST_LOG_STD - np.logaddexp(0, MOST_LOG_STD - outputs[:, size:])
        bounded = LEAST_LOG_STD + np.logaddexp(0, below - LEAST_LOG_STD)  # [E, C]
        std = np.exp(bounded)
        action = mean.copy() if noise is None else mean + std * noise
        return mean, action, std, np.add.reduce(bounded, axis=1)

    return drawn


def _drawn_state_dependent(acting: Acting) -> Callable[..., Any]:
    """As `_drawn`, for noise that is a function of the features: a = μ + Wᵀ·φ, W_hc = std_hc·ε_hc."""
    features_of = networks.features(acting)

    def drawn(mean, hidden, log_std, noise, with_log_prob):
        std, variance = log_std  # [H, C]
        features = features_of(hidden)  # [E, H]
        if noise is None:
            action = mean
        else:
            weights = noise.reshape(-1, *std.shape) * std  # [E, H, C]
            action = (features[:, None, :] @ weights)[:, 0]
            action += mean
        if not with_log_prob:
            return mean, action, None, None
        marginal = (features * features) @ variance  # [E, C]
        marginal += LEAST_VARIANCE
        return mean, action, np.sqrt(marginal), 0.5 * np.add.reduce(np.log(marginal), axis=1)

    return drawn


CHOOSERS = {
    "discrete": _choose_discrete,
    "multi_discrete": multi_discrete,
    "multi_binary": _choose_multi_binary,
    "box": _choose_box,
}


def density_of(acting: Acting) -> Callable[..., Array] | None:
    """(what stood for log π, [E, K]; action; what `log_std_of` made for one row; rate) -> log π [E]: the numbers that
    every choice by itself has. None where nothing is saved by it, or what it needs is not kept."""
    if acting.action.kind == "discrete" and not acting.mask_size:
        return _density_discrete(acting)
    fixed = LOG_STD in [name for name, *_ in acting.layout] and acting.noise != "state_dependent"
    return _density_box(acting) if acting.action.kind == "box" and fixed else None
