"""The knobs of an agent: attributes that can be read and, between two calls of `learn`, written."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pg_theano.config import changing, reading
from pg_theano.config.kinds import Schedule
from pg_theano.config.knobs import Config
from pg_theano.config.tables import in_sections, knob_named
from pg_theano.environments import given as environments
from pg_theano.runs import changes
from pg_theano.runs import folder as runs
from pg_theano.training.run import Chosen
from pg_theano.types import UserError


class Held:
    """What an agent is made of: its config, an environment that was given, its run once there is one.

    `_data` is the config as plain data, in which only what was said stands; `_new` the whole one, of a run to come;
    `_changed` the knobs that the run is to go on with.
    """

    _data: dict[str, Any]
    _environment: object
    _changed: dict[str, Any]
    _new: Config
    run_folder: Any

    @property
    def config(self) -> Config:
        """The knobs as they are now: of the run, with what was changed since."""
        if self.run_folder is None:
            return self._new
        config, facts = runs.read_run(self.run_folder)
        return changing.changed(changes.config_after(config, changes.of(facts)), self._changed)

    def __getattr__(self, name: str) -> Any:
        """The value of a knob, by its own name; of a constant schedule, its number."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            knob = knob_named(name)
        except UserError as error:
            raise AttributeError(str(error)) from None
        value: Any = self._new if knob.startswith("budget.") else self.config
        for part in knob.split("."):
            value = getattr(value, part)
        return value.initial if isinstance(value, Schedule) and value.kind == "constant" else value

    def __setattr__(self, name: str, value: Any) -> None:
        """Change a knob between two calls of `learn`. Errors: `UserError`: an unknown one, or not a value of it."""
        if name in type(self).__dict__ or name in self.__dict__:
            raise UserError.at(name, "is no knob", "one, such as learning_rate", "a new Agent")
        change, knob, before = in_sections(name, value), knob_named(name), dict(self._changed)
        if self.run_folder is None or knob.partition(".")[0] == "budget":  # of each `learn` to come
            data = reading.laid_over(copy.deepcopy(self._data), change)
            self._keep(_new=self._resolved(data), _data=data)
            return
        self._changed[knob] = _value_of(name, value)
        try:
            _ = self.config
        except UserError:
            self._keep(_changed=before)
            raise

    def _resolved(self, data: dict[str, Any]) -> Config:
        with self._found() as found:
            config = reading.resolved(data, own=found).config
        if config.runs > 1:
            raise UserError.of(
                "runs", f"got {config.runs}", "1: an agent is one run", "pg_theano.run, or several agents"
            )
        return config

    def _keep(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    @contextlib.contextmanager
    def _found(self) -> Iterator[dict[str, Any] | None]:
        """The knobs of the environment that was given, while it is held."""
        if self._environment is None:
            yield None
            return
        with environments.given(self._environment, reading.from_dict(self._data).environment) as found:
            yield found


def word_of(name: str, value: Any) -> str:
    """A knob as on the command line."""
    try:
        return f"{knob_named(name)}={json.dumps(_value_of(name, value))}"
    except (TypeError, ValueError):
        raise UserError.at(name, f"got {value!r:.60}", "plain data: a number, text, a list or a dict") from None


def _value_of(name: str, value: Any) -> Any:
    """A knob's value as a config has it."""
    return functools.reduce(lambda inner, part: inner[part], knob_named(name).split("."), in_sections(name, value))


def data_of(config: Chosen) -> dict[str, Any]:
    """A config as plain data in which only what was said stands."""
    if config is None:
        return {}
    if isinstance(config, Config):
        return reading.to_dict(config)
    return copy.deepcopy(dict(config)) if isinstance(config, Mapping) else reading.read_data(config).data
