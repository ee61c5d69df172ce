"""The lock of a folder: one process at a time writes in it. The system lets go of it when the process ends."""

import contextlib
import errno
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from pg_theano.system import machine, opening
from pg_theano.types import UserError

SECONDS_TO_NAME = 1.0
"""Time that a process may need, from taking a lock, to write its name into it."""


def locked(folder: Path) -> int:
    """The descriptor that holds a folder's lock. Errors: `UserError` that names the process that has it."""
    path = folder / "lock"
    descriptor = opening.opened(path, os.O_RDWR | os.O_CREAT)
    problem = machine.lock(descriptor)
    if problem is not None:
        holder = _holder(descriptor) if _is_held(problem) else ""
        os.close(descriptor)
        if not holder:
            raise UserError(
                f"{path}: cannot be locked ({problem.strerror}); expected a file system with locks; try a folder "
                "on another disk"
            )
        raise UserError(f"{folder}: in use by {holder}; expected one process a folder; try again when it has ended")
    if not os.fstat(descriptor).st_nlink:
        os.close(descriptor)
        raise UserError(f"{folder}: got taken away by another process a moment ago; expected it to stay; try again")
    with contextlib.suppress(OSError):  # a full disk: it is locked all the same
        os.ftruncate(descriptor, 0)
        machine.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return descriptor


def unlocked(descriptor: int) -> None:
    """Let go of a lock, and of the name in it."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder's lock meanwhile. Errors: `UserError` that names the process that has it."""
    descriptor = locked(folder)
    try:
        yield
    finally:
        unlocked(descriptor)


def holder_of(folder: Path) -> str | None:
    """The process that has a folder's lock, as it names itself; None where nobody has. Writes nothing there."""
    try:
        descriptor = opening.opened(folder / "lock")
    except (OSError, UserError):  # none, or no file, which nobody can have locked
        return None
    try:
        problem = machine.lock(descriptor, shared=True)
        return _holder(descriptor) if problem is not None and _is_held(problem) else None
    finally:
        os.close(descriptor)


def refuse_in_use(folder: Path) -> None:
    """Errors: `UserError` that names the process that has a folder's lock. It may be no run's folder."""
    if (holder := holder_of(folder)) is not None:
        raise UserError(f"{folder}: in use by {holder}; wait for it, or stop it")


def _is_held(problem: OSError) -> bool:
    return problem.errno in (errno.EWOULDBLOCK, errno.EACCES)


def _holder(descriptor: int) -> str:
    """The process that has a lock, as it names itself.

    A process that has just taken it may not have written its name yet: the one in it may be that of a process that was
    killed, which is waited out.
    """
    until = time.monotonic() + SECONDS_TO_NAME
    while True:
        text = machine.pread(descriptor, 300, 0).decode(errors="replace").strip()
        found = re.fullmatch(r"process (\d+) on (\S+)", text)
        if found and (found[2] != socket.gethostname() or machine.is_alive(int(found[1]))):
            return text
        if time.monotonic() > until:
            return text or "another process"
        time.sleep(0.01)
