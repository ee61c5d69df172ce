"""The journal of a search: Optuna's file of one operation a line, mended under its lock before anything is appended.

    study.journal         a line of JSON for each operation
    study.journal.lock    a link that exists while somebody appends; ours points at `lock`, the run folder's, which
                          says whose it is; Optuna's own points at the journal and says nothing
    study.journal.cut     what was cut off as damaged, so that nothing is lost

A process that is killed while it appends leaves half a line. Optuna appends to it, and from then on cannot read the
file. Whatever is cut here was never acknowledged, or is asked again: each beginning of a journal is a state that the
search was in, the next candidates follow from it, and finished trials are read from their folders.
"""

import contextlib
import datetime
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pg_theano.system import locks, machine, opening
from pg_theano.system.writing import write_atomically
from pg_theano.types import UserError

PATIENCE = 10.0
"""Seconds that a lock may stand unchanged, of which nobody is known to be alive: an operation takes milliseconds."""
RUN_LOCK = "lock"
OPERATIONS = range(11)  # optuna.storages.journal: create_study = 0 to discard_trials = 10
TAIL = 1 << 20


def backend_class(file_backend: type) -> Callable[[Path, Callable[[str], None]], Any]:
    """Optuna's file backend, made to mend the file. Its base class is passed in: only storage.py imports Optuna."""

    class Mended(file_backend):  # type: ignore[misc, valid-type]
        def __init__(self, path: Path, say: Callable[[str], None]):
            super().__init__(str(path))
            self.path, self.say = path, say
            with locked(path, say):
                mend(path, say)

        def append_logs(self, logs: Sequence[dict[str, Any]]) -> None:
            append(self.path, logs, self.say)

    return Mended


class Read:
    """The same for one who only reads: whole lines up to the first that is damaged. Takes no lock, writes nothing."""

    def __init__(self, path: Path):
        self.path = path

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        lines = opening.read(self.path, opening.most_bytes()).splitlines(keepends=True)
        yield from map(json.loads, itertools.islice(itertools.takewhile(is_operation, lines), log_number_from, None))

    def append_logs(self, logs: Sequence[dict[str, Any]]) -> None:
        raise UserError(f"{self.path}: got an operation to write; expected to read only")


