"""DoubleIntegrator-v0: bring a mass to rest at a point by a force; linear dynamics, quadratic cost, a known optimum."""

# mypy: ignore-errors

import math
from typing import ClassVar

import numpy as np
import pytensor.tensor as pt

MASS = 1.0  # kg
TIMESTEP = 0.1  # s
FORCE = 10.0  # N, which the optimum never needs
COSTS = 1.0, 0.1, 0.1  # of 1 m², 1 m²/s² and 1 N², a step


class DoubleIntegrator:
    """A mass on a line, paid for being at 0, slow and idle; only time ends it.

        r = −(x² + ẋ²/10 + u²/10)                                        of the state before the step
        x ← x + ẋ·Δt + u·Δt²/(2m),   ẋ ← ẋ + u·Δt/m                      exact for a force held for Δt = 0.1 s

    State and observation: position x [m] and velocity ẋ [m/s], each at first within 1 of 0. Action: the force u [N].
    Nothing is clipped: the bounds of the action are there for whoever samples. The best of all policies is linear,
    `optimum()`: Bertsekas 2005, Dynamic Programming and Optimal Control, vol. I, section 4.1.
    """

    obs_low, obs_high = (-math.inf, -math.inf), (math.inf, math.inf)
    action_kind, num_actions = "box", 1
    action_low, action_high = (-FORCE,), (FORCE,)
    max_steps, reward_threshold = 100, None
    state_size, num_initial_noise = 2, 2
    constants: ClassVar = {"m": MASS, "dt": TIMESTEP, "max_force": FORCE}

    def initial(noise):
        return tuple(2.0 * uniform - 1.0 for uniform in noise)

    def transition(state, action):
        x, speed = state
        gained = TIMESTEP / MASS * action[0]
        return x + TIMESTEP * (speed + 0.5 * gained), speed + gained

    def observation(state):
        return state

    def reward(state, action, next_state):
        return -sum(cost * (one * one) for cost, one in zip(COSTS, (*state, action[0]), strict=True))

    def terminated(next_state):
        return pt.zeros_like(next_state[0], dtype="bool")


def optimum(steps=100, discount=1.0):
    """(K [2], P [2, 2]): the best force is u = −K·s where `steps` are left, and the return from s then is −sᵀPs.

        K = γ(R + γBᵀPB)⁻¹BᵀPA,   P ← Q + γAᵀP(A − BK),   P = 0 at the end             Riccati's equation

    From the first states of the task the mean return is −tr(P)/3, as x and ẋ are uniform in ±1. For more than some
    hundred steps, K and P are those of a task without an end.
    """
    a, b = np.array([[1.0, TIMESTEP], [0.0, 1.0]]), np.array([[TIMESTEP**2 / 2], [TIMESTEP]]) / MASS
    p = np.zeros((2, 2))
    for _ in range(steps):
        k = discount * b.T @ p @ a / (COSTS[2] + discount * b.T @ p @ b)
        p = np.diag(COSTS[:2]) + discount * a.T @ p @ (a - b @ k)
    return k[0], p
