"""Reacher2-v0: bring the tip of an arm of two links to a point, by torques in its two joints."""

# mypy: ignore-errors

import math
from typing import ClassVar

import pytensor.tensor as pt

LENGTH, MASS = 0.5, 1.0  # m and kg, of either link, an even rod
FRICTION, TORQUE = 0.1, 1.0  # N·m·s and N·m, in either joint
TIMESTEP = 0.05  # s
ALPHA, BETA, COUPLING = (share * MASS * LENGTH**2 for share in (5 / 3, 1 / 3, 1 / 2))  # kg·m²


class Reacher2:
    """Two links in a horizontal plane, paid for a tip that is at its point, and slow and idle; only time ends it.

        M  = [α + 2κ·cos θ₂   β + κ·cos θ₂]              α = 5ml²/3,  β = ml²/3,  κ = ml²/2
             [β + κ·cos θ₂    β           ]
        f₁ = τ·clip(a₁, ±1) − b·θ̇₁ + κ·θ̇₂(2θ̇₁ + θ̇₂)·sin θ₂
        f₂ = τ·clip(a₂, ±1) − b·θ̇₂ − κ·θ̇₁²·sin θ₂
        (θ̈₁, θ̈₂) = M⁻¹(f₁, f₂)                           Spong, Hutchinson & Vidyasagar 2006, the planar elbow arm
        r  = 1/10 − √(1/100 + |tip − point|²) − (θ̇₁² + θ̇₂²)/1000 − (a₁² + a₂²)/100

    Speeds first, then angles by the new speeds: semi-implicit Euler, 0.05 s; rewarded is the state before the step.
    State: θ₁, θ₂ [rad], the second relative to the first link, both counted on through full turns, θ̇₁, θ̇₂, the point
    [m]. It begins with a stretched arm (±0.1), at rest (±0.1), and a point 0.2 to 0.9 m away in any direction.
    Observation: cos θ₁, sin θ₁, cos θ₂, sin θ₂, θ̇₁, θ̇₂, the point, tip − point. Action: the torques, as shares of
    1 N·m.
    """

    obs_low = (-1.0, -1.0, -1.0, -1.0, -math.inf, -math.inf, -1.0, -1.0, -2.0, -2.0)
    obs_high = (1.0, 1.0, 1.0, 1.0, math.inf, math.inf, 1.0, 1.0, 2.0, 2.0)
    action_kind, num_actions = "box", 2
    action_low, action_high = (-1.0, -1.0), (1.0, 1.0)
    max_steps, reward_threshold = 100, None
    state_size, num_initial_noise = 6, 6
    constants: ClassVar = {"l": LENGTH, "m": MASS, "b": FRICTION, "max_torque": TORQUE, "dt": TIMESTEP}

    def initial(noise):
        away, direction = 0.2 + 0.7 * noise[4], 2 * math.pi * noise[5]
        return *(0.2 * one - 0.1 for one in noise[:4]), away * pt.cos(direction), away * pt.sin(direction)

    def transition(state, action):
        theta_1, theta_2, speed_1, speed_2, *point = state
        bend, pull = COUPLING * pt.cos(theta_2), COUPLING * pt.sin(theta_2)
        first, both = ALPHA + 2.0 * bend, BETA + bend
        torque_1, torque_2 = (TORQUE * pt.clip(share, -1.0, 1.0) for share in action)
        force_1 = torque_1 - FRICTION * speed_1 + pull * speed_2 * (2.0 * speed_1 + speed_2)
        force_2 = torque_2 - FRICTION * speed_2 - pull * (speed_1 * speed_1)
        determinant = first * BETA - both * both
        speed_1 = speed_1 + TIMESTEP * (BETA * force_1 - both * force_2) / determinant
        speed_2 = speed_2 + TIMESTEP * (first * force_2 - both * force_1) / determinant
        return theta_1 + TIMESTEP * speed_1, theta_2 + TIMESTEP * speed_2, speed_1, speed_2, *point

    def observation(state):
        theta_1, theta_2, speed_1, speed_2, x, y = state
        cos, sin = pt.cos(theta_1), pt.sin(theta_1)
        off = LENGTH * (cos + pt.cos(theta_1 + theta_2)) - x, LENGTH * (sin + pt.sin(theta_1 + theta_2)) - y
        return cos, sin, pt.cos(theta_2), pt.sin(theta_2), speed_1, speed_2, x, y, *off

    def reward(state, action, next_state):
        *_, speed_1, speed_2, _, _, x, y = Reacher2.observation(state)
        used = sum(pt.clip(share, -1.0, 1.0) ** 2 for share in action)
        return 0.1 - pt.sqrt(0.01 + x * x + y * y) - 0.001 * (speed_1 * speed_1 + speed_2 * speed_2) - 0.01 * used

    def terminated(next_state):
        return pt.zeros_like(next_state[0], dtype="bool")
