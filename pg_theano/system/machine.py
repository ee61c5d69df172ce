"""What only some systems offer, and what the others have in its place: a table in docs/reliability.md.

No other module names any of it. What is not there is found by looking for it, not by the system's name: a test
takes it away and trains (`tests/test_machine.py`).
"""

# mypy: disable-error-code="attr-defined, call-arg, unused-ignore"

import contextlib
import errno
import mmap
import os
import secrets
import select
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:
    msvcrt = None  # type: ignore[assignment]

FAR = 1 << 30  # where the locked byte of a file stands: others can read the text in front of it
PATIENCE = 2.0  # seconds in which a reader closes the file that is to be replaced; others open it for milliseconds
PLAIN = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"))
C_LIBRARY = None if msvcrt is None else "ucrtbase"  # as `ctypes.CDLL` calls it
REMOVES_OPEN_FILES = fcntl is not None
WAKES = getattr(signal, "SIGURG", signal.SIGTERM)  # interrupts the main thread; nothing else uses it
cores: Callable[[], int] = lambda: len(getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0))  # noqa: E731
"""How many cores this process may use."""
load: Callable[[], float] = lambda: getattr(os, "getloadavg", lambda: (0.0,))()[0]  # noqa: E731
"""How many processes have wanted a core, on average over the last minute."""


# -- files


def opened(path: Path, flags: int, mode: int) -> int:
    """`os.open` that follows no link, waits for no pipe, changes no byte and is handed to no child."""
    if not hasattr(os, "O_NOFOLLOW") and os.path.islink(path):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return os.open(path, flags | PLAIN, mode)


def lock(descriptor: int, *, shared: bool = False) -> OSError | None:
    """Take a file's lock without waiting; what the system says where it does not give it. Closing lets go of it."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        elif msvcrt is not None:  # which knows no shared one: held for a moment by who only looks
            os.lseek(descriptor, FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            return OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    except OSError as error:
        return error
    return None


def pread(descriptor: int, size: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, at)
    os.lseek(descriptor, at, os.SEEK_SET)
    return os.read(descriptor, size)


def pwrite(descriptor: int, content: bytes | bytearray, at: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, content, at)
    os.lseek(descriptor, at, os.SEEK_SET)
    return os.write(descriptor, content)


def replace(source: Path, target: Path) -> None:
    """`os.replace`. Windows refuses it while another process has the target open; that is waited for."""
    until = time.monotonic() + (0.0 if fcntl is not None else PATIENCE)
    while True:
        try:
            return os.replace(source, target)
        except PermissionError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sign(path: Path, word: str) -> None:
    """Make a file that says a word. Errors: `FileExistsError`; `OSError`."""
    try:
        os.symlink(word, path)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # Windows asks for a right of its own, some file systems have no links
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(word.encode())


def signed(path: Path) -> str | None:
    """The word of a file that `sign` made; None for one of somebody else's. Errors: `FileNotFoundError`."""
    if path.is_symlink():
        return os.readlink(path)
    with contextlib.suppress(PermissionError), open(path, "rb") as file:  # it is about to be written
        return file.read(100).decode(errors="replace")
    return None


def of_others(found: os.stat_result) -> str | None:
    """Why another user may have written a file, or into a folder; None if nobody can."""
    if not hasattr(os, "getuid"):
        return None
    if found.st_uid not in (os.getuid(), 0):
        return f"belongs to user {found.st_uid}"
    if found.st_mode & 0o022:
        return f"can be written to by others (mode {found.st_mode & 0o7777:o})"
    return None


def allow_open(files: int) -> None:
    """Raise this process's limit of open files, where the system has one and lets it."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + 256 if hard == resource.RLIM_INFINITY else min(files + 256, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def memory() -> int | None:
    """Bytes that the machine has; None: unknown."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None


# -- processes


def is_alive(pid: int) -> bool:
    """Whether there is such a process; where it cannot be asked, there is."""
    if fcntl is None:  # there, `os.kill` would end it
        return True
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError) as error:
        return not isinstance(error, ProcessLookupError)
    return True


