"""Actions from a NumPy forward pass: for a small network it is over before a compiled function has been called.

The same expressions as `graphs/distributions.py` and `graphs/exploration.py`, held to them by parity tests; one row
an observation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.parameters import views
from pg_theano.policies import choosing, masked, networks
from pg_theano.policies.networks import normalized, normalizer
from pg_theano.spec import Acting
from pg_theano.types import GREEDY, Array, State, each_row


def quicker_in_numpy(acting: Acting, num_envs: int) -> bool:
    """Whether the NumPy pass takes less time than a call of the compiled one (60 to 100 µs, most of it dispatch).

    Measured on one core: NumPy 17 µs for 59 parameters and 16 observations; level with the compiled call at about
    a million multiplications a call, where the arithmetic dominates both.
    """
    return acting.num_params * num_envs <= 1_000_000


def log_probs(acting: Acting, state: State, obs: Array, memory: Array | None = None) -> Array:
    """log π of every action of a discrete space. Shapes: `obs` [E, F] to [E, A]; `memory` as of `probs`."""
    return choosing.log_softmax(choosing.logits_of(acting, _outputs(acting, state, obs, memory)[0]))


def probs(acting: Acting, state: State, obs: Array, memory: Array | None = None) -> Any:
    """What the policy draws from, at `obs` [E, F], and with what it remembers [E, M]; None: nothing yet.

    discrete         π(a|o), [E, A]
    multi-discrete   a list of [E, A_c], one of each component
    multi-binary     P(1), [E, C]
    box              (mean, standard deviation), [E, C] each, before clipping and squashing; a policy that was found by
                     a search of its parameters draws nothing: 0
    """
    kind = acting.action.kind
    if kind == "discrete":
        return np.exp(log_probs(acting, state, obs, memory))
    outputs, hidden, named = _outputs(acting, state, obs, memory)
    if kind == "multi_discrete":
        parts = np.split(outputs, np.cumsum(acting.action.choices)[:-1], axis=1)
        return [np.exp(choosing.log_softmax(part)) for part in parts]
    if kind == "multi_binary":
        return 0.5 + 0.5 * np.tanh(0.5 * outputs)
    mean, _, std, _ = choosing.drawer_of(acting)(outputs, hidden, choosing.log_std_of(acting)(named), None, True)
    return mean, np.zeros_like(mean) if std is None else np.broadcast_to(std, mean.shape).copy()


def nothing_remembered(acting: Acting, rows: int) -> list[Array]:
    """What `act` is given at an episode's first step: zeros [N, M]; nothing for a policy that does not remember."""
    return [np.zeros((rows, acting.memory_size), acting.dtype)] if acting.memory_size else []


def _outputs(
    acting: Acting, state: State, obs: Array, memory: Array | None = None
) -> tuple[Array, Array, dict[str, Array]]:
    """(the network's outputs [E, K], what its last layer was given [E, H], the parameters by name)."""
    named = views(np.asarray(state["params"]), acting.layout)
    obs, mask = masked.split(acting, obs)
    if acting.normalize_observations:
        obs = normalized(obs, *normalizer(state))
    before = nothing_remembered(acting, len(obs)) if memory is None else [memory]
    outputs, hidden, *_ = networks.forward(acting, named)(obs, *before)
    return masked.masked(outputs, mask), hidden, named


def _chooser(acting: Acting, with_log_prob: bool | choosing.Later) -> Callable[..., tuple[Array, Array | None]]:
    choosers: dict[str, Any] = masked.CHOOSERS if acting.mask_size else choosing.CHOOSERS
    return choosers[acting.action.kind](acting, with_log_prob)


def numpy_act(acting: Acting, *, with_log_prob: bool = True) -> Callable[..., tuple[Any, ...]]:
    """`Program.act` in NumPy: (state, obs [E, F], noise [E, U], knobs, choice, *memory) -> (action, log_prob [E], ...).

    The action is int32 [E] or [E, C], or what the distribution of a box drew, [E, C] of the spec's dtype, neither
    clipped nor squashed. Without the log-probability, None stands for it, and a sample needs no logarithm.

    `act.later`, where it is there, is (the same function, but in place of log π it gives what that follows from [E, K];
    (state, these of a block [T, E, K], its actions, knobs) -> log π [T, E]): the same bits in a fraction of the time.
    """
    act: Any = _act(acting, with_log_prob)
    density = choosing.density_of(acting) if with_log_prob else None
    if density:
        act.later = _act(acting, choosing.LATER), functools.partial(_of_block, acting, density)
    return act


