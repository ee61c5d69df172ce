"""The files of the compile cache: artifacts and machine code, each sealed, written whole, and made anew where damaged.

    artifacts/<key>-<function>.stablehlo    one JSON line, the manifest with the seal of all else, and then the bytes
    xla/<key>                               one line with the seal of its key and its bytes, and then the bytes

One file each, so that it is written or not, never half of a pair.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pg_theano.compiler.building import Shaping
from pg_theano.system import console, opening, seals, writing
from pg_theano.types import UserError

FORMAT = 1
MAGIC = b"pg_theano machine code 1 "
SHIPPED = "shipped"
NOTHING_KEPT = "nothing is kept for the next run"
_warned: set[str] = set()


def cache_folder() -> Path:
    """Where artifacts and machine code are kept: $PG_THEANO_CACHE, else the user's cache folder."""
    own = os.environ.get("PG_THEANO_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pg_theano"


def xla_folder() -> Path:
    return cache_folder() / "xla"


def check_cache() -> None:
    """Refuse a cache folder that others may have written to: what is in it runs. Errors: `UserError`."""
    folder = cache_folder()
    if folder.exists() and not folder.is_dir():
        raise UserError(
            f"{folder}: is a file; expected a folder, of the compile cache; try another in $PG_THEANO_CACHE"
        )
    for one in (folder, folder / "artifacts", folder / "xla"):
        problem = opening.others_may_write(one)
        if problem:
            raise UserError(
                f"{one}: {problem}, and what is in it runs as code; expected a folder that is yours alone; try "
                "python -m pg_theano.cache --clear, or another in $PG_THEANO_CACHE"
            )


def key_of(module: str, spec: Shaping) -> str:
    """SHA-256 of what determines the graphs of a module, and of what determines their meaning."""
    return digest([module, spec.shaping()], surroundings())


def digest(facts: Any, more: bytes = b"") -> str:
    """SHA-256 of plain data, as text."""
    return hashlib.sha256(json.dumps([FORMAT, facts], sort_keys=True).encode() + more).hexdigest()


def meaning_of(module: str, spec: Shaping) -> str:
    """SHA-256 of what determines the graphs of a module on any version: the key of what lies in the wheel."""
    return digest([module, spec.shaping()], sources())


@functools.cache
def surroundings() -> bytes:
    """SHA-256 of the sources and the versions that make a graph of a spec."""
    digest = hashlib.sha256(sources())
    for name in ("pg_theano", "pytensor", "jax", "jaxlib", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(f"{name}={importlib.metadata.version(name)};".encode())
    digest.update(f"python={sys.version_info[:3]};{platform.machine()}".encode())
    return digest.digest()


@functools.cache  # they are imported, or will be, once a process: 10 ms
def sources() -> bytes:
    """SHA-256 of the sources that make a graph of a spec."""
    package = Path(__file__).parents[1]
    rooms = ("layers", "spec", "graphs", "compiler")
    sources = [path for room in rooms for path in sorted((package / room).rglob("*.py"))]
    sources += [package / f"{name}.py" for name in ("parameters", "types")]
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


def remembered(facts: dict[str, Any], make: Callable[[], Any]) -> Any:
    """Plain data that only a user's code can tell. Kept beside the artifacts, under the facts that determine it."""
    key = digest([facts, sys.version_info[:3]])
    check_cache()
    path = cache_folder() / "artifacts" / f"{key[:32]}.json"
    found = read(path, key)
    if found is not None:
        return found[0]["value"]
    value = json.loads(json.dumps(make()))  # the same from now as later from the file
    write(path, {"key": key, "value": value}, b"")
    return value


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of an artifact file, None where it is damaged."""
    try:
        head, _, payload = opening.read(path, opening.most_bytes(), mine=True).partition(b"\n")
        manifest = _manifest(head)
        return manifest if seals.agrees(manifest, payload, key="sha256") else None
    except (OSError, ValueError, AttributeError, TypeError, UserError):
        return None


def shipped(meaning: str, name: str) -> tuple[dict[str, Any], bytes] | None:
    """An artifact that came with the package, where `make dist` put it; None where there is none of that key."""
    return read(Path(__file__).parents[1] / SHIPPED / f"{meaning[:32]}-{name}.stablehlo", meaning, mine=False)


def read(path: Path, key: str, *, mine: bool = True) -> tuple[dict[str, Any], bytes] | None:
    """(manifest, bytes) of an artifact, or None. A damaged or foreign file is a miss with a warning."""
    if (found := _lines(path, "building", warn, mine)) is None:
        return None
    head, payload = found
    try:
        manifest = _manifest(head)
        if seals.agrees(manifest, payload, key="sha256") and manifest["key"] == key:
            return manifest, payload
    except (ValueError, KeyError, AttributeError, TypeError):
        pass
    warn(f"{path}: damaged, or not ours; building it anew")
    return None


def _manifest(head: bytes) -> Any:
    if len(head) > opening.MOST_JSON:
        raise ValueError
    return opening.parsed(head)


def write(path: Path, manifest: dict[str, Any], payload: bytes) -> None:
    head = json.dumps(manifest | {"sha256": seals.of(manifest, payload)}, sort_keys=True).encode()
    _put(path, head + b"\n" + payload, warn)


class MachineCode:
    """Machine code by its key. It is what JAX asks of a compilation cache too: get, put, and a path.

    JAX's own writes a file in place, keeps one that is torn for ever, and (where zstandard is installed) loads one with
    a flipped bit: machine code that computes something else. `lowering.begun` puts this in its place. The seal covers
    the key too: a file under another's name is as damaged as one with a flipped bit.
    """

    def __init__(self, folder: Callable[[], Path], warn: Callable[[str], None]):
        self._folder, self._warn = folder, warn

    @property
    def _path(self) -> Path:
        return self._folder()

    def get(self, key: str) -> bytes | None:
        path = self._folder() / key
        if (found := _lines(path, "compiling", self._warn)) is None:
            return None
        head, code = found
        if head == _head(key, code):
            return code
        self._warn(f"{path}: damaged; compiling it anew")
        return None

    def put(self, key: str, value: bytes) -> None:
        _put(self._folder() / key, _head(key, value) + b"\n" + value, self._warn)


def machine_code() -> MachineCode:
    return MachineCode(xla_folder, warn)


def _lines(path: Path, doing: str, warn: Callable[[str], None], mine: bool = True) -> tuple[bytes, bytes] | None:
    """(the first line of a file, the bytes after it); None where it is missing or, with a warning, cannot be read."""
    try:
        head, _, rest = opening.read(path, opening.most_bytes(), mine=mine).partition(b"\n")
    except FileNotFoundError:
        return None
    except (OSError, UserError) as error:
        warn(f"{getattr(error, 'strerror', None) or error}; {doing} {path} anew")
        return None
    return head, rest


def _put(path: Path, content: bytes, warn: Callable[[str], None]) -> None:
    """A folder that cannot be written costs a warning."""
    try:
        write_whole(path, content)
    except OSError as error:
        warn(f"{path.parent}: {error.strerror}; {NOTHING_KEPT}")


def _head(key: str, code: bytes) -> bytes:
    return MAGIC + seals.of(key.encode(), code).encode()


def write_whole(path: Path, content: bytes) -> None:
    """Not synced: what a power failure tears is found damaged, and made anew. Clears what killed writers left."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    writing.clear_stale(path.parent)
    writing.write_atomically(path, content, durable=False, mode=0o600)


def warn(message: str) -> None:
    """Print a warning; that a folder cannot be written only once, as it holds for each of thirty files."""
    if message.endswith(NOTHING_KEPT):
        if message in _warned:
            return
        _warned.add(message)
    console.say(f"warning: {message}", sys.stderr)
