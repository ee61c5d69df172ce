"""What weighs ∇log π at each step, for every estimator: arrays of whole episodes [E, T] in, weights [E, T] out.

Every estimator here is ĝ = 1/n·Σ_e Σ_t ∇log π(a_t|s_t)·Ψ_t over a batch of n episodes (Schulman et al. 2016, eq. 1);
they differ in Ψ. Some take the batch itself into Ψ: `of_batch`. Beside them `truth`, whose expectation is ∇J exactly:

    Ψ_t = γᵗ·(Σ_{k≥t} γ^{k−t}·r_k − b(s_t, t)),     b fitted to other episodes, which no action of these can change

Steps that never happened have reward 0 and mask 0; they lie behind an episode's end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pg_theano.types import Array


class Episodes(NamedTuple):
    """Whole episodes, each from its first step on."""

    obs: Array  # [E, T, F]
    action: Array  # [E, T, ...]
    reward: Array  # [E, T]
    last_obs: Array  # [E, F] the successor of the last step
    terminated: Array  # [E] whether nothing comes after it
    mask: Array  # [E, T]

    @property
    def lengths(self) -> Array:
        return self.mask.sum(axis=1).astype(int)


class Known(NamedTuple):
    """What an estimator may know beside its own episodes; all of it comes from others."""

    discount: float  # γ of the estimators
    discount_of_j: float
    baseline: Array  # [E, T] b(s_t, t) of `truth`
    fitted: Array  # [E, T] the same, fitted to the estimators' reward_to_go
    value: Array  # [E, T + 1] V(s_t), 0 after a termination; of the last step's successor too, at the episode's end
    mean_so_far: dict[str, float]  # of each signal


class Estimator(NamedTuple):
    """One way to weigh the score of each step."""

    name: str
    weights: Callable[[Episodes, Known], Array]
    group: str
    of_batch: Callable[[Array, Array], Array] | None = None  # (weights, mask) [B, n, T] of batches to those that count
    scaled: bool = False  # centred and divided by their spread over the batch's steps
    natural: bool = False  # the gradient is multiplied by the inverse Fisher matrix of the batch

    def is_of(self, wanted: str) -> bool:
        """Whether it is what a config learns by: the name, or what is done to the gradient."""
        return wanted == ("standardised" if self.scaled else "natural" if self.natural else self.name)


# -- signals


def discounts(like: Array, discount: float) -> Array:
    """γᵗ of each step, [1, T]."""
    return (discount ** np.arange(like.shape[1], dtype=float))[None]


def own_reward(e: Episodes, discount: float) -> Array:
    """γᵗ·r_t."""
    return discounts(e.reward, discount) * e.reward


def whole_return(e: Episodes, discount: float) -> Array:
    """Σ_k γᵏ·r_k, at every step."""
    return own_reward(e, discount).sum(axis=1, keepdims=True) * e.mask


def to_go(e: Episodes, discount: float) -> Array:
    """Σ_{k≥t} γ^{k−t}·r_k."""
    return backward(e.reward, discount) * e.mask


SIGNALS: dict[str, Callable[[Episodes, float], Array]] = {
    "reward": own_reward,
    "episode_return": whole_return,
    "reward_to_go": to_go,
}


def backward(x: Array, factor: float) -> Array:
    """y_t = x_t + factor·y_{t+1}, [E, T]."""
    y = np.array(x, float)
    for t in range(x.shape[1] - 2, -1, -1):
        y[:, t] += factor * y[:, t + 1]
    return y


# -- baselines and advantages


def running_mean(signal: Array, mask: Array) -> Array:
    """The signal less its mean up to and including t, in its own episode."""
    return (signal - np.cumsum(signal, axis=1) / np.arange(1, signal.shape[1] + 1)) * mask


def per_timestep(signal: Array, mask: Array) -> Array:
    """Less the mean at t over the batch's episodes that reach t. [B, n, T]"""
    mean = (signal * mask).sum(axis=1, keepdims=True) / np.maximum(mask.sum(axis=1, keepdims=True), 1)
    return (signal - mean) * mask


def leave_one_out(signal: Array, mask: Array) -> Array:
    """Less the mean at t over the other episodes; over all their steps where none reaches t; 0 of one episode alone."""
    masked = signal * mask
    others, number = masked.sum(axis=1, keepdims=True) - masked, mask.sum(axis=1, keepdims=True) - mask
    of_each, steps = masked.sum(axis=2, keepdims=True), mask.sum(axis=2, keepdims=True)
    all_others = of_each.sum(axis=1, keepdims=True) - of_each
    anywhere = all_others / np.maximum(steps.sum(axis=1, keepdims=True) - steps, 1)
    return (signal - np.where(number > 0, others / np.maximum(number, 1), anywhere)) * mask


