"""Plain data from YAML, with the line that each value came from, so that an error can name it.

Mappings, lists and scalars, nothing else. A scalar without quotes is read as YAML 1.2's core schema reads it, but for
two things: `0x1F` and `0o17` stay text. What surprises people in YAML 1.1 does not happen:

    1e-4 1e6 1E+3 .5 -3.      floats                 10 +10 010     the integer 10
    .inf -.inf .nan           floats                 1:30 1_000     text
    true True TRUE, false...  booleans               yes no on off  text
    null Null NULL ~ nothing  None                   2024-01-31     text

Refused, each with one line that says where: a key given twice, a key that is not text, merge keys (`<<`), tags of any
kind, a second document, more than `MAX_DEPTH` levels, more than `MAX_NODES` nodes once aliases are unfolded.

Of files that were written for other programs (`foreign`) two things are taken that ours may not have: merge keys, whose
mapping lies under the keys beside them, and the tags `!!float` and `!!int`, which change nothing of the table above.

The line of a value is that of its key, or in a list that of the item's first character. An alias gives a copy of what
its anchor holds; the lines inside that copy are the anchor's, where the text stands.
"""

import difflib
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pg_theano.system.opening import SURROGATE
from pg_theano.types import UserError

MAX_BYTES = 1_000_000
MAX_NODES = 10_000  # keys and values
MAX_DEPTH = 50  # the length of a key path
MAX_DIGITS = 300  # of a number; as text in quotes it may be as long as it likes

CONSTANTS = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"), None)
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | {sign + inf: float(sign + "inf") for sign in ("", "+", "-") for inf in (".inf", ".Inf", ".INF")}
    | dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))
)

FOREIGN_TAGS = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:int")


class Document(NamedTuple):
    """What a YAML text says, and where it says it."""

    data: dict[str, Any]  # plain dicts, lists, str, int, float, bool, None
    lines: dict[tuple, int]  # key path, ("algorithm", "clip_range") or ("policy", "hidden", 0) -> line, from 1
    name: str  # what stands before the colon in an error: the path as the user wrote it


def read_file(path, *, foreign=False) -> Document:
    """The document in this file. Raises UserError, whose one line names the file and, where there is one, the line."""
    name, path = str(path), Path(path)
    try:
        if path.is_dir():
            raise UserError.at(name, "got a folder", "a YAML file", "one of those in it")
        if not path.exists():
            raise UserError.at(name, "no such file", "a YAML file", hint=_suggestion(path))
        if not path.is_file():
            raise UserError.at(name, "got no regular file", "a YAML file", "another")
        if path.stat().st_size > MAX_BYTES:
            raise UserError.at(
                name, f"got {path.stat().st_size:,} bytes", f"a YAML file of at most {MAX_BYTES:,}", "a shorter one"
            )
        content = path.read_bytes()
    except OSError as error:
        raise UserError.at(name, f"cannot be read: {error.strerror}") from error
    try:
        return read_text(content.decode("utf-8"), name, foreign=foreign)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError.at(
            f"{name}:{line}", "got bytes that are no UTF-8", "text", "saving the file with the encoding UTF-8"
        ) from error


def read_text(text, name, *, foreign=False) -> Document:
    """The document that this text is; an empty one is an empty mapping. Raises UserError, which begins with `name`."""
    source = _Source(name, numbered=True, foreign=foreign)
    data, lines = _read(text, source)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        kind = {list: "a list", str: "text", bool: "a boolean"}.get(type(data), "a number")
        ours = ("a mapping of knobs", "'environment: {id: CartPole-v1}'")
        raise source.error(lines[()], f"got {kind}", *(("a mapping", "another file") if foreign else ours))
    del lines[()]
    return Document(data, lines, name)


def read_value(text, name):
    """The one value that this text is, as it would be read behind a key: `1e-3`, `[32, 32]`, `CartPole-v1`.

    Raises UserError, which begins with `name` and counts no lines.
    """
    data, _ = _read(text, _Source(name, numbered=False))
    return data


