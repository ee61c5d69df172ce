"""Trust region policy optimisation (Schulman et al. 2015): the natural gradient and a line search."""

import numpy as np
import pytensor
import pytensor.tensor as pt

from pg_theano.graphs.algorithms import common, natural
from pg_theano.graphs.algorithms.common import act, rollout
from pg_theano.spec import Spec

__all__ = ["act", "describe", "gradient", "rollout", "train"]

BACKTRACK = 0.8
"""Each trial of the line search is this share of the one before."""


def describe(spec: Spec):
    return common.describe(spec, natural.METRICS)


def train(spec: Spec):
    """(State, knobs, rollout, minibatches) to (State, metrics [M]).

        θ' = θ + 0.8ʲ·√(2δ / gᵀF⁻¹g)·F⁻¹g       with the smallest j = 0, 1, ... for which
             the surrogate improves and KL(π_old ‖ π) ≤ δ                     Schulman et al. 2015, appendix C

    Where no trial does, the policy stays as it is.
    """

    def search(params, step, judge):
        shares = BACKTRACK ** np.arange(spec.learning.num_line_search_steps)
        inputs = judge.inputs

        def trial(share, params, step, bound, *rest):
            improves, kl = judge.of(params + share * step, *rest)
            return (improves & (kl <= bound)).astype(spec.dtype)

        accepted = pytensor.scan(
            trial,
            sequences=[pt.constant(shares.astype(spec.dtype))],
            outputs_info=[None],
            non_sequences=[params, step, judge.bound, *inputs],
            n_steps=len(shares),
            strict=True,
            return_updates=False,
        )
        share = pt.max(accepted * shares.astype(spec.dtype))  # the largest accepted share, 0 where there is none
        return params + share * step, share

    return natural.train(spec, search)


def gradient(spec: Spec):
    """(State, at [D], knobs, rollout) to the loss of the whole rollout and its gradient [D] at the parameters `at`."""
    return natural.gradient(spec)
