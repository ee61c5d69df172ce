"""Text for a terminal, which may hold a stranger's words."""

import contextlib
import os
import sys
from typing import TextIO


def ready() -> None:
    """Let nothing fail for want of an output: into nothing where it is closed, `±` as an escape where it has no such
    letter."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            descriptor = os.open(os.devnull, os.O_WRONLY)
            with contextlib.suppress(OSError):
                os.fstat(number)  # by now somebody else's
                number = os.dup(descriptor)
            os.dup2(descriptor, number)  # a library's words for it would else go into the next file that is opened
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8"))
        elif stream.errors in ("strict", "surrogateescape") and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


MODULE = "python -m pg_theano."
called = MODULE
"""How this process was called, up to the name of the command: so are commands named in all that it prints."""


def is_interactive() -> bool:
    """Whether somebody sits in this process, at a prompt or in a notebook: it must not be ended."""
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules


def as_called(text: str) -> str:
    return text.replace(MODULE, called)


def printable(text: str) -> str:
    """A text for a terminal or a figure: what would move its cursor or colour it is shown as an escape instead."""
    text = as_called(text)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def say(text: str, file: TextIO | None = None) -> None:
    """Print lines that may hold a stranger's words, each as `printable`; letters that the file lacks as escapes."""
    stream = sys.stdout if file is None else file
    if stream is not None:  # it is None where a process has no output
        lines, letters = "\n".join(map(printable, text.split("\n"))), getattr(stream, "encoding", None) or "utf-8"
        print(lines.encode(letters, "backslashreplace").decode(letters), file=stream, flush=True)
