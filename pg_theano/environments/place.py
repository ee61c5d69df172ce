"""Where this process stands in its environments: written before each call of one, and read by the watchdog.

And what they may not take from it: the folder it stands in, and its standard output.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn, Protocol


class Standing(NamedTuple):
    """An environment, by its number, and its step; None where nobody numbers or counts them."""

    id: str
    env: int | None
    step: int | None
    seed: int


class Owner(Protocol):
    """What calls an environment."""

    def standing(self) -> Standing: ...


class Place:
    """`now` is (who calls an environment, with which action), None between two calls; `calls` counts them."""

    def __init__(self) -> None:
        self.calls = 0
        self.now: tuple[Owner, Any] | None = None


class Hanging(BaseException):
    """A step takes too long. Not an Exception, so that an environment that catches those does not catch this."""


PASSED = (KeyboardInterrupt, Hanging, GeneratorExit)
"""What is no fault of the environment in whose call it is raised. All else is, `SystemExit` too."""


PLACE = Place()
"""Of the main thread: only there an environment is watched."""


@contextlib.contextmanager
def calling(owner: Owner, action: Any = None) -> Iterator[None]:
    """While an environment is called. `Slots.take` writes to `PLACE` by itself: it does so for every step."""
    before = PLACE.now  # of an environment that is made of another
    PLACE.calls += 1
    PLACE.now = owner, action
    try:
        if _Theirs.inside:
            yield
        else:
            with among_environments():
                yield
    finally:
        PLACE.now = before


class _Kept:
    """An output as environments have it: they may write to it."""

    def __init__(self, stream: Any):
        self._stream = stream

    def close(self) -> NoReturn:
        raise ValueError("standard output and standard error are not an environment's to close")

    detach = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Theirs:
    """The folder that environments have moved to; None as long as they stand where this process does."""

    folder: str | None = None
    inside = False


@contextlib.contextmanager
def among_environments() -> Iterator[None]:
    """While environments are called: they find the folder that they moved to, and whoever called them finds his own.

    Only in the main thread: folder and outputs are the whole process's.
    """
    if _Theirs.inside or threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, outputs = _folder(), (sys.stdout, sys.stderr)
    _Theirs.inside = True
    sys.stdout, sys.stderr = (stream and _Kept(stream) for stream in outputs)  # type: ignore[assignment]
    if _Theirs.folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(_Theirs.folder)
    try:
        yield
    finally:
        _Theirs.inside = False
        sys.stdout, sys.stderr = outputs
        if ours is not None and (now := _folder()) != ours:
            _Theirs.folder = now
            os.chdir(ours)


def none_is_left() -> None:
    """Environments are closed: others begin where this process stands."""
    _Theirs.folder = None


def _folder() -> str | None:
    """Where this process stands; None where that folder is gone."""
    try:
        return os.getcwd()
    except OSError:
        return None
