"""Files that say themselves whether they are whole: the seal is the SHA-256 of all the rest of a file.

    run.json, result.json, checkpoints, ...    JSON with a key `seal`
    config.yaml, search.yaml                   YAML with a last line `# sha256 ...`
    compiled programs and machine code         a first line that seals itself and the bytes after it

A bit that flipped on the disk, or a cut, is an error where the file is read, and never another learning rate.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pg_theano.system import opening, writing, yaml_lines
from pg_theano.types import UserError

MARK = b"# sha256 "


def of(*parts: Mapping[str, Any] | bytes) -> str:
    """The seal of a file's parts, one a line; a mapping counts as JSON with sorted keys."""
    digest = hashlib.sha256()
    for number, part in enumerate(parts):
        digest.update(b"\n" * (number > 0))
        digest.update(json.dumps(part, sort_keys=True).encode() if isinstance(part, Mapping) else part)
    return digest.hexdigest()


def sealed(value: Mapping[str, Any], *, sort_keys: bool = False) -> bytes:
    """Plain data as JSON with its seal."""
    return json.dumps({**value, "seal": of(value)}, indent=1, sort_keys=sort_keys).encode()


def agrees(found: dict[str, Any], *rest: bytes, key: str = "seal") -> bool:
    """Take the seal out of parsed JSON; whether it is that of the other entries and of the bytes after them."""
    return found.pop(key, None) == of(found, *rest)


def write_json(path: Path, value: Mapping[str, Any], *, durable: bool = True) -> None:
    writing.write_atomically(path, sealed(json.loads(json.dumps(value))) + b"\n", durable=durable)


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote. Errors: `OSError`; `UserError` where it is damaged."""
    try:
        found = opening.parsed(opening.read(path, opening.MOST_JSON))
    except ValueError:
        raise UserError.at(path, "damaged: not JSON") from None
    if not isinstance(found, dict):
        raise UserError.at(path, "damaged: expected an object")
    # A file without a seal comes from an older version: a cut leaves no JSON, a flipped bit in its key the seal itself.
    older = found.get("seal") is None and not any(re.fullmatch("[0-9a-f]{64}", str(one)) for one in found.values())
    if not agrees(found) and not older:
        raise UserError.at(path, "damaged: its checksum does not agree")
    return found


def write_yaml(path: Path, data: Mapping[str, Any]) -> None:
    quick = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # 1 instead of 10 ms, where PyYAML has libyaml
    text = yaml.dump(data, Dumper=quick, sort_keys=False).encode()
    write_text(path, text)


def write_text(path: Path, text: bytes) -> None:
    """YAML that is written already, with the line that says whether it is whole."""
    writing.write_atomically(path, text + MARK + of(text).encode() + b"\n")


def yaml_is_whole(path: Path) -> bool:
    """Whether a file is as `write_yaml` left it."""
    content = opening.read(path, yaml_lines.MAX_BYTES)
    text, mark, stated = content.rpartition(MARK)
    return bool(mark) and stated == of(text).encode() + b"\n"
