"""Environments written to the API of Gym before 0.26, as Gymnasium's: `environment.api: gym` with `module:Class`.

    env = OldGym(CartPole())                    # step of four values, reset without seed, spaces of `gym.spaces`
    obs, info = env.reset(seed=0)
    obs, reward, terminated, truncated, info = env.step(action)

Nothing of `gym` is imported: it no longer installs beside NumPy 2. What is there is told by looks. `reset` is given
`seed`, `options` and `return_info` where it takes them; where it takes no seed, `env.seed(seed)` is called before it.
`done` is an end by time where `info["TimeLimit.truncated"]` says so (Gym's wrapper did), else one of the task.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from pg_theano.types import UserError


class OldGym(gymnasium.Env):
    """`env` is any object with `reset`, `step`, `observation_space` and `action_space`.

    Errors: `UserError`: a space that is none of Gym's.
    """

    def __init__(self, env: Any, render_mode: str | None = None):
        self.env, self.render_mode = env, render_mode
        self.observation_space = space_of(env.observation_space, "observation_space")
        self.action_space = space_of(env.action_space, "action_space")
        told = getattr(env, "metadata", None) or {}
        self.metadata = {
            "render_modes": told.get("render_modes", told.get("render.modes", [])),
            "render_fps": told.get("render_fps", told.get("video.frames_per_second", 30)),
        }

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        given = {"seed": seed, "options": options, "return_info": True}
        given = {name: value for name, value in given.items() if value is not None and _takes(self.env, "reset", name)}
        if seed is not None and "seed" not in given and callable(getattr(self.env, "seed", None)):
            self.env.seed(seed)
        found = self.env.reset(**given)
        pair = isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict)
        whole = isinstance(self.observation_space, gymnasium.spaces.Tuple) and self.observation_space.contains(found)
        return found if pair and not whole else (found, {})

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        found = self.env.step(action)
        if not (isinstance(found, tuple) and len(found) == 4):
            return found  # five, or what cannot be helped, which whoever asked will name
        obs, reward, done, info = found
        truncated = bool(done) and bool((info or {}).get("TimeLimit.truncated", False))
        return obs, reward, bool(done) and not truncated, truncated, info or {}

    def render(self) -> Any:
        if _takes(self.env, "render", "mode"):
            return self.env.render(mode=self.render_mode or "human")
        return self.env.render()

    def close(self) -> None:
        if hasattr(self.env, "close"):
            self.env.close()


def made(of: type, kwargs: Mapping[str, Any], render_mode: str | None = None) -> OldGym:
    """An environment of a class; its constructor is given `render_mode` where it takes one, and remembers it else."""
    given = dict(kwargs)
    if render_mode is not None and _takes(of, "__init__", "render_mode"):
        given["render_mode"] = render_mode
    return OldGym(of(**given), render_mode)


def space_of(space: Any, name: str) -> gymnasium.Space:
    """Gymnasium's space for one of Gym's, by its attributes."""
    if isinstance(space, gymnasium.Space):
        return space
    parts = getattr(space, "spaces", None)
    if isinstance(parts, Mapping):
        return gymnasium.spaces.Dict({key: space_of(part, f"{name}[{key!r}]") for key, part in parts.items()})
    if isinstance(parts, list | tuple):
        return gymnasium.spaces.Tuple([space_of(part, f"{name}[{place}]") for place, part in enumerate(parts)])
    if hasattr(space, "nvec"):
        return gymnasium.spaces.MultiDiscrete(np.asarray(space.nvec))
    if hasattr(space, "low") and hasattr(space, "high"):
        dtype = np.dtype(getattr(space, "dtype", None) or np.float32).type
        shape = getattr(space, "shape", None) or np.shape(space.low)
        low, high = (np.broadcast_to(np.asarray(bound, dtype), shape) for bound in (space.low, space.high))
        return gymnasium.spaces.Box(low, high, dtype=dtype)
    if hasattr(space, "n") and getattr(space, "shape", None):
        return gymnasium.spaces.MultiBinary(space.n)
    if hasattr(space, "n"):
        return gymnasium.spaces.Discrete(int(space.n), start=int(getattr(space, "start", 0)))
    raise UserError(
        f"{name} is {space!r:.60}; expected one with n, nvec, low and high, or spaces, as Gym's have; try gymnasium's"
    )


def _takes(env: Any, method: str, name: str) -> bool:
    """Whether a method takes an argument of a name; one of a wrapper that hands on what it is given: what it wraps."""
    try:
        parameters = inspect.signature(getattr(env, method)).parameters
    except (TypeError, ValueError):  # written in C: nothing is known
        return False
    hands_on = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    inner = getattr(env, "env", None)
    return name in parameters or (hands_on and (inner is None or _takes(inner, method, name)))
