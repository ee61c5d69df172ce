"""Signals: what each step is paid for; and advantages: how much better than expected it turned out. Time-major [T, E].

A signal is of whole episodes, one a column: after its episode's end a step has reward 0, mask 0. An advantage is of
any stretch of experience: a column may hold several episodes one after the other, and steps that never happened
(mask 0) at any place. What comes after a step is one of four things:

    continues      the next row is the next step of the same episode
    terminated     the episode is over, by the rules of the task: nothing comes, and nothing is worth 0
    truncated      a time limit stopped it: more would have come, worth V of the true successor
    cut            the record ends here though the episode does not: again V of the true successor

`value` is V(obs), `next_value` is V(next_obs): of the successor itself, seen before any reset. `terminated`,
`truncated` and `mask` are 0 or 1 in the dtype of the rewards. The same in NumPy, step by step: `by_hand/advantages.py`.
"""

import pytensor.tensor as pt

from pg_theano.graphs.common import total


def timestep(reward):
    """t = 0, 1, ... T−1 down each column, [T, E]. A running sum: the number of steps need not be known."""
    return pt.cumsum(pt.ones_like(reward), axis=0) - 1


def _shifted(x, shift):
    """x_{t+shift}, 0 beyond the end. Shapes: [T, E] to [T, E], T above or below `shift`."""
    return pt.concatenate([x[shift:], pt.zeros_like(x[:shift])], axis=0)


def reward_to_go(reward, *, discount, max_steps):
    """The discounted return from each step on.

        G_t = Σ_{k≥t} γ^{k−t}·r_k                                     Williams 1992; Sutton and Barto 2018, eq. 3.8

    By doubling: after n rounds G holds the first 2ⁿ terms, so log₂T shifted additions do what a loop over T
    steps would, with no scan and no T×T matrix:

        G⁽ⁿ⁺¹⁾_t = G⁽ⁿ⁾_t + γ^(2ⁿ)·G⁽ⁿ⁾_{t+2ⁿ}

    Shapes: `reward` [T, E], T ≤ `max_steps`; the result [T, E].
    """
    to_go, shift = reward, 1
    while shift < max_steps:
        # A power, not a product of products: PyTensor's rewrites would write that out as `shift` factors.
        to_go = to_go + discount**shift * _shifted(to_go, shift)
        shift = 2 * shift
    return to_go


def signal(name, reward, *, discount, max_steps):
    """What weighs the gradient of log π at each step, [T, E].

    reward            γᵗ·r_t, the classic single reward: an action is paid for its own step alone
    episode_return    Σ_k γᵏ·r_k, the same for every step of the episode          (Williams 1992)
    reward_to_go      Σ_{k≥t} γ^{k−t}·r_k: an action cannot change what came before it

    `reward_to_go` leaves out the factor γᵗ that the exact gradient of the discounted return has, as everybody
    does: with it, late steps of long episodes would hardly count. For γ < 1 that is a bias, and meant.
    """
    if name == "reward":
        return discount ** timestep(reward) * reward
    if name == "episode_return":
        return pt.zeros_like(reward) + total(discount ** timestep(reward) * reward, axis=0, keepdims=True)
    return reward_to_go(reward, discount=discount, max_steps=max_steps)


def _doubled(x, factor, number):
    """(s, the first s terms of the recurrence, the product of s factors) for s = 1, 2, 4, ... as far as `number`."""
    terms, product, shift = x, factor, 1
    while True:
        yield shift, terms, product
        if 2 * shift > number:
            return
        terms, product = terms + product * _shifted(terms, shift), product * _shifted(product, shift)
        shift = 2 * shift


def recurrence(x, factor, *, max_steps):
    """A linear recurrence backward in time, with a factor of its own at each step.

        y_t = x_t + f_t·y_{t+1},   y_T = 0

    By doubling, as `reward_to_go` (Hillis and Steele 1986): after n rounds y holds the first 2ⁿ terms, and c the
    product of 2ⁿ factors:

        y⁽ⁿ⁺¹⁾_t = y⁽ⁿ⁾_t + c⁽ⁿ⁾_t·y⁽ⁿ⁾_{t+2ⁿ},   c⁽ⁿ⁺¹⁾_t = c⁽ⁿ⁾_t·c⁽ⁿ⁾_{t+2ⁿ}

    Shapes: `x`, `factor` [T, E], T ≤ `max_steps`; the result [T, E].
    """
    *_, (_, terms, _) = _doubled(x, factor, 1 << (max_steps - 1).bit_length())
    return terms


