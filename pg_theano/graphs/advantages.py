"""Signals: what each step is paid for. Time-major [T, E]; after its episode's end a step has reward 0, mask 0."""

from __future__ import annotations

import pytensor.tensor as pt

from pg_theano.graphs.common import total


def timestep(reward):
    """t = 0, 1, ... T−1 down each column, [T, E]. A running sum: the number of steps need not be known."""
    return pt.cumsum(pt.ones_like(reward), axis=0) - 1


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
        shifted = pt.concatenate([to_go[shift:], pt.zeros_like(to_go[:shift])], axis=0)
        # A power, not a product of products: PyTensor's rewrites would write that out as `shift` factors.
        to_go = to_go + discount**shift * shifted
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


def standardize(advantage, mask):
    """(A − mean) / (std + 1e-8) over real steps. A minibatch of one step, or of equals, becomes zeros, not NaN.

    Shapes: [T, E] and [T, E] to [T, E].
    """
    number = pt.maximum(total(mask), 1.0)
    mean = total(advantage * mask) / number
    centred = (advantage - mean) * mask
    # Once more: the rounding of a large mean would else be all there is of equals, divided by itself.
    centred = (centred - total(centred) / number) * mask
    return centred / (pt.sqrt(total(centred * centred) / number) + 1e-8)
