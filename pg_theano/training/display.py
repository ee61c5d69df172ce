"""What a run says while it trains, to whatever shows it. A display changes nothing that is learned."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

from pg_theano.config.knobs import Config
from pg_theano.runs.figures import mean_and_std, shown
from pg_theano.system.console import printable, say


class Screen(Protocol):
    """Shows one run, or several that train at once."""

    def event(self, text: str) -> None:
        """Something that is worth a line."""

    def begins(self, config: Config, path: Path) -> None:
        """Begin to show the run of this config, in this folder."""

    def of_agent(self, config: Config, path: Path) -> Screen:
        """The screen of one of several runs that train at once."""

    def update(self, record: Mapping[str, Any], budget: float) -> None:
        """The record of an update, and the share of the budget that is spent."""

    def evaluating(self, ended: int, episodes: int) -> None:
        """So many of an evaluation's episodes have ended."""

    def saved(self, updates: int) -> None:
        """A checkpoint after so many updates is on the disk: no kill takes it away any more."""

    def go_on_with(self, path: Path) -> None:
        """The run in this folder was interrupted before its first update."""

    def close(self) -> None: ...


Display = Callable[[str], Screen]
"""Makes a screen with this title."""


PATIENCE = 5.0
"""Seconds of an evaluation before a line says how far it is."""


class Plain:
    """A line for every event and evaluation, and for an update or a checkpoint at most one a second."""

    _evaluating: float | None = None  # when it was last said how far this evaluation is, or when it began

    def __init__(self, file: TextIO):
        self.file = file
        self._last = self._last_saved = 0.0

    def event(self, text: str) -> None:
        try:
            say(printable(text), self.file)
        except OSError as error:  # which does not say of what
            raise OSError(error.errno, error.strerror, getattr(self.file, "name", "output")) from None

    def begins(self, config: Config, path: Path) -> None:
        pass

    def of_agent(self, config: Config, path: Path) -> Screen:
        return Quiet()

    def update(self, record: Mapping[str, Any], budget: float) -> None:
        now = time.monotonic()
        if "evaluation_mean" in record or now - self._last >= 1.0:
            self._last = now
            self.event(line_of(record))

    def evaluating(self, ended: int, episodes: int) -> None:
        now = time.monotonic()
        if self._evaluating is None or ended == episodes:
            self._evaluating = None if ended == episodes else now
        elif now - self._evaluating >= PATIENCE:
            self._evaluating = now
            self.event(f"evaluating: {ended} of {episodes} episodes")

    def saved(self, updates: int) -> None:
        now = time.monotonic()
        if now - self._last_saved >= 1.0:
            self._last_saved = now
            self.event(f"saved after {updates:,} updates")

    def go_on_with(self, path: Path) -> None:
        self.event(f"to go on: {to_go_on(path)}")

    def close(self) -> None:
        pass


class Quiet(Plain):
    """Says nothing. It takes a title, and so is a `Display` itself."""

    def __init__(self, title: str = ""):
        super().__init__(sys.stderr)

    def event(self, text: str) -> None:
        pass

    def update(self, record: Mapping[str, Any], budget: float) -> None:
        pass

    def evaluating(self, ended: int, episodes: int) -> None:
        pass


def to_go_on(path: Path) -> str:
    return f"python -m pg_theano.train --resume {path}"


def line_of(record: Mapping[str, Any]) -> str:
    """One record as one line."""
    text = f"update {record['update'] + 1:>5} {record['env_steps']:>11,} steps  "
    if record["return_mean"] is None:
        text += f"{'no episode ended':<23}"
    else:
        mean, std = shown(record["return_mean"], record["return_std"])
        text += f"return {mean:>7} ± {std:<6}"
    if "evaluation_mean" in record:  # before the rest: a narrow terminal shows 80 columns
        text += f" evaluation {mean_and_std(record, 'evaluation_')} "
    if "spread" in record:
        return f"{text} best {shown(record['fitness_best'])[0]}, spread {record['spread']:.3g}"
    return f"{text} cost {record['cost']:.4g}, entropy {record['entropy']:.3f}"
