"""The vanilla policy gradient with a value network as baseline: inputs, loss, gradient, updates."""

import pytensor.tensor as pt

from pg_theano.graphs import actors, networks, objectives
from pg_theano.graphs.algorithms import common, minibatches
from pg_theano.graphs.algorithms.common import act, rollout
from pg_theano.graphs.common import total
from pg_theano.parameters import is_value
from pg_theano.spec import Spec

__all__ = ["act", "describe", "gradient", "rollout", "train"]

METRICS = ["cost", "value_loss", "entropy", "gradient_norm", "explained_variance", "advantage_mean", "finite"]


def describe(spec: Spec):
    return common.describe(spec, METRICS)


def loss_of(spec: Spec, layers, batch, knobs):
    """The policy's loss, and its entropy. L = −𝔼[ log π(a|o)·Â ] − c_e·𝔼[H]            Williams 1992, eq. 11"""
    _, log_prob, entropy = common.probability_of(spec.acting, layers, batch, knobs)
    advantage = common.advantage_of(spec, batch)
    if spec.learning.objective:
        value = actors.value(spec.acting, layers, batch.obs)
        loss = -common.own_objective(spec, log_prob, batch, advantage, value)
    else:
        loss = objectives.policy_gradient_loss(log_prob, advantage, batch.weight, number=total(batch.weight))
    return loss - knobs["entropy_coefficient"] * entropy, entropy


def train(spec: Spec):
    """(State, knobs, rollout, minibatches) to (State, metrics [M]); what is not finite changes nothing.

    The policy takes one step, the value network one a minibatch.
    """
    order = common.minibatch_symbols(spec)
    update = common.opened(spec, **order)
    state, knobs = update.state, update.knobs
    layers = networks.views(state["params"], spec.acting.layout)
    loss, entropy = loss_of(spec, layers, update.batch, knobs)
    gradient = common.flat_gradient(loss, layers, lambda name: not is_value(name))
    policy, optimiser, norm = common.stepped(spec, common.policy_part(spec, state["params"]), gradient, state, knobs)
    value, value_optimiser, value_loss = minibatches.fit_value(update, order)
    entries = {"params": pt.concatenate([policy, value])} | value_optimiser | optimiser
    metrics = {"cost": loss, "value_loss": value_loss, "entropy": entropy, "gradient_norm": norm}
    return common.closed(update, entries, metrics)


def gradient(spec: Spec):
    """(State, at [D], knobs, rollout) to the loss of the whole rollout and its gradient [D] at the parameters `at`.

    Of both networks: the policy's loss, and beside it the value network's, each of which only its own part feels.
    """

    def loss(layers, batch, knobs):
        value = actors.value(spec.acting, layers, batch.obs)
        return loss_of(spec, layers, batch, knobs)[0] + objectives.value_loss(value, batch.target, batch.weight)

    return minibatches.gradient_at(spec, loss)
