"""Policies: from a network's outputs to a distribution over actions.

A policy π(a|o) gives each action a a probability, given the observation o. Learning needs four things of it: the
logarithm of the probability of the action that was taken, its gradient, a way to draw an action, and the entropy (how
undecided it is) with its gradient. Three policies have them here:

    LOGISTIC   two actions, one output      a coin whose bias depends on the observation
    SOFTMAX    A actions, A outputs         a die
    GAUSSIAN   A real numbers, A outputs    a bell curve for each; its width is learned too

Everywhere `outputs` [N, K] are the network's, N observations in rows, and `log_std` [A] is the Gaussian's own
parameter, the same for every observation; the other two have none: [0].
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pg_theano.by_hand.layers import sigmoid, softplus
from pg_theano.types import Array

# -- logistic: two actions, one logit


def logistic_log_prob(logit: Array, action: Array) -> Array:
    """The probability of action 1 is σ(z), that of action 0 is 1 − σ(z).

        1 − σ(z) = e^(−z)/(1 + e^(−z)) = 1/(e^z + 1) = σ(−z)
        log π(1) = log σ(z)  = −log(1 + e^(−z))
        log π(0) = log σ(−z) = −log(1 + e^z)

    Both are −log(1 + e^(−s·z)) with s = +1 for action 1, −1 for action 0. For no z does this become log 0.
    Shapes: `logit` [N, 1], `action` [N] of 0 and 1; the result [N].
    """
    sign = 2.0 * action.astype(logit.dtype) - 1.0  # [N]
    return -softplus(-sign * logit[:, 0])  # [N]


def logistic_d_log_prob(logit: Array, action: Array) -> Array:
    """∂log π(a)/∂z.

        a = 1:   d/dz [−log(1 + e^(−z))] = −(−e^(−z))/(1 + e^(−z)) = σ(−z) = 1 − σ(z)
        a = 0:   d/dz [−log(1 + e^z)]    = −e^z/(1 + e^z)          = −σ(z) = 0 − σ(z)
        both:    ∂log π(a)/∂z = a − σ(z)

    What happened less what was expected: a sure policy learns nothing from doing what it was sure of.
    Shapes: `logit` [N, 1], `action` [N]; the result [N, 1].
    """
    return action[:, None].astype(logit.dtype) - sigmoid(logit)  # [N, 1]


def logistic_entropy(logit: Array) -> Array:
    """H = −Σ_a π(a)·log π(a), in nats: log 2 at z = 0, and 0 where the policy is sure.

        H = σ(z)·log(1 + e^(−z)) + σ(−z)·log(1 + e^z)

    Shapes: [N, 1] to [N].
    """
    z = logit[:, 0]
    return sigmoid(z) * softplus(-z) + sigmoid(-z) * softplus(z)  # [N]


def logistic_d_entropy(logit: Array) -> Array:
    """∂H/∂z, with p = σ(z), dp/dz = p·(1 − p) and log p − log(1 − p) = z.

        H     = −p·log p − (1 − p)·log(1 − p)
        dH/dp = −log p − 1 + log(1 − p) + 1 = −(log p − log(1 − p)) = −z
        dH/dz = dH/dp·dp/dz = −z·p·(1 − p)

    Shapes: [N, 1] to [N, 1].
    """
    return -logit * sigmoid(logit) * sigmoid(-logit)  # [N, 1]


def logistic_sample(logit: Array, uniform: Array) -> Array:
    """Action 0 owns the first σ(−z) of the interval [0, 1), action 1 the rest: a = 1 where u ≥ σ(−z).

    Shapes: `logit` [N, 1], `uniform` [N, 1], numbers in [0, 1); the result [N].
    """
    return (uniform[:, 0] >= sigmoid(-logit[:, 0])).astype(np.int64)


def logistic_mode(logit: Array) -> Array:
    """The likelier action: 1 where z > 0. [N, 1] to [N]."""
    return (logit[:, 0] > 0.0).astype(np.int64)


# -- softmax: A actions, A logits


def softmax_log_probs(logits: Array) -> Array:
    """Log-probabilities of all actions.

        π(a)     = e^(z_a) / Σ_b e^(z_b)
        log π(a) = z_a − log Σ_b e^(z_b)

    The largest logit is taken from all of them first: it cancels in the fraction, and no exponential overflows.
    Shapes: [N, A] to [N, A].
    """
    shifted = logits - logits.max(axis=1, keepdims=True)  # [N, A]
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # [N, A]


def softmax_log_prob(logits: Array, action: Array) -> Array:
    """log π of the action taken. Shapes: `logits` [N, A], `action` [N]; the result [N]."""
    return softmax_log_probs(logits)[np.arange(len(action)), action]


def softmax_d_log_prob(logits: Array, action: Array) -> Array:
    """∂log π(a)/∂z_j.

        log π(a)          = z_a − log Σ_b e^(z_b)
        ∂z_a/∂z_j         = 1 where j = a, else 0                     =: 1[j = a]
        ∂log Σ_b e^(z_b)/∂z_j = e^(z_j) / Σ_b e^(z_b)                 = π(j)
        ∂log π(a)/∂z_j    = 1[j = a] − π(j)

    Shapes: `logits` [N, A], `action` [N]; the result [N, A].
    """
    gradient = -np.exp(softmax_log_probs(logits))  # [N, A]
    gradient[np.arange(len(action)), action] += 1.0
    return gradient


def softmax_entropy(logits: Array) -> Array:
    """H = −Σ_a π(a)·log π(a): log A where all logits are equal. [N, A] to [N].

    log π is finite even where π rounds to 0, so 0·log 0 never arises.
    """
    log_probs = softmax_log_probs(logits)
    return -(np.exp(log_probs) * log_probs).sum(axis=1)


def softmax_d_entropy(logits: Array) -> Array:
    """∂H/∂z_j, with ∂log π(a)/∂z_j = 1[j = a] − π(j) from above, and so ∂π(a)/∂z_j = π(a)·(1[j = a] − π(j)).

        ∂H/∂z_j = −Σ_a [∂π(a)/∂z_j·log π(a) + π(a)·∂log π(a)/∂z_j]                     product rule
                = −Σ_a π(a)·(1[j = a] − π(j))·log π(a) − Σ_a π(a)·(1[j = a] − π(j))
                = −π(j)·log π(j) + π(j)·Σ_a π(a)·log π(a) − (π(j) − π(j))              Σ_a π(a) = 1
                = −π(j)·(log π(j) + H)

    Shapes: [N, A] to [N, A].
    """
    log_probs = softmax_log_probs(logits)
    return -np.exp(log_probs) * (log_probs + softmax_entropy(logits)[:, None])


def softmax_sample(logits: Array, uniform: Array) -> Array:
    """The action whose part of [0, 1) holds u: as many as there are sums π(0) + ... + π(b), b < A − 1, up to u.

    Shapes: `logits` [N, A], `uniform` [N, 1], numbers in [0, 1); the result [N].
    """
    cumulative = np.cumsum(np.exp(softmax_log_probs(logits))[:, :-1], axis=1)  # [N, A−1]
    return (cumulative <= uniform).sum(axis=1)


def softmax_mode(logits: Array) -> Array:
    """The likeliest action, the first of equals. [N, A] to [N]."""
    return logits.argmax(axis=1)


# -- diagonal Gaussian: A independent real numbers, the width of each the same for every observation


def gaussian_log_prob(mean: Array, log_std: Array, action: Array) -> Array:
    """The log-density of a, with σ = exp(log_std); densities of independent numbers multiply, so their logs add.

        p(a_i)   = 1/(σ_i·√(2π))·exp(−½·((a_i − μ_i)/σ_i)²)
        log π(a) = Σ_i [−½·((a_i − μ_i)/σ_i)² − log σ_i − ½·log 2π]

    Shapes: `mean` [N, A], `log_std` [A], `action` [N, A]; the result [N].
    """
    standard = (action - mean) / np.exp(log_std)  # [N, A]
    return (-0.5 * standard**2 - log_std - 0.5 * math.log(2.0 * math.pi)).sum(axis=1)


def gaussian_d_log_prob(mean: Array, log_std: Array, action: Array) -> tuple[Array, Array]:
    """∂log π/∂μ and ∂log π/∂log σ, with u_i = (a_i − μ_i)/σ_i.

        ∂u_i/∂μ_i         = −1/σ_i
        ∂log π/∂μ_i       = −½·2·u_i·(−1/σ_i) = u_i/σ_i = (a_i − μ_i)/σ_i²

        ∂u_i/∂log σ_i     = (a_i − μ_i)·∂e^(−log σ_i)/∂log σ_i = −u_i
        ∂log π/∂log σ_i   = −½·2·u_i·(−u_i) − 1 = u_i² − 1

    An action further out than one σ asks for a wider curve, one further in for a narrower.
    Shapes: `mean` [N, A], `log_std` [A], `action` [N, A]; the result ([N, A], [N, A]).
    """
    standard = (action - mean) / np.exp(log_std)  # [N, A]
    return standard / np.exp(log_std), standard**2 - 1.0


def gaussian_entropy(mean: Array, log_std: Array) -> Array:
    """H = −𝔼[log π(a)], with 𝔼[u_i²] = 1.

        H = Σ_i [½·1 + log σ_i + ½·log 2π] = Σ_i [log σ_i + ½·log 2πe]

    The mean only moves the curve: it is not in it. Shapes: [N, A], [A]; the result [N].
    """
    return np.full(len(mean), (log_std + 0.5 * math.log(2.0 * math.pi * math.e)).sum())


def gaussian_d_entropy(mean: Array, log_std: Array) -> tuple[Array, Array]:
    """∂H/∂μ_i = 0,   ∂H/∂log σ_i = 1, from H = Σ_i log σ_i + const. The result ([N, A], [N, A])."""
    return np.zeros_like(mean), np.ones_like(mean)


def gaussian_sample(mean: Array, log_std: Array, normal: Array) -> Array:
    """a = μ + σ·ε with ε standard normal. Shapes: [N, A], [A], `normal` [N, A]; the result [N, A]."""
    return mean + np.exp(log_std) * normal


# -- the three behind one face


class Policy(NamedTuple):
    """What learning needs of a policy; `vpg.py` and `ppo.py` cannot tell which they have.

    log_prob  (outputs [N, K], log_std, action) -> [N]
    entropy   (outputs, log_std) -> [N]
    sample    (outputs, log_std, noise) -> action;  uniform numbers [N, 1], or normal ones [N, A] for the Gaussian
    mode      (outputs, log_std) -> action, the likeliest
    backward  (outputs, log_std, action, d_log_prob [N], d_entropy [N]) -> (d_outputs [N, K], d_log_std)
    """

    name: str
    log_prob: Callable[[Array, Array, Array], Array]
    entropy: Callable[[Array, Array], Array]
    sample: Callable[[Array, Array, Array], Array]
    mode: Callable[[Array, Array], Array]
    backward: Callable[[Array, Array, Array, Array, Array], tuple[Array, Array]]


def logistic_backward(
    logit: Array, log_std: Array, action: Array, d_log_prob: Array, d_entropy: Array
) -> tuple[Array, Array]:
    """The loss depends on z through log π and through H: d_z = d_log_prob·∂log π/∂z + d_entropy·∂H/∂z. [N, 1]"""
    through_log_prob = d_log_prob[:, None] * logistic_d_log_prob(logit, action)  # [N, 1]
    return through_log_prob + d_entropy[:, None] * logistic_d_entropy(logit), np.zeros_like(log_std)


def softmax_backward(
    logits: Array, log_std: Array, action: Array, d_log_prob: Array, d_entropy: Array
) -> tuple[Array, Array]:
    """d_z_j = d_log_prob·∂log π/∂z_j + d_entropy·∂H/∂z_j. [N, A]"""
    through_log_prob = d_log_prob[:, None] * softmax_d_log_prob(logits, action)  # [N, A]
    return through_log_prob + d_entropy[:, None] * softmax_d_entropy(logits), np.zeros_like(log_std)


def gaussian_backward(
    mean: Array, log_std: Array, action: Array, d_log_prob: Array, d_entropy: Array
) -> tuple[Array, Array]:
    """The same for μ [N, A] and for log σ [A]; one log σ serves every row, so its gradient is summed over them."""
    log_prob_mean, log_prob_log_std = gaussian_d_log_prob(mean, log_std, action)
    entropy_mean, entropy_log_std = gaussian_d_entropy(mean, log_std)
    d_mean = d_log_prob[:, None] * log_prob_mean + d_entropy[:, None] * entropy_mean  # [N, A]
    d_log_std = d_log_prob[:, None] * log_prob_log_std + d_entropy[:, None] * entropy_log_std  # [N, A]
    return d_mean, d_log_std.sum(axis=0)


LOGISTIC = Policy(
    "logistic",
    lambda logit, _, action: logistic_log_prob(logit, action),
    lambda logit, _: logistic_entropy(logit),
    lambda logit, _, uniform: logistic_sample(logit, uniform),
    lambda logit, _: logistic_mode(logit),
    logistic_backward,
)
SOFTMAX = Policy(
    "softmax",
    lambda logits, _, action: softmax_log_prob(logits, action),
    lambda logits, _: softmax_entropy(logits),
    lambda logits, _, uniform: softmax_sample(logits, uniform),
    lambda logits, _: softmax_mode(logits),
    softmax_backward,
)
GAUSSIAN = Policy(
    "gaussian", gaussian_log_prob, gaussian_entropy, gaussian_sample, lambda mean, _: mean, gaussian_backward
)
