"""Proximal policy optimisation (Schulman et al. 2017): inputs, loss, gradient, updates."""

from pg_theano.graphs import actors, objectives
from pg_theano.graphs.algorithms import common, minibatches
from pg_theano.graphs.algorithms.common import act, rollout
from pg_theano.spec import Spec

__all__ = ["act", "describe", "gradient", "rollout", "train"]

MEASURED = ["cost", "policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "gradient_norm"]
METRICS = [*MEASURED, "explained_variance", "advantage_mean", "finite"]


def describe(spec: Spec):
    return common.describe(spec, METRICS)


def loss_of(spec: Spec, layers, batch, knobs):
    """The loss of a batch, what to measure of it, and the KL from the behaviour policy.

    L = L_clip + c_v·L_value − c_e·H                                             Schulman et al. 2017, eq. 9

    Advantages are standardised over the minibatch, where the spec says so.
    """
    _, log_prob, entropy = common.probability_of(spec.acting, layers, batch, knobs)
    value = actors.value(spec.acting, layers, batch.obs)  # [B]
    advantage = common.advantage_of(spec, batch)
    if spec.learning.objective:
        policy_loss = -common.own_objective(spec, log_prob, batch, advantage, value)
    else:
        policy_loss = objectives.ppo_clip_loss(
            log_prob, batch.log_prob, advantage, batch.weight, clip_range=knobs["clip_range"]
        )
    if spec.learning.clips_value:
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


def train(spec: Spec):
    """(State, knobs, rollout, minibatches) to (State, metrics [M]); what is not finite changes nothing."""
    order = common.minibatch_symbols(spec)
    update = common.opened(spec, **order)
    params, optimiser, metrics = minibatches.descend(
        update, order, loss=lambda layers, batch, knobs: loss_of(spec, layers, batch, knobs), metrics=MEASURED
    )
    entries = {"params": params} | {f"optimizer/{name}": value for name, value in optimiser.items()}
    return common.closed(update, entries, metrics)


def gradient(spec: Spec):
    """(State, at [D], knobs, rollout) to the loss of the whole rollout and its gradient [D] at the parameters `at`."""
    return minibatches.gradient_at(spec, lambda layers, batch, knobs: loss_of(spec, layers, batch, knobs)[0])
