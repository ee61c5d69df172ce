"""What `npg` and `trpo` share: the natural gradient, by Fisher-vector products and conjugate gradients.

The Fisher matrix F is the Hessian of KL(π_old ‖ π) at π = π_old. It is never formed: F·v is the gradient of (∇KL)ᵀv,
which the symbolic engine derives by differentiating twice.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from pg_theano.graphs import actors, distributions, networks, objectives
from pg_theano.graphs.algorithms import common, minibatches
from pg_theano.graphs.common import total
from pg_theano.parameters import is_value
from pg_theano.spec import Spec

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


def policy_layers(spec: Spec, params):
    """The policy's arrays by name, of its part of the flat vector."""
    return networks.views(params, [entry for entry in spec.acting.layout if not is_value(entry[0])])


def surrogate(spec: Spec, layers, batch, advantage, knobs):
    """(L, inputs of the distribution), L = −𝔼[r·Â] − c_e·𝔼[H].                    Schulman et al. 2015, eq. 14"""
    inputs, log_prob, entropy = common.probability_of(spec.acting, layers, batch, knobs)
    loss = objectives.surrogate_loss(log_prob, batch.log_prob, advantage, batch.weight)
    return loss - knobs["entropy_coefficient"] * entropy, inputs, entropy


def fisher_product(spec: Spec, params, vector, obs, weight, rate):
    """F·v, with F the Hessian of the mean KL(π_old ‖ π) for the policy's parameters, taken at π_old itself.

        F·v = ∇((∇KL)ᵀ·v)                                                    Schulman et al. 2015, appendix C.1

    Shapes: `params`, `vector` [P]; `rate` is ε of the exploration; the result [P].
    """
    layers = policy_layers(spec, params)
    inputs = common.behaviour(spec.acting, actors.inputs(spec.acting, layers, obs), {"exploration_rate": rate})
    old = tuple(disconnected_grad(part) for part in inputs)
    kl = objectives.masked_mean(distributions.of(spec.acting).kl(old, inputs), weight)
    return common.flat_gradient(total(common.flat_gradient(kl, layers) * vector), layers)


def conjugate_gradient(product, b, *inputs, num_iterations):
    """x with A·x ≈ b for a symmetric positive definite A, after some iterations.    Hestenes and Stiefel 1952

        α = rᵀr / pᵀAp,   x' = x + α·p,   r' = r − α·Ap,   p' = r' + (r'ᵀr' / rᵀr)·p

    Converged is where ‖r‖ ≤ u·‖b‖, with u the rounding unit of b's dtype: from there on rounding alone would be solved
    for, and x would run away. Then p is 0, and nothing moves any more; so where pᵀAp is not above 0.
    `product(vector, *inputs)` is A·v. Shapes: [P].
    """
    unit = np.finfo(b.dtype).eps
    least = (unit * unit).astype(b.dtype) * total(b * b)

    def iterate(x, r, p, least, *inputs):
        image = product(p, *inputs)
        squared = total(r * r)
        curvature = total(p * image)
        goes_on = (squared > least) & (curvature > 0)
        alpha = pt.switch(goes_on, squared / pt.switch(goes_on, curvature, 1.0), 0.0)
        residual = r - alpha * image
        beta = total(residual * residual) / pt.switch(goes_on, squared, 1.0)
        return [x + alpha * p, residual, pt.switch(goes_on, residual + beta * p, 0.0)]

    xs, *_ = pytensor.scan(
        iterate,
        outputs_info=[pt.zeros_like(b), b, b],
        non_sequences=[least, *inputs],
        n_steps=num_iterations,
        strict=True,
        return_updates=False,
    )
    return xs[-1]


def train(spec: Spec, choose):
    """The update of both. `choose(params, step, judge)` gives (policy parameters after it, share of the step taken)."""
    order = common.minibatch_symbols(spec)
    update = common.opened(spec, **order)
    state, vector, knobs, batch = update.state, update.vector, update.knobs, update.batch
    advantage = common.advantage_of(spec, batch)

    params = common.policy_part(spec, state["params"])
    layers = policy_layers(spec, params)
    loss, inputs, entropy = surrogate(spec, layers, batch, advantage, knobs)
    descent = -common.flat_gradient(loss, layers)  # [P], uphill for what is wanted

    def product(direction, params, weight, rate, damping, *seen):
        obs = actors.again(batch.obs, seen)
        return fisher_product(spec, params, direction, obs, weight, rate) + damping * direction

    fisher_inputs = [params, batch.weight, knobs["exploration_rate"], knobs["damping"], *actors.listed(batch.obs)]
    natural = conjugate_gradient(product, descent, *fisher_inputs, num_iterations=spec.learning.num_cg_iterations)
    curvature = total(natural * product(natural, *fisher_inputs))  # gᵀF⁻¹g
    curved = curvature > 0  # of any size, as the step is the same for rewards of any
    step = pt.switch(curved, pt.sqrt(2.0 * knobs["target_kl"] / pt.switch(curved, curvature, 1.0)), 0.0) * natural

    def judged(trial, old_loss, vector, action, log_prob, weight, advantage, *rest):
        knobs, number = common.named(spec, vector), len(actors.listed(batch.obs))
        obs, old = actors.again(batch.obs, rest[:number]), rest[number:]
        part = batch._replace(obs=obs, action=action, log_prob=log_prob, weight=weight)
        layers = policy_layers(spec, trial)
        loss, inputs, _ = surrogate(spec, layers, part, advantage, knobs)
        kl = objectives.masked_mean(distributions.of(spec.acting).kl(old, inputs), weight)
        return loss < old_loss, kl

    judge_inputs = [loss, vector, batch.action, batch.log_prob, batch.weight, advantage]
    judge_inputs += [*actors.listed(batch.obs), *inputs]
    policy, share = choose(params, step, Judge(judged, judge_inputs, knobs["target_kl"]))
    _, kl = judged(policy, *judge_inputs)
    value, value_optimiser, value_loss = minibatches.fit_value(update, order)
    entries = {"params": pt.concatenate([policy, value])} | value_optimiser
    metrics = {
        "cost": loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "kl": kl,
        "step_share": share,
        "gradient_norm": pt.sqrt(total(descent * descent)),
    }
    return common.closed(update, entries, metrics)


def gradient(spec: Spec):
    """The surrogate's gradient, and beside it the value network's, each of which only its own part feels."""

    def loss(layers, batch, knobs):
        advantage = common.advantage_of(spec, batch)
        value = actors.value(spec.acting, layers, batch.obs)
        fit = objectives.value_loss(value, batch.target, batch.weight)
        return surrogate(spec, layers, batch, advantage, knobs)[0] + fit

    return minibatches.gradient_at(spec, loss)
