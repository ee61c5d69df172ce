"""Running mean and variance of observations, by Chan's parallel formula."""

from __future__ import annotations

import pytensor.tensor as pt

from pg_theano.graphs.common import total


def normalize(obs, mean, variance):
    """(o − μ) / √(σ² + 1e-8), bounded to ±10. Shapes: `obs` [F, N]; `mean`, `variance` [F]."""
    return pt.clip((obs - mean[:, None]) / pt.sqrt(variance[:, None] + 1e-8), -10.0, 10.0)


def updated(mean, variance, count, obs, mask):
    """(mean, variance, count) with the real columns of `obs` added.       Chan, Golub and LeVeque 1979, eq. 2.1

        N' = N + n,   μ' = μ + δ·n/N',   σ²' = (σ²·N + σ_b²·n + δ²·N·n/N') / N',   δ = μ_b − μ

    Shapes: `obs` [F, N], `mask` [N]. The sums run over differences from the old mean, which keeps float32 exact
    enough where a mean is far from 0.
    """
    number = total(mask)
    real = pt.maximum(number, 1.0)
    centred = (obs - mean[:, None]) * mask[None, :]
    delta = total(centred, axis=1) / real  # [F]
    spread = (obs - mean[:, None] - delta[:, None]) * mask[None, :]
    batch_variance = total(spread * spread, axis=1) / real
    new_count = pt.maximum(count + number, 1.0)
    new_mean = mean + delta * (number / new_count)
    # count = 0 at the start: the initial variance 1 then has no weight.
    moment = variance * count + batch_variance * number + delta * delta * (count * (number / new_count))
    return new_mean, moment / new_count, count + number
