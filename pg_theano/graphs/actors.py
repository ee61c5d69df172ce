"""Networks of policy and value: from observations to the inputs of a distribution, and to V.

Separate networks, or one trunk with two heads, or a policy of the user's own beside a value network. Feature-major:
obs [F, N], which may end with a mask (see `masks.py`); of a policy that remembers, `Sequences` of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytensor.tensor as pt

from pg_theano import parameters
from pg_theano.graphs import distributions, masks, networks, own
from pg_theano.graphs.layers import dense
from pg_theano.graphs.networks import Remembered
from pg_theano.spec import Acting


class Sequences(NamedTuple):
    """What a policy that remembers sees: R sequences of L steps, column t·R + r."""

    obs: Any  # [F, L·R]
    begins: Any  # [L, R] 1 where a step is an episode's first
    memory: Any  # [M, R] before the first step


def listed(seen):
    """What networks see as a list of tensors, for the arguments of a scan; `again` undoes it."""
    return [*seen] if isinstance(seen, Sequences) else [seen]


def again(seen, tensors):
    return Sequences(*tensors) if isinstance(seen, Sequences) else tensors[0]


def inputs(acting: Acting, layers, obs, *, multiply=dense.product):
    """The inputs of the policy's distribution. `layers` are the layout's arrays by name, `obs` what it sees."""
    numbers, features = outputs(acting, layers, obs, multiply=multiply)
    return distributions.inputs_of(acting, numbers, layers.get(parameters.LOG_STD), features)


def outputs(acting: Acting, layers, obs, *, multiply=dense.product):
    """(what the policy's network gives [K, N], what its last layer is given [H, N]; None for a policy of one's own).

    Where there is a mask, the logits of choices that it rules out are `masks.NEVER`.
    """
    obs, mask = masks.split(acting, obs)
    if acting.own is not None:
        return masks.masked(own.policy_outputs(acting, layers, obs), mask), None
    *hidden, head = acting.path("policy")
    if isinstance(obs, Sequences):
        remembered = Remembered(of_head(acting, "policy", obs.memory), obs.begins)
        features, _ = networks.remembering(hidden, layers, obs.obs, remembered, multiply=multiply)
    else:
        features = networks.through(hidden, layers, obs, multiply=multiply)
    return masks.masked(networks.through([head], layers, features, multiply=multiply), mask), features


def value(acting: Acting, layers, obs, *, multiply=dense.product):
    """V of each column. [F, N], or what a policy that remembers sees, to [N]."""
    obs, _ = masks.split(acting, obs)
    if isinstance(obs, Sequences):
        remembered = Remembered(of_head(acting, "value", obs.memory), obs.begins)
        return networks.remembering(acting.path("value"), layers, obs.obs, remembered, multiply=multiply)[0][0]
    return networks.through(acting.path("value"), layers, obs, multiply=multiply)[0]


def values(acting: Acting, layers, seen: Sequences, next_obs):
    """(V of each step, V of what followed it), [N] each: what followed is seen with the memory of after the step."""
    (seen, _), (next_obs, _), path = masks.split(acting, seen), masks.split(acting, next_obs), acting.path("value")
    remembered = Remembered(of_head(acting, "value", seen.memory), seen.begins)
    given, after = networks.remembering(path, layers, seen.obs, remembered, multiply=dense.product)
    following, _ = networks.remembering(path, layers, next_obs, Remembered(after), multiply=dense.product)
    return given[0], following[0]


def of_head(acting: Acting, head, memory):
    """The rows of a memory [M, R] that the layers up to a head keep: those of shared layers, and of its own."""
    shared, policy = (acting.memory_of(part) for part in ("shared", "policy"))
    if head == "policy":
        return memory[: shared + policy]
    rest = memory[shared + policy :]
    return pt.concatenate([memory[:shared], rest], axis=0) if shared else rest


def step(acting: Acting, layers, obs, memory, *, multiply=dense.product):
    """One step: (numbers, features) as of `outputs`, and what is remembered afterwards, [M, N].

    What the value network remembers goes with it, for it is needed where learning begins in the midst of an episode.
    `memory` is None, and so the last, for a policy that does not remember.
    """
    if memory is None:
        return *outputs(acting, layers, obs, multiply=multiply), None
    (obs, mask), placed, start, after = masks.split(acting, obs), acting.network.placed(acting.num_features), 0, []

    def through(part, path, x):
        nonlocal start
        size = acting.memory_of(part)
        own = Remembered(memory[start : start + size])
        start += size
        if not size:
            return networks.through(path, layers, x, multiply=multiply)
        x, known = networks.remembering(path, layers, x, own, multiply=multiply)
        after.append(known)
        return x

    *hidden, head = placed["policy"]
    x = through("shared", placed["shared"], obs)
    features = through("policy", hidden, x)
    if acting.memory_of("value"):
        through("value", placed["value"], x)
    numbers = masks.masked(networks.through([head], layers, features, multiply=multiply), mask)
    return numbers, features, pt.concatenate(after, axis=0)
