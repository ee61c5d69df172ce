"""What every algorithm has: symbols of State, knobs and rollout, its networks, how it acts, what the host must know.

`spec` is the part of the config that shapes the graph, as plain data. Everything else is an input; `knobs` names
the numbers among them. An algorithm's own file holds its loss, its gradient and its updates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import (
    actors,
    advantages,
    distributions,
    environments,
    exploration,
    networks,
    normalizers,
    optimizers,
)
from pg_theano.graphs import rollout as rollouts
from pg_theano.graphs.common import Graph, total
from pg_theano.parameters import noise_of
from pg_theano.types import EXPLORE, GREEDY, RETURN_SO_FAR, Rollout

OPTIMIZER_KNOBS = ["momentum", "rmsprop_decay", "beta1", "beta2", "epsilon"]
NORMALIZER = ["normalizer/mean", "normalizer/variance", "normalizer/count"]
REWARD_NORMALIZER = ["reward_normalizer/mean", "reward_normalizer/variance", "reward_normalizer/count"]
FLAGS = ("reward", "terminated", "truncated", "mask")


class Block(NamedTuple):
    """A rollout as learning reads it: features and time first, N = T·E columns, column t·E + e."""

    obs: Any  # [F, N]
    action: Any  # [N], or [C, N]
    log_prob: Any  # [N]
    reward: Any  # [T, E], 0 where nothing happened
    next_obs: Any  # [F, N]
    terminated: Any  # [T, E]
    truncated: Any  # [T, E]
    mask: Any  # [T, E]


class Estimates(NamedTuple):
    """What each step was worth, and what the value network should have said. Constants to every gradient."""

    value: Any  # [T, E]
    advantage: Any  # [T, E]
    target: Any  # [T, E]


# -- symbols


def graph(inputs, outputs):
    """Every unknown dimension is E, but for the blocks of learning: [E, T, ...] by episodes, [T, K, E] as a record, and
    B, the size of a minibatch."""
    order = {"record": "TE", "index": "B", "weight": "B"} | dict.fromkeys(Rollout._fields, "ET")
    dims = {}
    for name, variable in inputs.items():
        unknown = iter(order.get(name, "ET"))
        dims[name] = [next(unknown) if size is None else size for size in variable.type.shape]
    return Graph(inputs, outputs, dims)


def state_entries(spec):
    """(name, shape, initial value) of all that learning changes; "params" is initialised from the layout.

    A dimension "E" is the number of environments. Policies and value networks share one vector [D]. `optimizer` moves
    all of it, or the policy's part alone where the value network has a `value_optimizer`.
    """
    size, value_size = spec["num_params"], spec["num_value_params"]
    entries = [("params", (size,), "layout")]
    apart = "value_optimizer" in spec["optimizers"]
    sizes = {"optimizer": size - value_size if apart else size, "value_optimizer": value_size}
    for prefix in spec["optimizers"]:
        length = sizes[prefix]
        for name, like in optimizers.STATE[spec["optimizer"]].items():
            entries.append((f"{prefix}/{name}", (length,) if like == "params" else (), "zeros"))
    if spec["baseline"] == "mean_so_far":
        entries += [("baseline/mean", (), "zeros"), ("baseline/count", (), "zeros")]
    if spec["normalize_observations"]:
        features = spec["obs_size"]
        entries += zip(NORMALIZER, [(features,), (features,), ()], ["zeros", "ones", "zeros"], strict=True)
    if spec["normalize_rewards"]:
        entries += zip(REWARD_NORMALIZER, [(1,), (1,), ()], ["zeros", "ones", "zeros"], strict=True)
        if spec["num_steps"]:
            entries.append((RETURN_SO_FAR, ("E",), "zeros"))
    return entries


def symbols(spec):
    """(State, knobs in one vector, knobs by name, rollout: fields [E, T, ...], or the record [T, K, E])."""
    dtype = spec["dtype"]
    state = {
        name: pt.tensor(name, shape=tuple(None if size == "E" else size for size in shape), dtype=dtype)
        for name, shape, _ in state_entries(spec)
    }
    vector = pt.tensor("knobs", shape=(len(knobs_of(spec)),), dtype=dtype)
    knobs = named(spec, vector)
    if spec["dynamics"]:
        size = sum(number for _, number in rollouts.columns(spec).values())
        return state, vector, knobs, {"record": pt.tensor("record", shape=(None, size, None), dtype=dtype)}
    components = () if spec["action"]["kind"] == "discrete" else (spec["action"]["size"],)
    shapes = {"obs": (spec["obs_size"],), "next_obs": (spec["obs_size"],), "action": components}
    dtypes = {"action": action_dtype(spec), "terminated": "bool", "truncated": "bool"}
    rollout = {
        name: pt.tensor(name, shape=(None, None, *shapes.get(name, ())), dtype=dtypes.get(name, dtype))
        for name in spec["takes"]
    }
    return state, vector, knobs, rollout


def knobs_of(spec):
    """The names of the knobs, in the order of their vector: the optimiser's own are the last."""
    return [name for name in spec["knobs"] if name not in OPTIMIZER_KNOBS] + OPTIMIZER_KNOBS


