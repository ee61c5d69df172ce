"""What every algorithm has: symbols of State, knobs and rollout, its networks, how it acts, what the host must know.

`spec` is the part of the config that shapes the graph. Everything else is an input; `knobs` names the numbers among
them. An algorithm's own file holds its loss, its gradient and its updates.
"""

from typing import Any, NamedTuple

import pytensor
import pytensor.tensor as pt

from pg_theano import parameters
from pg_theano.graphs import (
    actors,
    advantages,
    distributions,
    environments,
    estimates,
    exploration,
    masks,
    networks,
    normalizers,
    objectives,
    optimizers,
    own,
)
from pg_theano.graphs import rollout as rollouts
from pg_theano.graphs.algorithms import blocks, forks
from pg_theano.graphs.common import Graph, total
from pg_theano.graphs.layers import dense
from pg_theano.spec import Acting, Spec
from pg_theano.types import EXPLORE, GREEDY, RETURN_SO_FAR, Rollout

OPTIMIZER_KNOBS = ["momentum", "rmsprop_decay", "beta1", "beta2", "epsilon"]


# -- symbols


def graph(inputs, outputs):
    """Every unknown dimension is E, but for the blocks of learning: [E, T, ...] by episodes, [T, K, E] as a record,
    [E, S, F] of what is not the next step's observation, and B, the size of a minibatch."""
    order = dict.fromkeys(Rollout._fields, "ET") | {"record": "TE", "last_obs": "ES", "index": "B", "weight": "B"}
    dims = {}
    for name, variable in inputs.items():
        unknown = iter(order.get(name, "ET"))
        dims[name] = [next(unknown) if size is None else size for size in variable.type.shape]
    return Graph(inputs, outputs, dims)


def state_entries(spec: Spec):
    """(name, shape, initial value) of all that learning changes; "params" is initialised from the layout.

    A dimension "E" is the number of environments. Policies and value networks share one vector [D]. `optimizer` moves
    all of it, or the policy's part alone where the value network has a `value_optimizer`.
    """
    acting, learning = spec.acting, spec.learning
    size, value_size = acting.num_params, acting.num_value_params
    entries = [("params", (size,), "layout")]
    apart = "value_optimizer" in learning.optimizers
    sizes = {"optimizer": size - value_size if apart else size, "value_optimizer": value_size}
    for prefix in learning.optimizers:
        length = sizes[prefix]
        for name, like in optimizers.STATE[spec.learning.optimizer].items():
            entries.append((f"{prefix}/{name}", (length,) if like == "params" else (), "zeros"))
    entries += [("target", (value_size,), "value")] if "target_rate" in spec.learning.knobs else []
    if spec.learning.baseline == "mean_so_far":
        entries += [("baseline/mean", (), "zeros"), ("baseline/count", (), "zeros")]
    if spec.acting.normalize_observations:
        features = spec.acting.num_features
        entries += zip(
            normalizers.OBSERVATIONS, [(features,), (features,), ()], ["zeros", "ones", "zeros"], strict=True
        )
    if spec.learning.normalize_rewards:
        entries += zip(normalizers.REWARDS, [(1,), (1,), ()], ["zeros", "ones", "zeros"], strict=True)
        if spec.learning.num_steps:
            entries.append((RETURN_SO_FAR, ("E",), "zeros"))
    return entries


