"""What a config names: an environment by its id, a wrapper or a class by `module:Class`; and what is meant else."""

import contextlib
import difflib
import functools
import importlib.util
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import gymnasium

from pg_theano.config import knobs
from pg_theano.environments import old_gym
from pg_theano.environments.place import PASSED, among_environments
from pg_theano.environments.telling import words_of
from pg_theano.system import handed
from pg_theano.system.importing import module_named
from pg_theano.types import UserError

LIKELY = 0.8
"""Names that are less alike are no misspellings of each other: `Walker` and `walker2d` are 0.86, `PandaReach` and
`reacher` 0.59, `CoolRobot` and `acrobot` 0.75."""

PACKAGES = {
    "ALE/": "ale_py",
    "NoFrameskip": "ale_py",
    "MiniGrid-": "minigrid",
    "BabyAI-": "minigrid",
    "MiniWorld-": "miniworld",
    "FlappyBird": "flappy_bird_gymnasium",
    "highway": "highway_env",
    "Panda": "panda_gym",
    "Fetch": "gymnasium_robotics",
    "Adroit": "gymnasium_robotics",
    "Maze": "gymnasium_robotics",
    "FrankaKitchen": "gymnasium_robotics",
    "MinAtar/": "minatar.gym",
    "Meta-World/": "metaworld",
    "dm_control/": "shimmy",
}
"""Part of an id -> the package that registers such ids as it is imported."""


def maker_of(config: knobs.Environment) -> Callable[[Mapping[str, Any], str | None], Any] | None:
    """What makes an environment that is not registered, of (kwargs, render_mode): one that was given in Python, or a
    class that the config names. None where Gymnasium makes it by its id."""
    if (given := handed.found(config.id)) is not None:
        return given
    if config.api == "gym":
        return functools.partial(old_gym.made, attribute("environment.id", config.id))
    return _class_of(config.id)


def _class_of(id: str) -> Any:
    """Makes an environment of Gymnasium's that is a class, `module:Class`; None where an id is registered so."""
    module, _, name = id.rpartition(":")
    found = getattr(sys.modules.get(module), name, None)
    if name in gymnasium.registry or not (isinstance(found, type) and issubclass(found, gymnasium.Env)):
        return None

    def make(kwargs: Mapping[str, Any], render_mode: str | None = None) -> Any:
        return found(**kwargs, **({} if render_mode is None else {"render_mode": render_mode}))

    return make


def spec_of(config: knobs.Environment) -> Any:
    """What Gymnasium has registered; None of an environment that is a class, or was given in Python. Errors:
    `UserError`."""
    if config.api == "gym" or handed.found(config.id) is not None:
        return None
    module, _, name = config.id.rpartition(":")
    try:
        with quiet():
            return gymnasium.spec(config.id) if not module else _spec_of_module(config.id)
    except gymnasium.error.Error as error:
        found = sys.modules.get(module)
        if _class_of(config.id) is not None:
            return None
        if module == "__main__":
            raise UserError.of(
                "environment.id",
                f"{config.id} was given in Python",
                "it once more",
                "pg_theano.run(resume=..., environment=...), or pg_theano.Agent.load(..., environment=...)",
            ) from None
        if isinstance(getattr(found, name, None), type):
            raise UserError.of(
                "environment.id",
                f"{config.id} is a class; expected an id that it registers with Gymnasium; try "
                f"environment.api=gym if it is of the old Gym API, or environment.dynamics={config.id} if it is "
                "symbolic",
            ) from None
        deprecated = isinstance(error, gymnasium.error.DeprecatedEnv)
        hint = str(error) if deprecated else _of_module(found, name) if found else _of_registry(name)
        raise UserError.of(
            "environment.id",
            f"{config.id} is not registered with Gymnasium; expected one that is, or module:Id; {hint}",
        ) from None


def _of_module(module: Any, name: str) -> str:
    """Which id of an imported module may have been meant."""
    own = [one for one in gymnasium.registry if _module_of(one).partition(".")[0] == module.__name__.partition(".")[0]]
    if near := nearest(name, own):
        return f"did you mean {module.__name__}:{near}?"
    if own:
        return f"{module.__name__} registers {', '.join(own[:4])}{' ...' if len(own) > 4 else ''}"
    return _of_registry(name)


