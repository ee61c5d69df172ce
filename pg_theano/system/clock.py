"""When this process began to import the package."""

import time

BEGAN = time.perf_counter()
"""The seconds of a process's first run are counted from here."""
