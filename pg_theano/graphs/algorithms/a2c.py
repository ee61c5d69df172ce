"""Advantage actor-critic, synchronous (Mnih et al. 2016): inputs, loss, gradient, updates."""

from pg_theano.graphs import actors, networks, objectives
from pg_theano.graphs.algorithms import common, minibatches
from pg_theano.graphs.algorithms.common import act, rollout
from pg_theano.graphs.common import total
from pg_theano.spec import Spec

__all__ = ["act", "describe", "gradient", "rollout", "train"]

METRICS = [
    "cost",
    "policy_loss",
    "value_loss",
    "entropy",
    "gradient_norm",
    "explained_variance",
    "advantage_mean",
    "finite",
]


def describe(spec: Spec):
    return common.describe(spec, METRICS)


def loss_of(spec: Spec, layers, batch, knobs):
    """The loss of a rollout, and what to measure of it.

    L = −𝔼[ log π(a|o)·Â ] + c_v·𝔼[ (V − target)² ] − c_e·𝔼[H]              Mnih et al. 2016, section 4
    """
    _, log_prob, entropy = common.probability_of(spec.acting, layers, batch, knobs)
    value = actors.value(spec.acting, layers, batch.obs)  # [N]
    advantage = common.advantage_of(spec, batch)
    if spec.learning.objective:
        policy_loss = -common.own_objective(spec, log_prob, batch, advantage, value)
    else:
        policy_loss = objectives.policy_gradient_loss(log_prob, advantage, batch.weight, number=total(batch.weight))
    value_loss = objectives.value_loss(value, batch.target, batch.weight)
    loss = policy_loss + knobs["value_coefficient"] * value_loss - knobs["entropy_coefficient"] * entropy
    return loss, {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}


def train(spec: Spec):
    """(State, knobs, rollout) to (State, metrics [M]); what is not finite changes nothing."""
    update = common.opened(spec)
    state, knobs = update.state, update.knobs
    layers = networks.views(state["params"], spec.acting.layout)
    loss, measured = loss_of(spec, layers, update.batch, knobs)
    gradient = common.flat_gradient(loss, layers)
    params, optimiser, norm = common.stepped(spec, state["params"], gradient, state, knobs)
    return common.closed(update, {"params": params} | optimiser, {"cost": loss, **measured, "gradient_norm": norm})


def gradient(spec: Spec):
    """(State, at [D], knobs, rollout) to the loss of the whole rollout and its gradient [D] at the parameters `at`."""
    return minibatches.gradient_at(spec, lambda layers, batch, knobs: loss_of(spec, layers, batch, knobs)[0])
