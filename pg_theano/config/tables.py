"""Knobs as rows, for help texts, the documentation and error messages."""

import difflib
import types
import typing
from typing import Annotated, Any, Literal

from pydantic import BaseModel

from pg_theano.config.kinds import Schedule, Section
from pg_theano.config.knobs import Config
from pg_theano.config.rl_zoo.words import EQUIVALENT
from pg_theano.config.rules import shown
from pg_theano.types import UserError


def knobs(model: type[BaseModel] = Config, prefix: str = "") -> list[tuple[str, str, str, str]]:
    """Rows (key, type, default, meaning) of every knob, for help texts and the documentation."""
    rows = []
    for name, field in model.model_fields.items():
        inner = section(field.annotation)
        if inner is Schedule:
            value = field.get_default(call_default_factory=True)
            rows.append((f"{prefix}{name}", "schedule", _shown_schedule(value), field.description or ""))
        elif inner is not None:
            rows += knobs(inner, f"{prefix}{name}.")
        else:
            default = "" if field.is_required() else shown(field.get_default(call_default_factory=True))
            rows.append((f"{prefix}{name}", type_name(field.annotation), default, field.description or ""))
    return rows


def table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    """Rows of `knobs` as the lines of a help text."""
    width = max(len(key) + len(default) for key, _, default, _ in rows) + 3
    return [
        f"  {f'{key} = {default}':<{width}}  {meaning}{f' ({kind})' if '|' in kind else ''}"
        for key, kind, default, meaning in rows
    ]


def help_text() -> str:
    """The table of knobs as every command's `-h` prints it."""
    lines = ["knobs (YAML keys, or a.b=value on the command line) and their defaults:", *table(knobs())]
    lines += ["", "a schedule is {kind, initial, ...}:"]
    lines += table(knobs(Schedule))
    return "\n".join(lines)


def known_keys(model: type[BaseModel] = Config) -> list[str]:
    """Every key that can be set, parts of schedules included."""
    rows = knobs(model)
    parts = [f"{key}.{part}" for key, kind, *_ in rows if kind == "schedule" for part in Schedule.model_fields]
    return [key for key, *_ in rows] + parts


def sections_of(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        inner = section(field.annotation)
        if inner is not None:
            names += [f"{prefix}{name}", *sections_of(inner, f"{prefix}{name}.")]
    return [name for name in names if not name.startswith("schedules.") or name.count(".") <= 1]


ELSEWHERE = {
    "total_timesteps": "agent.learn(env_steps=...)",
    "policy_kwargs": 'hidden=[64, 64], activation="tanh"',
    "tensorboard_log": 'agent.learn(callbacks="tensorboard")',
    "verbose": "display=pg_theano.training.display.Quiet, which says nothing",
    "device": "leaving it out; it learns on the CPU",
}
"""What is no knob here, though an argument of Stable-Baselines3's models; and what to try."""


def knob_named(name: str) -> str:
    """The path of a knob by its own name, where only one has it, or by its path. Errors: `UserError`."""
    known = [*known_keys(), *sections_of()]
    leaves = [key for key, *_ in knobs() if key.rpartition(".")[2] == name]
    if name in known or len(leaves) == 1:
        return name if name in known else leaves[0]
    if leaves:
        raise UserError.at(name, "several knobs have this name", " or ".join(leaves), f"**{{{leaves[0]!r}: ...}}")
    if name in ELSEWHERE:
        raise UserError.at(name, "is no knob", advice=ELSEWHERE[name])
    theirs = {word: key for key, word in EQUIVALENT}
    near = theirs.get(name) or next(iter(difflib.get_close_matches(name, known, 1, 0.5)), None)
    hint = f"did you mean {near.rpartition('.')[2]} ({near})?" if near else "see python -m pg_theano.train -h"
    raise UserError.at(name, "unknown knob", hint=hint)


def in_sections(name: str, value: Any) -> dict[str, Any]:
    """A knob, by `knob_named`, and its value as sections of plain data. A number for a schedule is a constant one."""
    path, value = knob_named(name), value.tolist() if hasattr(value, "tolist") else value  # of NumPy
    if path.startswith("schedules.") and path.count(".") == 1 and isinstance(value, int | float):
        value = dict.fromkeys(Schedule.model_fields) | {"kind": "constant", "initial": float(value)}
    for part in reversed(path.split(".")):
        value = {part: value}
    return dict(value)


def section(annotation: Any) -> type[Section] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def type_name(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return "|".join(map(str, typing.get_args(annotation)))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(part) for part in typing.get_args(annotation) if part is not type(None))
    if origin is Annotated:
        return type_name(typing.get_args(annotation)[0])
    return getattr(annotation, "__name__", str(annotation))


def _shown_schedule(schedule: Schedule) -> str:
    given = schedule.model_dump(exclude_none=True, exclude_defaults=False)
    words = [f"{key}: {value:g}" if key != "kind" else f"kind: {value}" for key, value in given.items()]
    return f"{{{', '.join(words)}}}"