def named(spec, vector):
    """The knobs of a vector, by name."""
    return {name: vector[index] for index, name in enumerate(knobs_of(spec))}


def minibatch_symbols(spec):
    """index [G, B] of the columns in each of G gradient steps, and weight [G, B], 0 where a minibatch is filled up."""
    number = spec["num_epochs"] * spec["num_minibatches"]
    return {
        "index": pt.tensor("index", shape=(number, None), dtype="int32"),
        "weight": pt.tensor("weight", shape=(number, None), dtype=spec["dtype"]),
    }


def block_of(spec, rollout):
    """The `Block` of a rollout; a field that the algorithm does not take is None."""
    fields = dict.fromkeys(Block._fields)
    if spec["dynamics"]:
        record, rows = rollout["record"], rollouts.columns(spec)
        for name, (start, size) in rows.items():
            fields[name] = record[:, start] if size == 1 else record[:, start : start + size].transpose(1, 0, 2)
        for name in ("obs", "next_obs"):
            if name in rows and rows[name][1] == 1:
                fields[name] = fields[name][None]
        if spec["action"]["kind"] != "discrete" and rows["action"][1] == 1:
            fields["action"] = fields["action"][None]
        if spec["action"]["kind"] != "box":
            fields["action"] = fields["action"].astype("int32")
        if "mask" not in rows:
            fields["mask"] = pt.ones_like(fields["reward"])
    else:
        for name, value in rollout.items():
            value = value.astype(spec["dtype"]) if value.dtype == "bool" else value
            fields[name] = value.transpose(2, 1, 0) if value.ndim == 3 else value.T
    for name in ("obs", "next_obs", "action", "log_prob"):
        value = fields[name]
        if value is not None:
            fields[name] = value.reshape((value.type.shape[0], -1)) if value.ndim == 3 else value.reshape((-1,))
    return Block(**fields)._replace(reward=fields["reward"] * fields["mask"])


# -- what every policy does


def layers_of(spec, params):
    """The arrays of the layout, by name."""
    return networks.views(params, spec["layout"])


def distribution(spec, layers, state, obs, *, multiply=networks.product):
    """The inputs of the distribution over actions. `obs` [F, N] as the environment gave it."""
    return actors.inputs(spec, layers, observed(spec, state, obs), multiply=multiply)


def observed(spec, state, obs):
    """The observation as networks see it: normalised, where the spec says so. [F, N]"""
    if not spec["normalize_observations"]:
        return obs
    return normalizers.normalize(obs, state["normalizer/mean"], state["normalizer/variance"])


def log_prob_of(spec, inputs, action, knobs):
    """log π of the action taken, under the strategy that took it. [N]"""
    if spec["action"]["kind"] == "discrete":
        return exploration.log_prob(spec["exploration"], inputs[0], action, exploration_rate=knobs["exploration_rate"])
    return distributions.of(spec).log_prob(inputs, action)


