"""J along a step: of the true gradient, of the run's own estimates, and as the surrogate of those promises.

    true      J(θ + h·∇J/‖∇J‖) − J(θ)
    own       J(θ + h·ĝ/‖ĝ‖) − J(θ), in the mean over batches
    promised  1/n·Σ_e Σ_t (π_{θ+h·ĝ/‖ĝ‖}(a_t|s_t) / π_θ(a_t|s_t) − 1)·Ψ_t, of the batch that ĝ was made of

Ilyas et al. 2020, section 4: with as few samples as are used, what the surrogate promises is not what J does. J with
and without a step are of the same random numbers, so that their difference is known better than they are.
"""

from __future__ import annotations

import numpy as np

from pg_theano.microscope import estimators as weighing
from pg_theano.microscope import gathering, judging
from pg_theano.microscope.estimators import Episodes, Estimator
from pg_theano.microscope.looking import Along, Fitted, Look, Point
from pg_theano.types import Array, State

LENGTHS = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
BATCHES = 16  # of the run's own size, each a step of its own
MOST_JUDGING = 4096  # episodes that J is told of, along a step
MOST_TRUE = 16_384  # episodes that ∇J is made of


def along(look: Look, own: str, seed: np.random.SeedSequence, point: Point, most: int, unit: float) -> Along:
    """J at some lengths of a step. `own` names the estimator; where it is none, the first is taken."""
    estimator = next((one for one in look.estimators if one.name == own), look.estimators[0])
    fitted = look.fitted(look.watched.play(look.state, look.fitting(most), seed.spawn(1)[0]))
    true = _true(look, fitted, seed, min(most, MOST_TRUE))
    judging_seed, each = seed.spawn(1)[0], max(1, min(MOST_JUDGING, most // 8) // BATCHES)
    before = _returns(look, look.state, each * BATCHES, judging_seed)
    of_true = [_returns(look, _moved(look, true, h * unit), len(before), judging_seed) - before for h in LENGTHS]
    gained, promised = np.zeros((2, BATCHES, len(LENGTHS)))
    for b in range(BATCHES):
        judging_seed = seed.spawn(1)[0]  # of each batch, so that the interval holds the error of J too
        before = _returns(look, look.state, each, judging_seed)
        played = look.watched.play(look.state, look.sizes[point.at], seed.spawn(1)[0])
        weights = _weights(look, estimator, played, fitted)
        estimate = _contracted(look, played, weights).mean(axis=0)
        told = look.watched.log_probs(look.state, played)
        for i, h in enumerate(LENGTHS):
            moved = _moved(look, estimate, h * unit)
            gained[b, i] = (_returns(look, moved, each, judging_seed) - before).mean()
            ratio = np.exp(np.clip(look.watched.log_probs(moved, played) - told, -20, 20))
            promised[b, i] = ((ratio - 1) * weights * played.mask).sum(axis=1).mean()
    return Along(LENGTHS, unit, [*map(_mean, of_true)], [*map(_mean, gained.T)], [*map(_mean, promised.T)])


def _true(look: Look, fitted: list[Fitted], seed: np.random.SeedSequence, number: int) -> Array:
    """∇J as well as so many episodes know it, times some number. [P]"""
    found: Array = np.zeros(look.watched.num_params)
    for _ in range(max(1, number // look.sizes[-1])):
        played = look.watched.play(look.state, look.sizes[-1], seed.spawn(1)[0])
        weights = weighing.truth(played, look.known(played, fitted))
        found += _contracted(look, played, weights).sum(axis=0)
    return found


def _weights(look: Look, estimator: Estimator, played: Episodes, fitted: list[Fitted]) -> Array:
    """Ψ of a batch, [n, T]; it is not divided by its spread, as the surrogate is to be in units of J."""
    weights = estimator.weights(played, look.known(played, fitted))
    if estimator.of_batch is None:
        return weights
    return estimator.of_batch(weights[None], played.mask[None])[0]


def _contracted(look: Look, played: Episodes, weights: Array) -> Array:
    """Σ_t ∇log π·Ψ_t of each episode, [E, P]."""
    flat = np.ascontiguousarray(weights[played.mask > 0][None], look.watched.dtype)
    return gathering.contracted(look.scores(played), flat, played.lengths, False).sums[:, 0]


def _moved(look: Look, direction: Array, length: float) -> State:
    """The State that lies so far in a direction of the policy's parameters."""
    params, size = np.array(look.state["params"], float), float(np.linalg.norm(direction))
    if size:
        params[: len(direction)] += length * direction / size
    return look.state | {"params": params.astype(look.watched.dtype)}


def _returns(look: Look, state: State, number: int, seed: np.random.SeedSequence) -> Array:
    """The discounted return of each episode of a seed, [number]."""
    again = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)  # whose children are the same each time
    played = look.watched.play(state, number, again)
    return weighing.own_reward(played, look.discounts[1]).sum(axis=1)


def _mean(found: Array) -> judging.Interval:
    """A mean and its 95 % interval."""
    half = judging.quantile(len(found) - 1) * float(found.std(ddof=1)) / len(found) ** 0.5
    return judging.Interval(float(found.mean()), float(found.mean() - half), float(found.mean() + half))
