"""Minibatches: a rollout's columns packed once, and taken in the order that the host drew.

The host says which columns (index [G, B]) make each of G gradient steps, and gives those that only fill a minibatch up
weight 0 (`pg_theano/training/minibatches.py`): so any number of minibatches, and any padding of the rollout, will do.
"""

import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import actors, networks, objectives
from pg_theano.graphs.algorithms import common
from pg_theano.graphs.algorithms.blocks import Batch
from pg_theano.parameters import is_value
from pg_theano.spec import Spec


def packed(batch):
    """A batch as one array [B, R], a row for each step: one gather then takes all of a step. Pixels stand apart [B, F],
    as bytes: they become numbers a minibatch at a time."""
    action = batch.action if batch.action.ndim == 2 else batch.action[None, :]
    pixels = batch.obs.dtype == "uint8"
    rows = [] if pixels else [batch.obs]
    rows.append(action.astype(batch.log_prob.dtype))
    rows += [part[None, :] for part in (batch.log_prob, batch.advantage, batch.target, batch.value)]
    return [pt.concatenate(rows, axis=0).T, *([batch.obs.T] if pixels else [])]


def taken(spec: Spec, data, index, weight):
    """The `Batch` of some rows of `packed`."""
    data, *pixels = data
    features, components = 0 if pixels else spec.acting.obs_size, spec.acting.action.size
    columns = data[index].T  # [R, B]
    end = features + components
    action = columns[features:end]
    if spec.acting.action.kind != "box":
        action = action.astype("int32")
    if spec.acting.action.kind == "discrete":
        action = action[0]
    obs = pixels[0][index].T if pixels else columns[:features]
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
        vector, *data = rest[len(names) :]
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
        non_sequences=[update.vector, *packed(update.batch)],
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
        vector, *data = rest[len(names) :]
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
        non_sequences=[update.vector, *packed(update.batch)],
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
