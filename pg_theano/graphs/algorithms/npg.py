"""The natural policy gradient (Kakade 2001), its step measured in KL (Rajeswaran et al. 2017, eq. 5)."""

import pytensor.tensor as pt

from pg_theano.graphs.algorithms import common, natural
from pg_theano.graphs.algorithms.common import act, rollout
from pg_theano.spec import Spec

__all__ = ["act", "describe", "gradient", "rollout", "train"]


def describe(spec: Spec):
    return common.describe(spec, natural.METRICS)


def train(spec: Spec):
    """(State, knobs, rollout, minibatches) to (State, metrics [M]).

        θ' = θ + √(2δ / gᵀF⁻¹g)·F⁻¹g

    F has the damping λ on its diagonal: to second order the step moves the policy by KL = δ less ½·λ‖θ' − θ‖². All of
    it is taken; KL is not checked afterwards.
    """
    return natural.train(spec, lambda params, step, judge: (params + step, pt.ones((), dtype=spec.dtype)))


def gradient(spec: Spec):
    """(State, at [D], knobs, rollout) to the loss of the whole rollout and its gradient [D] at the parameters `at`."""
    return natural.gradient(spec)
