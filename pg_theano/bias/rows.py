"""Every choice that biases a policy gradient, or does not, on the task whose every trajectory is enumerated.

    𝔼[ĝ] = Σ_τ P(τ)·ĝ(τ)        over all trajectories, or all pairs of them where a batch of two matters

The policy is a table of logits for each state at each time, drawn by a seed; V is as wrong as another draw makes it.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from pg_theano.exact import card, task
from pg_theano.exact.card import Card
from pg_theano.microscope import estimators, gathering
from pg_theano.microscope.estimators import Episodes, Estimator, Known
from pg_theano.types import Array

DROPPED = "late steps count fully, not γᵗ, as everybody has it"
WRONG = "V is wrong, and stands for what was not summed"
SHORT = "steps of short episodes count more; less so with more episodes"


class Row(NamedTuple):
    group: str
    name: str
    why: str  # of the bias; "" where there is none
    card: Card


class Case(NamedTuple):
    """One choice, and what its bias should be."""

    group: str
    name: str
    why: str = ""
    estimator: str = "reward_to_go"  # of `estimators.every`
    discount: float = 1.0
    episodes: int = 1
    exact_value: bool = False
    how: str = "sum"  # over steps; "mean" over the batch's; "scaled"; "moved"; "entropy"


PAID, SUBTRACTED, BOOTSTRAPPED, DESCENDED = (
    "what a step is paid, γ = 0.9",
    "what is subtracted from reward_to_go, γ = 1",
    "what is bootstrapped, γ = 1",
    "as it is descended, γ = 1",
)
CASES = [
    Case(PAID, "reward", "an action is paid for its own step alone", "reward", 0.9),
    Case(PAID, "episode_return", "", "episode_return", 0.9),
    Case(PAID, "reward_to_go", DROPPED, "reward_to_go", 0.9),
    Case(PAID, "reward_to_go · γᵗ", "", "reward_to_go · γᵗ", 0.9),
    Case(SUBTRACTED, "nothing"),
    Case(SUBTRACTED, "running_mean", "its own action is in it; what is left was paid before", "running_mean"),
    Case(SUBTRACTED, "mean_so_far", "", "mean_so_far"),
    Case(SUBTRACTED, "per_timestep, 2 episodes", "each is half of its own baseline", "per_timestep", episodes=2),
    Case(SUBTRACTED, "leave_one_out, 2 episodes", "", "leave_one_out", episodes=2),
    Case(SUBTRACTED, "V(s, t), wrong", "", "fitted V(s, t)"),
    Case(SUBTRACTED, "V(s, t), exact", "", "fitted V(s, t)", exact_value=True),
    Case(BOOTSTRAPPED, "gae, λ = 1, V wrong", "", "gae, λ = 1"),
    Case(BOOTSTRAPPED, "gae, λ = 0.5, V wrong", WRONG, "gae, λ = 0.5"),
    Case(BOOTSTRAPPED, "gae, λ = 0, V wrong", WRONG, "gae, λ = 0"),
    Case(BOOTSTRAPPED, "gae, λ = 0, V exact", "", "gae, λ = 0", exact_value=True),
    Case(DESCENDED, "mean over steps, 1 episode", SHORT, how="mean"),
    Case(DESCENDED, "mean over steps, 2 episodes", SHORT, episodes=2, how="mean"),
    Case(DESCENDED, "standardised, 2 episodes", "own action in mean and spread", "gae, λ = 1", 1.0, 2, how="scaled"),
    Case(DESCENDED, "ppo, parameters moved by 0.3", "states of the old policy; clipped ratios", how="moved"),
    Case(DESCENDED, "entropy_coefficient = 0.01", "the entropy's gradient is added", how="entropy"),
]


def rows(seed: int = 0) -> list[Row]:
    """The card of every choice, of the policy and the V that a seed draws."""
    rng = np.random.default_rng([3, seed])
    logits, value = rng.normal(0, 0.7, (3, 3, 2)), rng.normal(size=(3, 4))
    moved = logits + 0.3 * rng.normal(size=logits.shape)
    return [Row(one.group, one.name, one.why, judged(one, logits, value, moved)) for one in CASES]


def judged(case: Case, logits: Array, value: Array, moved: Array) -> Card:
    """The card of one choice."""
    every = task.trajectories()
    chosen = [one for batch in itertools.product(every, repeat=case.episodes) for one in batch]
    policy = task.table(logits)
    each = np.array([task.probability(one, policy) for one in every])
    chances = each
    for _ in range(case.episodes - 1):
        chances = np.outer(chances, each).ravel()
    estimator = next(one for one in estimators.every(0.5) if one.name == case.estimator)
    played = episodes_of(chosen)
    known = known_of(played, case.discount, task.values(policy) if case.exact_value else value)
    weights = _weighed(estimator, played, known, case.episodes)
    at = moved if case.how == "moved" else logits
    estimates = _estimates(case, weights, chosen, played, (logits, at), each)
    true = task.true_gradient(at, case.discount).ravel()
    return card.card(estimates, true, chances, case.episodes)


def episodes_of(chosen: list[task.Trajectory]) -> Episodes:
    """Trajectories as arrays; observations are the states."""
    shape = (len(chosen), task.THREE_STATES.length)
    obs, action = np.zeros((*shape, 1)), np.zeros(shape, np.int32)
    reward, mask = np.zeros(shape), np.zeros(shape)
    for e, one in enumerate(chosen):
        steps = len(one.places)
        obs[e, :steps, 0], action[e, :steps] = one.places, one.actions
        reward[e, :steps], mask[e, :steps] = task.rewards(one), 1.0
    return Episodes(obs, action, reward, np.zeros((len(chosen), 1)), np.ones(len(chosen), bool), mask)


def known_of(played: Episodes, discount: float, value: Array) -> Known:
    """What estimators know: V [S, T + 1] of a state at a time, for a baseline too."""
    of_each = value[played.obs[..., 0].astype(int), np.arange(played.mask.shape[1])[None]] * played.mask
    means = dict.fromkeys(estimators.SIGNALS, 0.37)
    return Known(discount, discount, of_each, of_each, np.pad(of_each, ((0, 0), (0, 1))), means)


def _weighed(estimator: Estimator, played: Episodes, known: Known, n: int) -> Array:
    weights, (columns,) = gathering.weights_of([estimator], played, known, [n])
    return weights[columns[0]]


def _estimates(
    case: Case,
    weights: Array,
    chosen: list[task.Trajectory],
    played: Episodes,
    logits: tuple[Array, Array],
    each: Array,
) -> Array:
    """ĝ of each batch, [B, P]. `logits`: of the policy that played, and where the gradient is taken."""
    _, at = logits
    n, (sums, ones) = case.episodes, np.zeros((2, len(chosen), at.size))
    for e, one in enumerate(chosen):
        of_each = weights[e, : len(one.places)].copy()
        if case.how == "moved":
            of_each *= _clipped(one, of_each, *logits)
        scores = task.scores(one, at).reshape(len(of_each), -1)
        sums[e], ones[e] = of_each @ scores, scores.sum(axis=0)
        if case.how == "entropy":
            sums[e] += 0.01 * _entropy_slope(one, at)
    if case.how == "scaled":
        return gathering.scaled(np.stack([sums, ones], axis=1), weights, played.mask, n)
    found = gathering.batches(sums, n).mean(axis=1)
    if case.how == "mean":
        mean_steps = float(each @ [len(one.places) for one in task.trajectories()])
        found *= mean_steps / gathering.batches(played.lengths, n).mean(axis=1)[:, None]
    return found


def _clipped(one: task.Trajectory, advantage: Array, old: Array, at: Array, clip_range: float = 0.2) -> Array:
    """π/π_old of each step, 0 where the clip lets no gradient through.                 Schulman et al. 2017, eq. 7"""
    where = list(one.places), list(range(len(one.places))), list(one.actions)
    ratio = task.table(at)[where] / task.table(old)[where]
    held = ((advantage > 0) & (ratio > 1 + clip_range)) | ((advantage < 0) & (ratio < 1 - clip_range))
    return np.where(held, 0.0, ratio)


def _entropy_slope(one: task.Trajectory, logits: Array) -> Array:
    """Σ_t ∇H(π(·|s_t)):  ∂H/∂θ_j = −π_j·(log π_j + H)."""
    policy, found = task.table(logits), np.zeros(logits.shape)
    for t, s in enumerate(one.places):
        probs = policy[s, t]
        entropy = -(probs * np.log(probs)).sum()
        found[s, t] -= probs * (np.log(probs) + entropy)
    return found.ravel()
