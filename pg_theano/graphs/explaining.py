"""Which features a policy reacts to: the derivative of what it does with respect to what it saw."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import actors, distributions, many_choices, networks, normalizers
from pg_theano.graphs.algorithms import common
from pg_theano.graphs.common import total
from pg_theano.graphs.policies import taken
from pg_theano.spec import Acting, Spec


def slope(spec: Spec):
    """(policy, obs [E, F], action [E, ...], part [C], memory [E, M]) to ∂S_c/∂o at each observation, [E, F].

        g_f = ∂/∂o_f Σ_c part_c·S_c(o)                         Simonyan et al. 2013, section 3, of a policy's numbers

    o is the observation as the environment gave it: the normaliser is part of what is differentiated. With a 1 in one
    place of `part`, and 0 elsewhere, g is the derivative of that number. Columns are independent, so the derivative of
    their sum is that of each. What a policy remembers is held.
    """
    acting, dtype = spec.acting, spec.dtype
    state = {name: pt.tensor(name, shape=(size,), dtype=dtype) for name, size in entries(acting).items()}
    obs = pt.tensor("obs", shape=(None, acting.obs_size), dtype=dtype)
    part = pt.tensor("part", shape=(num_parts(acting),), dtype=dtype)
    given = state | {"obs": obs, "part": part}
    if acting.action.kind != "box":
        given["action"] = pt.tensor(
            "action", shape=(None,) if acting.action.kind == "discrete" else (None, acting.action.size), dtype="int32"
        )
    layers = networks.views(state["params"], acting.layout)
    memory = common.memory_of_rows(acting)
    before = memory["memory"].T if memory else None
    outputs, *_ = actors.step(acting, layers, normalizers.observed(acting, state, obs.T), before)
    given |= memory
    done = numbers(acting, outputs, given.get("action", obs).T)  # [C, E]
    return common.graph(given, {"slope": pytensor.grad(total(part[:, None] * done), obs)})


def numbers(acting: Acting, outputs, action):
    """S [C, N]: what a policy does, in as many numbers as its action has components.

        discrete          π(a|o), a the action taken
        multi-discrete    π_c(a_c|o), of each component
        multi-binary      π_c(a_c|o) = σ(±z_c)
        box               μ_c(o); where it is squashed, h_c·tanh μ_c(o), h_c half of the range

    Shapes: `outputs` [K, N], what the network gives; `action` [N] or [C, N], not read for a box.
    """
    space = acting.action
    if space.kind == "box":
        mean = outputs[: space.size]
        if not acting.squash:
            return mean
        return np.array((np.array(space.high) - np.array(space.low)) / 2, acting.dtype)[:, None] * pt.tanh(mean)
    if space.kind == "multi_binary":
        return pt.sigmoid(pt.switch(action > 0, outputs, -outputs))
    inputs = distributions.inputs_of(acting, outputs, None, None)
    if many_choices.are(space):
        chosen = pt.eq(action[:, None, :], np.arange(inputs[0].type.shape[1], dtype="int32")[None, :, None])
        return total(pt.switch(chosen, pt.exp(inputs[0]), pt.zeros_like(inputs[0])), axis=1)
    each = [action] if space.kind == "discrete" else [action[c] for c in range(space.size)]
    return pt.stack([pt.exp(taken(log_probs, one)) for log_probs, one in zip(inputs, each, strict=True)])


def num_parts(acting: Acting) -> int:
    """C, in how many numbers the policy acts."""
    return 1 if acting.action.kind == "discrete" else acting.action.size


def entries(acting: Acting) -> dict[str, int]:
    """What acting reads of State, and how many numbers each is."""
    kept = normalizers.OBSERVATIONS[:2] if acting.normalize_observations else []
    return {"params": acting.num_params} | dict.fromkeys(kept, acting.num_features)


def describe(spec: Spec):
    """The number of parts, as the host must know it."""
    return {"parts": num_parts(spec.acting)}
