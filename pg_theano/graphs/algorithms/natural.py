"""What `npg` and `trpo` share: the natural gradient, by Fisher-vector products and conjugate gradients.

The Fisher matrix F is the Hessian of KL(π_old ‖ π) at π = π_old. It is never formed: F·v is the gradient of (∇KL)ᵀv,
which the symbolic engine derives by differentiating twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytensor
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from pg_theano.graphs import actors, advantages, distributions, objectives
from pg_theano.graphs.algorithms import common, minibatches
from pg_theano.graphs.algorithms.common import graph, is_value
from pg_theano.graphs.common import total

METRICS = [
    "cost",
    "value_loss",
    "entropy",
    "kl",
    "step_share",
    "gradient_norm",
    "explained_variance",
    "advantage_mean",
    "finite",
]


class Judge(NamedTuple):
    """How a trial step is judged: `of(policy parameters, *inputs)` gives (it improves, its KL)."""

    of: Callable[..., tuple[Any, Any]]
    inputs: list
    bound: Any  # δ


def policy_layout(spec):
    return [entry for entry in spec["layout"] if not is_value(entry[0])]


def surrogate(spec, layers, batch, advantage, knobs):
    """(L, inputs of the distribution), L = −𝔼[r·Â] − c_e·𝔼[H].                    Schulman et al. 2015, eq. 14"""
    inputs = actors.inputs(spec, layers, batch.obs)
    log_prob = common.log_prob_of(spec, inputs, batch.action, knobs)  # [N]
    entropy = objectives.masked_mean(distributions.of(spec).entropy(inputs), batch.weight)
    loss = objectives.surrogate_loss(log_prob, batch.log_prob, advantage, batch.weight)
    return loss - knobs["entropy_coefficient"] * entropy, inputs, entropy


def fisher_product(spec, params, vector, obs, weight):
    """F·v, with F the Hessian of the mean KL(π_old ‖ π) for the policy's parameters, taken at π_old itself.

        F·v = ∇((∇KL)ᵀ·v)                                                    Schulman et al. 2015, appendix C.1

    Shapes: `params`, `vector` [P]; the result [P].
    """
    layers = common.layers_of(spec | {"layout": policy_layout(spec)}, params)
    inputs = actors.inputs(spec, layers, obs)
    old = tuple(disconnected_grad(part) for part in inputs)
    kl = objectives.masked_mean(distributions.of(spec).kl(old, inputs), weight)
    return common.flat_gradient(total(common.flat_gradient(kl, layers) * vector), layers)


def conjugate_gradient(product, b, *inputs, num_iterations):
    """x with A·x ≈ b for a symmetric positive definite A, after some iterations.    Hestenes and Stiefel 1952

        α = rᵀr / pᵀAp,   x' = x + α·p,   r' = r − α·Ap,   p' = r' + (r'ᵀr' / rᵀr)·p

    `product(vector, *inputs)` is A·v. Where r is 0, x stays: the next α would be 0/0. Shapes: [P].
    """

    def iterate(x, r, p, *inputs):
        image = product(p, *inputs)
        squared = total(r * r)
        curvature = total(p * image)
        alpha = pt.switch(curvature > 0, squared / pt.switch(curvature > 0, curvature, 1.0), 0.0)
        residual = r - alpha * image
        beta = pt.switch(squared > 0, total(residual * residual) / pt.switch(squared > 0, squared, 1.0), 0.0)
        return [x + alpha * p, residual, residual + beta * p]

    xs, *_ = pytensor.scan(
        iterate,
        outputs_info=[pt.zeros_like(b), b, b],
        non_sequences=list(inputs),
        n_steps=num_iterations,
        strict=True,
        return_updates=False,
    )
    return xs[-1]


def train(spec, choose):
    """The update of both. `choose(params, step, judge)` gives (policy parameters after it, share of the step taken)."""
    state, vector, knobs, rollout = common.symbols(spec)
    order = common.minibatch_symbols(spec)
    block = common.block_of(spec, rollout)
    estimates, updated = common.estimates(spec, state, knobs, block)
    batch = minibatches.whole(spec, state, block, estimates)
    advantage = batch.advantage
    if spec["standardize_advantages"]:
        advantage = advantages.standardize(advantage, batch.weight)

    params = common.policy_part(spec, state["params"])
    layers = common.layers_of(spec | {"layout": policy_layout(spec)}, params)
    loss, inputs, entropy = surrogate(spec, layers, batch, advantage, knobs)
    descent = -common.flat_gradient(loss, layers)  # [P], uphill for what is wanted

    def product(direction, params, obs, weight, damping):
        return fisher_product(spec, params, direction, obs, weight) + damping * direction

    fisher_inputs = [params, batch.obs, batch.weight, knobs["damping"]]
    natural = conjugate_gradient(product, descent, *fisher_inputs, num_iterations=spec["num_cg_iterations"])
    curvature = total(natural * product(natural, *fisher_inputs))  # gᵀF⁻¹g
    scale = pt.sqrt(2.0 * knobs["target_kl"] / pt.maximum(curvature, 1e-30))
    step = pt.switch(curvature > 1e-20, scale, 0.0) * natural

    def judged(trial, old_loss, vector, action, log_prob, obs, weight, advantage, *old):
        knobs = common.named(spec, vector)
        part = batch._replace(obs=obs, action=action, log_prob=log_prob, weight=weight)
        layers = common.layers_of(spec | {"layout": policy_layout(spec)}, trial)
        loss, inputs, _ = surrogate(spec, layers, part, advantage, knobs)
        kl = objectives.masked_mean(distributions.of(spec).kl(old, inputs), weight)
        return loss < old_loss, kl

    judge_inputs = [loss, vector, batch.action, batch.log_prob, batch.obs, batch.weight, advantage, *inputs]
    policy, share = choose(params, step, Judge(judged, judge_inputs, knobs["target_kl"]))
    _, kl = judged(policy, *judge_inputs)
    value, value_optimiser, value_loss = minibatches.fit_value(spec, vector, state, batch, order)
    updated |= {"params": pt.concatenate([policy, value])} | value_optimiser
    updated |= common.observations_counted(spec, state, block)
    metrics = {
        "cost": loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "kl": kl,
        "step_share": share,
        "gradient_norm": pt.sqrt(total(descent * descent)),
        "explained_variance": common.explained_variance(batch.value, batch.target, batch.weight),
        "advantage_mean": objectives.masked_mean(batch.advantage, batch.weight),
    }
    outputs = common.finished(spec, state, updated, metrics)
    return graph(state | {"knobs": vector} | rollout | order, outputs)


def gradient(spec):
    """The surrogate's gradient, and beside it the value network's, each of which only its own part feels."""

    def loss(layers, batch, knobs):
        advantage = batch.advantage
        if spec["standardize_advantages"]:
            advantage = advantages.standardize(advantage, batch.weight)
        value = actors.value(spec, layers, batch.obs)
        fit = objectives.value_loss(value, batch.target, batch.weight)
        return surrogate(spec, layers, batch, advantage, knobs)[0] + fit

    return minibatches.gradient_at(spec, loss)
