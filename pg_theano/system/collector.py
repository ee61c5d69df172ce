"""Python's collector of garbage, which walks all that is there whenever much was made."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def seldom() -> Iterator[None]:
    """It comes seldom: a growing graph, or a library being imported, is walked again and again for nothing.

    A fifth of what building a graph takes, and a seventh of what a figure takes. Not around code of users: what that
    makes in circles, images among them, would stay.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
