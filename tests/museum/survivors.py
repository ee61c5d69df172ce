"""Mutants of the sample that no test kills, each with its reason, known by its function, its line and its change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Survivor(NamedTuple):
    symbol: str  # the function that has the line
    source: str  # the whole line, without the space around it
    change: str  # "old -> new"
    reason: str


SYMMETRIC = "the same: the smaller or larger of two does not depend on their order"

SURVIVORS = [
    Survivor(
        "measured",
        "log_ratio = np.clip(log_ratio, -MOST_LOG_RATIO, MOST_LOG_RATIO)",
        "log_ratio, -MOST_LOG_RATIO -> -MOST_LOG_RATIO, log_ratio",
        "the same: clip(x, a, b) is min(max(x, a), b), in which x and a may change places",
    ),
    Survivor(
        "clipped_surrogate",
        "surrogate = np.minimum(ratio * advantage, clipped * advantage)  # [N]",
        "ratio * advantage, clipped * advantage -> clipped * advantage, ratio * advantage",
        SYMMETRIC,
    ),
    Survivor(
        "clipped_surrogate",
        "too_far = np.where(advantage > 0, ratio > 1.0 + clip_range, ratio < 1.0 - clip_range)  # [N]",
        "< -> <=",
        "at r = 1 − ε exactly the objective has a kink, and both one-sided slopes are gradients of it",
    ),
    Survivor(
        "gaussian_backward",
        "d_log_std = d_log_prob[:, None] * log_prob_log_std + d_entropy[:, None] * entropy_log_std  # [N, A]",
        "* -> /",
        "the same: ∂H/∂log σ is 1, which divides as it multiplies",
    ),
    Survivor(
        "logistic_sample",
        "return (uniform[:, 0] >= sigmoid(-logit[:, 0])).astype(np.int64)",
        "0 -> -1",
        "the same: the noise of a logistic policy has one column, the first and the last",
    ),
    Survivor(
        "descend",
        "for name, gradient in zip(gradients, clipped, strict=True):",
        "True -> False",
        "the same: one clipped gradient for each, always as many",
    ),
    Survivor(
        "signal",
        "return pt.zeros_like(reward) + total(discount ** timestep(reward) * reward, axis=0, keepdims=True)",
        "True -> False",
        "the same: [E] broadcasts against [T, E] as [1, E] does",
    ),
    Survivor(
        "n_step",
        "number = min(num_steps, max_steps)",
        "num_steps, max_steps -> max_steps, num_steps",
        SYMMETRIC,
    ),
    Survivor(
        "state_dependent_sample",
        "epsilon = noise.reshape((*log_std.shape, -1))  # [H, C, N]",
        "1 -> 2",
        "the same: NumPy takes any negative size for the one that is left over",
    ),
    Survivor(
        "value_at",
        "value = schedule.initial * math.exp(min(-schedule.decay_rate * update, 700.0))",
        "-schedule.decay_rate * update, 700.0 -> 700.0, -schedule.decay_rate * update",
        SYMMETRIC,
    ),
    Survivor(
        "update",
        "for rows in np.array_split(rng.permutation(number), min(num_minibatches, number)):",
        "num_minibatches, number -> number, num_minibatches",
        SYMMETRIC,
    ),
    Survivor(
        "discrete_mode",
        "return greedy(inputs[0])",
        "0 -> -1",
        "the same: the inputs of `discrete` are one array, the first and the last",
    ),
    Survivor(
        "discrete_sample",
        "return policies.inverse_cdf(pt.exp(inputs[0]), noise[0])",
        "0 -> -1",
        "the same: the inputs of `discrete` are one array, and it is given one row of noise",
    ),
    Survivor(
        "softplus",
        "return np.logaddexp(0.0, x)",
        "0.0, x -> x, 0.0",
        "the same: the sum of two exponentials does not depend on their order",
    ),
    Survivor(
        "learned_from",
        "mixture = pt.log(rate / num_actions + (1 - rate) * pt.exp(pt.maximum(own, -80.0)))",
        "80.0 -> 79.0",
        "the same but for rounding: e⁻⁷⁹ beside ε/A; the bound only keeps the gradient of `exp` finite",
    ),
    Survivor(
        "leave_one_out",
        "return pt.switch(pt.gt(number, 0), others / pt.maximum(number, 1.0), anywhere)",
        "1.0 -> 0.0",
        "the same: where the number is 0 the other branch is taken, and no gradient goes through a baseline",
    ),
    Survivor(
        "mean_log_slope",
        "for weight, std in zip(LOGISTIC_WEIGHTS, LOGISTIC_STDS, strict=True):",
        "True -> False",
        "the same: three weights and three standard deviations",
    ),
    Survivor(
        "reward_to_go",
        "following = np.zeros(len(reward))  # G_{t+1}",
        "zeros -> ones",
        "the same: nothing continues beyond the last column, and so G there is never read",
    ),
    Survivor(
        "entropy",
        "bounded = pt.maximum(log_probs, -80.0)",
        "80.0 -> 81.0",
        "the same but for rounding: an action that is bounded adds 80·e⁻⁸⁰ or 81·e⁻⁸¹, both below 10⁻³²",
    ),
    Survivor(
        "clip_by_global_norm",
        "return gradient * pt.minimum(1.0, max_norm / pt.maximum(norm, 1e-30))",
        "1.0, max_norm / pt.maximum(norm, 1e-30) -> max_norm / pt.maximum(norm, 1e-30), 1.0",
        SYMMETRIC,
    ),
    Survivor(
        "per_timestep",
        "return total(signal * mask, axis=1, keepdims=True) / pt.maximum(total(mask, axis=1, keepdims=True), 1.0)",
        "total(mask, axis=1, keepdims=True), 1.0 -> 1.0, total(mask, axis=1, keepdims=True)",
        SYMMETRIC,
    ),
    Survivor(
        "draw",
        'uniform = pt.minimum((noise[2] * num_actions).astype("int32"), num_actions - 1)  # [N]',
        '(noise[2] * num_actions).astype("int32"), num_actions - 1 -> '
        'num_actions - 1, (noise[2] * num_actions).astype("int32")',
        SYMMETRIC,
    ),
]


def reason_of(fate: Mapping[str, Any]) -> str:
    """Why a mutant lives on, "" where nobody has said."""
    change = f"{fate['old']} -> {fate['new']}"
    known = (fate["symbol"], fate["source"], change)
    said = [one.reason for one in SURVIVORS if (one.symbol, one.source, one.change) == known]
    return said[0] if said else ""
