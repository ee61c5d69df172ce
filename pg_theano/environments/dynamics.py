"""The compiled `reset` and `step` of a symbolic environment. Nothing here imports PyTensor."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction

from pg_theano.compiler import functions, program, runtime
from pg_theano.environments.original import Original
from pg_theano.spec.smaller import Stepped
from pg_theano.system.importing import fingerprint, importable
from pg_theano.types import Array


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
        self.name, self._folders = name, folders
        self.source = fingerprint(name, folders)
        self.dtype = np.dtype(dtype)
        stepped = Stepped(name, self.source, dtype)
        self._functions = program.functions(
            "environments.program", stepped, "reset", report=report, around=lambda: importable(folders, [name])
        )
        self.task: dict[str, Any] = self._functions.manifest["environment"]
        low, high = (np.array(self.task[f"obs_{end}"], dtype) for end in ("low", "high"))
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=self.dtype.type)
        self.masks = bool(self.task.get("masks"))  # whether rows of observations end with a mask
        self._discrete, self._choices = self.task["action_kind"] == "discrete", self.task["num_actions"]
        self._pairs: dict[int, Any] = {}  # of one episode: checked before
        if self._discrete:
            self.action_space: gymnasium.Space = gymnasium.spaces.Discrete(self.task["num_actions"])
        else:
            low, high = (np.array(self.task[f"action_{end}"], dtype) for end in ("low", "high"))
            self.action_space = gymnasium.spaces.Box(low, high, dtype=self.dtype.type)

    def reset(self, initial_noise: Array) -> tuple[Array, Array]:
        """Uniforms [U, E] to (env_state [S, E], obs [E, F])."""
        number, noise = np.shape(initial_noise)[1], np.ascontiguousarray(initial_noise, self.dtype)
        noise = twice(noise, 1) if number == 1 else noise
        out = self._functions.call("reset", {"E": noise.shape[1]}, {}, {"initial_noise": noise})
        return np.asarray(out["env_state"])[:, :number], np.asarray(out["obs"])[:number]

    def observe(self, env_state: Array) -> Array:
        """env_state [S, E] to obs [E, F]."""
        number, state = env_state.shape[1], np.ascontiguousarray(env_state, self.dtype)
        state = twice(state, 1) if number == 1 else state
        return np.asarray(self._functions.call("observe", {"E": state.shape[1]}, {}, {"env_state": state})["obs"])[
            :number
        ]

    def step(self, env_state: Any, action: Any) -> tuple[Any, Array, Array, Array]:
        """(env_state [S, E], action) to (env_state, obs [E, F], reward [E], terminated [E])."""
        number = env_state.shape[1]
        given = self._checked(action, number)
        if number == 1:
            state, obs, reward, terminated = self._run(twice(env_state, 1), twice(given, 0))
            return state[:, :1], obs[:1], reward[:1], terminated[:1]
        return self._run(env_state, given)

    def step_alone(self, rows: Any, action: Any) -> tuple[Any, Array, Array, Array]:
        """As `step`, of one episode that stands in both columns of `rows` [S, 2]; so do its results."""
        kind = type(action)
        if (kind is int or kind is np.int64) and action in self._pairs:
            return self._run(rows, self._pairs[action])
        given = twice(self._checked(np.asarray(action)[None], 1), 0)
        if self._discrete:
            self._pairs[int(given[0])] = given
        return self._run(rows, given)

    def _run(self, rows: Any, given: Any) -> tuple[Any, Array, Array, Array]:
        """The state stays where jaxlib holds it, which the next step takes at once."""
        out = self._functions.call("step", {"E": given.shape[0]}, {}, {"env_state": rows, "action": given})
        state = out["env_state"]
        if type(state) is not runtime.Kept:  # JAX's own cannot be used after a fork
            state = np.asarray(state)
        return state, np.asarray(out["obs"]), np.asarray(out["reward"]), np.asarray(out["terminated"])

    def told(self, rows: Array) -> tuple[Array, dict[str, Any]]:
        """(observations [..., F], infos) of rows that may end with a mask."""
        if not self.masks:
            return rows, {}
        mask = rows[..., -self._choices :].astype(np.int8)
        return rows[..., : -self._choices], {"action_mask": mask}

    def _checked(self, action: Any, number: int) -> Array:
        """The actions of `number` episodes as the graph takes them. Errors: `InvalidAction` for any that are none."""
        given, discrete = np.asarray(action), self._discrete
        shape = (number,) if discrete else (number, self._choices)
        right = given.shape == shape and given.dtype.kind in ("iub" if discrete else "iubf")
        # One look at all: as an unsigned number, a negative one is large.
        if right and (not discrete or np.maximum.reduce(given.view(f"u{given.itemsize}")) < self._choices):
            return np.ascontiguousarray(given, np.int32 if discrete else self.dtype)
        got = f"{action!r} of shape {given.shape}".replace("\n", "")
        expected = f"whole numbers from 0 to {self._choices - 1}" if discrete else "numbers"
        raise InvalidAction(f"{self.name}: got action {got}; expected {expected} of shape {shape}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its name: what was compiled comes from the cache of whoever reads it."""
        return _made, (self.name, self.dtype.name, self._folders)

    def __deepcopy__(self, memo: Any) -> "Dynamics":
        return self  # nothing of it changes

    def by(self, original: Original) -> "Dynamics":
        """The same task with the numbers and arguments of `original`, such as `gravity`, which steps it."""
        return _Altered(self, original)


class _Altered(Dynamics):
    """A task with other numbers or arguments than its graph has: Gymnasium's own class steps it."""

    def __init__(self, dynamics: Dynamics, original: Original):
        vars(self).update(vars(dynamics))
        self._plain, self._original = getattr(dynamics, "_plain", dynamics), original

    def _run(self, rows: Any, given: Any) -> tuple[Any, Array, Array, Array]:
        return self._original.stepped(np.asarray(rows), np.asarray(given))

    def __reduce__(self) -> tuple[Any, ...]:
        return _Altered, (self._plain, self._original)

    def __deepcopy__(self, memo: Any) -> Dynamics:
        return _Altered(self._plain, copy.deepcopy(self._original, memo))


def _made(name: str, dtype: str, folders: Sequence[Path]) -> "Dynamics":
    return Dynamics(name, dtype=dtype, folders=folders)


def twice(array: Array, axis: int) -> Array:
    """One episode as two equal ones: alone, XLA rounds it otherwise than as a row of many (0.0035 in 600 steps)."""
    return np.concatenate((array, array), axis)
