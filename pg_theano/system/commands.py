"""What all commands share: a parser whose help lists every knob, errors on one line with exit code 2, a way to end."""

import argparse
import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pg_theano.system import console, importing, machine, stopping
from pg_theano.types import UserError

waited_for: list[Callable[[], None]] = []
"""Functions that are called before a command ends by itself."""
_answers: list[tuple[Any, dict[str, Any]]] = []
_ONLY_ITS_PARSER: Sequence[str] = ("",)


class _Made(Exception):
    """Carries the parser of a command that is not to run."""


def sources() -> dict[str, str]:
    """The source of each command, by its name."""
    home = Path(__file__).parents[1]
    texts = {path: path.read_text("utf-8") for path in sorted([*home.glob("*.py"), *home.glob("*/__main__.py")])}
    return {
        path.parent.name if path.name == "__main__.py" else path.stem: text
        for path, text in texts.items()
        if "return commands.run(" in text and path != home / "__main__.py"
    }


def does() -> dict[str, str]:
    """What each command does, in its own words, by its name. Read, so that nothing has to be imported."""
    import ast

    first = {name: (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0] for name, text in sources().items()}
    return {name: line.partition(": `python")[0].rstrip(".") for name, line in first.items()}


def main_of(name: str) -> Callable[[Sequence[str] | None], int]:
    """The function of a command, whose module is imported."""
    module = importing.module_named(f"pg_theano.{name}")
    return getattr(module, "main", None) or importing.module_named(f"pg_theano.{name}.__main__").main


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of a command, which is not run."""
    try:
        main_of(name)(_ONLY_ITS_PARSER)
    except _Made as made:
        return made.args[0]
    raise AssertionError(name)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):  # type: ignore[override]
        expected = "" if "expected" in message else "; expected what its help lists"
        raise UserError(f"{self.prog}: {message}{expected}; try {self.prog} -h")

    knobs: Callable[[], str] | None = None

    def format_help(self) -> str:
        table = "" if self.knobs is None else f"\n{self.knobs()}\n"
        return console.as_called(f"{super().format_help()}{table}")


def parser(
    name: str, about: str | None, example: str, knobs: Callable[[], str] | None = None
) -> argparse.ArgumentParser:
    """The options that every command has. `knobs` writes the table of knobs that ends the help of a command that takes
    or names knobs: `config.tables.help_text`."""
    made = _Parser(
        prog=console.as_called(f"python -m pg_theano.{name}").rstrip(" ."),
        description=(about or f"python -m pg_theano.{name}").strip().splitlines()[0],  # none under python -OO
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.knobs = knobs
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    made.add_argument("--no-user-code", action="store_true", help="import nothing that a config names as module:name")
    return made


def add_allow_import(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--allow-import", action="store_true", help="import modules though they are not those that the run recorded"
    )


def run(made: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int], argv: Sequence[str] | None) -> int:
    """Parse and call. A `UserError`, and what the system refuses (a full disk), is one line on stderr and exit code 2;
    Ctrl-C is exit code 130, SIGTERM 143."""
    if argv is _ONLY_ITS_PARSER:
        raise _Made(made)
    console.ready()
    debug, command_begun = "--debug" in (sys.argv if argv is None else argv), False
    with stopping.listening():
        try:
            arguments = made.parse_intermixed_args(argv)
            allow = getattr(arguments, "allow_import", False)
            with (
                importing.consenting(no_user_code=arguments.no_user_code, allow_import=allow),
                _alone_on_stdout(getattr(arguments, "json", False)),
            ):
                command_begun = True
                code = command(arguments)
            for figures, how in _answers:
                print(json.dumps(figures, **how))
            sys.stdout.flush()
            return code
        except UserError as error:
            return _failed(str(error), debug)
        except SystemExit as error:
            if not command_begun:  # -h, which ends so
                raise
            return _failed(f"others' code raises SystemExit({error}); expected it to return; try --debug", debug)
        except BrokenPipeError:
            _close_outputs()
            return 1
        except OSError as error:  # a full disk, a folder that cannot be written
            return _failed(_of_the_system(error), debug)
        except MemoryError as error:
            return _failed(
                f"out of memory ({error or 'nothing is left'}); expected enough for the run; try fewer environments, "
                "shorter episodes or a smaller network",
                debug,
            )
        except KeyboardInterrupt:
            with contextlib.suppress(OSError):
                print("interrupted", file=sys.stderr)
            return stopping.exit_code()


def answer(figures: Any, **how: Any) -> None:
    """Print an object as JSON when the command has ended: with `--json` that alone stands on stdout."""
    _answers.append((figures, how))


@contextlib.contextmanager
def _alone_on_stdout(asked: bool) -> Iterator[None]:
    """Send to stderr what anybody writes to stdout, C libraries too, until the command has its answer."""
    _answers.clear()
    if not asked:
        yield
        return
    import ctypes

    with contextlib.redirect_stdout(sys.stderr):
        kept = None
        with contextlib.suppress(OSError):  # one of them is closed
            if sys.__stdout__ is not None:
                sys.__stdout__.flush()
            kept = os.dup(1)
            os.dup2(2, 1)
        try:
            yield
        finally:
            if kept is not None:
                with contextlib.suppress(OSError):  # there is no such library
                    ctypes.CDLL(machine.C_LIBRARY).fflush(None)  # what C has not written would come after the answer
                os.dup2(kept, 1)
                os.close(kept)


def _of_the_system(error: OSError) -> str:
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, FileNotFoundError):  # of no file: of where we are
        return "the folder that this shell stands in is gone; expected one that is there; try cd"
    return str(error)


def _failed(message: str, debug: bool) -> int:
    with contextlib.suppress(OSError):  # stderr may be what is full; the exit code says it still
        if debug:
            traceback.print_exc()
        line = " ".join(message.split())  # others' may have several lines
        print(console.printable(f"error: {line}"), file=sys.stderr, flush=True)
    _close_outputs()
    return 2


def _close_outputs() -> None:
    """Give up what could not be written: Python would complain of it as it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError):  # into nothing: closing writes what is left
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def leave(code: int) -> NoReturn:
    """End the process now, once everything is written.

    Taking JAX apart piece by piece took 0.3 of the 2 seconds of a whole run; the system frees its memory at once.
    Compilations still under way are waited for, because the next run wants them in the cache, but not by one that was
    asked to stop.
    """
    for number in stopping.SIGNALS:  # all is saved: whoever asks now need not wait
        signal.signal(number, signal.SIG_DFL)
    for finish in waited_for if not stopping.is_stopped(code) else ():
        finish()
    _close_outputs()
    os._exit(code)


def config_and_overrides(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """(the config file, or None; the knob=value words) of a command line."""
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise UserError(
            f"command line: got {len(files)} config files ({', '.join(files)}); expected one; try one, then knob=value"
        )
    return (files[0] if files else None), [word for word in words if "=" in word]


def positive(text: str) -> int:
    return natural(text, 1)


def natural(text: str, least: int = 0) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"got {text}; expected a whole number from {least}")
    return int(text)
