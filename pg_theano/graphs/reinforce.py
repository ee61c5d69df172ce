"""REINFORCE (Williams 1992): inputs, loss, gradient, updates.

`spec` is the part of the config that shapes the graph, as plain data. Everything else is an input (KNOBS).
"""

from __future__ import annotations

import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import (
    advantages,
    baselines,
    environments,
    exploration,
    networks,
    normalizers,
    objectives,
    optimizers,
    policies,
)
from pg_theano.graphs import rollout as rollouts
from pg_theano.graphs.common import Graph, total
from pg_theano.types import EXPLORE, GREEDY

METRICS = ["cost", "entropy", "gradient_norm", "signal_mean", "advantage_mean", "finite"]
OPTIMIZER_KNOBS = ["momentum", "rmsprop_decay", "beta1", "beta2", "epsilon", "max_gradient_norm"]
KNOBS = ["learning_rate", "exploration_rate", "discount", *OPTIMIZER_KNOBS]
ROLLOUT = ["obs", "action", "reward", "mask"]


def graph(inputs, outputs):
    """Every unknown dimension is E, but for the blocks of learning: [E, T, ...] by episodes, [T, K, E] as a record."""
    order = {"record": "TE"} | dict.fromkeys(("action", "reward", "mask"), "ET")
    dims = {}
    for name, variable in inputs.items():
        unknown = iter(order.get(name, "ET"))
        dims[name] = [next(unknown) if size is None else size for size in variable.type.shape]
    return Graph(inputs, outputs, dims)


def state_entries(spec):
    """(name, shape, initial value) of all that learning changes; "params" is initialised from the layout."""
    size = spec["num_params"]
    entries = [("params", (size,), "layout")]
    for name, like in optimizers.STATE[spec["optimizer"]].items():
        entries.append((f"optimizer/{name}", (size,) if like == "params" else (), "zeros"))
    if spec["baseline"] == "mean_so_far":
        entries += [("baseline/mean", (), "zeros"), ("baseline/count", (), "zeros")]
    if spec["normalize_observations"]:
        features = spec["obs_size"]
        entries += [("normalizer/mean", (features,), "zeros"), ("normalizer/variance", (features,), "ones")]
        entries += [("normalizer/count", (), "zeros")]
    return entries


def inputs(spec):
    """The symbols: State, knobs in one vector, and a rollout: [E, T, F] each, or the record [T, K, E] of a scan."""
    dtype = spec["dtype"]
    state = {name: pt.tensor(name, shape=shape, dtype=dtype) for name, shape, _ in state_entries(spec)}
    knobs = pt.tensor("knobs", shape=(len(KNOBS),), dtype=dtype)
    if spec["dynamics"]:
        size = sum(number for _, number in rollouts.columns(spec).values())
        return state, knobs, {"record": pt.tensor("record", shape=(None, size, None), dtype=dtype)}
    rollout = {
        "obs": pt.tensor("obs", shape=(None, None, spec["obs_size"]), dtype=dtype),
        "action": pt.tensor("action", shape=(None, None), dtype="int32"),
        "reward": pt.tensor("reward", shape=(None, None), dtype=dtype),
        "mask": pt.tensor("mask", shape=(None, None), dtype=dtype),
    }
    return state, knobs, rollout


def policy_log_probs(spec, layers, state, obs):
    """log π of every action for each column of obs. Shapes: [F, N] to [A, N]."""
    if spec["normalize_observations"]:
        obs = normalizers.normalize(obs, state["normalizer/mean"], state["normalizer/variance"])
    return policies.softmax_log_probs(
        networks.dense(layers, obs, activation=spec["activation"], multiply=networks.product)
    )


def columns_of(spec, rollout):
    """(obs [F, T·E], action [T·E], reward [T, E], mask [T, E]): time and features first, which is quicker."""
    if spec["dynamics"]:
        record, rows = rollout["record"], {name: start for name, (start, _) in rollouts.columns(spec).items()}
        obs = record[:, : spec["obs_size"]].transpose(1, 0, 2)  # [F, T, E]
        action = record[:, rows["action"]].astype("int32")
        return (
            obs.reshape((spec["obs_size"], -1)),
            action.reshape((-1,)),
            record[:, rows["reward"]],
            record[:, rows["mask"]],
        )
    obs = rollout["obs"].transpose(2, 1, 0).reshape((spec["obs_size"], -1))
    return obs, rollout["action"].T.reshape((-1,)), rollout["reward"].T, rollout["mask"].T


def loss_and_gradient(spec, state, knobs, rollout):
    """The loss, its gradient [D], and what else an update needs, from one rollout."""
    obs, action, reward, mask = columns_of(spec, rollout)
    reward = reward * mask

    layers = list(networks.views(state["params"], spec["layout"]).values())
    log_probs = policy_log_probs(spec, layers, state, obs)  # [A, T*E]
    log_prob = exploration.log_prob(
        spec["exploration"], log_probs, action, exploration_rate=knobs["exploration_rate"]
    )  # [T*E]

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

    flat_mask = mask.reshape((-1,))
    number = total(flat_mask) if spec["average"] == "steps" else total(pt.max(mask, axis=0))
    loss = objectives.policy_gradient_loss(log_prob, advantage.reshape((-1,)), flat_mask, number=number)
    gradient = pt.concatenate([part.reshape((-1,)) for part in pytensor.grad(loss, layers)])  # [D]
    return (
        loss,
        gradient,
        {
            "obs": obs,
            "mask": mask,
            "flat_mask": flat_mask,
            "signal": signal,
            "advantage": advantage,
            "entropy": objectives.masked_mean(policies.entropy(log_probs), flat_mask),
        },
    )


