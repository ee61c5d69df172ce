"""What happens in a worker, and the worker processes beside this one: `distribute.py` puts them to work."""

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

from pg_theano.system import importing, machine, opening, plain
from pg_theano.system.versions import versions
from pg_theano.types import UserError

SECONDS_PER_BATCH = 0.1
"""So long a batch of tasks runs at least, where there are enough of them: sending one costs 0.1 to 5 ms."""
MOST_DEATHS = 3
"""Workers that one task may take with it; and beginnings of a worker process that may fail, one after the other."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
"""1 in a worker process, unless the user has set it: the workers share the cores already. NPROC is read by XLA."""

SAFE_PATH = "PYTHONSAFEPATH"
"""Set as a process starts, so that it imports nothing of the folder that it stands in, as `multiprocessing` would."""


class Answer(NamedTuple):
    """What a worker sends back for a batch: results up to the first error, or its versions where they are others."""

    results: list[Any]
    error: Exception | None = None
    seconds: float = 0.0
    refused: dict[str, str] | None = None


class Lost(NamedTuple):
    """A batch whose worker died, or whose workers did."""

    deaths: int
    how: str


# -- in a worker


_ONE_AT_A_TIME = threading.Lock()
"""A Dask worker may have several threads; what it evaluates need not be ready for that."""


def evaluate(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    expected: dict[str, str] | None,
    said: Mapping[str, bool] | None = None,
) -> Answer:
    """A batch, in a worker. `expected`: versions that this process must have; `said`: of code of the user's own."""
    with _ONE_AT_A_TIME, importing.consenting(**(said or {})):
        if expected is not None and versions() != expected:
            return Answer([], refused=versions())
        began = time.perf_counter()
        results: list[Any] = []
        for task in tasks:
            try:
                results.append(function(task))
            except Exception as error:
                return Answer(results, _sendable(error))
        return Answer(results, seconds=time.perf_counter() - began)


def evaluate_as_text(*batch: Any) -> str:
    """The same for a worker of a cluster, whose answer is read as plain data. See `answer_of`."""
    answer = evaluate(*batch)
    try:
        results = plain.encoded(answer.results)
    except TypeError as error:
        answer, results = Answer([], error), "[]"
    return json.dumps([results, plain.of_error(answer.error), answer.seconds, answer.refused])


def answer_of(text: str) -> Answer:
    """Errors: `ValueError` for anything else than `evaluate_as_text` gives."""
    results, error, seconds, refused = opening.parsed(text)
    return Answer(plain.decoded(results), plain.error_of(error), float(seconds), refused)


def _sendable(error: Exception) -> Exception:
    """The error with the worker's traceback as a note; another of the same words where it cannot travel.

    One that can be sent but not received would break the pool.
    """
    error.add_note(f"In the worker:\n{traceback.format_exc()}")
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _begin() -> None:
    """First thing in a worker process: Ctrl-C is the coordinator's to judge; without it there is nothing to do.

    A worker waits for work at a pipe that it holds open itself, so it would never notice that the coordinator is gone.
    """
    os.environ.pop(SAFE_PATH, None)  # which is not meant for what the user's own code may start
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    machine.hear_ctrl_c()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# -- processes beside this one


class _Process:
    """An executor of a single process."""

    def __init__(self, function: Callable[[Any], Any] | None) -> None:
        with _surroundings_of_a_worker():  # its queues start the resource tracker
            spawning = multiprocessing.get_context("spawn")
            self.executor = ProcessPoolExecutor(1, mp_context=spawning, initializer=_begin)
            first: tuple[Any, ...] = (evaluate, function, [], None) if function else (os.getpid,)
            self.began: Future[Any] = self.executor.submit(*first)
        (self.process,) = self.executor._processes.values()

    def end(self, *, at_once: bool) -> None:
        if at_once:
            self.process.kill()
        self.executor.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _surroundings_of_a_worker() -> Iterator[None]:
    """What a process inherits that is started meanwhile: one thread; and no Ctrl-C before it can ignore it itself."""
    added = {name: "1" for name in (*ONE_THREAD, SAFE_PATH) if name not in os.environ}
    os.environ.update(added)
    try:
        with machine.holding_ctrl_c():
            yield
    finally:
        for name in added:
            os.environ.pop(name, None)


class Processes:
    """Executors of one process each, which have one batch at a time.

    When a process of a larger ProcessPoolExecutor dies, all that was given to the pool is lost, and nobody knows of
    which task it died. Here one batch is lost, it is the one to blame, and the other processes go on.
    """

    exact = True
    seconds_per_batch = SECONDS_PER_BATCH

    def __init__(self, count: int, function: Callable[[Any], Any] | None = None):
        self.workers = self.most_in_flight = count
        self._function = function
        self._idle = [_Process(function) for _ in range(count)]
        self._busy: dict[Future[Answer], _Process] = {}
        self._failed_beginnings = 0

    def submit(self, function: Callable[[Any], Any], tasks: list[Any]) -> Future[Answer]:
        process = self._idle.pop(0) if self._idle else _Process(self._function)
        try:
            future = process.executor.submit(evaluate, function, tasks, None)
        except BrokenProcessPool:  # it died while it was idle
            process.end(at_once=True)
            process = _Process(self._function)
            future = process.executor.submit(evaluate, function, tasks, None)
        self._busy[future] = process
        return future

    def answer(self, future: Future[Answer]) -> Answer | Lost:
        process = self._busy.pop(future)
        error = future.exception()
        if not isinstance(error, BrokenProcessPool):
            self._idle.append(process)
            return future.result()
        process.end(at_once=True)
        process.process.join(10)
        code = process.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if process.began.exception() is not None:
            self._failed_beginnings += 1
            if self._failed_beginnings >= MOST_DEATHS:
                raise UserError(
                    f"workers: a worker process ended while it began, {MOST_DEATHS} times ({how}); expected it to "
                    'start; a script of your own must do its work under `if __name__ == "__main__":`'
                ) from None
            return Lost(0, how)
        self._failed_beginnings = 0
        return Lost(1, how)

    def check(self) -> None:
        pass

    def abandon(self) -> None:
        while self._busy:
            self._busy.popitem()[1].end(at_once=True)

    def close(self) -> None:
        self.abandon()
        while self._idle:
            self._idle.pop().end(at_once=False)
