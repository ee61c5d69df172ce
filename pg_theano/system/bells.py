"""Bells between two processes that share memory: who waits for one hears it without a message, mostly without sleeping.

    ours = bell(memory, start)              # SIZE bytes that both see; None where the system has no such thing
    ours.ring(b"s")                         # one letter
    ours.heard(0.05)                        # the letter, within so many seconds; None: nothing was rung

Who waits asks again and again for `SPIN` seconds, and lets others have the core in between; then sleeps. To wake a
sleeping process takes 10 to 100 µs, as long as a step of a quick simulator; but who does not sleep keeps a core from
those that work, so that who has none of his own sleeps at once. A bell is a semaphore of the C library: what was
written before it rang is seen by who has heard it, on every processor.
"""

import ctypes
import math
import time
from typing import Any

SIZE = 64
"""Bytes of a bell: a line of the processor's cache."""
LETTER = 48
"""Where its letter stands, behind a semaphore of at most 40 bytes."""
SPIN = 500e-6
"""Seconds of asking before sleeping."""
MONOTONIC = 1  # CLOCK_MONOTONIC of Linux


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Bell:
    """One that this process rings or hears. `new`: who made the memory makes the semaphore in it."""

    def __init__(self, memory: Any, start: int, *, new: bool, spins: bool):
        self._memory, self._letter = memory, start + LETTER
        self.spin = SPIN if spins else 0.0
        place = ctypes.c_char.from_buffer(memory, start)
        self._place = ctypes.c_void_p(ctypes.addressof(place))
        if new and _KEEPING.sem_init(self._place, 1, 0) != 0:
            raise OSError("no semaphore can be shared")
        self._post, self._taken, self._wait = _KEEPING.sem_post, _KEEPING.sem_trywait, _LETTING_GO.sem_clockwait
        self._others = _LETTING_GO.sched_yield

    def ring(self, letter: bytes) -> None:
        self._memory[self._letter] = letter[0]
        self._post(self._place)

    def heard(self, seconds: float) -> bytes | None:
        taken, place, clock = self._taken, self._place, time.perf_counter
        if taken(place) != 0:
            until = clock() + min(self.spin, seconds)
            while taken(place) != 0:
                if clock() < until:
                    self._others()
                elif self._sleeps(seconds):
                    break
                else:
                    return None
        return self._memory[self._letter].to_bytes()

    def _sleeps(self, seconds: float) -> bool:
        """Whether it rings within so many seconds of sleep; a signal ends them."""
        whole = time.monotonic() + seconds
        limit = _Time(int(whole), int(math.modf(whole)[0] * 1e9))
        return self._wait(self._place, MONOTONIC, ctypes.byref(limit)) == 0


def _libraries() -> tuple[Any, Any]:
    """The C library as it is called with the interpreter's lock and without; (None, None) where it lacks a function."""
    try:
        found = ctypes.PyDLL(None), ctypes.CDLL(None)
        for one in found:
            _ = one.sem_init, one.sem_post, one.sem_trywait, one.sem_clockwait, one.sched_yield
        return found
    except (AttributeError, OSError, TypeError):  # macOS and Windows have other things
        return None, None


_KEEPING, _LETTING_GO = _libraries()


def bell(memory: Any, start: int, *, new: bool = False, spins: bool = True) -> Bell | None:
    """The bell at a place of a shared memory; None where there are no bells. `spins`: whoever hears it has a core."""
    try:
        return Bell(memory, start, new=new, spins=spins) if _KEEPING is not None else None
    except OSError:
        return None
