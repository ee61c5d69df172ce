"""Another system, as the package sees it: first on Python's path, in the processes that it starts too.

    PYTHONPATH=tests/elsewhere ELSEWHERE='{"lacks": {"os": ["fork", ...], "fcntl": null, ...}, "folder": "/tmp/..."}'

What `lacks` names is there for everybody but pg_theano: a module cannot be imported from it, a name is no attribute. In
`folder`, files are as Windows has them: none is removed or replaced while it is open, no folder is opened, no name has a
colon, no link is made. Text is read and written in an encoding that is said. What Windows has in its place is played:
`msvcrt` by flock, a socket that is shared, a memory with a name.
"""

import builtins
import fcntl
import json
import mmap
import os
import socket
import sys
import threading
import types
import warnings
from socket import AF_UNIX

SAID = json.loads(os.environ.get("ELSEWHERE", "{}"))
FOLDER = SAID.get("folder", "/nowhere")
warnings.filterwarnings("ignore", category=EncodingWarning)
warnings.filterwarnings("error", category=EncodingWarning, module=r"pg_theano\b")


def is_ours(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0] == "pg_theano" or (
        frame.f_globals.get("__name__") == "__main__" and "pg_theano" in (frame.f_globals.get("__package__") or "")
    )


def take(module, names):
    """A name that our code asks for is missing, and is there for all others."""
    kept = {name: module.__dict__.pop(name) for name in names if hasattr(module, name)}

    def found(name):
        if name in kept and not is_ours(sys._getframe(1)):
            return kept[name]
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = found


def locking(descriptor, mode, size):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


MSVCRT = types.ModuleType("msvcrt")
vars(MSVCRT).update(locking=locking, LK_NBLCK=2)


class Shared(mmap.mmap):
    """Windows' memory with a name and no file, as a file of that name."""

    def __new__(cls, number, size, flags=mmap.MAP_SHARED, *, tagname=None, **given):
        if tagname is None:
            return super().__new__(cls, number, size, flags, **given)
        file = os.open(f"{FOLDER}/{tagname}", os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(file, size)
        try:
            return super().__new__(cls, file, size)
        finally:
            os.close(file)


def share(line, pid):
    """Windows' way to hand a socket to a process: here, of a server that waits for that process."""
    door = socket.socket(AF_UNIX)
    door.bind(b"\0pg-theano-%d" % pid)
    door.listen()
    kept = line.dup()
    threading.Thread(target=lambda: socket.send_fds(door.accept()[0], [b"."], [kept.fileno()]), daemon=True).start()
    return b"shared"


def fromshare(said):
    assert said == b"shared"
    with socket.socket(AF_UNIX) as asking:
        asking.connect(b"\0pg-theano-%d" % os.getpid())
        return socket.socket(fileno=socket.recv_fds(asking, 1, 1)[1][0])


def socketpair(*given):
    with socket.create_server(("127.0.0.1", 0)) as door:
        return socket.create_connection(door.getsockname()), door.accept()[0]


if SAID.get("msvcrt"):
    mmap.mmap, socket.socket.share, socket.fromshare, socket.socketpair = Shared, share, fromshare, socketpair

LACKS = SAID.get("lacks", {})
real = builtins.__import__


def imported(name, *given, **options):
    if name in ("msvcrt", *LACKS) and is_ours(sys._getframe(1)):
        if name == "msvcrt" and SAID.get("msvcrt"):
            return MSVCRT
        if LACKS.get(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
    return real(name, *given, **options)


builtins.__import__ = imported
for name, gone in LACKS.items():
    if gone is not None:
        take(real(name), gone)


def is_open(path):
    for one in os.scandir("/proc/self/fd"):
        try:
            if os.readlink(one.path) == os.path.realpath(path):
                return True
        except OSError:
            continue
    return False


def heard(event, given):
    if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.symlink") or not isinstance(
        given[0], str | os.PathLike
    ):
        return
    path = os.path.abspath(os.fspath(given[1 if event in ("os.rename", "os.symlink") else 0]))
    if not path.startswith(FOLDER):
        return
    if event == "os.symlink":
        raise OSError(1314, "A required privilege is not held by the client", path)
    if set(path) & set('<>:"|?*') or path.endswith((".", " ")):
        raise OSError(22, "Invalid argument", path)
    if event == "open" and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    if event in ("os.rename", "os.remove") and any(
        is_open(os.fspath(one)) for one in given[:2] if isinstance(one, str | os.PathLike)
    ):
        raise PermissionError(13, "used by another process", path)


sys.addaudithook(heard)
