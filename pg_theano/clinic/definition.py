"""Advantages by their definition, a sum for each step, and the usual ways to misread it.

    right = estimated(case)                              # Schulman et al. 2016, eq. 16
    wrong = estimated(case, RIGHT._replace(gamma_in_delta=False))

Written from the paper and apart from `graphs/` and `by_hand/`: nothing is shared but NumPy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pg_theano.types import Array


class Case(NamedTuple):
    """T steps of N environments side by side. Row t is one step: what it paid, and how it ended."""

    rewards: Array  # [T, N]
    values: Array  # [T, N]  V of the observation that was acted on
    next_values: Array  # [T, N]  V of the true successor, seen before any reset
    terminated: Array  # [T, N] bool
    truncated: Array  # [T, N] bool
    after: Array  # [N]  V of the observation that the next block begins with: after an end, of the reset
    gamma: float
    lam: float

    @property
    def ended(self) -> Array:
        return self.terminated | self.truncated


class Reading(NamedTuple):
    """How the definition was read. The defaults are right; each other value is a fault that somebody has made."""

    bootstraps_terminated: bool = False  # V(successor) counts after a termination
    bootstraps_truncated: bool = True
    bootstraps_both: bool = False  # where both flags stand in one step
    stops_terminated: bool = True  # the sum ends there
    stops_truncated: bool = True
    successor: str = "true"  # one of `SUCCESSORS`
    stop_moved: int = 0  # rows by which the end of the sum is late
    bootstrap_moved: int = 0  # rows by which the flag that masks V(successor) is late
    last_row_right: bool = False  # the moved flags are right in the last row, which has a branch of its own
    cut: str = "bootstrap"  # "nothing": V = 0 after the last row; "own": V(s_T−1); "left out": the last row is 0
    gamma_in_delta: bool = True
    gamma_in_sum: bool = True
    lam_in_sum: bool = True
    exchanged: bool = False  # γ for λ and λ for γ
    minus_value: float = 1.0  # 0: V(s_t) is not taken off; −1: it is added
    sign: float = 1.0
    reward_moved: int = 0  # rows by which the reward is late
    forward: bool = False  # summed from the first step on: over the past
    transposed: bool = False  # environments are taken for steps
    gives: str = "advantages"  # "returns": Â + V; "standardised"; "delta"
    target: str = "advantages + values"  # "standardised + values", "advantages", "delta + values", "rewards to go"


RIGHT = Reading()
SUCCESSORS = {
    "true": "V of the true successor",
    "reset": "`values` moved by one row",
    "reset within": "the same, but in the last row",
    "own": "V(s_t)",
    "own if truncated": "V(s_t) where a time limit ended the episode",
}


def estimated(case: Case, reading: Reading = RIGHT) -> Array:
    """The advantage of every step.

        δ_t = r_t + γ·V(s_{t+1}) − V(s_t)                 0 for V(s_{t+1}) after a termination
        Â_t = Σ_{l≥0} (γ·λ)ˡ·δ_{t+l}                       Schulman et al. 2016, eq. 16

    The sum runs to the end of the episode or of the record. Takes O(T²). Shapes: [T, N].
    """
    if reading.transposed:
        turned = case._replace(
            **{name: getattr(case, name).T for name in Case._fields[:5]}, after=case.next_values.T[-1]
        )
        return estimated(turned, reading._replace(transposed=False)).T
    gamma, lam = (case.lam, case.gamma) if reading.exchanged else (case.gamma, case.lam)
    errors, stops = _errors(case, gamma, reading), _stops(case, reading)
    factor = (gamma if reading.gamma_in_sum else 1.0) * (lam if reading.lam_in_sum else 1.0)
    length, result = len(errors), np.zeros_like(errors)
    for t, n in np.ndindex(*errors.shape):
        k, weight = t, 1.0
        while True:
            result[t, n] += weight * errors[k, n]
            following = k - 1 if reading.forward else k + 1
            if not 0 <= following < length or stops[min(k, following) if reading.forward else k, n]:
                break
            k, weight = following, weight * factor
    if reading.cut == "left out":
        result = _without_last(errors, stops, factor)
    result = {"advantages": result, "returns": result + case.values, "delta": errors, "standardised": result}[
        reading.gives
    ]
    return reading.sign * result


def targets(case: Case, advantages: Array, reading: Reading = RIGHT) -> Array:
    """What V is to say: Â + V(s). Shapes: [T, N]."""
    if reading.target == "standardised + values":
        return standardised(advantages) + case.values
    if reading.target == "advantages":
        return advantages
    if reading.target == "delta + values":
        return _errors(case, case.gamma, RIGHT) + case.values
    if reading.target == "rewards to go":
        return estimated(case._replace(lam=1.0)) + case.values
    return advantages + case.values


def standardised(advantages: Array) -> Array:
    """(Â − mean)/std over all steps; 0 where they are equal."""
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def _errors(case: Case, gamma: float, reading: Reading) -> Array:
    """δ, [T, N]."""
    moved = np.concatenate([case.values[1:], case.after[None]])
    following: Any = {
        "true": case.next_values,
        "reset": moved,
        "reset within": np.concatenate([moved[:-1], case.next_values[-1:]]),
        "own": case.values,
        "own if truncated": np.where(case.truncated, case.values, case.next_values),
    }[reading.successor]
    following = following.copy()
    if reading.cut in ("nothing", "own"):
        following[-1] = 0.0 if reading.cut == "nothing" else case.values[-1]
    dead = case.terminated & ~case.truncated & (not reading.bootstraps_terminated)
    dead |= case.truncated & ~case.terminated & (not reading.bootstraps_truncated)
    dead |= case.terminated & case.truncated & (not reading.bootstraps_both)
    dead = _moved(dead, reading.bootstrap_moved, reading.last_row_right)
    rewards = _moved(case.rewards, reading.reward_moved, False)
    within = gamma if reading.gamma_in_delta else 1.0
    return rewards + within * np.where(dead, 0.0, following) - reading.minus_value * case.values


def _stops(case: Case, reading: Reading) -> Array:
    """Where the sum ends, [T, N]."""
    stops = case.terminated & reading.stops_terminated | case.truncated & reading.stops_truncated
    return _moved(stops, reading.stop_moved, reading.last_row_right)


def _moved(rows: Array, number: int, last_row_right: bool) -> Array:
    """Row t is what row t − number was; what comes in from outside is 0."""
    if number == 0:
        return rows
    result = np.zeros_like(rows)
    if number > 0:
        result[number:] = rows[:-number]
    else:
        result[:number] = rows[-number:]
    if last_row_right:
        result[-1] = rows[-1]
    return result


def _without_last(errors: Array, stops: Array, factor: float) -> Array:
    """As a loop that begins one row too early: the last row has no advantage, and hands none on."""
    result = np.zeros_like(errors)
    for t in range(len(errors) - 2, -1, -1):
        result[t] = errors[t] + factor * np.where(stops[t], 0.0, result[t + 1])
    return result
