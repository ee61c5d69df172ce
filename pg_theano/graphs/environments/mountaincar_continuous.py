"""MountainCarContinuous-v0: the car in the valley with a pedal instead of three gears, and fuel that costs."""

from typing import ClassVar

import pytensor.tensor as pt

MIN_POSITION, MAX_POSITION = -1.2, 0.6
MAX_SPEED = 0.07
MAX_ACTION = 1.0
GOAL_POSITION, GOAL_VELOCITY = 0.45, 0.0
POWER = 0.0015
GRAVITY = 0.0025
GOAL_REWARD, ACTION_COST = 100.0, 0.1


class MountainCarContinuous:
    """A car in a valley, paid 100 at the goal and −0.1·a² a step.

        v ← clip(v + P·clip(a, ±1) − g·cos 3x, ±0.07)
        x ← clip(x + v, −1.2, 0.6);  v ← 0 where x = −1.2 and v < 0          Moore 1990, with a continuous action

    State and observation: position x and velocity v per step, both dimensionless. Ends where x ≥ 0.45 and v ≥ 0. As
    Gymnasium's `continuous_mountain_car.py`: the cost is of the action before it is clipped, and the state is rounded
    to float32 after every step whatever it is computed in.
    """

    id = "MountainCarContinuous-v0"
    obs_low = (MIN_POSITION, -MAX_SPEED)
    obs_high = (MAX_POSITION, MAX_SPEED)
    action_kind, num_actions = "box", 1
    action_low, action_high = (-MAX_ACTION,), (MAX_ACTION,)
    max_steps, reward_threshold = 999, 90.0
    state_size, num_initial_noise = 2, 1
    constants: ClassVar = {
        "min_position": MIN_POSITION,
        "max_position": MAX_POSITION,
        "max_speed": MAX_SPEED,
        "max_action": MAX_ACTION,
        "goal_position": GOAL_POSITION,
        "goal_velocity": GOAL_VELOCITY,
        "power": POWER,
    }

    @staticmethod
    def initial(noise):
        return 0.2 * noise[0] - 0.6, pt.zeros_like(noise[0])

    @staticmethod
    def transition(state, action):
        position, velocity = state
        force = pt.clip(action[0], -MAX_ACTION, MAX_ACTION)
        velocity = pt.clip(velocity + POWER * force - GRAVITY * pt.cos(3.0 * position), -MAX_SPEED, MAX_SPEED)
        position = pt.clip(position + velocity, MIN_POSITION, MAX_POSITION)
        at_wall = pt.eq(position, MIN_POSITION) & (velocity < 0.0)
        return _rounded(position), _rounded(pt.switch(at_wall, 0.0, velocity))

    @staticmethod
    def observation(state):
        return state

    @staticmethod
    def reward(state, action, next_state):
        at_goal = MountainCarContinuous.terminated(next_state).astype(state[0].dtype)
        return GOAL_REWARD * at_goal - ACTION_COST * (action[0] * action[0])

    @staticmethod
    def terminated(next_state):
        position, velocity = next_state
        return (position >= GOAL_POSITION) & (velocity >= GOAL_VELOCITY)


def _rounded(x):
    """To float32 and back; nothing where x is float32."""
    return x.astype("float32").astype(x.dtype)
