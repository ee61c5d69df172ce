"""Any Gymnasium environment with a flat observation and discrete actions, many side by side.

    environment = make(config.environment, num_envs=16, dtype="float32")
    obs = environment.begin(np.ones(16, bool), seeds)                            # [N, F]
    obs, reward, terminated, truncated, real = environment.step(action)          # the true successor, [N, F]

An environment whose episode has ended is begun again with a seed of the host's, or parked, which costs nothing.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from pg_theano import config as knobs
from pg_theano.dynamics import Dynamics, SymbolicVectorEnv, importable
from pg_theano.types import BUILT_IN_DYNAMICS, Array, UserError


class Task(NamedTuple):
    """What the rest of the program must know of an environment, as plain data."""

    id: str
    obs_size: int  # F, after flattening
    num_actions: int  # A
    time_limit: int | None  # steps; None: the environment has none
    threshold: float | None  # the mean return at which it counts as solved


def make(
    config: knobs.Environment, *, num_envs: int, dtype: str, folders: Sequence[Path] = (), whole: int | None = None
) -> VectorClass | Slots:
    """`num_envs` copies of the configured environment, as the task's own vectorised class where it has one.

    `folders` are searched for a user's module, before the current folder. A vectorised class steps `whole` at once,
    where given: it costs hardly more. Errors: `UserError` for an unknown id (with
    the nearest known), a module that cannot be imported, a space that is not supported, an unknown autoreset mode.
    """
    if config.dynamics is not None:
        return VectorClass(config, whole or num_envs, dtype, folders)
    with importable(folders):
        spec = _spec(config.id)
        wrappers = [_wrapper(name) for name in config.wrappers]
        if spec.vector_entry_point is not None and not (wrappers or config.kwargs or spec.additional_wrappers):
            return VectorClass(config, whole or num_envs, dtype)
        return Slots(config, wrappers, num_envs, dtype)


class Compiled(NamedTuple):
    """A task whose dynamics are part of a compiled graph: nothing is stepped from here."""

    task: Task
    dynamics: str  # module:Class
    source: str | None = None  # fingerprint of a user's own files

    def close(self) -> None:
        pass


def engine_of(config: knobs.Environment, *, dtype: str, backend: str, folders: Sequence[Path] = ()) -> Compiled | None:
    """The compiled engine, where it is wanted and is the same task; None where Gymnasium steps.

    `auto` takes it only for Gymnasium's own task with default kwargs and no wrappers. Errors: `UserError` where
    `engine: compiled` is asked for and cannot be.
    """
    if config.dynamics is not None:
        own = Dynamics(config.dynamics, dtype=dtype, folders=folders)
        if backend != "jax":
            raise UserError(f"backend: got {backend}; environment.dynamics needs jax")
        facts = own.task
        if facts["action_kind"] != "discrete":
            raise UserError(
                f"{config.dynamics}: its action space {own.action_space} is not supported; expected Discrete"
            )
        limit = config.max_episode_steps or facts["max_steps"]
        task = Task(config.dynamics, len(facts["obs_low"]), facts["num_actions"], limit, facts["reward_threshold"])
        return Compiled(task, config.dynamics, own.source)
    if config.engine == "gymnasium":
        return None
    with importable(folders):
        spec = _spec(config.id)
    reasons = []
    if config.id not in BUILT_IN_DYNAMICS or not str(spec.entry_point).startswith("gymnasium.envs.classic_control"):
        reasons.append(f"there are compiled dynamics of {', '.join(BUILT_IN_DYNAMICS)} only")
    if config.kwargs or config.wrappers or spec.kwargs:
        reasons.append("environment.kwargs and .wrappers change the task")
    if backend != "jax":
        reasons.append(f"backend {backend} has no artifacts")
    if not reasons:
        env = gymnasium.make(config.id, disable_env_checker=True)
        try:
            if isinstance(env.action_space, gymnasium.spaces.Discrete):
                limit = config.max_episode_steps or spec.max_episode_steps
                size, actions = math.prod(env.observation_space.shape or ()), int(env.action_space.n)
                task = Task(config.id, size, actions, limit, spec.reward_threshold)
                return Compiled(task, BUILT_IN_DYNAMICS[config.id])
            reasons.append(f"its action space {env.action_space} is not supported")
        finally:
            env.close()
    if config.engine == "compiled":
        raise UserError(f"environment.engine: got compiled for {config.id}, but {reasons[0]}; use auto or gymnasium")
    return None


class VectorClass:
    """A task's own vectorised class, in mode NEXT_STEP: the step after an end only resets, and is not real."""

    def __init__(self, config: knobs.Environment, num_envs: int, dtype: str, folders: Sequence[Path] = ()):
        limit: dict[str, Any] = {}
        if config.max_episode_steps is not None:
            limit = {"max_episode_steps": config.max_episode_steps}
        with _quiet(), _explained(config.id, "cannot be made"):
            self.envs: Any
            if config.dynamics is not None:
                dynamics = Dynamics(config.dynamics, dtype=dtype, folders=folders)
                self.envs = SymbolicVectorEnv(dynamics, num_envs, **limit)
            else:
                self.envs = gymnasium.make_vec(config.id, num_envs, vectorization_mode="vector_entry_point", **limit)
        mode = self.envs.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.NEXT_STEP:
            raise UserError(
                f"{config.id}: its vectorised class resets in mode {mode}; expected NEXT_STEP. "
                "Name a wrapper in environment.wrappers, and single environments are used instead"
            )
        self.num_envs, self.kind = num_envs, "its own vectorised class"
        spec = self.envs.spec
        time_limit = config.max_episode_steps or (spec.max_episode_steps if spec else None)
        threshold = spec.reward_threshold if spec else None
        self._obs = _observation(self.envs.single_observation_space, config.id, dtype)
        self._start, num_actions = _actions(self.envs.single_action_space, config.id)
        self.task = Task(config.dynamics or config.id, self._obs.size, num_actions, time_limit, threshold)
        self._resetting, self._reset_next = np.zeros(num_envs, bool), False
        self._last = np.zeros((num_envs, self._obs.size), dtype)
        self.seeds = np.full(num_envs, -1, np.int64)

    def begin(self, which: Array, seeds: Array, *, all_over: bool = False) -> Array | None:
        """Begin episodes in the environments of `which` [N]; at the start of a block, in all of them.

        The class draws all its resets from one generator, which the block's first seed sets: so an episode is
        determined by the block that it belongs to. The observations, or None: the next step brings them.
        """
        if not all_over:
            self._resetting |= which
            self._reset_next = True
            return None
        self._resetting[:] = self._reset_next = False
        self.seeds[:] = seeds[0]
        with _explained(self.task.id, "reset", seeds[0]):
            self._last = self._obs.convert(self.envs.reset(seed=int(seeds[0]))[0])
        return self._last

    def park(self, which: Array) -> None:
        """The class cannot leave one out; the caller ignores its rows."""
        self._resetting |= which
        self._reset_next = True

    def step(self, action: Array) -> tuple[Array, Array, Array, Array, Array | None]:
        """(next_obs [N, F], reward [N], terminated [N], truncated [N], real [N]); not real: a step that only reset.

        `real` is None where all are.
        """
        try:
            obs, reward, terminated, truncated, _ = self.envs.step(action + self._start if self._start else action)
        except Exception as error:
            raise UserError(f"{self.task.id}: step raises {type(error).__name__}: {error}") from error
        real = None
        if self._reset_next:
            real, self._resetting, self._reset_next = ~self._resetting, np.zeros(self.num_envs, bool), False
        self._last = self._obs.convert(obs)
        return self._last, reward, terminated, truncated, real

    def close(self) -> None:
        self.envs.close()


