"""Reads one entry of an rl-zoo file (hyperparams/ppo.yml, ...): plain data, and the line of each value.

rl-zoo hands strings such as "dict(log_std_init=-2, activation_fn=nn.ReLU)" to Python's `eval`. Here `ast` parses them,
which runs nothing. Only literals, dict(...), lists and dotted names are accepted.
"""

import ast
import difflib
import math
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.system import yaml_lines
from pg_theano.types import UserError

MOST_CHARACTERS = 2_000
"""Of a string of Python; the longest in rl-zoo has 260."""
MOST_NESTED = 20
ATARI = re.compile(r"ALE/.+|.*(NoFrameskip|Deterministic)-v\d+|.*-ram(NoFrameskip|Deterministic)?-v\d+")
"""Environments for which rl-zoo has the one entry `atari`."""
FALLBACKS = ("atari", "default")
FALLING = re.compile(r"lin(?:ear)?_([0-9.eE+-]+)")


class Name(str):
    """A dotted name of Python, such as `nn.ReLU`. Nothing looks up what it names."""


class Entry(NamedTuple):
    """The entry of one environment."""

    file: str
    name: str  # of the entry: the environment's, "atari" or "default"
    line: int
    values: dict[str, Any]
    lines: dict[str, int]

    def place(self, key: str) -> str:
        return f"{Path(self.file).name}:{self.lines.get(key, self.line)}"

    def error(self, key: str, message: str) -> UserError:
        """An error `hyperparams/ppo.yml:12 n_steps: message`, for the caller to raise."""
        return UserError(f"{self.file}:{self.lines.get(key, self.line)} {key}: {message}")


def read_entry(path: str | Path, environment: str) -> Entry:
    """Reads the entry of an environment. Without one: `atari` for an Atari game, else `default`, if the file has it.

    Raises `UserError`: no such file, no YAML, no such entry (with similar names), an entry that is no mapping.
    """
    if environment in FALLBACKS:
        raise UserError(f"ENV: got {environment}, which stands for many; expected one, such as CartPole-v1; try that")
    document = yaml_lines.read_file(path, foreign=True)
    bare = environment.rpartition(":")[2]
    fallbacks = FALLBACKS if ATARI.fullmatch(bare) else FALLBACKS[1:]
    name = next((one for one in (environment, bare, *fallbacks) if one in document.data), None)
    if name is None:
        names = [shown(one) for one in document.data]
        near = difflib.get_close_matches(bare, names, 3, 0.5)
        known = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(names[:8]) or 'none at all'}"
        raise UserError(f"{document.name}: no entry {shown(environment)}; expected one of those that it has; {known}")
    values, line = document.data[name], document.lines[(name,)]
    if not isinstance(values, dict):
        raise UserError(f"{document.name}:{line} {shown(name)}: got no mapping; expected 'n_steps: 2048' and the like")
    lines = {path[1]: number for path, number in document.lines.items() if len(path) == 2 and path[0] == name}
    return Entry(document.name, name, line, values, lines)


def python_of(entry: Entry, key: str, value: Any) -> Any:
    """The value of a key that may be a string of Python, as dicts, lists, numbers, text and `Name`s.

    Runs nothing. Raises `UserError` for any other expression.
    """
    if not isinstance(value, str):
        return value
    depth = 0
    for character in value:
        depth += (character in "([{") - (character in ")]}")
        if depth > MOST_NESTED or len(value) > MOST_CHARACTERS:
            raise entry.error(
                key,
                f"got Python of {len(value):,} characters; expected at most {MOST_CHARACTERS:,}, nested at most "
                f"{MOST_NESTED} deep; try a shorter dict(...)",
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes, from the parser
            tree = ast.parse(value.strip(), mode="eval").body
        return _plain(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        got = error.args[0] if isinstance(error, _NotPlain) else f"{shown(value)}, which is no Python"
        raise entry.error(
            key, f"got {got}; expected dict(name=value, ...) of plain values, which is read and never run; try that"
        ) from None


class _NotPlain(ValueError):
    """An expression that would have to be run."""


def _plain(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value) if not _is_vast(value):
            return value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as value)) if (
            not isinstance(value, bool) and not _is_vast(value)
        ):
            return -value if isinstance(sign, ast.USub) else value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_plain(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            named = [key.value if isinstance(key, ast.Constant) else None for key in keys]
            if all(isinstance(key, str) for key in named) and len(set(named)) == len(named):
                return dict(zip(named, map(_plain, values), strict=True))
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=given):
            named = [one.arg for one in given]
            if all(named) and len(set(named)) == len(named):
                return dict(zip(named, (_plain(one.value) for one in given), strict=True))
        case ast.Name() | ast.Attribute() if (name := ast.unparse(node)).replace(".", "").isidentifier():
            return Name(name)
    raise _NotPlain(shown(ast.unparse(node)))


def _is_vast(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= 10**yaml_lines.MAX_DIGITS


def number_of(entry: Entry, key: str, value: Any) -> float:
    if not _is_number(value):
        raise entry.error(key, f"got {shown(value)}; expected a number")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def count_of(entry: Entry, key: str, value: Any) -> int:
    """A whole number from 1, which may be written 1e5."""
    if _is_number(value) and value == int(value) and value >= 1:
        return int(value)
    raise entry.error(key, f"got {shown(value)}; expected a whole number from 1")


def flag_of(entry: Entry, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise entry.error(key, f"got {shown(value)}; expected true or false")
    return value


def schedule_of(entry: Entry, key: str, value: Any) -> tuple[float, bool]:
    """(initial value, whether it falls to 0 with the budget). Takes 0.001 or "lin_0.001"."""
    found = FALLING.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        try:
            return number_of(entry, key, float(found[1])), True
        except ValueError:
            found = None
    if isinstance(value, str):
        raise entry.error(
            key, f"got {shown(value)}; expected a number, or lin_0.001, which falls to 0; try one of them"
        )
    return number_of(entry, key, value), False


def shown(value: Any) -> str:
    """A value of a foreign file on one short line; null, true and false as YAML writes them."""
    text = {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."
