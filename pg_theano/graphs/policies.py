"""Distributions over actions, feature-major: log-probabilities [A, N] of A actions for N observations."""

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from pg_theano.graphs.common import total

FEW = 32
"""Actions up to which an expression for each of them is quicker than one for all: it is part of what is around it."""


def softmax_log_probs(logits):
    """Log-probabilities of the softmax policy.

        log π(a|o) = z_a − log Σ_b exp(z_b)

    The largest logit is taken out first, so that no exponential overflows; it is a constant to the gradient,
    because the expression does not depend on it. Shapes: [A, N] to [A, N].
    """
    shifted = logits - disconnected_grad(largest(logits))[None, :]  # [A, N]
    return shifted - pt.log(total(pt.exp(shifted), axis=0, keepdims=True))


def logistic_log_probs(logit):
    """Log-probabilities of two actions from one logit, π(1) = σ(z) and π(0) = σ(−z).

        log π(0|o) = −softplus(z),   log π(1|o) = −softplus(−z)

    The softmax of the logits 0 and z. Shapes: [1, N] to [2, N].
    """
    return pt.concatenate([-pt.softplus(logit), -pt.softplus(-logit)], axis=0)


def taken(log_probs, action):
    """The entry of each column that belongs to the action taken: log π(a_n|o_n). [A, N], [N] to [N].

    A comparison with every action and a sum: for few actions quicker than indexing, forward and backward.
    """
    num_actions = log_probs.type.shape[0]
    chosen = pt.eq(action[None, :], np.arange(num_actions, dtype="int32")[:, None])  # [A, N]
    return total(pt.switch(chosen, log_probs, pt.zeros_like(log_probs)), axis=0)  # [N]


def entropy(log_probs):
    """H = −Σ_a π(a|o)·log π(a|o), in nats, of each column. [A, N] to [N].

    log π is bounded below, so that an action of probability 0 adds 0 and not 0·∞.
    """
    bounded = pt.maximum(log_probs, -80.0)
    return -total(pt.exp(bounded) * bounded, axis=0)


def relative_probs(logits):
    """exp(z_a − max_b z_b): π(a|o) up to a factor of the column, which `inverse_cdf` needs not. [A, N] to [A, N]."""
    return pt.exp(logits - largest(logits)[None, :])


def largest(logits):
    """max_a z_a, [A, N] to [N]: of few, action by action, of which XLA makes one kernel with all around it."""
    if logits.type.shape[0] > FEW:
        return pt.max(logits, axis=0)
    found = logits[0]
    for a in range(1, logits.type.shape[0]):
        found = pt.maximum(found, logits[a])
    return found


def inverse_cdf(weights, uniform):
    """The action whose interval of the cumulative distribution holds a uniform number u in [0, 1).

        a = #{ b < A−1 : Σ_{c≤b} w(c) ≤ u·Σ_c w(c) }

    The last sum on the left is left out: it is the whole up to rounding, and an action A does not exist. Weights are
    probabilities, or these up to a positive factor. Shapes: `weights` [A, N], `uniform` [N]; the result [N], int32.
    """
    if weights.type.shape[0] > FEW:
        reached = pt.cumsum(weights, axis=0)  # [A, N]
        return pt.le(reached[:-1], (uniform * reached[-1])[None, :]).sum(axis=0, dtype="int32")
    cumulative = [weights[0]]
    for a in range(1, weights.type.shape[0]):
        cumulative.append(cumulative[-1] + weights[a])
    mark = uniform * cumulative[-1]
    action = pt.zeros_like(uniform, dtype="int32")
    for below in cumulative[:-1]:
        action = action + pt.le(below, mark).astype("int32")
    return action
