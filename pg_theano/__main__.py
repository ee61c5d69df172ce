"""Every command by its name: `pg-theano train`, or `python -m pg_theano train`; without a name, the list."""

import argparse
import difflib
import runpy
import sys

from pg_theano.system import commands, console
from pg_theano.system.path import IS_SCRIPT, SCRIPT
from pg_theano.types import UserError


def listed() -> str:
    lines = [f"  {name:<11} {what}" for name, what in commands.does().items()]
    return "\n".join(["python -m pg_theano.COMMAND, each with -h:", *lines])


def main() -> int:
    """Run the command that is named, as `python -m` runs its module; options before its name are the command's too."""
    console.called = f"{SCRIPT} " if IS_SCRIPT else "python -m pg_theano "
    place = next((place for place, word in enumerate(sys.argv[1:], 1) if not word.startswith("-")), 0)
    name = sys.argv[place].replace("-", "_")
    if place and name in commands.sources():
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
        near = difflib.get_close_matches(word.replace("-", "_"), commands.sources(), 1)
        if word.endswith((".yaml", ".yml")) or "=" in word:
            near = [f"train {word}"]
        raise UserError.at(called, f"got {word}", "a command", f"{called} {near[0]}" if near else f"{called} -h")
    else:
        console.say(listed())
    return 0


if __name__ == "__main__":
    sys.exit(main())
