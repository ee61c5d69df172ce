"""What all commands share: a parser whose help lists every knob, and errors on one line with exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from pg_theano.types import UserError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):  # type: ignore[override]
        raise UserError(f"{self.prog}: {message}; see {self.prog} -h")

    def format_help(self) -> str:
        from pg_theano.config import help_text

        return f"{super().format_help()}\n{help_text()}\n"


def parser(name: str, about: str | None, example: str) -> argparse.ArgumentParser:
    made = _Parser(
        prog=f"python -m pg_theano.{name}",
        description=(about or "").strip().splitlines()[0],
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return made


def run(made: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int], argv: Sequence[str] | None) -> int:
    """Parse and call. A `UserError` is one line on stderr and exit code 2; Ctrl-C is exit code 130."""
    debug = "--debug" in (sys.argv if argv is None else argv)
    try:
        return command(made.parse_intermixed_args(argv))
    except UserError as error:
        return _failed(str(error), debug)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:  # a full disk, a folder that cannot be written
        return _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error), debug)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _failed(message: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)  # others' messages may have several lines
    return 2


def leave(code: int) -> NoReturn:
    """End the process now, once everything is written.

    Taking JAX apart piece by piece took 0.3 of the 2 seconds of a whole run; the system frees its memory at once.
    Compilations still under way are waited for, because they write to the cache.
    """
    if "pg_theano.compiling" in sys.modules:
        sys.modules["pg_theano.compiling"].finish()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def config_and_overrides(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """(the config file, or None; the knob=value words) of a command line."""
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise UserError(f"got {len(files)} config files ({', '.join(files)}); expected one, then knob=value")
    return (files[0] if files else None), [word for word in words if "=" in word]


def positive(text: str) -> int:
    value = natural(text)
    if value == 0:
        raise argparse.ArgumentTypeError("got 0; expected a whole number from 1")
    return value


def natural(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"got {text}; expected a whole number from 0")
    return int(text)
