"""REINFORCE (Williams 1992): inputs, loss, gradient, updates."""

from __future__ import annotations

import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from pg_theano.graphs import advantages, baselines, distributions, objectives, own, skeleton
from pg_theano.graphs.common import total
from pg_theano.graphs.skeleton import act, graph, rollout

__all__ = ["act", "describe", "gradient", "rollout", "train"]

METRICS = ["cost", "entropy", "gradient_norm", "signal_mean", "advantage_mean", "finite"]


def describe(spec):
    return skeleton.describe(spec, METRICS)


def loss_and_gradient(spec, state, params, knobs, rollout):
    """The loss at `params`, its gradient [D], and what else an update needs, from one rollout."""
    block = skeleton.block_of(spec, rollout)
    reward, mask = block.reward, block.mask

    layers = skeleton.layers_of(spec, params)
    inputs = skeleton.distribution(spec, layers, state, block.obs)
    log_prob = skeleton.log_prob_of(spec, inputs, block.action, knobs)  # [T*E]

    signal = advantages.signal(
        spec["signal"], reward, discount=knobs["discount"], max_steps=spec["max_steps"]
    )  # [T, E]
    baseline = {
        "none": lambda: pt.zeros_like(signal),
        "running_mean": lambda: baselines.running_mean(signal),
        "mean_so_far": lambda: state["baseline/mean"],
        "per_timestep": lambda: baselines.per_timestep(signal, mask),
        "leave_one_out": lambda: baselines.leave_one_out(signal, mask),
    }[spec["baseline"]]()
    advantage = (signal - baseline) * mask  # [T, E]
    if spec["standardize_advantages"]:
        advantage = advantages.standardize(advantage, mask)

    flat_mask, flat_advantage = mask.reshape((-1,)), advantage.reshape((-1,))
    entropy = objectives.masked_mean(distributions.of(spec).entropy(inputs), flat_mask)
    if spec["objective"]:
        played = skeleton.distribution(spec, skeleton.layers_of(spec, state["params"]), state, block.obs)
        old_log_prob = disconnected_grad(skeleton.log_prob_of(spec, played, block.action, knobs))
        value = pt.zeros_like(log_prob)
        loss = -own.objective(spec, log_prob, old_log_prob, flat_advantage, value, flat_mask)
    else:
        number = total(flat_mask) if spec["average"] == "steps" else total(pt.max(mask, axis=0))
        loss = objectives.policy_gradient_loss(log_prob, flat_advantage, flat_mask, number=number)
    if spec["uses_entropy"]:
        loss = loss - knobs["entropy_coefficient"] * entropy
    gradient = skeleton.flat_gradient(loss, layers)  # [D]
    return loss, gradient, block, signal, advantage, entropy


def train(spec):
    """(State, knobs, rollout) to (State, metrics [M]); a loss or gradient that is not finite changes nothing."""
    state, vector, knobs, rollout = skeleton.symbols(spec)
    loss, gradient, block, signal, advantage, entropy = loss_and_gradient(spec, state, state["params"], knobs, rollout)

    params, optimiser, norm = skeleton.descend(
        spec,
        state["params"],
        gradient,
        skeleton.optimizer_state(state),
        knobs,
        learning_rate=knobs["learning_rate"],
    )
    updated = {"params": params} | {f"optimizer/{name}": value for name, value in optimiser.items()}
    if spec["baseline"] == "mean_so_far":
        updated["baseline/mean"], updated["baseline/count"] = baselines.next_mean_so_far(
            state["baseline/mean"], state["baseline/count"], signal, block.mask
        )
    updated |= skeleton.observations_counted(spec, state, block)
    metrics = {
        "cost": loss,
        "entropy": entropy,
        "gradient_norm": norm,
        "signal_mean": objectives.masked_mean(signal, block.mask),
        "advantage_mean": objectives.masked_mean(advantage, block.mask),
    }
    return graph(state | {"knobs": vector} | rollout, skeleton.finished(spec, state, updated, metrics))


def gradient(spec):
    """(State, at [D], knobs, rollout) to the loss and its gradient [D] at the parameters `at`."""
    state, vector, knobs, rollout = skeleton.symbols(spec)
    at = pt.tensor("at", shape=(spec["num_params"],), dtype=spec["dtype"])
    loss, flat, *_ = loss_and_gradient(spec, state, at, knobs, rollout)
    used = {name: value for name, value in state.items() if "optimizer/" not in name}
    return graph(used | {"at": at, "knobs": vector} | rollout, {"loss": loss, "gradient": flat})