def _of_registry(name: str) -> str:
    """Which registered id may have been meant, or which package may register it."""
    if near := nearest(name, gymnasium.registry):
        return f"did you mean {near}?"
    look = "python -c 'import gymnasium; gymnasium.pprint_registry()'"
    package = next((one for part, one in PACKAGES.items() if part in name), None) or _installed(name)
    if package is None:
        return f"if a package registers it, name that: package:{name or 'Id'}; else try {look}"
    if importlib.util.find_spec(bare := package.partition(".")[0]) is None:
        return f"try pip install {bare.replace('_', '-')}, then {package}:{name}"
    return f"its package must be named: try {package}:{name}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The id that a name is likely to be a misspelling of. Versions do not count; of several the last is given."""
    bare = {_bare(one): one for one in sorted(known, key=lambda one: "/" not in one)}
    found = difflib.get_close_matches(_bare(name), bare, 1, LIKELY)
    return bare[found[0]] if found else None


def _bare(id: str) -> str:
    return re.sub(r"-v\d+$", "", id.rpartition("/")[2]).lower()


def _installed(name: str) -> str | None:
    """An installed package that builds on Gymnasium and has a name like that of the id."""
    import importlib.metadata  # 20 ms, and seldom asked for

    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    for one in importlib.metadata.distributions():
        if any(re.match(r"gym(nasium)?\b", need) for need in one.requires or ()):
            package = str(one.metadata["Name"]).lower().replace("-", "_")
            stem = re.sub(r"gymnasium|gym|envs?|_", "", package)
            if len(stem) >= 4 and stem in plain:
                return package
    return None


def _module_of(id: str) -> str:
    """Where a registered environment is made: its entry point is `module:Class`, or what is called itself."""
    entry: Any = gymnasium.registry[id].entry_point
    return entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")


def _spec_of_module(id: str) -> Any:
    """What a module has registered, as it was imported or by its function `register_envs`, as some have."""
    module, _, name = id.partition(":")
    try:
        with among_environments():
            found = module_named(module)
            if name not in gymnasium.registry and callable(register := getattr(found, "register_envs", None)):
                register()
    except PASSED:
        raise
    except BaseException as error:
        raise UserError.of(
            "environment.id",
            f"the module {module} of {id} cannot be imported ({words_of(error)}); expected a "
            f"module beside the config or in this folder; try python -c 'import {module}' there",
        ) from error
    return gymnasium.spec(name)


def wrappers_of(config: knobs.Environment) -> list[tuple[Any, dict[str, Any]]]:
    """Each wrapper and its keyword arguments, in the order applied."""
    return [(_wrapper(name), kwargs) for name, kwargs in config.wrapped()]


def _wrapper(name: str) -> Any:
    return old_gym.wrapper(attribute("environment.wrappers", name, "gymnasium.wrappers:FlattenObservation"), name)


def attribute(knob: str, name: str, example: str = "my_module:MyEnv") -> Any:
    """What `module:Class` names. Errors: `UserError`."""
    module, _, wanted = name.partition(":")
    try:
        with among_environments():
            return getattr(module_named(module), wanted)
    except PASSED:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "gym":
            example = "import gymnasium as gym in it"
        raise UserError.of(
            knob,
            f"{name} cannot be imported ({words_of(error)}); expected module:Class; try {example}",
        ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Gymnasium's warnings about versions and spaces: they mean nothing to a user who trains."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def explained(id: str, doing: str, seed: int | None = None, *, old: bool = False) -> Iterator[None]:
    """What Gymnasium or an environment raises becomes one line that names it."""
    try:
        with among_environments():
            yield
    except (*PASSED, UserError):
        raise
    except BaseException as error:
        at = "" if seed is None else f" (seed {seed})"
        verb = doing if doing.startswith("cannot") else f"{doing} raises"
        reason = words_of(error).partition(" was raised from the environment creator")[0]  # Gymnasium repeats its id
        missing = isinstance(error, gymnasium.error.DependencyNotInstalled)  # which says what to install
        if ": " not in reason:  # without words: `check_env` would have none either
            advice = "--debug, which shows the way there"
        elif handed.found(id) is not None:
            advice = "environment.kwargs, or pg_theano.check_env.check_env(environment)"
        else:
            advice = "that" if missing else f"python -m pg_theano.check_env {id}{' environment.api=gym' if old else ''}"
        raise UserError.at(id, f"{verb}{at}: {reason}", "what Gymnasium can make, reset and step", advice) from error
