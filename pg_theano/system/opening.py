"""Files that a stranger may have written, opened so that they cannot hang, fill the memory or lead out of their folder.

    content = read(path, MOST_JSON)         # a regular file, no link, not longer than that
    value = parsed(content)                 # JSON that is neither deep nor made of numbers of a million digits
    arrays = arrays_of(content)             # an npz that holds plain numbers, each as large as it says

Nothing here runs what it reads. A size that a file states is compared with the bytes that are there before memory is
taken for it. See docs/security.md for what is trusted and what is not.
"""

import io
import json
import math
import os
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.system import machine
from pg_theano.types import Array, UserError

MOST_JSON = 16_000_000
"""Bytes of a JSON file, or of the manifest of an artifact. 16 MB of `[[],[],...` unfold to 0.4 GB."""
MOST_DEPTH = 64
"""Levels of lists and objects in JSON."""
MOST_ARRAYS = 1_000
"""Arrays in one checkpoint."""
MOST_BYTES = 8_000_000_000
"""Bytes of one checkpoint or artifact, and never over half of the machine's memory; $PG_THEANO_MOST_BYTES sets it."""

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
"""The name of an array, such as `optimizer/count`: a key of a dict. Even as a path it could not leave its folder."""
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character: no file, screen or name of a file can hold it."""
HEADER = re.compile(
    rb"\{'descr': '([<>|=][biuf][0-9]{1,2})', 'fortran_order': (False|True), 'shape': \(([0-9, ]{0,200})\), \} *\n"
)
"""The header of an array of plain numbers as NumPy writes it. Nothing in it needs to be evaluated."""


def most_bytes() -> int:
    """The largest file that is read whole."""
    own = os.environ.get("PG_THEANO_MOST_BYTES", "")
    if own.isdecimal() and len(own) < 20:
        return int(own)
    return min(MOST_BYTES, (machine.memory() or 2 * MOST_BYTES) // 2)


def opened(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """The descriptor of a regular file that is no link and, where it is opened to be written, has no other name.

    Errors: `OSError`; `UserError` for a link, a folder, a pipe or a device, none of which is waited for.
    """
    try:
        descriptor = machine.opened(path, flags, mode)
    except OSError:
        if os.path.islink(path):
            raise UserError.at(path, "is a link", "a file of its own: copy what it points to here") from None
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise UserError.at(path, "is not a regular file")
    if flags & (os.O_WRONLY | os.O_RDWR) and found.st_nlink != 1:
        os.close(descriptor)
        raise UserError.at(path, f"has {found.st_nlink} names (hard links)", "one: it would be written to as well")
    return descriptor


def read(path: Path, most: int, *, mine: bool = False) -> bytes:
    """The content of a regular file. Errors: `OSError`; `UserError`: a link, a pipe, more than `most` bytes; `mine`:
    one that another user may have written."""
    with os.fdopen(opened(path), "rb") as file:
        found = os.fstat(file.fileno())
        size, problem = found.st_size, machine.of_others(found) if mine else None
        if problem:
            raise UserError.at(path, problem)
        if size > most:
            raise UserError.at(path, f"has {size:,} bytes", f"at most {most:,}")
        content = file.read(size + 1)  # so much memory is taken before anything is read
        if len(content) > size:  # it grows
            content += file.read(most - size)
    if len(content) > most:
        raise UserError.at(path, f"grew past {most:,} bytes while it was read")
    return content


def own_file(path: Path) -> Path:
    """The path of a regular file, or of none yet. Errors: `UserError` for a link, a pipe and the like."""
    if path.is_symlink():
        raise UserError.at(path, "is a link", "a file of its own: copy what it points to here")
    if path.exists() and not path.is_file():
        raise UserError.at(path, "is not a regular file")
    return path


def own_folder(folder: Path, above: int = 0) -> Path:
    """The folder itself. Errors: `UserError` where it, or one of so many above it, is a link, behind which files would
    be written, cleared, or read and published."""
    for one in (folder, *folder.parents[:above]):
        if one.is_symlink():
            raise UserError.at(one, "is a link", "a folder of the run's own: copy what it points to here")
    return folder


def parsed(content: bytes | str) -> Any:
    """The value of a JSON text. Errors: `ValueError`, for 4,301 digits, deep nesting, half a character too."""
    try:
        text = content.decode() if isinstance(content, bytes) else content  # by itself, json takes halves in bytes
        value = json.loads(text)
        level, depth = [value] if text.count("[") + text.count("{") > MOST_DEPTH else [], 0
        while containers := [one for one in level if isinstance(one, (dict, list))]:
            level = [inner for one in containers for inner in (one.values() if isinstance(one, dict) else one)]
            depth += 1
            if depth > MOST_DEPTH:
                raise ValueError(f"nested deeper than {MOST_DEPTH} levels")
        if has_halves(text):
            json.dumps(value, ensure_ascii=False).encode()  # a UnicodeError is a ValueError
        return value
    except RecursionError:
        raise ValueError("nested too deeply") from None


def has_halves(text: str) -> bool:
    """Whether a JSON text may hold half a character."""
    return "\\u" in text


def arrays_of(content: bytes) -> dict[str, Array]:
    """The arrays of an npz as `numpy.savez` writes it. Errors: `ValueError` for anything else.

    No member is compressed, and none is larger than the bytes that are there: nothing unfolds.
    """
    if content.count(b"PK\x01\x02") > MOST_ARRAYS:  # of the directory, which would be taken apart as it is opened
        raise ValueError(f"more than {MOST_ARRAYS:,} arrays")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > len(content):
                raise ValueError("its arrays would be larger than the file")
            found: dict[str, Array] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if member.filename == name or not NAME.fullmatch(name):
                    raise ValueError(f"{member.filename[:80]!r} is no name of an array")
                if name in found:
                    raise ValueError(f"two arrays {name!r}")
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                    raise ValueError(f"{name} is compressed")
                found[name] = _array(name, archive.read(member))
            return found
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, LookupError, ArithmeticError) as error:
        raise ValueError(f"no whole npz: {error}") from None
    except Exception as error:  # of zipfile and struct there are more than are documented
        if isinstance(error, ValueError):
            raise
        raise ValueError(f"no whole npz: {type(error).__name__}") from None


def _array(name: str, content: bytes) -> Array:
    """One member: magic, version, length of the header, header, and then exactly the numbers that it claims."""
    version = content[6:8]
    if content[:6] != b"\x93NUMPY" or version not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError(f"{name} is no array of NumPy's")
    width = 2 if version == b"\x01\x00" else 4
    start = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
    header = HEADER.fullmatch(content[8 + width : start]) if start <= 1_000 else None
    if header is None:
        raise ValueError(f"{name}: its header is not that of plain numbers")
    try:
        dtype = np.dtype(header[1].decode())
    except TypeError:
        raise ValueError(f"{name}: there are no numbers {header[1].decode()}") from None
    shape = tuple(int(size) for size in header[3].replace(b" ", b"").split(b",") if size)
    claimed = math.prod(shape) * dtype.itemsize
    if len(shape) > 8 or claimed != len(content) - start:
        raise ValueError(f"{name}: claims {claimed:,} bytes, and has {max(len(content) - start, 0):,}")
    if not claimed:
        if max(shape, default=0) > MOST_BYTES:
            raise ValueError(f"{name}: claims a side of {max(shape):,}")
        return np.zeros(shape, dtype)
    order: Any = "F" if header[2] == b"True" else "C"
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order=order).copy(order)


def others_may_write(folder: Path) -> str | None:
    """Why another user may have written into a folder, as ssh asks of keys; None if nobody can, or it is missing."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return machine.of_others(found)
