"""A task of three states whose every trajectory is enumerated: its J and ∇J are sums, not samples.

    P_θ(τ) = Π_t P(s_{t+1} | s_t, a_t)·π_θ(a_t | s_t, t)
    J(θ)   = Σ_τ P_θ(τ)·Σ_t γᵗ·r_t                           over all trajectories τ
    ∇J(θ)  = Σ_τ P_θ(τ)·Σ_t γᵗ·r_t·Σ_k ∇log π_θ(a_k | s_k, k)      Williams 1992; by differences: `differences`

An episode begins in state 0, at time 0. A policy is a table of probabilities [S, T, A]: of an action, in a state, at a
time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from pg_theano.types import Array


class Task(NamedTuple):
    """A Markov decision process that is over after `length` steps."""

    moves: Array  # [S, A, S] P(next state | state, action); what is left to 1 is the probability that the episode ends
    pays: Array  # [S, A] the reward of an action in a state
    length: int


class Trajectory(NamedTuple):
    chance: float  # of what the task does, given the actions: the product of its moves
    places: tuple[int, ...]  # the states that were visited
    actions: tuple[int, ...]


THREE_STATES = Task(
    moves=np.array(
        [[[0.2, 0.3, 0.2], [0.5, 0.1, 0.2]], [[0.1, 0.1, 0.8], [0.4, 0.4, 0.0]], [[0.3, 0.3, 0.0], [0, 0.5, 0.5]]]
    ),
    pays=np.array([[1.0, -0.5], [0.3, 2.0], [-1.5, 0.7]]),
    length=3,
)
"""Three states, two actions, at most three steps."""


def trajectories(task: Task = THREE_STATES) -> list[Trajectory]:
    """All that can happen, each over by its own end or after `length` steps."""
    return list(_from(task, task.length, 0))


def _from(task: Task, length: int, place: int) -> Iterator[Trajectory]:
    for action in range(task.pays.shape[1]):
        ends = 1 - float(task.moves[place, action].sum()) if length > 1 else 1.0
        if ends > 1e-12:
            yield Trajectory(ends, (place,), (action,))
        for following in map(int, np.flatnonzero(task.moves[place, action])) if length > 1 else ():
            for chance, places, actions in _from(task, length - 1, following):
                yield Trajectory(
                    float(task.moves[place, action, following]) * chance, (place, *places), (action, *actions)
                )


def seen(place: int, time: int, task: Task = THREE_STATES) -> Array:
    """The observation of a state at a time: one-hot in both. [S·T]"""
    states = len(task.pays)
    return np.eye(states * task.length)[states * time + place]


def rewards(one: Trajectory, task: Task = THREE_STATES) -> Array:
    """What each step paid. [steps]"""
    return task.pays[list(one.places), list(one.actions)]


def discounted_return(one: Trajectory, discount: float = 1.0, task: Task = THREE_STATES) -> float:
    """Σ_t γᵗ·r_t."""
    return math.fsum(discount**t * r for t, r in enumerate(rewards(one, task)))


def probability(one: Trajectory, policy: Array) -> float:
    """P_θ(τ) under a policy [S, T, A]."""
    return one.chance * math.prod(policy[s, t, a] for t, (s, a) in enumerate(zip(one.places, one.actions, strict=True)))


def expected_return(policy: Array, discount: float = 1.0, task: Task = THREE_STATES) -> float:
    """J of a policy [S, T, A]."""
    return math.fsum(probability(one, policy) * discounted_return(one, discount, task) for one in _all(task))


def values(policy: Array, discount: float = 1.0, task: Task = THREE_STATES) -> Array:
    """V(s, t) = Σ_a π(a|s,t)·(r(s,a) + γ·Σ_s' P(s'|s,a)·V(s', t+1)), backward in time. [S, T + 1]"""
    found = np.zeros((len(task.pays), task.length + 1))
    for time in range(task.length - 1, -1, -1):
        after = task.pays + discount * task.moves @ found[:, time + 1]  # [S, A]
        found[:, time] = (policy[:, time] * after).sum(axis=1)
    return found


# -- policies of logits


def table(logits: Array, task: Task = THREE_STATES) -> Array:
    """The softmax of logits [S, T, A], or of logits [S, A] that hold at all times. [S, T, A]"""
    at_times = logits if logits.ndim == 3 else np.repeat(logits[:, None], task.length, axis=1)
    raised = np.exp(at_times - at_times.real.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def scores(one: Trajectory, logits: Array, task: Task = THREE_STATES) -> Array:
    """∇log π(a_t|s_t) of every step, with respect to the logits: 1[j = a] − π(j). [steps, *logits.shape]"""
    policy, found = table(logits, task), np.zeros((len(one.places), *logits.shape))
    for t, (s, a) in enumerate(zip(one.places, one.actions, strict=True)):
        found[t][(s, t) if logits.ndim == 3 else s] = np.eye(policy.shape[-1])[a] - policy[s, t]
    return found


def true_gradient(logits: Array, discount: float = 1.0, task: Task = THREE_STATES) -> Array:
    """∇J with respect to logits [S, A] or [S, T, A]: the sum over all trajectories, exact. The logits' shape."""
    policy, found = table(logits, task), np.zeros(logits.shape)
    for one in _all(task):
        weight = probability(one, policy) * discounted_return(one, discount, task)
        found += weight * scores(one, logits, task).sum(axis=0)
    return found


def differences(function: Callable[[Array], float], at: Array, step: float = 1e-3) -> Array:
    """The gradient of any function: (8·(f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h for each entry. `at`'s shape."""
    found = np.zeros(at.shape)
    for where in np.ndindex(at.shape):
        unit = np.zeros(at.shape)
        unit[where] = step
        f = {k: function(at + k * unit) for k in (-2, -1, 1, 2)}
        found[where] = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * step)
    return found


def _all(task: Task) -> list[Trajectory]:
    return _of_three_states() if task is THREE_STATES else trajectories(task)


@functools.cache
def _of_three_states() -> list[Trajectory]:
    return trajectories()
