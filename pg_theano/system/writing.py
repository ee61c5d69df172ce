"""Files written whole or not at all: the only place that puts one in another's place.

    write_atomically(path, content)         # on the disk when it returns
    with replacing(path) as temporary:      # for a library that writes by itself
        figure.savefig(temporary)

A process that is killed anywhere leaves the old file or the new one, and perhaps a temporary one beside it.
"""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from pg_theano.system import machine

STALE = 3600.0
"""Seconds after which the writer of a temporary file must have been killed."""


def clear_temporaries(folder: Path) -> None:
    """Remove the temporary files of writers that were killed. Nobody else may be writing in the folder."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def clear_stale(folder: Path) -> None:
    """The same in a folder where others write: only what is older than `STALE` goes."""
    for path in folder.glob("*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """The name of a folder that the caller makes; then it stands in the place of `path`, and what was there is gone.

    Where anything fails, `path` is as it was. Errors: `OSError`.
    """
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=path.parent) as aside:
        new, old = Path(aside, "new"), Path(aside, "old")
        yield new
        if path.exists():
            machine.replace(path, old)
        try:
            machine.replace(new, path)
        except BaseException:
            if old.exists():
                machine.replace(old, path)
            raise


def write_atomically(path: Path, content: bytes, *, durable: bool = True, mode: int = 0o644) -> None:
    """Temporary file in the same folder, flush, sync, rename, sync of the folder; never over a device or a pipe.

    Not `durable`: nothing is synced, and a power failure may tear the file. Errors: `OSError` that names `path`.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise OSError(errno.EINVAL, "is no regular file, and would be one afterwards")
        temporary = _beside(path, secrets.token_hex(8))
        try:
            with os.fdopen(
                os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb"
            ) as file:  # less the umask
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            machine.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if durable:
            machine.sync_folder(path.parent)
    except OSError as error:  # which names the temporary file, or none
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside this one, of a file that takes its place at the end. Nothing is synced. Errors: `OSError`."""
    temporary = _beside(path, secrets.token_hex(8))  # no link was laid there beforehand
    try:
        yield temporary
        machine.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _beside(path: Path, mark: str) -> Path:
    if not path.name:  # `.`, and what is made of `--out ''`
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.with_name(f".{path.name}-{mark}.tmp")
