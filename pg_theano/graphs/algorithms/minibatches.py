"""Minibatches: a rollout's columns packed once, and taken in the order that the host drew.

The host says which columns (index [G, B]) make each of G gradient steps, and gives those that only fill a minibatch up
weight 0 (`pg_theano/training/minibatches.py`): so any number of minibatches, and any padding of the rollout, will do.
Of a policy that remembers it says which sequences: number k·E + e is the k-th of row e.
"""

import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import actors, networks, objectives
from pg_theano.graphs.algorithms import common, forks
from pg_theano.graphs.algorithms.blocks import Batch
from pg_theano.graphs.folding import unfold
from pg_theano.parameters import is_value
from pg_theano.spec import Spec


def packed(update):
    """A rollout for `taken`: one array [N, R], a row for each step, so that one gather takes all of a step.
    Pixels stand apart, [N, F], as bytes: they become numbers a minibatch at a time.

    Of a policy that remembers a row for each sequence, [K·E, L, R], and what was remembered before it, [K·E, M].
    """
    spec, batch, block = update.spec, update.batch, update.block
    if spec.acting.sees_pixels:
        return [rows_of(batch).T, batch.obs.T]
    if not spec.acting.memory_size:
        return [rows_of(batch, forks.number(spec) > 1).T]
    number, length = spec.num_sequences, spec.learning.sequence_length
    obs = batch.obs.obs
    rows = [rows_of(batch._replace(obs=obs)), block.mask.reshape((1, -1)), block.begins.reshape((1, -1))]
    steps = unfold(pt.concatenate(rows, axis=0), block.begins)  # [T, R, E]
    if number == 1:
        return [steps.transpose(2, 0, 1), block.memory[0].T]
    size = steps.type.shape[1]
    cut = steps.reshape((number, length, size, -1)).transpose(0, 3, 1, 2).reshape((-1, length, size))
    return [cut, block.memory.transpose(0, 2, 1).reshape((-1, spec.acting.memory_size))]


def rows_of(batch, tells_weight=False):
    """All of a batch but its weight, if it is 1 where a step is real, and but pixels, [R, B]."""
    action = batch.action if batch.action.ndim == 2 else batch.action[None, :]
    rows = [] if batch.obs.dtype == "uint8" else [batch.obs]
    rows.append(action.astype(batch.log_prob.dtype))
    rows += [part[None, :] for part in (batch.log_prob, batch.advantage, batch.target, batch.value)]
    if tells_weight:
        rows.append(batch.weight[None, :])
    return pt.concatenate(rows, axis=0)


def taken(spec: Spec, data, index, weight):
    """The `Batch` of some rows of `packed`."""
    features, components = 0 if spec.acting.sees_pixels else spec.acting.obs_size, spec.acting.action.size
    end = features + components
    if spec.acting.memory_size:
        chosen = data[0][index]  # [B, L, R]
        mask, begins = chosen[:, :, end + 4].T, chosen[:, :, end + 5].T  # [L, B]
        columns = chosen.transpose(2, 1, 0).reshape((end + 6, -1))
        obs = actors.Sequences(columns[:features], begins, data[1][index].T)
        weight = (mask * weight[None]).reshape((-1,))
    else:
        each = forks.number(spec)
        if each > 1:
            index = forks.expanded(index, data[0].shape[0], each)
        columns = data[0][index].T  # [R, B]
        if each > 1:
            weight = forks.tiled(weight, each) * columns[end + 4]
        obs = data[1][index].T if spec.acting.sees_pixels else columns[:features]
    action = columns[features:end]
    if spec.acting.action.kind != "box":
        action = action.astype("int32")
    if spec.acting.action.kind == "discrete":
        action = action[0]
    return Batch(obs, action, *(columns[end + i] for i in range(4)), weight)


