"""An objective of one's own: simple policy optimisation (Xie et al. 2024), PPO without the clip."""

import pytensor.tensor as pt


def objective(log_prob, old_log_prob, advantage, value, mask, *, epsilon=0.2):
    """𝔼[ r·Â − |Â|/(2ε)·(r − 1)² ], a parabola in r: its top is at 1 + ε for a good action, at 1 − ε for a bad one."""
    ratio = pt.exp(log_prob - old_log_prob)
    gain = ratio * advantage - pt.abs(advantage) / (2 * epsilon) * (ratio - 1) ** 2
    return pt.sum(gain * mask) / pt.sum(mask)
