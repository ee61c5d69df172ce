"""metrics.jsonl while it is written."""

import errno
import hashlib
import os

import pytest

from pg_theano.runs import records
from pg_theano.types import UserError

LINE = b"x" * 999 + b"\n"


def test_what_was_added_is_in_the_file_and_its_hash_is_that_of_the_file(tmp_path):
    """Over several blocks, cuts behind and before what is written. Caught, when planted: a hash that goes on after a
    cut; what waits kept at a cut."""
    path = tmp_path / "metrics.jsonl"
    log = records.Records(path)
    for number in range(30):
        log.add(b"%03d" % number + LINE)
    size = log.size()
    assert log.flush() == (30 * 1003, hashlib.sha256(path.read_bytes()).hexdigest())
    log.add(b"waits\n")
    log.cut(size)
    assert log.flush()[0] == size == path.stat().st_size
    log.cut(2 * 1003)
    log.add(b"last\n")
    assert log.flush() == (2 * 1003 + 5, hashlib.sha256(path.read_bytes()).hexdigest())
    assert path.read_bytes() == b"000" + LINE + b"001" + LINE + b"last\n"
    log.close()


def test_going_on_cuts_off_what_came_after(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"one\ntwo\nthr")
    log = records.Records(path, 4)
    log.add(b"2\n")
    assert log.flush()[0] == 6
    log.close()
    assert path.read_bytes() == b"one\n2\n"


def test_a_full_disk_is_named_and_loses_no_record_and_doubles_none(tmp_path, monkeypatch):
    """Half a block fits, then nothing, then there is room again. Caught, when planted: the whole block written again
    after a half; what waits forgotten."""
    path, original, room = tmp_path / "metrics.jsonl", os.pwrite, [500]

    def pwrite(descriptor, content, offset):
        if room and not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = original(descriptor, bytes(content[: room.pop() if room else None]), offset)
        if count == 500:
            room.append(0)
        return count

    monkeypatch.setattr(os, "pwrite", pwrite)
    log = records.Records(path)
    log.add(LINE)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left") as error:
            log.flush()
        assert error.value.filename == str(path)
    room.clear()
    log.add(b"more\n")
    log.flush()
    log.close()
    assert path.read_bytes() == LINE + b"more\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1}\n{"x":\n{"a": 2}\n', r"metrics.jsonl:2 is not JSON"),
        (b'{"a": 1}\n3\n', r"metrics.jsonl: got a line that is no record"),
        (b"null\n", r"metrics.jsonl: got a line that is no record"),
        (b'\xff\xfe\x00\n{"a": 1}\n', r"metrics.jsonl:1 is not JSON"),
    ],
)
def test_a_line_that_is_no_record_is_named(content, said, tmp_path):
    """Caught, when planted: Python's own errors let through."""
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=said):
        records.read(tmp_path / "metrics.jsonl")


def test_half_a_last_line_is_none(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"a": 1}\n\n{"a": ')
    assert records.read(tmp_path / "metrics.jsonl") == [{"a": 1}]
