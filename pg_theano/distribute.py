"""TEMPORARY stand-in for H4's distribute.py: the same interface, no cluster."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any


class Workers:
    def __init__(self, pool: ProcessPoolExecutor | None):
        self.pool = pool

    def map(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
        return list(map(function, tasks)) if self.pool is None else list(self.pool.map(function, tasks))

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)


@contextmanager
def opened(*, workers: int = 1, cluster: str | None = None, timeout: float = 30.0) -> Iterator[Workers]:
    if cluster is not None:
        raise NotImplementedError("H4")
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) if workers > 1 else None
    made = Workers(pool)
    try:
        yield made
    finally:
        made.close()
