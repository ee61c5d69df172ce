"""Exercises 21 and 22: the gradient of the entropy, and the Fisher information of one weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_theano.course.exercise import Exercise, Misconception, log_softmax, sigma, slope, softmax
from pg_theano.types import Array


def logits_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return {"logits": rng.normal(0, 1.5, (size, int(rng.integers(2, 5))))}


def entropy_gradient(logits: Array) -> Array:
    return slope(lambda moved: -np.sum(softmax(moved) * log_softmax(moved)), logits)


def _entropy(logits: Array) -> Array:
    return -np.sum(softmax(logits) * log_softmax(logits), axis=1, keepdims=True)


def fisher_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return {"theta": round(float(rng.normal(0, 1)), 1) or 0.5, "x": rng.normal(0, 1.5, size + 1)}


def fisher(theta: float, x: Array) -> Any:
    """The mean over states and actions of the squared score, each action with its probability."""
    total = 0.0
    for one in x:
        right = sigma(theta * one)
        for chance, log_prob in (
            (right, lambda at, one=one: np.log(sigma(at * one))),
            (1 - right, lambda at, one=one: np.log(1 - sigma(at * one))),
        ):
            total += chance * slope(log_prob, np.array(theta)) ** 2
    return total / len(x)


def _slopes(theta: float, x: Array) -> Array:
    return sigma(theta * x) * (1 - sigma(theta * x))


INFORMATION = [
    Exercise(
        "entropy",
        "the gradient of the entropy",
        "entropy_gradient(logits)",
        "H = −Σ_a π(a)·log π(a) of π = softmax(logits), row by row. Return ∂H/∂logits [N, A].",
        entropy_gradient,
        logits_cases,
        [
            Misconception(
                "turned",
                "its sign is turned: this makes a policy surer",
                "−π(j)·(log π(j) + H)",
                lambda logits: -entropy_gradient(logits),
            ),
            Misconception(
                "H missing",
                "+H is missing: the row must sum to zero, as a constant added to all logits changes nothing",
                "−π(j)·(log π(j) + H)",
                lambda logits: -softmax(logits) * log_softmax(logits),
            ),
            Misconception(
                "π missing",
                "π(j) is missing as a factor",
                "−π(j)·(log π(j) + H)",
                lambda logits: -log_softmax(logits) - _entropy(logits),
            ),
            Misconception(
                "by π, not by logits",
                "this is the derivative by π(j), −log π(j) − 1; the way on to the logits is missing",
                "multiply with ∂π/∂z: π(i)·(1[i = j] − π(j))",
                lambda logits: -log_softmax(logits) - 1,
            ),
            Misconception(
                "1 for H",
                "you have 1 where H belongs",
                "−π(j)·(log π(j) + H)",
                lambda logits: -softmax(logits) * (log_softmax(logits) + 1),
            ),
        ],
        9,
    ),
    Exercise(
        "fisher",
        "the Fisher information of one weight",
        "fisher(theta, x)",
        "A policy with two actions and one weight: π(1|x) = σ(theta·x). `x` [N] are the observations, "
        "`theta` is a number.\n"
        "Return F, the mean over x, and over both actions with their probabilities, of the squared score.",
        fisher,
        fisher_cases,
        [
            Misconception(
                "x not squared",
                "x stands there once; the score holds it, and is squared",
                "x²·σ(θx)·(1 − σ(θx))",
                lambda theta, x: np.mean(x * _slopes(theta, x)),
            ),
            Misconception(
                "x missing",
                "x is missing: this is the information of the logit, not of the weight",
                "the score by θ is x·(a − σ(θx))",
                lambda theta, x: np.mean(_slopes(theta, x)),
            ),
            Misconception(
                "sum, not mean",
                "you sum over the observations",
                "their mean",
                lambda theta, x: np.sum(x**2 * _slopes(theta, x)),
            ),
            Misconception(
                "σ squared",
                "you have σ² for σ·(1 − σ)",
                "𝔼_a[(a − σ)²] is the variance of a: σ·(1 − σ)",
                lambda theta, x: np.mean(x**2 * sigma(theta * x) ** 2),
            ),
            Misconception(
                "action 1 only",
                "only action 1 is in the mean, with the weight 1",
                "both actions, each with its probability",
                lambda theta, x: np.mean(x**2 * (1 - sigma(theta * x)) ** 2),
            ),
            Misconception(
                "θ forgotten",
                "σ is taken of x, not of θ·x",
                "σ(theta·x)",
                lambda theta, x: np.mean(x**2 * _slopes(1.0, x)),
            ),
        ],
        11,
    ),
]
