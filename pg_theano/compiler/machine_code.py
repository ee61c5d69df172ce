"""The files of compiled machine code: sealed, written whole, and made anew where they are damaged.

JAX's own cache writes a file in place, keeps one that is torn for ever, and (where zstandard is installed) loads one
with a flipped bit: machine code that computes something else. This is put in its place; see `backends._jax`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pg_theano.system import opening
from pg_theano.types import UserError

MAGIC = b"pg_theano machine code 1 "
NOTHING_KEPT = "nothing is kept for the next run"
STALE = 3600.0
"""Seconds after which a temporary file is one whose writer was killed."""


class Cache:
    """What JAX asks of a compilation cache (`jax._src.compilation_cache_interface`): get, put, and a path.

    A file is one line, with the SHA-256 of its own key and of the rest, and then the machine code: a file under
    another's name is as damaged as one with a flipped bit.
    """

    def __init__(self, folder: Callable[[], Path], warn: Callable[[str], None]):
        self._folder, self._warn = folder, warn

    @property
    def _path(self) -> Path:
        return self._folder()

    def get(self, key: str) -> bytes | None:
        path = self._folder() / key
        try:
            head, _, code = opening.read(path, opening.most_bytes()).partition(b"\n")
        except FileNotFoundError:
            return None
        except (OSError, UserError) as error:
            self._warn(f"{getattr(error, 'strerror', None) or error}; compiling {path} anew")
            return None
        if head == MAGIC + _seal(key, code):
            return code
        self._warn(f"{path}: damaged; compiling it anew")
        return None

    def put(self, key: str, value: bytes) -> None:
        """A folder that cannot be written costs a warning."""
        path = self._folder() / key
        try:
            write_whole(path, MAGIC + _seal(key, value) + b"\n" + value)
        except OSError as error:
            self._warn(f"{path.parent}: {error.strerror}; {NOTHING_KEPT}")


def _seal(key: str, code: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + code).hexdigest().encode()


def write_whole(path: Path, content: bytes) -> None:
    """Atomically, and not synced: what a power failure tears is found damaged, and made anew.

    Temporary files of writers that were killed are cleared on the way.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in path.parent.glob("*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE:
                left.unlink()
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
