"""Short-horizon actor-critic (Xu et al. 2022): a stretch's return, differentiated through policy and dynamics."""

import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from pg_theano.graphs import actors, distributions, estimates, jumps, networks, normalizers, objectives, pathwise
from pg_theano.graphs.algorithms import blocks, common, minibatches
from pg_theano.graphs.algorithms.common import act, rollout
from pg_theano.spec import Spec

__all__ = ["act", "describe", "gradient", "rollout", "train"]

METRICS = ["cost", "value_loss", "entropy", "gradient_norm", "explained_variance", "finite"]


def describe(spec: Spec):
    return common.describe(spec, METRICS) | jumps.described(spec)


def opened(spec: Spec, **order):
    """The opening of an update, all of whose values are the target network's; and the record."""
    state, vector, knobs, rollout = common.symbols(spec)
    block = blocks.block_of(spec, rollout)
    judging = state | {"params": judges(spec, state)}
    estimated, updated = estimates.estimates(spec, judging, knobs, block)
    unknown = pt.zeros_like(block.reward).reshape((-1,))  # log π, which nothing here needs
    batch = blocks.whole(spec, state, block._replace(log_prob=unknown), estimated)
    inputs = state | {"knobs": vector} | rollout | order
    return common.Opened(spec, state, knobs, vector, inputs, block, batch, updated), rollout["record"]


def judges(spec: Spec, state):
    """All parameters [D] with the target network's in place of the value network's."""
    return pt.concatenate([common.policy_part(spec, state["params"]), state["target"]])


def loss_of(spec: Spec, layers, update, record):
    """What a stretch is worth a step, negative, as a function of the policy's `layers` alone.

        L = −1/(T·E)·Σ (w·r + b·V′(o_{t+1}))             w and b: see `pathwise.weights`; Xu et al. 2022, eq. 5

    V′ is the target network's: a constant, but not its argument.
    """
    state, block = update.state, update.block
    path = pathwise.path_of(spec, layers, state, record, 1 - pt.maximum(block.terminated, block.truncated))
    ends = (block.terminated, block.truncated, block.mask)
    how = {"discount": update.knobs["discount"], "max_steps": spec.learning.num_steps}
    of_reward, of_value = pathwise.weights(*ends, **how)
    target = networks.views(disconnected_grad(judges(spec, state)), spec.acting.layout)
    seen = normalizers.observed(spec.acting, state, path.next_obs)
    next_value = actors.value(spec.acting, target, seen).reshape(of_value.shape)
    reward = path.reward
    if spec.learning.normalize_rewards:
        reward = normalizers.normalize_reward(reward, update.updated[normalizers.REWARDS[1]][0])
    return -pt.sum(of_reward * reward + of_value * next_value) / pt.sum(block.mask)


def train(spec: Spec):
    """(State, knobs, record, minibatches) to (State, metrics [M]); what is not finite changes nothing.

    The policy takes one step, the value network one a minibatch, towards TD(λ) of the target network's values:

        G_t = r_t + γ·[(1 − λ)·V′(o_{t+1}) + λ·G_{t+1}]          Xu et al. 2022, eq. 8; Sutton and Barto 2018, 12.18
        θ′ ← τ·θ_V + (1 − τ)·θ′
    """
    order = common.minibatch_symbols(spec)
    update, record = opened(spec, **order)
    state, knobs, batch = update.state, update.knobs, update.batch
    layers = pathwise.policy_layers(spec, state["params"])
    loss = loss_of(spec, layers, update, record)
    gradient = common.flat_gradient(loss, layers)
    policy, optimiser, norm = common.stepped(spec, common.policy_part(spec, state["params"]), gradient, state, knobs)
    value, value_optimiser, value_loss = minibatches.fit_value(update, order)
    target = knobs["target_rate"] * value + (1 - knobs["target_rate"]) * state["target"]
    entries = {"params": pt.concatenate([policy, value]), "target": target} | value_optimiser | optimiser
    entries |= update.updated | common.observations_counted(spec, state, update.block)
    explained = estimates.explained_variance(batch.value, batch.target, batch.weight)
    inputs = actors.inputs(spec.acting, layers, batch.obs)
    entropy = objectives.masked_mean(distributions.of(spec.acting).entropy(inputs), batch.weight)
    metrics = {"cost": loss, "value_loss": value_loss, "entropy": entropy, "gradient_norm": norm}
    metrics["explained_variance"] = explained
    return common.graph(update.inputs, common.finished(spec.dtype, state, entries, metrics))


def gradient(spec: Spec):
    """(State, at [D], knobs, record) to the loss of the stretch and its gradient [D] at the parameters `at`.

    Of both networks: the policy's loss, and beside it the value network's, each of which only its own part feels.
    """
    update, record = opened(spec)
    at = pt.tensor("at", shape=(spec.acting.num_params,), dtype=spec.dtype)
    layers = networks.views(at, spec.acting.layout)
    policy = {name: layers[name] for name in pathwise.policy_layers(spec, at)}
    value = actors.value(spec.acting, layers, update.batch.obs)
    loss = loss_of(spec, policy, update, record)
    loss = loss + objectives.value_loss(value, disconnected_grad(update.batch.target), update.batch.weight)
    inputs = {name: one for name, one in update.inputs.items() if "optimizer/" not in name}
    state = {name: one for name, one in inputs.items() if name in update.state}
    return common.graph(state | {"at": at} | inputs, {"loss": loss, "gradient": common.flat_gradient(loss, layers)})
