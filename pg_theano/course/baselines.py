"""Exercises 13 to 15: what may be taken from a return, and what is best taken."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_theano.course.exercise import Exercise, Misconception, log_softmax, slope, softmax
from pg_theano.types import Array


def returns_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return {"returns": rng.normal(1, 3, size + 2)}


def leave_one_out(returns: Array) -> Array:
    number = len(returns)
    return np.array(
        [returns[i] - sum(returns[j] for j in range(number) if j != i) / (number - 1) for i in range(number)]
    )


def _others(returns: Array) -> Array:
    return returns.sum() - returns


def _before(returns: Array) -> Array:
    means = [returns[:i].mean() if i else 0.0 for i in range(len(returns))]
    return returns - np.array(means)


def bandit_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return {"logits": rng.normal(0, 1, size + 1), "q": rng.normal(0, 2, size + 1)}


def variance_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return bandit_cases(rng, size) | {"baseline": round(float(rng.normal(0, 2)), 1) or 0.5}


def scores(logits: Array) -> Array:
    """∇log π(a) of each action, [A, A]."""
    return np.array([slope(lambda moved: log_softmax(moved)[a], logits) for a in range(len(logits))])  # noqa: B023


def variance(logits: Array, q: Array, baseline: float) -> Any:
    chance = softmax(logits)
    estimate = scores(logits) * (q - baseline)[:, None]  # of each action, [A, A]
    mean = chance @ estimate
    return chance @ np.sum((estimate - mean) ** 2, axis=1)


def best_baseline(logits: Array, q: Array) -> Any:
    """Where the parabola variance(b) is lowest, from three of its points."""
    low, middle, high = (variance(logits, q, b) for b in (-1.0, 0.0, 1.0))
    return (low - high) / (2 * (low - 2 * middle + high))


def _weighed(logits: Array, q: Array, power: float = 2.0, by_policy: bool = True) -> Any:
    weight = np.linalg.norm(scores(logits), axis=1) ** power * (softmax(logits) if by_policy else 1.0)
    return weight @ q / weight.sum()


def _own_logit(logits: Array, q: Array) -> Any:
    weight = softmax(logits) * (1 - softmax(logits)) ** 2
    return weight @ q / weight.sum()


def _second(logits: Array, q: Array, baseline: float, chance: Any = None) -> Any:
    """𝔼‖estimate‖²."""
    chance = softmax(logits) if chance is None else chance
    return chance @ np.sum((scores(logits) * (q - baseline)[:, None]) ** 2, axis=1)


def _uniform(logits: Array, q: Array, baseline: float) -> Any:
    estimate = scores(logits) * (q - baseline)[:, None]
    return np.sum(estimate.var(axis=0))


def _of_weights(logits: Array, q: Array, baseline: float) -> Any:
    chance = softmax(logits)
    return chance @ (q - chance @ q) ** 2


BASELINES = [
    Exercise(
        "leave-one-out",
        "a baseline of the other episodes",
        "advantages(returns)",
        "`returns` [E] of E ≥ 2 episodes. Return [E]: each less the mean of all *others*. A mean with "
        "its own return in it\n"
        "depends on the episode's own actions.",
        leave_one_out,
        returns_cases,
        [
            Misconception(
                "own return in it",
                "each return is in its own baseline: the gradient shrinks by (E − 1)/E",
                "leave it out of the mean",
                lambda returns: returns - returns.mean(),
            ),
            Misconception(
                "E for E − 1",
                "the others are summed, but divided by E",
                "without its own there are E − 1",
                lambda returns: returns - _others(returns) / len(returns),
            ),
            Misconception(
                "sum of the others",
                "you take away their sum",
                "their mean: divide by E − 1",
                lambda returns: returns - _others(returns),
            ),
            Misconception(
                "those before",
                "each is compared with those before it, and the first with nothing",
                "with all others: unbiased too, and with less noise",
                _before,
            ),
            Misconception(
                "standardised",
                "you divide by the spread as well; only the mean of the others is asked for",
                "take only the baseline away",
                lambda returns: (returns - returns.mean()) / returns.std(),
            ),
            Misconception(
                "turned",
                "baseline less return: the sign is turned",
                "return less baseline",
                lambda returns: -leave_one_out(returns),
            ),
        ],
        6,
    ),
    Exercise(
        "best-baseline",
        "the baseline with the least variance",
        "best_baseline(logits, q)",
        "One state, A actions, π = softmax(logits); action a pays q[a]; the estimate of one sample is\n"
        "∇log π(a)·(q[a] − b), with the gradient by all logits. Return the number b for which the "
        "variance of this estimate,\n"
        "summed over the logits, is least.",
        best_baseline,
        bandit_cases,
        [
            Misconception(
                "V",
                "this is V, the mean of q under π: a good baseline, and not the best",
                "weigh each action with ‖∇log π(a)‖² too: b* = 𝔼[‖∇log π‖²·q]/𝔼[‖∇log π‖²]",
                lambda logits, q: softmax(logits) @ q,
            ),
            Misconception(
                "plain mean",
                "all actions count alike: the mean must be that under π",
                "weigh with π(a)·‖∇log π(a)‖²",
                lambda logits, q: q.mean(),
            ),
            Misconception(
                "length not squared",
                "you weigh with ‖∇log π‖; the variance holds its square",
                "‖∇log π(a)‖², the sum of squares over all logits",
                lambda logits, q: _weighed(logits, q, 1.0),
            ),
            Misconception(
                "π missing",
                "the weights lack π(a): likely actions are sampled more often",
                "π(a)·‖∇log π(a)‖²",
                lambda logits, q: _weighed(logits, q, 2.0, False),
            ),
            Misconception(
                "own logit only",
                "of each score you take the own logit alone",
                "‖∇log π(a)‖² = (1 − π(a))² + Σ_{j ≠ a} π(j)²",
                _own_logit,
            ),
            Misconception(
                "not divided",
                "the mean of the weights is not divided out",
                "divide 𝔼[‖∇log π‖²·q] by 𝔼[‖∇log π‖²]",
                lambda logits, q: softmax(logits) * np.sum(scores(logits) ** 2, axis=1) @ q,
            ),
        ],
        6,
    ),
    Exercise(
        "variance",
        "how noisy one sample is",
        "variance(logits, q, baseline)",
        "As before: one sample is ∇log π(a)·(q[a] − baseline), a drawn from π = softmax(logits). Return "
        "its variance under π,\n"
        "summed over the logits.",
        variance,
        variance_cases,
        [
            Misconception(
                "mean not taken off",
                "this is the mean square: the square of the mean has to go off",
                "𝔼‖g‖² − ‖𝔼g‖²",
                _second,
            ),
            Misconception(
                "actions alike",
                "all actions count alike: the mean must be that under π",
                "weigh with π(a)",
                _uniform,
            ),
            Misconception(
                "of q alone",
                "this is the variance of q; the score is missing, and any baseline would leave it as it is",
                "of ∇log π(a)·(q[a] − baseline)",
                _of_weights,
            ),
            Misconception(
                "root",
                "this is the standard deviation",
                "the variance: no root",
                lambda logits, q, baseline: np.sqrt(variance(logits, q, baseline)),
            ),
            Misconception(
                "baseline added",
                "the baseline is added",
                "q[a] − baseline",
                lambda logits, q, baseline: variance(logits, q, -baseline),
            ),
            Misconception(
                "baseline ignored",
                "the baseline is left out",
                "q[a] − baseline",
                lambda logits, q, baseline: variance(logits, q, 0.0),
            ),
        ],
        6,
    ),
]
