"""Several runs in one number, and how sure it is: the statistics of every comparison in this project. NumPy only.

Scores stand in strata, one a task: arrays [..., n], runs along the last axis, as many as there are. Every aggregate
takes strata and gives [...]; a task counts as much as any other, however many runs it has. Bootstrap intervals draw the
runs of each task anew from that task (Agarwal, Schwarzer, Castro, Courville and Bellemare 2021, "Deep reinforcement
learning at the edge of the statistical precipice", section 4):

    drawn = resampled(strata, rng, 10_000)                    # one array [..., 10_000, n] a task
    low, high = interval(interquartile_mean(*drawn))          # 95 %, percentile bootstrap
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pg_theano.types import Array

LEVEL = 0.95


def resampled(strata: Sequence[Any], rng: np.random.Generator, resamples: int) -> list[Array]:
    """Strata [..., n_m] drawn again with replacement, each from itself and to its own size: [..., resamples, n_m] each.

    Stratified bootstrap: Efron 1979; strata are tasks in Agarwal et al. 2021, section 4.1.
    """
    drawn = []
    for stratum in strata:
        runs = np.asarray(stratum, float)
        number = runs.shape[-1]
        drawn.append(runs[..., rng.integers(number, size=(resamples, number))])
    return drawn


def interval(statistics: Any, level: float = LEVEL) -> tuple[Any, Any]:
    """(low [...], high [...]) of statistics [..., resamples]: percentiles that leave (1 − level)/2 at each side."""
    outside = 50 * (1 - level)
    low, high = np.percentile(statistics, [outside, 100 - outside], axis=-1)
    return low, high


def mean(*strata: Any) -> Any:
    """The mean over tasks of the mean over runs. Strata [..., n_m]; the result is [...]."""
    return np.mean([np.mean(stratum, axis=-1) for stratum in strata], axis=0)


def median(*strata: Any) -> Any:
    """The median over tasks of the mean over runs (Agarwal et al. 2021, section 4); of one task alone, over its runs.

    The former would be its mean there, which `mean` is already. Strata [..., n_m]; the result is [...].
    """
    if len(strata) == 1:
        return np.median(strata[0], axis=-1)
    return np.median([np.mean(stratum, axis=-1) for stratum in strata], axis=0)


def interquartile_mean(*strata: Any) -> Any:
    """The mean of the middle half of all runs, a run counting for the share of it that lies inside.

        IQM = 2·∫ Q(p) dp over p from ¼ to ¾,   Q the quantile function of all runs, tasks weighing alike

    Agarwal et al. 2021, section 4.3. Their code (rliable) cuts ⌊N/4⌋ whole runs at each side, so that of N = 5 it keeps
    three fifths and of N = 3 all, outliers too; here it is half for every N. Where 4 divides N, they are equal.
    Strata [..., n_m]; the result is [...].
    """
    sizes = [np.shape(stratum)[-1] for stratum in strata]
    values = np.concatenate([np.asarray(stratum, float) for stratum in strata], axis=-1)
    if len(set(sizes)) == 1:
        number = values.shape[-1]
        cut, edges = number / 4, np.arange(number)
        share = np.clip(edges + 1 - cut, 0, 1) * np.clip(number - cut - edges, 0, 1)
        return np.sort(values, axis=-1) @ (share / share.sum())
    weights = np.concatenate([np.full(size, 1 / (size * len(sizes))) for size in sizes])  # [N]
    order = np.argsort(values, axis=-1)
    above = np.cumsum(weights[order], axis=-1)
    inside = np.clip(np.minimum(above, 0.75) - np.maximum(above - weights[order], 0.25), 0, None)
    return np.sum(np.take_along_axis(values, order, axis=-1) * inside, axis=-1) / np.sum(inside, axis=-1)


def optimality_gap(*strata: Any, target: float = 1.0) -> Any:
    """How far runs fall short of a target, where they do: γ − mean(min(score, γ)).

    Agarwal et al. 2021, section 4.3; lower is better, 0 where every run is there. Strata [..., n_m]; result [...].
    """
    return target - mean(*[np.minimum(stratum, target) for stratum in strata])


def profile(*strata: Any, at: Any) -> Any:
    """The share of runs whose score is over τ, for each τ: the performance profile (run-score distribution).

        F̂(τ) = 1/M Σ_m 1/n_m Σ_i 1[x_mi > τ]          Agarwal et al. 2021, eq. 1

    Strata [..., n_m], `at` [K]; the result is [..., K].
    """
    thresholds = np.asarray(at, float)[:, None]
    return mean(*[np.asarray(stratum, float)[..., None, :] > thresholds for stratum in strata])


def wins(x: Any, y: Any) -> Array:
    """1 where x_i > y_j, ½ where they are equal, else 0: [n, m] of scores [n] and [m] of one task."""
    x, y = np.asarray(x, float)[:, None], np.asarray(y, float)[None, :]
    return (x > y) + 0.5 * (x == y)


def probability_of_improvement(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    """The probability that a run of X beats one of Y on a task, drawn at random: P(X > Y) + ½·P(X = Y).

        P̂(X > Y) = 1/M Σ_m 1/(n_m·k_m) Σ_i Σ_j S(x_mi, y_mj)       Agarwal et al. 2021, section 4.3

    The statistic of Mann and Whitney (1947), by task. Of both, one array a task, [n_m] and [k_m], in one order.
    """
    return float(np.mean([wins(x, y).mean() for x, y in zip(xs, ys, strict=True)]))


def resampled_improvement(xs: Sequence[Any], ys: Sequence[Any], rng: np.random.Generator, resamples: int) -> Array:
    """`probability_of_improvement` of runs drawn anew from each task, those of X and of Y by themselves: [resamples].

    A resample counts how often it drew each run, c [n] and d [k], so that its share of wins is c·S·d/(n·k).
    """
    total = np.zeros(resamples)
    for x, y in zip(xs, ys, strict=True):
        table = wins(x, y)
        of_x, of_y = (rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(float) for n in table.shape)
        total += np.sum((of_x @ table) * of_y, axis=-1) / table.size
    return total / len(xs)
