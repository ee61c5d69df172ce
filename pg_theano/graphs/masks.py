"""Actions that an environment rules out: probability exactly 0, whatever the network gives for them. Feature-major.

    π(a|o) = m_a·exp(z_a) / Σ_b m_b·exp(z_b)                    m_a = 1 where a is allowed     Huang and Ontañón 2022

A row of observations ends with the mask m, a number for each choice of each component (`Acting.mask_size`). The logit
of what m rules out is `NEVER` in place of the network's, which gets no gradient from it. It is finite, so that 0·log 0
is 0 and no gradient is NaN, and so low that its exponential is exactly 0. What is allowed can be read off the
log-probabilities again: nothing else carries the mask on.
"""

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from pg_theano.graphs.common import total

NEVER = -1e30


def split(acting, obs):
    """(what networks see, the mask or None) of a row of observations: [F, N] to [F − M, N] and [M, N]."""
    if not acting.mask_size:
        return obs, None
    if hasattr(obs, "_replace"):  # `actors.Sequences` of a policy that remembers
        seen, mask = split(acting, obs.obs)
        return obs._replace(obs=seen), mask
    return obs[: acting.num_features], obs[acting.num_features :]


def masked(logits, mask):
    """The logits, `NEVER` for what the mask rules out. [M, N] twice to [M, N]."""
    return logits if mask is None else pt.switch(mask > 0, logits, np.asarray(NEVER, logits.dtype))


def allowed(logits):
    """Where choices are allowed, from masked logits or their log-probabilities. Any shape."""
    return pt.gt(logits, 1e-3 * NEVER)


def number(logits):
    """How many of A are allowed, in the dtype of the logits. [A, N] to [N]."""
    return total(allowed(logits).astype(logits.dtype), axis=0)


def entropy(log_probs, axis=0):
    """H = −Σ_a π(a)·log π(a), to which what is ruled out adds exactly 0, as exp of its bound is 0. [A, N] to [N]."""
    bounded = pt.maximum(log_probs, -1e20)
    return -total(pt.exp(bounded) * bounded, axis=axis)


def inverse_cdf(logits, uniform):
    """The first allowed action whose cumulative weight is over u of the whole; the last allowed one, where none is.

        a = min{ b allowed : Σ_{c≤b} w(c) > u·Σ_c w(c) },   w = exp(z − max z)

    So rounding, of sums or of u to 1, never chooses what is ruled out. Shapes: [A, N], [N]; the result [N], int32.
    """
    logits = disconnected_grad(logits)
    may = allowed(logits)
    reached = pt.cumsum(pt.exp(logits - pt.max(logits, axis=0, keepdims=True)), axis=0)  # [A, N]
    over = may & pt.gt(reached, (uniform * reached[-1])[None])
    last = logits.type.shape[0] - 1 - pt.argmax(may[::-1], axis=0)
    return pt.switch(over.any(axis=0), pt.argmax(over, axis=0), last).astype("int32")


def uniform_one(logits, uniform):
    """Each allowed action with the same probability: the k-th of n, k = ⌊u·n⌋. [A, N], [N] to [N], int32."""
    counted = pt.cumsum(allowed(logits).astype("int32"), axis=0)  # [A, N]
    place = pt.minimum((uniform * counted[-1]).astype("int32"), counted[-1] - 1)
    return pt.le(counted, place[None]).sum(axis=0, dtype="int32")


def law(base):
    """A distribution of a choice, or of several, whose `inputs` are log-probabilities of masked logits."""

    def sample(inputs, noise):
        drawn = [inverse_cdf(part, noise[c]) for c, part in enumerate(inputs)]
        return drawn[0] if base.mode(inputs).ndim == 1 else pt.stack(drawn)

    return base._replace(entropy=lambda inputs: sum(map(entropy, inputs)), sample=sample)
