"""Write docs/interactive/: the five pages to play with, of the package's own source.

python docs/interactive.py
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from pg_theano.reports.lessons import pages  # noqa: E402

if __name__ == "__main__":
    for path in pages.write(HERE / "interactive"):
        print(path.relative_to(HERE.parent).as_posix())