def _of_block(
    acting: Acting, density: Callable[..., Array], state: State, kept: Array, action: Array, knobs: dict[str, float]
) -> Array:
    """log π [T, E] of a block of actions, from what `act.later` gave in its place, [T, E, K]."""
    rows = kept.reshape(-1, kept.shape[-1])
    log_std = choosing.log_std_of(acting)(views(np.asarray(state["params"]), acting.layout))
    found = density(rows, action.reshape(len(rows), *action.shape[2:]), log_std, knobs["exploration_rate"])
    return found.reshape(kept.shape[:2])


def _act(acting: Acting, with_log_prob: bool | choosing.Later) -> Callable[..., tuple[Any, ...]]:
    choose = _chooser(acting, with_log_prob)
    log_std_of = choosing.log_std_of(acting)
    normalizes, masks_actions = acting.normalize_observations, acting.mask_size > 0
    kept: dict[str, Any] = {"params": None, "variance": None, "mean": None, "rows": None}
    ten = np.array(10, acting.dtype)

    def act(state, obs, noise, knobs, choice, *memory):
        if kept["params"] is not state["params"] or kept["rows"] != len(obs):
            named = views(np.asarray(state["params"]), acting.layout)
            kept["params"], kept["rows"], kept["log_std"] = state["params"], len(obs), log_std_of(named, len(obs))
            kept["forward"], kept["variance"] = networks.forward(acting, named), None
        mask = None
        if masks_actions:
            obs, mask = masked.split(acting, obs)
        if normalizes:
            mean, variance = state["normalizer/mean"], state["normalizer/variance"]
            if kept["variance"] is not variance or kept["mean"] is not mean:
                kept["mean"], kept["variance"] = mean, variance
                kept["normalizer"] = [each_row(one, obs.shape) for one in (*normalizer(state), ten, -ten)]
            obs = normalized(obs, *kept["normalizer"])
        outputs, hidden, *after = kept["forward"](obs, *memory)
        if mask is not None:
            outputs = masked.masked(outputs, mask)
        chosen = choose(outputs, hidden, kept["log_std"], noise, knobs["exploration_rate"], choice)
        return (*chosen, *after) if after else chosen

    return act


def numpy_population_act(acting: Acting) -> Callable[..., tuple[Array, ...]]:
    """(state with params [D, N], obs [N, F], *memory) -> (the likeliest action of each row by its own column, [N] or
    [N, C], *memory).

    The same as `graphs/population.act`.
    """
    choose = _chooser(acting, False)
    kept: dict[str, Any] = {"params": None}

    def act(state: State, obs: Array, *memory: Array) -> tuple[Array, ...]:
        if kept["params"] is not state["params"]:
            rows = np.ascontiguousarray(state["params"].T)  # [N, D]
            kept["params"], kept["forward"] = state["params"], networks.forward(acting, views(rows, acting.layout))
        obs, mask = masked.split(acting, obs)
        if acting.normalize_observations:
            obs = normalized(obs, *normalizer(state))
        outputs, hidden, *after = kept["forward"](obs[:, None], *(one[:, None] for one in memory))  # a block each row
        outputs = masked.masked(outputs[:, 0], mask)
        action = choose(outputs, hidden[:, 0], (None, None), None, 0.0, GREEDY)[0]
        return action, *(one[:, 0] for one in after)

    return act


def greedy_of_agents(acting: Acting, states: Sequence[State]) -> Callable[[Array], Array]:
    """The likeliest actions of several agents, each by its own parameters: act(obs [A, E, F]) -> [A·E, ...].

    Row by row the numbers of `numpy_act`: the same products, of one agent after the other.
    """
    choose = _chooser(acting, False)
    params = np.stack([np.asarray(state["params"]) for state in states])  # [A, D]
    forward = networks.forward(acting, views(params, acting.layout))
    if acting.normalize_observations:
        mean, std = (np.stack(parts)[:, None] for parts in zip(*map(normalizer, states), strict=True))  # [A, 1, F]

    def act(obs):
        obs, mask = masked.split(acting, obs)
        if acting.normalize_observations:
            obs = normalized(obs, mean, std)
        outputs, hidden = (x.reshape(-1, x.shape[-1]) for x in forward(obs))
        outputs = masked.masked(outputs, None if mask is None else mask.reshape(outputs.shape))
        return choose(outputs, hidden, (None, None), None, 0.0, GREEDY)[0]

    return act