def symbols(spec: Spec):
    """(State, knobs in one vector, knobs by name, rollout: fields [E, T, ...], or the record [T, K, E])."""
    dtype = spec.dtype
    state = {
        name: pt.tensor(name, shape=tuple(None if size == "E" else size for size in shape), dtype=dtype)
        for name, shape, _ in state_entries(spec)
    }
    vector = pt.tensor("knobs", shape=(len(knobs_of(spec)),), dtype=dtype)
    knobs = named(spec, vector)
    remembered = {"memory": remembered_symbol(spec)} if spec.acting.memory_size and spec.learning.num_steps else {}
    if spec.engine:
        size = sum(number for _, number in rollouts.columns(spec).values())
        record = pt.tensor("record", shape=(None, size, None), dtype=dtype)
        return state, vector, knobs, {"record": record} | remembered
    components = () if spec.acting.action.kind == "discrete" else (spec.acting.action.size,)
    observed = ("obs", "next_obs", "last_obs")
    shapes = dict.fromkeys(observed, (spec.acting.obs_size,)) | {"action": components}
    dtypes = dict.fromkeys(observed, spec.acting.obs_dtype) | dict.fromkeys(("terminated", "truncated"), "bool")
    dtypes["action"] = action_dtype(spec.acting)
    rollout = {
        name: pt.tensor(name, shape=(None, None, *shapes.get(name, ())), dtype=dtypes.get(name, dtype))
        for name in spec.learning.takes
    }
    return state, vector, knobs, rollout | remembered


def remembered_symbol(spec: Spec):
    """What was remembered while acting: of a rollout [E, K, M], or of a record [K, M, E]."""
    number, size = spec.num_sequences, spec.acting.memory_size
    shape = (number, size, None) if spec.engine else (None, number, size)
    return pt.tensor("memory", shape=shape, dtype=spec.dtype)


def knobs_of(spec: Spec):
    """The names of the knobs, in the order of their vector: the optimiser's own are the last."""
    return [name for name in spec.learning.knobs if name not in OPTIMIZER_KNOBS] + OPTIMIZER_KNOBS


def named(spec: Spec, vector):
    """The knobs of a vector, by name."""
    return {name: vector[index] for index, name in enumerate(knobs_of(spec))}


def minibatch_symbols(spec: Spec):
    """index [G, B] of the columns in each of G gradient steps, and weight [G, B], 0 where a minibatch is filled up."""
    number = spec.learning.passes.gradient_steps
    return {
        "index": pt.tensor("index", shape=(number, None), dtype="int32"),
        "weight": pt.tensor("weight", shape=(number, None), dtype=spec.dtype),
    }


# -- what every policy does


def distribution(acting: Acting, layers, state, obs, *, multiply=dense.product):
    """The inputs of the distribution over actions. `obs` [F, N] as the environment gave it."""
    return actors.inputs(acting, layers, normalizers.observed(acting, state, obs), multiply=multiply)


def log_prob_of(acting: Acting, inputs, action, knobs):
    """log π of the action taken, under the strategy that took it. [N]"""
    return rollouts.log_prob_of(acting, inputs, action, knobs["exploration_rate"])


def behaviour(acting: Acting, inputs, knobs):
    """The inputs of the distribution that learning measures, from the network's: of the mixture for ε-softmax."""
    if acting.action.kind != "discrete":
        return inputs
    how = {"exploration_rate": knobs["exploration_rate"], "masked": acting.mask_size > 0}
    return (exploration.mixture(acting.exploration, inputs[0], **how),)


def act(spec: Spec):
    """(State, obs [E, F], noise [E, U], knobs, choice) to (action [E, ...], log_prob [E]).

    Of a policy that remembers, `memory` [E, M] goes in and comes out as well.
    """
    acting, dtype = spec.acting, spec.dtype
    state, vector, knobs, _ = symbols(spec)
    obs = pt.tensor("obs", shape=(None, acting.obs_size), dtype=acting.obs_dtype)
    noise = pt.tensor("noise", shape=(None, acting.noise_kind[1]), dtype=dtype)
    choice = pt.tensor("choice", shape=(), dtype="int32")
    layers, seen = networks.views(state["params"], acting.layout), normalizers.observed(acting, state, obs.T)
    memory = memory_of_rows(acting)
    before = memory["memory"].T if memory else None
    numbers, features, after = actors.step(acting, layers, seen, before)
    inputs = distributions.inputs_of(acting, numbers, layers.get(parameters.LOG_STD), features)
    law, discrete = distributions.of(acting), acting.action.kind == "discrete"
    action = sampled = law.sample(inputs, noise.T[: 1 if discrete else None])
    if discrete:
        how = {"exploration_rate": knobs["exploration_rate"], "masked": acting.mask_size > 0}
        drawn = exploration.draw(acting.exploration, inputs[0], noise.T, **how)
        action = pt.switch(pt.eq(choice, EXPLORE), drawn, sampled)
    action = pt.switch(pt.eq(choice, GREEDY), law.mode(inputs), action).astype(action_dtype(acting))
    log_prob = log_prob_of(acting, inputs, action, knobs)
    used = acting_entries(state) | {"obs": obs, "noise": noise, "knobs": vector, "choice": choice}
    remembered = {"memory": after.T} if memory else {}
    return graph(used | memory, {"action": action.T, "log_prob": log_prob} | remembered)


