"""Exercises 1 and 2: ∇J of a tree with four leaves, two ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_theano.course.exercise import Exercise, Misconception, sigma, slope
from pg_theano.types import Array

LEAVES = ((0, 0), (0, 1), (1, 0), (1, 1))
TREE = """
An episode has two steps, and in each the agent goes left (action 0) or right (1). It goes right with probability

    σ(theta[0])   in the first step,
    σ(theta[1])   in the second, if it went left before,
    σ(theta[2])   in the second, if it went right before;      σ(z) = 1/(1 + exp(−z))

The four leaves, in this order: (left, left), (left, right), (right, left), (right, right); `returns` [4] is what each
pays. So J(theta) = Σ over the leaves of p(leaf)·return.
"""


def probabilities(theta: Array) -> list[Any]:
    """p of each leaf: the product along its path."""
    right = sigma(theta)
    paths = [(right[0] if first else 1 - right[0], right[1 + first], second) for first, second in LEAVES]
    return [first * (last if second else 1 - last) for first, last, second in paths]


def cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return {"theta": rng.normal(0, 1, 3), "returns": rng.normal(0, 2, 4)}


def gradient(theta: Array, returns: Array) -> Array:
    return slope(lambda moved: _weighed(moved, returns).sum(), theta)


def scores(theta: Array) -> Array:
    """∇ log p(leaf), [4, 3]."""
    return np.array([slope(lambda moved: np.log(probabilities(moved)[leaf]), theta) for leaf in range(4)])  # noqa: B023


def arrows(theta: Array, returns: Array) -> Array:
    return (np.array(probabilities(theta)) * returns)[:, None] * scores(theta)


def _first(theta: Array, returns: Array) -> Array:
    return gradient(theta, returns) * [1, 0, 0]


def _unreached(theta: Array, returns: Array) -> Array:
    right = sigma(theta[0])
    return gradient(theta, returns) / [1, 1 - right, right]


def _slope_is_sigma(theta: Array, returns: Array) -> Array:
    return gradient(theta, returns) / (1 - sigma(theta))


def _a(theta: Array, both: bool = False, minus: bool = True) -> Array:
    """Scores, wrong in a way: of a place that was not visited too, or without −π."""
    right, found = sigma(theta), np.zeros((4, 3))
    for leaf, (first, second) in enumerate(LEAVES):
        found[leaf, 0] = first - minus * right[0]
        for place in (0, 1) if both else (first,):
            found[leaf, 1 + place] = second - minus * right[1 + place]
    return found


def _weighed(theta: Array, returns: Array) -> Array:
    return np.array(probabilities(theta)) * returns


TREES = [
    Exercise(
        "tree-gradient",
        "∇J of a tree with four leaves, by differentiating the probabilities",
        "tree_gradient(theta, returns)",
        f"{TREE}\nReturn ∇J [3]: differentiate each leaf's probability, weigh it with the leaf's return, add up.",
        gradient,
        cases,
        [
            Misconception(
                "descent",
                "you walk downhill: this is −∇J",
                "J is to grow; the minus sign belongs into a loss, not into ∇J",
                lambda theta, returns: -gradient(theta, returns),
            ),
            Misconception(
                "first action only",
                "you differentiate the first action alone: p(leaf) is a product, and has two derivatives",
                "use the product rule on p(leaf) = p(first)·p(second)",
                _first,
            ),
            Misconception(
                "not reached",
                "the second step is not weighed with the probability of getting there",
                "keep p(first) in front of the derivative of p(second)",
                _unreached,
            ),
            Misconception(
                "slope of σ",
                "you take σ for its own derivative",
                "dσ/dz = σ(z)·(1 − σ(z))",
                _slope_is_sigma,
            ),
            Misconception(
                "left for right",
                "you give the probability of going right to going left",
                "σ(theta) is the probability of action 1",
                lambda theta, returns: slope(lambda moved: _weighed(-moved, returns).sum(), theta),
            ),
            Misconception(
                "leaves alike",
                "you give every leaf the same probability, ¼",
                "weigh each leaf with its own p; a sample visits likely leaves more often by itself",
                lambda theta, returns: (returns[:, None] * scores(theta)).mean(axis=0),
            ),
        ],
        2,
    ),
    Exercise(
        "tree-arrows",
        "∇J of the same tree, as arrows that add up to it",
        "tree_arrows(theta, returns)",
        f"{TREE}\nReturn the arrows [4, 3], one to a leaf: p(leaf)·return·∇log p(leaf). Their sum is ∇J of exercise 1.",
        arrows,
        cases,
        [
            Misconception(
                "without p",
                "the arrows are not weighed with p(leaf): their sum is no expectation",
                "multiply each with the probability of its leaf",
                lambda theta, returns: returns[:, None] * scores(theta),
            ),
            Misconception(
                "without the return",
                "no return is in it: these arrows add up to zero, whatever is paid",
                "multiply each with what its leaf pays",
                lambda theta, returns: np.array(probabilities(theta))[:, None] * scores(theta),
            ),
            Misconception(
                "p twice",
                "you differentiate p, not log p, and weigh with p again",
                "∇p = p·∇log p: p stands there once",
                lambda theta, returns: (_weighed(theta, returns) * probabilities(theta))[:, None] * scores(theta),
            ),
            Misconception(
                "−π missing",
                "your score does not sum to zero under π: −σ(theta) is missing",
                "∂ log π(a)/∂theta = a − σ(theta)",
                lambda theta, returns: _weighed(theta, returns)[:, None] * _a(theta, minus=False),
            ),
            Misconception(
                "not visited",
                "a place that the episode did not visit gets an arrow",
                "p(leaf) holds theta[1] or theta[2], never both",
                lambda theta, returns: _weighed(theta, returns)[:, None] * _a(theta, both=True),
            ),
            Misconception(
                "first action only",
                "only the first action has a score",
                "log p is a sum over both steps, and each has its score",
                lambda theta, returns: arrows(theta, returns) * [1, 0, 0],
            ),
            Misconception(
                "descent",
                "the arrows point downhill",
                "∇J is the direction in which J grows: no minus sign",
                lambda theta, returns: -arrows(theta, returns),
            ),
        ],
        2,
    ),
]
