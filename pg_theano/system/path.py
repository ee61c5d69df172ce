"""The folder that `python -m` puts first on Python's path: taken off before anything else is imported.

Imports nothing but `sys`, not even `__future__`, which may lie in that folder too.
"""

import sys

TAKEN: list[str] = []  # the folder, where one was taken off


def take_off(home: str) -> None:
    """At the start of a command. A checkout of the package at `home`, in which one stands, is kept, as the last."""
    if sys.argv[:1] != ["-m"] or sys.flags.safe_path or not sys.path:
        return  # so it stands while `python -m` looks for what it is to run; -P puts no folder there
    first = sys.path.pop(0)
    (sys.path if first == home else TAKEN).append(first)


def put_back(folder: str) -> None:
    """As the last, once a module that the user named was found in it; in worker processes too, which begin with -P."""
    if (folder in TAKEN or sys.flags.safe_path) and folder not in sys.path:
        sys.path.append(folder)
