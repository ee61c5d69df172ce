"""The commands, a line each: `python -m pg_theano`."""

import ast
import sys
from pathlib import Path

from pg_theano.system.console import say

HERE = Path(__file__).parent


def commands() -> dict[str, str]:
    """What each command does, in its own words, by its name."""
    found = {}
    for path in sorted([*HERE.glob("*.py"), *HERE.glob("*/__main__.py")]):
        text = path.read_text(encoding="utf-8")
        if "return commands.run(" in text and path != Path(__file__):
            name = path.parent.name if path.name == "__main__.py" else path.stem
            first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
            found[name] = first.partition(": `python")[0].rstrip(".")
    return found


def main() -> int:
    lines = [f"  {name:<10} {does}" for name, does in commands().items()]
    say("\n".join(["python -m pg_theano.COMMAND, each with -h:", *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
