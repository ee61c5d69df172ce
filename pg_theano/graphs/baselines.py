"""Baselines: what is subtracted from the signal. A baseline that does not depend on the step's own action leaves
the expected gradient as it is, because 𝔼[∇log π · b] = b·∇Σπ = 0 (Williams 1992, section 6).

| name            | b_t                                                                   | bias                    |
|-----------------|------------------------------------------------------------------------|-------------------------|
| `none`          | 0                                                                      | none                    |
| `running_mean`  | mean of this episode's signals up to and including t: the classic one  | its own action is in it |
| `mean_so_far`   | mean of the signals of all earlier updates, kept in State              | none                    |
| `per_timestep`  | mean at t over this minibatch's episodes that reach t                  | itself has 1/n of it    |
| `leave_one_out` | the same over the other episodes (Kool et al. 2019)                    | none                    |
"""

import pytensor.tensor as pt

from pg_theano.graphs.common import total


def running_mean(signal):
    """b_t = (1/(t+1))·Σ_{k≤t} s_k. Shapes: [T, E] to [T, E].

    s_t is part of its own baseline. With the signal γᵗ·r_t and rewards that never change (CartPole's 1), the
    signal only ever falls, so it never exceeds its running mean: no advantage is ever positive.
    """
    return pt.cumsum(signal, axis=0) / pt.cumsum(pt.ones_like(signal), axis=0)


def per_timestep(signal, mask):
    """b_t = Σ_e m·s / Σ_e m over the minibatch at each t. The last episode left alone at t gets advantage 0.

    Each episode is 1/n of its own baseline: where all are equally long the expected gradient shrinks by (1 − 1/n) and
    keeps its direction; where lengths differ it shrinks by another factor at each t.
    Shapes: [T, E] to [T, 1].
    """
    return total(signal * mask, axis=1, keepdims=True) / pt.maximum(total(mask, axis=1, keepdims=True), 1.0)


def leave_one_out(signal, mask):
    """b_{t,e} = Σ_{j≠e} m_{t,j}·s_{t,j} / Σ_{j≠e} m_{t,j}.                                   Kool et al. 2019

    Where no other episode reaches t, the mean over all steps of the others; with one episode in all, 0.
    Neither depends on episode e's own actions. Shapes: [T, E] to [T, E].
    """
    masked = signal * mask
    others = total(masked, axis=1, keepdims=True) - masked  # [T, E] the others at t
    number = total(mask, axis=1, keepdims=True) - mask  # [T, E]
    all_total = total(masked) - total(masked, axis=0, keepdims=True)  # [1, E] the others at any time
    all_number = total(mask) - total(mask, axis=0, keepdims=True)  # [1, E]
    anywhere = all_total / pt.maximum(all_number, 1.0)
    return pt.switch(pt.gt(number, 0), others / pt.maximum(number, 1.0), anywhere)


def next_mean_so_far(mean, count, signal, mask):
    """(mean, count) with this update's real steps added: m' = m + (s̄ − m)·n/(N + n), N' = N + n."""
    number = total(mask)
    batch_mean = total(signal * mask) / pt.maximum(number, 1.0)
    new_count = count + number
    return mean + (batch_mean - mean) * (number / pt.maximum(new_count, 1.0)), new_count