class Slots:
    """Single environments in a `SyncVectorEnv` that never resets by itself."""

    def __init__(self, config: knobs.Environment, wrappers: list[Any], num_envs: int, dtype: str):
        def one(index: int) -> Callable[[], Slot]:
            return lambda: Slot(_single(config, wrappers), config.id, index, dtype)

        with _quiet(), _explained(config.id, "cannot be made"):
            self.envs = SyncVectorEnv(
                [one(index) for index in range(num_envs)], copy=False, autoreset_mode=AutoresetMode.DISABLED
            )
        self.num_envs, self.kind = num_envs, "SyncVectorEnv"
        self.slots: list[Slot] = self.envs.envs  # type: ignore[assignment]
        spec = self.slots[0].spec
        limits = [config.max_episode_steps, spec.max_episode_steps if spec else None]
        time_limit = next((limit for limit in limits if limit), None)
        self._obs = _observation(self.envs.single_observation_space, config.id, dtype)
        self._start, num_actions = _actions(self.envs.single_action_space, config.id)
        self.task = Task(config.id, self._obs.size, num_actions, time_limit, spec.reward_threshold if spec else None)
        self._real = np.ones(num_envs, bool)

    @property
    def seeds(self) -> list[int]:
        """The seed of each environment's episode."""
        return [slot.seed for slot in self.slots]

    def begin(self, which: Array, seeds: Array, *, all_over: bool = False) -> Array:
        """Reset the environments of `which` [N], each with its seed; returns all observations [N, F]."""
        for slot, begins in zip(self.slots, which, strict=True):
            slot.parked = slot.parked and not begins
        obs = self._reset(which, seeds)
        self._real |= which
        return self._obs.convert(obs)

    def park(self, which: Array) -> None:
        """Leave the environments of `which` [N] out: a step of theirs costs nothing and is not real."""
        if any(slot.seen is None for slot in self.slots):
            self._reset(np.ones(self.num_envs, bool), np.zeros(self.num_envs, np.int64))
        for index in np.flatnonzero(which):
            self.slots[index].parked = True
        self._real &= ~which
        self._reset(which, np.zeros(self.num_envs, np.int64))  # of parked slots: only clears the vector's flags

    def _reset(self, which: Array, seeds: Array) -> Array:
        obs, _ = self.envs.reset(seed=[int(seed) for seed in seeds], options={"reset_mask": which.copy()})
        return obs

    def step(self, action: Array) -> tuple[Array, Array, Array, Array, Array | None]:
        """(next_obs [N, F], reward [N], terminated [N], truncated [N], real [N]): the true successors."""
        obs, reward, terminated, truncated, _ = self.envs.step(action + self._start if self._start else action)
        return self._obs.convert(obs), reward, terminated, truncated, self._real

    def close(self) -> None:
        self.envs.close()


