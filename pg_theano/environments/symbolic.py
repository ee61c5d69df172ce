"""Symbolic environments seen from the host: which sources one is made of, and as a Gymnasium environment.

    import pg_theano.environments                                 # registers them
    gymnasium.make("pg_theano/CartPole-v1")                       # one of them
    gymnasium.make_vec("pg_theano/CartPole-v1", num_envs=64)      # 64 in one compiled call

Nothing here imports PyTensor; a task that is in the compile cache is stepped without it.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pg_theano.compiler import functions, program
from pg_theano.spec import Stepped
from pg_theano.system import consent
from pg_theano.types import BUILT_IN_DYNAMICS, UserError


@contextlib.contextmanager
def importable(folders: Sequence[Path], names: Iterable[str | None], *, anew: bool = True) -> Iterator[None]:
    """A user's modules are found beside the YAML, then in the current folder; where none is named, nothing is.

    Else a file `scipy.py` beside a stranger's config would be run, though the config names no code. Errors: `UserError`
    where there is user code and `--no-user-code`.

    With `anew`, the sources of `names` (each module:name; others are passed over) are read anew, and forgotten
    afterwards: what is built is what is on disk, and so in its fingerprint, whatever this process has imported before.
    Their bytecode is neither read nor written: Python takes it for current after an edit within the same second, and it
    may say something else than the source that was recorded.
    """
    own = [name for name in names if name and is_own(name)]
    if own and consent.refused():
        raise UserError(f"got {own[0]}, which runs code; expected none with --no-user-code; try it without")
    if not own:
        yield
        return
    extra = [str(Path(folder).resolve()) for folder in [*folders, Path.cwd()]]
    sources = {path for name in own if anew for path in sources_of(name, [*folders, Path.cwd()])}
    hidden, finder = _imported_from(sources), _Sources(extra)
    for name in hidden:
        del sys.modules[name]
    sys.path[:0] = extra
    sys.meta_path.insert(0, finder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for folder in extra:
            sys.path.remove(folder)
        for name in _imported_from(sources):
            del sys.modules[name]
        sys.modules.update(hidden)


class _Source(importlib.machinery.SourceFileLoader):
    """Runs what the source says, whatever lies in __pycache__."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Sources(importlib.abc.MetaPathFinder):
    """Finds what Python would find in some folders and below, installed packages left out, and loads its source."""

    def __init__(self, folders: Sequence[str]):
        self.folders = [Path(folder) for folder in folders]

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname.partition(".")[0] in ("pg_theano", *sys.builtin_module_names):
            return None
        below = [Path(one) for one in path or ()]
        places = self.folders if path is None else [one for one in below if any(map(one.is_relative_to, self.folders))]
        for place in places:
            if "site-packages" in place.parts:
                continue
            kinds = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
            finder = importlib.machinery.FileFinder(str(place), kinds, (_Source, importlib.machinery.SOURCE_SUFFIXES))
            spec = finder.find_spec(fullname)
            if spec is not None and spec.loader is not None:
                return spec
        return None


def _imported_from(sources: Collection[Path]) -> dict[str, Any]:
    """The modules of this process that came from these files, but for our own package's."""
    endings = tuple(path.name for path in sources)
    return {
        name: module
        for name, module in [*sys.modules.items()]
        if (getattr(module, "__file__", None) or "").endswith(endings)
        and name.partition(".")[0] != "pg_theano"
        and Path(str(module.__file__)).resolve() in sources
    }


def is_own(name: str) -> bool:
    """Whether it is a module:name of the user's, not a word or a task of ours."""
    return ":" in name and name not in BUILT_IN_DYNAMICS.values()


def sources_of(name: str, folders: Sequence[Path], knob: str = "environment.dynamics") -> list[Path]:
    """The file of a user's `module:name`, and every file beside it that it imports, directly or not.

    Found by reading, not by importing: on a cache hit the user's code is never run. Files of installed packages are
    no part of it. Errors: `UserError` where the module's file is not found.
    """
    module = name.partition(":")[0]
    first = _file_of(module, folders)
    packages = [".".join(module.split(".")[:depth]) for depth in range(1, module.count(".") + 1)]
    if first is None:
        where = ", ".join(dict.fromkeys(map(str, folders))) or "the current folder"
        file = f"{module.replace('.', '/')}.py"
        raise UserError(f"{knob}: no file {file} in {where}; expected it there; try copying it beside the config")
    found, waiting = [], [first, *(file for file in (_file_of(one, folders) for one in packages) if file)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.append(path)
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise UserError(f"{path}: not Python: {error}") from None
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                names = [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)]
            level = node.level if isinstance(node, ast.ImportFrom) else 0
            near = [*folders, *path.parents[level - 1 : level]] if level else folders
            waiting += [file for file in (_file_of(other, near) for other in names if other) if file]
    return sorted(found)