def act(spec):
    """(State, obs [E, F], noise [E, U], knobs, choice) to (action [E, ...], log_prob [E])."""
    state, vector, knobs, _ = symbols(spec)
    dtype = spec["dtype"]
    obs = pt.tensor("obs", shape=(None, spec["obs_size"]), dtype=dtype)
    noise = pt.tensor("noise", shape=(None, noise_of(spec)[1]), dtype=dtype)
    choice = pt.tensor("choice", shape=(), dtype="int32")
    inputs = distribution(spec, layers_of(spec, state["params"]), state, obs.T)
    law = distributions.of(spec)
    action = sampled = law.sample(inputs, noise.T[: 1 if spec["action"]["kind"] == "discrete" else None])
    if spec["action"]["kind"] == "discrete":
        drawn = exploration.draw(spec["exploration"], inputs[0], noise.T, exploration_rate=knobs["exploration_rate"])
        action = pt.switch(pt.eq(choice, EXPLORE), drawn, sampled)
    action = pt.switch(pt.eq(choice, GREEDY), law.mode(inputs), action).astype(action_dtype(spec))
    log_prob = log_prob_of(spec, inputs, action, knobs)
    used = acting_entries(spec, state) | {"obs": obs, "noise": noise, "knobs": vector, "choice": choice}
    return graph(used, {"action": action.T, "log_prob": log_prob})


def action_dtype(spec):
    return spec["dtype"] if spec["action"]["kind"] == "box" else "int32"


def acting_entries(spec, state):
    """The part of State that acting reads."""
    names = ["params"] + [name for name in NORMALIZER[:2] if name in state]
    return {name: state[name] for name in names}


def rollout(spec):
    """C steps of E episodes on a symbolic environment (see `graphs/rollout.py`)."""
    state, vector, knobs, _ = symbols(spec)
    environment = environments.load(spec["dynamics"], spec["dtype"])
    given, outputs = rollouts.rollout(spec, environment, state, knobs)
    return graph(acting_entries(spec, state) | {"knobs": vector} | given, outputs)


def describe(spec, metrics):
    """What the host must know of the program, as plain data."""
    kind, size = noise_of(spec)
    described = {
        "state": [[name, list(shape), how] for name, shape, how in state_entries(spec)],
        "knobs": knobs_of(spec),
        "metrics": metrics,
        "takes": spec["takes"],
        "noise": {"kind": kind, "size": size},
    }
    if spec["dynamics"]:
        environment = environments.load(spec["dynamics"], spec["dtype"])
        described["environment"] = {
            "state_size": environment.state_size,
            "num_initial_noise": environment.num_initial_noise,
            "chunk": spec["chunk"],
            "columns": rollouts.columns(spec),
        }
    return described


# -- what the algorithms with a value network share


def estimates(spec, state, knobs, block):
    """Advantages and targets of a rollout, and the reward normaliser's entries after it.

    The network that predicts is the one before this update. Shapes: [T, E].
    """
    reward, updated = block.reward, {}
    if spec["normalize_rewards"]:
        reward, updated = normalized_reward(spec, state, knobs, block)
    layers = layers_of(spec, state["params"])
    shape = reward.shape

    def valued(obs):
        return actors.value(spec, layers, observed(spec, state, obs)).reshape(shape)

    value, next_value = valued(block.obs), valued(block.next_obs)
    ends = (block.terminated, block.truncated, block.mask)
    common = {"discount": knobs["discount"], "max_steps": spec["num_steps"] or spec["max_steps"]}
    if spec["advantage"] == "monte_carlo":
        target = advantages.bootstrapped_reward_to_go(reward, next_value, *ends, **common)
        advantage = (target - value if spec["baseline"] == "value" else target) * block.mask
    else:
        if spec["advantage"] == "gae":
            advantage = advantages.gae(reward, value, next_value, *ends, gae_lambda=knobs["gae_lambda"], **common)
        elif spec["advantage"] == "n_step":
            advantage = advantages.n_step(reward, value, next_value, *ends, num_steps=spec["bootstrap_steps"], **common)
        else:
            advantage = advantages.td_error(
                reward, value, next_value, block.terminated, block.mask, discount=knobs["discount"]
            )
        target = advantage + value
    return Estimates(value, advantage, target), updated


