"""Advantage actor-critic, synchronous (Mnih et al. 2016): inputs, loss, gradient, updates."""

from __future__ import annotations

from pg_theano.graphs import actors, advantages, distributions, objectives, own
from pg_theano.graphs.algorithms import common, minibatches
from pg_theano.graphs.algorithms.common import act, graph, rollout
from pg_theano.graphs.common import total

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


def describe(spec):
    return common.describe(spec, METRICS)


def loss_of(spec, layers, batch, knobs):
    """The loss of a rollout, and what to measure of it.

    L = −𝔼[ log π(a|o)·Â ] + c_v·𝔼[ (V − target)² ] − c_e·𝔼[H]              Mnih et al. 2016, section 4
    """
    inputs = actors.inputs(spec, layers, batch.obs)
    log_prob = common.log_prob_of(spec, inputs, batch.action, knobs)  # [N]
    entropy = objectives.masked_mean(distributions.of(spec).entropy(inputs), batch.weight)
    value = actors.value(spec, layers, batch.obs)  # [N]
    advantage = batch.advantage
    if spec["standardize_advantages"]:
        advantage = advantages.standardize(advantage, batch.weight)
    if spec["objective"]:
        policy_loss = -own.objective(spec, log_prob, batch.log_prob, advantage, value, batch.weight)
    else:
        policy_loss = objectives.policy_gradient_loss(log_prob, advantage, batch.weight, number=total(batch.weight))
    value_loss = objectives.value_loss(value, batch.target, batch.weight)
    loss = policy_loss + knobs["value_coefficient"] * value_loss - knobs["entropy_coefficient"] * entropy
    return loss, {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}


def train(spec):
    """(State, knobs, rollout) to (State, metrics [M]); what is not finite changes nothing."""
    state, vector, knobs, rollout = common.symbols(spec)
    block = common.block_of(spec, rollout)
    estimates, updated = common.estimates(spec, state, knobs, block)
    batch = minibatches.whole(spec, state, block, estimates)

    layers = common.layers_of(spec, state["params"])
    loss, measured = loss_of(spec, layers, batch, knobs)
    params, optimiser, norm = common.descend(
        spec,
        state["params"],
        common.flat_gradient(loss, layers),
        common.optimizer_state(state),
        knobs,
        learning_rate=knobs["learning_rate"],
    )
    updated |= {"params": params} | {f"optimizer/{name}": value for name, value in optimiser.items()}
    updated |= common.observations_counted(spec, state, block)
    metrics = {
        "cost": loss,
        **measured,
        "gradient_norm": norm,
        "explained_variance": common.explained_variance(batch.value, batch.target, batch.weight),
        "advantage_mean": objectives.masked_mean(batch.advantage, batch.weight),
    }
    return graph(state | {"knobs": vector} | rollout, common.finished(spec, state, updated, metrics))


def gradient(spec):
    """(State, at [D], knobs, rollout) to the loss of the whole rollout and its gradient [D] at the parameters `at`."""
    return minibatches.gradient_at(spec, lambda layers, batch, knobs: loss_of(spec, layers, batch, knobs)[0])
