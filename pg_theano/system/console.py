"""Text for a terminal, which may hold a stranger's words."""

from typing import TextIO


def printable(text: str) -> str:
    """A text for a terminal or a figure: what would move its cursor or colour it is shown as an escape instead."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def say(text: str, file: TextIO | None = None) -> None:
    """Print lines that may hold a stranger's words, each as `printable`."""
    print("\n".join(map(printable, text.split("\n"))), file=file, flush=True)
