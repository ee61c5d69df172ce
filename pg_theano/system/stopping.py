"""Being asked to stop: Ctrl-C or SIGTERM ends a command with everything saved, a second Ctrl-C ends it at once.

with stopping.listening():        # the commands; a library call leaves signals alone
    ...                           # on the first signal `Stop` is raised, wherever the main thread is
    stopping.check()              # once an update: again, where somebody else's code swallowed it
return stopping.exit_code()       # 130 for Ctrl-C, 143 for SIGTERM
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = "\x1b[?25h"
_asked: signal.Signals | None = None
_deferring = 0
_in_kernel = False
_asked_again = 0


class Stop(KeyboardInterrupt):
    """Somebody asked this process to stop. What handles Ctrl-C handles this."""


@contextlib.contextmanager
def listening(*, in_kernel: bool = False) -> Iterator[None]:
    """Turn the first of the signals into `Stop`. One that the caller had ignored (`nohup`) stays ignored.

    Anywhere but in the main thread, where Python has no signals, nothing is changed. `in_kernel`: the process is a
    notebook's, which must outlive the run: only Ctrl-C is heard, the second one is let pass, because whoever is asked
    is saving, and the third raises `KeyboardInterrupt`.
    """
    global _asked, _asked_again, _in_kernel
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked, _asked_again, _in_kernel = None, 0, in_kernel
    before = {number: signal.getsignal(number) for number in (SIGNALS[:1] if in_kernel else SIGNALS)}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, _hear)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])
        _asked, _in_kernel = None, False


def _hear(number: int, frame: FrameType | None) -> None:
    global _asked, _asked_again
    if _asked is None:
        _asked = signal.Signals(number)
        if not _deferring:
            raise Stop
        return
    if _in_kernel:
        _asked_again += 1
        if _asked_again > 1:
            raise KeyboardInterrupt
        return
    if number == signal.SIGINT:  # somebody who does not want to wait; a second SIGTERM is no reason not to save
        if sys.stdout is not None and sys.stdout.isatty():  # which a live display has hidden
            os.write(sys.stdout.fileno(), SHOW_CURSOR.encode())
        os._exit(exit_code())


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let the first signal wait for the end of what must not be torn: half-imported libraries of C++ crash the process.

    Seconds at most: whoever asked waits too.
    """
    global _deferring
    _deferring += 1
    try:
        yield
    finally:
        _deferring -= 1
    if not _deferring:
        check()


def check() -> None:
    """Raise `Stop` if this process was asked to stop and still runs: exceptions in callbacks or `__del__` get lost."""
    if _asked is not None:
        raise Stop


def exit_code() -> int:
    """The exit code that a shell gives a process that ended by the signal."""
    return 128 + (_asked or signal.SIGINT)


def is_stopped(code: int) -> bool:
    """Whether an exit code says that a command was asked to end."""
    return code in {128 + number for number in SIGNALS}


def reason() -> str:
    """Which signal asked, in words for a result."""
    return "SIGTERM" if _asked == signal.SIGTERM else "Ctrl-C"
