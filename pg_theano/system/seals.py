"""Files that say themselves whether they are whole: JSON with a key `seal`, YAML with a last line `# sha256 ...`.

The seal is the SHA-256 of all the rest, and is written in the same rename. A bit that flipped on the disk, or a cut,
is an error where the file is read, and never another learning rate.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pg_theano.runs import checkpoints
from pg_theano.system import opening, yaml_lines
from pg_theano.types import UserError

MARK = b"# sha256 "


def write_json(path: Path, value: Mapping[str, Any], *, durable: bool = True) -> None:
    plain = json.loads(json.dumps(value))
    checkpoints.write_atomically(
        path, json.dumps(plain | {"seal": _seal(plain)}, indent=1).encode() + b"\n", durable=durable
    )


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote. Errors: `OSError`; `UserError` where it is damaged."""
    try:
        found = opening.parsed(opening.read(path, opening.MOST_JSON))
    except ValueError:
        raise UserError(f"{path}: damaged: not JSON") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: damaged: expected an object")
    # A file without a seal comes from an older version: a cut leaves no JSON, a flipped bit in its key the seal itself.
    stated = found.pop("seal", None)
    lost = stated is None and any(re.fullmatch("[0-9a-f]{64}", str(value)) for value in found.values())
    if lost or stated not in (None, _seal(found)):
        raise UserError(f"{path}: damaged: its checksum does not agree")
    return found


def _seal(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_yaml(path: Path, data: Mapping[str, Any]) -> None:
    quick = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # 1 instead of 10 ms, where PyYAML has libyaml
    text = yaml.dump(data, Dumper=quick, sort_keys=False).encode()
    write_text(path, text)


def write_text(path: Path, text: bytes) -> None:
    """YAML that is written already, with the line that says whether it is whole."""
    checkpoints.write_atomically(path, text + MARK + hashlib.sha256(text).hexdigest().encode() + b"\n")


def yaml_is_whole(path: Path) -> bool:
    """Whether a file is as `write_yaml` left it."""
    content = opening.read(path, yaml_lines.MAX_BYTES)
    text, mark, stated = content.rpartition(MARK)
    return bool(mark) and stated == hashlib.sha256(text).hexdigest().encode() + b"\n"