def errors(e: Episodes, known: Known) -> Array:
    """δ_t = r_t + γ·V(s_{t+1}) − V(s_t). [E, T]"""
    return (e.reward + known.discount * known.value[:, 1:] - known.value[:, :-1]) * e.mask


def gae(gae_lambda: float) -> Callable[[Episodes, Known], Array]:
    """Σ_l (γλ)ˡ·δ_{t+l}                                                            Schulman et al. 2016, eq. 16"""
    return lambda e, known: backward(errors(e, known), known.discount * gae_lambda) * e.mask


def n_step(number: int) -> Callable[[Episodes, Known], Array]:
    """δ_t + γ·δ_{t+1} + ... + γⁿ⁻¹·δ_{t+n−1}                                    Schulman et al. 2016, eq. 11-14"""

    def weights(e: Episodes, known: Known) -> Array:
        terms = errors(e, known)
        found, steps = np.zeros_like(terms), terms.shape[1]
        for k in range(min(number, steps)):
            found[:, : steps - k] += known.discount**k * terms[:, k:]
        return found * e.mask

    return weights


def truth(e: Episodes, known: Known) -> Array:
    """Of ∇J exactly, whatever the baseline that was fitted; γ is that of J."""
    return discounts(e.reward, known.discount_of_j) * (to_go(e, known.discount_of_j) - known.baseline) * e.mask


# -- all of them


def _signal(name: str) -> Callable[[Episodes, Known], Array]:
    return lambda e, known: SIGNALS[name](e, known.discount)


def _less_mean(name: str) -> Callable[[Episodes, Known], Array]:
    return lambda e, known: (SIGNALS[name](e, known.discount) - known.mean_so_far[name]) * e.mask


def _less_fitted(e: Episodes, known: Known) -> Array:
    return (to_go(e, known.discount) - known.fitted) * e.mask


def every(gae_lambda: float) -> list[Estimator]:
    """All estimators, those of one choice together."""
    go, signals, baselines = _signal("reward_to_go"), "what a step is paid", "what is subtracted from reward_to_go"
    lambdas = sorted({0.0, 0.5, 0.8, 0.95, 1.0, gae_lambda})
    own = f"gae, λ = {gae_lambda:g}"
    return [
        Estimator("reward", _signal("reward"), signals),
        Estimator("episode_return", _signal("episode_return"), signals),
        Estimator("reward_to_go", go, signals),
        Estimator("reward_to_go · γᵗ", lambda e, k: discounts(e.reward, k.discount) * go(e, k), signals),
        Estimator("running_mean", lambda e, k: running_mean(go(e, k), e.mask), baselines),
        Estimator("mean_so_far", _less_mean("reward_to_go"), baselines),
        Estimator("per_timestep", go, baselines, per_timestep),
        Estimator("leave_one_out", go, baselines, leave_one_out),
        Estimator("fitted V(s, t)", _less_fitted, baselines),
        *(Estimator(f"gae, λ = {one:g}", gae(one), "what is bootstrapped from V(s)") for one in lambdas),
        *(Estimator(f"n_step, n = {n}", n_step(n), "what is bootstrapped from V(s)") for n in (5, 20)),
        Estimator(f"ppo's first step: {own}, standardised", gae(gae_lambda), "as it is descended", scaled=True),
        Estimator(f"npg: F⁻¹·({own})", gae(gae_lambda), "as it is descended", natural=True),
    ]


# -- a baseline from other episodes


def features(obs: Array) -> Array:
    """1, o, o² and t, t², t³ of each step, [E, T, 2F + 4].                     Duan et al. 2016, section 4.1"""
    seen = np.clip(np.asarray(obs, float), -10, 10)
    t = np.broadcast_to(np.arange(obs.shape[1])[None, :, None] / 100.0, (*obs.shape[:2], 1))
    return np.concatenate([np.ones_like(t), seen, seen**2, t, t**2, t**3], axis=2)


def fit(signal: Array, obs: Array, mask: Array, ridge: float = 1e-5) -> Array:
    """The weights of `features` that come nearest to a signal in the least squares, over real steps."""
    x, y = features(obs)[mask > 0], signal[mask > 0]
    return np.linalg.solve(x.T @ x + ridge * len(x) * np.eye(x.shape[1]), x.T @ y)
