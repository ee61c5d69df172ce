"""Symbolic environments as Gymnasium environments.

    import pg_theano.environments                                 # registers them
    gymnasium.make("pg_theano/CartPole-v1")                       # one of them
    gymnasium.make_vec("pg_theano/CartPole-v1", num_envs=64)      # 64 in one compiled call

Nothing here imports PyTensor; a task that is in the compile cache is stepped without it.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pg_theano.environments import drawing
from pg_theano.environments.dynamics import Dynamics, twice
from pg_theano.environments.original import Numbers, Original
from pg_theano.types import Array


class SymbolicEnv(Numbers, gymnasium.Env):
    """One symbolic environment as Gymnasium knows them. The time limit is its `TimeLimit` wrapper's business.

    Gymnasium's own environment of the same task, where there is one, draws it, and draws the first state where a reset
    has options. Elsewhere the only option is `state` [S], to begin with.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 30}

    def __init__(self, dynamics: str | Dynamics, render_mode: str | None = None, **kwargs: Any):
        self.dynamics = dynamics if isinstance(dynamics, Dynamics) else Dynamics(dynamics)
        self.observation_space, self.action_space = self.dynamics.observation_space, self.dynamics.action_space
        self.original = Original(self.dynamics.task, render_mode, kwargs)
        self.metadata, self.render_mode = self.original.metadata, render_mode
        if kwargs:
            self.dynamics = self.dynamics.by(self.original)
        self._rows: Any = None  # [S, 2]: the state, twice
        self._action: Any = None  # the last one, which a picture may show

    @property
    def state(self) -> Any:
        """[S], under the name that it has in Gymnasium's own; None before the first reset."""
        return None if self._rows is None else np.asarray(self._rows)[:, 0]

    @state.setter
    def state(self, value: Any) -> None:
        self._rows = None if value is None else twice(np.asarray(value, self.dynamics.dtype)[:, None], 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if options:
            self.state, obs = self.original.begun(self.np_random, options, self.dynamics)
        else:
            noise = self.np_random.random((self.dynamics.task["num_initial_noise"], 1))
            self.state, obs = (first.flatten() for first in self.dynamics.reset(noise))
        self._action = None
        if self.render_mode == "human":
            self.render()
        return self.dynamics.told(obs)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._rows is None:
            raise ResetNeeded(f"{self.dynamics.name}: got a step before the first reset; try env.reset() first")
        self._rows, obs, reward, terminated = self.dynamics.step_alone(self._rows, action)
        self._action = action
        if self.render_mode == "human":
            self.render()
        seen, info = self.dynamics.told(obs[0].copy())
        return seen, float(reward[0]), bool(terminated[0]), False, info

    def render(self) -> Any:
        return self.original.picture(self.state, self._action, self.spec)

    def close(self) -> None:
        self.original.close()


class DrawnEnv(SymbolicEnv):
    """One that `drawing.py` draws: a window is the business of Gymnasium's wrapper."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": drawing.FPS}


class SymbolicVectorEnv(Numbers, VectorEnv):
    """Many of them in one compiled call. Equals a `SyncVectorEnv` of the single one, in each of its autoreset modes."""

    metadata: dict[str, Any] = {
        "render_modes": ["rgb_array"],
        "render_fps": 30,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        dynamics: str | Dynamics,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **kwargs: Any,
    ):
        self.dynamics = dynamics if isinstance(dynamics, Dynamics) else Dynamics(dynamics)
        self.original = Original(self.dynamics.task, render_mode, kwargs)
        if kwargs:
            self.dynamics = self.dynamics.by(self.original)
        self.num_envs, self.render_mode, self.autoreset_mode = num_envs, render_mode, AutoresetMode(autoreset_mode)
        self.metadata = self.original.metadata | {"autoreset_mode": self.autoreset_mode}
        limit = max_episode_steps or self.dynamics.task["max_steps"]
        self.limit = limit if limit and limit > 0 else np.inf  # -1: none, as for `gymnasium.make`
        self.single_observation_space = self.dynamics.observation_space
        self.single_action_space = self.dynamics.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._np_random: Any = [None] * num_envs  # a generator and a seed for each, as `SyncVectorEnv` says them
        self._np_random_seed: Any = [None] * num_envs
        self._seed([None] * num_envs)
        self.elapsed = np.zeros(num_envs, np.int64)
        self.prev_done = np.zeros(num_envs, bool)
        self._state: Any = None  # [S, E], where jaxlib holds it
        width = len(self.dynamics.task["obs_low"]) + self.dynamics.masks * self.dynamics.task["num_actions"]
        self.obs = np.zeros((num_envs, width), self.dynamics.dtype)
        self._actions: Any = None

    @property
    def state(self) -> Any:
        """[S, E], under the name that it has in Gymnasium's own; None before the first reset."""
        return None if self._state is None else np.asarray(self._state)

    @state.setter
    def state(self, value: Any) -> None:
        self._state = value

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Seeds and options as `SyncVectorEnv` takes them.

        Seeds: None, one number (environment i gets seed + i), or a list. Options: `reset_mask`, a bool for each
        environment; the others are of the single environment's reset.
        """
        which, others = self._masked(dict(options or {}))
        if seed is not None:
            seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, (int, np.integer)) else list(seed)
            if len(seeds) != self.num_envs:
                raise ValueError(
                    f"{self.dynamics.name}: got {len(seeds)} seeds; expected {self.num_envs}, one for each environment"
                )
            self._seed([one if asked else None for one, asked in zip(seeds, which, strict=True)], keep=True)
        self._begin(which, others)
        return self._told({}, which)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if self._state is None:
            raise ResetNeeded(f"{self.dynamics.name}: got a step before the first reset; try envs.reset() first")
        resetting = self.prev_done
        some = resetting.any()
        if some and self.autoreset_mode is AutoresetMode.DISABLED:
            raise ResetNeeded(
                f"{self.dynamics.name}: got a step of environments {np.flatnonzero(resetting).tolist()}, which have "
                "ended; expected their reset before it, as autoreset is disabled; try options={'reset_mask': ...}"
            )
        self._state, self.obs, reward, terminated = self.dynamics.step(self._state, actions)
        reward, terminated, self._actions = reward.astype(np.float64), terminated.copy(), actions
        self.elapsed += 1
        if some:
            self._begin(resetting, {})
            reward[resetting], terminated[resetting] = 0.0, False
        truncated = (self.elapsed >= self.limit) & ~resetting
        infos: dict[str, Any] = {}
        self.prev_done = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self.prev_done.any():
            for i in np.flatnonzero(self.prev_done):
                final, info = self.dynamics.told(self.obs[i].copy())
                infos = self._add_info(infos, {"final_obs": final, "final_info": info}, int(i))
            self._begin(self.prev_done, {})
        obs, infos = self._told(infos, slice(None))
        return obs, reward, terminated, truncated, infos

    def _told(self, infos: dict[str, Any], which: Any) -> tuple[Array, dict[str, Any]]:
        """(observations, infos) as a `SyncVectorEnv` gives them, masks of those of `which`."""
        obs, found = self.dynamics.told(self.obs.copy())
        for name, values in found.items():
            those = np.zeros(self.num_envs, bool)
            those[which] = True
            infos |= {name: np.where(those[:, None], values, np.int8(0)), f"_{name}": those}
        return obs, infos

    def render(self) -> Any:
        """A picture of each environment."""
        states = [None] * self.num_envs if self._state is None else self.state.T
        actions = [None if n == 0 else self._actions[i] for i, n in enumerate(self.elapsed)]
        return tuple(self.original.picture(*one, self.spec) for one in zip(states, actions, strict=True))

    def close_extras(self, **kwargs: Any) -> None:
        self.original.close()

    def _seed(self, seeds: list[Any], keep: bool = False) -> None:
        """Give environments new generators; with `keep`, those without a seed go on with their own."""
        for i, seed in enumerate(seeds):
            if seed is not None or not keep:
                self._np_random[i], self._np_random_seed[i] = seeding.np_random(None if seed is None else int(seed))

    def _masked(self, options: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
        """(which environments a reset is for, its other options)."""
        mask = options.pop("reset_mask", None)
        if mask is None:
            return np.ones(self.num_envs, bool), options
        right = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
        if not right or mask.shape != (self.num_envs,) or not mask.any():
            raise (ValueError if right else TypeError)(
                f"{self.dynamics.name}: options['reset_mask']: got {mask!r}; expected a NumPy array of bool of shape "
                f"({self.num_envs},), with a True in it"
            )
        if self._state is None and not mask.all():
            raise ResetNeeded(f"{self.dynamics.name}: got a reset of some before that of all; try envs.reset() first")
        return mask, options

    def _begin(self, which: Array, options: dict[str, Any]) -> None:
        """Begin episodes in the environments of `which` [E], each with its own generator."""
        noise = np.zeros((self.dynamics.task["num_initial_noise"], self.num_envs))
        if not options:
            for i in np.flatnonzero(which):
                noise[:, i] = self._np_random[i].random((len(noise), 1))[:, 0]
        state, obs = self.dynamics.reset(noise)
        if options:
            state, obs = state.copy(), obs.copy()
            for i in np.flatnonzero(which):
                state[:, i], obs[i] = self.original.begun(self._np_random[i], options, self.dynamics)
        if not which.all():
            state, obs = np.where(which, state, self._state), np.where(which[:, None], obs, self.obs)
        self._state, self.obs = state, obs
        self.elapsed[which], self.prev_done = 0, self.prev_done & ~which
