"""Environments that are one object: a task's own vectorised class, or a `gymnasium.vector.VectorEnv` that was given.

Of an episode's last step the true successor is returned, whatever the class does there:

    NEXT_STEP   the step that follows only resets, and is not real
    SAME_STEP   the step returns the next episode's first observation; the last one is in `infos["final_obs"]`
    DISABLED    nothing; `begin` resets the rows that it is asked for

No episode can be begun by a seed of its own, and none played again, but in mode DISABLED of Gymnasium's own two
classes; elsewhere the class draws all its resets from one generator, which a block's first seed sets.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import concatenate, create_empty_array, iterate

from pg_theano.config import knobs
from pg_theano.environments import masks_of_many
from pg_theano.environments.naming import explained
from pg_theano.environments.place import PASSED, Standing, calling
from pg_theano.environments.rows import Outside, dtype_in, observation_of
from pg_theano.environments.spaces import action_of, spaces_of
from pg_theano.environments.telling import close_quietly, short, words_of
from pg_theano.types import Array, Task, UserError


class VectorClass:
    """N environments of one class. `given`: the object of a user, and not the class that is registered for an id."""

    stays_open = True  # an episode goes on in the next stretch, though it cannot be played again

    def __init__(self, config: knobs.Environment, envs: Any, dtype: str, squash: bool, *, given: bool = False):
        mode = envs.metadata.get("autoreset_mode")
        try:
            self.mode = AutoresetMode(mode)
        except ValueError:
            raise UserError.at(
                config.id,
                f"its vectorised class resets in mode {mode!r:.40}",
                'one of gymnasium.vector.AutoresetMode, in metadata["autoreset_mode"]',
                "a wrapper in environment.wrappers, and single environments are used instead",
            ) from None
        self.envs, self.kind = envs, "a vector environment" if given else "its own vectorised class"
        self.num_envs = num_envs = envs.num_envs
        time_limit = config.max_episode_steps or (envs.spec.max_episode_steps if envs.spec else None)
        threshold = envs.spec.reward_threshold if envs.spec else None
        self.masks = masks_of_many.Batches(envs, config)
        space, actions = self.masks.seen, envs.single_action_space
        self._action = action_of(actions, config.id, squash)
        spaces = spaces_of(space, actions, config.id, config.observe) | self.masks.described
        self._obs = observation_of(space, config.id, dtype, spaces["observation"].get("observe"))
        self.given = self._action.given  # a policy's actions [N, ...] to what the class takes
        id, size = config.dynamics or config.id, self._obs.size + self.masks.size
        self.task = Task(id, size, self._action.space, time_limit, threshold, spaces)
        self._by_seed = hasattr(envs.unwrapped, "env_fns")  # Gymnasium's Sync and Async: a seed for each
        # NEXT_STEP: which rows the next step only resets. DISABLED: which have ended, and wait for `begin`.
        self._waiting, self._any_waits, self._unseen = np.zeros(num_envs, bool), False, True
        self._last = np.zeros((num_envs, size), dtype_in(self.task, dtype))
        self.seeds = np.full(num_envs, -1, np.int64)
        self.skipped: Array | None = None  # which rows of the last step only reset; None: none
        self.lost: Sequence[int] = ()  # none: a fault ends the run
        self.player: object = None  # who began the episodes that are open

    def standing(self) -> Standing:
        return Standing(self.task.id, None, None, self.seeds[0])

    def begin(self, which: Array, seeds: Array, *, all_over: bool = False) -> Array | None:
        """Begin episodes in the environments of `which` [N]; at the start of a block, in all of them.

        The observations, or None: the next step brings them.
        """
        if all_over:
            self._waiting[:] = self._any_waits = False
            self.seeds[:] = seeds if self._by_seed else seeds[0]
            return self._reset(seeds, None)
        if self.mode is AutoresetMode.NEXT_STEP:
            self.park(which)
            return None
        if self.mode is AutoresetMode.DISABLED:
            self.seeds[which] = seeds[which]
            self._reset(seeds, which)
            self._waiting &= ~which
            self._any_waits = bool(self._waiting.any())
        return self._last

    def _reset(self, seeds: Array, which: Array | None) -> Array:
        """Reset the rows of `which`, or all."""
        seed: Any = seeds.tolist() if self._by_seed else int(seeds[0]) if which is None else None
        options = {} if which is None else {"options": {"reset_mask": which.copy()}}
        with explained(self.task.id, "reset", int(seeds[0])):
            with calling(self):
                obs, infos = self.envs.reset(seed=seed, **options)
            self._last = self._rows(obs, infos, np.zeros(self.num_envs, bool))
        return self._last

    def park(self, which: Array) -> None:
        """The class cannot leave one out; the caller ignores its rows."""
        self._waiting |= which
        self._any_waits = True

    def replays(self) -> bool:
        return False

    def step(self, action: Array) -> tuple[Array, Array, Array, Array, Array | None]:
        """(next_obs [N, F], reward [N], terminated [N], truncated [N], real [N]); not real: a step that only reset.

        `real` is None where all are.
        """
        return *self.take(self.given(action)), None if self.skipped is None else ~self.skipped

    def take(self, given: Array) -> tuple[Array, Array, Array, Array]:
        """The same for actions as the class takes them; `skipped` says which rows were no step."""
        if self._any_waits and self.mode is AutoresetMode.DISABLED:  # rows that nobody plays: a step must be allowed
            self._reset(self.seeds, self._waiting)
            self._waiting[:] = self._any_waits = False
        try:
            with calling(self):
                obs, reward, terminated, truncated, infos = self.envs.step(given)
            if self._unseen:
                self._check(reward, terminated, truncated)
            self._last = successor = self._rows(obs, infos, terminated | truncated if self.masks.source else None)
            ended = None if self.mode is AutoresetMode.NEXT_STEP else terminated | truncated
            if self.mode is AutoresetMode.SAME_STEP and ended is not None and ended.any():
                successor = self._with_final(successor, infos, ended)
        except (*PASSED, UserError):
            raise
        except BaseException as error:
            raise UserError(f"{self.task.id} (seed {self.seeds[0]}): step raises {words_of(error)}") from error
        self.skipped = None
        if self.mode is AutoresetMode.NEXT_STEP:
            if self._any_waits:
                self.skipped, self._waiting, self._any_waits = self._waiting, np.zeros(self.num_envs, bool), False
        elif self.mode is AutoresetMode.DISABLED and ended is not None and ended.any():
            self.park(ended)
        return successor, reward, terminated, truncated

    def _with_final(self, obs: Array, infos: Any, ended: Array) -> Array:
        """The observations, those of the rows that `ended` as they were before the reset. Errors: `UserError`."""
        final = infos.get("final_obs") if isinstance(infos, dict) else None
        if final is None:
            raise UserError.at(
                self.task.id,
                "it resets in the step that ends an episode, and its infos have no final_obs",
                "the last observation there, as Gymnasium's vector environments give it",
                "another autoreset mode",
            )
        rows = obs.copy()
        for index in np.flatnonzero(ended):
            one = _one_row(final, int(index))
            rows[index, : self._obs.size] = self._obs.convert(self.masks.parted(one)[0])[0]
        return rows

    def _rows(self, obs: Any, infos: Any, over: Array | None) -> Array:
        """What is seen as rows [N, F], which end with the mask, where there is one. Errors: `UserError`."""
        if self.masks.source is None:
            return self._obs.convert(obs)
        seen, found = self.masks.parted(obs)
        try:
            allowed = self.masks.of(found, infos, over, self._last[:, self._obs.size :])
        except Outside as error:
            raise UserError(f"{self.task.id} (seed {self.seeds[0]}): {error}") from None
        return np.concatenate([self._obs.convert(seen), allowed], axis=1, dtype=self._last.dtype)

    def _check(self, *found: Any) -> None:
        """Errors: `UserError` where rewards or flags are not an array of N numbers, or of N flags. Looked at once."""
        for name, values in zip(("reward", "terminated", "truncated"), found, strict=True):
            kinds, wanted = ("fiub", "numbers") if name == "reward" else ("b", "flags")
            dtype = getattr(values, "dtype", None)
            if dtype is None or dtype.kind not in kinds or values.shape != (self.num_envs,):
                raise UserError(
                    f"{self.task.id} (seed {self.seeds[0]}): its vectorised class returns {short(values)} for {name}; "
                    f"expected an array of {self.num_envs} {wanted}; try a wrapper, then single ones are used"
                )
        self._unseen = False

    def close(self) -> None:
        close_quietly(self.envs, self.task.id)


def _one_row(final: Any, index: int) -> Any:
    """A batch of one of a final observation: of an array of objects, of an array of numbers, or of parts of them."""
    if isinstance(final, dict):
        return {key: _one_row(part, index) for key, part in final.items()}
    if isinstance(final, tuple):
        return tuple(_one_row(part, index) for part in final)
    one = final[index]
    if isinstance(one, dict):
        return {key: np.asarray(part)[None] for key, part in one.items()}
    return tuple(np.asarray(part)[None] for part in one) if isinstance(one, tuple) else np.asarray(one)[None]


class FirstRow(gymnasium.Env):
    """The first environment of a vector as a single one, to look at it; the others are given the same actions."""

    def __init__(self, envs: gymnasium.vector.VectorEnv):
        self.envs, self.metadata, self.render_mode, self.spec = envs, envs.metadata, envs.render_mode, None
        self.observation_space, self.action_space = envs.single_observation_space, envs.single_action_space
        self._same_step = envs.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP
        self._by_seed = hasattr(envs.unwrapped, "env_fns")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        alike: Any = [seed] * self.envs.num_envs if self._by_seed else seed  # so that all end together
        obs, infos = self.envs.reset(seed=alike, options=options)
        return self._first(obs), _row(infos)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        number, space = self.envs.num_envs, self.action_space
        into: Any = create_empty_array(space, number)
        actions = concatenate(space, [action] * number, into)
        obs, rewards, *ends, infos = self.envs.step(actions)
        terminated, truncated = (bool(flags[0]) for flags in ends)
        seen = infos["final_obs"][0] if self._same_step and (terminated or truncated) else self._first(obs)
        return seen, float(rewards[0]), terminated, truncated, _row(infos)

    def _first(self, obs: Any) -> Any:
        return next(iter(iterate(self.envs.observation_space, obs)))

    def render(self) -> Any:
        frames: Any = self.envs.render()
        return frames[0] if isinstance(frames, tuple | list) else frames

    def close(self) -> None:
        self.envs.close()


def _row(infos: dict[str, Any]) -> dict[str, Any]:
    """What a vector's infos say of its first environment."""
    own = {name: found for name, found in infos.items() if isinstance(found, np.ndarray) and name[0] != "_"}
    return {
        name: found[0] for name, found in own.items() if name != "final_obs" and infos.get(f"_{name}", np.ones(1))[0]
    }
