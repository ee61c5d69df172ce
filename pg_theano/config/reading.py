"""Configs read: a file, what lies over it, and what is wrong with it. The knobs themselves stand in sections.py.

    config = read_config("configs/cartpole.yaml", ["algorithm.discount=0.98"], seed=3)

Unknown keys, wrong types and numbers out of range are a `UserError` that names file, line and key.
"""

import contextlib
import os
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ValidationError

from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.errors import explain, where
from pg_theano.config.kinds import Section
from pg_theano.config.knobs import Config
from pg_theano.config.tables import section, type_name
from pg_theano.system import importing, yaml_lines
from pg_theano.types import UserError

CLUSTER = "PG_THEANO_CLUSTER"
STORAGE = ("search", "storage")
ADDRESSES = (("distribute", "cluster"), ("search", "cluster"), STORAGE)


def with_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """The knobs of a file over the defaults of the algorithm that it names."""
    algorithm = data.get("algorithm")
    name = algorithm.get("name") if isinstance(algorithm, dict) else None
    defaults = ALGORITHMS[name].defaults if isinstance(name, str) and name in ALGORITHMS else {}
    return laid_over(_copied(defaults), data)


def laid_over(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(under.get(key), dict)
        under[key] = laid_over(under[key], value) if both else value
    return under


def read_config(
    path: str | os.PathLike[str] | None = None,
    overrides: Iterable[str] = (),
    seed: int | None = None,
    *,
    of_a_run: bool = False,
) -> Config:
    """The config of a file (or the defaults), with `a.b=value` overrides in turn and a seed on top. `of_a_run`: the
    file is one that a run wrote."""
    document = read_data(path, overrides, seed)
    data = as_then(document.data) if of_a_run else document.data
    found = from_dict(data, document.lines, document.name)
    check_addresses(document)
    return found


def as_then(data: dict[str, Any]) -> dict[str, Any]:
    """What a run wrote, with what a run of before there were masks did not say: it learned without them."""
    return laid_over({"policy": {"action_mask": "none"}}, data)


def read_data(
    path: str | os.PathLike[str] | None = None, overrides: Iterable[str] = (), seed: int | None = None
) -> yaml_lines.Document:
    """What the file and the overrides say, as plain data that nobody has checked yet."""
    document = yaml_lines.Document({}, {}, "defaults") if path is None else yaml_lines.read_file(path)
    document = _laid_over(document.data, document.lines, document.name, overrides, seed)
    if path is not None and "name" not in document.data:
        document.data["name"] = re.sub(r"[^A-Za-z0-9._-]", "-", Path(path).stem).lstrip("._-")[:64] or None
    return document


def check_addresses(document: yaml_lines.Document) -> None:
    """Refuse an address that a file chooses: whoever answers there has code run here. The command line may choose one,
    and a variable of the environment may name one that files may have. Errors: `UserError`."""
    for path in ADDRESSES:
        inner = document.data.get(path[0])
        address = inner.get(path[1]) if isinstance(inner, dict) else None
        of_a_file = document.lines.get(path, document.lines.get(path[:1], 0)) != 0
        trusted = path == STORAGE and not importing.refused()  # a database is read as data
        if address is not None and of_a_file and not trusted and address != os.environ.get(CLUSTER):
            knob, place = ".".join(path), where(path, document.lines, document.name)
            advice = "it without --no-user-code" if path == STORAGE else f"{CLUSTER}={address}"
            raise UserError.at(
                place, f"got {address}", "it on the command line", f"{knob}={address} there, or {advice}"
            )


def _laid_over(
    below: Any, lines_below: Mapping[tuple, int], name: str, overrides: Iterable[str], seed: int | None
) -> yaml_lines.Document:
    """Plain data with `knob=value` words and a seed over it."""
    data, lines = _copied(below), dict(lines_below)
    for override in overrides:
        _override(data, lines, override)
    if seed is not None:
        data["seed"] = _copied(seed)
        lines[("seed",)] = 0
    return yaml_lines.Document(data, lines, name)


def from_dict(data: Mapping[str, Any], lines: Mapping[tuple, int] | None = None, name: str = "config") -> Config:
    """The config of plain nested dicts; what is missing keeps its default."""
    return validated(Config, with_defaults(_copied(data)), lines or {}, name)


Model = typing.TypeVar("Model", bound=Section)


def validated(model: type[Model], data: dict[str, Any], lines: Mapping[tuple, int], name: str) -> Model:
    """Plain nested dicts as this model. Errors: `UserError` with file, line and key of the first thing wrong."""
    try:
        return model.model_validate(_whole_numbers(model, data))
    except ValidationError as error:
        raise UserError(explain(error, lines, name, model)) from None


class Resolved(NamedTuple):
    """A config, and where it comes from."""

    config: Config
    folder: Path  # where the modules that it names are looked for
    lines: Mapping[tuple, int] = {}
    name: str = "config"

    @contextlib.contextmanager
    def placed(self) -> Iterator[None]:
        """An error about a knob that shows only now, with the task at hand, gets the file and the line as well."""
        try:
            yield
        except UserError as error:
            problem = error.problem
            unplaced = problem.where == ".".join(map(str, problem.knob))
            lengths = range(1, len(problem.knob) + 1)
            if not (unplaced and any(problem.knob[:length] in self.lines for length in lengths)):
                raise
            place = where(problem.knob, self.lines, self.name)
            raise UserError(problem._replace(where=place)) from error


def resolved(
    config: Config | Mapping[str, Any] | str | os.PathLike[str] | None,
    overrides: Iterable[str] = (),
    seed: int | None = None,
    folder: Path | None = None,
    own: Mapping[str, Any] | None = None,
) -> Resolved:
    """The config of a file, of plain data, or of nothing: the defaults.

    Overrides and seed lie over any of them, and `own`, the knobs of an environment that was given in Python. Modules
    that it names are looked for beside the file; for all else in `folder`, or the current one.
    """
    overrides = list(overrides)
    if isinstance(config, Config) and not overrides and seed is None and not own:
        return Resolved(config, folder or Path.cwd())
    if isinstance(config, Config | Mapping):
        document = _laid_over(to_dict(config) if isinstance(config, Config) else config, {}, "config", overrides, seed)
    else:
        document = read_data(config, overrides, seed)
        if config is not None:
            folder = Path(config).resolve().parent
    return _resolved(document, folder, own)


def resolved_over(
    document: yaml_lines.Document,
    overrides: Iterable[str] = (),
    seed: int | None = None,
    own: Mapping[str, Any] | None = None,
) -> Resolved:
    """The same, of plain data that was read from a file."""
    return _resolved(_laid_over(*document, overrides, seed), None, own)


def _resolved(document: yaml_lines.Document, folder: Path | None, own: Mapping[str, Any] | None) -> Resolved:
    if own and isinstance(document.data.setdefault("environment", {}), dict):
        document.data["environment"] |= own
    found = from_dict(document.data, document.lines, document.name)
    check_addresses(document)
    return Resolved(found, folder or Path.cwd(), document.lines, document.name)


YOUNGER = (("algorithm", "target_rate"),)
"""Knobs that came after runs were kept by the hash of their config: null is not written, so that those are found."""


def to_dict(config: Config) -> dict[str, Any]:
    plain = config.model_dump(mode="json")
    for part, key in YOUNGER:
        if plain[part][key] is None:
            del plain[part][key]
    return plain


# -- reading


def _copied(value: Any) -> Any:
    """A copy of plain data, NumPy's numbers and arrays as Python's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def knob_of(override: str) -> tuple[str, Any]:
    """(the knob's path, its value) of a word `a.b=value`."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        what = "knob before `=`" if equals else "`=`"
        raise UserError(f"{override}: got no {what}; expected knob=value, such as algorithm.discount=0.98")
    if key.count(".") >= yaml_lines.MAX_DEPTH:
        parts = key.count(".") + 1
        raise UserError(f"{override:.60}...: got {parts:,} parts; expected a knob, such as algorithm.discount=0.98")
    return key.strip(), yaml_lines.read_value(text, override)


def _override(data: dict[str, Any], lines: dict[tuple, int], override: str) -> None:
    key, value = knob_of(override)
    path, inner = tuple(key.split(".")), data
    for part in path[:-1]:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            raise UserError(f"{override}: {part} is not a section; nothing can be set inside it")
    inner[path[-1]] = value
    lines[path] = 0  # line 0: the command line
    for length in range(1, len(path)):
        lines.setdefault(path[:length], 0)


def _whole_numbers(model: type[BaseModel], data: Any) -> Any:
    """1e6 for a count, and 1 for a real number, are what the writer meant; 1.5 for a count is left to fail."""
    if not isinstance(data, dict):
        return data
    for key, value in data.items():
        field = model.model_fields.get(key)
        if field is None:
            continue
        inner = section(field.annotation)
        if inner is not None:
            data[key] = _whole_numbers(inner, value)
        elif isinstance(value, float) and value.is_integer() and "int" in type_name(field.annotation):
            data[key] = int(value)
    return data
