"""A user's own modules: whether they may be imported, where they are found, which sources they have, and the import.

refused(), allowed()               what the user has said: `--no-user-code`, `--allow-import`
facts_of(module, folders)          what is recorded of a module, found by reading
with importable(folders, names):   their sources are imported anew, from beside the config
    module_named(name)             the import itself, which runs the module
"""

import ast
import contextlib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import os
import platform
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.types import BUILT_IN_DYNAMICS, ONLY_NUMBERS, UserError

NO_USER_CODE, ALLOW_IMPORT = "PG_THEANO_NO_USER_CODE", "PG_THEANO_ALLOW_IMPORT"
"""Variables of the environment, so that worker processes inherit what the user has said."""


def refused() -> bool:
    """Nothing that a config names as module:name is imported, by this process and those that it starts."""
    return bool(os.environ.get(NO_USER_CODE))


def allowed() -> bool:
    """A module that is not the one that a run recorded is imported all the same."""
    return bool(os.environ.get(ALLOW_IMPORT))


def consent() -> dict[str, bool]:
    """Both, as `consenting` takes them: for a worker of a cluster, which does not inherit them."""
    return {"no_user_code": refused(), "allow_import": allowed()}


@contextlib.contextmanager
def consenting(*, no_user_code: bool = False, allow_import: bool = False) -> Iterator[None]:
    """While a command runs that was given these options; what the environment says already stays."""
    given = {NO_USER_CODE: no_user_code, ALLOW_IMPORT: allow_import}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update({name: "1" for name, wanted in given.items() if wanted})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def is_own(name: str) -> bool:
    """Whether it is a module:name of the user's, not a word, a task or a wrapper of ours."""
    return ":" in name and name not in (*BUILT_IN_DYNAMICS.values(), ONLY_NUMBERS)


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
        raise UserError.of(knob, f"no file {file} in {where}; expected it there; try copying it beside the config")
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
    return _digest(sources_of(name, [*folders, Path.cwd()], knob))


class Located(NamedTuple):
    """Where Python would find a module."""

    root: Path  # the folder on the path
    files: list[Path]  # that are run as it is imported: its packages' __init__.py, its own


def located(module: str, folders: Sequence[Path]) -> Located | None:
    """Where Python would find a module, as `importable` has it look; found without running anything."""
    places: Any = [str(Path(folder).resolve()) for folder in [*folders, Path.cwd()]] + [one for one in sys.path if one]
    files: list[Path] = []
    root = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:depth]), places)
        if spec is None:
            return None
        if spec.origin not in (None, "built-in", "frozen"):
            files.append(Path(str(spec.origin)).resolve())
        places = list(spec.submodule_search_locations or [])
        if root is None:
            first = files[0] if files else Path(places[0]) if places else Path()
            root = first.parent.parent if first.name == "__init__.py" else first.parent
    return Located(root or Path(), files)


def facts_of(module: str, folders: Sequence[Path]) -> dict[str, Any] | None:
    """What is recorded of a module; None where there is none."""
    top = module.partition(".")[0]
    if top in sys.builtin_module_names:
        return {"package": "python", "version": platform.python_version()}
    found = located(module, folders)
    if found is None:
        return None
    if top == "pg_theano" or not found.files or is_installed(found.files[-1]):
        return {"package": top, "version": _version(top)}
    sources = set(found.files)
    if found.files[-1].suffix == ".py":
        with contextlib.suppress(UserError):  # one that is no Python: whoever imports it is told so
            sources |= set(sources_of(f"{module}:", [found.root]))
    return {"file": str(found.files[-1]), "files": len(sources), "sha256": _digest(sorted(sources))}


def _digest(files: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_installed(path: Path) -> bool:
    """Whether a file belongs to Python or to a package that was installed."""
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    return any(path.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))


def _version(top: str) -> str | None:
    import importlib.metadata  # 20 ms, and seldom asked for

    if top in sys.stdlib_module_names:
        return f"of Python {platform.python_version()}"
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(top, [])
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names) or None


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
    if own and refused():
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


def module_named(name: str) -> Any:
    """Import a module whose name is data. It runs the module."""
    return importlib.import_module(name)
