"""Masks: the actions that an environment rules out, as it says in `info["action_mask"]` or by `action_masks()`.

They are not learned under. Where actions are drawn to look at an environment, its mask is respected.
"""

import math
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from pg_theano.types import Array


class Mask(NamedTuple):
    """Which choices are allowed now, and where the environment says so."""

    allowed: Array  # [choices of all components, one component after another]
    place: str


def mask_of(env: Any, info: Any) -> Mask | None:
    """The mask of an environment after the step that gave `info`; None where it has none that fits its actions."""
    if isinstance(info, dict) and "action_mask" in info:
        found, place = info["action_mask"], 'info["action_mask"]'
    else:
        try:
            found, place = env.get_wrapper_attr("action_masks")(), "action_masks()"
        except Exception:  # no such method, or none that is called so
            return None
    parts = found if isinstance(found, tuple) else (found,)
    allowed = np.concatenate([np.ravel(part) for part in parts])
    fits = allowed.dtype.kind in "biuf" and allowed.size == sum(choices_of(env.action_space))
    return Mask(allowed.astype(bool), place) if fits else None


def choices_of(space: Any) -> list[int]:
    """The number of choices of each component; none of a space that has no such components."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return space.nvec.ravel().tolist()
    return [2] * math.prod(space.shape) if isinstance(space, gymnasium.spaces.MultiBinary) else []


def within(space: Any, mask: Mask | None, action: Any) -> Any:
    """The action itself; where the mask rules it out, one that it allows, which follows from both."""
    if mask is None:
        return action
    start = np.ravel(getattr(space, "start", 0))
    chosen = np.ravel(action) - start
    parts = np.split(mask.allowed, np.cumsum(choices_of(space))[:-1])
    for place, part in enumerate(parts):
        if part.any() and not part[chosen[place]]:
            allowed = np.flatnonzero(part)
            chosen[place] = allowed[chosen[place] % len(allowed)]
    return (chosen + start).astype(space.dtype).reshape(np.shape(action))[()]


def why_refused(space: Any, mask: Mask | None, action: Any) -> str:
    """The words for an action that the mask rules out; none where it allows it."""
    if mask is None or np.array_equal(within(space, mask, action), action):
        return ""
    return (
        f"which {mask.place} rules out; expected an environment that takes every action, as masks are not learned "
        "under yet; try a wrapper that puts an allowed action in place of one that is ruled out"
    )
