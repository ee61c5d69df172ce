"""Ways to find a fault of advantages without training: a table worked by hand, an enumerated task, differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from pg_theano.by_hand import policies, ppo, vpg
from pg_theano.by_hand.networks import Network
from pg_theano.exact import task as exact
from pg_theano.types import Array, Rollout

Advantages = Callable[..., tuple[Array, Array]]
"""As `right.advantages`."""

TABLE = np.array(
    [  # r, V, V(successor), terminated, truncated, Â, target of V;   γ = λ = ½
        (1.0, 2.0, 4.0, 0, 0, 0.5, 2.5),  # δ = 1 + 2 − 2 = 1;  Â = 1 + ¼·(−2)
        (2.0, 4.0, 9.0, 1, 0, -2.0, 2.0),  # δ = 2 − 4; nothing comes any more
        (0.0, 1.0, 2.0, 0, 0, 0.75, 1.75),  # δ = 0 + 1 − 1 = 0;  Â = 0 + ¼·3
        (1.0, 2.0, 8.0, 0, 1, 3.0, 5.0),  # δ = 1 + 4 − 2; the time limit ends the sum
        (0.0, 1.0, 1.0, 0, 0, 0.25, 1.25),  # δ = 0 + ½ − 1 = −½;  Â = −½ + ¼·3
        (1.0, 1.0, 6.0, 0, 0, 3.0, 4.0),  # δ = 1 + 3 − 1; the record ends, the episode does not
    ]
)
"""Six steps of one environment, worked by hand."""


def by_table(advantages: Advantages) -> bool:
    """Whether a function differs from the table."""
    reward, value, following, terminated, truncated, expected, target = TABLE.T[:, :, None]  # each [6, 1]
    found = advantages(reward, value, following, terminated > 0, truncated > 0, 0.5, 0.5)
    return not (np.allclose(found[0], expected, atol=1e-6) and np.allclose(found[1], target, atol=1e-6))


# -- an enumerated task

GAMMA, LIMIT = 0.9, 2


def by_enumeration(advantages: Advantages, way: str, seed: int) -> float:
    """‖𝔼[ĝ] − ∇J‖/‖∇J‖ of the three-state task, over all that can happen: 0 of right code. The worse of two:

        ĝ = Σ_t γᵗ·∇log π(a_t|s_t)·Â_t           V exact, λ = ½;   V wrong but where an episode is cut, λ = 1

    The logits have times, [S, T, A]. A time limit stops each episode after two steps, so that ∇J is compared for the
    logits of the first two times. In stretches a second episode follows in the same column, and the record ends after
    its first step.
    """
    return max(_bias(advantages, way, seed, lam) for lam in (0.5, 1.0))


def _bias(advantages: Advantages, way: str, seed: int, lam: float) -> float:
    logits = np.random.default_rng(seed).normal(0, 0.7, (3, 3, 2))
    policy = exact.table(logits)
    right = exact.values(policy, GAMMA)  # [S, T + 1]
    values = right, right if lam < 1 else np.random.default_rng(seed + 1).normal(0, 1.5, right.shape)
    chances = [(exact.probability(one, policy), one) for one in exact.trajectories()]
    true = exact.true_gradient(logits, GAMMA)
    expected = np.zeros_like(true)
    if way == "whole":
        for chance, one in chances:
            steps = _steps(one, values, logits, LIMIT)
            expected += chance * _estimate(advantages, steps, lam)
        goal = _until(true, LIMIT)
    else:
        first = _merged(chances, values, logits, LIMIT)
        second = _merged(chances, values, logits, 1)
        for (chance, ahead), (other, behind) in itertools.product(first, second):
            behind = {**behind, "truncated": np.zeros(1, bool)}  # cut, not ended
            both = {name: np.concatenate([ahead[name], behind[name]]) for name in ahead}
            expected += chance * other * _estimate(advantages, both, lam)
        goal = _until(true, LIMIT) + _until(true, 1)
    return float(np.linalg.norm(expected - goal) / np.linalg.norm(goal))


def _until(gradient: Array, times: int) -> Array:
    return np.where(np.arange(gradient.shape[1])[None, :, None] < times, gradient, 0.0)


def _steps(one: exact.Trajectory, values: tuple[Array, Array], logits: Array, limit: int) -> dict[str, Array]:
    """The first steps of a trajectory, as arrays; it was stopped by a time limit if it has more.

    `values` are V where it was stopped, and elsewhere.
    """
    taken = min(len(one.places), limit)
    time = np.arange(taken)
    places = np.array(one.places)
    over = len(one.places) <= limit
    at = np.append(places[1:], places[-1])[:taken], time + 1
    following = np.where(time < taken - 1, values[1][at], values[0][at])
    terminated = np.zeros(taken, bool)
    terminated[-1] = over
    truncated = np.zeros(taken, bool)
    truncated[-1] = not over
    return {
        "reward": exact.rewards(one)[:taken],
        "value": values[1][places[:taken], time],
        "following": np.where(terminated, 3.7, following),  # no one's value: nothing comes
        "terminated": terminated,
        "truncated": truncated,
        "score": exact.scores(one, logits)[:taken] * (GAMMA**time)[:, None, None, None],
    }


def _merged(
    chances: list[tuple[float, exact.Trajectory]], values: tuple[Array, Array], logits: Array, limit: int
) -> list[tuple[float, dict[str, Array]]]:
    """What can happen in the first steps, each once, with its probability."""
    found: dict[Any, tuple[float, dict[str, Array]]] = {}
    for chance, one in chances:
        key = one.places[: limit + 1], one.actions[:limit]
        before = found.get(key)
        found[key] = (chance + (before[0] if before else 0.0), _steps(one, values, logits, limit))
    return list(found.values())


def _estimate(advantages: Advantages, steps: dict[str, Array], lam: float) -> Array:
    columns = [steps[name][:, None] for name in ("reward", "value", "following", "terminated", "truncated")]
    found = advantages(*columns, GAMMA, lam)[0][:, 0]
    return np.tensordot(found, steps["score"], axes=1)


# -- differences


def by_differences(seed: int) -> float:
    """The gradient of PPO's loss beside central differences, as the twin has it: largest error, relative.

    Advantages are constants to the gradient, so that this is small whatever they are. Call it with a fault planted.
    """
    rng = np.random.default_rng(seed)
    agent = vpg.Agent(policies.LOGISTIC, Network((3, 4, 1)), Network((3, 4, 1)))
    state = vpg.init(agent, rng)
    shape = (2, 8)
    obs = rng.normal(size=(*shape, 3))
    action, log_prob = vpg.act(agent, state, obs.reshape(-1, 3), rng.random((16, 1)))
    ends = rng.random((2, *shape)) < 0.2
    rollout = Rollout(
        obs, action.reshape(shape), log_prob.reshape(shape), rng.normal(size=shape), rng.normal(size=(*shape, 3)),
        ends[0], ends[1], np.ones(shape),
    )  # fmt: skip
    steps = vpg.estimate(agent, state, rollout, discount=GAMMA, gae_lambda=0.5)
    params = state["policy"] + rng.normal(0, 0.1, state["policy"].shape)

    def policy(at: Array) -> tuple[float, Array]:
        how = {"clip_range": 0.2, "entropy_coefficient": 0.01}
        return ppo.policy_loss(agent, at, steps.obs, steps.action, steps.log_prob, steps.advantage, **how)

    def value(at: Array) -> tuple[float, Array]:
        return vpg.value_loss(agent, at, steps.obs, steps.target)

    errors = []
    for loss, at in ((policy, params), (value, state["value"])):
        found = loss(at)[1]
        error = np.abs(found - exact.differences(lambda x, loss=loss: loss(x)[0], at, 1e-4)).max()  # type: ignore[misc]
        errors.append(error / np.abs(found).max())
    return float(max(errors))