def memory_of_rows(acting: Acting):
    """What acting remembers, {"memory": [E, M]}; {} for a policy that does not."""
    if not acting.memory_size:
        return {}
    return {"memory": pt.tensor("memory", shape=(None, acting.memory_size), dtype=acting.dtype)}


def action_dtype(acting: Acting):
    return acting.dtype if acting.action.kind == "box" else "int32"


def acting_entries(state):
    """The part of State that acting reads."""
    names = ["params"] + [name for name in normalizers.OBSERVATIONS[:2] if name in state]
    return {name: state[name] for name in names}


def rollout(spec: Spec):
    """C steps of E episodes on a symbolic environment (see `graphs/rollout.py`)."""
    state, vector, knobs, _ = symbols(spec)
    environment = environments.load(spec.engine.dynamics, spec.dtype)
    given, outputs = rollouts.rollout(spec, environment, state, knobs)
    return graph(acting_entries(state) | {"knobs": vector} | given, outputs)


def describe(spec: Spec, metrics):
    """What the host must know of the program, as plain data."""
    kind, size = spec.acting.noise_kind
    described = {
        "state": [[name, list(shape), how] for name, shape, how in state_entries(spec)],
        "knobs": knobs_of(spec),
        "metrics": metrics,
        "takes": list(spec.learning.takes),
        "noise": {"kind": kind, "size": size},
    }
    if spec.engine:
        environment = environments.load(spec.engine.dynamics, spec.dtype)
        described["environment"] = {
            "state_size": environment.state_size,
            "num_initial_noise": environment.num_initial_noise,
            "chunk": spec.engine.chunk,
            "columns": rollouts.columns(spec),
            "memory": spec.acting.memory_size,
        }
    return described


# -- an update


class Opened(NamedTuple):
    """What an update begins with: symbols, and the whole rollout as one batch, judged by the network of before."""

    spec: Spec
    state: Any
    knobs: Any
    vector: Any  # the knobs as one
    inputs: dict[str, Any]  # of the graph
    block: blocks.Block
    batch: blocks.Batch
    updated: dict[str, Any]  # entries of State that estimating has changed


def opened(spec: Spec, **order):
    """The opening of every update with a value network. `order` is of the algorithms that learn in minibatches."""
    state, vector, knobs, rollout = symbols(spec)
    block = blocks.block_of(spec, rollout)
    estimated, updated = estimates.estimates(spec, state, knobs, block)
    batch = forks.whole(spec, state, knobs, block, estimated, updated)
    return Opened(spec, state, knobs, vector, state | {"knobs": vector} | rollout | order, block, batch, updated)


def closed(update: Opened, entries, metrics):
    """The graph of an update: State with these entries, or as it was where one is not finite, and the metrics [M]."""
    spec, state, batch = update.spec, update.state, update.batch
    updated = update.updated | entries | observations_counted(spec, state, update.block)
    metrics = metrics | {
        "explained_variance": estimates.explained_variance(batch.value, batch.target, batch.weight),
        "advantage_mean": objectives.masked_mean(batch.advantage, batch.weight),
    }
    return graph(update.inputs, finished(spec.dtype, state, updated, metrics))


