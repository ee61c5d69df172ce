"""The folder that `python -m` puts first on Python's path: taken off before anything else is imported.

Imports nothing but `sys`, not even `__future__`, which may lie in that folder too.
"""

import sys


def take_off(home: str) -> None:
    """At the start of a command. A checkout of the package at `home`, in which one stands, is kept, as the last."""
    if sys.argv[:1] != ["-m"] or sys.flags.safe_path or not sys.path:
        return  # so it stands while `python -m` looks for what it is to run; -P puts no folder there
    first = sys.path.pop(0)
    if first == home:
        sys.path.append(first)
