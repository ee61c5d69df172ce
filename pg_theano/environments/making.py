"""Any Gymnasium environment whose observations and actions are numbers, many side by side.

    environment = make(config.environment, num_envs=16, dtype="float32")
    obs = environment.begin(np.ones(16, bool), seeds)                            # [N, F]
    obs, reward, terminated, truncated, real = environment.step(action)          # the true successor, [N, F]

An environment whose episode has ended is begun again with a seed of the host's, or parked, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np

from pg_theano.config import knobs
from pg_theano.environments import joint, masks
from pg_theano.environments.dynamics import Dynamics
from pg_theano.environments.masks_of_many import of_dynamics
from pg_theano.environments.naming import explained, maker_of, quiet, spec_of, wrappers_of
from pg_theano.environments.parallel import Parallel
from pg_theano.environments.rows import Flat, has_parts, observation_of
from pg_theano.environments.singles import Slots
from pg_theano.environments.spaces import action_of, size_of, spaces_of
from pg_theano.environments.symbolic import SymbolicEnv, SymbolicVectorEnv
from pg_theano.environments.telling import close_quietly
from pg_theano.environments.vectors import FirstRow, VectorClass
from pg_theano.system import handed
from pg_theano.system.importing import importable
from pg_theano.types import BUILT_IN_DYNAMICS, Array, Steps, Task, UserError

if TYPE_CHECKING:  # imported where there are some
    from pg_theano.environments.workers import Workers


def make(
    config: knobs.Environment,
    *,
    num_envs: int,
    dtype: str,
    folders: Sequence[Path] = (),
    whole: int | None = None,
    squash: bool = False,
    single_environments: bool = False,
) -> VectorClass | Slots | Workers:
    """`num_envs` copies of the configured environment, as the task's own vectorised class where it has one.

    `folders` are searched for a user's module, before the current folder. A vectorised class steps `whole` at once,
    where given: it costs hardly more. With `single_environments` a registered task is never stepped by its class, which
    cannot begin one episode by a seed; nor with workers by number, which step them in processes of their own. `squash`:
    actions of a box are tanh-squashed instead of clipped. Errors: `UserError` for an unknown id (with the nearest
    known), a module that cannot be imported, a space that is not supported, an unknown autoreset mode, `squash` where
    the actions have no finite bounds.
    """
    vector = getattr(handed.found(config.id), "vector", None)
    if config.separate and vector is None:
        from pg_theano.environments.workers import Workers

        return Workers(config, num_envs=num_envs, dtype=dtype, folders=folders, squash=squash)
    if config.dynamics is not None:
        return VectorClass(config, _vectorised(config, whole or num_envs, dtype, folders), dtype, squash)
    with importable(folders, config.named(), anew=False):
        if config.api == "pettingzoo":
            return Parallel(config, [joint.made(config) for _ in range(num_envs)], dtype, squash)
        spec = spec_of(config)
        wrappers = wrappers_of(config)
        if vector is not None:
            return _given_vector(config, {} if vector else {"num_envs": num_envs}, dtype, squash)
        changed = wrappers or config.kwargs or (spec and spec.additional_wrappers)
        possible = spec and spec.vector_entry_point is not None and not (changed or single_environments)
        if config.engine == "vector" and not possible:
            raise UserError.of("environment.engine", NO_CLASS, "auto", "auto")
        if possible:
            envs = _vectorised(config, whole or num_envs, dtype)
            same = not has_parts(envs.single_observation_space) and _same_task(config, str(spec.entry_point), envs)
            if same or config.engine == "vector":
                return VectorClass(config, envs, dtype, squash)
            envs.close()
        with quiet(), explained(config.id, "cannot be made", old=config.api == "gym"):
            singles = [_single(config, wrappers) for _ in range(num_envs)]
        if len({*map(id, singles)}) < num_envs:
            raise UserError.at(config.id, "what makes it gives the same object twice", "a new one at each call")
        return Slots(config, singles, dtype, squash)


class Compiled(NamedTuple):
    """A task whose dynamics are part of a compiled graph: nothing is stepped from here."""

    task: Task
    dynamics: str  # module:Class
    source: str | None = None  # fingerprint of a user's own files

    def close(self) -> None:
        pass


Playable = Steps | Compiled
"""Environments that are stepped from here, or whose dynamics are part of a compiled graph."""


def engine_of(config: knobs.Environment, *, dtype: str, backend: str, folders: Sequence[Path] = ()) -> Compiled | None:
    """The compiled engine, where it is wanted and is the same task; None where Gymnasium steps.

    `auto` takes it only for Gymnasium's own task with default kwargs and no wrappers. Errors: `UserError` where
    `engine: compiled` is asked for and cannot be.
    """
    if config.dynamics is not None:
        own = Dynamics(config.dynamics, dtype=dtype, folders=folders)
        if backend != "jax":
            raise UserError.of("backend", f"got {backend}; environment.dynamics needs jax; expected jax; try jax")
        facts = own.task
        action = action_of(own.action_space, config.dynamics).space
        limit = config.max_episode_steps or facts["max_steps"]
        spaces = spaces_of(own.observation_space, own.action_space, config.dynamics, config.observe)
        size = size_of(spaces["observation"])
        if source := of_dynamics(own.masks, config):
            spaces["mask"], size = source._asdict(), size + sum(action.choices)
        task = Task(config.dynamics, size, action, limit, facts["reward_threshold"], spaces)
        return Compiled(task, config.dynamics, own.source)
    if config.engine in ("gymnasium", "vector") or config.separate or config.api != "gymnasium":
        return None
    with importable(folders, config.named(), anew=False):
        spec = spec_of(config)
    reasons = []
    of_gymnasium = spec is not None and str(spec.entry_point).startswith("gymnasium.envs.classic_control")
    own_task = spec is not None and spec.kwargs.get("dynamics") == BUILT_IN_DYNAMICS.get(config.id, "")
    if config.id not in BUILT_IN_DYNAMICS or not (of_gymnasium or own_task):
        reasons.append(f"there are compiled dynamics of {', '.join(BUILT_IN_DYNAMICS)} only")
    if config.kwargs or config.wrappers or (spec and spec.kwargs and not own_task):
        reasons.append("environment.kwargs and .wrappers change the task")
    if backend != "jax":
        reasons.append(f"backend {backend} has no artifacts")
    if not reasons:
        env = gymnasium.make(config.id, disable_env_checker=True)
        try:
            action = action_of(env.action_space, config.id).space
            limit = config.max_episode_steps or spec.max_episode_steps
            spaces = spaces_of(env.observation_space, env.action_space, config.id, config.observe)
            task = Task(config.id, size_of(spaces["observation"]), action, limit, spec.reward_threshold, spaces)
            return Compiled(task, BUILT_IN_DYNAMICS[config.id])
        finally:
            env.close()
    if config.engine == "compiled":
        raise UserError.of(
            "environment.engine",
            f"got compiled for {config.id}, but {reasons[0]}; expected auto or gymnasium; try auto",
        )
    return None


# -- making

NO_CLASS = (
    "got vector, and there is no vectorised class for this: it must be registered, whole episodes played, and neither "
    "wrappers nor kwargs given"
)


def _given_vector(config: knobs.Environment, kwargs: dict[str, Any], dtype: str, squash: bool) -> VectorClass:
    """A `gymnasium.vector.VectorEnv` that was given in Python."""
    wanted = {"wrappers": config.wrappers, "max_episode_steps": config.max_episode_steps, "workers": config.separate}
    for knob, value in wanted.items():
        if value:
            advice = "a gymnasium.vector.AsyncVectorEnv" if knob == "workers" else "it around what is given"
            got = f"got {value} with a gymnasium.vector.VectorEnv"
            raise UserError.of(f"environment.{knob}", got, "none: it has its own", advice)
    make = maker_of(config)
    assert make is not None  # noqa: S101  of whom a vector is known
    with quiet(), explained(config.id, "cannot be made"):
        envs = make(config.kwargs | kwargs, None)
    return VectorClass(config, envs, dtype, squash, given=True)


def _same_task(config: knobs.Environment, entry: str, envs: Any) -> bool:
    """Whether a vectorised class has the spaces, and the mask, of what `gymnasium.make` gives. Gymnasium's own and ours
    have."""
    if entry.startswith(("gymnasium.envs.", "pg_theano.")):
        return True
    with quiet(), explained(config.id, "cannot be made"):
        one = _single(config, [], flat=False)
    found = [masks.source_of(both, config.action_mask, config.id) for both in (one, envs)]
    close_quietly(one, config.id)
    if found[0] != found[1]:
        return False
    return (one.observation_space, one.action_space) == (envs.single_observation_space, envs.single_action_space)


def _vectorised(config: knobs.Environment, num_envs: int, dtype: str, folders: Sequence[Path] = ()) -> Any:
    """The task's own vectorised class."""
    limit: dict[str, Any] = {} if config.max_episode_steps is None else {"max_episode_steps": config.max_episode_steps}
    with quiet(), explained(config.id, "cannot be made", old=config.api == "gym"):
        if config.dynamics is not None:
            return SymbolicVectorEnv(Dynamics(config.dynamics, dtype=dtype, folders=folders), num_envs, **limit)
        return gymnasium.make_vec(config.id, num_envs, vectorization_mode="vector_entry_point", **limit)


