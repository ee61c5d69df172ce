"""More than one core, more than one machine: one `map`, in this process, in processes beside it, or on a Dask cluster.

with distribute.opened(workers=4) as workers:                          # or cluster="tcp://host:8786"
    returns = workers.map(play, tasks)                                 # as [play(task) for task in tasks]

The results are those of the loop above, in its order, whoever computed them and however often a worker died meanwhile.
Everything goes through `concurrent.futures.Executor`: that of the standard library, or the one of a Dask client.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from typing import Any, Protocol

from pg_theano.system import importing
from pg_theano.system.processes import MOST_DEATHS, SECONDS_PER_BATCH, Answer, Lost, Processes, evaluate
from pg_theano.system.versions import versions
from pg_theano.types import UserError

SECONDS_A_WORKER = 0.005
"""A batch runs so much longer for every worker of a cluster: a scheduler is busy for about 2 ms with each batch, and
serves a thousand workers when it has twice that for each (docs/scaling.md)."""


class Engine(Protocol):
    """Where batches run."""

    exact: bool  # when a batch is lost, it is certain that its worker died of it, and not of another's
    most_in_flight: int
    workers: int
    seconds_per_batch: float

    def submit(self, function: Callable[[Any], Any], tasks: list[Any]) -> Future[Answer]: ...
    def answer(self, future: Future[Answer]) -> Answer | Lost: ...
    def check(self) -> None: ...  # called about once a second; raises where nothing can be expected any more
    def abandon(self) -> None: ...  # whatever runs; what becomes of it does not matter
    def close(self) -> None: ...


def opened(
    *, workers: int = 1, cluster: str | None = None, timeout: float = 30.0, function: Callable[[Any], Any] | None = None
) -> Workers:
    """Workers to map over; a context manager, which ends them.

    `workers` = 1 is this process itself, more are that many processes. `cluster` is the address of a Dask scheduler,
    and `workers` then does not matter: all that are connected take part, and those that join later. `function` is what
    will be mapped, where it is known by now: processes import its module while this one goes on.

    Errors: `UserError`: workers < 1; Dask is not installed; the cluster does not answer, or has no workers, within
    `timeout` seconds; a worker of it has other versions than this process.
    """
    if cluster is not None:
        return Workers(_Cluster(cluster, timeout))
    if workers < 1:
        raise UserError(f"workers: got {workers}; expected a whole number from 1")
    return Workers(Processes(workers, function) if workers > 1 else None)


class Workers:
    """Whoever evaluates; they live until `close`, so that each compiles a function once and keeps it."""

    def __init__(self, engine: Engine | None):
        self._engine = engine
        self._seconds: dict[Any, float] = {}  # by function: of a task, a running mean

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def count(self) -> int:
        """Workers by now; those of a cluster come and go."""
        return 1 if self._engine is None else self._engine.workers

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()

    def map(
        self,
        function: Callable[[Any], Any],
        tasks: Iterable[Any],
        *,
        seconds_per_task: float | None = None,
        told: Callable[[Any], None] = lambda result: None,
    ) -> list[Any]:
        """`[function(task) for task in tasks]`, in batches of 0.1 seconds or more (many workers: longer).

        `function` stands in a module and depends on its task alone; tasks and results are plain data (numbers, seeds,
        flat arrays, dicts of them) that it does not change. `seconds_per_task` is a first guess at its duration; it
        decides how many tasks travel together and never what comes out. `told` is called with each result, in this
        process and in order, as soon as all before it are there.

        Errors: the function's own exception, that of the lowest index where there are several, as in a loop; then
        tasks after it may or may not have run. `UserError`: a task has killed its worker several times; the cluster is
        gone.
        """
        tasks = list(tasks)
        if self._engine is None:
            results = []
            for task in tasks:
                results.append(function(task))
                told(results[-1])
            return results
        if seconds_per_task is not None:
            self._seconds.setdefault(function, seconds_per_task)
        try:
            return self._mapped(self._engine, function, tasks, told)
        except BaseException:
            self._engine.abandon()
            raise

    def _mapped(
        self, engine: Engine, function: Callable[[Any], Any], tasks: list[Any], told: Callable[[Any], None]
    ) -> list[Any]:
        results: list[Any] = [None] * len(tasks)
        waiting: set[int] = set()  # results that are there before an earlier one is
        number_told = 0
        errors: dict[int, Exception] = {}
        suspects: list[int] = []  # tasks of lost batches: each runs alone now, to find the one that kills
        deaths: Counter[int] = Counter()
        running: dict[Future[Answer], Sequence[int]] = {}
        begun = 0
        checked = time.monotonic()
        while True:
            end = min(errors, default=len(tasks))  # tasks after the first error are of no use
            suspects = sorted(index for index in suspects if index < end)
            alone = bool(suspects) and not engine.exact
            while len(running) < (1 if alone else engine.most_in_flight) and (suspects or begun < end):
                if suspects:
                    batch: Sequence[int] = [suspects.pop(0)]
                else:
                    batch = range(begun, begun + self._batch_size(function, end - begun, engine))
                    begun = batch[-1] + 1
                running[engine.submit(function, [tasks[index] for index in batch])] = batch
            if not running:
                break
            done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            if time.monotonic() > checked + 1.0:
                engine.check()
                checked = time.monotonic()
            for future in done:
                batch = running.pop(future)
                answer = engine.answer(future)
                if isinstance(answer, Lost):
                    suspects += batch
                    if len(batch) == 1 and (engine.exact or alone):
                        deaths[batch[0]] += answer.deaths
                        if deaths[batch[0]] >= MOST_DEATHS:
                            raise UserError(
                                f"task {batch[0]} of {len(tasks)}: its worker died {deaths[batch[0]]} times while it "
                                f"ran ({answer.how}); expected it to end; try it alone with one worker"
                            )
                    continue
                for index, result in zip(batch, answer.results, strict=False):
                    results[index] = result
                    waiting.add(index)
                if answer.error is not None:
                    errors[batch[len(answer.results)]] = answer.error
                elif batch:
                    self._learn(function, answer.seconds / len(batch))
            while number_told in waiting:
                waiting.remove(number_told)
                told(results[number_told])
                number_told += 1
        if errors:
            raise errors[min(errors)]
        return results

    def _batch_size(self, function: Callable[[Any], Any], left: int, engine: Engine) -> int:
        """Tasks of 0.1 seconds together, but no more than each worker's share of what is left; 1 where unknown."""
        seconds = self._seconds.get(function, math.inf)
        wanted = math.ceil(engine.seconds_per_batch / max(seconds, 1e-6))
        return max(1, min(wanted, math.ceil(left / engine.workers)))

    def _learn(self, function: Callable[[Any], Any], seconds: float) -> None:
        """Half of it is the latest batch: the first includes compiling."""
        self._seconds[function] = (self._seconds.get(function, seconds) + seconds) / 2


