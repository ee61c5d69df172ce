"""Exercises 16 to 18: what V may stand for, and generalised advantage estimation."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_theano.course.exercise import Exercise, Misconception
from pg_theano.types import Array


def gae_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    steps = size + 2
    ends = rng.integers(0, 4, steps)  # 1 terminated, 2 truncated
    ends[: size + 1] = np.where(np.arange(size + 1) == 0, 1 + size % 2, ends[: size + 1])
    ends[-1] = int(rng.integers(0, 3))
    value, next_value = rng.normal(1, 2, (2, steps))
    for t in range(steps - 1):
        if ends[t] not in (1, 2):
            next_value[t] = value[t + 1]
    return {
        "reward": rng.normal(0, 2, steps),
        "value": value,
        "next_value": next_value,
        "terminated": ends == 1,
        "truncated": ends == 2,
        "discount": round(float(rng.uniform(0.5, 0.97)), 2),
        "trace": round(float(rng.uniform(0.3, 0.9)), 2),
    }


def td_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    names = ("reward", "value", "next_value", "terminated", "discount")
    return {name: value for name, value in gae_cases(rng, size).items() if name in names}


def td_errors(reward: Array, value: Array, next_value: Array, terminated: Array, discount: float) -> Array:
    after = [0.0 if over else discount * later for later, over in zip(next_value, terminated, strict=True)]
    return np.array([r + later - v for r, later, v in zip(reward, after, value, strict=True)])


def _row_below(value: Array, next_value: Array) -> Array:
    """V of the next row, also where another episode begins there."""
    return np.append(value[1:], next_value[-1])


def gae(
    reward: Array, value: Array, next_value: Array, terminated: Array, truncated: Array, discount: float, trace: float
) -> Array:
    """Σ_l (γλ)ˡ·δ_{t+l}, up to the episode's end or the record's (Schulman et al. 2016, eq. 16)."""
    return _gae(reward, value, next_value, terminated, truncated, discount, trace)


def _gae(
    *inputs: Any, worthless: str = "terminated", stops: str = "both", decay: Any = None, next_row: bool = False
) -> Array:
    reward, value, next_value, terminated, truncated, discount, trace = inputs
    either = terminated | truncated
    which = {"both": either, "terminated": terminated, "truncated": truncated, "none": np.zeros_like(either)}
    later = _row_below(value, next_value) if next_row else next_value
    delta = td_errors(reward, value, later, which[worthless], discount)
    by = discount * trace if decay is None else decay(discount, trace)
    found = np.zeros(len(reward))
    for t in range(len(reward)):
        for k in range(t, len(reward)):
            found[t] += by ** (k - t) * delta[k]
            if which[stops][k]:
                break
    return found


def _cut_worthless(*inputs: Any) -> Array:
    reward, value, next_value, terminated, *rest = inputs
    return gae(reward, value, np.append(next_value[:-1], 0.0), terminated, *rest)


def _wrong(**how: Any) -> Any:
    return lambda *inputs: _gae(*inputs, **how)


def mixture_cases(rng: np.random.Generator, size: int) -> dict[str, Any]:
    return {"steps": size, "trace": round(float(rng.uniform(0.2, 0.95)), 2)}


def mixture(steps: int, trace: float) -> Array:
    """(1−λ)·λⁿ⁻¹ for n < T; the last stands for all that are longer, and takes what is left to 1."""
    found = [(1 - trace) * trace ** (n - 1) for n in range(1, steps)]
    return np.array([*found, 1 - sum(found)])


def _powers(steps: int, trace: float) -> Array:
    return trace ** np.arange(steps)


CRITICS = [
    Exercise(
        "td-error",
        "the TD error",
        "td_errors(reward, value, next_value, terminated, discount)",
        "δ_t = r_t + discount·V(s_{t+1}) − V(s_t). `value` [T] is V(s_t), `next_value` [T] is V of the "
        "true successor, and\n"
        "`terminated` [T] is True where the task ended the episode: nothing comes after. Rows of several "
        "episodes may stand\n"
        "one below the other. Return δ [T].",
        td_errors,
        td_cases,
        [
            Misconception(
                "end not seen",
                "a value is added after termination: nothing comes after the end",
                "V(s_{t+1}) counts 0 where terminated",
                lambda reward, value, next_value, terminated, discount: reward + discount * next_value - value,
            ),
            Misconception(
                "next row's value",
                "you take V of the next row for V of the successor: after an episode's end it is another episode's",
                "use `next_value`",
                lambda reward, value, next_value, terminated, discount: td_errors(
                    reward, value, _row_below(value, next_value), terminated, discount
                ),
            ),
            Misconception(
                "not discounted",
                "the successor's value is not discounted",
                "discount·V(s_{t+1})",
                lambda reward, value, next_value, terminated, discount: td_errors(
                    reward, value, next_value, terminated, 1.0
                ),
            ),
            Misconception(
                "V not taken off",
                "−V(s_t) is missing: this is the target, not the error",
                "what was expected goes off",
                lambda reward, value, next_value, terminated, discount: (
                    td_errors(reward, value, next_value, terminated, discount) + value
                ),
            ),
            Misconception(
                "all of it gone at an end",
                "where the episode terminated you drop the whole error, with its reward",
                "only V(s_{t+1}) is 0 there: r_t − V(s_t) stays",
                lambda reward, value, next_value, terminated, discount: (
                    td_errors(reward, value, next_value, terminated, discount) * ~terminated
                ),
            ),
            Misconception(
                "turned",
                "expected less got: the sign is turned",
                "r + γV(s') − V(s)",
                lambda *inputs: -td_errors(*inputs),
            ),
        ],
        7,
    ),
    Exercise(
        "gae",
        "a table of GAE, with every kind of end",
        "gae(reward, value, next_value, terminated, truncated, discount, trace)",
        "Rows of several episodes stand one below the other, all [T]. After row t the episode goes on, "
        "or is `terminated` (the\n"
        "task's own end), or `truncated` (a time limit: more would have come, worth `next_value`). After "
        "the last row the\n"
        "record is cut: more would have come as well. `trace` is λ. Return Â [T]: Σ_l "
        "(discount·trace)^l·δ_{t+l}, summed to\n"
        "the end of the own episode or of the record.",
        gae,
        gae_cases,
        [
            Misconception(
                "ends merged",
                "you take a time limit for an end: V of the successor is missing where it was truncated",
                "two flags, two questions: terminated makes V(s') zero, either one stops the sum",
                _wrong(worthless="both"),
            ),
            Misconception(
                "sum runs over a time limit",
                "after a truncation the sum runs on into the next episode",
                "stop the sum at terminated or truncated",
                _wrong(stops="terminated"),
            ),
            Misconception(
                "sum runs over an end",
                "after a termination the sum runs on into the next episode",
                "stop the sum at terminated or truncated",
                _wrong(stops="truncated"),
            ),
            Misconception(
                "sum never stops",
                "the sum runs on over every end into the next episode",
                "stop it at terminated or truncated",
                _wrong(stops="none"),
            ),
            Misconception(
                "value after the end",
                "a value is added after termination: nothing comes after the end",
                "V(s_{t+1}) counts 0 where terminated",
                _wrong(worthless="none"),
            ),
            Misconception(
                "flags exchanged",
                "terminated and truncated are exchanged: V(s') is zero at the time limit, and counts after the end",
                "terminated makes V(s') zero",
                _wrong(worthless="truncated"),
            ),
            Misconception(
                "next row's value",
                "you take V of the next row for V of the successor: after a time limit it is another episode's",
                "use `next_value`",
                _wrong(next_row=True),
            ),
            Misconception(
                "λ missing",
                "the sum decays by γ alone: λ is missing",
                "(γ·λ)^l",
                _wrong(decay=lambda discount, trace: discount),
            ),
            Misconception(
                "γ missing",
                "the sum decays by λ alone: γ is missing",
                "(γ·λ)^l",
                _wrong(decay=lambda discount, trace: trace),
            ),
            Misconception(
                "γ and λ exchanged",
                "γ and λ are exchanged in the TD error",
                "δ holds the discount γ; λ only weighs the δ",
                lambda r, v, n, e, c, discount, trace: gae(r, v, n, e, c, trace, discount),
            ),
            Misconception(
                "cut taken for an end",
                "after the last row you add no value: a record that is cut is no end",
                "use next_value there too, unless it terminated",
                _cut_worthless,
            ),
            Misconception(
                "the target",
                "this is Â + V(s_t), the target of V",
                "return the advantage itself",
                lambda *inputs: gae(*inputs) + inputs[1],
            ),
            Misconception(
                "one step only",
                "this is the TD error alone: λ = 0",
                "add the later ones, each weighed with (γλ)^l",
                _wrong(decay=lambda discount, trace: 0.0),
            ),
            Misconception(
                "weights not summed",
                "you have weighed with 1 − λ once more: Σ_l (γλ)^l·δ holds it already",
                "the (1 − λ) cancels when the n-step estimators are added up",
                lambda *inputs: (1 - inputs[-1]) * gae(*inputs),
            ),
        ],
        7,
    ),
    Exercise(
        "mixture",
        "the weights of λ in an episode that ends",
        "mixture(steps, trace)",
        "GAE mixes the n-step estimators, the n-th with weight (1 − λ)·λ^(n−1). With `steps` = T steps "
        "left, every estimator\n"
        "with n > T is equal to the T-step one. Return the weights [T] of the estimators n = 1 ... T; `trace` is λ.",
        mixture,
        mixture_cases,
        [
            Misconception(
                "no remainder",
                "the weights do not add up to 1: the last takes all that are longer",
                "the last weight is λ^(T−1), not (1 − λ)·λ^(T−1)",
                lambda steps, trace: (1 - trace) * _powers(steps, trace),
            ),
            Misconception(
                "rescaled",
                "you rescale all weights to 1; the remainder belongs to the last alone",
                "(1 − λ)·λ^(n−1) for n < T, and λ^(T−1)",
                lambda steps, trace: _powers(steps, trace) / _powers(steps, trace).sum(),
            ),
            Misconception(
                "λ one too high",
                "the powers are one too high",
                "the one-step estimator has weight (1 − λ)·λ⁰",
                lambda steps, trace: (1 - trace) * trace * _powers(steps, trace),
            ),
            Misconception(
                "not weighed down",
                "1 − λ is missing: these are no weights of a mean",
                "(1 − λ)·λ^(n−1)",
                _powers,
            ),
            Misconception(
                "alike",
                "all estimators count alike",
                "(1 − λ)·λ^(n−1): long ones count less",
                lambda steps, trace: np.full(steps, 1 / steps),
            ),
        ],
        7,
    ),
]
