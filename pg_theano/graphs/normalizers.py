"""Running mean and variance by Chan's parallel formula: of observations, and of returns, whose scale rewards are given.

A reward is divided by the running standard deviation of the discounted return so far (Engstrom et al. 2020, section 3,
"reward scaling"), and no mean is taken off it, which would change what is best to do. A block of rewards [T, E] goes

    so_far, carry = discounted_return_so_far(reward, carry, terminated, truncated, mask, discount=γ, max_steps=T)
    mean, variance, count = updated(mean, variance, count, so_far.reshape((-1,)), mask.reshape((-1,)))
    reward = normalize_reward(reward, variance)
"""

import pytensor.tensor as pt

from pg_theano import parameters
from pg_theano.graphs import masks
from pg_theano.graphs.advantages import recurrence
from pg_theano.graphs.common import total
from pg_theano.spec import Acting

OBSERVATIONS = ["normalizer/mean", "normalizer/variance", "normalizer/count"]
REWARDS = ["reward_normalizer/mean", "reward_normalizer/variance", "reward_normalizer/count"]
"""Of State, where observations, or rewards, are normalised."""


def observed(acting: Acting, state, obs):
    """The observation as networks see it: normalised, where the policy says so; a mask stays as it is, and bytes become
    numbers, but for a network whose first layer takes them. [F, N]"""
    if acting.pixels and not acting.sees_pixels:
        obs = obs.astype(acting.dtype)
    if not acting.normalize_observations:
        return obs
    seen, mask = masks.split(acting, obs)
    seen = normalize(seen, *(state[name] for name in OBSERVATIONS[:2]))
    return seen if mask is None else pt.concatenate([seen, mask], axis=0)


def normalize(obs, mean, variance):
    """(o − μ) / √(σ² + 1e-8), bounded to ±10. Shapes: `obs` [F, N]; `mean`, `variance` [F].

    1e-8 is of the observation's unit, on purpose: it is in the files of every policy, and the rounding of a component
    that does not vary stays small by it.
    """
    return pt.clip((obs - mean[:, None]) / pt.sqrt(variance[:, None] + 1e-8), -10.0, 10.0)


def normalize_reward(reward, variance):
    """r / σ, bounded to ±10, whatever unit rewards have; 0 stays 0 where σ is. `reward` [T, E]; `variance` a scalar."""
    return pt.clip(reward / pt.sqrt(pt.maximum(variance, 1e-36)), -10.0, 10.0)


def discounted_return_so_far(reward, carry, terminated, truncated, mask, *, discount, max_steps):
    """The discounted sum of the rewards of an episode up to each step, and what the next block begins with.

        R_t = r_t + γ·C_{t−1}                              Engstrom et al. 2020, algorithm 1 (reward scaling)
        C_t = (1 − end_t)·R_t                              carried on; nothing of an episode that is over

    `end` is `terminated` or `truncated`. A step with mask 0 neither adds nor ends: C_t = C_{t−1}, and its R is 0. So C
    is a linear recurrence forward in time: the one of `advantages` on time reversed.

    Shapes: [T, E], T ≤ `max_steps`, but `carry` [E]: C from before the block, zeros at first. The result is
    (R [T, E], C after the block [E]).
    """
    goes_on = mask * (1.0 - terminated) * (1.0 - truncated)  # [T, E]
    factor = discount * goes_on + (1.0 - mask)
    added = goes_on * reward
    first = added[:1] + factor[:1] * carry[None, :]  # C_0, with what came before the block
    carried = recurrence(pt.concatenate([first, added[1:]], axis=0)[::-1], factor[::-1], max_steps=max_steps)[::-1]
    before = pt.concatenate([carry[None, :], carried[:-1]], axis=0)  # C_{t−1}
    return mask * (reward + discount * before), carried[-1]


def updated(mean, variance, count, obs, mask):
    """(mean, variance, count) with the real columns of `obs` added, by `parameters.pooled`.

        N' = N + n,   δ = μ_b − μ,   σ²' = S'/N',   S = σ²·N,   S_b = σ_b²·n

    Shapes: `obs` [F, N] and `mean`, `variance` [F], or of a single feature [N] and scalars; `mask` [N]. The sums run
    over differences from the old mean, which keeps float32 exact enough where a mean is far from 0. As long as nothing
    was real all stay as they are.
    """
    number = total(mask)
    real = pt.maximum(number, 1.0)
    centred = (obs - mean[..., None]) * mask
    delta = total(centred, axis=-1) / real  # [F]
    spread = (obs - mean[..., None] - delta[..., None]) * mask
    batch_variance = total(spread * spread, axis=-1) / real
    new_count = pt.maximum(count + number, 1.0)
    # count = 0 at the start: the initial variance 1 then has no weight.
    new_mean, moment = parameters.pooled(
        count, mean, variance * count, number, delta, batch_variance * number, bounded=new_count
    )
    return new_mean, pt.switch(count + number > 0, moment / new_count, variance), count + number
