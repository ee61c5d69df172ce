"""Exercise 9: ∇J by differences of J itself, with their errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_theano.course.exercise import Exercise, Misconception
from pg_theano.types import Array


def difference_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    common = rng.normal(0, 3, size + 3)
    step = round(float(rng.uniform(0.05, 0.3)), 2)
    plus, minus = common + rng.normal(0.1, 0.4, (2, size + 3))
    true = (plus - minus).mean() / (2 * step)
    return {"plus": plus, "minus": minus, "step": step, "gradient": float(round(true + rng.normal(0, 3), 2))}


def differences(plus: Array, minus: Array, step: float, gradient: float) -> Array:
    slopes = [(p - m) / (2 * step) for p, m in zip(plus, minus, strict=True)]
    return _judged(sum(slopes) / len(slopes), _error(np.array(slopes)), gradient)


def _error(slopes: Array) -> Any:
    number = len(slopes)
    return (sum((one - sum(slopes) / number) ** 2 for one in slopes) / (number - 1) / number) ** 0.5


def _judged(estimate: Any, error: Any, gradient: float, most: float = 3.0) -> Array:
    return np.array([estimate, error, float(abs(estimate - gradient) <= most * error)])


def _slopes(plus: Array, minus: Array, step: float) -> Array:
    return (plus - minus) / (2 * step)


def _unpaired(plus: Array, minus: Array, step: float, gradient: float) -> Array:
    error = np.sqrt((plus.var(ddof=1) + minus.var(ddof=1)) / len(plus)) / (2 * step)
    return _judged(_slopes(plus, minus, step).mean(), error, gradient)


def _by_spread(plus: Array, minus: Array, step: float, gradient: float) -> Array:
    slopes = _slopes(plus, minus, step)
    return _judged(slopes.mean(), slopes.std(ddof=1), gradient)


def _of_all(plus: Array, minus: Array, step: float, gradient: float) -> Array:
    slopes = _slopes(plus, minus, step)
    return _judged(slopes.mean(), slopes.std() / np.sqrt(len(slopes)), gradient)


def _undivided(plus: Array, minus: Array, step: float, gradient: float) -> Array:
    return _judged(_slopes(plus, minus, step).mean(), _error(plus - minus), gradient)


def _one_error(plus: Array, minus: Array, step: float, gradient: float) -> Array:
    slopes = _slopes(plus, minus, step)
    return _judged(slopes.mean(), _error(slopes), gradient, 1.0)


MEASURED = [
    Exercise(
        "differences",
        "∇J by differences of J, within three standard errors",
        "differences(plus, minus, step, gradient)",
        "One parameter was moved by +step and by −step, and M episodes were played with each: returns "
        "`plus` and `minus`\n"
        "[M]. Episode m of both began with the same random numbers, so their difference has little noise.\n"
        "Return three numbers: the estimate of ∂J/∂θ (mean of the M central differences), its standard "
        "error (from the M\n"
        "differences, with M − 1), and 1.0 if `gradient` lies within three standard errors of the "
        "estimate, else 0.0.",
        differences,
        difference_cases,
        [
            Misconception(
                "step for two steps",
                "you divide by the step; from −step to +step it is twice that",
                "(J(θ + h) − J(θ − h))/(2h)",
                lambda plus, minus, step, gradient: differences(plus, minus, step / 2, gradient),
            ),
            Misconception(
                "spread for error",
                "this is the spread of one difference, not the standard error of their mean",
                "divide the standard deviation by √M",
                _by_spread,
            ),
            Misconception(
                "M for M − 1",
                "you divide the squares by M; a sample's own mean takes one away",
                "np.std(..., ddof=1)",
                _of_all,
            ),
            Misconception(
                "not paired",
                "you treat the two halves as independent, and lose what the common random numbers bring",
                "take the standard deviation of plus − minus, episode by episode",
                _unpaired,
            ),
            Misconception(
                "error not divided",
                "the error is that of plus − minus, not of their quotient by 2·step",
                "divide the error by 2·step too",
                _undivided,
            ),
            Misconception(
                "one error",
                "you allow one standard error; a right gradient is outside it in a third of all cases",
                "three: 0.3 % of all cases",
                _one_error,
            ),
            Misconception(
                "turned",
                "plus and minus are exchanged",
                "J(θ + h) − J(θ − h)",
                lambda plus, minus, step, gradient: differences(minus, plus, step, gradient),
            ),
        ],
        2,
    ),
]
