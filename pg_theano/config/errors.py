"""What is wrong with a config, in one line: file:line key: what was got; what was expected; what to try."""

import difflib
import re
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pg_theano.config.kinds import FUNCTION, Schedule, Section
from pg_theano.config.knobs import Schedules
from pg_theano.config.rl_zoo.words import EQUIVALENT
from pg_theano.config.rules import shown
from pg_theano.config.tables import known_keys, section, sections_of, type_name
from pg_theano.types import Problem


def explain(error: ValidationError, lines: Mapping[tuple, int], name: str, model: type[Section]) -> Problem:
    """The first thing wrong: file:line key: what was got; what is expected."""
    errors = error.errors()
    # A misspelt key is the cause where another key is missing.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    path, kind = tuple(first["loc"]), first["type"]
    if kind == "value_error":  # from a validator, which says itself what is wrong
        said = first["ctx"]["error"].args[0]
        problem = said if isinstance(said, Problem) else Problem("", said)
        path += problem.knob
        return problem._replace(where=where(path, lines, name), knob=path)
    place = where(path, lines, name)
    if kind == "extra_forbidden":
        return Problem(place, _unknown(path, model, name), knob=path)
    if kind == "missing":
        return Problem(place, "missing; it has no default", knob=path)
    got = first["input"]
    text = shown(got) if not isinstance(got, (dict, list)) else ("a mapping" if isinstance(got, dict) else "a list")
    return Problem(place, f"got {text}", _expected(first, path, model), _advice(first, path, model), path)


def _unknown(path: tuple, model: type[Section], name: str) -> str:
    """A key that there is not, and what may have been meant."""
    known = known_keys(model) + sections_of(model)
    owner = _model_at(path[:-1], model)
    if owner is not None:  # inside a mapping whose keys are the user's own
        known += [key for part in owner.model_fields if (key := ".".join([*map(str, path[:-1]), part])) not in known]
    wanted = ".".join(map(str, path))
    if path[0] in ("base", "search") and not {"base", "search"} & set(model.model_fields):
        return f"got a search's config; expected a run's; try python -m pg_theano.search {name}"
    if "." in str(path[-1]) and wanted in known:
        nested = f"{wanted.replace('.', ': {')}: ...{'}' * wanted.count('.')}"
        return f"got a dot in a key; expected sections; try {{{nested}}}, or the word {wanted}=..."
    siblings = [key for key in known if key.rpartition(".")[0] == wanted.rpartition(".")[0]]
    near = difflib.get_close_matches(wanted, siblings, 1, 0.5) or difflib.get_close_matches(wanted, known, 1, 0.5)
    leaf = [key for key in known if key.rpartition(".")[2] == str(path[-1])]
    theirs = [key for key, word in EQUIVALENT if word == str(path[-1])]  # of Stable-Baselines3
    guess = next(iter(leaf or theirs or near), None)
    hint = f"did you mean {guess}?" if guess else f"known here: {', '.join(siblings[:12])}"
    return f"unknown knob; {hint}"


def where(path: tuple, lines: Mapping[tuple, int], name: str) -> str:
    key = ".".join(map(str, path))
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return f"{name}:{line} {key}" if line else f"command line {key}"
    return f"{name} {key}" if key else name


def _expected(error: Any, path: tuple, model: type[Section]) -> str:
    limits = error.get("ctx") or {}
    kind = error["type"]
    field = _field(path, model)
    annotation = field.annotation if field is not None else None
    if isinstance(path[-1], int) and typing.get_args(annotation):  # an item of a list
        (annotation,) = typing.get_args(annotation)
    bounds = _annotated_bounds(annotation)
    for item in getattr(field, "metadata", ()) if not isinstance(path[-1], int) else ():
        bounds |= {name: getattr(item, name) for name in ("ge", "gt", "le", "lt") if hasattr(item, name)}
    bounds |= {name: limits[name] for name in ("ge", "gt", "le", "lt") if name in limits}
    whole = annotation is not None and "int" in type_name(annotation)
    noun = "a whole number" if whole else "a number"
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number") or (
        kind in ("int_type", "float_type", "int_from_float", "int_parsing")
    ):
        written = {name: f"{limit}" if isinstance(limit, int) else f"{limit:g}" for name, limit in bounds.items()}
        low = f" from {written['ge']}" if "ge" in bounds else f" above {written['gt']}" if "gt" in bounds else ""
        high = f" to {written['le']}" if "le" in bounds else f" below {written['lt']}" if "lt" in bounds else ""
        finite = not (low or high or whole)
        return f"{'a finite number' if finite else noun}{low}{high}"
    if kind == "literal_error":
        return "one of " + limits["expected"].replace("'", "").replace(" or ", ", ")
    if kind == "string_pattern_mismatch" and FUNCTION in limits["pattern"]:
        word = re.match(r"\^\((\w+)\|", limits["pattern"])
        return (f"{word[1]}, or " if word else "") + "module:name, such as my_file:my_name"
    if kind == "string_pattern_mismatch" and "tcp" in limits["pattern"]:
        return "the address of a Dask scheduler"
    if kind == "string_pattern_mismatch":
        return "letters, digits, '.', '_' or '-', at most 64, beginning with a letter or digit"
    if kind == "model_type":
        return "a mapping of knobs"
    names = {"bool_type": "true or false", "string_type": "text", "list_type": "a list", "dict_type": "a mapping"}
    return names.get(kind, error["msg"])


