"""Pendulum-v1: swing a pendulum up with too weak a motor, and hold it there."""

import math
from typing import ClassVar

import pytensor.tensor as pt

GRAVITY = 10.0  # m/s²
MASS = 1.0  # kg
LENGTH = 1.0  # m
TIMESTEP = 0.05  # s
MAX_SPEED = 8.0  # rad/s
MAX_TORQUE = 2.0  # N·m


class Pendulum:
    """A rod turned about its end by a bounded torque, paid for being upright, slow and idle; only time ends it.

        u  = clip(a, ±2)
        r  = −(wrap(θ)² + 0.1·θ̇² + 0.001·u²)             of the state before the step
        θ̇ ← clip(θ̇ + (3g/(2l)·sin θ + 3/(ml²)·u)·Δt, ±8)
        θ ← θ + θ̇·Δt                                      Gymnasium's `pendulum.py`; semi-implicit Euler

    State: angle θ [rad] from the upright, counted on through full turns, and angular velocity θ̇. Observation: cos θ,
    sin θ, θ̇. wrap(θ) = θ − 2π·round(θ/2π), in [−π, π].
    """

    id = "Pendulum-v1"
    obs_low = (-1.0, -1.0, -MAX_SPEED)
    obs_high = (1.0, 1.0, MAX_SPEED)
    action_kind, num_actions = "box", 1
    action_low, action_high = (-MAX_TORQUE,), (MAX_TORQUE,)
    max_steps, reward_threshold = 200, None
    state_size, num_initial_noise = 2, 2
    jumps = ()  # wrap(θ) does, from π to −π, which its square does not feel
    constants: ClassVar = {
        "g": GRAVITY,
        "m": MASS,
        "l": LENGTH,
        "dt": TIMESTEP,
        "max_speed": MAX_SPEED,
        "max_torque": MAX_TORQUE,
    }

    @staticmethod
    def initial(noise):
        return 2 * math.pi * noise[0] - math.pi, 2.0 * noise[1] - 1.0

    @staticmethod
    def transition(state, action):
        theta, speed = state
        torque = pt.clip(action[0], -MAX_TORQUE, MAX_TORQUE)
        acceleration = 3 * GRAVITY / (2 * LENGTH) * pt.sin(theta) + 3 / (MASS * LENGTH**2) * torque
        speed = pt.clip(speed + TIMESTEP * acceleration, -MAX_SPEED, MAX_SPEED)
        return theta + TIMESTEP * speed, speed

    @staticmethod
    def observation(state):
        theta, speed = state
        return pt.cos(theta), pt.sin(theta), speed

    @staticmethod
    def reward(state, action, next_state):
        theta, speed = state
        torque = pt.clip(action[0], -MAX_TORQUE, MAX_TORQUE)
        angle = theta - 2 * math.pi * pt.round(theta * (1 / (2 * math.pi)), mode="half_to_even")
        return -(angle * angle + 0.1 * (speed * speed) + 0.001 * (torque * torque))

    @staticmethod
    def terminated(next_state):
        return pt.zeros_like(next_state[0], dtype="bool")