# -- a cluster


class _Cluster:
    """A Dask cluster, through a client. What a dead worker had, Dask itself gives to another.

    It gives a task up with `KilledWorker` when several workers died that it was assigned to, waiting or running; so
    who killed them is found by running the tasks of such a batch again, one at a time.
    """

    exact = False

    def __init__(self, address: str, timeout: float):
        try:
            import distributed
        except ImportError:
            raise UserError(
                f"cluster {address}: Dask is not installed; expected the extra cluster; "
                'try pip install "pg_theano[cluster]"'
            ) from None
        self._killed = distributed.KilledWorker
        self._address = address
        self._timeout = timeout
        self._versions = versions()
        self._running: dict[Future[Answer], Any] = {}  # and Dask's own future of each
        self._gone_since: float | None = None
        began = time.monotonic()
        self._client = _connected(address, timeout)
        try:
            self._client.wait_for_workers(1, timeout=max(1.0, timeout - (time.monotonic() - began)))
            self._refuse_others()
            self._count()
        except TimeoutError:
            self._client.close()
            raise UserError(
                f"cluster {address}: it answers, but no worker joined it within {timeout:g} seconds; expected one or "
                f"more; start one with: dask worker {address}"
            ) from None
        except OSError as error:
            self._client.close()
            raise UserError(
                f"cluster {address}: the scheduler was there and is gone ({error}); expected it to stay; start it and "
                "its workers again"
            ) from error
        except BaseException:
            self._client.close()
            raise

    def _refuse_others(self) -> None:
        for worker, found in sorted(self._client.run(versions, on_error="return").items()):
            if isinstance(found, OSError):  # it is gone, or comes again: each task compares, too
                continue
            if isinstance(found, Exception):
                raise UserError(f"cluster {self._address}: {self._unreadable(f'worker {worker}', found)}")
            if found != self._versions:
                raise self._refusal(f"worker {worker}", found)

    def _refusal(self, worker: str, found: dict[str, str]) -> UserError:
        ours = self._versions
        names = [name for name in {**ours, **found} if ours.get(name) != found.get(name)]
        theirs, here = (", ".join(f"{n} {v.get(n, 'missing')}" for n in names) for v in (found, ours))
        return UserError(
            f"cluster {self._address}: {worker} has {theirs}; expected what this process has: {here}; "
            "install the same on both"
        )

    def _unreadable(self, worker: str, error: BaseException) -> str:
        return (
            f"{worker} could not take its task ({type(error).__name__}: {error}); expected it to have this pg_theano, "
            "and the module of the function, on its path"
        )

    def _count(self) -> bool:
        """Whether there are any. Each takes one batch at a time; a second waits there, not for the network."""
        found = len(self._client.nthreads())
        self.workers = max(1, found)
        self.most_in_flight = 2 * self.workers
        self.seconds_per_batch = max(SECONDS_PER_BATCH, SECONDS_A_WORKER * self.workers)
        return found > 0

    def submit(self, function: Callable[[Any], Any], tasks: list[Any]) -> Future[Answer]:
        future: Future[Answer] = Future()
        words = (function, tasks, self._versions, importing.consent())
        self._running[future] = self._client.submit(evaluate, *words, pure=False)
        self._client.loop.add_callback(_hand_over, self._running[future], future)
        return future

    def answer(self, future: Future[Answer]) -> Answer | Lost:
        self._running.pop(future, None)
        try:
            answer = future.result()
        except self._killed as error:
            return Lost(error.allowed_failures + 1, "as Dask says: KilledWorker")
        except CancelledError:
            raise UserError(
                f"cluster {self._address}: the scheduler is gone or has dropped the tasks; expected it to stay; start "
                "it and its workers again"
            ) from None
        except Exception as error:  # the function's own ones come inside an answer
            raise UserError(f"cluster {self._address}: {self._unreadable('a worker', error)}") from error
        if answer.refused is not None:  # it joined after the others had been asked
            raise self._refusal("a worker", answer.refused)
        return answer

    def check(self) -> None:
        """Errors: `UserError` when there has been no scheduler, or no worker, for as long as it had to answer."""
        there = False
        if self._client.status == "running":
            with contextlib.suppress(OSError):
                there = self._count()
        now = time.monotonic()
        self._gone_since = None if there else self._gone_since or now
        if self._gone_since is not None and now - self._gone_since > self._timeout:
            raise UserError(
                f"cluster {self._address}: no scheduler or no worker for {self._timeout:g} seconds; expected one or "
                f"more workers; start one with: dask worker {self._address}"
            )

    def abandon(self) -> None:
        while self._running:
            self._running.popitem()[1].cancel()

    def close(self) -> None:
        self.abandon()
        if self._client.status != "running":  # it logs the traceback of its own attempts to connect again
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        self._client.close()


