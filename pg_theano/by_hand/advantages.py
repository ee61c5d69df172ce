"""Advantages: how much better than expected an action turned out.

Every array is [E, T]: row e is a stretch of experience, step t follows step t − 1. A row may hold several episodes one
after the other, and steps that never happened (mask 0: padding, or the step in which an environment only reset).
What comes after a step is one of four things, and mixing them up is the classic mistake:

    continues      the next column is the next step of the same episode
    terminated     the episode is over, by the rules of the task: nothing comes, and nothing is worth 0
    truncated      a time limit stopped it: more would have come, worth V of the true successor
    cut            the record ends here though the episode does not: again V of the true successor

`value` is V(obs), `next_value` is V(next_obs): of the successor itself, seen before any reset. It is not `value` moved
by one column, which after an end is the value of another episode's first observation.
"""

import numpy as np

from pg_theano.types import Array


def continues(terminated: Array, truncated: Array, mask: Array) -> Array:
    """1 where the next column is the next step of the same episode, [E, T]; never in the last column.

    Where this is 0 and `terminated` is 0 too, the sum is cut, and V(next_obs) stands for what was not seen.
    """
    following = np.zeros_like(mask, dtype=np.float64)
    following[:, :-1] = mask[:, :-1] * mask[:, 1:]
    return following * ~(np.asarray(terminated, bool) | np.asarray(truncated, bool))


def reward_to_go(
    reward: Array, next_value: Array, terminated: Array, truncated: Array, mask: Array, *, discount: float
) -> Array:
    """The discounted sum of the rewards from each step on.

        G_t = Σ_{k≥0} γᵏ·r_{t+k}                           Sutton and Barto 2018, eq. 3.8
            = r_t + γ·(r_{t+1} + γ·r_{t+2} + ...) = r_t + γ·G_{t+1}

    so one pass from the last step to the first is enough. At an end there is no G_{t+1}: after `terminated` it is 0,
    after a time limit or a cut V(next_obs). Shapes: all [E, T]; 0 where the mask is.
    """
    onward = continues(terminated, truncated, mask)
    after_cut = (1.0 - onward) * (1.0 - np.asarray(terminated, np.float64)) * next_value  # [E, T]
    result = np.zeros(reward.shape)
    following = np.zeros(len(reward))  # G_{t+1}
    for t in range(reward.shape[1] - 1, -1, -1):
        following = mask[:, t] * (reward[:, t] + discount * (onward[:, t] * following + after_cut[:, t]))
        result[:, t] = following
    return result


def td_error(
    reward: Array, value: Array, next_value: Array, terminated: Array, mask: Array, *, discount: float
) -> Array:
    """What one step has shown, less what was expected.

        δ_t = r_t + γ·V(o_{t+1}) − V(o_t)                  Schulman et al. 2016, section 3; V(o_{t+1}) = 0 if terminated

    Its expectation is the advantage, if V is right. Shapes: all [E, T]; 0 where the mask is.
    """
    return mask * (reward + discount * (1.0 - np.asarray(terminated, np.float64)) * next_value - value)


def n_step(
    reward: Array,
    value: Array,
    next_value: Array,
    terminated: Array,
    truncated: Array,
    mask: Array,
    *,
    discount: float,
    num_steps: int,
) -> Array:
    """n rewards that were seen, and V for the rest.

        Â⁽ⁿ⁾_t = r_t + γ·r_{t+1} + ... + γⁿ⁻¹·r_{t+n−1} + γⁿ·V(o_{t+n}) − V(o_t)        Schulman et al. 2016, eq. 11-14
               = δ_t + γ·δ_{t+1} + ... + γⁿ⁻¹·δ_{t+n−1}     all V but first and last cancel
               = δ_t + γ·Â⁽ⁿ⁻¹⁾_{t+1}

    Fewer where the episode ends sooner, or the record. `num_steps` is n ≥ 1. Shapes: all [E, T]; 0 where the mask is.
    """
    errors = td_error(reward, value, next_value, terminated, mask, discount=discount)
    onward = continues(terminated, truncated, mask)
    result = errors
    for _ in range(min(num_steps, reward.shape[1]) - 1):
        following = np.concatenate([result[:, 1:], np.zeros((len(result), 1))], axis=1)  # [E, T]
        result = errors + discount * onward * following
    return result


def gae(
    reward: Array,
    value: Array,
    next_value: Array,
    terminated: Array,
    truncated: Array,
    mask: Array,
    *,
    discount: float,
    gae_lambda: float,
) -> Array:
    """Generalised advantage estimation: all n-step estimates at once, the n-th with weight (1 − λ)·λⁿ⁻¹.

        Â_t = (1 − λ)·(Â⁽¹⁾_t + λ·Â⁽²⁾_t + λ²·Â⁽³⁾_t + ...)
            = (1 − λ)·(δ_t·(1 + λ + λ² + ...) + γ·δ_{t+1}·(λ + λ² + ...) + ...)       δ_{t+l} is in all but the first l
            = Σ_{l≥0} (γ·λ)ˡ·δ_{t+l}                       Schulman et al. 2016, eq. 16
            = δ_t + γ·λ·Â_{t+1}                            and 0 for Â_{t+1} after an end or a cut

    λ = 0 is the TD error: little variance, and as wrong as V. λ = 1 is reward-to-go less V: right whatever V is, and
    as noisy as the episodes are. Shapes: all [E, T]; 0 where the mask is.
    """
    errors = td_error(reward, value, next_value, terminated, mask, discount=discount)
    onward = continues(terminated, truncated, mask)
    result = np.zeros(reward.shape)
    following = np.zeros(len(reward))  # Â_{t+1}
    for t in range(reward.shape[1] - 1, -1, -1):
        following = errors[:, t] + discount * gae_lambda * onward[:, t] * following
        result[:, t] = following
    return result


def standardize(advantage: Array) -> Array:
    """(Â − mean)/(std + c), c = 10⁻⁸·(|mean| + std), or 10⁻⁸ if that is less. One step alone, or equals, become 0.

    c is small beside the advantages whatever unit rewards have. Shapes: [N] to [N], real steps only.
    """
    mean = advantage.mean()
    centred = advantage - mean
    centred = centred - centred.mean()  # the rounding of a large mean would else be all there is of equals
    std = centred.std()
    return centred / (std + np.clip(1e-8 * (abs(mean) + std), 1e-18, 1e-8))
