"""Others like an environment that was given as an object: by its spec, by what made it, or copied."""

import copy
import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from pg_theano.environments.naming import quiet
from pg_theano.environments.telling import words_of
from pg_theano.system.console import say
from pg_theano.types import UserError

TRAINING = "environment.num_envs=1 with evaluation.environment=training, which need no copy"
GYMNASIUMS = (PassiveEnvChecker, OrderEnforcing, TimeLimit)
"""Wrappers that `gymnasium.make` puts on by itself."""


def rebuilt(environment: gymnasium.Env) -> Callable[..., Any] | None:
    """Makes an environment again by its spec, wrappers included; None where that does not give the same classes."""
    spec: Any = environment.spec
    around = layers(environment)
    own = [one for one in around if isinstance(one, RecordConstructorArgs) and not isinstance(one, GYMNASIUMS)]
    if spec is None or len(own) != len(spec.additional_wrappers):
        return None
    bare = dataclasses.replace(spec, additional_wrappers=())
    wrappers: list[tuple[Any, dict[str, Any]]] = [
        (type(one), {name: value for name, value in one._saved_kwargs.items() if name != "env"})
        for one in reversed(own)
    ]

    def make(kwargs: Mapping[str, Any], render_mode: str | None) -> Any:
        with quiet():
            rendering: Any = {} if render_mode is None else {"render_mode": render_mode}
            made = gymnasium.make(bare, **rendering)
        for wrapper, arguments in wrappers:
            made = wrapper(made, **arguments)
        return made

    try:
        again = make({}, None)
    except Exception:  # code of `__main__` that is gone, or a factory that has changed
        return None
    same = [*map(type, layers(again))] == [*map(type, around)]
    again.close()
    return make if same else None


def layers(environment: object) -> list[Any]:
    """The wrappers of an environment from the outermost on, and itself."""
    layers = [environment]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


class _Kept(gymnasium.Wrapper):
    """Stays open: whoever gave it closes it."""

    def close(self) -> None:
        pass


class _KeptVector(gymnasium.vector.VectorWrapper):
    def close(self, **kwargs: Any) -> None:
        pass


class Copies:
    """The environment that was given, then others like it."""

    def __init__(self, original: Any):
        self.environment, self.free, self.warned = original, True, False
        self.vector = isinstance(original, gymnasium.vector.VectorEnv)

    def __call__(self, kwargs: Mapping[str, Any], render_mode: str | None) -> Any:
        if render_mode is not None and render_mode != self.environment.render_mode:
            got = f"given with render_mode {self.environment.render_mode!r}"
            raise UserError.at("environment", got, f"one made with {render_mode!r}", "giving its class")
        if self.free:
            self.free = False
            return (_KeptVector if self.vector else _Kept)(self.environment)
        return self._another()

    def _another(self) -> Any:
        own, spec = self.environment, self.environment.spec
        functions, mode = getattr(own.unwrapped, "env_fns", None), own.metadata.get("autoreset_mode")
        if own is own.unwrapped and functions is not None:
            return gymnasium.vector.SyncVectorEnv(functions, autoreset_mode=mode)
        if self.vector and spec is not None and own is own.unwrapped:
            return gymnasium.make_vec(spec)
        if not self.warned:
            self.warned = True
            name = type(own).__name__
            say(
                f"warning: environment: {name} was given as an object that nothing makes again, and is copied by "
                "copy.deepcopy; its class, or a function that makes it, says better what a fresh one is",
                sys.stderr,
            )
        try:
            return copy.deepcopy(own)
        except Exception as error:
            got = f"{type(own).__name__} cannot be copied ({words_of(error)})"
            raise UserError.at("environment", got, "a class, or a function that makes it", TRAINING) from error
