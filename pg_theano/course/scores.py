"""Exercises 3 to 6: the score of three policies, and what one transition does to each parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_theano.course.exercise import Exercise, Misconception, log_softmax, sigma, slope, softmax
from pg_theano.types import Array


def bernoulli_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return {"z": rng.normal(0, 1.5, size), "action": rng.integers(0, 2, size)}


def bernoulli_score(z: Array, action: Array) -> Array:
    return slope(lambda moved: np.sum(np.log(np.where(action == 1, sigma(moved), 1 - sigma(moved)))), z)


def softmax_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    number = int(rng.integers(2, 5))
    return {"logits": rng.normal(0, 1.5, (size, number)), "action": rng.integers(0, number, size)}


def softmax_score(logits: Array, action: Array) -> Array:
    return slope(lambda moved: np.sum(log_softmax(moved)[np.arange(len(action)), action]), logits)


def taken(logits: Array, action: Array) -> Array:
    """1[j = a], [N, A]."""
    return np.eye(logits.shape[-1])[action]


def gaussian_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    mean, log_std, action = rng.normal(0, 1, (3, size))
    return {"mean": mean, "log_std": log_std, "action": action}


def gaussian_score(mean: Array, log_std: Array, action: Array) -> Array:
    def log_density(at: Array) -> Any:
        u = (action - at[0]) / np.exp(at[1])
        return np.sum(-0.5 * u * u - at[1] - 0.5 * np.log(2 * np.pi))

    return slope(log_density, np.stack([mean, log_std])).T


def _gaussian(*inputs: Any, std: Any = np.exp, by_mean: Any = None, by_log_std: Any = None) -> Array:
    """(by μ, by log σ) as usually derived, but for what is given."""
    mean, log_std, action = inputs
    spread = std(log_std)
    u = (action - mean) / spread
    first = by_mean(u, spread) if by_mean else u / spread
    return np.stack([first, by_log_std(u, spread) if by_log_std else u * u - 1], axis=1)


def transition_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    number = int(rng.integers(2, 4))
    obs = rng.normal(0, 1, size + 1) * (rng.random(size + 1) < 0.8)
    return {
        "weights": rng.normal(0, 1, (size + 1, number)),
        "obs": obs,
        "action": int(rng.integers(number)),
        "advantage": round(float(rng.normal(0, 2)), 1) or 0.5,
    }


def changes(weights: Array, obs: Array, action: int, advantage: float) -> Array:
    """Â·∂log π(a|o)/∂weights."""
    return advantage * slope(lambda moved: log_softmax(obs @ moved)[action], weights)


def signs(weights: Array, obs: Array, action: int, advantage: float) -> Array:
    return np.sign(changes(weights, obs, action, advantage))


SCORES = [
    Exercise(
        "bernoulli-score",
        "the score of a policy with two actions",
        "score(z, action)",
        "π(1) = σ(z) = 1/(1 + exp(−z)) and π(0) = 1 − σ(z). `z` [N] are logits, `action` [N] is 0 or 1.\n"
        "Return the score [N]: the derivative of log π(action) by z, of each row.",
        bernoulli_score,
        bernoulli_cases,
        [
            Misconception(
                "of π, not log π",
                "this is the derivative of π, not of log π",
                "divide by π(action): ∇log π = ∇π/π",
                lambda z, action: (2 * action - 1) * sigma(z) * (1 - sigma(z)),
            ),
            Misconception(
                "−π missing",
                "your score does not sum to zero under π: −σ(z) is missing",
                "∂ log π(a)/∂z = a − σ(z)",
                lambda z, action: action + 0.0 * z,
            ),
            Misconception(
                "as if 1 was taken",
                "you take log π(1) for every row, whatever the action was",
                "for action 0 differentiate log(1 − σ(z))",
                lambda z, action: 1 - sigma(z),
            ),
            Misconception(
                "actions ±1",
                "you take action 0 for −1",
                "the action is 0 or 1; a − σ(z) is −σ(z) for 0",
                lambda z, action: 2 * action - 1 - sigma(z),
            ),
            Misconception(
                "turned",
                "its sign is turned: the taken action becomes less likely",
                "the score points to where log π(action) grows",
                lambda z, action: sigma(z) - action,
            ),
            Misconception(
                "σ(−z)",
                "you take π(0) for π(1): your σ is 1/(1 + exp(z))",
                "π(1) = 1/(1 + exp(−z))",
                lambda z, action: action - sigma(-z),
            ),
        ],
        1,
    ),
    Exercise(
        "softmax-score",
        "the score of a softmax policy",
        "score(logits, action)",
        "π = softmax(logits) in each row; `logits` [N, A], `action` [N] from 0 to A − 1.\n"
        "Return the score [N, A]: the derivative of log π(action) by each logit of its row.",
        softmax_score,
        softmax_cases,
        [
            Misconception(
                "−π missing",
                "your score does not sum to zero under π: −π(j) is missing",
                "∂ log π(a)/∂z_j = 1[j = a] − π(j): the other logits are pushed down",
                taken,
            ),
            Misconception(
                "own logit only",
                "only the taken action's logit moves; the others lose what it wins",
                "keep −π(j) for j ≠ a: each row sums to zero",
                lambda logits, action: taken(logits, action) * (1 - softmax(logits)),
            ),
            Misconception(
                "of π, not log π",
                "this is the derivative of π, not of log π",
                "divide by π(action): ∇log π = ∇π/π",
                lambda logits, action: (
                    softmax_score(logits, action) * (softmax(logits) * taken(logits, action)).sum(axis=1, keepdims=True)
                ),
            ),
            Misconception(
                "along the rows' axis",
                "your softmax runs over the rows, not over the actions",
                "normalise along the last axis, with keepdims",
                lambda logits, action: taken(logits, action) - softmax(logits.T).T,
            ),
            Misconception(
                "over the whole table",
                "your softmax is divided by the sum of all rows",
                "normalise each row by itself: along the last axis, with keepdims",
                lambda logits, action: taken(logits, action) - softmax(logits.ravel()).reshape(logits.shape),
            ),
            Misconception(
                "not normalised",
                "exp(logits) is not divided by its sum",
                "π(j) = exp(z_j)/Σ_i exp(z_i)",
                lambda logits, action: taken(logits, action) - np.exp(logits),
            ),
            Misconception(
                "turned",
                "its sign is turned: the taken action becomes less likely",
                "the score points to where log π(action) grows: 1[j = a] − π(j)",
                lambda logits, action: -softmax_score(logits, action),
            ),
        ],
        1,
    ),
    Exercise(
        "gaussian-score",
        "the score of a Gaussian policy",
        "score(mean, log_std, action)",
        "π is a normal distribution with mean μ and standard deviation exp(log_std); all inputs [N].\n"
        "Return the score [N, 2]: the derivatives of log π(action) by μ and by log_std.",
        gaussian_score,
        gaussian_cases,
        [
            Misconception(
                "σ for σ²",
                "by μ you divide by σ once; there it is σ²",
                "∂/∂μ of −(a − μ)²/(2σ²) is (a − μ)/σ²",
                lambda *inputs: _gaussian(*inputs, by_mean=lambda u, std: u),
            ),
            Misconception(
                "σ left out",
                "by μ you do not divide at all",
                "∂/∂μ of −(a − μ)²/(2σ²) is (a − μ)/σ²",
                lambda *inputs: _gaussian(*inputs, by_mean=lambda u, std: u * std),
            ),
            Misconception(
                "normaliser forgotten",
                "by log σ the −1 is missing: the density's 1/σ has a derivative too",
                "log π holds −log σ, whose derivative by log σ is −1: u² − 1",
                lambda *inputs: _gaussian(*inputs, by_log_std=lambda u, std: u * u),
            ),
            Misconception(
                "by σ, not log σ",
                "this is the derivative by σ, not by log σ",
                "multiply with dσ/dlog σ = σ",
                lambda *inputs: _gaussian(*inputs, by_log_std=lambda u, std: (u * u - 1) / std),
            ),
            Misconception(
                "log σ for σ",
                "you take log_std for the standard deviation",
                "σ = exp(log_std)",
                lambda *inputs: _gaussian(*inputs, std=lambda x: x),
            ),
            Misconception(
                "variance for σ",
                "you take log_std for the logarithm of the variance",
                "σ = exp(log_std), the variance is exp(2·log_std)",
                lambda *inputs: _gaussian(*inputs, std=lambda x: np.exp(x / 2)),
            ),
            Misconception(
                "mean turned",
                "by μ the sign is turned: the mean flees the action that was taken",
                "it is (a − μ)/σ²: towards the action",
                lambda *inputs: _gaussian(*inputs, by_mean=lambda u, std: -u / std),
            ),
            Misconception(
                "half",
                "by μ a ½ is left, or a 2: the derivative of ½u² is u",
                "the 2 of the square and the ½ cancel",
                lambda *inputs: _gaussian(*inputs, by_mean=lambda u, std: u / std / 2),
            ),
        ],
        1,
    ),
    Exercise(
        "signs",
        "which way each parameter moves after one transition",
        "signs(weights, obs, action, advantage)",
        "A softmax policy without hidden layer: logits = obs @ weights; `obs` [F], `weights` [F, A]. The "
        "action was taken\n"
        "once, and its advantage is the number `advantage`. One step uphill is made along advantage·∇log π(action).\n"
        "Return [F, A]: 1 where a weight grows, −1 where it shrinks, 0 where it stays.",
        signs,
        transition_cases,
        [
            Misconception(
                "others stay",
                "the weights of the other actions move too: they lose what the taken one wins",
                "the score of logit j is 1[j = a] − π(j), below zero for j ≠ a",
                lambda weights, obs, action, advantage: (
                    signs(weights, obs, action, advantage) * np.eye(weights.shape[1])[action]
                ),
            ),
            Misconception(
                "advantage's sign",
                "the sign of the advantage is left out: what went badly is repeated",
                "multiply with the advantage, not with its size",
                lambda weights, obs, action, advantage: signs(weights, obs, action, abs(advantage)),
            ),
            Misconception(
                "observation's sign",
                "the sign of the observation is left out",
                "∂logit_j/∂weights[i, j] = obs[i]: where obs[i] < 0 a larger weight makes the action less likely",
                lambda weights, obs, action, advantage: signs(weights, np.abs(obs), action, advantage),
            ),
            Misconception(
                "all actions alike",
                "you push all actions the same way: that changes no probability",
                "the taken action against the others: 1[j = a] − π(j)",
                lambda weights, obs, action, advantage: np.sign(advantage * obs)[:, None] * np.ones_like(weights),
            ),
            Misconception(
                "descent",
                "every sign is turned: you walk downhill",
                "uphill is + advantage·∇log π; the minus sign belongs to a loss",
                lambda weights, obs, action, advantage: -signs(weights, obs, action, advantage),
            ),
            Misconception(
                "sizes, not signs",
                "these are the changes themselves; only their signs are asked for",
                "np.sign of it",
                changes,
            ),
            Misconception(
                "only when good",
                "where the advantage is negative you leave everything as it is",
                "a bad action is made less likely: that is half of what is learned",
                lambda weights, obs, action, advantage: signs(weights, obs, action, max(advantage, 0.0)),
            ),
        ],
        1,
    ),
]
