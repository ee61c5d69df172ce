"""Generalised advantage estimation as it should be, in the layout [T, N] of Stable-Baselines3 and CleanRL."""

import numpy as np


def advantages(rewards, values, next_values, terminated, truncated, gamma, lam):
    """Â and the targets of V, each [T, N]. `next_values` is V of the true successor, seen before any reset."""
    result = np.zeros_like(values)
    last = np.zeros(values.shape[1])
    for t in reversed(range(len(rewards))):
        bootstraps = 1.0 - terminated[t]
        continues = 1.0 - (terminated[t] | truncated[t])
        delta = rewards[t] + gamma * bootstraps * next_values[t] - values[t]
        last = delta + gamma * lam * continues * last
        result[t] = last
    targets = result + values
    return result, targets
