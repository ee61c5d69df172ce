"""What chapters show: a few lines or dots on bare axes, or a table, each in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pg_theano.exact.card import HEADS, Card, cells
from pg_theano.reports.plots import COLOURS, LINES, MARKERS, bare


def panels(*titles: str, height: float = 3.2) -> tuple[Figure, list[Any]]:
    """A figure and its axes, side by side, one to a title."""
    figure = Figure(figsize=(min(10.0, 4.6 * len(titles) + 0.6), height), layout="constrained")
    axes = [bare(one) for one in np.atleast_1d(figure.subplots(1, len(titles)))]
    for one, title in zip(axes, titles, strict=True):
        one.set_title(title, fontsize=10, loc="left")
    return figure, axes


def lines(axes: Any, x: Any, curves: Mapping[str, Any], x_label: str, y_label: str = "") -> None:
    """Curves over one x, told apart by colour and by dashes."""
    for k, (name, y) in enumerate(curves.items()):
        axes.plot(x, y, color=COLOURS[k % len(COLOURS)], linestyle=LINES[k % len(LINES)], label=name)
    axes.set_xlabel(x_label, fontsize=9)
    axes.set_ylabel(y_label, fontsize=9)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=8)


def dots(axes: Any, names: Sequence[str], values: Sequence[Sequence[float]], x_label: str) -> None:
    """One row to a name, one dot to a value (a seed)."""
    for k, row in enumerate(values):
        axes.plot(row, np.full(len(row), -k), MARKERS[k % len(MARKERS)], color=COLOURS[k % len(COLOURS)], alpha=0.8)
    axes.set_yticks(-np.arange(len(names)), names)
    axes.set_xlabel(x_label, fontsize=9)


def table(cards: Mapping[str, Card]) -> str:
    """Cards as text, one row to a name."""
    heads = [f"{head:>{max(9, len(head) + 2)}}" for head in HEADS]
    rows = [
        f"{name:<20}" + "".join(cell.rjust(len(head)) for cell, head in zip(cells(one), heads, strict=True))
        for name, one in cards.items()
    ]
    return "\n".join([" " * 20 + "".join(heads), *rows])
