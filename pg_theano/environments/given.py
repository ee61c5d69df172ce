"""An environment as Python has it: an object, a class, or a function that makes one, in place of an id.

    with given(environment, config) as knobs:     # {"id": ..., "kwargs": ..., ...}, to lie over the config's
        ...                                       # making.make finds it by that id, in worker processes too

What Gymnasium can make again becomes knobs, and nothing is held: an id, a class of a module, an environment that
`gymnasium.make` made, with its wrappers. All else is held while the call lasts (`system/handed.py`), under a name.
"""

import contextlib
import functools
import inspect
import json
import re
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from pg_theano.config import knobs
from pg_theano.environments import copies, joint
from pg_theano.environments.naming import explained
from pg_theano.environments.old_gym import OldGym, is_environment
from pg_theano.system import handed as held
from pg_theano.system import seals
from pg_theano.types import UserError

KINDS = "an id, a class, a function that makes one, an environment of Gymnasium or a gymnasium.vector.VectorEnv"


@contextlib.contextmanager
def given(environment: object, config: knobs.Environment | None = None) -> Iterator[dict[str, Any]]:
    """The knobs of an environment, to lie over a config's; while the context lasts it is found by them.

    Errors: `UserError` for what is no environment.
    """
    api, kwargs = ("gymnasium", {}) if config is None else (config.api, config.kwargs)
    if isinstance(environment, str):
        yield {"id": environment, "dynamics": None}
        return
    if (plain := _plain(environment, api)) is not None:
        yield plain
        return
    name = _name_of(environment)
    made = isinstance(environment, gymnasium.Env | gymnasium.vector.VectorEnv)
    if made and kwargs:
        got = f"got {kwargs!r:.60} with an environment that is made already"
        raise UserError.of("environment.kwargs", got, "none", "giving its class")
    maker: Any = joint.maker(environment) if joint.is_parallel(environment) else _maker(environment, kwargs, api)
    own = {"id": name, "dynamics": None} | (NONE if made else {}) | getattr(maker, "knobs", {})
    with held.handed(name, maker, _facts_of(environment)):
        if maker.vector and config and "num_envs" in config.model_fields_set and config.num_envs != maker.vector:
            raise UserError.of(
                "environment.num_envs",
                f"got {config.num_envs} for a vector of {maker.vector}",
                "its own",
                "leaving it out",
            )
        yield own | ({"num_envs": maker.vector} if maker.vector else {})


NONE: dict[str, Any] = {"kwargs": {}, "wrappers": []}
"""The knobs of an object, which is made already."""


@contextlib.contextmanager
def again(environment: object, trained: knobs.Environment) -> Iterator[None]:
    """Hold the environment of a run that is read: the one that it was trained with. Errors: `UserError` for another."""
    if environment is None:
        yield
        return
    with given(environment, trained) as own:
        for name, value in own.items():
            if getattr(trained, name) != value:
                got, wanted = f"got {value}", f"that of the run, {getattr(trained, name)}"
                raise UserError.at("environment" if name == "id" else f"environment.{name}", got, wanted, "a new run")
        yield


def is_of(environment: object, trained: knobs.Environment) -> bool:
    """Whether an environment is, by its knobs, the one that a run was trained with; None is."""
    if environment is None:
        return True
    with given(environment, trained) as own:
        return all(getattr(trained, name) == value for name, value in own.items())


# -- what Gymnasium can make again


def _plain(environment: object, api: str) -> dict[str, Any] | None:
    """The knobs that make an environment again; None where none do."""
    if isinstance(environment, type) and not issubclass(environment, gymnasium.vector.VectorEnv):
        module, name = environment.__module__, environment.__qualname__
        named = api == "gymnasium" and issubclass(environment, gymnasium.Env)
        if named and module != "__main__" and getattr(sys.modules.get(module), name, None) is environment:
            return {"id": f"{module}:{name}", "dynamics": None}
    if not isinstance(environment, gymnasium.Env) or (spec := environment.spec) is None:
        return None
    wrappers = [_wrapper(one) for one in spec.additional_wrappers]
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    known = gymnasium.registry.get(spec.id)
    entries = (spec.entry_point, known.entry_point if known else None)
    if None in wrappers or not _is_plain(kwargs) or entries[0] != entries[1]:
        return None
    wanted = known.kwargs if known else {}
    kwargs = {name: value for name, value in kwargs.items() if name not in wanted or wanted[name] != value}
    limit = spec.max_episode_steps
    return {
        "id": spec.id,
        "dynamics": None,
        "kwargs": kwargs,
        "wrappers": wrappers,
        "max_episode_steps": limit if known and limit != known.max_episode_steps else None,
    }


def _wrapper(one: WrapperSpec) -> str | dict[str, Any] | None:
    """A wrapper as `environment.wrappers` has it; None where that cannot say it."""
    module = one.entry_point.partition(":")[0]
    if one.kwargs is None or module == "__main__" or not _is_plain(one.kwargs):
        return None
    return {one.entry_point: dict(one.kwargs)} if one.kwargs else one.entry_point


def _is_plain(data: Any) -> bool:
    """Whether data is the same once it has been written to a config and read."""
    try:
        return bool(json.loads(json.dumps(data)) == data)
    except (TypeError, ValueError, RecursionError):
        return False


# -- what is held