WORDS = {"yes": True, "on": True, "y": True, "no": False, "off": False, "n": False}


def _advice(error: Any, path: tuple, model: type[Section]) -> str:
    """What to try instead: what was probably meant, else the default."""
    got, kind, field = error["input"], error["type"], _field(path, model)
    if kind == "bool_type" and str(got).lower() in WORDS:
        return shown(WORDS[str(got).lower()])
    if kind == "literal_error" and (
        near := difflib.get_close_matches(str(got).lower(), typing.get_args(field.annotation), 1)
    ):
        return near[0]
    if kind == "model_type" and isinstance(got, (int, float)) and path[0] == "schedules":
        return f"{{initial: {shown(got)}}}"
    if kind == "model_type" and path == ("environment",):
        return f"{{id: {got}}}"
    if kind == "list_type" and isinstance(got, (int, str)):
        return f"[{got}]"
    if kind == "string_pattern_mismatch" and "tcp" in error["ctx"]["pattern"]:
        return "tcp://host:8786"
    if kind == "string_pattern_mismatch" and path == ("name",):
        return re.sub(r"[^A-Za-z0-9._-]+", "-", str(got)).strip("._-")[:64] or "mine"
    if path[0] == "schedules" and path[-1] == "initial":
        field = Schedules.model_fields.get(path[1])
        return shown(field.default.initial) if field is not None and isinstance(field.default, Schedule) else ""
    if field is None or field.is_required():
        return ""
    default = field.get_default(call_default_factory=True)
    if isinstance(path[-1], int) and isinstance(default, list):
        default = default[0] if default else None
    return "" if isinstance(default, (Section, dict)) or default in ([], "") else shown(default)


def _field(path: tuple, root: type[Section]) -> Any:
    """The field that a path leads to; of an item of a list, the list's."""
    model: Any = root
    field = None
    for index, part in enumerate(path):
        if model is None or part not in model.model_fields:
            return field if isinstance(part, int) else None
        field = model.model_fields[part]
        model = section(field.annotation)
        of_values = _section_of_values(field.annotation)
        if of_values is not None and index + 2 < len(path):
            return _field(path[index + 2 :], of_values)
    return field


def _model_at(path: tuple, root: type[Section]) -> type[Section] | None:
    """The model of the section that a path leads to."""
    model: Any = root
    parts = iter(path)
    for part in parts:
        field = model.model_fields.get(part) if model is not None else None
        annotation = getattr(field, "annotation", None)
        model = section(annotation)
        if (of_values := _section_of_values(annotation)) is not None and next(parts, None) is not None:
            model = of_values
    return model


def _section_of_values(annotation: Any) -> type[Section] | None:
    """Range of `dict[str, Range]`."""
    arguments = typing.get_args(annotation)
    return section(arguments[1]) if typing.get_origin(annotation) is dict else None


def _annotated_bounds(annotation: Any) -> dict[str, float]:
    """The bounds of an Annotated number somewhere inside a type such as `list[Annotated[int, Field(ge=1)]]`."""
    bounds: dict[str, float] = {}
    for item in getattr(annotation, "__metadata__", ()):
        for inner in getattr(item, "metadata", ()):
            bounds |= {name: getattr(inner, name) for name in ("ge", "gt", "le", "lt") if hasattr(inner, name)}
    for argument in typing.get_args(annotation):
        bounds |= _annotated_bounds(argument)
    return bounds
