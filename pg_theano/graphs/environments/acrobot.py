"""Acrobot-v1: swing a two-link arm up by a motor in its elbow."""

import math
from typing import ClassVar

import pytensor.tensor as pt

GRAVITY = 9.8  # m/s²
LENGTH_1 = 1.0  # m, of the upper link
MASS_1, MASS_2 = 1.0, 1.0  # kg
CENTRE_1, CENTRE_2 = 0.5, 0.5  # m, from a link's joint to its centre of mass
INERTIA = 1.0  # kg·m², of either link
TIMESTEP = 0.2  # s
MAX_SPEED_1, MAX_SPEED_2 = 4 * math.pi, 9 * math.pi  # rad/s

ALPHA = MASS_1 * CENTRE_1**2 + MASS_2 * (LENGTH_1**2 + CENTRE_2**2) + 2 * INERTIA
BETA = MASS_2 * CENTRE_2**2 + INERTIA
COUPLING = MASS_2 * LENGTH_1 * CENTRE_2
WEIGHT_1 = (MASS_1 * CENTRE_1 + MASS_2 * LENGTH_1) * GRAVITY
WEIGHT_2 = MASS_2 * CENTRE_2 * GRAVITY


class Acrobot:
    """Two links hanging from a fixed joint, every step paid −1 until the tip is one link's length above that joint.

        d₁ = α + 2κ·cos θ₂            α = m₁c₁² + m₂(l₁² + c₂²) + I₁ + I₂
        d₂ = β + κ·cos θ₂             β = m₂c₂² + I₂,  κ = m₂l₁c₂
        φ₂ = m₂c₂g·sin(θ₁ + θ₂)
        φ₁ = φ₂ + (m₁c₁ + m₂l₁)g·sin θ₁ − κ·θ̇₂(θ̇₂ + 2θ̇₁)·sin θ₂
        θ̈₂ = (τ + φ₁·d₂/d₁ − κ·θ̇₁²·sin θ₂ − φ₂) / (β − d₂²/d₁)
        θ̈₁ = −(d₂·θ̈₂ + φ₁) / d₁                    Sutton & Barto 1998, section 11.3 (Gymnasium's "book")

    One step of Runge and Kutta's fourth-order method, 0.2 s; then the angles are wrapped to [−π, π] and the speeds
    bounded. State: θ₁ from hanging down, θ₂ relative to the first link [rad], θ̇₁, θ̇₂. Observation: cos θ₁, sin θ₁,
    cos θ₂, sin θ₂, θ̇₁, θ̇₂. Ends where −cos θ₁ − cos(θ₁ + θ₂) > 1. As Gymnasium's `acrobot.py`, with cos(x − π/2) as
    sin x, and functions of θ₁ + θ₂ from those of its terms: four sines and cosines a stage.
    """

    id = "Acrobot-v1"
    obs_low = (-1.0, -1.0, -1.0, -1.0, -MAX_SPEED_1, -MAX_SPEED_2)
    obs_high = (1.0, 1.0, 1.0, 1.0, MAX_SPEED_1, MAX_SPEED_2)
    action_kind, num_actions = "discrete", 3  # a torque of -1, 0, 1 N·m
    max_steps, reward_threshold = 500, -100.0
    state_size, num_initial_noise = 4, 4
    constants: ClassVar = {
        "LINK_LENGTH_1": LENGTH_1,
        "LINK_MASS_1": MASS_1,
        "LINK_MASS_2": MASS_2,
        "LINK_COM_POS_1": CENTRE_1,
        "LINK_COM_POS_2": CENTRE_2,
        "LINK_MOI": INERTIA,
        "dt": TIMESTEP,
        "MAX_VEL_1": MAX_SPEED_1,
        "MAX_VEL_2": MAX_SPEED_2,
    }

    @staticmethod
    def initial(noise):
        return tuple(0.2 * uniform - 0.1 for uniform in noise)

    @staticmethod
    def transition(state, action):
        torque = (action - 1).astype(state[0].dtype)

        def after(step, derivative):
            return tuple(y + step * slope for y, slope in zip(state, derivative, strict=True))

        k1 = _derivative(state, torque)
        k2 = _derivative(after(TIMESTEP / 2, k1), torque)
        k3 = _derivative(after(TIMESTEP / 2, k2), torque)
        k4 = _derivative(after(TIMESTEP, k3), torque)
        mean = tuple(a + 2.0 * (b + c) + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True))
        theta_1, theta_2, speed_1, speed_2 = after(TIMESTEP / 6, mean)
        return (
            _wrapped(theta_1),
            _wrapped(theta_2),
            pt.clip(speed_1, -MAX_SPEED_1, MAX_SPEED_1),
            pt.clip(speed_2, -MAX_SPEED_2, MAX_SPEED_2),
        )

    @staticmethod
    def observation(state):
        theta_1, theta_2, speed_1, speed_2 = state
        return pt.cos(theta_1), pt.sin(theta_1), pt.cos(theta_2), pt.sin(theta_2), speed_1, speed_2

    @staticmethod
    def reward(state, action, next_state):
        return Acrobot.terminated(next_state).astype(state[0].dtype) - 1.0

    @staticmethod
    def terminated(next_state):
        cos_1, sin_1, cos_2, sin_2, _, _ = Acrobot.observation(next_state)
        return -cos_1 - (cos_1 * cos_2 - sin_1 * sin_2) > 1.0


def _derivative(state, torque):
    theta_1, theta_2, speed_1, speed_2 = state
    sin_1, cos_1, sin_2, cos_2 = pt.sin(theta_1), pt.cos(theta_1), pt.sin(theta_2), pt.cos(theta_2)
    d1 = ALPHA + 2 * COUPLING * cos_2
    d2 = BETA + COUPLING * cos_2
    ratio = d2 / d1
    phi2 = WEIGHT_2 * (sin_1 * cos_2 + cos_1 * sin_2)
    pull = COUPLING * sin_2
    phi1 = phi2 + WEIGHT_1 * sin_1 - pull * (speed_2 * (speed_2 + 2.0 * speed_1))
    acc_2 = (torque + ratio * phi1 - pull * (speed_1 * speed_1) - phi2) / (BETA - d2 * ratio)
    acc_1 = -(d2 * acc_2 + phi1) / d1
    return speed_1, speed_2, acc_1, acc_2


def _wrapped(angle):
    """To [−π, π], both ends as they are: θ − 2π·round(θ/2π)."""
    return angle - 2 * math.pi * pt.round(angle * (1 / (2 * math.pi)), mode="half_to_even")
