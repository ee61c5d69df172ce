"""The score of each step: ∇log π of the action taken, a row for every step; and whole episodes of a compiled task.

For `pg_theano/microscope/`, which weighs the same scores in many ways.
"""

from __future__ import annotations

import warnings

import pytensor
import pytensor.tensor as pt
from pytensor.graph.replace import vectorize_graph

from pg_theano.graphs import actors, environments, networks, normalizers
from pg_theano.graphs import rollout as rollouts
from pg_theano.graphs.algorithms import common
from pg_theano.spec import Acting, Spec


def scores(spec: Spec):
    """(policy, obs [E, F], action [E, ...], exploration_rate) to ∇_θ log π_θ(a|o) of each step, [E, P].

    P are the policy's parameters, which come first; those of a trunk that is shared with V are among them. The graph is
    that of one step, vectorised over E: its outer products stay apart, where a gradient of a sum would add them up.
    """
    acting = spec.acting
    state, rate = entries(acting), pt.tensor("exploration_rate", shape=(), dtype=acting.dtype)
    components = () if acting.action.kind == "discrete" else (acting.action.size,)
    seen = pt.tensor("seen", shape=(acting.obs_size,), dtype=acting.obs_dtype)
    done = pt.tensor("done", shape=components, dtype=common.action_dtype(acting))
    layers = networks.views(state["params"], acting.layout)
    inputs = common.distribution(acting, layers, state, seen[:, None])
    log_prob = common.log_prob_of(acting, inputs, done[..., None], {"exploration_rate": rate})[0]
    of_one = common.policy_part(spec, pytensor.grad(log_prob, state["params"], disconnected_inputs="ignore"))
    obs = pt.tensor("obs", shape=(None, acting.obs_size), dtype=seen.dtype)
    action = pt.tensor("action", shape=(None, *components), dtype=done.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapes that it cannot know, and that are right
        found = vectorize_graph(of_one, {seen: obs, done: action})
    return common.graph(state | {"obs": obs, "action": action, "exploration_rate": rate}, {"scores": found})


def log_probs(spec: Spec):
    """(policy, obs [E, F], action [E, ...], exploration_rate) to log π_θ(a|o) of each step, [E]."""
    acting = spec.acting
    state, rate = entries(acting), pt.tensor("exploration_rate", shape=(), dtype=acting.dtype)
    components = () if acting.action.kind == "discrete" else (acting.action.size,)
    obs = pt.tensor("obs", shape=(None, acting.obs_size), dtype=acting.obs_dtype)
    action = pt.tensor("action", shape=(None, *components), dtype=common.action_dtype(acting))
    inputs = common.distribution(acting, networks.views(state["params"], acting.layout), state, obs.T)
    found = common.log_prob_of(acting, inputs, action.T, {"exploration_rate": rate})
    return common.graph(state | {"obs": obs, "action": action, "exploration_rate": rate}, {"log_probs": found})


def values(spec: Spec):
    """(State, obs [E, F]) to V of each, [E]."""
    state = entries(spec.acting)
    obs = pt.tensor("obs", shape=(None, spec.acting.obs_size), dtype=spec.acting.obs_dtype)
    layers = networks.views(state["params"], spec.acting.layout)
    found = actors.value(spec.acting, layers, normalizers.observed(spec.acting, state, obs.T))
    return common.graph(state | {"obs": obs}, {"values": found})


def rollout(spec: Spec):
    """C steps of E whole episodes of a symbolic environment (see `graphs/rollout.py`)."""
    state, rate = entries(spec.acting), pt.tensor("exploration_rate", shape=(), dtype=spec.dtype)
    environment = environments.load(spec.engine.dynamics, spec.dtype)
    given, outputs = rollouts.rollout(spec, environment, state, {"exploration_rate": rate})
    return common.graph(state | {"exploration_rate": rate} | given, outputs)


def entries(acting: Acting):
    """What acting reads of State, as symbols."""
    kept = normalizers.OBSERVATIONS[:2] if acting.normalize_observations else []
    sizes = {"params": acting.num_params} | dict.fromkeys(kept, acting.num_features)
    return {name: pt.tensor(name, shape=(size,), dtype=acting.dtype) for name, size in sizes.items()}


def describe(spec: Spec):
    """What the host must know, as of an algorithm."""
    return common.describe(spec, [])