def _single(
    config: knobs.Environment, wrappers: list[Any], flat: bool = True, render_mode: str | None = None
) -> gymnasium.Env:
    limit: dict[str, Any] = {} if config.max_episode_steps is None else {"max_episode_steps": config.max_episode_steps}
    env: Any
    if (maker := maker_of(config)) is not None:
        env = maker(config.kwargs, render_mode)
        env = FirstRow(env) if isinstance(env, gymnasium.vector.VectorEnv) else env
        env = gymnasium.wrappers.TimeLimit(env, **limit) if limit else env
    else:
        rendering = {} if render_mode is None else {"render_mode": render_mode}
        try:
            env = gymnasium.make(config.id, disable_env_checker=True, **limit, **config.kwargs | rendering)
        except TypeError as error:
            if not rendering or "'render_mode'" not in str(error):
                raise
            raise UserError(
                f"{config.id}: takes no render_mode; expected an environment that can be drawn; try "
                "def __init__(self, ..., render_mode=None), and a render method"
            ) from None
    for wrapper, arguments in wrappers:
        env = wrapper(env, **arguments)
    if not flat:
        return env
    if (source := masks.source_of(env, config.action_mask, config.id)) is not None:
        env = masks.Masked(env, source, config.id)
    return Flat(env, config.id) if has_parts(env.observation_space) else env