class _Source(NamedTuple):
    """Whose text it is, for errors."""

    name: str
    numbered: bool
    foreign: bool = False

    def error(self, line, got, expected="", advice="", path=()):
        """The UserError `name:line path: got ...`, for its caller to raise."""
        place = f"{self.name}:{line}" if self.numbered else self.name
        return UserError.at(f"{place} {_dotted(path)}" if path else place, got, expected, advice)


class _Composer(yaml.SafeLoader):
    """PyYAML's scanner, parser and composer. Its resolvers and constructors, which know tags and types, go unused."""

    def __init__(self, text, source):
        super().__init__(text)
        self.source, self.depth, self.count = source, 0, 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        line = event.start_mark.line + 1
        tag = getattr(event, "tag", None)
        allowed = self.source.foreign and tag in FOREIGN_TAGS and isinstance(event, yaml.ScalarEvent)
        if tag is not None and not allowed:
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            raise self.source.error(line, f"got the tag {tag}", "plain values", "the value without it")
        if SURROGATE.search(getattr(event, "value", None) or ""):
            raise self.source.error(line, "got half a character (U+D800 to U+DFFF)", "whole ones", "without it")
        self.count += 1
        _check_size(self.source, line, self.depth, self.count)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _read(text, source):
    """The data and the lines of a text; the whole of it has the path () and, where it is not empty, a line."""
    try:
        composer = _Composer(text, source)
        node = composer.get_node() if composer.check_node() else None
        if composer.check_node():
            line = composer.peek_event().start_mark.line + 1
            raise source.error(line, "got a second document, which starts here", "one", "without the line ---")
    except yaml.MarkedYAMLError as error:
        raise source.error(error.problem_mark.line + 1, *_complaint(error)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise source.error(
            line, f"got the character U+{error.character:04X}", "printable text", "without it"
        ) from error
    except (ValueError, OverflowError) as error:  # numbers that PyYAML takes unseen: of a version, of "\\UFFFFFFFF"
        raise source.error(
            composer.line + 1, f"got a number that is none ({error!s:.60})", "YAML", "without it"
        ) from error
    return _unfold(node, source) if node else (None, {(): 1})


def _unfold(root, source):
    """The data and the lines of a tree of nodes, in which an alias stands for a copy of its anchor's node."""
    lines = {}
    count = 0

    def unfold(node, path, line, merges=0):
        nonlocal count
        count += 1
        _check_size(source, line, len(path) + merges, count)
        lines[path] = line
        if isinstance(node, yaml.ScalarNode):
            value = _scalar(node)
            if len(node.value) > MAX_DIGITS and not isinstance(value, str):
                raise source.error(line, f"a number of {len(node.value):,} digits", f"{MAX_DIGITS} at most", path=path)
            return value
        if isinstance(node, yaml.SequenceNode):
            return [unfold(item, (*path, i), _line(item), merges) for i, item in enumerate(node.value)]
        merged: dict[str, Any] = {}
        mapping: dict[str, Any] = {}
        behind = [pair for pair in node.value if source.foreign and _is_merge(pair[0])]
        if len(behind) > 1:
            raise source.error(_line(behind[1][0]), "got << twice", "it once", "'<<: [*one, *other]'", path=path)
        if behind:
            merged = below(behind[0][1], path, line, merges + 1)
            lines[path] = line
        for key_node, value_node in (pair for pair in node.value if pair not in behind):
            count += 1
            key = name_of(key_node, path)
            if key in mapping:
                first = lines[*path, key]
                earlier = f" (first on line {first})" if source.numbered else ""
                raise source.error(
                    _line(key_node), f"got it twice{earlier}", "it once", "without one", path=(*path, key)
                )
            mapping[key] = unfold(value_node, (*path, key), _line(key_node), merges)
        return merged | mapping

    def below(node, path, line, merges):
        """What a merge key brings: a mapping, or several of which the first holds."""
        several = isinstance(node, yaml.SequenceNode)
        merged: dict[str, Any] = {}
        for one in reversed(node.value) if several else [node]:
            found = unfold(one, path, line, merges)
            if not isinstance(found, dict):
                raise source.error(
                    _line(one), "got no mapping behind <<", "the alias of one", "writing the values out", path=path
                )
            merged |= found
        return merged

    def name_of(node, path):
        key = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if _is_merge(node):
            raise source.error(_line(node), "got a merge key (<<)", "plain keys", "writing the values out", path=path)
        if not isinstance(key, str):
            shown = repr(node.value[:60]) if isinstance(node, yaml.ScalarNode) else "a collection"
            raise source.error(_line(node), f"got {shown} as a key", "a name", "it in quotes", path=path)
        return key

    return unfold(root, (), _line(root)), lines


def _check_size(source, line, depth, count):
    """Refuse what nobody writes by hand: deep nesting, and aliases of aliases that unfold to a million nodes."""
    if depth > MAX_DEPTH:
        raise source.error(line, f"got more than {MAX_DEPTH} levels", "fewer", "writing it flatter")
    if count > MAX_NODES:
        raise source.error(
            line, f"got more than {MAX_NODES:,} keys and values, aliases unfolded", "fewer", "without aliases"
        )


def _scalar(node):
    """The value of a scalar node: text when it was quoted or a block, else by the table at the top of this file."""
    text = node.value
    if node.style is not None:
        return text
    if text in CONSTANTS:
        return CONSTANTS[text]
    if set(text) <= set("+-.0123456789eE") and len(text) > MAX_DIGITS:
        return 0  # refused where it is unfolded, before anybody works it out
    if set(text) <= set("+-.0123456789eE"):
        for number in (int, float):
            try:
                return number(text)
            except ValueError:
                continue
    return text


def _is_merge(node):
    return isinstance(node, yaml.ScalarNode) and node.value == "<<" and node.style is None


def _line(node):
    return node.start_mark.line + 1


def _dotted(path):
    """The key path as a user writes it, on one line whatever the keys are."""
    shown = ".".join(map(str, path))
    return shown if shown.isprintable() else repr(shown)


def _complaint(error):
    """PyYAML's complaint as (got, expected, advice), in plainer words for those that people meet most."""
    if "cannot start any token" in error.problem:
        if r"'\t'" in error.problem:
            return "got a tab", "spaces", "two of them for each level"
        found = error.problem.removeprefix("found ").removesuffix(" that cannot start any token")
        return f"got the {found} at the start of a value", "a letter or digit", "the value in quotes"
    if error.problem.startswith("mapping values are not allowed"):
        return "got a second ': ' in one value", "one", "the value in quotes, or on a line of its own, indented"
    if error.problem.startswith("found undefined alias"):
        return f"got the alias {error.problem.split()[-1]}", "an anchor above it", "the value in quotes"
    if (odd := re.fullmatch("expected (.*), but (?:got|found) '?(.*?)'?", error.problem)) is not None:
        got = {"<stream end>": "the end", "<block mapping start>": "a key", "<scalar>": "text"}.get(odd[2], odd[2])
        where = f" (of what begins on line {error.context_mark.line + 1})" if error.context_mark is not None else ""
        return f"got {got}", f"{odd[1]}{where}", "closing the bracket or quote, or the same indentation"
    begun = f" ({error.context}, line {error.context_mark.line + 1})" if error.context_mark is not None else ""
    return f"got no YAML: {error.problem}{begun}", "'key: value' lines", "the value in quotes"


def _suggestion(path):
    """What to try instead of a path where nothing is."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either; try its path from here"
    names = sorted(neighbour.name for neighbour in path.parent.iterdir() if neighbour.is_file())
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else f"no name in {path.parent}/ is like it; try its path"
