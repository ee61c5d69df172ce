"""Symbolic environments as Gymnasium environments.

    import pg_theano.environments                                 # registers them
    gymnasium.make("pg_theano/CartPole-v1")                       # one of them
    gymnasium.make_vec("pg_theano/CartPole-v1", num_envs=64)      # 64 in one compiled call

Nothing here imports PyTensor; a task that is in the compile cache is stepped without it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pg_theano.compiler import functions, program
from pg_theano.spec import Stepped
from pg_theano.system.importing import fingerprint, importable


class Dynamics:
    """The compiled `reset` and `step` of one symbolic environment, for E episodes side by side."""

    def __init__(
        self,
        name: str,
        *,
        dtype: str = "float32",
        folders: Sequence[Path] = (),
        report: functions.Report = lambda what, seconds: None,
    ):
        self.source = fingerprint(name, folders)
        self.dtype = np.dtype(dtype)
        stepped = Stepped(name, self.source, dtype)
        self._functions = program.functions(
            "environments.program", stepped, "reset", report=report, around=lambda: importable(folders, [name])
        )
        self.task: dict[str, Any] = self._functions.manifest["environment"]
        low, high = (np.array(self.task[f"obs_{end}"], dtype) for end in ("low", "high"))
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=self.dtype.type)
        if self.task["action_kind"] == "discrete":
            self.action_space: gymnasium.Space = gymnasium.spaces.Discrete(self.task["num_actions"])
        else:
            low, high = (np.array(self.task[f"action_{end}"], dtype) for end in ("low", "high"))
            self.action_space = gymnasium.spaces.Box(low, high, dtype=self.dtype.type)

    def reset(self, initial_noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Uniforms [U, E] to (env_state [S, E], obs [E, F])."""
        values = {"initial_noise": np.ascontiguousarray(initial_noise, self.dtype)}
        out = self._functions.call("reset", {"E": initial_noise.shape[1]}, {}, values)
        return np.asarray(out["env_state"]), np.asarray(out["obs"])

    def step(self, env_state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(env_state [S, E], action) to (env_state, obs [E, F], reward [E], terminated [E])."""
        kind = "int32" if self.task["action_kind"] == "discrete" else self.dtype
        values = {"env_state": env_state, "action": np.ascontiguousarray(action, kind)}
        out = self._functions.call("step", {"E": env_state.shape[1]}, {}, values)
        return tuple(np.asarray(out[name]) for name in ("env_state", "obs", "reward", "terminated"))  # type: ignore


class SymbolicEnv(gymnasium.Env):
    """One symbolic environment as Gymnasium knows them. The time limit is its `TimeLimit` wrapper's business."""

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, dynamics: str | Dynamics, render_mode: str | None = None):
        self.dynamics = dynamics if isinstance(dynamics, Dynamics) else Dynamics(dynamics)
        self.observation_space, self.action_space = self.dynamics.observation_space, self.dynamics.action_space
        self.render_mode = render_mode
        self.env_state: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.env_state, obs = self.dynamics.reset(self.np_random.random((self.dynamics.task["num_initial_noise"], 1)))
        return obs[0].copy(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.env_state, obs, reward, terminated = self.dynamics.step(self.env_state, np.asarray(action)[None])
        return obs[0].copy(), float(reward[0]), bool(terminated[0]), False, {}


class SymbolicVectorEnv(VectorEnv):
    """Many of them in one compiled call; autoreset NEXT_STEP, so that it equals a `SyncVectorEnv` of the single one."""

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        dynamics: str | Dynamics,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ):
        self.dynamics = dynamics if isinstance(dynamics, Dynamics) else Dynamics(dynamics)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.limit = max_episode_steps or self.dynamics.task["max_steps"] or np.inf
        self.single_observation_space = self.dynamics.observation_space
        self.single_action_space = self.dynamics.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.generators = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self.elapsed = np.zeros(num_envs, np.int64)
        self.ended = np.zeros(num_envs, bool)
        self.env_state: Any = None
        self.obs: Any = None

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Seeds as `SyncVectorEnv` takes them: None, one number (environment i gets seed + i), or a list."""
        if seed is not None:
            seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, (int, np.integer)) else list(seed)
            for i, one in enumerate(seeds):
                if one is not None:
                    self.generators[i] = seeding.np_random(int(one))[0]
        self.env_state, self.obs = self.dynamics.reset(self._noise(np.ones(self.num_envs, bool)))
        self.elapsed[:], self.ended[:] = 0, False
        return self.obs.copy(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        resetting = self.ended.copy()
        env_state, obs, reward, terminated = self.dynamics.step(self.env_state, actions)
        reward, terminated = reward.astype(np.float64), terminated.copy()
        self.elapsed += 1
        if resetting.any():
            fresh_state, fresh_obs = self.dynamics.reset(self._noise(resetting))
            env_state = np.where(resetting, fresh_state, env_state)
            obs = np.where(resetting[:, None], fresh_obs, obs)
            reward[resetting], terminated[resetting], self.elapsed[resetting] = 0.0, False, 0
        truncated = (self.elapsed >= self.limit) & ~resetting
        self.env_state, self.obs, self.ended = env_state, obs, terminated | truncated
        return obs.copy(), reward, terminated, truncated, {}

    def _noise(self, which: np.ndarray) -> np.ndarray:
        """Uniforms for the resets of `which`, each from its own environment's generator; zeros elsewhere."""
        noise = np.zeros((self.dynamics.task["num_initial_noise"], self.num_envs))
        for i in np.flatnonzero(which):
            noise[:, i] = self.generators[i].random((noise.shape[0], 1))[:, 0]
        return noise