async def _hand_over(theirs: Any, future: Future[Answer]) -> None:
    """Dask's answer, whatever became of its worker since.

    Dask's own executor asks after the worker's answer is here whether it is done, and takes an answer whose worker has
    died in between for an error.
    """
    try:
        answer = await theirs
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(answer)


class _Interrupted(OSError):
    """The scheduler said something else between our registration and its answer."""


@functools.cache
def _client_class() -> Any:
    from distributed import Client

    class Patient(Client):
        """Dask's, but for an assertion that the scheduler's first message comes alone.

        It does not where another client of the same cluster cancels a task within those 2 ms, since the scheduler
        tells every client of that: a search that ends could end the start of the next. An OSError, unlike an
        AssertionError, makes Dask close what it has begun, or try again where it connects anew.
        """

        async def _ensure_connected(self, timeout: float | None = None) -> None:
            try:
                await super()._ensure_connected(timeout)
            except AssertionError:
                raise _Interrupted("the scheduler was interrupted as it answered") from None

    return Patient


def _connected(address: str, timeout: float) -> Any:
    """A client. In a thread, because Dask waits for ever for somebody who takes the call and says nothing."""
    found: list[Any] = []
    deadline = time.monotonic() + timeout

    def connect() -> None:
        while not found:
            try:
                found.append(_client_class()(address, timeout=timeout, set_as_default=False))
            except Exception as error:
                if not isinstance(error, _Interrupted) or time.monotonic() > deadline:
                    found.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout + 1.0)
    outcome = found[0] if found else OSError("it takes the connection and says nothing")
    if isinstance(outcome, OSError):
        raise UserError(
            f"cluster {address}: no answer within {timeout:g} seconds ({outcome}); expected a running scheduler; start "
            "one with: dask scheduler"
        )
    if isinstance(outcome, Exception):
        raise UserError(
            f"cluster: got {address} ({outcome or type(outcome).__name__}); expected a scheduler's address, such as "
            "tcp://host:8786"
        )
    return outcome
