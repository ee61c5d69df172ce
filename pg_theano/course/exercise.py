"""What an exercise is: a definition, cases to try it on, and the misconceptions that are usual."""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pg_theano.types import Array

Answer = Any
"""What a function of an exercise gives: a number, an array, or a tuple of them."""
SIZES = (1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 8)


class Misconception(NamedTuple):
    """A wrong answer that has a reason: a function of the exercise's own inputs, and what is said where it fits."""

    name: str
    sentence: str  # what the answer does: "your score does not sum to zero under π: −π(j) is missing"
    advice: str
    answer: Callable[..., Answer]


class Exercise(NamedTuple):
    """One function to write."""

    name: str
    title: str
    signature: str  # "score(logits, action)"
    statement: str
    definition: Callable[..., Answer]  # from the definition: slow, and exact to rounding
    cases: Callable[[np.random.Generator, int], dict[str, Any]]  # inputs of about this size
    misconceptions: list[Misconception]
    chapter: int
    tolerance: float = 1e-10  # relative to the largest number of the answer, at least 1
    learns: int = 0  # the episodes that `learn` may play, where a policy is to be learned too
    seconds: float = 2.0  # of computing that a submission may take

    @property
    def function(self) -> str:
        return self.signature.partition("(")[0]


def cases_of(exercise: Exercise) -> list[dict[str, Any]]:
    """The cases of an exercise, the same in every process; small ones first, with short numbers."""
    rng = np.random.default_rng(zlib.crc32(exercise.name.encode()))
    return [
        {name: _short(value) if size < 3 else value for name, value in exercise.cases(rng, size).items()}
        for size in SIZES
    ]


def _short(value: Any) -> Any:
    return np.round(value, 1) if isinstance(value, np.ndarray) and value.dtype == np.float64 else value


def template(exercise: Exercise, number: int) -> str:
    """The file that `start` writes."""
    paragraphs = [
        one if one.startswith("    ") else textwrap.fill(one, 110)
        for one in exercise.statement.strip("\n").split("\n\n")
    ]
    statement = "\n\n".join(paragraphs)
    return (
        f'"""Exercise {number}: {exercise.title}.\n\n{statement}\n\nThe chapter: {exercise.chapter}. '
        f'Check it: python -m pg_theano.course check {number}\n"""\n\nimport numpy as np\n\n\n'
        f"def {exercise.signature}:\n    raise NotImplementedError\n{LEARN if exercise.learns else ''}"
    )


LEARN = '''

def learn(env, seed, num_episodes):
    """Play at most `num_episodes` episodes of `env`, and learn from them. Returns the policy: obs [4] -> 0 or 1."""
    rng = np.random.default_rng(seed)
    obs, _ = env.reset(seed=int(rng.integers(2**31)))  # an episode; obs, reward, terminated, truncated, _ = env.step(0)
    raise NotImplementedError
'''


# -- what definitions are made of


def slope(function: Callable[[Array], Any], at: Array) -> Array:
    """∂f/∂x by the complex step, Im f(x + ih)/h: exact to rounding, as there is no difference (Squire, Trapp 1998).

    Shapes: `at` any; the result like it. f may use nothing that has no complex continuation (no `abs`, no `max`).
    """
    gradient = np.zeros(np.shape(at))
    for place in np.ndindex(gradient.shape):
        moved = np.array(at, complex)
        moved[place] += 1e-30j
        gradient[place] = np.imag(function(moved)) / 1e-30
    return gradient


def sigma(z: Any) -> Any:
    """1/(1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def log_softmax(z: Array) -> Array:
    """log π of logits [..., A], along the last axis."""
    return z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True))


def softmax(z: Array) -> Array:
    return np.exp(log_softmax(z))