def continues(terminated, truncated, mask):
    """1 where the next row is the next step of the same episode; never in the last row.

        k_t = m_t·m_{t+1}·(1 − terminated_t)·(1 − truncated_t)

    Where this is 0 and `terminated` is 0 too, the sum is cut, and V(next_obs) stands for what was not seen.
    Shapes: all [T, E].
    """
    return mask * _shifted(mask, 1) * (1.0 - terminated) * (1.0 - truncated)


def td_error(reward, value, next_value, terminated, mask, *, discount):
    """What one step has shown, less what was expected.

        δ_t = r_t + γ·V(o_{t+1}) − V(o_t)                  Schulman et al. 2016, section 3; V(o_{t+1}) = 0 if terminated

    Shapes: all [T, E]; 0 where the mask is.
    """
    return mask * (reward + discount * (1.0 - terminated) * next_value - value)


def bootstrapped_reward_to_go(reward, next_value, terminated, truncated, mask, *, discount, max_steps):
    """The discounted return from each step on, with V for what was not seen of it.

        G_t = r_t + γ·G_{t+1}                              Sutton and Barto 2018, eq. 3.9

    After `terminated` G_{t+1} is 0, after a time limit or a cut V(next_obs). Where no V is learned, `next_value` of 0
    leaves the sum of what was seen. Shapes: all [T, E], T ≤ `max_steps`; 0 where the mask is.
    """
    onward = continues(terminated, truncated, mask)
    after_cut = (1.0 - onward) * (1.0 - terminated) * next_value  # [T, E]
    return recurrence(mask * (reward + discount * after_cut), discount * onward, max_steps=max_steps)


def n_step(reward, value, next_value, terminated, truncated, mask, *, discount, num_steps, max_steps):
    """n rewards that were seen, and V for the rest.

        Â⁽ⁿ⁾_t = r_t + γ·r_{t+1} + ... + γⁿ⁻¹·r_{t+n−1} + γⁿ·V(o_{t+n}) − V(o_t)        Schulman et al. 2016, eq. 11-14
               = δ_t + γ·δ_{t+1} + ... + γⁿ⁻¹·δ_{t+n−1}     all V but first and last cancel

    Fewer where the episode ends sooner, or the record. The n terms are put together from stretches of 1, 2, 4, ...,
    one for each bit of n, so that log₂n rounds are enough. `num_steps` is n ≥ 1, a plain number as it shapes the
    graph. Shapes: all [T, E], T ≤ `max_steps`; 0 where the mask is.
    """
    errors = td_error(reward, value, next_value, terminated, mask, discount=discount)
    number = min(num_steps, max_steps)
    result = pt.zeros_like(errors)
    for size, terms, product in _doubled(errors, discount * continues(terminated, truncated, mask), number):
        if number & size:
            result = terms + product * _shifted(result, size)
    return result


def gae(reward, value, next_value, terminated, truncated, mask, *, discount, gae_lambda, max_steps):
    """Generalised advantage estimation: all n-step estimates at once, the n-th with weight (1 − λ)·λⁿ⁻¹.

        Â_t = Σ_{l≥0} (γ·λ)ˡ·δ_{t+l}                       Schulman et al. 2016, eq. 16
            = δ_t + γ·λ·Â_{t+1}                            and 0 for Â_{t+1} after an end or a cut

    λ = 0 is the TD error, λ = 1 is `bootstrapped_reward_to_go` less V. Shapes: all [T, E], T ≤ `max_steps`; 0 where
    the mask is.
    """
    errors = td_error(reward, value, next_value, terminated, mask, discount=discount)
    onward = continues(terminated, truncated, mask)
    return recurrence(errors, discount * gae_lambda * onward, max_steps=max_steps)


def standardize(advantage, mask):
    """(A − mean) / (std + c) over real steps, c = 10⁻⁸·(|mean| + std), or 10⁻⁸ if that is less.

    c is small beside the advantages whatever unit rewards have, and not beside the rounding of equals: a minibatch of
    one step, or of equals, becomes zeros, not NaN. Shapes: [T, E] and [T, E] to [T, E].
    """
    number = pt.maximum(total(mask), 1.0)
    mean = total(advantage * mask) / number
    centred = (advantage - mean) * mask
    # Once more: the rounding of a large mean would else be all there is of equals, divided by itself.
    centred = (centred - total(centred) / number) * mask
    std = pt.sqrt(total(centred * centred) / number)
    return centred / (std + pt.clip(1e-8 * (abs(mean) + std), 1e-18, 1e-8))  # below 1e-18 a float32's square is 0
