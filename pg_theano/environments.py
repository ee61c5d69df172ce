"""Any Gymnasium environment whose observations and actions are numbers, many side by side.

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
from gymnasium.vector import AutoresetMode

from pg_theano import config as knobs
from pg_theano.dynamics import Dynamics, SymbolicVectorEnv, importable
from pg_theano.types import BUILT_IN_DYNAMICS, ActionSpace, Array, UserError


class Task(NamedTuple):
    """What the rest of the program must know of an environment, as plain data."""

    id: str
    obs_size: int  # F, after flattening
    action: ActionSpace
    time_limit: int | None  # steps; None: the environment has none
    threshold: float | None  # the mean return at which it counts as solved


def make(
    config: knobs.Environment,
    *,
    num_envs: int,
    dtype: str,
    folders: Sequence[Path] = (),
    whole: int | None = None,
    squash: bool = False,
    single_environments: bool = False,
) -> VectorClass | Slots:
    """`num_envs` copies of the configured environment, as the task's own vectorised class where it has one.

    `folders` are searched for a user's module, before the current folder. A vectorised class steps `whole` at once,
    where given: it costs hardly more. With `single_environments` a registered task is never stepped by its class, which
    cannot begin one episode by a seed. `squash`: actions of a box are tanh-squashed instead of clipped. Errors:
    `UserError` for an unknown id (with the nearest known), a module that cannot be imported, a space that is not
    supported, an unknown autoreset mode, `squash` where the actions have no finite bounds.
    """
    if config.dynamics is not None:
        return VectorClass(config, _vectorised(config, whole or num_envs, dtype, folders), dtype, squash)
    with importable(folders):
        spec = _spec(config.id)
        wrappers = [_wrapper(name) for name in config.wrappers]
        changed = wrappers or config.kwargs or spec.additional_wrappers
        if spec.vector_entry_point is not None and not (changed or single_environments):
            envs = _vectorised(config, whole or num_envs, dtype)
            if not isinstance(envs.single_observation_space, COMPOSITE):
                return VectorClass(config, envs, dtype, squash)
            envs.close()
        return Slots(config, wrappers, num_envs, dtype, squash)


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
        action = _action(own.action_space, config.dynamics).space
        limit = config.max_episode_steps or facts["max_steps"]
        task = Task(config.dynamics, len(facts["obs_low"]), action, limit, facts["reward_threshold"])
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
            action, size = _action(env.action_space, config.id).space, math.prod(env.observation_space.shape or ())
            limit = config.max_episode_steps or spec.max_episode_steps
            return Compiled(Task(config.id, size, action, limit, spec.reward_threshold), BUILT_IN_DYNAMICS[config.id])
        finally:
            env.close()
    if config.engine == "compiled":
        raise UserError(f"environment.engine: got compiled for {config.id}, but {reasons[0]}; use auto or gymnasium")
    return None


class VectorClass:
    """A task's own vectorised class, in mode NEXT_STEP: the step after an end only resets, and is not real."""

    def __init__(self, config: knobs.Environment, envs: Any, dtype: str, squash: bool):
        mode = envs.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.NEXT_STEP:
            raise UserError(
                f"{config.id}: its vectorised class resets in mode {mode}; expected NEXT_STEP. "
                "Name a wrapper in environment.wrappers, and single environments are used instead"
            )
        self.envs, self.kind = envs, "its own vectorised class"
        self.num_envs = num_envs = envs.num_envs
        time_limit = config.max_episode_steps or (envs.spec.max_episode_steps if envs.spec else None)
        threshold = envs.spec.reward_threshold if envs.spec else None
        self._obs = _observation(envs.single_observation_space, config.id, dtype)
        self._action = _action(envs.single_action_space, config.id, squash)
        self.task = Task(config.dynamics or config.id, self._obs.size, self._action.space, time_limit, threshold)
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
        given = self._action.given(action)
        try:
            obs, reward, terminated, truncated, _ = self.envs.step(given)
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
    """Single environments side by side, each begun by a seed of its own; none resets by itself.

    They are stepped here and not by Gymnasium's `SyncVectorEnv`: what is checked of sixteen results at once costs less
    than what that class does with them.
    """

    def __init__(self, config: knobs.Environment, wrappers: list[Any], num_envs: int, dtype: str, squash: bool):
        with _quiet(), _explained(config.id, "cannot be made"):
            self.slots = [Slot(_single(config, wrappers), config.id, index, dtype) for index in range(num_envs)]
        self.num_envs, self.kind = num_envs, "single environments"
        first = self.slots[0]
        for slot in self.slots:
            if (slot.observation_space, slot.action_space) != (first.observation_space, first.action_space):
                raise UserError(f"{config.id}: the spaces of environment {slot.index} are not those of environment 0")
        limits = [config.max_episode_steps, first.spec.max_episode_steps if first.spec else None]
        time_limit = next((limit for limit in limits if limit), None)
        threshold = first.spec.reward_threshold if first.spec else None
        self._observation = _observation(first.observation_space, config.id, dtype)
        self._action = _action(first.action_space, config.id, squash)
        self.given = self._action.given  # a policy's actions [N, ...] to what the environments take
        self.task = Task(config.id, self._observation.size, self._action.space, time_limit, threshold)
        self._largest = float(np.finfo(dtype).max)
        # Of anything but a box only the space itself can say whether an observation belongs to it.
        self._shape = (
            first.observation_space.shape if isinstance(first.observation_space, gymnasium.spaces.Box) else None
        )
        self._obs = np.zeros((num_envs, self._observation.size), dtype)  # as last seen; replaced, never written to
        self._real = np.ones(num_envs, bool)
        self._parked, self._playing = False, self.slots

    @property
    def seeds(self) -> list[int]:
        """The seed of each environment's episode."""
        return [slot.seed for slot in self.slots]

    def begin(self, which: Array, seeds: Array, *, all_over: bool = False) -> Array:
        """Reset the environments of `which` [N], each with its seed; returns all observations [N, F]."""
        if self._parked:
            self._play(self._real | which)
        over = which.nonzero()[0]
        fresh = [self.slots[index].reset(seed=int(seeds[index]))[0] for index in over]
        obs = self._obs.copy()
        if fresh:
            obs[over] = self._observation.convert(np.array(fresh))
        self._obs = obs
        return obs

    def park(self, which: Array) -> None:
        """Leave the environments of `which` [N] out: a step of theirs costs nothing and is not real."""
        self._play(self._real & ~which)

    def _play(self, real: Array) -> None:
        self._real, self._parked = real, not real.all()
        self._playing = [self.slots[index] for index in np.flatnonzero(real)]

    def step(self, action: Array) -> tuple[Array, Array, Array, Array, Array | None]:
        """(next_obs [N, F], reward [N], terminated [N], truncated [N], real [N]): the true successors."""
        return *self.take(self.given(action)), self._real

    def take(self, given: Array) -> tuple[Array, Array, Array, Array]:
        """The same, of actions as the environments have them: what `given` makes of a policy's, one a row."""
        results = []
        slot = self.slots[0]
        try:
            for slot, own in zip(self._playing, given[self._real] if self._parked else given, strict=True):
                slot.steps += 1
                results.append(slot.env.step(own))
        except Exception as error:
            raise slot.fault(f"step raises {type(error).__name__}: {error}") from error
        seen, reward, terminated, truncated = self._together(results) or self._one_by_one(results)
        obs = self._observation.convert(seen)
        if self._parked:
            obs, reward = self._spread(obs, self._obs), self._spread(reward, np.zeros(self.num_envs))
            terminated, truncated = (
                self._spread(flags, np.zeros(self.num_envs, bool)) for flags in (terminated, truncated)
            )
        self._obs = obs
        return obs, reward, terminated, truncated

    def _spread(self, rows: Array, parked: Array) -> Array:
        """Rows of those that play, among those that are parked."""
        every = parked.copy()
        every[self._real] = rows
        return every

    def _together(self, results: list[Any]) -> tuple[Array, Array, Array, Array] | None:
        """Four columns of results that are beyond doubt; None: they must be looked at one by one."""
        try:
            seen, reward, terminated, truncated, _ = zip(*results, strict=True)
            obs, rewards = np.array(seen), np.fromiter(reward, np.float64, len(results))
            ends = [np.fromiter(flags, bool, len(results)) for flags in (terminated, truncated)]
        except (TypeError, ValueError):
            return None
        if self._shape is None or obs.shape[1:] != self._shape or obs.dtype.kind not in "fiub":
            return None
        if not np.add.reduce(np.abs(rewards)) <= self._largest:
            return None
        return obs, rewards, ends[0], ends[1]

    def _one_by_one(self, results: list[Any]) -> tuple[Array, Array, Array, Array]:
        sound = [slot.sound(result) for slot, result in zip(self._playing, results, strict=True)]
        seen, reward, terminated, truncated = zip(*sound, strict=True)
        return np.array(seen), np.array(reward), np.array(terminated), np.array(truncated)

    def replay(self, index: int, seed: int, given: Array) -> tuple[Array, float, int]:
        """Begin an environment's episode by its seed and take the same actions again, [L, ...] as `given` made them.

        (observation [F], sum of rewards, steps until the episode ended or the actions did)
        """
        slot, total = self.slots[index], 0.0
        seen = slot.reset(seed=seed)[0]
        for own in given:
            seen, reward, terminated, truncated, _ = slot.step(own)
            total += reward
            if terminated or truncated:
                break
        self._obs = self._obs.copy()
        self._obs[index] = self._observation.convert(np.array(seen)[None])[0]
        return self._obs[index], total, slot.steps

    def close(self) -> None:
        for slot in self.slots:
            slot.close()


