"""SoftLanding: come down on a moon with one engine that is on or off, and touch the ground slowly."""

import pytensor.tensor as pt

GRAVITY = 1.6  # m/s²
THRUST = 3.2  # m/s², upwards
TIMESTEP = 0.2  # s


class SoftLanding:
    """State and observation: height [m] and vertical speed [m/s], both divided by ten."""

    obs_low, obs_high = (-1.0, -3.0), (3.0, 3.0)
    action_kind, num_actions = "discrete", 2  # engine off, engine on
    max_steps, reward_threshold = 100, 0.8
    state_size, num_initial_noise = 2, 2

    def initial(noise):
        return 0.8 + 0.4 * noise[0], -0.2 * noise[1]

    def transition(state, action):
        height, speed = state
        push = pt.switch(pt.eq(action, 1), THRUST, 0.0)
        speed = speed + 0.1 * TIMESTEP * (push - GRAVITY)
        return height + TIMESTEP * speed, speed

    def observation(state):
        return state

    def reward(state, action, next_state):
        height, speed = next_state
        touches = pt.le(height, 0.0)
        return pt.switch(touches, 1.0 - 2.0 * pt.abs(speed), 0.0)

    def terminated(next_state):
        return pt.le(next_state[0], 0.0) | pt.gt(next_state[0], 2.0)
