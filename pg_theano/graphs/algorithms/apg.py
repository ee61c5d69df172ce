"""Analytic policy gradient: the return of whole episodes, differentiated through policy, dynamics and reward.

The plain back-propagation through time of Wiedemann et al. 2023 and of Brax (Freeman et al. 2021). Through long
episodes of a system that is not stable its gradient grows without bound (Metz et al. 2021): `shac` is the remedy.
"""

import pytensor.tensor as pt

from pg_theano.graphs import distributions, jumps, networks, objectives, pathwise
from pg_theano.graphs.algorithms import blocks, common
from pg_theano.graphs.algorithms.common import act, rollout
from pg_theano.spec import Spec

__all__ = ["act", "describe", "gradient", "rollout", "train"]

METRICS = ["cost", "entropy", "gradient_norm", "finite"]


def describe(spec: Spec):
    return common.describe(spec, METRICS) | jumps.described(spec)


def loss_of(spec: Spec, layers, state, knobs, rollout):
    """The mean discounted return of the episodes, negative, as a function of the policy's `layers`; and the block.

    L = −1/E·Σ_e Σ_t γᵗ·r_t
    """
    block = blocks.block_of(spec, rollout)
    ended = pt.maximum(block.terminated, block.truncated)
    path = pathwise.path_of(spec, layers, state, rollout["record"], block.mask * (1 - ended))
    ends = (block.terminated, block.truncated, block.mask)
    weight, _ = pathwise.weights(*ends, discount=knobs["discount"], max_steps=spec.learning.max_steps)
    return -pt.sum(weight * path.reward) / pt.sum(block.mask[0]), block


def train(spec: Spec):
    """(State, knobs, record) to (State, metrics [M]); what is not finite changes nothing."""
    state, vector, knobs, rollout = common.symbols(spec)
    layers = networks.views(state["params"], spec.acting.layout)
    loss, block = loss_of(spec, layers, state, knobs, rollout)
    gradient = common.flat_gradient(loss, layers)
    params, optimiser, norm = common.stepped(spec, state["params"], gradient, state, knobs)
    inputs = common.distribution(spec.acting, layers, state, block.obs)
    entropy = objectives.masked_mean(distributions.of(spec.acting).entropy(inputs), block.mask.reshape((-1,)))
    entries = {"params": params} | optimiser
    entries |= common.observations_counted(spec, state, block)
    metrics = {"cost": loss, "entropy": entropy, "gradient_norm": norm}
    inputs = state | {"knobs": vector} | rollout
    return common.graph(inputs, common.finished(spec.dtype, state, entries, metrics))


def gradient(spec: Spec):
    """(State, at [D], knobs, record) to the loss of the episodes and its gradient [D] at the parameters `at`."""
    state, vector, knobs, rollout = common.symbols(spec)
    at = pt.tensor("at", shape=(spec.acting.num_params,), dtype=spec.dtype)
    layers = networks.views(at, spec.acting.layout)
    loss, _ = loss_of(spec, layers, state, knobs, rollout)
    acts = {name: one for name, one in state.items() if "optimizer/" not in name}
    inputs = acts | {"at": at, "knobs": vector} | rollout
    return common.graph(inputs, {"loss": loss, "gradient": common.flat_gradient(loss, layers)})
