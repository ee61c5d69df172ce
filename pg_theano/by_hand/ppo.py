"""Proximal policy optimisation: learn from each step several times, but not too much.

After one step of `vpg.py` the policy has changed, and what the old one experienced is no fair sample of the new one.
The ratio r = π(a|o)/π_old(a|o) makes up for that. Far from 1 it is not to be trusted, so there the objective stops
rewarding any further change: it is clipped.
"""

import numpy as np

from pg_theano.by_hand import advantages, optimizers
from pg_theano.by_hand.vpg import Agent, backward, estimate, outputs_of, value_loss
from pg_theano.types import Array, Rollout, State

MOST_LOG_RATIO = 20.0
"""Where log r is bounded before `exp`: far outside every clip range, and small enough for any number format."""


def clipped_surrogate(
    log_prob: Array, old_log_prob: Array, advantage: Array, *, clip_range: float
) -> tuple[Array, Array]:
    """The clipped objective of each step, and its gradient for log π.

        r    = exp(log π − log π_old)
        S    = min(r·Â, clip(r, 1−ε, 1+ε)·Â)                     Schulman et al. 2017, eq. 7

    Which of the two is the smaller?

        Â > 0:   the clipped one where r > 1+ε:   S = (1+ε)·Â    already likelier enough
        Â < 0:   the clipped one where r < 1−ε:   S = (1−ε)·Â    already less likely enough
        else:    S = r·Â                                         also where r is outside on the *other* side:
                                                                 what went wrong can always be taken back

    The gradient. π_old is a constant; the derivative of exp is exp:

        ∂r/∂log π = exp(log π − log π_old) = r
        ∂S/∂log π = r·Â        where S = r·Â
                  = 0          where S is clipped: a constant
                  = 0          where log r is bounded: a constant again

    At r = 1, before the first step, this is Â: the policy gradient.
    Shapes: all [N]; the result ([N], [N]).
    """
    log_ratio = log_prob - old_log_prob  # [N]
    ratio = np.exp(np.clip(log_ratio, -MOST_LOG_RATIO, MOST_LOG_RATIO))  # [N]
    clipped = np.clip(ratio, 1.0 - clip_range, 1.0 + clip_range)  # [N]
    surrogate = np.minimum(ratio * advantage, clipped * advantage)  # [N]

    too_far = np.where(advantage > 0, ratio > 1.0 + clip_range, ratio < 1.0 - clip_range)  # [N]
    bounded = np.abs(log_ratio) > MOST_LOG_RATIO  # [N]
    return surrogate, np.where(too_far | bounded, 0.0, ratio * advantage)


def policy_loss(
    agent: Agent,
    params: Array,
    obs: Array,
    action: Array,
    old_log_prob: Array,
    advantage: Array,
    *,
    clip_range: float,
    entropy_coefficient: float = 0.0,
) -> tuple[float, Array]:
    """The loss and its gradient; from ∂S/∂log π on, the way back is that of the policy gradient.

        L = −(1/N)·Σ_n [S_n + c·H_n]
        ∂L/∂log π_n = −(1/N)·∂S_n/∂log π_n,      ∂L/∂H_n = −c/N

    Shapes: `params` [D], `obs` [N, F], `action` [N, ...], `old_log_prob`, `advantage` [N]; the result (scalar, [D]).
    """
    number = len(advantage)
    outputs, log_std, trace = outputs_of(agent, params, obs)
    log_prob = agent.policy.log_prob(outputs, log_std, action)  # [N]
    entropy = agent.policy.entropy(outputs, log_std)  # [N]
    surrogate, d_surrogate = clipped_surrogate(log_prob, old_log_prob, advantage, clip_range=clip_range)
    loss = -np.mean(surrogate + entropy_coefficient * entropy)

    d_log_prob = -d_surrogate / number  # [N]
    d_entropy = np.full_like(entropy, -entropy_coefficient / number)  # [N]
    return float(loss), backward(agent, params, trace, outputs, log_std, action, d_log_prob, d_entropy)


def measured(
    agent: Agent, params: Array, obs: Array, action: Array, old_log_prob: Array, *, clip_range: float
) -> dict[str, float]:
    """How far the policy is from the one that acted, and how undecided it is; nothing is learned from it.

        entropy        (1/N)·Σ_n H_n
        kl             (1/N)·Σ_n [(r_n − 1) − log r_n]      KL(π_old ‖ π), never below 0; Schulman 2020
        clip_fraction  the share of steps with |r − 1| > ε

    Shapes: `params` [D], `obs` [N, F], `action` [N, ...], `old_log_prob` [N].
    """
    outputs, log_std, _ = outputs_of(agent, params, obs)
    log_ratio = agent.policy.log_prob(outputs, log_std, action) - old_log_prob  # [N]
    log_ratio = np.clip(log_ratio, -MOST_LOG_RATIO, MOST_LOG_RATIO)
    ratio = np.exp(log_ratio)  # [N]
    return {
        "entropy": float(np.mean(agent.policy.entropy(outputs, log_std))),
        "kl": float(np.mean(ratio - 1.0 - log_ratio)),
        "clip_fraction": float(np.mean(np.abs(ratio - 1.0) > clip_range)),
    }


def update(
    agent: Agent,
    state: State,
    rollout: Rollout,
    rng: np.random.Generator,
    *,
    discount: float,
    gae_lambda: float | None,
    baseline: bool,
    learning_rate: float,
    value_learning_rate: float,
    clip_range: float,
    num_epochs: int,
    num_minibatches: int,
    entropy_coefficient: float,
    optimizer: str,
) -> tuple[State, dict[str, float]]:
    """Several passes over one rollout, each in a new order and in minibatches whose sizes differ by at most one.

    `old_log_prob` is what the policy that acted said, and stays so: were it taken anew, r would always be 1. Advantages
    too are taken once, before anything moves, and are standardised within each minibatch. `rng` draws the orders.
    Returns (State, metrics); `ratio_outside` is the part of all steps whose ratio ended outside the clip range.
    """
    steps = estimate(agent, state, rollout, discount=discount, gae_lambda=gae_lambda, baseline=baseline)
    descend = optimizers.BY_NAME[optimizer]
    number = len(steps.obs)
    losses, value_losses, norms = [], [], []
    for _ in range(num_epochs):
        for rows in np.array_split(rng.permutation(number), min(num_minibatches, number)):
            obs, action, old_log_prob, advantage, target, _ = (part[rows] for part in steps)
            if baseline:
                advantage = advantages.standardize(advantage)
            loss, gradient = policy_loss(
                agent,
                state["policy"],
                obs,
                action,
                old_log_prob,
                advantage,
                clip_range=clip_range,
                entropy_coefficient=entropy_coefficient,
            )
            value_error, value_gradient = value_loss(agent, state["value"], obs, target)
            state = descend(state, "policy", gradient, learning_rate=learning_rate)
            state = descend(state, "value", value_gradient, learning_rate=value_learning_rate)
            losses.append(loss)
            norms.append(np.linalg.norm(gradient))
            value_losses.append(value_error)
    outputs, log_std, _ = outputs_of(agent, state["policy"], steps.obs)
    ratio = np.exp(agent.policy.log_prob(outputs, log_std, steps.action) - steps.log_prob)  # [N]
    return state, {
        "cost": float(np.mean(losses)),
        "value_loss": float(np.mean(value_losses)),
        "gradient_norm": float(np.mean(norms)),
        "ratio_outside": float(np.mean(np.abs(ratio - 1.0) > clip_range)),
    }
