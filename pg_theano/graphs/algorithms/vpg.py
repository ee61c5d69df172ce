"""The vanilla policy gradient with a value network as baseline: inputs, loss, gradient, updates."""

from __future__ import annotations

import pytensor.tensor as pt

from pg_theano.graphs import actors, advantages, distributions, objectives, own
from pg_theano.graphs.algorithms import common, minibatches
from pg_theano.graphs.algorithms.common import act, graph, is_value, rollout
from pg_theano.graphs.common import total

__all__ = ["act", "describe", "gradient", "rollout", "train"]

METRICS = [
    "cost",
    "value_loss",
    "entropy",
    "gradient_norm",
    "explained_variance",
    "advantage_mean",
    "finite",
]


def describe(spec):
    return common.describe(spec, METRICS)


def loss_of(spec, layers, batch, knobs):
    """The policy's loss, and its entropy. L = −𝔼[ log π(a|o)·Â ] − c_e·𝔼[H]            Williams 1992, eq. 11"""
    inputs = actors.inputs(spec, layers, batch.obs)
    log_prob = common.log_prob_of(spec, inputs, batch.action, knobs)  # [N]
    entropy = objectives.masked_mean(distributions.of(spec).entropy(inputs), batch.weight)
    advantage = batch.advantage
    if spec["standardize_advantages"]:
        advantage = advantages.standardize(advantage, batch.weight)
    if spec["objective"]:
        value = actors.value(spec, layers, batch.obs)
        loss = -own.objective(spec, log_prob, batch.log_prob, advantage, value, batch.weight)
    else:
        loss = objectives.policy_gradient_loss(log_prob, advantage, batch.weight, number=total(batch.weight))
    return loss - knobs["entropy_coefficient"] * entropy, entropy


def train(spec):
    """(State, knobs, rollout, minibatches) to (State, metrics [M]); what is not finite changes nothing.

    The policy takes one step, the value network one a minibatch.
    """
    state, vector, knobs, rollout = common.symbols(spec)
    order = common.minibatch_symbols(spec)
    block = common.block_of(spec, rollout)
    estimates, updated = common.estimates(spec, state, knobs, block)
    batch = minibatches.whole(spec, state, block, estimates)

    layers = common.layers_of(spec, state["params"])
    loss, entropy = loss_of(spec, layers, batch, knobs)
    policy, optimiser, norm = common.descend(
        spec,
        common.policy_part(spec, state["params"]),
        common.flat_gradient(loss, layers, lambda name: not is_value(name)),
        common.optimizer_state(state),
        knobs,
        learning_rate=knobs["learning_rate"],
    )
    value, value_optimiser, value_loss = minibatches.fit_value(spec, vector, state, batch, order)
    updated |= {"params": pt.concatenate([policy, value])} | value_optimiser
    updated |= {f"optimizer/{name}": part for name, part in optimiser.items()}
    updated |= common.observations_counted(spec, state, block)
    metrics = {
        "cost": loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "gradient_norm": norm,
        "explained_variance": common.explained_variance(batch.value, batch.target, batch.weight),
        "advantage_mean": objectives.masked_mean(batch.advantage, batch.weight),
    }
    outputs = common.finished(spec, state, updated, metrics)
    return graph(state | {"knobs": vector} | rollout | order, outputs)


def gradient(spec):
    """(State, at [D], knobs, rollout) to the loss of the whole rollout and its gradient [D] at the parameters `at`.

    Of both networks: the policy's loss, and beside it the value network's, each of which only its own part feels.
    """

    def loss(layers, batch, knobs):
        value = actors.value(spec, layers, batch.obs)
        return loss_of(spec, layers, batch, knobs)[0] + objectives.value_loss(value, batch.target, batch.weight)

    return minibatches.gradient_at(spec, loss)
