"""Completion of `pg-theano` in a shell, as a script of that shell: made of the parsers and the knobs, and static.

To press TAB starts no Python. Each shell's script has the same parts: the commands, their options, what an option or an
operand takes (`kinds`), the knobs and the values of those that choose among words, and how its shell finds files.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pg_theano.config import tables
from pg_theano.config.kinds import Schedule
from pg_theano.config.search_knobs import Search


class Command(NamedTuple):
    """What is completed of one command."""

    does: str
    parser: argparse.ArgumentParser

    @property
    def options(self) -> list[argparse.Action]:
        return [one for one in self.parser._actions if one.option_strings and one.help != argparse.SUPPRESS]

    @property
    def operands(self) -> list[str]:
        """The kinds of all that stands alone: which of them comes where is not looked at."""
        found = [kind for one in self.parser._actions if not one.option_strings for kind in kinds(one)]
        return list(dict.fromkeys(found))

    def meaning(self, option: argparse.Action) -> str:
        return self.parser._get_formatter()._expand_help(option)


Commands = Mapping[str, Command]


def kinds(action: argparse.Action) -> list[str]:
    """What may stand for an argument, by its choices and its metavar; "=word" for one of a few words.

    run: the folder of a run; config: a YAML file; knob: knob=value; name: a knob; folder; file. [] for all else.
    """
    shown = str(action.metavar or "")
    words = action.choices or (shown.split("|") if "|" in shown and " " not in shown else ())
    marks = {"RUN": "run", ".yaml": "config", "knob=value": "knob", "KNOB": "name", "FOLDER": "folder", "FILE": "file"}
    return [f"={word}" for word in words] + [kind for mark, kind in marks.items() if mark in shown]


def knobs(command: str) -> dict[str, tuple[str, list[str]]]:
    """(meaning, the words it chooses among) of each knob of a command; of a schedule, of each of its parts."""
    rows = tables.knobs() + (tables.knobs(Search, "search.") if command == "search" else [])
    parts = {key: tables.knobs(Schedule, f"{key}.") for key, kind, *_ in rows if kind == "schedule"}
    return {
        key: (meaning, ["true", "false"] if kind == "bool" else kind.split("|") if kind.count("|") else [])
        for row in rows
        for key, kind, _, meaning in parts.get(row[0], [row])
    }


Rows = list[tuple[str, str]]


class Data(NamedTuple):
    """All that the scripts hold, as rows of two texts."""

    commands: Rows  # name, what it does
    options: dict[str, Rows]  # of each command: word, meaning
    takes: Rows  # command:option, its kinds
    operands: Rows  # command, the kinds of all that stands alone
    knobs: Rows  # name, meaning
    searched: Rows  # the further ones of a search
    values: Rows  # knob, the words that it chooses among


def data(commands: Commands) -> Data:
    common, all_knobs = knobs(""), knobs("search")
    every = [(name, one, option) for name, one in commands.items() for option in one.options]
    return Data(
        [(name, one.does) for name, one in commands.items()],
        {
            name: [(word, one.meaning(option)) for option in one.options for word in option.option_strings]
            for name, one in commands.items()
        },
        [
            (f"{name}:{word}", " ".join(kinds(option)) or "nothing")
            for name, _, option in every
            if option.nargs != 0
            for word in option.option_strings
        ],
        [(name, " ".join(one.operands)) for name, one in commands.items()],
        [(key, meaning) for key, (meaning, _) in common.items()],
        [(key, meaning) for key, (meaning, _) in all_knobs.items() if key not in common],
        [(key, " ".join(words)) for key, (_, words) in all_knobs.items() if words],
    )


def filled(shell: str, **parts: str) -> str:
    template = (Path(__file__).parent / "shells" / f"pg-theano.{shell}").read_text("utf-8")
    for name, text in parts.items():
        template = template.replace(f"@{name.upper()}@", text)
    return template


def branches(rows: Rows, name: str, line: str, between: str) -> str:
    """The branches of a `case`, one for all keys of the same text: `line` has {keys}, {name} and {text}."""
    found: dict[str, list[str]] = {}
    for key, text in rows:
        found.setdefault(text, []).append(key)
    return "\n".join(line.format(keys=between.join(keys), name=name, text=text) for text, keys in found.items())


CASE = "        {keys}) {name}='{text}' ;;"  # of bash and zsh


def bash(commands: Commands) -> str:
    of = data(commands)
    options = [(name, " ".join(word for word, _ in rows)) for name, rows in of.options.items()]
    return filled(
        "bash",
        commands=" ".join(name for name, _ in of.commands),
        values=branches(of.values, "values", CASE, "|"),
        takes=branches(of.takes, "takes", CASE, "|"),
        options=branches(options, "options", CASE, "|"),
        operands=branches(of.operands, "takes", CASE, "|"),
        knobs=" ".join(key for key, _ in of.knobs),
        searched=" ".join(key for key, _ in of.searched),
    )


def zsh(commands: Commands) -> str:
    def described(rows: Rows) -> str:
        return " ".join("'" + f"{word}:{meaning}".replace("'", "'\\''") + "'" for word, meaning in rows)

    of = data(commands)
    return filled(
        "zsh",
        commands=described(of.commands),
        values=branches(of.values, "values", CASE, "|"),
        takes=branches(of.takes, "takes", CASE, "|"),
        options="\n".join(f"        {name}) options=({described(rows)}) ;;" for name, rows in of.options.items()),
        operands=branches(of.operands, "takes", CASE, "|"),
        knobs=described(of.knobs),
        searched=described(of.searched),
    )


def fish(commands: Commands) -> str:
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def described(rows: Rows) -> str:
        return " ".join(f"{word} {quoted(meaning)}" for word, meaning in rows)

    def cases(rows: Rows, name: str, line: str = "        case {keys}\n            set {name} {text}") -> str:
        return branches(rows, name, line, " ")

    of = data(commands)
    options = [(name, described(rows)) for name, rows in of.options.items()]
    return filled(
        "fish",
        commands=described(of.commands),
        values=cases(of.values, "values"),
        takes=cases(of.takes, "takes"),
        options=cases(options, "options"),
        operands=cases(of.operands, "takes"),
        knobs=described(of.knobs),
        searched=described(of.searched),
    )


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
