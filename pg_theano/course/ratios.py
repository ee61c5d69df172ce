"""Exercises 19 and 20: the clip's two zero cells, and a divergence from samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_theano.course.exercise import Exercise, Misconception
from pg_theano.types import Array


def ratio_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    old = -rng.uniform(0.1, 2, size + 1)
    return {"log_prob": old + rng.normal(0, 0.5, size + 1), "old_log_prob": old}


def clip_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    clip_range = round(float(rng.uniform(0.1, 0.3)), 2)
    made = ratio_cases(rng, size + 5)
    made["log_prob"][:6] = made["old_log_prob"][:6] + [-0.9, -0.9, 0.02, -0.03, 0.9, 0.9]
    advantage = rng.uniform(0.5, 3, size + 6) * rng.choice([-1, 1], size + 6)
    advantage[:6] = np.abs(advantage[:6]) * [1, -1, 1, -1, 1, -1]
    return made | {"advantage": advantage, "clip_range": clip_range}


def clip_gradient(log_prob: Array, old_log_prob: Array, advantage: Array, clip_range: float) -> Array:
    """By the complex step through whichever of the two is the smaller."""

    def smaller(log_prob: Any, old: Any, advantage: Any) -> Any:
        ratio = np.exp(log_prob - old)
        clipped = min(max(ratio.real, 1 - clip_range), 1 + clip_range)
        return ratio * advantage if ratio.real * advantage <= clipped * advantage else clipped * advantage + 0j

    rows = zip(log_prob, old_log_prob, advantage, strict=True)
    return np.array([smaller(p + 1e-30j, old, a).imag / 1e-30 for p, old, a in rows])


def _clip(*inputs: Any, zero: str, weight: str = "r") -> Array:
    """r·Â but for the cells that are said to be zero."""
    log_prob, old_log_prob, advantage, clip_range = inputs
    ratio = np.exp(log_prob - old_log_prob)
    above, below = ratio > 1 + clip_range, ratio < 1 - clip_range
    zeros = {
        "right": np.where(advantage > 0, above, below),
        "wrong": np.where(advantage > 0, below, above),
        "both": above | below,
        "above": above,
        "none": above & below,
    }[zero]
    by = {
        "r": ratio,
        "1": np.ones_like(ratio),
        "1/r": 1 / ratio,
        "-r": -ratio,
    }[weight]
    return np.where(zeros, 0.0, by * advantage)


def _held(log_prob: Array, old_log_prob: Array, advantage: Array, clip_range: float) -> Array:
    ratio = np.exp(log_prob - old_log_prob)
    right = clip_gradient(log_prob, old_log_prob, advantage, clip_range)
    return np.where(right == 0, np.clip(ratio, 1 - clip_range, 1 + clip_range) * advantage, right)


def _exchanged(log_prob: Array, old_log_prob: Array, advantage: Array, clip_range: float) -> Array:
    return clip_gradient(old_log_prob, log_prob, advantage, clip_range)


def divergence(log_prob: Array, old_log_prob: Array) -> Any:
    logs = [new - old for new, old in zip(log_prob, old_log_prob, strict=True)]
    return sum(np.exp(one) - 1 - one for one in logs) / len(logs)


RATIOS = [
    Exercise(
        "clip",
        "the clip, and where its gradient is zero",
        "clip_gradient(log_prob, old_log_prob, advantage, clip_range)",
        "r = exp(log_prob − old_log_prob) and S = min(r·Â, clip(r, 1 − ε, 1 + ε)·Â), row by row; ε is "
        "`clip_range`, all others\n"
        "[N]. Return ∂S/∂log_prob [N]: two of the six cells of (sign of Â) x (r below, inside, above) are zero.",
        clip_gradient,
        clip_cases,
        [
            Misconception(
                "wrong side",
                "the clip works on the wrong side: it stops what should be taken back, and lets go on "
                "what went far enough",
                "zero where Â > 0 and r > 1 + ε, and where Â < 0 and r < 1 − ε",
                lambda *inputs: _clip(*inputs, zero="wrong"),
            ),
            Misconception(
                "both sides",
                "you stop at both sides, whatever the sign of Â: min takes the other branch in two of the four corners",
                "what went the wrong way keeps its gradient: that is what the min is for",
                lambda *inputs: _clip(*inputs, zero="both"),
            ),
            Misconception(
                "never clipped",
                "nothing is clipped: this is the gradient of r·Â",
                "where the clipped branch is the smaller, S is a constant",
                lambda *inputs: _clip(*inputs, zero="none"),
            ),
            Misconception(
                "above only",
                "you stop above 1 + ε alone, whatever the sign of Â",
                "for Â < 0 the zero cell is r < 1 − ε",
                lambda *inputs: _clip(*inputs, zero="above"),
            ),
            Misconception(
                "r missing",
                "the gradient lacks the ratio: ∂r/∂log π = r",
                "r·Â in the cells that are not clipped",
                lambda *inputs: _clip(*inputs, zero="right", weight="1"),
            ),
            Misconception(
                "old and new exchanged",
                "old and new are exchanged: your ratio is 1/r",
                "exp(log_prob − old_log_prob): new over old",
                _exchanged,
            ),
            Misconception(
                "clipped, not zero",
                "in the clipped cells you give the clipped value; it is a constant, and has no gradient",
                "zero there",
                _held,
            ),
            Misconception(
                "of the loss",
                "its sign is turned: this is the gradient of the loss −S",
                "S is an objective, to be made large",
                lambda *inputs: _clip(*inputs, zero="right", weight="-r"),
            ),
        ],
        9,
    ),
    Exercise(
        "kl",
        "how far the policy has moved, from samples",
        "kl(log_prob, old_log_prob)",
        "Actions were drawn from the old policy. With r = exp(log_prob − old_log_prob), return the mean "
        "of (r − 1) − log r: an\n"
        "estimate of KL(old ‖ new) that is never below 0. Both inputs [N]; the result is a number.",
        divergence,
        ratio_cases,
        [
            Misconception(
                "old and new exchanged",
                "old and new are exchanged in the ratio",
                "the old policy drew the actions: r = new/old",
                lambda log_prob, old_log_prob: divergence(old_log_prob, log_prob),
            ),
            Misconception(
                "plain",
                "this is the mean of −log r: right on average, but often below 0",
                "add r − 1, whose mean is 0",
                lambda log_prob, old_log_prob: np.mean(old_log_prob - log_prob),
            ),
            Misconception(
                "half the square",
                "this is ½·(log r)²: near, and biased",
                "(r − 1) − log r",
                lambda log_prob, old_log_prob: np.mean((log_prob - old_log_prob) ** 2) / 2,
            ),
            Misconception(
                "1 forgotten",
                "the −1 is missing: equal policies would be 1 apart",
                "(r − 1) − log r",
                lambda log_prob, old_log_prob: divergence(log_prob, old_log_prob) + 1,
            ),
            Misconception(
                "log added",
                "log r is added",
                "(r − 1) − log r",
                lambda log_prob, old_log_prob: (
                    divergence(log_prob, old_log_prob) + 2 * np.mean(log_prob - old_log_prob)
                ),
            ),
            Misconception(
                "sum, not mean",
                "you sum over the samples",
                "their mean",
                lambda log_prob, old_log_prob: len(log_prob) * divergence(log_prob, old_log_prob),
            ),
        ],
        9,
    ),
]
