"""CartPoleSwingUp-v0: swing the pole of a cart up by pushing the cart, and hold it there in the middle of the track."""

# mypy: ignore-errors

import math
from typing import ClassVar

import pytensor.tensor as pt

GRAVITY = 9.8  # m/s²
CART_MASS, POLE_MASS = 1.0, 0.1  # kg
TOTAL_MASS = CART_MASS + POLE_MASS
HALF_LENGTH = 0.5  # m, of the pole
POLE_MASS_LENGTH = POLE_MASS * HALF_LENGTH
FORCE = 10.0  # N
TIMESTEP = 0.05  # s


class CartPoleSwingUp:
    """A pole that hangs from a cart, paid for being upright, in the middle, slow and idle; only time ends it.

        a  ← clip(a, ±1),  M = m_cart + m_pole
        r  = cos θ − 1 − (√(1 + x²) − 1)/10 − θ̇²/100 − a²/100          of the state before the step
        τ  = (F·a + m_pole·l·θ̇²·sin θ) / M
        θ̈  = (g·sin θ − τ·cos θ) / (l·(4/3 − m_pole·cos²θ / M))
        ẍ  = τ − m_pole·l·θ̈·cos θ / M                 Barto, Sutton & Anderson 1983; no friction, as Florian 2007

    Speeds first, then positions by the new speeds: semi-implicit Euler, 0.05 s. State: position x [m], velocity ẋ,
    angle θ [rad] from the upright, counted on through full turns, angular velocity θ̇; each begins within 0.1 of
    hanging at rest. Observation: x, ẋ, cos θ, sin θ, θ̇. Action: the force, as a share of 10 N. The track has no ends:
    its cost is a square near the middle, and grows by the metre far away. Swing-up as in Xu et al. 2022, with smooth
    costs.
    """

    obs_low = (-math.inf, -math.inf, -1.0, -1.0, -math.inf)
    obs_high = (math.inf, math.inf, 1.0, 1.0, math.inf)
    action_kind, num_actions = "box", 1
    action_low, action_high = (-1.0,), (1.0,)
    max_steps, reward_threshold = 200, None
    state_size, num_initial_noise = 4, 4
    constants: ClassVar = {"g": GRAVITY, "m_cart": CART_MASS, "m_pole": POLE_MASS, "l": HALF_LENGTH, "dt": TIMESTEP}

    def initial(noise):
        x, x_dot, theta, theta_dot = (0.2 * uniform - 0.1 for uniform in noise)
        return x, x_dot, math.pi + theta, theta_dot

    def transition(state, action):
        x, x_dot, theta, theta_dot = state
        sin, cos = pt.sin(theta), pt.cos(theta)
        force = FORCE * pt.clip(action[0], -1.0, 1.0)
        push = (force + POLE_MASS_LENGTH * (theta_dot * theta_dot) * sin) / TOTAL_MASS
        theta_acc = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4 / 3 - POLE_MASS / TOTAL_MASS * (cos * cos)))
        x_dot = x_dot + TIMESTEP * (push - POLE_MASS_LENGTH / TOTAL_MASS * theta_acc * cos)
        theta_dot = theta_dot + TIMESTEP * theta_acc
        return x + TIMESTEP * x_dot, x_dot, theta + TIMESTEP * theta_dot, theta_dot

    def observation(state):
        x, x_dot, theta, theta_dot = state
        return x, x_dot, pt.cos(theta), pt.sin(theta), theta_dot

    def reward(state, action, next_state):
        x, _, theta, theta_dot = state
        push, away = pt.clip(action[0], -1.0, 1.0), pt.sqrt(1.0 + x * x) - 1.0
        return pt.cos(theta) - 1.0 - 0.1 * away - 0.01 * (theta_dot * theta_dot) - 0.01 * (push * push)

    def terminated(next_state):
        return pt.zeros_like(next_state[0], dtype="bool")
