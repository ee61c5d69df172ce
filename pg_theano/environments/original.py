"""Gymnasium's own environment of a symbolic task, for what no graph holds.

Its pictures, the options of a reset, and the task with another gravity or another reward.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs import registration

from pg_theano.environments import drawing
from pg_theano.types import Array, UserError

OPTIONS = {"Pendulum-v1": ("x_init", "y_init")}
"""What a reset may be given, by id; the others take `low` and `high`."""


class Original:
    """It is made when it is first asked for. `metadata`: the ways to draw, none where Gymnasium has no such task."""

    def __init__(self, task: dict[str, Any], render_mode: str | None = None, kwargs: dict[str, Any] | None = None):
        self.id, self.name, self.render_mode, self.kwargs = task["id"], task["name"], render_mode, kwargs or {}
        self._numbers: dict[str, Any] = {}  # those that were set
        self.metadata: dict[str, Any] = {"render_modes": []}
        self._env: Any = None
        self.twin = self.id in gymnasium.registry
        if self.name in drawing.TASKS:
            self.metadata = {"render_modes": ["rgb_array"], "render_fps": drawing.FPS}
        if self.twin:
            made: Any = gymnasium.spec(self.id).entry_point
            self.metadata = dict(getattr(registration.load_env_creator(made), "metadata", self.metadata))
        if kwargs and not self.twin:
            raise UserError(f"{self.name}: got arguments {sorted(kwargs)}; expected none, which no graph takes")
        if render_mode is not None and not self.metadata["render_modes"]:
            raise UserError(
                f"{self.name}: a symbolic environment has no picture; expected one that Gymnasium has too; "
                "try render_mode=None"
            )
        if render_mode == "human" and not self.twin:
            raise UserError(
                f"{self.name}: got render_mode human; expected rgb_array; try gymnasium.make, which opens a window"
            )
        if kwargs:
            self.env  # noqa: B018  which says what it does not take

    @property
    def env(self) -> Any:
        if self._env is None:
            if not self.twin:
                raise AttributeError(f"{self.name}: Gymnasium has no such task, whose numbers could be read or set")
            spec = gymnasium.spec(self.id)
            found: Any = spec.entry_point
            made: Any = registration.load_env_creator(found)  # no `gymnasium.make`, which warns of newer versions
            mode = self.render_mode and self.render_mode.removesuffix("_list")  # lists are the business of a wrapper
            self._env = made(**spec.kwargs | {"render_mode": mode} | self.kwargs)
            self._env.spec = spec
            vars(self._env).update(self._numbers)
        return self._env

    def set(self, name: str, value: Any) -> None:
        """Set a number of the task, such as `gravity`. Errors: `AttributeError` where it has none of this name."""
        getattr(self.env, name)
        setattr(self.env, name, value)
        self._numbers[name] = value

    def stepped(self, env_state: Array, action: Array) -> tuple[Array, Array, Array, Array]:
        """(env_state [S, E], action [E]) to (env_state, obs [E, F], reward [E], terminated [E]), episode by episode."""
        env, dtype, rows = self.env, env_state.dtype, []
        kept, env.render_mode = env.render_mode, None  # no picture of each: whoever steps draws
        for state, one in zip(env_state.T.astype(np.float64), action, strict=True):
            env.state, env.steps_beyond_terminated = state, None  # the second: CartPole's, which warns by it
            obs, reward, terminated, *_ = env.step(one)
            rows.append((np.array(env.state, dtype), np.array(obs, dtype), dtype.type(reward), bool(terminated)))
        env.render_mode = kept
        states, seen, rewards, ends = (np.array(column) for column in zip(*rows, strict=True))
        return np.ascontiguousarray(states.T), seen, rewards, ends

    def begun(self, generator: Any, options: dict[str, Any], dynamics: Any) -> tuple[Array, Array]:
        """(state [S], obs [F]) that Gymnasium's reset draws with these options; where it has no such task, of the
        `state` that is given. Errors: `UserError` for others."""
        known, dtype = OPTIONS.get(self.id, ("low", "high")) if self.twin else ("state",), dynamics.dtype
        for name in options:
            if name not in known:
                raise UserError(f"{self.name}: options: got {name!r}; expected one of {list(known)}")
        if not self.twin:
            state = np.asarray(options["state"], dtype)
            if state.shape != (size := dynamics.task["state_size"],) or not np.isfinite(state).all():
                raise UserError(f"{self.name}: options: got state {options['state']!r}; expected {size} finite numbers")
            return state, dynamics.observe(state[:, None])[0]
        env = self.env
        env.np_random = generator
        obs = env.reset(options=options)[0]
        return np.array(env.state, dtype), np.array(obs, dtype)

    def picture(self, state: Any, action: Any, spec: registration.EnvSpec | None) -> Any:
        """What Gymnasium, or `drawing.py`, draws of this state [S], after this action; None, and Gymnasium's warning,
        without a render_mode."""
        if not self.twin:
            return None if state is None or self.render_mode is None else drawing.picture(self.name, state)
        env = self.env
        env.spec = spec or env.spec
        env.state = None if state is None else np.asarray(state, np.float64)
        env.last_u = None if action is None else np.clip(np.ravel(action)[0], -2.0, 2.0)  # Pendulum's arrow
        return env.render()

    def close(self) -> None:
        if self._env is not None:
            self._env.close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_env": None}  # a window cannot be copied


class Number:
    """One number of a task: read from Gymnasium's own, which steps the task from when it is set."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, env: Any, kind: Any = None) -> Any:
        return self if env is None else getattr(env.original.env, self.name)

    def __set__(self, env: Any, value: Any) -> None:
        env.original.set(self.name, value)
        env.dynamics = env.dynamics.by(env.original)


class Numbers:
    """The numbers of a task under Gymnasium's names, such as `gravity`, for an environment to inherit."""


for _name in (
    *("gravity", "masscart", "masspole", "total_mass", "length", "polemass_length", "force_mag", "tau", "x_threshold"),
    *("theta_threshold_radians", "dt", "LINK_LENGTH_1", "LINK_LENGTH_2", "LINK_MASS_1", "LINK_MASS_2"),
    *("LINK_COM_POS_1", "LINK_COM_POS_2", "LINK_MOI", "MAX_VEL_1", "MAX_VEL_2", "force", "power", "min_action"),
    *("max_action", "min_position", "max_position", "max_speed", "goal_position", "goal_velocity", "max_torque"),
    *("g", "m", "l"),
):
    setattr(Numbers, _name, Number(_name))
