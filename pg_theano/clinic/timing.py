"""A user's function must come back: within a time, or it is interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from pg_theano.system import console, machine
from pg_theano.system.console import say
from pg_theano.types import UserError

GRACE = 2.0
"""Seconds in which a function that is interrupted must stop. After that the process ends, unless it is interactive."""


class TooLong(BaseException):
    """Raised in a function that does not come back."""


@contextlib.contextmanager
def within(seconds: float, name: str) -> Iterator[None]:
    """Errors: `UserError` where what stands in it takes longer. One that cannot be interrupted ends the process,
    unless that is interactive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    problem = UserError.at(
        name, f"took longer than {seconds:g} s for one case", "an answer",
        "--timeout with more seconds, if it is no endless loop",
    )  # fmt: skip

    def interrupt(number: int, frame: Any) -> None:
        if not over.is_set():
            raise TooLong

    def look() -> None:
        if over.wait(seconds):
            return
        machine.interrupt_main()
        if over.wait(GRACE):
            return
        say(f"error: {problem}", sys.stderr)
        if not console.is_interactive():
            os._exit(2)

    before = signal.signal(machine.WAKES, interrupt)
    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        yield
    except TooLong:
        raise problem from None
    finally:
        over.set()
        watch.join()
        signal.signal(machine.WAKES, before)
