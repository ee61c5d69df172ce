"""The gradient through the dynamics, by hand: Pendulum under a linear policy, backward from the last step to the first.

Notation. θ, ω are the angle [rad] and speed [rad/s]; o = (cos θ, sin θ, ω); u the torque; T steps, E environments.
"""

import numpy as np

from pg_theano.types import Array

GRAVITY_TERM, TORQUE_TERM, DT, MOST_SPEED, MOST_TORQUE = 15.0, 3.0, 0.05, 8.0, 2.0  # 3g/2l, 3/ml², s, rad/s, N·m


def wrapped(angle: Array) -> Array:
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))


def seen(state: Array) -> Array:
    """(θ, ω) [2, E] to the observation [3, E]."""
    return np.stack([np.cos(state[0]), np.sin(state[0]), state[1]])


def stretch(
    policy: dict[str, Array], value: dict[str, Array], played: dict[str, Array], discount: float
) -> tuple[float, dict[str, Array]]:
    """(J, its gradient by the policy's arrays) of a stretch: see docs/derivations.md, "The gradient of a stretch".

        J = 1/(T·E)·Σ_e Σ_{t0} [Σ_t γ^{t−t0}·r_t + γ^{t1−t0}·V(o_{t1})]                     Xu et al. 2022, eq. 5

        u  = 2·tanh(a),   a = Wᵀo + b + exp(s)·ε
        r  = −(wrap(θ)² + 0.1·ω² + 0.001·u²)
        ω′ = clip(ω + (15·sin θ + 3·u)·Δt, ±8),   θ′ = θ + ω′·Δt

    `policy` has weight W [3], bias b and log_std s; `value` is linear too. `played` has env_state [T, 2, E], noise
    [T, E] and ended [T, E], 1 where a time limit stopped the episode: the next state there is the one after a reset.
    """
    states, noise, ended = played["env_state"], played["noise"], played["ended"]
    steps, number = noise.shape
    weight, std = policy["weight"], np.exp(policy["log_std"])
    state, kept, worth, power = states[0], [], 0.0, np.ones(number)
    for t in range(steps):  # forward: what each step saw, and what it counts
        obs = seen(state)
        torque = MOST_TORQUE * np.tanh(weight @ obs + policy["bias"] + std * noise[t])
        faster = state[1] + (GRAVITY_TERM * np.sin(state[0]) + TORQUE_TERM * torque) * DT
        speed = np.clip(faster, -MOST_SPEED, MOST_SPEED)
        following = np.stack([state[0] + speed * DT, speed])
        cut = np.maximum(ended[t], t == steps - 1)
        worth += np.sum(-power * (wrapped(state[0]) ** 2 + 0.1 * state[1] ** 2 + 0.001 * torque**2))
        worth += np.sum(power * discount * cut * (value["weight"] @ seen(following) + value["bias"]))
        kept.append((state, torque, np.abs(faster) <= MOST_SPEED, following, power, cut))
        goes_on = 1 - ended[t]
        power = np.where(goes_on > 0, power * discount, 1.0)
        if t + 1 < steps:
            state = np.where(goes_on > 0, following, states[t + 1])
    d_weight, d_bias, d_log_std, d_next = np.zeros(3), 0.0, 0.0, np.zeros((2, number))
    for t in reversed(range(steps)):  # d_next: the worth of what follows, by θ′ and ω′; nothing across a reset
        state, torque, inside, following, power, cut = kept[t]
        bootstrap = power * discount * cut
        d_angle, d_speed = d_next * (1 - ended[t])
        d_angle = d_angle + bootstrap * (
            -value["weight"][0] * np.sin(following[0]) + value["weight"][1] * np.cos(following[0])
        )
        d_speed = d_speed + bootstrap * value["weight"][2]
        d_faster = inside * (d_speed + DT * d_angle)
        d_torque = -0.002 * power * torque + TORQUE_TERM * DT * d_faster
        d_action = d_torque * MOST_TORQUE * (1 - (torque / MOST_TORQUE) ** 2)
        d_weight += seen(state) @ d_action
        d_bias += d_action.sum()
        d_log_std += np.sum(d_action * std * noise[t])
        of_obs = weight[1] * np.cos(state[0]) - weight[0] * np.sin(state[0])
        d_next = np.stack(
            [
                d_angle
                - 2 * power * wrapped(state[0])
                + GRAVITY_TERM * np.cos(state[0]) * DT * d_faster
                + of_obs * d_action,
                d_faster - 0.2 * power * state[1] + weight[2] * d_action,
            ]
        )
    scale = 1 / (steps * number)
    return scale * worth, {
        "weight": scale * d_weight,
        "bias": np.array(scale * d_bias),
        "log_std": np.array(scale * d_log_std),
    }