def normalized_reward(spec, state, knobs, block):
    """Rewards over the running standard deviation of the discounted return, this rollout's included; and that."""
    begins = state.get(RETURN_SO_FAR, pt.zeros_like(block.reward[0]))
    so_far, carry = normalizers.discounted_return_so_far(
        block.reward,
        begins,
        block.terminated,
        block.truncated,
        block.mask,
        discount=knobs["discount"],
        max_steps=spec["num_steps"] or spec["max_steps"],
    )
    mask = block.mask.reshape((-1,))
    moments = normalizers.updated(*(state[name] for name in REWARD_NORMALIZER), so_far.reshape((1, -1)), mask)
    updated = dict(zip(REWARD_NORMALIZER, moments, strict=True))
    if RETURN_SO_FAR in state:
        updated[RETURN_SO_FAR] = carry
    return normalizers.normalize_reward(block.reward, moments[1][0]), updated


def observations_counted(spec, state, block):
    """The observation normaliser's entries with this rollout's observations in them."""
    if not spec["normalize_observations"]:
        return {}
    values = normalizers.updated(*(state[name] for name in NORMALIZER), block.obs, block.mask.reshape((-1,)))
    return dict(zip(NORMALIZER, values, strict=True))


def is_value(name):
    """Whether a layout's entry is the value network's alone."""
    return name.startswith("value/")


def policy_part(spec, params):
    """The policy's parameters of the flat vector, which come first."""
    return params[: spec["num_params"] - spec["num_value_params"]]


def flat_gradient(loss, layers, wanted=lambda name: True):
    """∂L/∂θ as one vector, of the layers whose name is wanted; 0 for one that the loss does not depend on."""
    parts = [part for name, part in layers.items() if wanted(name)]
    gradients = pytensor.grad(loss, parts, disconnected_inputs="ignore", return_disconnected="zero")
    return pt.concatenate([gradient.reshape((-1,)) for gradient in gradients])


def optimizer_state(state, prefix="optimizer"):
    return {name.removeprefix(f"{prefix}/"): value for name, value in state.items() if name.startswith(f"{prefix}/")}


def descend(spec, params, gradient, optimiser, knobs, *, learning_rate):
    """One step of the spec's optimiser against the gradient: (params, optimiser state, norm of the gradient)."""
    norm = pt.sqrt(total(gradient * gradient))
    if spec["clips_gradient"]:
        gradient = optimizers.clip_by_global_norm(gradient, norm, max_norm=knobs["max_gradient_norm"])
    moved, optimiser = optimizers.BY_NAME[spec["optimizer"]](
        params, gradient, optimiser, learning_rate=learning_rate, **{name: knobs[name] for name in OPTIMIZER_KNOBS}
    )
    return moved, optimiser, norm


def explained_variance(value, target, mask):
    """1 − Var[target − V] / Var[target] over real steps: 1 predicts perfectly, 0 as well as the mean would.

    0 where the targets are all equal.
    """
    number = pt.maximum(total(mask), 1.0)

    def variance(x):
        centred = (x - total(x * mask) / number) * mask
        return total(centred * centred) / number

    spread = variance(target)
    return pt.switch(spread > 1e-12, 1.0 - variance(target - value) / pt.maximum(spread, 1e-12), 0.0)


def finished(spec, state, updated, metrics):
    """(outputs): State after the update, or as it was where anything in it is not finite, and the metrics [M].

    A sum is finite only if all its terms are. isnan and isinf, not x == x: on Numba comparisons hide NaN.
    """
    everything = metrics["cost"] + metrics["gradient_norm"]
    for value in updated.values():
        everything = everything + total(value)
    broken = pt.isnan(everything) | pt.isinf(everything)
    kept = {name: pt.switch(broken, state[name], updated.get(name, state[name])) for name in state}
    numbers = [*metrics.values(), 1 - broken.astype(spec["dtype"])]
    outputs = {name: value.astype(spec["dtype"]) for name, value in kept.items()}
    return outputs | {"metrics": pt.stack([number.astype(spec["dtype"]) for number in numbers])}