def probability_of(acting: Acting, layers, batch, knobs):
    """(inputs of the distribution, log π of the actions taken [B], mean entropy) of a batch."""
    inputs = actors.inputs(acting, layers, batch.obs)
    log_prob = log_prob_of(acting, inputs, batch.action, knobs)  # [B]
    inputs = behaviour(acting, inputs, knobs)
    return inputs, log_prob, objectives.masked_mean(distributions.of(acting).entropy(inputs), batch.weight)


def advantage_of(spec: Spec, batch):
    """The advantages [B], standardised over the batch where the spec says so."""
    if spec.learning.standardize_advantages:
        return advantages.standardize(batch.advantage, batch.weight)
    return batch.advantage


def own_objective(spec: Spec, log_prob, batch, advantage, value):
    """The user's objective of a batch, to be maximised."""
    given = (log_prob, batch.log_prob, advantage, value, batch.weight)
    return own.objective(spec.learning.objective, spec.dtype, *given)


def observations_counted(spec: Spec, state, block):
    """The observation normaliser's entries with this rollout's observations in them."""
    if not spec.acting.normalize_observations:
        return {}
    values = normalizers.updated(
        *(state[name] for name in normalizers.OBSERVATIONS),
        masks.split(spec.acting, block.obs)[0],
        block.mask.reshape((-1,)),
    )
    return dict(zip(normalizers.OBSERVATIONS, values, strict=True))


def policy_part(spec: Spec, params):
    """The policy's parameters of the flat vector, which come first."""
    return params[: spec.acting.num_params - spec.acting.num_value_params]


def flat_gradient(loss, layers, wanted=lambda name: True):
    """∂L/∂θ as one vector, of the layers whose name is wanted; 0 for one that the loss does not depend on."""
    parts = [part for name, part in layers.items() if wanted(name)]
    gradients = pytensor.grad(loss, parts, disconnected_inputs="ignore", return_disconnected="zero")
    return pt.concatenate([gradient.reshape((-1,)) for gradient in gradients])


def optimizer_state(state, prefix="optimizer"):
    return {name.removeprefix(f"{prefix}/"): value for name, value in state.items() if name.startswith(f"{prefix}/")}


def descend(spec: Spec, params, gradient, optimiser, knobs, *, learning_rate):
    """One step of the spec's optimiser against the gradient: (params, optimiser state, norm of the gradient)."""
    norm = pt.sqrt(total(gradient * gradient))
    if spec.learning.clips_gradient:
        gradient = optimizers.clip_by_global_norm(gradient, norm, max_norm=knobs["max_gradient_norm"])
    moved, optimiser = optimizers.BY_NAME[spec.learning.optimizer](
        params, gradient, optimiser, learning_rate=learning_rate, **{name: knobs[name] for name in OPTIMIZER_KNOBS}
    )
    return moved, optimiser, norm


def stepped(spec: Spec, params, gradient, state, knobs):
    """One step of the optimiser from `params`: (params, its entries of State, norm of the gradient)."""
    optimiser = optimizer_state(state)
    moved, optimiser, norm = descend(spec, params, gradient, optimiser, knobs, learning_rate=knobs["learning_rate"])
    return moved, {f"optimizer/{name}": value for name, value in optimiser.items()}, norm


def finished(dtype, state, updated, metrics):
    """(outputs): State after the update, or as it was where anything in it is not finite, and the metrics [M].

    A sum is finite only if all its terms are. isnan and isinf, not x == x: on Numba comparisons hide NaN.
    """
    everything = metrics["cost"] + metrics["gradient_norm"]
    for value in updated.values():
        everything = everything + total(value)
    broken = pt.isnan(everything) | pt.isinf(everything)
    kept = {name: pt.switch(broken, state[name], updated.get(name, state[name])) for name in state}
    numbers = [*metrics.values(), 1 - broken.astype(dtype)]
    outputs = {name: value.astype(dtype) for name, value in kept.items()}
    return outputs | {"metrics": pt.stack([number.astype(dtype) for number in numbers])}