def descend(update, order, *, loss, metrics):
    """One gradient step a minibatch, in order: (params, optimiser state, metrics [M] averaged over the steps taken).

    `loss(layers, batch, knobs)` gives (scalar to descend, dict of metrics, KL of the policy). With a target for KL, the
    first minibatch whose KL is over 1.5 times the target ends the update: it and all after it change nothing, as in
    Stable-Baselines3 and Spinning Up.
    """
    spec, state = update.spec, update.state
    names = list(common.optimizer_state(state))

    def step(index, weight, params, going, *rest):
        optimiser = dict(zip(names, rest[: len(names)], strict=True))
        *data, vector = rest[len(names) :]
        knobs = common.named(spec, vector)
        layers = networks.views(params, spec.acting.layout)
        cost, measured, kl = loss(layers, taken(spec, data, index, weight), knobs)
        gradient = common.flat_gradient(cost, layers)
        moved, following, norm = common.descend(
            spec, params, gradient, optimiser, knobs, learning_rate=knobs["learning_rate"]
        )
        measured |= {"cost": cost, "gradient_norm": norm}
        row = pt.stack([measured[name] for name in metrics])
        after = [moved, *(following[name] for name in names)]
        if spec.learning.uses_target_kl:
            going = going * pt.le(kl, 1.5 * knobs["target_kl"]).astype(going.dtype)
            after = [pt.switch(going > 0, new, old) for new, old in zip(after, (params, *rest), strict=False)]
        return [after[0], going, *after[1:], pt.concatenate([row, going[None]])]

    start = [state["params"], pt.ones((), dtype=spec.dtype), *common.optimizer_state(state).values()]
    traces = pytensor.scan(
        step,
        sequences=[order["index"], order["weight"]],
        outputs_info=[*start, None],
        non_sequences=[*packed(update), update.vector],
        n_steps=spec.learning.passes.gradient_steps,
        strict=True,
        return_updates=False,
    )
    params, _, *optimiser = (trace[-1] for trace in traces[:-1])
    rows = traces[-1]  # [G, M + 1]; the row of the step that ended it counts, those after it do not
    counted = pt.concatenate([pt.ones_like(rows[:1, -1]), rows[:-1, -1]])[:, None]
    averaged = pt.sum(rows[:, :-1] * counted, axis=0) / pt.sum(counted)
    return params, dict(zip(names, optimiser, strict=True)), dict(zip(metrics, averaged, strict=True))


def fit_value(update, order):
    """The value network's own gradient steps, one a minibatch: (its parameters [D'], optimiser state, mean loss).

    It is fitted after the advantages were taken from it, or it would have seen what it is to predict.
    """
    spec, state = update.spec, update.state
    names = list(common.optimizer_state(state, "value_optimizer"))
    layout = [entry for entry in spec.acting.layout if is_value(entry[0])]

    def step(index, weight, params, *rest):
        optimiser = dict(zip(names, rest[: len(names)], strict=True))
        *data, vector = rest[len(names) :]
        knobs = common.named(spec, vector)
        part = taken(spec, data, index, weight)
        layers = networks.views(params, layout)
        loss = objectives.value_loss(actors.value(spec.acting, layers, part.obs), part.target, part.weight)
        moved, following, _ = common.descend(
            spec,
            params,
            common.flat_gradient(loss, layers),
            optimiser,
            knobs,
            learning_rate=knobs["value_learning_rate"],
        )
        return [moved, *(following[name] for name in names), loss]

    start = state["params"][spec.acting.num_params - spec.acting.num_value_params :]
    traces = pytensor.scan(
        step,
        sequences=[order["index"], order["weight"]],
        outputs_info=[start, *common.optimizer_state(state, "value_optimizer").values(), None],
        non_sequences=[*packed(update), update.vector],
        n_steps=spec.learning.passes.gradient_steps,
        strict=True,
        return_updates=False,
    )
    params, *optimiser = (trace[-1] for trace in traces[:-1])
    kept = {f"value_optimizer/{name}": value for name, value in zip(names, optimiser, strict=True)}
    return params, kept, pt.mean(traces[-1], acc_dtype=spec.dtype)


def gradient_at(spec: Spec, loss):
    """(State, at [D], knobs, rollout) to loss and gradient [D] at the parameters `at`: for checks and parity.

    Advantages and targets are those that State's own parameters give, so that a difference of two losses is that of the
    networks' alone. `loss(layers, batch, knobs)` gives the scalar, of the whole rollout as one batch.
    """
    update = common.opened(spec)
    at = pt.tensor("at", shape=(spec.acting.num_params,), dtype=spec.dtype)
    layers = networks.views(at, spec.acting.layout)
    cost = loss(layers, update.batch, update.knobs)
    inputs = {name: value for name, value in update.inputs.items() if "optimizer/" not in name}
    state = {name: value for name, value in inputs.items() if name in update.state}
    outputs = {"loss": cost, "gradient": common.flat_gradient(cost, layers)}
    return common.graph(state | {"at": at} | inputs, outputs)
