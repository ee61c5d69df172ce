"""A rollout as learning reads it: time first, in columns; and the steps of it to learn from together."""

from typing import Any, NamedTuple

import pytensor.tensor as pt

from pg_theano.graphs import actors, normalizers
from pg_theano.graphs import rollout as rollouts
from pg_theano.spec import Spec


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
    memory: Any  # [K, M, E] of a policy that remembers, before the first step of each of K sequences
    begins: Any  # [T, E] of a policy that remembers: 1 where a step is an episode's first
    last_obs: Any  # [F, S·E] in place of `next_obs`, column s·E + e
    env_state: Any  # [S, N] where every action is tried in it


class Batch(NamedTuple):
    """Steps to learn from together, B columns. All but the networks' outputs are constants."""

    obs: Any  # [F, B]  as the networks see it; see `actors.Sequences`
    action: Any  # [B], or [C, B]
    log_prob: Any  # [B]  of the behaviour policy
    advantage: Any  # [B]
    target: Any  # [B]
    value: Any  # [B]  of the network that estimated
    weight: Any  # [B]  1 where a step is real, else 0


def block_of(spec: Spec, rollout):
    """The `Block` of a rollout; a field that the algorithm does not take is None."""
    fields = dict.fromkeys(Block._fields)
    if spec.engine:
        record, rows = rollout["record"], rollouts.columns(spec)
        for name, (start, size) in rows.items():
            if name not in fields:
                continue  # what only `pathwise.py` reads
            fields[name] = record[:, start] if size == 1 else record[:, start : start + size].transpose(1, 0, 2)
        for name in ("obs", "next_obs", "env_state"):
            if name in rows and rows[name][1] == 1:
                fields[name] = fields[name][None]
        if spec.acting.action.kind != "discrete" and rows["action"][1] == 1:
            fields["action"] = fields["action"][None]
        if spec.acting.action.kind != "box":
            fields["action"] = fields["action"].astype("int32")
        if "mask" not in rows:
            fields["mask"] = pt.ones_like(fields["reward"])
        fields["memory"] = rollout.get("memory")
    else:
        for name, value in rollout.items():
            value = value.astype(spec.dtype) if value.dtype == "bool" else value
            fields[name] = value.transpose(2, 1, 0) if value.ndim == 3 else value.T
        if "memory" in rollout:
            fields["memory"] = rollout["memory"].transpose(1, 2, 0)
    if spec.acting.memory_size:
        fields |= remembered(spec, fields)
    for name in ("obs", "next_obs", "last_obs", "action", "log_prob", "env_state"):
        value = fields[name]
        if value is not None:
            fields[name] = value.reshape((value.type.shape[0], -1)) if value.ndim == 3 else value.reshape((-1,))
    return Block(**fields)._replace(reward=fields["reward"] * fields["mask"])


def remembered(spec: Spec, fields):
    """`memory` and `begins` of a rollout. A row of whole episodes is one, and nothing is remembered at its start.

    The step after an episode's end begins another, and so does the one after a row that was no step. What was
    remembered at the start of a stretch is what acting left there: nothing, where an episode begins with it.
    """
    nothing = pt.zeros_like(fields["reward"])  # [T, E]
    if not spec.learning.num_steps:
        memory = pt.zeros((1, spec.acting.memory_size, 1), dtype=spec.dtype) + nothing[0]
        return {"memory": memory, "begins": nothing}
    goes_on = (1 - pt.maximum(fields["terminated"], fields["truncated"])) * fields["mask"]
    begins = pt.concatenate([nothing[:1], 1 - goes_on[:-1]], axis=0)
    return {"begins": pt.specify_shape(begins, (spec.learning.num_steps, None))}


def seen(spec: Spec, state, block):
    """What the networks see of all of a rollout."""
    obs = normalizers.observed(spec.acting, state, block.obs)
    return actors.Sequences(obs, block.begins, block.memory[0]) if spec.acting.memory_size else obs


def whole(spec: Spec, state, block, estimates):
    """All of a rollout as one batch, B = T·E."""
    flat = [part.reshape((-1,)) for part in (estimates.advantage, estimates.target, estimates.value, block.mask)]
    return Batch(seen(spec, state, block), block.action, block.log_prob, *flat)