def single(
    config: knobs.Environment, *, folders: Sequence[Path] = (), render_mode: str | None = None, flat: bool = True
) -> gymnasium.Env:
    """One plain environment, with its wrappers, for watching; `flat`: parts of an observation are made one row."""
    if config.dynamics is not None:
        with explained(config.dynamics, "cannot be made"):
            made = SymbolicEnv(Dynamics(config.dynamics, folders=folders), render_mode)
        steps = config.max_episode_steps or made.dynamics.task["max_steps"]
        limited = gymnasium.wrappers.TimeLimit(made, steps) if steps else made
        source = of_dynamics(made.dynamics.masks, config) if flat else None
        return Flat(masks.Masked(limited, source, config.dynamics), config.dynamics) if source else limited
    if config.engine == "vector" and flat:
        raise UserError.of(
            "environment.engine", "got vector, and one environment has other spaces", "auto", "a run with auto"
        )
    with (
        importable(folders, config.named(), anew=False),
        quiet(),
        explained(config.id, "cannot be made", old=config.api == "gym"),
    ):
        if config.api == "pettingzoo":
            return joint.Together(joint.made(config, render_mode), config, render_mode)
        spec_of(config)
        env = _single(config, wrappers_of(config), flat, render_mode)
        seen_of(env, config)  # which says so where there is no such feature
        return env


def converters(
    env: gymnasium.Env, config: knobs.Environment, dtype: str, squash: bool = False
) -> tuple[Callable[[Any], Array], Callable[[Array], Array]]:
    """(observation to one row [1, F], a policy's actions [N, ...] to the environment's) of a single environment;
    of one with several agents, a row for each: [A, F] and [A, ...] to [1, A, ...]."""
    if isinstance(env.unwrapped, joint.Together):
        return env.unwrapped.converters(config, dtype, squash)
    observation = observation_of(env.observation_space, config.id, dtype, seen_of(env, config))
    return lambda obs: observation.convert(np.asarray(obs)[None]), action_of(env.action_space, config.id, squash).given


def seen_of(env: gymnasium.Env, config: knobs.Environment) -> list[int] | None:
    """The places of `environment.observe` in the rows of a single environment. Errors: `UserError`."""
    if config.observe is None:
        return None
    flat = env if isinstance(env, Flat) else getattr(env, "env", None)  # of parts, which are one row by now
    return masks.places(masks.described(flat.env if isinstance(flat, Flat) else env, config))


def is_gymnasiums_own(config: knobs.Environment) -> bool:
    """Whether an environment is one of Gymnasium's, as it is there."""
    found = gymnasium.registry.get(config.id)
    return found is not None and str(found.entry_point).startswith("gymnasium.envs.") and not config.wrappers
