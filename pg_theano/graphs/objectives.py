"""Objectives: one scalar to be minimised, whose gradient is the policy gradient."""

from __future__ import annotations

import pytensor.tensor as pt

from pg_theano.graphs.common import total


def policy_gradient_loss(log_prob, advantage, mask, *, number):
    """The score-function loss of REINFORCE: descending it ascends the expected return.

        L = −(1/n)·Σ_{e,t} m·log π(a|o)·Â               ∇L = −(1/n)·Σ m·Â·∇log π        Williams 1992, eq. 11

    `advantage` is a constant to the gradient. `number` n is the count of real steps or of episodes.
    Shapes: `log_prob`, `advantage`, `mask` [N]; the result a scalar.
    """
    return -total(log_prob * advantage * mask) / pt.maximum(number, 1.0)


def masked_mean(x, mask):
    """Σ m·x / Σ m, and 0 where nothing is real."""
    return total(x * mask) / pt.maximum(total(mask), 1.0)
