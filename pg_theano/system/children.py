"""Processes that run what cannot be trusted to come back: each in a group of its own, ended when this one ends.

    memory = Memory()                                      # shared with every child that is begun with it
    child = Child("pg_theano.environments.worker", setup, memory)       # a fresh interpreter
    child.line.send(b"s"); child.line.receive()            # one byte, or one byte and more
    child.end(seconds=2.0)                                 # by itself, or killed after so long

and in the child's module

    connection, memory, setup = entered(sys.argv)

A child is killed by the kernel, and all that it has started with it, when this process ends, however that happens and
whatever the child is doing: a pipe whose other end is closed sends SIGKILL to the child's group (Linux; elsewhere a
thread of the child's sees to it, which needs the interpreter's lock, and on Windows ends the child alone).
"""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pg_theano.system import bells, machine
from pg_theano.types import Problem, UserError

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""1 in a child, unless the user has set it: children share the cores already."""
LENGTH = struct.Struct("!Q")
PLAIN = b"sbk"
"""Messages of one byte: step, begin, done. Every other kind is followed by a length and as many bytes."""
MAIL = b"m"
"""Rung where a message has come through the socket."""


class Memory:
    """Bytes that parent and children see alike. Nothing of it is left when the last of them ends."""

    def __init__(self, name: str | None = None):
        self.name = name or machine.memory_named()
        self.view: Any = None

    def map(self, size: int) -> Any:
        """So many bytes of it, for `np.frombuffer`; whoever is first makes it as large."""
        self.view = machine.memory_mapped(self.name, size)
        return self.view

    def close(self) -> None:
        if self.name.isdecimal():
            os.close(int(self.name))


class Line:
    """One end of a line between two processes; the other has one as well.

    Messages go through a socket. Those of one byte are rung instead, once both ends have bells in their memory, and a
    ring says that a longer one has come.
    """

    def __init__(self, end: socket.socket):
        self.socket, self._letter = end, b""  # of the last ring that was heard
        self._bells: tuple[bells.Bell, bells.Bell] | None = None  # the other end's, and this one's
        self._poll = machine.poll()
        self._poll.register(end, machine.READABLE)

    def send(self, kind: bytes, content: bytes = b"") -> None:
        if self._bells is None or kind not in PLAIN:
            with contextlib.suppress(OSError):  # that it has ended is told to whoever waits for its answer
                self.socket.sendall(kind if kind in PLAIN else kind + LENGTH.pack(len(content)) + content)
        if self._bells:
            self._bells[0].ring(kind if kind in PLAIN else MAIL)

    def ready(self, seconds: float) -> bool:
        """Whether there is something to receive, or the other end is closed, within so many seconds."""
        if self._bells is None:
            return bool(self._poll.poll(1000 * seconds))
        self._letter = self._bells[1].heard(seconds) or b""
        return bool(self._letter) or self._closed()

    def receive(self) -> tuple[bytes, bytes]:
        """(kind, content) of the next message. Errors: `EOFError` where the other end is closed."""
        while self._bells and not self._letter and not self.ready(1.0):
            pass
        letter, self._letter = self._letter, b""
        return received(self.socket) if letter in (b"", MAIL) else (letter, b"")

    def with_bells(self, kind: bytes, layout: Mapping[str, Any], memory: Memory, start: int, *, working: int) -> None:
        """Send the layout of a memory, in which both ends have bells from now on, if the system has any.

        `working` processes share the machine: who has no core of his own sleeps while he waits.
        """
        spare = machine.cores() - working
        pair = [bells.bell(memory.view, start + place, new=True, spins=spare > 0) for place in (0, bells.SIZE)]
        told = {"bells": start if all(pair) else None, "spins": spare >= 0}
        self.send(kind, json.dumps({**layout, **told}).encode())
        self._bells = (pair[0], pair[1]) if pair[0] and pair[1] else None

    def take_bells(self, memory: Memory, layout: Mapping[str, Any]) -> None:
        """The same at the other end, which was sent that layout."""
        if (start := layout["bells"]) is not None:
            places = (start, start + bells.SIZE)
            ours, theirs = (bells.bell(memory.view, place, spins=layout["spins"]) for place in places)
            self._bells = (theirs, ours) if ours and theirs else None

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        if self._bells:
            self._bells[0].ring(MAIL)

    def _closed(self) -> bool:
        try:
            return bool(self._poll.poll(0)) and not self.socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


class Child:
    """A new Python process that runs one of our modules, and a line to it. `EOFError` once the process has ended."""

    def __init__(self, module: str, setup: Mapping[str, Any], memory: Memory):
        ours, theirs = socket.socketpair()
        home = str(Path(__file__).resolve().parents[2])
        here = dict.fromkeys(ONE_THREAD, "1") | os.environ
        here["PYTHONPATH"] = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            words = [sys.executable, "-P", "-m", module]
            self.process, self._alive = machine.child(words, theirs, memory.name, here)
        finally:
            theirs.close()
        self.line = Line(ours)
        self.line.send(b"j", json.dumps({**setup, "sys_path": sys.path}).encode())

    def kill(self) -> None:
        """Kill the child and every process that it has started."""
        machine.kill_all(self.process)

    def hang_up(self) -> None:
        """Close the line, so that the child ends by itself."""
        self.line.hang_up()

    def end(self, *, seconds: float = 0.0) -> int:
        """Hang up, wait so many seconds, then kill. Returns the exit code."""
        if self._alive.closed:
            return self.process.returncode
        self.hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            if seconds:
                self.process.wait(seconds)
        self.kill()
        code = self.process.wait()
        self.line.socket.close()
        with contextlib.suppress(OSError):  # what was to be written has nobody to read it
            self._alive.close()
        return code


def received(line: socket.socket) -> tuple[bytes, bytes]:
    """(kind, content) of the next message. Errors: `EOFError` where the other end is closed."""
    kind = _exactly(line, 1)
    if kind in PLAIN:
        return kind, b""
    return kind, _exactly(line, LENGTH.unpack(_exactly(line, LENGTH.size))[0])


def _exactly(line: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        try:
            part = line.recv(min(size, 1 << 20))
        except ConnectionError:
            part = b""
        if not part:
            raise EOFError("the other process has ended")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def error_of(content: bytes) -> UserError:
    """The error that a child sent with `told`."""
    problem = Problem(*json.loads(content))
    return UserError(problem._replace(knob=tuple(problem.knob)))


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was killed (signal {-code}, {signal.Signals(-code).name})"
        return f"was killed (signal {-code})"
    return f"ended with exit code {code}"


# -- in the child


def told(error: UserError) -> bytes:
    """An error as the child sends it to its parent."""
    return json.dumps(error.problem).encode()


def entered(argv: list[str]) -> tuple[Line, Memory, dict[str, Any]]:
    """The first call in a child: binds its life to the parent's; returns the line, the shared memory and the task."""
    line, memory = machine.joined(argv[1:])
    connection = Line(line)
    setup = json.loads(connection.receive()[1])
    sys.path[:] = setup.pop("sys_path")
    return connection, Memory(memory), setup
