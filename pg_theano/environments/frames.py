"""The last frames of an environment as one observation, written once each.

environment.wrappers=[{pg_theano.environments:FrameStack: {stack_size: 4}}]
"""

from typing import Any

import gymnasium
import numpy as np

from pg_theano.types import Array, UserError

KEPT = 128
"""Frames that stand one after the other in memory before the last ones are copied to new memory."""


class FrameStack(gymnasium.Wrapper):
    """The last `stack_size` observations of a box, oldest first: [k, ...], a view of the memory they were written to.

    What `gymnasium.wrappers.FrameStackObservation` gives, but that the stack is not put together anew each step: after
    a reset its first observation stands k times, or with `padding_type="zero"` k − 1 times zeros before it. No view is
    ever written over. Mnih et al. 2015. Errors: `UserError` for observations that are no box, or a size below 1.
    """

    def __init__(self, env: gymnasium.Env, stack_size: int, *, padding_type: str = "reset"):
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, gymnasium.spaces.Box):
            raise UserError.at("FrameStack", f"observations of {space}", "a Box", "a wrapper that makes it so")
        if not (isinstance(stack_size, int) and stack_size >= 1):
            raise UserError.at("FrameStack", f"stack_size={stack_size!r:.20}", "a whole number from 1")
        if padding_type not in ("reset", "zero"):
            raise UserError.at("FrameStack", f"padding_type={padding_type!r:.20}", "reset or zero")
        self.size, self.zero = stack_size, padding_type == "zero"
        low, high = (np.repeat(bound[None], stack_size, axis=0) for bound in (space.low, space.high))
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=space.dtype.type)
        self._anew()

    def _anew(self) -> None:
        """New memory: views of the old one are somebody's."""
        shape = self.observation_space.shape or ()
        self._frames, self._end = np.empty((self.size + KEPT, *shape[1:]), self.observation_space.dtype), self.size

    def _stack(self) -> Array:
        return self._frames[self._end - self.size : self._end]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        obs, info = self.env.reset(seed=seed, options=options)
        self._anew()
        self._frames[: self.size] = 0 if self.zero else obs
        self._frames[self.size - 1] = obs
        return self._stack(), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, *rest = self.env.step(action)
        if self._end == len(self._frames):
            last = self._frames[self._end - self.size :]
            self._anew()
            self._frames[: self.size] = last
        self._frames[self._end] = obs
        self._end += 1
        return self._stack(), *rest  # type: ignore[return-value]
