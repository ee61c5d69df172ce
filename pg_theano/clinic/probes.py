"""Six environments, each so small that only one thing can be wrong with who does not learn it.

The first five are usual (Jones 2021, "Debugging RL, without the agonizing pain"); the last has a time limit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from pg_theano.types import Array

DISCOUNT = 0.8


class Constant(gymnasium.Env[Array, int]):
    """One step, paid 1: V is 1."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space: Any = spaces.Discrete(2)
    time, sign = 0, 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.time, self.sign = 0, float(self.np_random.choice([-1.0, 1.0]))
        return self.seen(), {}

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        self.time += 1
        return self.seen(), *self.outcome(action), {}

    def seen(self) -> Array:
        return np.zeros(1, np.float32)

    def outcome(self, action: int) -> tuple[float, bool, bool]:
        return 1.0, True, False


class OfObservation(Constant):
    """One step, paid the observation, ±1: V(±1) is ±1."""

    def seen(self) -> Array:
        return np.array([self.sign], np.float32)

    def outcome(self, action: int) -> tuple[float, bool, bool]:
        return self.sign, True, False


class Discounting(Constant):
    """Two steps, the second paid 1: V is γ, then 1."""

    def seen(self) -> Array:
        return np.array([self.time], np.float32)

    def outcome(self, action: int) -> tuple[float, bool, bool]:
        return float(self.time == 2), self.time == 2, False


class Choice(Constant):
    """One step, paid 1 for action 1 and −1 for action 0."""

    def outcome(self, action: int) -> tuple[float, bool, bool]:
        return (1.0 if action == 1 else -1.0), True, False


class ChoiceOfObservation(OfObservation):
    """One step, paid 1 for the action that agrees with the observation's sign, else −1."""

    def outcome(self, action: int) -> tuple[float, bool, bool]:
        return (1.0 if (action == 1) == (self.sign > 0) else -1.0), True, False


class Unending(Constant):
    """Paid 1 a step for ever; a time limit of two steps: V is 1/(1 − γ), for the observation has no time in it."""

    def outcome(self, action: int) -> tuple[float, bool, bool]:
        return 1.0, False, self.time == 2


class Probe(NamedTuple):
    name: str
    environment: type[gymnasium.Env[Array, int]]
    updates: int
    head: str  # "value", or "policy": the probability of action 1
    at: tuple[float, ...]  # observations
    expected: tuple[float, ...]
    within: float


PROBES = (
    Probe("constant value", Constant, 50, "value", (0.0,), (1.0,), 0.05),
    Probe("value of observation", OfObservation, 50, "value", (1.0, -1.0), (1.0, -1.0), 0.1),
    Probe("discounting", Discounting, 50, "value", (0.0, 1.0), (DISCOUNT, 1.0), 0.05),
    Probe("choice", Choice, 50, "policy", (0.0,), (1.0,), 0.1),
    Probe("choice of observation", ChoiceOfObservation, 50, "policy", (1.0, -1.0), (1.0, 0.0), 0.1),
    Probe("time limit", Unending, 200, "value", (0.0,), (1 / (1 - DISCOUNT),), 0.5),
)
