"""Quadrotor2D-v0: fly a frame with two rotors to a point, and hover there."""

# mypy: ignore-errors

import math
from typing import ClassVar

import pytensor.tensor as pt

GRAVITY = 9.81  # m/s²
MASS = 1.0  # kg, half of it at either rotor
ARM = 0.3  # m, from the middle to a rotor
INERTIA = MASS * ARM**2  # kg·m²
HOVER = MASS * GRAVITY / 2  # N, of either rotor
TIMESTEP = 0.05  # s
TURN = HOVER * ARM / INERTIA  # rad/s², of a rotor that gives twice as much


class Quadrotor2D:
    """A frame in a plane with a rotor at either end, paid for being at its point, level and slow; only time ends it.

        F₁, F₂ = mg/2·(1 + clip(a, ±1))                                 the right rotor, the left one
        r  = 1 − √(1 + x² + z² + (ẋ² + ż² + θ̇²)/10) − (1 − cos θ)/2 − (a₁² + a₂²)/100
        ẍ  = −(F₁ + F₂)·sin θ / m
        z̈  = (F₁ + F₂)·cos θ / m − g
        θ̈  = r·(F₁ − F₂) / I                            Tedrake 2009, Underactuated Robotics, the planar quadrotor

    Speeds first, then positions by the new speeds: semi-implicit Euler, 0.05 s; rewarded is the state before the step.
    State: place x, z [m] beside and above the point, tilt θ [rad] to the left, and their speeds. It begins up to 2 m
    away to each side, tilted by up to 0.5 rad, with speeds up to 0.5. Observation: x, z, cos θ, sin θ, ẋ, ż, θ̇. Action:
    what each rotor gives beyond hovering, as a share of it; −1 is off. The cost is a square near the goal, and
    grows by the metre far away.
    """

    obs_low = (-math.inf, -math.inf, -1.0, -1.0, -math.inf, -math.inf, -math.inf)
    obs_high = (math.inf, math.inf, 1.0, 1.0, math.inf, math.inf, math.inf)
    action_kind, num_actions = "box", 2
    action_low, action_high = (-1.0, -1.0), (1.0, 1.0)
    max_steps, reward_threshold = 100, None
    state_size, num_initial_noise = 6, 6
    constants: ClassVar = {"g": GRAVITY, "m": MASS, "r": ARM, "inertia": INERTIA, "dt": TIMESTEP}

    def initial(noise):
        return tuple((size * (2.0 * one - 1.0)) for size, one in zip((2, 2, 0.5, 0.5, 0.5, 0.5), noise, strict=True))

    def transition(state, action):
        x, z, theta, x_dot, z_dot, theta_dot = state
        right, left = (pt.clip(share, -1.0, 1.0) for share in action)
        lift = TIMESTEP * HOVER / MASS * (2.0 + right + left)
        x_dot = x_dot - lift * pt.sin(theta)
        z_dot = z_dot + lift * pt.cos(theta) - TIMESTEP * GRAVITY
        theta_dot = (
            theta_dot + TIMESTEP * TURN * right - TIMESTEP * TURN * left
        )  # not of their difference, which XLA rounds by the row
        return x + TIMESTEP * x_dot, z + TIMESTEP * z_dot, theta + TIMESTEP * theta_dot, x_dot, z_dot, theta_dot

    def observation(state):
        x, z, theta, x_dot, z_dot, theta_dot = state
        return x, z, pt.cos(theta), pt.sin(theta), x_dot, z_dot, theta_dot

    def reward(state, action, next_state):
        x, z, theta, *speeds = state
        moving = sum(speed * speed for speed in speeds)
        away, tilted = pt.sqrt(1.0 + x * x + z * z + 0.1 * moving) - 1.0, 1.0 - pt.cos(theta)
        return -(away + 0.5 * tilted + 0.01 * sum(pt.clip(share, -1.0, 1.0) ** 2 for share in action))

    def terminated(next_state):
        return pt.zeros_like(next_state[0], dtype="bool")
