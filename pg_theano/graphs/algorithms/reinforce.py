"""REINFORCE (Williams 1992): inputs, loss, gradient, updates."""

import pytensor
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from pg_theano.graphs import actors, advantages, baselines, distributions, networks, objectives, own
from pg_theano.graphs import rollout as rollouts
from pg_theano.graphs.algorithms import blocks, common
from pg_theano.graphs.algorithms.common import act, graph, rollout
from pg_theano.graphs.common import total
from pg_theano.graphs.layers import dense
from pg_theano.spec import Spec

__all__ = ["act", "describe", "gradient", "rollout", "train"]

METRICS = ["cost", "entropy", "gradient_norm", "signal_mean", "advantage_mean", "finite"]


def describe(spec: Spec):
    return common.describe(spec, METRICS)


def loss_and_gradient(spec: Spec, state, params, knobs, rollout):
    """The loss at `params`, its gradient [D], and what else an update needs, from one rollout."""
    acting, learning = spec.acting, spec.learning
    block = blocks.block_of(spec, rollout)
    reward, mask = block.reward, block.mask

    signal = advantages.signal(
        learning.signal, reward, discount=knobs["discount"], max_steps=learning.max_steps
    )  # [T, E]
    baseline = {
        "none": lambda: pt.zeros_like(signal),
        "running_mean": lambda: baselines.running_mean(signal),
        "mean_so_far": lambda: state["baseline/mean"],
        "per_timestep": lambda: baselines.per_timestep(signal, mask),
        "leave_one_out": lambda: baselines.leave_one_out(signal, mask),
    }[learning.baseline]()
    advantage = (signal - baseline) * mask  # [T, E]
    if learning.standardize_advantages:
        advantage = advantages.standardize(advantage, mask)

    flat_mask, weight = mask.reshape((-1,)), (advantage * mask).reshape((-1,))
    steps = total(flat_mask)
    number = pt.maximum(steps if learning.average == "steps" else total(pt.max(mask, axis=0)), 1.0)
    if spec.engine and spec.engine.step_by_step:
        weight = advantage * mask
        weighted, entropy, gradient = sums_over_steps(spec, state, params, knobs, rollout["record"], weight)
        loss, gradient = -weighted / number, -gradient / number
        return loss, gradient, block, signal, advantage, entropy / pt.maximum(steps, 1.0)

    layers = networks.views(params, acting.layout)
    seen = blocks.seen(spec, state, block)
    inputs = actors.inputs(acting, layers, seen)
    log_prob = common.log_prob_of(acting, inputs, block.action, knobs)  # [T*E]
    entropy = distributions.of(acting).entropy(common.behaviour(acting, inputs, knobs))  # [T*E]
    entropy = objectives.masked_mean(entropy, flat_mask)
    if learning.objective:
        played = actors.inputs(acting, networks.views(state["params"], acting.layout), seen)
        old_log_prob = disconnected_grad(common.log_prob_of(acting, played, block.action, knobs))
        value = pt.zeros_like(log_prob)
        loss = -own.objective(
            learning.objective, spec.dtype, log_prob, old_log_prob, advantage.reshape((-1,)), value, flat_mask
        )
    else:
        loss = objectives.policy_gradient_loss(log_prob, weight, flat_mask, number=number)
    if learning.uses_entropy:
        loss = loss - knobs["entropy_coefficient"] * entropy
    return loss, common.flat_gradient(loss, layers), block, signal, advantage, entropy


