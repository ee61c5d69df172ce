"""CartPole-v1: keep a pole upright by pushing the cart under it to the left or to the right."""

import math
from typing import ClassVar

import pytensor.tensor as pt

GRAVITY = 9.8  # m/s²
CART_MASS, POLE_MASS = 1.0, 0.1  # kg
TOTAL_MASS = POLE_MASS + CART_MASS
HALF_LENGTH = 0.5  # m, of the pole
POLE_MASS_LENGTH = POLE_MASS * HALF_LENGTH
FORCE = 10.0  # N
TIMESTEP = 0.02  # s
X_LIMIT = 2.4  # m
THETA_LIMIT = 12 * 2 * math.pi / 360  # rad


class CartPole:
    """A pole on a cart, every step of an episode paid 1; Euler's method.

        M  = m_cart + m_pole
        τ  = (±F + m_pole·l·θ̇²·sin θ) / M
        θ̈  = (g·sin θ − τ·cos θ) / (l·(4/3 − m_pole·cos²θ / M))
        ẍ  = τ − m_pole·l·θ̈·cos θ / M                 Barto, Sutton & Anderson 1983; no friction, as Florian 2007

    State and observation: position x [m], velocity ẋ, angle θ [rad] from the upright, angular velocity θ̇. Ends where
    |x| > 2.4 or |θ| > 12°. As Gymnasium's `cartpole.py`. (cos θ as √(1 − sin²θ) was no faster: XLA computes the sine
    and the cosine of one angle together.)
    """

    id = "CartPole-v1"
    obs_low = (-2 * X_LIMIT, -math.inf, -2 * THETA_LIMIT, -math.inf)
    obs_high = (2 * X_LIMIT, math.inf, 2 * THETA_LIMIT, math.inf)
    action_kind, num_actions = "discrete", 2  # 0 pushes to the left, 1 to the right
    max_steps, reward_threshold = 500, 475.0
    state_size, num_initial_noise = 4, 4
    constants: ClassVar = {
        "gravity": GRAVITY,
        "masscart": CART_MASS,
        "masspole": POLE_MASS,
        "total_mass": TOTAL_MASS,
        "length": HALF_LENGTH,
        "polemass_length": POLE_MASS_LENGTH,
        "force_mag": FORCE,
        "tau": TIMESTEP,
        "x_threshold": X_LIMIT,
        "theta_threshold_radians": THETA_LIMIT,
    }

    @staticmethod
    def initial(noise):
        return tuple(0.1 * uniform - 0.05 for uniform in noise)

    @staticmethod
    def transition(state, action):
        x, x_dot, theta, theta_dot = state
        sin, cos = pt.sin(theta), pt.cos(theta)
        force = pt.switch(pt.eq(action, 1), FORCE, -FORCE)
        push = (force + POLE_MASS_LENGTH * (theta_dot * theta_dot) * sin) / TOTAL_MASS
        theta_acc = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4 / 3 - POLE_MASS / TOTAL_MASS * (cos * cos)))
        x_acc = push - POLE_MASS_LENGTH / TOTAL_MASS * theta_acc * cos
        return (
            x + TIMESTEP * x_dot,
            x_dot + TIMESTEP * x_acc,
            theta + TIMESTEP * theta_dot,
            theta_dot + TIMESTEP * theta_acc,
        )

    @staticmethod
    def observation(state):
        return state

    @staticmethod
    def reward(state, action, next_state):
        return pt.ones_like(state[0])

    @staticmethod
    def terminated(next_state):
        x, _, theta, _ = next_state
        return (pt.abs(x) > X_LIMIT) | (pt.abs(theta) > THETA_LIMIT)
