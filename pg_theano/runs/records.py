"""metrics.jsonl: read back; and as it is written, whole records, of which a checkpoint states how many bytes count."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pg_theano.system import machine, opening
from pg_theano.types import UserError

MOST_OF_A_LINE = 1_000_000  # characters
MOST_FIELDS = 200
"""Of all records of one file: each is a column in memory, or of a table."""
BLOCK = 8192
"""Bytes that wait in memory at most."""


def read(path: Path) -> list[dict[str, Any]]:
    """All records of a metrics.jsonl, as `blocks` has them. Errors: `OSError` where there is none."""
    return [record for block in blocks(path) for record in block]


def lines(path: Path) -> Iterator[str]:
    with os.fdopen(opening.opened(path), encoding="utf-8", errors="replace") as file:
        while line := file.readline(MOST_OF_A_LINE + 1):
            if len(line) > MOST_OF_A_LINE:
                raise UserError.at(path, f"a line of more than {MOST_OF_A_LINE:,} characters", "records")
            yield line


def blocks(path: Path, size: int = 2_000) -> Iterator[list[dict]]:
    """Parsed records, `size` at a time: a long run never stands in memory as Python objects.

    Half a last line, of a process that was killed, is none. Errors: `UserError` for any other that is no record.
    """
    start, found = 0, lines(path)
    names: set[str] = set()
    while block := list(islice(found, size)):
        try:
            records = _parsed(f"[{','.join(filter(str.strip, block))}]")
        except (ValueError, RecursionError):
            bad = next(i for i, line in enumerate(block) if line.strip() and not is_json(line))
            if any(line.strip() for line in block[bad + 1 :]) or next(found, None) is not None:
                raise UserError.at(
                    "", f"{path}:{start + bad + 1} is not JSON", hint="remove this line and try again"
                ) from None
            records = [json.loads(line) for line in block[:bad] if line.strip()]
        if not all(isinstance(record, dict) for record in records):
            raise UserError.at(path, "got a line that is no record", 'objects such as {"update": 0}')
        names.update(name for fields in {tuple(record) for record in records} for name in fields)
        if len(names) > MOST_FIELDS:
            raise UserError.at(path, f"records of {len(names):,} different fields", f"at most {MOST_FIELDS}")
        if records:
            yield records
        start += len(block)


def _parsed(text: str) -> Any:
    found = json.loads(text)
    if opening.has_halves(text):
        json.dumps(found, ensure_ascii=False).encode()  # a UnicodeError is a ValueError
    return found


def is_json(line: str) -> bool:
    try:
        _parsed(line)
    except (ValueError, RecursionError):
        return False
    return True


class Records:
    """An open metrics.jsonl. A write that fails loses nothing: what waits is written by the next one, or cut off."""

    def __init__(self, path: Path, size: int = 0):
        """Go on after the first `size` bytes; what stands behind them is cut off."""
        self._path = path
        self._file = opening.opened(path, os.O_RDWR | os.O_CREAT)
        self._written, self._waiting = size, bytearray()
        self._hash, self._hashed = hashlib.sha256(), 0
        with self._named():
            os.ftruncate(self._file, size)

    def add(self, line: bytes) -> None:
        self._waiting += line
        if len(self._waiting) >= BLOCK:
            self._write()

    def size(self) -> int:
        return self._written + len(self._waiting)

    def cut(self, size: int) -> None:
        """Forget what was added after the first `size` bytes."""
        if size >= self._written:
            del self._waiting[size - self._written :]
            return
        self._waiting.clear()
        with self._named():
            os.ftruncate(self._file, size)
        self._written = size
        if size < self._hashed:
            self._hash, self._hashed = hashlib.sha256(), 0

    def flush(self) -> tuple[int, str]:
        """Everything is on the disk; returns the size of the file and its SHA-256."""
        self._write()
        with self._named():
            os.fsync(self._file)
        return self._written, self.sha256()

    def sha256(self) -> str:
        """Of what is in the file; each byte is read once, soon after it was written."""
        while self._hashed < self._written:
            block = machine.pread(self._file, min(self._written - self._hashed, 2**20), self._hashed)
            if not block:
                raise OSError(None, "cut short by somebody else", str(self._path))
            self._hash.update(block)
            self._hashed += len(block)
        return self._hash.hexdigest()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # nobody counts on what came after the last flush
            self._write()
        os.close(self._file)

    def _write(self) -> None:
        with self._named():
            while self._waiting:
                count = machine.pwrite(self._file, self._waiting, self._written)
                del self._waiting[:count]
                self._written += count

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """The system does not say in which file it failed."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None