def sums_over_steps(spec: Spec, state, params, knobs, record, weight):
    """(Σ w·log π(a|o), Σ m·H, gradient [D] of the first), one time step of all episodes after the other.

    So what is computed on the way stays in the cache. Every episode has parameters of its own, and so a gradient of
    its own. They are summed over time first and over episodes last: XLA adds vectors quickly, and the numbers within a
    vector slowly. Shapes: `record` [T, K, E], `weight` [T, E].
    """
    acting, layers = spec.acting, networks.views(params, spec.acting.layout)
    sizes = [layer.type.shape[0] if layer.type.ndim == 2 else 0 for layer in layers.values()]
    by_layer = zip(layers.values(), sizes, strict=True)
    rows = [row for layer, size in by_layer for row in ([layer[i] for i in range(size)] or [layer])]
    normalizer = {name: value for name, value in state.items() if name.startswith("normalizer/")}
    columns, zeros = rollouts.columns(spec), pt.zeros_like(weight[0])  # [E]

    def step(fields, *arguments):
        rest = iter(arguments)
        time = next(rest)
        sums = [next(rest) for _ in (*rows, "weighted", "entropy")]
        weight = next(rest)[time]  # [E]; as a second sequence it would be cut to a length that JAX does not know
        own_rows = [next(rest)[:, None] + pt.zeros_like(weight) for _ in rows]  # [outputs, E] each
        of_step, rate = {name: next(rest) for name in normalizer}, next(rest)
        ungrouped = iter(own_rows)
        own_layers = [[next(ungrouped) for _ in range(size)] or next(ungrouped) for size in sizes]
        obs = fields[: acting.obs_size]  # [F, E]
        action, mask = fields[columns["action"][0]].astype("int32"), fields[columns["mask"][0]]
        named = dict(zip(layers, own_layers, strict=True))
        inputs = common.distribution(acting, named, of_step, obs, multiply=dense.own_product)
        strategy = {"exploration_rate": rate}
        log_prob = common.log_prob_of(acting, inputs, action, strategy)
        entropy = distributions.of(acting).entropy(common.behaviour(acting, inputs, strategy)) * mask
        weighted = log_prob * weight
        added = [*pytensor.grad(total(weighted), own_rows), weighted, entropy]
        return [time + 1, *(before + more for before, more in zip(sums, added, strict=True))]

    _, *sums = pytensor.scan(
        step,
        sequences=[record],
        outputs_info=[
            pt.zeros((), dtype="int64"),
            *(pt.zeros_like(row)[:, None] + zeros for row in rows),
            zeros,
            zeros,
        ],
        non_sequences=[weight, *rows, *normalizer.values(), knobs["exploration_rate"]],
        n_steps=record.shape[0],  # a number when the graph is exported
        strict=True,
        return_updates=False,
    )
    *gradient, weighted, entropy = [total(each[-1], axis=-1) for each in sums]
    return weighted, entropy, pt.concatenate(gradient)


def train(spec: Spec):
    """(State, knobs, rollout) to (State, metrics [M]); a loss or gradient that is not finite changes nothing."""
    state, vector, knobs, rollout = common.symbols(spec)
    loss, gradient, block, signal, advantage, entropy = loss_and_gradient(spec, state, state["params"], knobs, rollout)

    params, optimiser, norm = common.stepped(spec, state["params"], gradient, state, knobs)
    updated = {"params": params} | optimiser
    if spec.learning.baseline == "mean_so_far":
        updated["baseline/mean"], updated["baseline/count"] = baselines.next_mean_so_far(
            state["baseline/mean"], state["baseline/count"], signal, block.mask
        )
    updated |= common.observations_counted(spec, state, block)
    metrics = {
        "cost": loss,
        "entropy": entropy,
        "gradient_norm": norm,
        "signal_mean": objectives.masked_mean(signal, block.mask),
        "advantage_mean": objectives.masked_mean(advantage, block.mask),
    }
    return graph(state | {"knobs": vector} | rollout, common.finished(spec.dtype, state, updated, metrics))


def gradient(spec: Spec):
    """(State, at [D], knobs, rollout) to the loss and its gradient [D] at the parameters `at`."""
    state, vector, knobs, rollout = common.symbols(spec)
    at = pt.tensor("at", shape=(spec.acting.num_params,), dtype=spec.dtype)
    loss, flat, *_ = loss_and_gradient(spec, state, at, knobs, rollout)
    used = {name: value for name, value in state.items() if "optimizer/" not in name}
    return graph(used | {"at": at, "knobs": vector} | rollout, {"loss": loss, "gradient": flat})
