"""One environment of several, whose errors say which, at which step, begun by which seed."""

from typing import Any

import gymnasium
import numpy as np

from pg_theano.environments import masks, telling
from pg_theano.environments.place import PASSED, Standing, calling
from pg_theano.environments.rows import Outside, within
from pg_theano.environments.telling import LARGEST_REWARD, kind_of, short, shown_action, words_of, wrong_reward
from pg_theano.types import UserError


class Slot(gymnasium.Wrapper):
    """One environment of several. Its errors name its number, the step and the seed."""

    def __init__(self, env: gymnasium.Env, id: str, index: int, dtype: str):
        super().__init__(env)
        self.id, self.index, self.seed, self.steps = id, index, -1, 0
        self.info: Any = None  # of the last reset, or of the last step by `step`
        self._space, self._shape = env.observation_space, getattr(env.observation_space, "shape", None)
        self._is_box = isinstance(env.observation_space, gymnasium.spaces.Box)
        self._dtype = dtype

    def standing(self) -> Standing:
        return Standing(self.id, self.index, self.steps, self.seed)

    def spaces(self) -> tuple[Any, ...]:
        return self.observation_space, self.action_space, getattr(self.env, "described", None)  # of parts: each of them

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.seed, self.steps = -1 if seed is None else seed, 0
        try:
            with calling(self):
                result = self.env.reset(seed=seed, options=options)
        except PASSED:
            raise
        except Outside as error:
            raise self.fault(str(error)) from None
        except BaseException as error:
            told = words_of(error)
            advice = "def reset(self, *, seed=None, options=None)" if "seed" in told else "--debug, which shows where"
            raise self.fault(f"reset raises {told}; expected (observation, info); try {advice}") from error
        if not (isinstance(result, tuple) and len(result) == 2):
            raise self.fault(f"reset returns {kind_of(result)}; expected (observation, info); try return obs, {{}}")
        self.info = result[1]
        return self._checked(result[0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        try:
            with calling(self, action):
                result = self.env.step(action)
        except PASSED:
            raise
        except BaseException as error:
            raise self.raised(error, action) from error
        found = self.sound(result)
        self.info = result[4]
        return *found, {}

    def sound(self, result: Any) -> tuple[Any, float, bool, bool]:
        """Check what `step` returned: (observation, reward, terminated, truncated)."""
        if not (isinstance(result, tuple) and len(result) == 5):
            raise self.fault(
                f"step returns {kind_of(result)}; expected (observation, reward, terminated, truncated, "
                "info); try return "
                "obs, reward, terminated, truncated, {}"
            )
        obs, reward, terminated, truncated, _ = result
        number = self._converted(float, "reward", reward, "a number; try float(reward)")
        if not abs(number) <= LARGEST_REWARD:
            raise self.fault(wrong_reward(number))
        terminated = self._converted(bool, "terminated", terminated, "true or false; try bool(...)")
        truncated = self._converted(bool, "truncated", truncated, "true or false; try bool(...)")
        return self._checked(obs), number, terminated, truncated

    def _converted(self, to: Any, name: str, value: Any, expected: str) -> Any:
        try:
            return telling.converted(to, value)
        except OverflowError:
            expected = f"at most {LARGEST_REWARD:g} in size; try rewards of about 1"
        except ValueError:
            pass
        raise self.fault(f"{name} is {short(value)}; expected {expected}") from None

    def _checked(self, obs: Any) -> Any:
        if not isinstance(obs, np.ndarray) and self._is_box:
            try:
                obs = np.asarray(obs, self._dtype)
            except (TypeError, ValueError, OverflowError):
                raise self.fault(self._foreign(obs)) from None
        if np.shape(obs) != self._shape:
            raise self.fault(
                f"the observation has shape {np.shape(obs)}; its space says {self._shape}; expected that; try a space "
                "of the shape that step and reset return"
            )
        if not (within(self._space, obs) if self._is_box else self._space.contains(obs)):
            raise self.fault(self._foreign(obs))
        return obs

    def _foreign(self, obs: Any) -> str:
        return f"the observation is {short(obs)}; its space is {self._space}; expected one of it; try another space"

    def mask(self) -> masks.Mask | None:
        return masks.mask_of(self.env, self.info)

    def raised(self, error: BaseException, action: Any) -> UserError:
        """The error for an exception in `step`."""
        if isinstance(error, Outside):
            return self.fault(str(error))
        told, refused = words_of(error), masks.why_refused(self.action_space, self.mask(), action)
        if "expected 5, got 4" in told:
            return self.fault(
                "step returns four values, as before Gym 0.26; expected (observation, reward, terminated, truncated, "
                "info); try environment.api=gym with module:Class, or terminated and truncated in place of done"
            )
        told = f"step raises {told}; its action was {shown_action(action)}"
        if refused:
            return self.fault(f"{told}, {refused}")
        return self.fault(f"{told}; expected what the space of actions allows; try --debug, which shows where")

    def fault(self, what: str) -> UserError:
        return UserError(f"{self.id}, environment {self.index}, step {self.steps} (seed {self.seed}): {what}")
