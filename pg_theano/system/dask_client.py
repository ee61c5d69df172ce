"""Dask's client, made to read no pickle of a worker's. The only importer of distributed.

Dask pickles what it sends. Of what comes back, results are read as msgpack alone, and an error only for its words. Its
scheduler is trusted: nothing here holds its own messages back.
"""

from __future__ import annotations

import functools
import pickletools
import threading
import time
from concurrent.futures import Future
from typing import Any

from pg_theano.system.processes import Answer
from pg_theano.types import UserError


async def hand_over(theirs: Any, future: Future[Answer]) -> None:
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


def check_installed(address: str) -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise UserError(
            f"cluster {address}: Dask is not installed; expected the extra cluster; "
            'try pip install "pg_theano[cluster]"'
        ) from None


class _Interrupted(OSError):
    """The scheduler said something else between our registration and its answer."""


@functools.cache
def client_class() -> Any:
    from distributed import Client

    class Patient(Client):
        """Dask's, but for pickles of workers', and for an assertion that the scheduler's first message comes alone.

        It does not where another client of the same cluster cancels a task within those 2 ms, since the scheduler
        tells every client of that: a search that ends could end the start of the next. An OSError, unlike an
        AssertionError, makes Dask close what it has begun, or try again where it connects anew.
        """

        async def _ensure_connected(self, timeout: float | None = None) -> None:
            try:
                await super()._ensure_connected(timeout)
            except AssertionError:
                raise _Interrupted("the scheduler was interrupted as it answered") from None
            comm: Any = self.scheduler_comm
            comm.comm.deserialize = False  # of what comes without being asked for: errors of workers

        def _handle_task_erred(self, key: Any = None, exception: Any = None, traceback: Any = None) -> None:
            super()._handle_task_erred(key=key, exception=error_of(exception), traceback=None)

    return Patient


class Unread(Exception):
    """An error of a worker's that Dask sent, of which only the words were read."""


class Killed(Unread):
    """Dask's KilledWorker: several workers died that a task was assigned to."""


def error_of(sent: Any) -> Exception:
    """The error that a worker pickled, as the words in it: `genops` lists what a pickle says and runs none of it."""
    words: list[str] = []
    try:
        for frame in [sent] if isinstance(sent, bytes) else sent.frames:
            words += [found for _, found, _ in pickletools.genops(bytes(frame)) if isinstance(found, str)]
    except Exception:  # no pickle, or a compressed one
        words = ["", "an error that cannot be read"]
    kind = Killed if words[:2] == ["distributed.scheduler", "KilledWorker"] else Unread
    return kind(": ".join(words[1:12])[:300])


def connected(address: str, timeout: float) -> Any:
    """A client. In a thread, because Dask waits for ever for somebody who takes the call and says nothing."""
    found: list[Any] = []
    deadline = time.monotonic() + timeout

    def connect() -> None:
        while not found:
            try:
                found.append(client_class()(address, timeout=timeout, set_as_default=False, deserializers=["msgpack"]))
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
