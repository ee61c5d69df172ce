"""MountainCar-v0: drive an underpowered car out of a valley by first driving away from the goal."""

from typing import ClassVar

import pytensor.tensor as pt

MIN_POSITION, MAX_POSITION = -1.2, 0.6
MAX_SPEED = 0.07
GOAL_POSITION, GOAL_VELOCITY = 0.5, 0.0
FORCE = 0.001
GRAVITY = 0.0025


class MountainCar:
    """A car in a valley, every step of an episode paid −1.

        v ← clip(v + (a − 1)·F − g·cos 3x, ±0.07)
        x ← clip(x + v, −1.2, 0.6);  v ← 0 where x = −1.2 and v < 0          Moore 1990; Sutton & Barto 1998, ex. 8.2

    State and observation: position x and velocity v per step, both dimensionless. Ends where x ≥ 0.5 and v ≥ 0. As
    Gymnasium's `mountain_car.py`.
    """

    id = "MountainCar-v0"
    obs_low = (MIN_POSITION, -MAX_SPEED)
    obs_high = (MAX_POSITION, MAX_SPEED)
    action_kind, num_actions = "discrete", 3  # 0 accelerates to the left, 1 does nothing, 2 accelerates to the right
    max_steps, reward_threshold = 200, -110.0
    state_size, num_initial_noise = 2, 1
    constants: ClassVar = {
        "min_position": MIN_POSITION,
        "max_position": MAX_POSITION,
        "max_speed": MAX_SPEED,
        "goal_position": GOAL_POSITION,
        "goal_velocity": GOAL_VELOCITY,
        "force": FORCE,
        "gravity": GRAVITY,
    }

    @staticmethod
    def initial(noise):
        return 0.2 * noise[0] - 0.6, pt.zeros_like(noise[0])

    @staticmethod
    def transition(state, action):
        position, velocity = state
        acceleration = FORCE * (action - 1).astype(position.dtype) - GRAVITY * pt.cos(3.0 * position)
        velocity = pt.clip(velocity + acceleration, -MAX_SPEED, MAX_SPEED)
        position = pt.clip(position + velocity, MIN_POSITION, MAX_POSITION)
        at_wall = pt.eq(position, MIN_POSITION) & (velocity < 0.0)
        return position, pt.switch(at_wall, 0.0, velocity)

    @staticmethod
    def observation(state):
        return state

    @staticmethod
    def reward(state, action, next_state):
        return -pt.ones_like(state[0])

    @staticmethod
    def terminated(next_state):
        position, velocity = next_state
        return (position >= GOAL_POSITION) & (velocity >= GOAL_VELOCITY)
