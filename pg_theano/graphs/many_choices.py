"""`multi_discrete` where components are many: one expression for all of them, as one for each makes a graph too deep.

`inputs` is (log π [C, A, N],), A the most choices that a component has; those that a component has not have π = 0. All
else is as in `distributions.py`.
"""

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from pg_theano.graphs import masks
from pg_theano.graphs.common import total

MANY = 16
"""Components up to which each has expressions of its own."""
NEVER = -1e9
"""The logit of a choice that a component has not."""


def parts(choices, outputs):
    """What the network gives for each component. [Σ_c A_c, N] to [A1, N], [A2, N], ..."""
    ends = np.cumsum(choices).tolist()
    return [outputs[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def log_probs(choices, outputs, never=NEVER):
    """log π_c(a|o) = z_ca − log Σ_b exp(z_cb). Shapes: `outputs` [Σ_c A_c, N] to [C, A, N]."""
    sizes, most = np.array(choices), max(choices)
    there = np.arange(most) < sizes[:, None]  # [C, A]
    place = np.where(there, (np.cumsum(sizes) - sizes)[:, None] + np.arange(most), 0)
    # Choice by choice: JAX takes no reshape inside a scan, which indexing by a matrix becomes.
    logits = pt.stack([outputs[place[:, a]] for a in range(most)], axis=1)  # [C, A, N]
    logits = pt.switch(there[:, :, None], logits, np.asarray(never, outputs.dtype))
    shifted = logits - disconnected_grad(pt.max(logits, axis=1, keepdims=True))  # [C, A, N]
    return shifted - pt.log(total(pt.exp(shifted), axis=1, keepdims=True))


def log_prob(inputs, action):
    """log π(a|o) = Σ_c log π_c(a_c|o). Shapes: ([C, A, N],), [C, N] to [N]."""
    chosen = pt.eq(action[:, None, :], np.arange(inputs[0].type.shape[1], dtype="int32")[None, :, None])
    return total(pt.switch(chosen, inputs[0], pt.zeros_like(inputs[0])), axis=(0, 1))


def entropy(inputs):
    """H = −Σ_c Σ_a π_c(a)·log π_c(a). Shapes: ([C, A, N],) to [N]."""
    bounded = pt.maximum(inputs[0], -80.0)
    return -total(pt.exp(bounded) * bounded, axis=(0, 1))


def kl(old, new):
    """KL = Σ_c Σ_a π_old,c(a)·(log π_old,c(a) − log π_c(a)), bounded as that of `discrete`. [C, A, N] twice to [N]."""
    log_old, log_new = pt.maximum(old[0], -1e20), pt.maximum(new[0], -1e20)
    return total(pt.exp(log_old) * (log_old - log_new), axis=(0, 1))


def sample(inputs, noise):
    """By the inverse of the cumulative distribution, as `policies.inverse_cdf`. Noise [C, N]; [C, N], int32."""
    reached = pt.cumsum(pt.exp(inputs[0]), axis=1)  # [C, A, N]
    mark = noise * reached[:, -1]  # [C, N]
    below = pt.le(reached[:, :-1], mark[:, None, :]).sum(axis=1, dtype="int32")
    has = pt.gt(inputs[0], 0.5 * NEVER).sum(axis=1, dtype="int32")  # choices of each
    return pt.minimum(below, has - 1)


def mode(inputs):
    """The likeliest choice of every component. [C, N], int32."""
    return pt.argmax(inputs[0], axis=1).astype("int32")


LAW = (log_prob, entropy, kl, sample, mode)
MASKED = (
    log_prob,
    lambda inputs: masks.entropy(inputs[0], axis=(0, 1)),
    kl,
    lambda inputs, noise: masks.inverse_cdf(inputs[0].dimshuffle(1, 0, 2), noise),
    mode,
)
"""The same where choices are masked: those that a component has not are ruled out like any other."""


def are(action):
    """Whether an action space has so many components."""
    return action.kind == "multi_discrete" and action.size > MANY