def act(spec):
    """(State, obs [E, F], noise [E, U], knobs, choice) to (action [E], log_prob [E])."""
    state, knobs, _ = inputs(spec)
    dtype = spec["dtype"]
    obs = pt.tensor("obs", shape=(None, spec["obs_size"]), dtype=dtype)
    noise = pt.tensor("noise", shape=(None, exploration.NUM_UNIFORMS[spec["exploration"]]), dtype=dtype)
    choice = pt.tensor("choice", shape=(), dtype="int32")
    layers = list(networks.views(state["params"], spec["layout"]).values())
    log_probs = policy_log_probs(spec, layers, state, obs.T)  # [A, E]
    rate = knobs[KNOBS.index("exploration_rate")]
    drawn = exploration.draw(spec["exploration"], log_probs, noise.T, exploration_rate=rate)
    sampled = policies.inverse_cdf(pt.exp(log_probs), noise.T[0])
    other = pt.switch(pt.eq(choice, GREEDY), exploration.greedy(log_probs), sampled)
    action = pt.switch(pt.eq(choice, EXPLORE), drawn, other).astype("int32")
    log_prob = exploration.log_prob(spec["exploration"], log_probs, action, exploration_rate=rate)
    used = ["params"] + [name for name in state if name in ("normalizer/mean", "normalizer/variance")]
    symbols = {name: state[name] for name in used} | {"obs": obs, "noise": noise, "knobs": knobs, "choice": choice}
    return graph(symbols, {"action": action, "log_prob": log_prob})


def rollout(spec):
    """C steps of E episodes on a symbolic environment (see `graphs/rollout.py`)."""
    state, vector, _ = inputs(spec)
    rate = vector[KNOBS.index("exploration_rate")]
    symbols, outputs = rollouts.rollout(spec, environments.load(spec["dynamics"], spec["dtype"]), state, rate)
    used = ["params"] + [name for name in state if name in ("normalizer/mean", "normalizer/variance")]
    return graph({name: state[name] for name in used} | {"knobs": vector} | symbols, outputs)


def describe(spec):
    """What the host must know of the program, as plain data."""
    described = {
        "state": [[name, list(shape), how] for name, shape, how in state_entries(spec)],
        "knobs": KNOBS,
        "metrics": METRICS,
        "takes": ROLLOUT,
        "noise": {"kind": "uniform", "size": exploration.NUM_UNIFORMS[spec["exploration"]]},
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


def train(spec):
    """(State, knobs, rollout) to (State, metrics [M]); a loss or gradient that is not finite changes nothing."""
    state, vector, rollout = inputs(spec)
    knobs = {name: vector[index] for index, name in enumerate(KNOBS)}
    loss, gradient, parts = loss_and_gradient(spec, state, knobs, rollout)

    norm = pt.sqrt(total(gradient * gradient))
    if spec["clips_gradient"]:
        gradient = optimizers.clip_by_global_norm(gradient, norm, max_norm=knobs["max_gradient_norm"])
    optimizer_state = {n.removeprefix("optimizer/"): v for n, v in state.items() if n.startswith("optimizer/")}
    params, optimizer_state = optimizers.BY_NAME[spec["optimizer"]](
        state["params"],
        gradient,
        optimizer_state,
        learning_rate=knobs["learning_rate"],
        **{name: knobs[name] for name in OPTIMIZER_KNOBS[:-1]},
    )
    updated = {"params": params} | {f"optimizer/{name}": value for name, value in optimizer_state.items()}
    if spec["baseline"] == "mean_so_far":
        updated["baseline/mean"], updated["baseline/count"] = baselines.next_mean_so_far(
            state["baseline/mean"], state["baseline/count"], parts["signal"], parts["mask"]
        )
    if spec["normalize_observations"]:
        names = ["normalizer/mean", "normalizer/variance", "normalizer/count"]
        values = normalizers.updated(*(state[name] for name in names), parts["obs"], parts["flat_mask"])
        updated |= dict(zip(names, values, strict=True))

    # A sum is finite only if all its terms are. isnan and isinf, not x == x: on Numba comparisons hide NaN.
    everything = loss + norm
    for value in updated.values():
        everything = everything + total(value)
    broken = pt.isnan(everything) | pt.isinf(everything)
    updated = {name: pt.switch(broken, state[name], updated[name]) for name in state}
    metrics = pt.stack(
        [
            loss,
            parts["entropy"],
            norm,
            objectives.masked_mean(parts["signal"], parts["mask"]),
            objectives.masked_mean(parts["advantage"], parts["mask"]),
            1 - broken.astype(spec["dtype"]),
        ]
    )
    outputs = {name: value.astype(spec["dtype"]) for name, value in updated.items()} | {"metrics": metrics}
    return graph(state | {"knobs": vector} | rollout, outputs)


def gradient(spec):
    """(State, knobs, rollout) to the loss and its gradient [D], for checks and parity."""
    state, vector, rollout = inputs(spec)
    knobs = {name: vector[index] for index, name in enumerate(KNOBS)}
    loss, flat, _ = loss_and_gradient(spec, state, knobs, rollout)
    used = {name: value for name, value in state.items() if not name.startswith("optimizer/")}
    return graph(used | {"knobs": vector} | rollout, {"loss": loss, "gradient": flat})