def _maker(environment: object, kwargs: Mapping[str, Any], api: str) -> Any:
    """A function (kwargs, render_mode) -> an environment; of a vector of them where its `vector` is a number: of its
    environments, 0 for a class that is told."""
    if isinstance(environment, gymnasium.vector.VectorEnv):
        return _marked(copies.Copies(environment), environment.num_envs)
    if isinstance(environment, type):
        vector = 0 if issubclass(environment, gymnasium.vector.VectorEnv) else None
        if vector is None and not is_environment(environment, "observation_space", "action_space"):
            raise _no_environment(environment)
        return _marked(lambda kwargs, mode: _called(environment, kwargs, mode, api), vector)
    if isinstance(environment, gymnasium.Env) or (api == "gym" and is_environment(type(environment))):
        made: Any = environment if api == "gymnasium" else OldGym(environment)
        again = copies.rebuilt(made) if made.spec is not None else None
        return _marked(again or copies.Copies(made), None)
    if not callable(environment):
        raise _no_environment(environment)
    with explained(_name_of(environment), "cannot be made"):
        first = _called(environment, kwargs, None, api)
    if joint.is_parallel(first):
        return joint.maker(environment)
    vector = first.num_envs if isinstance(first, gymnasium.vector.VectorEnv) else None
    if vector is None and not isinstance(first, gymnasium.Env):
        raise _no_environment(environment, f", which returns {type(first).__name__}")
    first.close()
    return _marked(lambda kwargs, mode: _called(environment, kwargs, mode, api), vector)


def _marked(maker: Any, vector: int | None) -> Any:
    def make(kwargs: Mapping[str, Any], render_mode: str | None = None) -> Any:
        return maker(kwargs, render_mode)

    make.vector = vector  # type: ignore[attr-defined]
    return make


def _called(of: Any, kwargs: Mapping[str, Any], render_mode: str | None, api: str) -> Any:
    """A class or a function, called; it is given `render_mode` where one is wanted."""
    made = of(**kwargs, **({} if render_mode is None else {"render_mode": render_mode}))
    return OldGym(made, render_mode) if api == "gym" and not isinstance(made, gymnasium.Env) else made


def _no_environment(found: Any, more: str = "") -> UserError:
    kind = "a class" if isinstance(found, type) else type(found).__name__
    what = getattr(found, "__name__", kind)
    return UserError.at("environment", f"got {what}{more}, which is none", KINDS, "a subclass of gymnasium.Env")


# -- what a run records of it


def _name_of(environment: object) -> str:
    """module:Name of a class or a function, or of an object's class."""
    of = _bare(environment)
    bare = re.sub(r"\W+", "_", of.__qualname__.rpartition(".")[2]).strip("_") or "function"
    return f"{of.__module__}:{bare}"


def _bare(given: object) -> Any:
    """A class or a function; of a partial call its function, of an object its class."""
    of = given.func if isinstance(given, functools.partial) else given
    return of if isinstance(of, type) or inspect.isroutine(of) else type(of)


def _facts_of(environment: object) -> dict[str, Any]:
    """Where it comes from, and the SHA-256 of its source: of a class and those that it wraps, or of a function.

    Of `python - <<E` no source is left: `compiled` is then what this version of Python made of it.
    """
    kinds = [_bare(layer) for layer in copies.layers(environment)]
    own = [kind for kind in kinds if not kind.__module__.startswith("gymnasium.")]
    sources = [_source(kind) for kind in own]
    facts = {"given": "in Python", "module": kinds[0].__module__, "name": kinds[0].__qualname__, "sha256": None}
    if None not in sources:
        return facts | {"sha256": seals.of(*(str(source).encode() for source in sources))}
    python = ".".join(map(str, sys.version_info[:2]))
    return facts | {"compiled": f"{python} {seals.of(*(_compiled(kind).encode() for kind in own))}"}


def _source(kind: Any) -> str | None:
    """Of a class or a function; None where there is none to read. A class of a notebook's cell: its methods'."""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        pass
    try:
        own = [one for one in vars(kind).values() if inspect.isfunction(one)]
        return "\n".join(map(inspect.getsource, own)) or None
    except (OSError, TypeError):
        return None


def _compiled(kind: Any) -> str:
    """The compiled code of a function, or of a class's own, and its constants: the same for the same source."""
    own = {"": kind} if inspect.isroutine(kind) else vars(kind)
    return "\n".join(f"{name} {_words(own[name])}" for name in sorted(own) if callable(own[name]) or name[:2] != "__")


def _words(value: Any) -> str:
    value = getattr(value, "__func__", getattr(value, "fget", value))
    match value:
        case types.FunctionType():
            return f"{_words(value.__code__)} {_words(value.__defaults__)}"
        case types.CodeType():
            return f"{value.co_code.hex()} {value.co_names} {value.co_varnames} {_words(value.co_consts)}"
        case frozenset():  # whose order is another one in every process
            return str(sorted(map(_words, value)))
        case tuple():
            return str([*map(_words, value)])
        case bool() | int() | float() | complex() | str() | bytes() | None:
            return repr(value)
    return type(value).__qualname__


# -- for worker processes


def packed(id: str) -> str | None:
    """What a process of ours needs to find an environment by its id, where a fresh one would not; see `taken_in`."""
    spec = gymnasium.registry.get(id)
    if held.found(id) is not None or spec is None or str(spec.entry_point).startswith("gymnasium.envs."):
        return held.packed(id)
    with held.handed(id, spec, {}):  # registered in this process, and perhaps nowhere else
        return held.packed(id)


def taken_in(id: str, content: str | None) -> None:
    """In that process: hold it, or register it."""
    held.taken_in(content)
    if isinstance(spec := held.found(id), EnvSpec):
        gymnasium.registry[id] = spec
        held.dropped(id)
