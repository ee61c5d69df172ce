"""What a task rules out of a config: its action space, its mask, and dynamics that are no expressions."""

import math
from typing import Any

from pg_theano.config import batches
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.rules import shown
from pg_theano.types import UserError


def check_path(config: Any, task: Any, dynamics: str | None, memory_size: int) -> None:
    """Raises `UserError` where an algorithm cannot differentiate through the dynamics: they are no expressions, or the
    policy remembers."""
    name = config.algorithm.name
    if dynamics is None:
        got = f"got {name}, which differentiates through the dynamics, and those of {task.id} are no expressions"
        tasks = "Pendulum-v1, MountainCarContinuous-v0, or a task of your own by environment.dynamics"
        raise UserError.of("algorithm.name", got, f"{tasks}, with backend=jax and no kwargs", "algorithm.name=ppo")
    if memory_size:
        raise UserError.of(
            "policy.network", f"got a layer that remembers, with {name}", "layers without memory", "policy.hidden"
        )


def check_actions(config: Any, task: Any) -> None:
    """Raises `UserError` for a knob that the task's action space rules out."""
    kind, record = task.action.kind, ALGORITHMS[config.algorithm.name]
    if record.pathwise and kind != "box":
        got = f"got {record.name}, which differentiates through the action, and {task.id} has a {kind} action space"
        raise UserError.of("algorithm.name", got, "a Box", "algorithm.name=ppo")
    if kind != "discrete" and config.exploration.name != "softmax":
        raise UserError.of(
            "exploration.name",
            f"got {config.exploration.name}; expected softmax, as {task.id} has a {kind} action space; try softmax",
        )
    if kind != "box":
        plain = type(config.policy)()
        for knob in ("squash", "log_std", "noise", "noise_every", "initial_log_std"):
            if (got := getattr(config.policy, knob)) != getattr(plain, knob):
                expected = shown(getattr(plain, knob))
                raise UserError.of(
                    f"policy.{knob}",
                    f"got {shown(got)}, which is for actions that are real numbers, and {task.id} "
                    f"has a {kind} action space; expected {expected}; try leaving it out",
                )
    if config.algorithm.advantage == "expected" and record.learns_values:
        for wrong, why in (
            (kind != "discrete", f"{task.id} has a {kind} action space; expected Discrete"),
            (task.mask_size, f"{task.id} has a mask of actions; expected none"),
            (config.policy.logistic, "policy.logistic has one number for two actions; expected false"),
            (batches.remembers(config), "the policy remembers; expected layers without memory"),
        ):
            if wrong:
                raise UserError.of("algorithm.advantage", f"got expected, and {why}; try gae")
    if config.policy.squash and kind == "box" and not all(map(math.isfinite, (*task.action.low, *task.action.high))):
        raise UserError.of(
            "policy.squash",
            f"got true, and the actions of {task.id} have the bounds {task.action.low} to {task.action.high}; "
            "expected finite bounds to squash into; try false",
        )
    if config.policy.logistic and (kind != "discrete" or task.action.choices != [2]):
        has = f"{task.action.choices[0]} actions" if kind == "discrete" else f"a {kind} action space"
        raise UserError.of(
            "policy.logistic", f"got true, which is for two actions, and {task.id} has {has}; expected false; try false"
        )
    if config.policy.action_mask not in ("auto", "none") and not task.mask_size:
        got = f"got {config.policy.action_mask}, and {task.id} has no mask of actions"
        raise UserError.of("policy.action_mask", got, "auto or none", "none")
    if task.mask_size and (config.policy.logistic or config.gradients == "by_hand"):
        knob, got = ("policy.logistic", "true") if config.policy.logistic else ("gradients", "by_hand")
        what = f"got {got}, which takes no mask of actions, and {task.id} has one"
        raise UserError.of(knob, what, "false" if got == "true" else "symbolic", "policy.action_mask=none, or that")
    if config.gradients == "by_hand" and kind not in ("discrete", "box"):
        raise UserError.of(
            "gradients", f"by_hand has no {kind} actions, which {task.id} has; expected Discrete or Box; try symbolic"
        )
