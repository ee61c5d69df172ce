"""Every command by its name: `pg-theano train`, or `python -m pg_theano train`; without a name, the list."""

import argparse
import ast
import difflib
import runpy
import sys
from pathlib import Path

from pg_theano.system import commands, console
from pg_theano.system.path import IS_SCRIPT, SCRIPT
from pg_theano.types import UserError

HERE = Path(__file__).parent


def sources() -> dict[str, str]:
    """The source of each command, by its name."""
    texts = {path: path.read_text("utf-8") for path in sorted([*HERE.glob("*.py"), *HERE.glob("*/__main__.py")])}
    return {
        path.parent.name if path.name == "__main__.py" else path.stem: text
        for path, text in texts.items()
        if "return commands.run(" in text and path != Path(__file__)
    }


def does() -> dict[str, str]:
    """What each command does, in its own words, by its name."""
    first = {name: (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0] for name, text in sources().items()}
    return {name: line.partition(": `python")[0].rstrip(".") for name, line in first.items()}


def listed() -> str:
    lines = [f"  {name:<10} {what}" for name, what in does().items()]
    return "\n".join(["python -m pg_theano.COMMAND, each with -h:", *lines])


def main() -> int:
    """Run the command that is named, as `python -m` runs its module; options before its name are the command's too."""
    console.called = f"{SCRIPT} " if IS_SCRIPT else "python -m pg_theano "
    place = next((place for place, word in enumerate(sys.argv[1:], 1) if not word.startswith("-")), 0)
    name = sys.argv[place].replace("-", "_")
    if place and name in sources():
        del sys.argv[place]
        runpy.run_module(f"pg_theano.{name}", run_name="__main__", alter_sys=True)
    parser = commands.parser("", __doc__, "python -m pg_theano.train configs/cartpole.yaml --seed 3", knobs=listed)
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="one of those below, and what is its own")
    parser.add_argument("--version", action="store_true", help="print the version")
    return commands.run(parser, _list, None)


def _list(arguments: argparse.Namespace) -> int:
    called = console.called.strip()
    if arguments.version:
        from pg_theano.system.versions import versions

        found = versions()
        console.say(f"pg_theano {found.get('pg_theano', 'of a checkout')}, Python {found['python']}")
    elif arguments.command:
        word = arguments.command[0]
        near = difflib.get_close_matches(word.replace("-", "_"), sources(), 1)
        if word.endswith((".yaml", ".yml")) or "=" in word:
            near = [f"train {word}"]
        raise UserError.at(called, f"got {word}", "a command", f"{called} {near[0]}" if near else f"{called} -h")
    else:
        console.say(listed())
    return 0


if __name__ == "__main__":
    sys.exit(main())
