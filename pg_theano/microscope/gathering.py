"""From episodes to a block: every estimator's estimates of batches of every size, out of one pass over the scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pg_theano.microscope.estimators import Episodes, Estimator, Known, truth
from pg_theano.microscope.judging import Block, block_of
from pg_theano.types import Array

MOST_NATURAL = 128  # parameters up to which a Fisher matrix of every episode is held
MOST_SOLVED = 128  # batches of a block whose natural gradient is solved for
DAMPING = 0.01  # of the Fisher matrix, times the mean of its diagonal


class Contracted(NamedTuple):
    """Of each episode, Σ_t w_t·∇log π(a_t|s_t) for J weights, and where asked for Σ_t ∇log π·∇log πᵀ."""

    sums: Array  # [E, J, P]
    fisher: Array | None  # [E, P, P]


class Scores(NamedTuple):
    """Where the scores of a block's steps come from, episode after episode."""

    of: Callable[[int, int], Array]  # first and last of a range of steps to [last − first, P]
    rows: int  # at most so many at once
    size: int  # P


def contracted(scores: Scores, weights: Array, lengths: Array, natural: bool) -> Contracted:
    """Contract the scores of N steps, those of episodes of such lengths, with weights [J, N]."""
    ends = np.concatenate([[0], np.cumsum(lengths)])
    found = np.zeros((len(lengths), len(weights), scores.size), weights.dtype)
    fisher = None
    if natural and scores.size <= MOST_NATURAL:
        fisher = np.zeros((len(lengths), scores.size, scores.size), weights.dtype)
    for first in range(0, int(ends[-1]), scores.rows):
        last = min(first + scores.rows, int(ends[-1]))
        score = scores.of(first, last)
        begin = int(np.searchsorted(ends, first, "right")) - 1
        for e in range(begin, int(np.searchsorted(ends, last, "left"))):
            a, b = max(first, int(ends[e])), min(last, int(ends[e + 1]))
            part = score[a - first : b - first]
            found[e] += weights[:, a:b] @ part
            if fisher is not None:
                fisher[e] += part.T @ part
    return Contracted(found, fisher)


def weights_of(
    estimators: Sequence[Estimator], episodes: Episodes, known: Known, sizes: Sequence[int]
) -> tuple[Array, list[list[int]]]:
    """(weights [J, E, T], of each estimator and size which of the J it is): 0 is the truth's, 1 are ones."""
    made = [truth(episodes, known), episodes.mask]
    which: list[list[int]] = []
    for one in estimators:
        weights = one.weights(episodes, known)
        if one.of_batch is None:
            which.append([len(made)] * len(sizes))
            made.append(weights)
            continue
        which.append(list(range(len(made), len(made) + len(sizes))))
        made += [one.of_batch(batches(weights, n), batches(episodes.mask, n)).reshape(weights.shape) for n in sizes]
    return np.array(made), which


def batches(of_each: Array, n: int) -> Array:
    """Episodes [E, ...] in batches of n, [E/n, n, ...]."""
    return of_each.reshape(len(of_each) // n, n, *of_each.shape[1:])


def block(
    estimators: Sequence[Estimator],
    episodes: Episodes,
    known: Known,
    sizes: Sequence[int],
    scores: Scores,
    fisher: Array | None = None,
) -> Block:
    """One block of as many episodes as the largest batch or a multiple of it. `fisher` [P, P] is that of others."""
    weights, which = weights_of(estimators, episodes, known, sizes)
    real = episodes.mask > 0
    flat = np.ascontiguousarray(weights[:, real], episodes.reward.dtype)  # [J, N]
    found = contracted(scores, flat, episodes.lengths, fisher is not None)
    true = found.sums[:, 0].mean(axis=0, dtype=float)
    estimates, truths = [], []
    for one, columns in zip(estimators, which, strict=True):
        of_sizes = [batches(found.sums[:, j], n).mean(axis=1) for j, n in zip(columns, sizes, strict=True)]
        if one.scaled:
            of_sizes = [scaled(found.sums[:, [columns[0], 1]], weights[columns[0]], episodes.mask, n) for n in sizes]
        if one.natural and fisher is not None and found.fisher is not None:
            of_sizes = [
                _natural(batches(found.fisher[: MOST_SOLVED * n], n).sum(axis=1), of_size[:MOST_SOLVED])
                for n, of_size in zip(sizes, of_sizes, strict=True)
            ]
        estimates.append(of_sizes)
        truths.append(_natural(fisher[None], true[None])[0] if one.natural and fisher is not None else true)
    return block_of(estimates, np.array(truths))


def scaled(sums: Array, weights: Array, mask: Array, n: int) -> Array:
    """(Σ ∇log π·Ψ − mean(Ψ)·Σ ∇log π) / std(Ψ), mean and spread over all steps of each batch. [B, P]"""
    number = batches(mask, n).sum(axis=(1, 2))
    mean = batches(weights * mask, n).sum(axis=(1, 2)) / number
    spread = np.sqrt(np.maximum(batches(weights**2 * mask, n).sum(axis=(1, 2)) / number - mean**2, 0))
    of_batch = batches(sums, n).mean(axis=1)  # [B, 2, P]
    centred = of_batch[:, 0] - mean[:, None] * of_batch[:, 1]
    return centred / np.where(spread > 1e-8 * (abs(mean) + spread), spread, np.inf)[:, None]


def _natural(fisher: Array, gradient: Array) -> Array:
    """(F + c·I)⁻¹·g of each batch, F over its mean diagonal: [B, P, P] and [B, P] to [B, P]."""
    size = fisher.shape[-1]
    diagonal = np.trace(fisher, axis1=1, axis2=2)[:, None, None] / size
    whole = fisher / np.where(diagonal > 0, diagonal, 1.0) + DAMPING * np.eye(size)
    return np.linalg.solve(whole, gradient[..., None])[..., 0]
