"""Where the knobs of a run changed while it trained: rings on its curves, and a list in words."""

from collections.abc import Sequence

import numpy as np

from pg_theano.reports.pages import html
from pg_theano.runs.changes import Change
from pg_theano.runs.curves import Curve
from pg_theano.types import Array

MOST = 50
"""Changes that a page shows of one run."""


def rings(changes: Sequence[Change], columns: dict[str, Array], x: str, y: str) -> Curve | None:
    """The points of a run's curve at which a knob changed; None where there is none."""
    if not changes or not {"update", x, y} <= columns.keys():
        return None
    real = np.isfinite(columns[x]) & np.isfinite(columns[y])
    updates, across, up = (columns[name][real] for name in ("update", x, y))
    before = np.searchsorted(updates, sorted({one.update for one in changes[:MOST]})) - 1
    at = np.unique(before[before >= 0])
    return Curve(across[at], up[at], up[at], up[at]) if at.size else None


def in_words(named: Sequence[tuple[str, Sequence[Change]]]) -> str:
    """A list of what changed, of runs with their names; "" where nothing did."""
    several = len(named) > 1
    lines = [f"{name}: {one}" if several else str(one) for name, changes in named for one in changes[:MOST]]
    items = "".join(f"<li>{html.text(line[:300])}</li>" for line in lines)
    return f"<p>Rings: knobs that changed while it trained.</p><ul>{items}</ul>" if items else ""
