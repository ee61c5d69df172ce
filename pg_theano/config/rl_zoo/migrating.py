"""An entry of rl-zoo's as a config of ours, with a comment for each knob."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.config import reading, tables
from pg_theano.config.rl_zoo import entries, words
from pg_theano.config.rl_zoo.drafts import Draft, Knob, Remark
from pg_theano.config.rl_zoo.equivalents import translate
from pg_theano.config.rules import shown
from pg_theano.system import yaml_lines
from pg_theano.system.console import printable
from pg_theano.types import UserError

SECTIONS = [*reading.Config.model_fields]


class Migrated(NamedTuple):
    """An entry of rl-zoo as a config here."""

    algorithm: str
    entry: entries.Entry
    data: dict[str, Any]  # the config, as nested dicts
    text: str  # the same as YAML, with a comment a knob
    remarks: list[Remark]


def sb3_zoo(path: str | Path, environment: str, *, algorithm: str | None = None, out: str | None = None) -> Migrated:
    """The entry of `environment` in a file of rl-zoo's, as a config of this project's.

    What the entry says is written out, even where it is the default here: each of its lines is found again, and a
    default that changes here changes no config that was migrated. What it leaves to Stable-Baselines3 is written where
    the default there is not ours. `algorithm` is told by the file's name, where it is None; `out` is only named in it.
    Errors: `UserError`: an algorithm, an entry or a policy without equivalent; a value that cannot be.
    """
    algorithm = _algorithm(Path(path), algorithm)
    entry = entries.read_entry(path, environment)
    draft = Draft(algorithm, entry)
    translate(draft, environment)
    data, lines = _data(draft)
    reading.from_dict(data, lines, entry.file)  # which says what cannot be, and on which line
    text = _yaml(draft, data, environment, out)
    if yaml_lines.read_text(text, "the config").data != data:
        raise UserError(f"{entry.file}:{entry.line}: cannot be written as YAML; expected plain names; try to rename it")
    return Migrated(algorithm, entry, data, text, draft.remarks)


def _algorithm(path: Path, asked: str | None) -> str:
    name = (asked or path.stem).lower()
    known = ", ".join(words.DEFAULTS)
    if name in words.DEFAULTS:
        return name
    place = "--algorithm" if asked else str(path)
    if name in words.BEYOND:
        raise UserError(f"{place}: {name} has no equivalent here; expected {known}; {words.BEYOND[name]}")
    if not asked and not path.is_file():
        entries.read_entry(path, "")  # which says what is there instead
    where = "" if asked else " by the file's name"
    raise UserError(f"{place}: got the algorithm {name}{where}; expected {known}; try --algorithm ppo")


def _data(draft: Draft) -> tuple[dict[str, Any], dict[tuple, int]]:
    """(what is written, the line of each in the entry's file): see `sb3_zoo`."""
    ours = reading.to_dict(reading.from_dict({"algorithm": {"name": draft.algorithm}}))
    data: dict[str, Any] = {"environment": {}, "policy": {}, "algorithm": {"name": draft.algorithm}}
    lines: dict[tuple, int] = {}
    order = [key for key, *_ in tables.knobs()]
    for knob in sorted(draft.knobs, key=order.index):
        value, _, line, given = draft.knobs[knob]
        path = tuple(knob.split("."))
        here: Any = ours
        for part in path:
            here = here[part]
        if path[0] == "schedules":  # of one that is constant, `initial` alone is written
            here = {key: part for key, part in here.items() if part not in (None, "constant")}
        if not given and value == here:
            continue
        if len(path) == 1:
            data |= {knob: value} if value is not None else {}
        else:
            data.setdefault(path[0], {})[path[1]] = value
        if line is not None:
            lines[path] = line
    unused = {section for section in ("environment", "policy") if not data[section]}
    return {section: data[section] for section in SECTIONS if section in data and section not in unused}, lines


def _yaml(draft: Draft, data: dict[str, Any], environment: str, out: str | None) -> str:
    """The config as a file: what it is, what is not the same, and a comment a knob."""
    entry = draft.entry
    title = f"{draft.algorithm.upper()} on {environment}, from {entry.place('')} of rl-zoo, the entry {entry.name}."
    head = [title, "", f"  python -m pg_theano.train {out or 'CONFIG.yaml'}"]
    if draft.remarks:
        head += ["", "No equivalent, or not quite the same:", *(f"- {_line_of(remark)}" for remark in draft.remarks)]
    lines = [printable(f"# {line}").rstrip() for line in head]
    beside = out is None or (Path(out).parent / "schema.json").is_file()  # else an editor would look for it in vain
    lines += ["# yaml-language-server: $schema=schema.json", ""] if beside else [""]
    for section, inner in data.items():
        if not isinstance(inner, dict):
            lines.append(_with_comment(f"{section}: {_scalar(inner)}", draft.knobs.get(section)))
            continue
        lines.append(f"{section}:")
        for key, value in inner.items():
            lines.append(_with_comment(f"  {key}: {_flow(value)}", draft.knobs.get(f"{section}.{key}")))
    return "\n".join(lines) + "\n"


def _line_of(remark: Remark) -> str:
    return printable(f"{remark.key}: {remark.said}")


def _with_comment(text: str, knob: Knob | None) -> str:
    return f"{text}  # {printable(knob.source)}" if knob is not None and knob.source else text


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """As every reader of YAML takes it: 1.0e-05, as 1e-05 is text to those of version 1.1."""
    if isinstance(value, float):
        text = repr(value)
        return text.replace("e", ".0e") if re.fullmatch(r"-?\d+e-?\d+", text) else text
    plain = r"[A-Za-z][\w./-]*(:\w[\w./-]*)?"
    if isinstance(value, str) and (value in yaml_lines.CONSTANTS or not re.fullmatch(plain, value, re.ASCII)):
        return json.dumps(value, ensure_ascii=not value.isprintable())
    return value if isinstance(value, str) else shown(value)