def _file_of(module: str, folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        for path in (folder / (module.replace(".", "/") + ".py"), folder / module.replace(".", "/") / "__init__.py"):
            if path.is_file() and "site-packages" not in path.parts:
                return path.resolve()
    return None


def fingerprint(name: str, folders: Sequence[Path], knob: str = "environment.dynamics") -> str | None:
    """SHA-256 of a user's sources; None for a built-in task, whose source is part of every key."""
    if not is_own(name):
        return None
    digest = hashlib.sha256()
    for path in sources_of(name, [*folders, Path.cwd()], knob):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class Dynamics:
    """The compiled `reset` and `step` of one symbolic environment, for E episodes side by side."""

    def __init__(
        self,
        name: str,
        *,
        dtype: str = "float32",
        folders: Sequence[Path] = (),
        report: functions.Report = lambda what, seconds: None,
    ):
        self.source = fingerprint(name, folders)
        self.dtype = np.dtype(dtype)
        stepped = Stepped(name, self.source, dtype)
        self._functions = program.functions(
            "environments.program", stepped, "reset", report=report, around=lambda: importable(folders, [name])
        )
        self.task: dict[str, Any] = self._functions.manifest["environment"]
        low, high = (np.array(self.task[f"obs_{end}"], dtype) for end in ("low", "high"))
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=self.dtype.type)
        if self.task["action_kind"] == "discrete":
            self.action_space: gymnasium.Space = gymnasium.spaces.Discrete(self.task["num_actions"])
        else:
            low, high = (np.array(self.task[f"action_{end}"], dtype) for end in ("low", "high"))
            self.action_space = gymnasium.spaces.Box(low, high, dtype=self.dtype.type)

    def reset(self, initial_noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Uniforms [U, E] to (env_state [S, E], obs [E, F])."""
        values = {"initial_noise": np.ascontiguousarray(initial_noise, self.dtype)}
        out = self._functions.call("reset", {"E": initial_noise.shape[1]}, {}, values)
        return np.asarray(out["env_state"]), np.asarray(out["obs"])

    def step(self, env_state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(env_state [S, E], action) to (env_state, obs [E, F], reward [E], terminated [E])."""
        kind = "int32" if self.task["action_kind"] == "discrete" else self.dtype
        values = {"env_state": env_state, "action": np.ascontiguousarray(action, kind)}
        out = self._functions.call("step", {"E": env_state.shape[1]}, {}, values)
        return tuple(np.asarray(out[name]) for name in ("env_state", "obs", "reward", "terminated"))  # type: ignore


class SymbolicEnv(gymnasium.Env):
    """One symbolic environment as Gymnasium knows them. The time limit is its `TimeLimit` wrapper's business."""

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, dynamics: str | Dynamics, render_mode: str | None = None):
        self.dynamics = dynamics if isinstance(dynamics, Dynamics) else Dynamics(dynamics)
        self.observation_space, self.action_space = self.dynamics.observation_space, self.dynamics.action_space
        self.render_mode = render_mode
        self.env_state: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.env_state, obs = self.dynamics.reset(self.np_random.random((self.dynamics.task["num_initial_noise"], 1)))
        return obs[0].copy(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.env_state, obs, reward, terminated = self.dynamics.step(self.env_state, np.asarray(action)[None])
        return obs[0].copy(), float(reward[0]), bool(terminated[0]), False, {}


class SymbolicVectorEnv(VectorEnv):
    """Many of them in one compiled call; autoreset NEXT_STEP, so that it equals a `SyncVectorEnv` of the single one."""

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        dynamics: str | Dynamics,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ):
        self.dynamics = dynamics if isinstance(dynamics, Dynamics) else Dynamics(dynamics)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.limit = max_episode_steps or self.dynamics.task["max_steps"] or np.inf
        self.single_observation_space = self.dynamics.observation_space
        self.single_action_space = self.dynamics.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.generators = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self.elapsed = np.zeros(num_envs, np.int64)
        self.ended = np.zeros(num_envs, bool)
        self.env_state: Any = None
        self.obs: Any = None

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Seeds as `SyncVectorEnv` takes them: None, one number (environment i gets seed + i), or a list."""
        if seed is not None:
            seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, (int, np.integer)) else list(seed)
            for i, one in enumerate(seeds):
                if one is not None:
                    self.generators[i] = seeding.np_random(int(one))[0]
        self.env_state, self.obs = self.dynamics.reset(self._noise(np.ones(self.num_envs, bool)))
        self.elapsed[:], self.ended[:] = 0, False
        return self.obs.copy(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        resetting = self.ended.copy()
        env_state, obs, reward, terminated = self.dynamics.step(self.env_state, actions)
        reward, terminated = reward.astype(np.float64), terminated.copy()
        self.elapsed += 1
        if resetting.any():
            fresh_state, fresh_obs = self.dynamics.reset(self._noise(resetting))
            env_state = np.where(resetting, fresh_state, env_state)
            obs = np.where(resetting[:, None], fresh_obs, obs)
            reward[resetting], terminated[resetting], self.elapsed[resetting] = 0.0, False, 0
        truncated = (self.elapsed >= self.limit) & ~resetting
        self.env_state, self.obs, self.ended = env_state, obs, terminated | truncated
        return obs.copy(), reward, terminated, truncated, {}

    def _noise(self, which: np.ndarray) -> np.ndarray:
        """Uniforms for the resets of `which`, each from its own environment's generator; zeros elsewhere."""
        noise = np.zeros((self.dynamics.task["num_initial_noise"], self.num_envs))
        for i in np.flatnonzero(which):
            noise[:, i] = self.generators[i].random((noise.shape[0], 1))[:, 0]
        return noise
