"""Objectives: one scalar to be minimised, whose gradient is the policy gradient."""

import pytensor.tensor as pt

from pg_theano.graphs.common import total


def policy_gradient_loss(log_prob, advantage, mask, *, number):
    """The score-function loss of REINFORCE: descending it ascends the expected return.

        L = −(1/n)·Σ_{e,t} m·log π(a|o)·Â               ∇L = −(1/n)·Σ m·Â·∇log π        Williams 1992, eq. 11

    `advantage` is a constant to the gradient. `number` n is the count of real steps or of episodes.
    Shapes: `log_prob`, `advantage`, `mask` [N]; the result a scalar.
    """
    return -total(log_prob * advantage * mask) / pt.maximum(number, 1.0)


def ratio_of(log_prob, old_log_prob):
    """r = exp(log π − log π_old), the log-ratio bounded to ±20 so that no float32 overflows. [N]"""
    return pt.exp(pt.clip(log_prob - old_log_prob, -20.0, 20.0))


def surrogate_loss(log_prob, old_log_prob, advantage, mask):
    """The surrogate of the trust-region methods: importance-weighted advantages.

        L = −𝔼[ r·Â ]                                                        Schulman et al. 2015, eq. 14

    At r = 1 its gradient is that of `policy_gradient_loss`. Shapes: [N]; the result a scalar.
    """
    return -masked_mean(ratio_of(log_prob, old_log_prob) * advantage, mask)


def ppo_clip_loss(log_prob, old_log_prob, advantage, mask, *, clip_range):
    """Clipped surrogate loss of proximal policy optimisation.

        r  = exp(log π(a|o) − log π_old(a|o))
        L  = −𝔼[ min(r·Â, clip(r, 1−ε, 1+ε)·Â) ]                             Schulman et al. 2017, eq. 7

    The mean runs over real steps only. Inside the clip range bounding the log-ratio changes nothing.
    Shapes: [N]; the result a scalar. `clip_range` is ε, dimensionless.
    """
    ratio = ratio_of(log_prob, old_log_prob)  # [N]
    clipped = pt.clip(ratio, 1.0 - clip_range, 1.0 + clip_range)  # [N]
    return -masked_mean(pt.minimum(ratio * advantage, clipped * advantage), mask)


def value_loss(value, target, mask):
    """How far V is off.   L = 𝔼[ (V(o) − target)² ]       without the customary ½. Shapes: [N]; a scalar."""
    error = value - target
    return masked_mean(error * error, mask)


def clipped_value_loss(value, old_value, target, mask, *, value_clip_range):
    """The value loss with V held near its old self, as the policy is in PPO.

        V' = V_old + clip(V − V_old, ±ε)
        L  = 𝔼[ max((V − target)², (V' − target)²) ]                         Engstrom et al. 2020, section 3

    Shapes: [N]; the result a scalar. `value_clip_range` is ε, in units of the return.
    """
    clipped = old_value + pt.clip(value - old_value, -value_clip_range, value_clip_range)
    error, clipped_error = value - target, clipped - target
    return masked_mean(pt.maximum(error * error, clipped_error * clipped_error), mask)


def kl_of_samples(log_prob, old_log_prob, mask):
    """KL(π_old ‖ π) from the actions that π_old took: 𝔼[(r − 1) − log r], never negative.       Schulman 2020

    By expm1: in float32 exp(x) − 1 − x is below 0 for most small x. Shapes: [N]; the result a scalar.
    """
    log_ratio = pt.clip(log_prob - old_log_prob, -20.0, 20.0)
    return masked_mean(pt.expm1(log_ratio) - log_ratio, mask)


def clip_fraction(log_prob, old_log_prob, mask, *, clip_range):
    """The share of steps whose ratio is outside the clip range. Shapes: [N]; the result a scalar."""
    outside = abs(ratio_of(log_prob, old_log_prob) - 1.0) > clip_range
    return masked_mean(outside.astype(log_prob.dtype), mask)


def masked_mean(x, mask):
    """Σ m·x / Σ m, and 0 where nothing is real."""
    return total(x * mask) / pt.maximum(total(mask), 1.0)
