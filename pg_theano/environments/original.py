"""Gymnasium's own environment of a symbolic task, for what no graph holds: its pictures, and the options of a reset."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs import registration

from pg_theano.types import Array, UserError

OPTIONS = {"Pendulum-v1": ("x_init", "y_init")}
"""What a reset may be given, by id; the others take `low` and `high`."""


class Original:
    """It is made when it is first asked for. `metadata`: the ways to draw, none where Gymnasium has no such task."""

    def __init__(self, task: dict[str, Any], render_mode: str | None = None):
        self.id, self.name, self.render_mode = task["id"], task["name"], render_mode
        self.metadata: dict[str, Any] = {"render_modes": []}
        self._env: Any = None
        if self.id in gymnasium.registry:
            made: Any = gymnasium.spec(self.id).entry_point
            self.metadata = dict(getattr(registration.load_env_creator(made), "metadata", self.metadata))
        if render_mode is not None and not self.metadata["render_modes"]:
            raise UserError(
                f"{self.name}: a symbolic environment has no picture; expected one that Gymnasium has too; "
                "try render_mode=None"
            )

    def begun(self, generator: Any, options: dict[str, Any], dtype: Any) -> tuple[Array, Array]:
        """(state [S], obs [F]) that Gymnasium's reset draws with these options. Errors: `UserError` for others."""
        known = OPTIONS.get(self.id, ("low", "high")) if self.metadata["render_modes"] else ()
        for name in options:
            if name not in known:
                raise UserError(f"{self.name}: options: got {name!r}; expected one of {list(known)}")
        env = self._made()
        env.np_random = generator
        obs = env.reset(options=options)[0]
        return np.array(env.state, dtype), np.array(obs, dtype)

    def picture(self, state: Any, action: Any, spec: registration.EnvSpec | None) -> Any:
        """What Gymnasium draws of this state [S], after this action; None, and its warning, without a render_mode."""
        env = self._made()
        env.spec = spec or env.spec
        env.state = None if state is None else np.asarray(state, np.float64)
        env.last_u = None if action is None else np.clip(np.ravel(action)[0], -2.0, 2.0)  # Pendulum's arrow
        return env.render()

    def close(self) -> None:
        if self._env is not None:
            self._env.close()

    def _made(self) -> Any:
        if self._env is None:
            self._env = gymnasium.make(self.id, render_mode=self.render_mode, disable_env_checker=True).unwrapped
        return self._env

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_env": None}  # a window cannot be copied
