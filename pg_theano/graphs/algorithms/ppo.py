"""Proximal policy optimisation (Schulman et al. 2017): inputs, loss, gradient, updates."""

from __future__ import annotations

from pg_theano.graphs import actors, advantages, distributions, objectives, own
from pg_theano.graphs.algorithms import common, minibatches
from pg_theano.graphs.algorithms.common import act, graph, rollout

__all__ = ["act", "describe", "gradient", "rollout", "train"]

MEASURED = ["cost", "policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "gradient_norm"]
METRICS = [*MEASURED, "explained_variance", "advantage_mean", "finite"]


def describe(spec):
    return common.describe(spec, METRICS)


def loss_of(spec, layers, batch, knobs):
    """The loss of a batch, what to measure of it, and the KL from the behaviour policy.

    L = L_clip + c_v·L_value − c_e·H                                             Schulman et al. 2017, eq. 9

    Advantages are standardised over the minibatch, where the spec says so.
    """
    inputs = actors.inputs(spec, layers, batch.obs)
    log_prob = common.log_prob_of(spec, inputs, batch.action, knobs)  # [B]
    entropy = objectives.masked_mean(distributions.of(spec).entropy(inputs), batch.weight)
    value = actors.value(spec, layers, batch.obs)  # [B]
    advantage = batch.advantage
    if spec["standardize_advantages"]:
        advantage = advantages.standardize(advantage, batch.weight)

    if spec["objective"]:
        policy_loss = -own.objective(spec, log_prob, batch.log_prob, advantage, value, batch.weight)
    else:
        policy_loss = objectives.ppo_clip_loss(
            log_prob, batch.log_prob, advantage, batch.weight, clip_range=knobs["clip_range"]
        )
    if spec["clips_value"]:
        value_loss = objectives.clipped_value_loss(
            value, batch.value, batch.target, batch.weight, value_clip_range=knobs["value_clip_range"]
        )
    else:
        value_loss = objectives.value_loss(value, batch.target, batch.weight)
    loss = policy_loss + knobs["value_coefficient"] * value_loss - knobs["entropy_coefficient"] * entropy
    kl = objectives.kl_of_samples(log_prob, batch.log_prob, batch.weight)
    fraction = objectives.clip_fraction(log_prob, batch.log_prob, batch.weight, clip_range=knobs["clip_range"])
    measured = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "kl": kl,
        "clip_fraction": fraction,
    }
    return loss, measured, kl


def train(spec):
    """(State, knobs, rollout, minibatches) to (State, metrics [M]); what is not finite changes nothing."""
    state, vector, knobs, rollout = common.symbols(spec)
    order = common.minibatch_symbols(spec)
    block = common.block_of(spec, rollout)
    estimates, updated = common.estimates(spec, state, knobs, block)
    batch = minibatches.whole(spec, state, block, estimates)

    params, optimiser, metrics = minibatches.descend(
        spec,
        vector,
        state,
        batch,
        order,
        loss=lambda layers, batch, knobs: loss_of(spec, layers, batch, knobs),
        metrics=MEASURED,
    )
    updated |= {"params": params} | {f"optimizer/{name}": value for name, value in optimiser.items()}
    updated |= common.observations_counted(spec, state, block)
    metrics |= {
        "explained_variance": common.explained_variance(batch.value, batch.target, batch.weight),
        "advantage_mean": objectives.masked_mean(batch.advantage, batch.weight),
    }
    outputs = common.finished(spec, state, updated, metrics)
    return graph(state | {"knobs": vector} | rollout | order, outputs)


def gradient(spec):
    """(State, at [D], knobs, rollout) to the loss of the whole rollout and its gradient [D] at the parameters `at`."""
    return minibatches.gradient_at(spec, lambda layers, batch, knobs: loss_of(spec, layers, batch, knobs)[0])
