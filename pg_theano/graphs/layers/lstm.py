"""Long short-term memory."""

import pytensor.tensor as pt


def step(width, driven, told, before):
    """What is remembered after a step: h' over c'.

        i, o = σ(W·x + b + U·h),   f = σ(W_f·x + b_f + U_f·h + 1),   g = tanh(W_g·x + b_g + U_g·h)
        c' = f ⊙ c + i ⊙ g,        h' = o ⊙ tanh c'                                    Gers et al. 2000, section 3

    The 1 lets it remember from the start (Jozefowicz et al. 2015). H is `width`.
    Shapes: `driven` W·x + b and `told` U·h
    [4H, R], gates i, f, g, o; `before` h over c [2H, R].
    """
    given, forgets, new, shown = (
        driven[k * width : (k + 1) * width] + told[k * width : (k + 1) * width] for k in range(4)
    )
    cells = pt.sigmoid(forgets + 1) * before[width:] + pt.sigmoid(given) * pt.tanh(new)
    return pt.concatenate([pt.sigmoid(shown) * pt.tanh(cells), cells], axis=0)
