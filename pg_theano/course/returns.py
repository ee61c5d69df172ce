"""Exercises 10 to 12: who is paid for what, and over what the mean runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_theano.course.exercise import Exercise, Misconception
from pg_theano.types import Array


def reward_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return {"reward": rng.normal(0, 2, size + 1), "discount": round(float(rng.uniform(0.4, 0.95)), 2)}


def reward_to_go(reward: Array, discount: float) -> Array:
    steps = range(len(reward))
    return np.array([sum(discount ** (k - t) * reward[k] for k in steps if k >= t) for t in steps])


def discounted_to_go(reward: Array, discount: float) -> Array:
    steps = range(len(reward))
    return np.array([sum(discount**k * reward[k] for k in steps if k >= t) for t in steps])


def _powers(reward: Array, discount: float) -> Array:
    return discount ** np.arange(len(reward))


def _past(reward: Array, discount: float) -> Array:
    steps = range(len(reward))
    return np.array([sum(discount ** (t - k) * reward[k] for k in steps if k <= t) for t in steps])


def _next(reward: Array, discount: float) -> Array:
    return np.append(reward_to_go(reward, discount)[1:], 0.0)


def _whole(reward: Array, discount: float) -> Array:
    return np.full(len(reward), reward_to_go(reward, discount)[0])


def batch_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    lengths = rng.integers(1, size + 2, size + 1)
    lengths[:2] = size + 1, size
    mask = (np.arange(size + 1) < lengths[:, None]).astype(float)
    return {
        "score": rng.normal(0, 1, (size + 1, size + 1, 2)),
        "to_go": rng.normal(0, 2, (size + 1, size + 1)),
        "mask": mask,
    }


def batch_gradient(score: Array, to_go: Array, mask: Array) -> Array:
    episodes, steps = mask.shape
    total = np.zeros(score.shape[2])
    for e in range(episodes):
        for t in range(steps):
            if mask[e, t] > 0:
                total = total + score[e, t] * to_go[e, t]
    return total / episodes


def _by(score: Array, to_go: Array, mask: Array, number: Any) -> Array:
    """The sum over real steps, by another number."""
    return batch_gradient(score, to_go, mask) * len(mask) / number


def _of_each_episode(score: Array, to_go: Array, mask: Array) -> Array:
    sums = (score * (to_go * mask)[:, :, None]).sum(axis=1)
    return (sums / mask.sum(axis=1, keepdims=True)).mean(axis=0)


RETURNS = [
    Exercise(
        "reward-to-go",
        "the reward-to-go",
        "reward_to_go(reward, discount)",
        "Of one episode's rewards [T]: G_t = Σ_{k ≥ t} discount^(k − t)·reward_k. Return G [T].",
        reward_to_go,
        reward_cases,
        [
            Misconception(
                "whole return",
                "every action is paid the whole return, also what was paid before it",
                "an action cannot change what is past: begin the sum at t",
                _whole,
            ),
            Misconception(
                "own reward",
                "an action is paid for its own step alone",
                "what it brings about later counts too: sum on to the end",
                lambda reward, discount: reward * 1.0,
            ),
            Misconception(
                "not discounted",
                "the discount is left out",
                "G_t = r_t + γ·G_{t+1}",
                lambda reward, discount: reward_to_go(reward, 1.0),
            ),
            Misconception(
                "from the next step on",
                "the sum begins one step late: an action's own reward is missing",
                "k ≥ t, with k = t in it",
                _next,
            ),
            Misconception(
                "γ too many",
                "the own reward is discounted already: every power is one too high",
                "discount^(k − t): 1 for k = t",
                lambda reward, discount: discount * reward_to_go(reward, discount),
            ),
            Misconception(
                "from the beginning",
                "you discount from the episode's first step: this is γᵗ·G_t",
                "discount^(k − t), counted from the action",
                discounted_to_go,
            ),
            Misconception(
                "the past",
                "the sum runs backwards in time: an action is paid for what was before it",
                "go from the last step to the first, or sum k ≥ t",
                _past,
            ),
        ],
        5,
    ),
    Exercise(
        "gamma-to-the-t",
        "the weights of the exact gradient of the discounted return",
        "weights(reward, discount)",
        "J = 𝔼[Σ_t discount^t·reward_t]. Return the weight [T] of each step's score in ∇J, causality used:\n"
        "Σ_{k ≥ t} discount^k·reward_k.",
        discounted_to_go,
        reward_cases,
        [
            Misconception(
                "γᵗ dropped",
                "this is G_t: the factor γᵗ is dropped, as nearly every program does",
                "multiply with discount^t; without it late steps count fully, and this is the gradient of no J",
                reward_to_go,
            ),
            Misconception(
                "γᵗ twice",
                "the factor γᵗ stands there twice",
                "discount^k holds it; or γᵗ·G_t with G_t discounted from t",
                lambda reward, discount: _powers(reward, discount) * discounted_to_go(reward, discount),
            ),
            Misconception(
                "whole return",
                "every step has the whole return: right on average, but with the noise of the past",
                "begin the sum at k = t",
                _whole,
            ),
            Misconception(
                "γᵗ of the whole return",
                "you weigh the whole return with γᵗ",
                "the power belongs to the time of the reward: Σ_{k ≥ t} γᵏ·r_k",
                lambda reward, discount: _powers(reward, discount) * _whole(reward, discount),
            ),
            Misconception(
                "rewards not discounted",
                "γᵗ stands before a sum that is not discounted",
                "γᵗ·G_t, with G_t = Σ γ^(k − t)·r_k",
                lambda reward, discount: _powers(reward, discount) * reward_to_go(reward, 1.0),
            ),
            Misconception(
                "first step is 1",
                "you count the steps from 1: every weight has one γ too many",
                "the first step is t = 0, with discount^0 = 1",
                lambda reward, discount: discount * discounted_to_go(reward, discount),
            ),
        ],
        5,
    ),
    Exercise(
        "padding",
        "the mean over a padded batch",
        "gradient(score, to_go, mask)",
        "E episodes lie side by side: `score` [E, T, D] holds ∇log π of each step, `to_go` [E, T] its "
        "weight, and `mask`\n"
        "[E, T] is 1 for real steps and 0 for padding, which holds rubbish. Return the estimate of ∇J "
        "[D]: the mean over\n"
        "episodes of the sum over an episode's real steps.",
        batch_gradient,
        batch_cases,
        [
            Misconception(
                "padding counted",
                "the padding is summed too: what stands there never happened",
                "multiply with the mask before the sum",
                lambda score, to_go, mask: batch_gradient(score, to_go, np.ones_like(mask)),
            ),
            Misconception(
                "mean over padding",
                "you divide by E·T, padding with it: short episodes shrink the gradient",
                "divide by the number of episodes",
                lambda score, to_go, mask: _by(score, to_go, mask, mask.size),
            ),
            Misconception(
                "mean over steps",
                "you divide by the number of real steps: that is the loss of most programs, and not ∇J",
                "J is a mean over episodes; the number of steps is itself random",
                lambda score, to_go, mask: _by(score, to_go, mask, mask.sum()),
            ),
            Misconception(
                "mean of each episode",
                "within each episode you take the mean: long episodes count too little",
                "sum over steps, mean over episodes",
                _of_each_episode,
            ),
            Misconception(
                "sum over episodes",
                "you sum over the episodes: the gradient grows with the batch",
                "divide by E",
                lambda score, to_go, mask: _by(score, to_go, mask, 1.0),
            ),
            Misconception(
                "no weight",
                "the weights are left out: scores alone add up to zero on average",
                "multiply each score with its reward-to-go",
                lambda score, to_go, mask: batch_gradient(score, np.ones_like(to_go), mask),
            ),
        ],
        5,
    ),
]
