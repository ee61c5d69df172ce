"""Where this process stands in its environments: written before each call of one, and read by the watchdog."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol


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


PLACE = Place()
"""Of the main thread: only there an environment is watched."""


@contextlib.contextmanager
def calling(owner: Owner, action: Any = None) -> Iterator[None]:
    """While an environment is called. `Slots.take` writes to `PLACE` by itself: it does so for every step."""
    before = PLACE.now  # of an environment that is made of another
    PLACE.calls += 1
    PLACE.now = owner, action
    try:
        yield
    finally:
        PLACE.now = before
