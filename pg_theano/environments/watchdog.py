"""A look, once a second, at whether an environment that is stepped in this process still moves.

    with watching(120.0):      # seconds that one step or reset may take
        ...                    # a step that takes longer is a `UserError` that says where

Whatever calls an environment writes down where it stands (`place.py`), and a thread looks there. A call that lasts too
long is interrupted; one that cannot be interrupted (it catches everything, or waits inside a C library) ends the
process, with the last checkpoint as it is. C code that keeps the interpreter's lock stops the thread as well: for that
there is `environment.workers`.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from pg_theano.environments.place import PLACE, Hanging
from pg_theano.environments.telling import shown_action
from pg_theano.system import console, machine
from pg_theano.system.console import say
from pg_theano.types import UserError

LOOK = 1.0
"""Seconds between two looks."""
GRACE = 3.0
"""Seconds in which the main thread must react to the signal. After that the process is ended."""


@contextlib.contextmanager
def watching(seconds: float | None) -> Iterator[None]:
    """Errors: `UserError` where one step or reset of an environment takes longer. Only in the main thread."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch(seconds)
    before = signal.signal(machine.WAKES, watch.interrupt)
    watch.start()
    try:
        yield
    except Hanging as hanging:
        raise UserError(str(hanging)) from None
    finally:
        watch.over.set()
        watch.join()
        signal.signal(machine.WAKES, before)


class _Watch(threading.Thread):
    def __init__(self, seconds: float):
        super().__init__(name="watchdog", daemon=True)
        self.seconds, self.look = seconds, min(LOOK, seconds / 4)
        self.over = threading.Event()
        self.found: str | None = None

    def run(self) -> None:
        last: Any = None
        looks = 0  # counted, not timed: a process that was stopped (Ctrl-Z) has had no time either
        while not self.over.wait(self.look):
            now = self.standing()
            looks = looks + 1 if now is not None and last is not None and now[:-1] == last[:-1] else 0
            last = now
            if looks and looks * self.look >= self.seconds:
                self.found = self.said(now)
                self.end()
                return

    def standing(self) -> tuple[Any, ...] | None:
        """The call that the main thread is in: (number of the call, where it stands, (line of code, action))."""
        calls, now = PLACE.calls, PLACE.now
        return None if now is None else (calls, now[0].standing(), (_line(), now[1]))

    def said(self, standing: Any) -> str:
        _, (id, index, step, seed), (line, action) = standing
        at = "" if index is None else f", environment {index}, step {step}"
        doing = "reset" if step == 0 else "step"
        did = f"; its action was {shown_action(action)}" if action is not None and doing == "step" else ""
        stands = f", it stands at {line}" if line else ""
        return (
            f"{id}{at} (seed {seed}): {doing} takes longer than environment.timeout = {self.seconds:g} s{stands}{did}; "
            "if it only is slow, set environment.timeout higher"
        )

    def end(self) -> None:
        """Interrupt the main thread; if it does not react, end the process."""
        machine.interrupt_main()
        if self.over.wait(GRACE):
            return
        say(f"error: {self.found}", sys.stderr)
        if not console.is_interactive():
            os._exit(2)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.found is not None:
            raise Hanging(self.found)


def _line() -> str | None:
    """The line of the user's code that the main thread is in; None if it is in no code of the user's."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and Path(frame.f_code.co_filename).parent != Path(__file__).parent:
        if not _is_library(frame.f_code.co_filename):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def _is_library(file: str) -> bool:
    ours = Path(file).is_relative_to(Path(__file__).parents[1])
    return ours or "site-packages" in file or file.startswith(sys.base_prefix)
