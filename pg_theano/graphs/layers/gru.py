"""Gated recurrent units."""

import pytensor.tensor as pt


def step(width, driven, told, before):
    """What is remembered after a step.

        r = σ(W_r·x + b_r + U_r·h),   z = σ(W_z·x + b_z + U_z·h),   n = tanh(W_n·x + b_n + r ⊙ U_n·h)
        h' = (1 − z) ⊙ n + z ⊙ h                                             Cho et al. 2014, eq. 5 to 8

    With the reset after the product, as cuDNN has it.

    H is `width`. Shapes: `driven` W·x + b and `told` U·h [3H, R], gates r, z, n; `before` h [H, R].
    """
    gates = pt.sigmoid(driven[: 2 * width] + told[: 2 * width])
    reset, kept = gates[:width], gates[width:]
    new = pt.tanh(driven[2 * width :] + reset * told[2 * width :])
    return new + kept * (before - new)
