"""The display of a run in a notebook, updated in place; an interrupted cell saves the run.

IPython is imported only where its kernel runs us. On a terminal and in scripts nothing of this is used.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.config.knobs import Config
from pg_theano.reports import screen
from pg_theano.system import stopping
from pg_theano.system.console import printable
from pg_theano.training import display, run
from pg_theano.training.display import Display, Plain, Screen

EVERY = 0.5
"""Seconds between two pictures, at least."""
SHARE = 1 / 80
"""Drawing takes at most this share of the time: after a slow picture, the next one comes later."""
MOST_EVENTS, MOST_POINTS = 200, 1024


class Result(run.Result):
    """What a run left, which a notebook shows as its curve and a table."""

    def _repr_html_(self) -> str:
        return shown([(self.folder, self.figures)])


def is_here() -> bool:
    """Whether a notebook's kernel runs this. A kernel has imported IPython already, so nothing is imported here."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def shown(found: Sequence[tuple[Path, Mapping[str, Any]]]) -> str:
    """Results as HTML."""
    from pg_theano.reports.pages import cells

    return cells.of_results(found)


class Beside(NamedTuple):
    """Results that a notebook shows beside each other: a curve and a row of the table for each."""

    results: Sequence[run.Result]

    def _repr_html_(self) -> str:
        return shown([(one.folder, one.figures) for one in self.results])


def displayed(train: Callable[[Display], Result]) -> Result:
    """Train with a display of its own below the cell. The cell's interrupt ends the run as Ctrl-C does a command.

    A second interrupt, while it is saved, is let pass; a third one raises `KeyboardInterrupt` wherever it is.
    """
    cell = Cell()
    with stopping.listening(in_kernel=True):
        try:
            result = train(cell)
        except BaseException as error:
            cell.failed(error)
            raise
        cell.finish(result)
    return result


class Cell:
    """The output of one call. It makes the screens, which all share one display."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.folded = 0
        self.title = ""
        self.latest: Told | None = None  # the screen that was told of an update last
        self.lines: list[tuple[list[float], list[float]]] = []
        self.left: Path | None = None
        self.due = 0.0
        self._handle: Any = None

    def __call__(self, title: str) -> Screen:
        self.title, self.latest, self.lines = title, None, []
        return Told(self)

    def say(self, text: str) -> None:
        self.events.append(printable(text))
        if len(self.events) > MOST_EVENTS:
            self.folded += 1
            self.events.pop(next((i for i, one in enumerate(self.events) if not one.startswith("warning")), 0))

    def draw_when_due(self) -> None:
        now = time.perf_counter()
        if now >= self.due:
            self.draw()
            self.due = now + max(EVERY, (time.perf_counter() - now) / SHARE)

    def draw(self) -> None:
        from pg_theano.reports.pages import cells

        rows = self.latest.rows() if self.latest else []
        self._show(cells.of_progress(self.title, rows, self.lines, self.events), self.title)

    def finish(self, result: run.Result) -> None:
        """Show the outcome in place of the progress."""
        interrupted = result.figures["status"] == "interrupted"
        lines = [one for one in screen.closing(result.folder, result.figures, result.plot) if "to go on: " not in one]
        self._end(lines, result.folder if interrupted else None)

    def failed(self, error: BaseException) -> None:
        """Say that the run ended without a result. The notebook itself shows the error below."""
        words = "interrupted" if isinstance(error, KeyboardInterrupt) else f"ended by {type(error).__name__}"
        self._end([f"{self.title or 'before it began'}: {words}"], self.left)

    def _end(self, outcome: Sequence[str], left: Path | None) -> None:
        from pg_theano.reports.pages import cells

        more = cells.how_to_go_on(left) if left is not None else ""
        self._show(cells.of_end(outcome, self.events, self.folded, more), "\n".join(outcome))

    def _show(self, html: str, words: str) -> None:
        bundle = {"text/html": html, "text/plain": printable(words)}
        if self._handle is None:
            from IPython.display import display as begin

            self._handle = begin(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


class Told(Plain):
    """The screen of one run in a cell."""

    def __init__(self, cell: Cell, agent: str | None = None):
        self.cell, self.agent = cell, agent
        self.points: tuple[list[float], list[float]] = ([], [])
        self.every, self.number = 1, 0
        self.pace = screen.Pace()
        self.updates: int | None = None  # of the newest checkpoint
        self.told: tuple[Mapping[str, Any], float] = {}, 0.0

    def of_agent(self, config: Config, path: Path) -> Screen:
        return Told(self.cell, path.name)

    def event(self, text: str) -> None:
        self.cell.say(text)
        self.cell.draw_when_due()

    def update(self, record: Mapping[str, Any], budget: float) -> None:
        if record["return_mean"] is not None:
            self._remember(record["env_steps"], record["return_mean"])
        if "evaluation_mean" in record:
            self.cell.say(display.line_of(record))
        self.pace.begin(budget)
        self.told, self.cell.latest = (record, budget), self
        self.cell.draw_when_due()

    def rows(self) -> list[tuple[str, str]]:
        """(name, value) of the last update, made only when a picture is due."""
        record, budget = self.told
        saved = [] if self.updates is None else [("saved", f"after {self.updates:,} updates")]
        agent = [] if self.agent is None else [("agent", self.agent)]
        return [*agent, *screen.rows_of(record, budget, self.pace.left(budget)), *saved]

    def _remember(self, steps: float, value: float) -> None:
        if not self.number:
            self.cell.lines.append(self.points)
        if self.number % self.every == 0:
            self.points[0].append(steps)
            self.points[1].append(value)
        self.number += 1
        if len(self.points[0]) > MOST_POINTS:
            for column in self.points:
                column[:] = column[::2]
            self.every *= 2

    def saved(self, updates: int) -> None:
        self.updates = updates

    def go_on_with(self, path: Path) -> None:
        self.cell.left = path

    def close(self) -> None:
        pass