def append(path: Path, logs: Sequence[dict[str, Any]], say: Callable[[str], None]) -> None:
    """All lines in one write under the lock, on the disk when it returns."""
    with locked(path, say):
        mend_last_line(path, say)  # another process may have been killed since the journal was opened
        try:
            with os.fdopen(opening.opened(path, os.O_WRONLY | os.O_APPEND), "ab") as file:
                file.write(b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # which does not say of what
            raise OSError(error.errno, error.strerror, str(path)) from error


# -- what is in it


def mend(path: Path, say: Callable[[str], None]) -> None:
    """Cut a journal where its first damaged line begins; of a line that was appended to a torn one, keep the line.

    Reads all of it: for the one who opens the journal and holds its lock.
    """
    content = opening.read(path, opening.most_bytes())
    kept: list[bytes] = []
    glued, start = False, 0
    while start < len(content):
        end = content.find(b"\n", start) + 1 or len(content)
        line = content[start:end]
        second = line.rfind(b'{"op_code"')
        if is_operation(line):
            kept.append(line)
        elif second > 0 and is_operation(line[second:]):
            glued = True
            kept.append(line[second:])
            _set_aside(path, line[:second] + b"\n")
            say(f"{path}:{len(kept)}: half a line of a process that was killed stood before it: cut out")
        else:
            break
        start = end
    if start < len(content):
        number, after = len(kept) + 1, content.count(b"\n", end)
        torn = "half a line of a process that was killed" if not content.endswith(b"\n") and not after else "damaged"
        lost = f" with the {after} after it; what was in them is asked again" if after else ""
        say(f"{path}:{number}: {torn}: cut off{lost} (kept in {path.name}.cut)")
        _cut(path, start)
    if glued:
        write_atomically(path, b"".join(kept))


def mend_last_line(path: Path, say: Callable[[str], None]) -> None:
    """Cut off what a process that was killed left of its last line: what follows the last end of a line."""
    with os.fdopen(opening.opened(path), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size == 0 or file.read(1) == b"\n":
            return
        start = size
        while start > 0:
            begin = max(0, start - TAIL)
            file.seek(begin)
            found = file.read(start - begin).rfind(b"\n")
            start = begin + found + 1 if found >= 0 else begin
            if found >= 0:
                break
    _cut(path, start)
    say(f"{path}: half a line of a process that was killed: cut off (kept in {path.name}.cut)")


def is_operation(line: bytes) -> bool:
    """Whether a line is whole and one of Optuna's operations."""
    if not line.endswith(b"\n"):
        return False
    try:
        found = opening.parsed(line)
    except ValueError:
        return False
    return (
        isinstance(found, dict)
        and type(found.get("op_code")) is int
        and found["op_code"] in OPERATIONS
        and isinstance(found.get("worker_id"), str)
    )


def _cut(path: Path, size: int) -> None:
    with os.fdopen(opening.opened(path, os.O_RDWR), "r+b") as file:
        file.seek(size)
        _set_aside(path, file.read())
        file.truncate(size)
        file.flush()
        os.fsync(file.fileno())


def _set_aside(path: Path, content: bytes) -> None:
    aside, flags = Path(f"{path}.cut"), os.O_WRONLY | os.O_APPEND | os.O_CREAT
    with contextlib.suppress(OSError), os.fdopen(opening.opened(aside, flags), "ab") as file:  # or a full disk
        file.write(content)


# -- its lock


def lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


@contextlib.contextmanager
def locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    acquire(path, say)
    try:
        yield
    finally:
        lock_of(path).unlink(missing_ok=True)


def acquire(path: Path, say: Callable[[str], None]) -> None:
    """Make the link; take away one that its holder left behind. Errors: `UserError` that names who does not let go.

    A link of ours is left behind where nobody but this process holds the run folder. Any other is, by Optuna's own
    rule, where it stands unchanged for `PATIENCE` (Optuna: 30 s); but not while a process here has the journal open.
    """
    link, began, seen = lock_of(path), time.monotonic(), None
    while True:
        try:
            machine.sign(link, RUN_LOCK)
            return
        except FileExistsError:
            pass
        except OSError as error:
            raise UserError(
                f"{link}: cannot be made ({error.strerror}); expected a folder that can be written"
            ) from None
        try:
            facts = link.lstat()
            ours = machine.signed(link) == RUN_LOCK
        except FileNotFoundError:
            continue  # let go of meanwhile
        if (facts.st_ino, facts.st_mtime_ns) != seen:
            seen, began = (facts.st_ino, facts.st_mtime_ns), time.monotonic()
        holder = _other_holder(path.parent) if ours else None
        waited = time.monotonic() - began
        if (ours and holder is None) or waited > PATIENCE:
            since = datetime.datetime.fromtimestamp(facts.st_mtime).strftime("%Y-%m-%d %H:%M:%S")
            who = holder or next(iter(_with_open(path)), None)
            if who is not None:
                raise UserError(
                    f"{link}: held by {who} since {since}, longer than {PATIENCE:g} s; expected it to be let go of; "
                    "stop that process, or wait for it"
                )
            if not ours:
                say(f"{link}: left since {since} by a process that is gone: removed after {PATIENCE:g} s")
            with contextlib.suppress(FileNotFoundError):
                link.unlink()
            continue
        time.sleep(0.01)


def _other_holder(folder: Path) -> str | None:
    """Another process that holds the run folder, as it names itself."""
    holder = locks.holder_of(folder)
    return None if holder is None or holder.startswith(f"process {os.getpid()} on ") else holder


def _with_open(path: Path) -> list[str]:
    """Other processes of this machine that have the journal open."""
    found = []
    target = os.path.realpath(path)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) != os.getpid() and any(os.readlink(one) == target for one in (entry / "fd").iterdir()):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").split()
                found.append(f"process {entry.name} ({' '.join(words)[:80]})")
    return found
