"""A look, once a second, at whether an environment that is stepped in this process still moves.

    with watching(120.0):      # seconds that one step or reset may take
        ...                    # a step that takes longer is a `UserError` that says where

Stepping pays nothing for it: a thread looks at the main thread's stack. What stands in the same call of the same step
for so long is interrupted; what does not let itself be interrupted (it catches everything, or waits inside a C library)
ends the process, with the last checkpoint as it is. C code that keeps the interpreter's lock stops the thread as well:
for that there is `environment.workers`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from pg_theano.environments.inspection import Inspection
from pg_theano.environments.making import VectorClass
from pg_theano.environments.singles import Slot, Slots, shown_action
from pg_theano.system.opening import say
from pg_theano.types import UserError

LOOK = 1.0
"""Seconds between two looks."""
GRACE = 3.0
"""Seconds that the main thread has to hear of it; after that the process is ended."""
WAKES = getattr(signal, "SIGURG", signal.SIGTERM)
"""The signal that interrupts the main thread: one that by itself does nothing, and that nobody else uses."""


class Hanging(BaseException):
    """A step takes too long. Not an Exception, so that an environment that catches those does not catch this."""


def _of_slots(local: dict[str, Any]) -> tuple[Any, ...]:
    slot = local["slot"]
    return slot.id, slot.index, slot.steps, slot.seed, local.get("own")


def _of_slot(local: dict[str, Any]) -> tuple[Any, ...]:
    slot = local["self"]
    return slot.id, slot.index, slot.steps, slot.seed, local.get("action")


def _of_class(local: dict[str, Any]) -> tuple[Any, ...]:
    return local["self"].task.id, None, None, local["self"].seeds[0], None


def _of_inspection(local: dict[str, Any]) -> tuple[Any, ...]:
    looked = local["self"]
    return looked.id, 0, looked.step, looked.seed, local.get("action")


CALLS: dict[CodeType, Any] = {
    Slots.take.__code__: _of_slots,
    Slot.step.__code__: _of_slot,
    Slot.reset.__code__: _of_slot,
    VectorClass.step.__code__: _of_class,
    VectorClass.begin.__code__: _of_class,
    Inspection.begun.__code__: _of_inspection,
    Inspection.stepped.__code__: _of_inspection,
}
"""Our functions that call an environment, and where each of them keeps what it is at."""


@contextlib.contextmanager
def watching(seconds: float | None) -> Iterator[None]:
    """Errors: `UserError` where one step or reset of an environment takes longer. Only in the main thread."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch(seconds)
    before = signal.signal(WAKES, watch.interrupt)
    watch.start()
    try:
        yield
    except Hanging as hanging:
        raise UserError(str(hanging)) from None
    finally:
        watch.over.set()
        watch.join()
        signal.signal(WAKES, before)


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
        """The call that the main thread is in: (frame, id, environment, step, seed, stack and action)."""
        frame: FrameType | None = sys._current_frames().get(threading.main_thread().ident or 0)
        line = None
        while frame is not None:
            if line is None and not _is_library(frame.f_code.co_filename):
                line = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
            tell = CALLS.get(frame.f_code)
            if tell is not None:
                with contextlib.suppress(KeyError):  # it has not come so far yet
                    *where, action = tell(frame.f_locals)
                    return frame, *where, (line, action)
            frame = frame.f_back
        return None

    def said(self, standing: Any) -> str:
        _, id, index, step, seed, (line, action) = standing
        at = "" if index is None else f", environment {index}, step {step}"
        doing = "reset" if step == 0 else "step"
        did = f"; its action was {shown_action(action)}" if action is not None and doing == "step" else ""
        stands = f", it stands at {line}" if line else ""
        return (
            f"{id}{at} (seed {seed}): {doing} takes longer than environment.timeout = {self.seconds:g} s{stands}{did}; "
            "if it only is slow, set environment.timeout higher"
        )

    def end(self) -> None:
        """Interrupt the main thread; where it does not hear, end the process."""
        signal.pthread_kill(threading.main_thread().ident or 0, WAKES)
        if self.over.wait(GRACE):
            return
        say(f"error: {self.found}", sys.stderr)
        if not hasattr(sys, "ps1") and "ipykernel" not in sys.modules:
            os._exit(2)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.found is not None:
            raise Hanging(self.found)


def _is_library(file: str) -> bool:
    return (
        "site-packages" in file
        or Path(file).is_relative_to(Path(__file__).parents[1])
        or file.startswith(sys.base_prefix)
    )
