"""Exercises 7 and 8: back through a network, and the loss that is none."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_theano.course.exercise import Exercise, Misconception, log_softmax, slope, softmax
from pg_theano.course.scores import softmax_cases, taken
from pg_theano.types import Array

# -- one hidden layer


def network_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    inputs, hidden = int(rng.integers(1, 4)), int(rng.integers(2, 4))
    return {
        "x": rng.normal(0, 1, (size, inputs)),
        "w1": rng.normal(0, 1, (inputs, hidden)),
        "b1": rng.normal(0, 1, hidden),
        "w2": rng.normal(0, 1, hidden),
        "d_y": rng.normal(0, 1, size),
    }


def backwards(x: Array, w1: Array, b1: Array, w2: Array, d_y: Array) -> tuple[Array, ...]:
    return (
        slope(lambda moved: d_y @ (np.tanh(x @ moved + b1) @ w2), w1),
        slope(lambda moved: d_y @ (np.tanh(x @ w1 + moved) @ w2), b1),
        slope(lambda moved: d_y @ (np.tanh(x @ w1 + b1) @ moved), w2),
    )


def _network(*inputs: Any, wrong: str) -> tuple[Array, ...]:
    """As it is usually written, but for what is named."""
    x, w1, b1, w2, d_y = inputs
    z = x @ w1 + b1
    h = np.tanh(z)
    if wrong == "mean":
        d_y = d_y / len(x)
    d_h = d_y[:, None] * (np.ones_like(w2) if wrong == "no w2" else w2)
    slopes = {"none": np.ones_like(h), "of z": 1 - z * z, "sigmoid": h * (1 - h), "unsquared": 1 - h}
    d_z = d_h * slopes.get(wrong, 1 - h * h)
    d_b1 = (d_h if wrong == "bias before" else d_z).sum(axis=0)
    return x.T @ d_z, d_b1, (z if wrong == "w2 of z" else h).T @ d_y


def _wrong_network(wrong: str) -> Any:
    return lambda *inputs: _network(*inputs, wrong=wrong)


# -- the loss


def loss_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return softmax_cases(rng, size) | {"advantage": rng.normal(0, 2, size)}


def loss(logits: Array, action: Array, advantage: Array) -> Any:
    return -np.mean(advantage * log_softmax(logits)[np.arange(len(action)), action])


def loss_and_gradient(logits: Array, action: Array, advantage: Array) -> tuple[Any, Array]:
    return loss(logits, action, advantage), slope(lambda moved: loss(moved, action, advantage), logits)


def _loss(*inputs: Any, wrong: Any = None, factor: Any = 1.0) -> tuple[Any, Array]:
    """The right loss, and a gradient that is wrong in a way."""
    logits, action, advantage = inputs
    weight = -advantage[:, None] / len(action)
    right = taken(logits, action) - softmax(logits)
    return loss(logits, action, advantage), factor * (wrong(weight, right) if wrong else weight * right)


NETWORKS = [
    Exercise(
        "backwards",
        "one hidden layer, backwards",
        "backwards(x, w1, b1, w2, d_y)",
        "h = tanh(x @ w1 + b1) and y = h @ w2;  x [N, F], w1 [F, H], b1 [H], w2 [H], so y [N]. What "
        "follows is a loss L\n"
        "whose gradient by y is `d_y` [N].\nReturn three gradients of L: by w1 [F, H], by b1 [H] and by w2 [H].",
        backwards,
        network_cases,
        [
            Misconception(
                "tanh's slope forgotten",
                "the way back skips tanh: its slope 1 − h² is missing",
                "d_z = d_h·(1 − h²), number by number",
                _wrong_network("none"),
            ),
            Misconception(
                "slope of the input",
                "you take 1 − z² of what goes into tanh; it is 1 − h² of what comes out",
                "h = tanh(z), and dh/dz = 1 − h²",
                _wrong_network("of z"),
            ),
            Misconception(
                "sigmoid's slope",
                "h·(1 − h) is the slope of the sigmoid; this is tanh",
                "dh/dz = 1 − h²",
                _wrong_network("sigmoid"),
            ),
            Misconception(
                "slope unsquared", "you take 1 − h for 1 − h²", "dh/dz = 1 − h²", _wrong_network("unsquared")
            ),
            Misconception(
                "w2 skipped",
                "the gradient goes past w2 as if it were 1",
                "d_h[n, k] = d_y[n]·w2[k]",
                _wrong_network("no w2"),
            ),
            Misconception(
                "mean over rows",
                "you divide by N; d_y holds that already, if the loss is a mean",
                "gradients of a weight add up over the rows",
                _wrong_network("mean"),
            ),
            Misconception(
                "bias before tanh's slope",
                "the gradient by b1 is taken before tanh's slope",
                "b1 stands inside tanh: sum d_z, not d_h, over the rows",
                _wrong_network("bias before"),
            ),
            Misconception(
                "w2 of z",
                "by w2 you use what goes into tanh",
                "y = h @ w2: its gradient by w2 is h, not z",
                _wrong_network("w2 of z"),
            ),
        ],
        4,
    ),
    Exercise(
        "loss",
        "the loss whose gradient is the policy gradient",
        "loss_and_gradient(logits, action, advantage)",
        "L = −(1/N)·Σ_n advantage_n·log π(action_n), π = softmax(logits); `logits` [N, A], `action`, "
        "`advantage` [N].\n"
        "Advantages are constants. Return (L, its gradient by the logits [N, A]).",
        loss_and_gradient,
        loss_cases,
        [
            Misconception(
                "ascent",
                "the gradient's sign is turned: an optimiser that minimises L would make good actions rarer",
                "L has a minus sign, and so has its gradient",
                lambda *inputs: _loss(*inputs, factor=-1.0),
            ),
            Misconception(
                "sum, not mean",
                "the gradient is of the sum over rows; L is their mean",
                "divide by N",
                lambda logits, action, advantage: _loss(logits, action, advantage, factor=len(action)),
            ),
            Misconception(
                "mean over actions too",
                "you divide by N·A: the mean ran over the actions as well",
                "there is one term to a row: divide by N",
                lambda logits, action, advantage: _loss(logits, action, advantage, factor=1 / logits.shape[1]),
            ),
            Misconception(
                "advantage missing",
                "the gradient does not hold the advantage: it makes likelier whatever was done",
                "the score of each row times its advantage",
                lambda logits, action, advantage: _loss(
                    logits, action, advantage, wrong=lambda weight, right: -right / len(action)
                ),
            ),
            Misconception(
                "−π missing",
                "your score does not sum to zero under π: −π(j) is missing",
                "∂ log π(a)/∂z_j = 1[j = a] − π(j)",
                lambda logits, action, advantage: _loss(
                    logits, action, advantage, wrong=lambda weight, right: weight * taken(logits, action)
                ),
            ),
            Misconception(
                "advantage's sign",
                "the sign of the advantage is lost: what went badly is repeated",
                "multiply with the advantage, not with its size",
                lambda logits, action, advantage: _loss(
                    logits, action, advantage, wrong=lambda weight, right: -np.abs(weight) * right
                ),
            ),
            Misconception(
                "π, not log π",
                "you differentiate advantage·π; the loss holds log π",
                "∇log π = ∇π/π: what is rare must count more, as it is sampled less",
                lambda logits, action, advantage: _loss(
                    logits,
                    action,
                    advantage,
                    wrong=lambda weight, right: (
                        weight * right * (softmax(logits) * taken(logits, action)).sum(axis=1, keepdims=True)
                    ),
                ),
            ),
        ],
        3,
    ),
]