def after_a_fork(function: Callable[[], None]) -> None:
    """Call a function at the beginning of every process that this one forks into."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def interrupt_main() -> None:
    """Send `WAKES` to the main thread."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, WAKES)
    else:
        import _thread

        _thread.interrupt_main(WAKES)  # which waits for a call of C to come back


@contextlib.contextmanager
def holding_ctrl_c() -> Iterator[None]:
    """Processes that are started meanwhile begin without Ctrl-C, until `hear_ctrl_c` in them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it starts with the first process, and would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_ctrl_c() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def memory_named() -> str:
    """The name of a new memory for `child`: an open file without a name, or (Windows) a name without a file."""
    if hasattr(os, "memfd_create"):
        return str(os.memfd_create("pg_theano"))
    if msvcrt is not None:
        return f"pg_theano-{secrets.token_hex(16)}"
    import tempfile

    with tempfile.TemporaryFile(prefix="pg_theano-") as file:
        return str(os.dup(file.fileno()))


def memory_mapped(name: str, size: int) -> Any:
    if not name.isdecimal():
        return mmap.mmap(-1, size, tagname=name)
    if os.fstat(int(name)).st_size < size:
        os.ftruncate(int(name), size)
    return mmap.mmap(int(name), size)


def child(words: Sequence[str], line: socket.socket, memory: str, environment: Mapping[str, str]) -> tuple[Any, Any]:
    """A process with an end of a line and a memory, and a file: it lives until that is closed, at the latest by the end
    of this process. What it prints goes to stderr."""
    import subprocess

    same: dict[str, Any] = {"stdout": 2, "env": environment}
    if fcntl is None:
        process = subprocess.Popen([*words, memory], stdin=subprocess.PIPE, **same)  # noqa: S603
        shared = line.share(process.pid)
        with contextlib.suppress(OSError):  # it has ended
            process.stdin.write(len(shared).to_bytes(4, "big") + shared)
            process.stdin.flush()
        return process, process.stdin
    alive, hold = os.pipe()
    passed = [line.fileno(), alive, int(memory)]
    try:
        same |= {"stdin": subprocess.DEVNULL, "pass_fds": passed, "process_group": 0}
        process = subprocess.Popen([*words, *map(str, passed)], **same)  # noqa: S603
    finally:
        os.close(alive)
    return process, os.fdopen(hold, "wb", 0)


def joined(words: Sequence[str]) -> tuple[socket.socket, str]:
    """In the child: its end of the line, the name of the memory, and from now on an end with its parent. On Linux the
    kernel kills the whole group then; elsewhere a thread does, and on Windows only this process."""
    if fcntl is None:
        pipe = os.fdopen(os.dup(0), "rb")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        line, memory = socket.fromshare(pipe.read(int.from_bytes(pipe.read(4), "big"))), words[0]
        alive = pipe.detach()
    else:
        line, memory, alive = socket.socket(fileno=int(words[0])), words[2], os.fdopen(int(words[1]), "rb", 0)
        if hasattr(fcntl, "F_SETSIG"):
            fcntl.fcntl(alive, fcntl.F_SETOWN, -os.getpgrp())
            fcntl.fcntl(alive, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_wait_for_end, args=(alive,), daemon=True).start()
    return line, memory


def _wait_for_end(alive: Any) -> None:
    """End this process group when the parent ends, even if it ended before the kernel was asked."""
    with contextlib.suppress(OSError):
        if fcntl is not None:
            os.set_blocking(alive.fileno(), True)
        while alive.read(1):
            time.sleep(1)
    if fcntl is None:
        os._exit(1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def kill_all(process: Any) -> None:
    """Kill a process that `child` started, and all that it has started."""
    if fcntl is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        import subprocess

        with contextlib.suppress(OSError):
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True)  # noqa: S603, S607
        process.kill()


READABLE = 1  # POLLIN and EVENT_READ


class _Select(selectors.SelectSelector):
    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        return [(key.fd, mask) for key, mask in self.select(milliseconds / 1000)]


poll: Any = getattr(select, "poll", _Select)  # of which only what can be read is asked
