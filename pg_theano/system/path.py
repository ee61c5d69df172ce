"""The folder that Python puts first on its path: taken off before anything else is imported.

Of `python -m` it is the one in which one stands, of the installed script that of the programs. Imports nothing but
`sys`, not even `__future__`, which may lie in that folder too.
"""

import sys

SCRIPT = "pg-theano"
IS_SCRIPT = bool(sys.argv) and sys.argv[0].replace("\\", "/").rpartition("/")[2] in (SCRIPT, f"{SCRIPT}.exe")
IS_COMMAND = IS_SCRIPT or sys.argv[:1] == ["-m"]  # so it stands while `python -m` looks for what it is to run
TAKEN: list[str] = []  # the folder in which one stands, where it was taken off


def take_off(home: str) -> None:
    """At the start of a command. A checkout of the package at `home`, in which one stands, is kept, as the last."""
    if not IS_COMMAND or sys.flags.safe_path or not sys.path:  # -P puts no folder there
        return
    first = sys.path.pop(0)
    if not IS_SCRIPT:
        (sys.path if first == home else TAKEN).append(first)


def put_back(folder: str) -> None:
    """As the last, once a module that the user named was found in it; in worker processes too, which begin with -P."""
    if (folder in TAKEN or IS_SCRIPT or sys.flags.safe_path) and folder not in sys.path:
        sys.path.append(folder)
