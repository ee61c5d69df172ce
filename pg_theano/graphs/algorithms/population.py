"""A population that acts: every column of a batch has parameters of its own, and does what they think likeliest.

What is searched is a policy without chance: the spread of a population explores, not the policy (Sehnke et al. 2010,
section 2). The searches themselves are in `search/`.
"""

from __future__ import annotations

import pytensor.tensor as pt

from pg_theano.graphs import actors, distributions, environments, networks, normalizers
from pg_theano.graphs import rollout as rollouts
from pg_theano.graphs.algorithms import common
from pg_theano.graphs.layers import dense
from pg_theano.spec import Spec


def candidates_and_normalizer(spec: Spec):
    """(candidates [D, N], one column for each episode; the observation normaliser's entries that acting reads)."""
    dtype, features = spec.dtype, spec.acting.num_features
    entries = {"params": pt.tensor("params", shape=(spec.acting.num_params, None), dtype=dtype)}
    if spec.acting.normalize_observations:
        entries |= {name: pt.tensor(name, shape=(features,), dtype=dtype) for name in normalizers.OBSERVATIONS[:2]}
    return entries


def act(spec: Spec):
    """(candidates [D, N], normaliser, obs [N, F]) to the likeliest action of each, [N] or [N, C]; `memory` as of
    `common.act`."""
    entries = candidates_and_normalizer(spec)
    obs = pt.tensor("obs", shape=(None, spec.acting.obs_size), dtype=spec.acting.obs_dtype)
    layers = networks.views(entries["params"], spec.acting.layout)
    seen = normalizers.observed(spec.acting, entries, obs.T)
    memory = common.memory_of_rows(spec.acting)
    before = memory["memory"].T if memory else None
    outputs, _, after = actors.step(spec.acting, layers, seen, before, multiply=dense.columnwise)
    action = distributions.mode_of(spec.acting, outputs).astype(common.action_dtype(spec.acting))
    remembered = {"memory": after.T} if memory else {}
    return common.graph(entries | {"obs": obs} | memory, {"action": action.T} | remembered)


def rollout(spec: Spec):
    """C steps of N episodes on a symbolic environment, each by its own column of the candidates."""
    entries = candidates_and_normalizer(spec)
    environment = environments.load(spec.engine.dynamics, spec.dtype)
    never = {"exploration_rate": pt.zeros((), dtype=spec.dtype)}
    given, outputs = rollouts.rollout(spec, environment, entries, never)
    return common.graph(entries | given, outputs)


def describe(spec):
    return common.describe(spec, []) | {"state": []}  # which is the search's: see `training/population/learner.py`
