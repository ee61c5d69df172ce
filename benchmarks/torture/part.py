"""What a part of the torture is: cells, each measured once and kept, and the rows that they make in the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Figures = dict[str, Any]
"""What a cell leaves: plain data. One that could not be measured has `error`, and is measured again next time."""


class Row(NamedTuple):
    """One promise in `benchmarks/reliability.md`."""

    promise: str  # what must hold, with its number: "500 SIGKILLs: no checkpoint unreadable"
    figure: str  # what was measured: "500 of 500 resumed, 0 unreadable"
    kept: bool  # whether the promise held
    beside: str = "–"  # what others do, measured, where it is known


class Part(NamedTuple):
    """Each file `parts/<name>.py` holds one, called PART; its first docstring line is its heading in the report."""

    cells: Mapping[str, Callable[[], Figures]]  # by name; small ones (a minute or two), so that little is lost
    rows: Callable[[Mapping[str, Figures]], list[Row]]  # of the cells that are there, all or some