class Slot(gymnasium.Wrapper):
    """One environment of several: names itself, the step and the seed in every error."""

    def __init__(self, env: gymnasium.Env, id: str, index: int, dtype: str):
        super().__init__(env)
        self.id, self.index, self.seed, self.steps = id, index, -1, 0
        self._space, self._shape = env.observation_space, getattr(env.observation_space, "shape", None)
        self._is_box = isinstance(env.observation_space, gymnasium.spaces.Box)
        self._dtype, self._largest = dtype, float(np.finfo(dtype).max)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.seed, self.steps = -1 if seed is None else seed, 0
        try:
            result = self.env.reset(seed=seed, options=options)
        except Exception as error:
            raise self.fault(f"reset raises {type(error).__name__}: {error}") from error
        if not (isinstance(result, tuple) and len(result) == 2):
            raise self.fault(f"reset returns {_kind(result)}; expected (observation, info)")
        return self._checked(result[0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        try:
            result = self.env.step(action)
        except Exception as error:
            raise self.fault(f"step raises {type(error).__name__}: {error}") from error
        return *self.sound(result), {}

    def sound(self, result: Any) -> tuple[Any, float, bool, bool]:
        """What `step` returned, once it is what it should be: (observation, reward, terminated, truncated)."""
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
        return self._checked(obs), reward, terminated, truncated

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
    raise UserError(
        f"{id}: its observation space {space} is not supported; expected Box, Discrete, MultiDiscrete, "
        "or a Dict or Tuple that Gymnasium can flatten"
    )


class _Action(NamedTuple):
    space: ActionSpace
    given: Callable[[Array], Array]
    """Actions as a policy chooses them, [N] or [N, C], to what N environments take: always an array of its own."""


def _action(space: Any, id: str, squash: bool = False) -> _Action:
    """How a policy's actions become those of a space, in the space's own dtype and shape.

    discrete, multi-discrete   a + start
    box                        min(max(a, low), high), or low + (high − low)·(tanh a + 1)/2 where squashed
    """
    if squash and not (isinstance(space, gymnasium.spaces.Box) and space.is_bounded()):
        raise UserError(f"policy.squash: {id} has the action space {space}; expected a Box with finite bounds")
    if isinstance(space, gymnasium.spaces.Discrete):
        start = int(space.start)
        plain = ActionSpace("discrete", 1, [int(space.n)], [], [])
        return _Action(plain, lambda action: np.add(action, start, dtype=space.dtype, casting="unsafe"))
    if isinstance(space, gymnasium.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        starts = space.start
        plain = ActionSpace("multi_discrete", len(space.nvec), space.nvec.tolist(), [], [])
        return _Action(plain, lambda action: np.add(action, starts, dtype=space.dtype, casting="unsafe"))
    if isinstance(space, gymnasium.spaces.MultiBinary):
        size, shape = math.prod(space.shape), space.shape
        plain = ActionSpace("multi_binary", size, [2] * size, [], [])
        return _Action(plain, lambda action: np.array(action, space.dtype).reshape(len(action), *shape))
    if isinstance(space, gymnasium.spaces.Box):
        return _box_action(space, id, squash)
    raise UserError(
        f"{id}: its action space {space} is not supported; expected Discrete, Box, MultiDiscrete of one dimension or "
        "MultiBinary"
    )


def _box_action(space: gymnasium.spaces.Box, id: str, squash: bool) -> _Action:
    low, high = (bound.reshape(-1).astype(np.float64) for bound in (space.low, space.high))
    half, whole = (high - low) / 2, space.dtype.kind in "iu"

    def given(action: Array) -> Array:
        # Rounding may carry what was squashed past a bound; clipping it as well costs nothing that counts.
        inside = np.minimum(np.maximum(low + half * (np.tanh(action) + 1) if squash else action, low), high)
        # An infinity is clipped like any number; what is left is not a number, or has no bound to stop it.
        if not math.isfinite(np.add.reduce(inside, axis=None)) and not np.isfinite(inside).all():
            index = int(np.flatnonzero(~np.isfinite(inside).all(axis=1))[0])
            raise UserError(
                f"{id}, environment {index}: the policy's action is {np.asarray(action)[index].tolist()}; an action "
                "must be finite. Try a lower schedules.learning_rate"
            )
        return (np.rint(inside) if whole else inside).astype(space.dtype).reshape(len(inside), *space.shape)

    return _Action(ActionSpace("box", len(low), [], low.tolist(), high.tolist()), given)


# -- making


COMPOSITE = (gymnasium.spaces.Dict, gymnasium.spaces.Tuple)
"""Observation spaces of several parts, which Gymnasium's own wrapper makes one row of."""


def _vectorised(config: knobs.Environment, num_envs: int, dtype: str, folders: Sequence[Path] = ()) -> Any:
    """The task's own vectorised class."""
    limit: dict[str, Any] = {} if config.max_episode_steps is None else {"max_episode_steps": config.max_episode_steps}
    with _quiet(), _explained(config.id, "cannot be made"):
        if config.dynamics is not None:
            return SymbolicVectorEnv(Dynamics(config.dynamics, dtype=dtype, folders=folders), num_envs, **limit)
        return gymnasium.make_vec(config.id, num_envs, vectorization_mode="vector_entry_point", **limit)


def _single(config: knobs.Environment, wrappers: list[Any]) -> gymnasium.Env:
    limit = {} if config.max_episode_steps is None else {"max_episode_steps": config.max_episode_steps}
    env = gymnasium.make(config.id, disable_env_checker=True, **limit, **config.kwargs)
    for wrapper in wrappers:
        env = wrapper(env)
    return gymnasium.wrappers.FlattenObservation(env) if isinstance(env.observation_space, COMPOSITE) else env


def single(config: knobs.Environment, *, folders: Sequence[Path] = (), render_mode: str | None = None) -> gymnasium.Env:
    """One plain environment, with its wrappers, for watching."""
    if config.dynamics is not None:
        raise UserError(f"{config.dynamics}: a symbolic environment has no picture; register one with Gymnasium")
    with importable(folders), _quiet(), _explained(config.id, "cannot be made"):
        _spec(config.id)
        rendering = {} if render_mode is None else {"render_mode": render_mode}
        rendered = config.model_copy(update={"kwargs": config.kwargs | rendering})
        return _single(rendered, [_wrapper(name) for name in config.wrappers])


def converters(
    env: gymnasium.Env, id: str, dtype: str, squash: bool = False
) -> tuple[Callable[[Any], Array], Callable[[Array], Array]]:
    """(observation to one row [1, F], a policy's actions [N, ...] to the environment's) of a single environment."""
    observation = _observation(env.observation_space, id, dtype)
    return lambda obs: observation.convert(np.asarray(obs)[None]), _action(env.action_space, id, squash).given


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