class Slot(gymnasium.Wrapper):
    """One environment of several: can be parked, and names itself, the step and the seed in every error."""

    def __init__(self, env: gymnasium.Env, id: str, index: int, dtype: str):
        super().__init__(env)
        self.id, self.index, self.seed, self.steps = id, index, -1, 0
        self.parked = False
        self.seen: Any = None
        self._space, self._shape = env.observation_space, getattr(env.observation_space, "shape", None)
        self._is_box = isinstance(env.observation_space, gymnasium.spaces.Box)
        self._dtype, self._largest = dtype, float(np.finfo(dtype).max)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if self.parked:
            return self.seen, {}
        self.seed, self.steps = -1 if seed is None else seed, 0
        try:
            result = self.env.reset(seed=seed, options=options)
        except Exception as error:
            raise self.fault(f"reset raises {type(error).__name__}: {error}") from error
        if not (isinstance(result, tuple) and len(result) == 2):
            raise self.fault(f"reset returns {_kind(result)}; expected (observation, info)")
        return self._checked(result[0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.parked:
            return self.seen, 0.0, False, False, {}
        self.steps += 1
        try:
            result = self.env.step(action)
        except Exception as error:
            raise self.fault(f"step raises {type(error).__name__}: {error}") from error
        if not (isinstance(result, tuple) and len(result) == 5):
            raise self.fault(
                f"step returns {_kind(result)}; expected (observation, reward, terminated, truncated, info)"
            )
        obs, reward, terminated, truncated, _ = result
        try:
            reward = float(reward)
        except (TypeError, ValueError):
            raise self.fault(f"reward is {reward!r}; expected a number") from None
        if not abs(reward) <= self._largest:
            raise self.fault(
                f"reward is {reward}; a reward must be finite{f' in {self._dtype}' * math.isfinite(reward)}"
            )
        try:
            terminated, truncated = bool(terminated), bool(truncated)
        except ValueError:
            raise self.fault(f"terminated is {terminated!r}, truncated {truncated!r}; expected true or false") from None
        return self._checked(obs), reward, terminated, truncated, {}

    def _checked(self, obs: Any) -> Any:
        if not isinstance(obs, np.ndarray) and self._is_box:
            try:
                obs = np.asarray(obs, self._dtype)
            except (TypeError, ValueError):
                raise self.fault(f"the observation is {obs!r:.60}; its space is {self._space}") from None
        if np.shape(obs) != self._shape:
            raise self.fault(f"the observation has shape {np.shape(obs)}; its space says {self._shape}")
        if (obs.dtype.kind not in "fiub") if self._is_box else not self._space.contains(obs):
            raise self.fault(f"the observation is {obs!r:.60}; its space is {self._space}")
        self.seen = obs
        return obs

    def fault(self, what: str) -> UserError:
        return UserError(f"{self.id}, environment {self.index}, step {self.steps} (seed {self.seed}): {what}")


# -- spaces


class _Observation(NamedTuple):
    size: int
    convert: Callable[[Any], Array]


def _observation(space: Any, id: str, dtype: str) -> _Observation:
    """How observations of a space become rows of F numbers."""
    if isinstance(space, gymnasium.spaces.Box):
        size, kind = math.prod(space.shape), np.dtype(dtype)

        def flat(obs: Any) -> Array:
            if obs.dtype == kind:  # the common case, copied: who stepped may write over what it returned
                return obs.reshape(len(obs), size).copy()
            with np.errstate(over="ignore"):  # an infinity is reported where it is known whose it is
                return np.array(obs, dtype).reshape(len(obs), size)

        return _Observation(size, flat)
    if isinstance(space, gymnasium.spaces.Discrete):
        table = np.eye(int(space.n), dtype=dtype)
        return _Observation(int(space.n), lambda obs: table[np.asarray(obs) - space.start])
    if isinstance(space, gymnasium.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        tables = [np.eye(int(n), dtype=dtype) for n in space.nvec]

        def convert(obs: Any) -> Array:
            columns = np.asarray(obs) - space.start
            return np.concatenate([table[columns[:, i]] for i, table in enumerate(tables)], axis=1)

        return _Observation(int(space.nvec.sum()), convert)
    raise UserError(f"{id}: its observation space {space} is not supported; expected Box, Discrete or MultiDiscrete")


def _actions(space: Any, id: str) -> tuple[int, int]:
    """(first action, number of actions) of a Discrete space."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return int(space.start), int(space.n)
    raise UserError(f"{id}: its action space {space} is not supported; expected Discrete")


# -- making


def _single(config: knobs.Environment, wrappers: list[Any]) -> gymnasium.Env:
    limit = {} if config.max_episode_steps is None else {"max_episode_steps": config.max_episode_steps}
    env = gymnasium.make(config.id, disable_env_checker=True, **limit, **config.kwargs)
    for wrapper in wrappers:
        env = wrapper(env)
    return env


def single(config: knobs.Environment, *, folders: Sequence[Path] = (), render_mode: str | None = None) -> gymnasium.Env:
    """One plain environment, with its wrappers, for watching."""
    if config.dynamics is not None:
        raise UserError(f"{config.dynamics}: a symbolic environment has no picture; register one with Gymnasium")
    with importable(folders), _quiet(), _explained(config.id, "cannot be made"):
        _spec(config.id)
        rendering = {} if render_mode is None else {"render_mode": render_mode}
        rendered = config.model_copy(update={"kwargs": config.kwargs | rendering})
        return _single(rendered, [_wrapper(name) for name in config.wrappers])


def converters(env: gymnasium.Env, id: str, dtype: str) -> tuple[Callable[[Any], Array], int]:
    """(observation to one row [1, F], first action) of a single environment."""
    observation = _observation(env.observation_space, id, dtype)
    return lambda obs: observation.convert(np.asarray(obs)[None]), _actions(env.action_space, id)[0]


def _spec(id: str) -> Any:
    try:
        with _quiet():
            return gymnasium.spec(id) if ":" not in id else _spec_of_module(id)
    except gymnasium.error.Error as error:
        name = id.partition(":")[2] or id
        known = list(gymnasium.registry)
        near = difflib.get_close_matches(name, known, 1, 0.4)
        version = difflib.get_close_matches(name.rpartition("-v")[0], [k for k in known if "-v" in k], 1, 0.6)
        hint = f"did you mean {(near or version)[0]}?" if near or version else "see `gymnasium.pprint_registry()`"
        if isinstance(error, gymnasium.error.DeprecatedEnv):
            hint = str(error)
        raise UserError(f"environment.id: {id} is not registered with Gymnasium; {hint}") from None


def _spec_of_module(id: str) -> Any:
    module = id.partition(":")[0]
    try:
        importlib.import_module(module)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"environment.id: the module {module} of {id} cannot be imported ({reason})") from error
    return gymnasium.spec(id.partition(":")[2])


def _wrapper(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise UserError(
            f"environment.wrappers: {name} cannot be imported ({type(error).__name__}: {error}); "
            "expected module:Class, such as gymnasium.wrappers:FlattenObservation"
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Gymnasium warns about versions and spaces in ways that mean nothing to whoever trains."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _explained(id: str, doing: str, seed: int | None = None) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        at = "" if seed is None else f" (seed {seed})"
        verb = doing if doing.startswith("cannot") else f"{doing} raises"
        raise UserError(f"{id}: {verb}{at}: {type(error).__name__}: {error}") from error


def _kind(result: Any) -> str:
    return f"{len(result)} values" if isinstance(result, tuple) else f"one {type(result).__name__}"
