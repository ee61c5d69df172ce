"""A page that is kept up to date while it trains: `python -m pg_theano.train --live live.html`. A file, no server."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pg_theano.config.knobs import Config
from pg_theano.config.reading import to_dict
from pg_theano.reports.pages import html, training, whole
from pg_theano.runs import curves, seeds
from pg_theano.system.console import say
from pg_theano.system.writing import write_atomically
from pg_theano.training.display import Display, Plain, Screen
from pg_theano.training.run import Result
from pg_theano.types import Array, UserError

EVERY = 2.0
"""Seconds between two pages, at least."""
SHARE = 1 / 80
"""Drawing takes at most this share of the time: after a slow page, the next one comes later."""
MOST_RECORDS, EVENTS = 1000, 14

Left = TypeVar("Left", bound=Result)


def with_page(file: str | os.PathLike[str], display: Display, train: Callable[[Display], Left]) -> Left:
    """Train with a page beside the display; in the end it becomes the report."""
    page = Page(file)
    try:
        result = train(page.around(display))
    except BaseException:
        page.write(False)
        raise
    page.finish(result.folder, play=result.figures["status"] != "interrupted")  # who asked it to stop does not wait
    return result


class Page:
    """The page of one command, from its first update to its report. A page that fails warns once; training goes on."""

    def __init__(self, file: str | os.PathLike[str]):
        self.file = whole.checked(Path(file))
        self.seen: dict[Path, Seen] = {}  # by folder, in the order that they began
        self.events: list[str] = []
        self.budget, self.broken, self.seeds = 0.0, False, 1
        self.due = time.perf_counter()
        self._configs: tuple[int, str] = (0, "")

    def around(self, display: Display) -> Display:
        """A display whose screens tell this page, too, what they are told."""
        return lambda title: Watched(self, display(title))

    def draw_when_due(self) -> None:
        now = time.perf_counter()
        if now >= self.due:
            try:
                self.write(True)
            except Exception as error:
                self._fails(f"the page cannot be made ({type(error).__name__}: {error})")
            took = time.perf_counter() - now
            self.due = now + max(EVERY, took / SHARE)  # a busy machine lengthens both alike

    def write(self, goes_on: bool) -> None:
        """Write the page of what is recorded. While training goes on, the browser loads it again and again."""
        if self.broken:
            return
        trained = [seen.trained() for seen in self.seen.values() if seen.records]
        lead = f'<p class="soft">{html.text(self._state(goes_on, bool(trained)))}</p>'
        said = html.section("said", "What it said", f"<pre>{html.text(chr(10).join(self.events))}</pre>")
        refresh = EVERY if goes_on else None
        if not trained:
            names = ", ".join(path.name for path in self.seen) or "training"
            return self._put(html.page(names, lead, [said], refresh=refresh))
        same = len({str(sorted(one.config.items())) for one in map(_seedless, trained)}) == 1
        if self.seeds > 1 or (len(trained) > 1 and same):
            trained = [_together(trained)]
        if self._configs[0] != len(trained):
            self._configs = len(trained), whole.config_section(trained)
        sections = [training.overview(trained), training.curves_section(trained), said, self._configs[1]]
        self._put(html.page(", ".join(one.name for one in trained), lead, sections, refresh=refresh))

    def _state(self, goes_on: bool, recorded: bool) -> str:
        """How far the training is, and the time: where the process was killed, that time stands still."""
        if not goes_on:
            return "The training was stopped." if recorded else "The training ended before its first update."
        spent = f"{100 * self.budget:.0f} % of the budget is spent"
        if not recorded:
            state = "Starting: nothing is recorded yet."
        elif self.seeds > 1:
            state = f"Training: seed {len(self.seen)} of {self.seeds}, of which {spent}."
        else:
            state = f"Training: {spent}."
        return f"{state} Written at {time.strftime('%H:%M:%S')}; where this time stands still, nothing trains any more."

    def _put(self, content: str) -> None:
        """Replace the file at once. It is not synced to the disk: the training would wait for that."""
        try:
            write_atomically(self.file, content.encode(), durable=False)
        except OSError as error:
            self._fails(f"cannot be written ({error.strerror or error})")

    def finish(self, folder: Path, *, play: bool = True) -> None:
        """Write the report of what was trained in the page's place."""
        if not self.broken:
            try:
                trained = whole.read([folder])
                whole.written(self.file, whole.page(trained[0].name, whole.sections(trained, play=play)))
            except UserError as error:  # nothing was recorded
                say(f"warning: {error}", sys.stderr)
            except Exception as error:  # the run has ended well, and says so
                self._fails(f"the page cannot be made ({type(error).__name__}: {error})")

    def _fails(self, how: str) -> None:
        self.broken = True
        say(f"warning: {self.file}: {how}", sys.stderr)


class Watched(Plain):
    """A screen that passes on what it is told, to a page and to the screen inside it."""

    def __init__(self, page: Page, inner: Screen):
        self.page, self.inner = page, inner
        self.seen: Seen | None = None

    def begins(self, config: Config, path: Path) -> None:
        self.seen = self.page.seen[path] = Seen(config, path)
        if (path.parent / seeds.PLAN).is_file():
            self.page.seeds = seeds.read_plan(path.parent)[0].runs
        self.inner.begins(config, path)
        self.page.draw_when_due()

    def of_agent(self, config: Config, path: Path) -> Screen:
        agent = Watched(self.page, self.inner.of_agent(config, path))
        agent.begins(config, path)
        return agent

    def event(self, text: str) -> None:
        self.page.events = [*self.page.events, text][-EVENTS:]
        self.inner.event(text)
        if self.seen is not None and not self.seen.records:
            self.page.draw_when_due()

    def update(self, record: Mapping[str, Any], budget: float) -> None:
        self.inner.update(record, budget)
        if self.seen is not None:
            self.seen.add(record)
            self.page.budget = budget
            self.page.draw_when_due()

    def saved(self, updates: int) -> None:
        self.inner.saved(updates)

    def close(self) -> None:
        self.inner.close()


class Seen:
    """The records of one run. Where they become many, every second one is kept, then every fourth, ..."""

    def __init__(self, config: Config, path: Path):
        self.config, self.path = to_dict(config), path
        self.every, self.records = 1, _recorded(path)

    def add(self, record: Mapping[str, Any]) -> None:
        update = record["update"]
        while self.records and self.records[-1]["update"] >= update:  # written before a kill, and now anew
            self.records.pop()
        if update % self.every == 0 or "evaluation_mean" in record:
            self.records.append(record)
        if len(self.records) > MOST_RECORDS:
            self.every *= 2
            kept = [one for one in self.records if one["update"] % self.every == 0 or "evaluation_mean" in one]
            self.records = kept if len(kept) <= MOST_RECORDS // 2 else self.records[::2]

    def trained(self) -> training.Trained:
        run = curves.Run(self.path.name, [self._columns()], [{}], False)
        return training.Trained(run.name, self.path, self.config, run, [{}], [self.path])

    def _columns(self) -> dict[str, Array]:
        names = dict.fromkeys(name for record in self.records for name in record)
        return {
            name: np.array([record.get(name) for record in self.records], dtype=np.float64)  # None becomes NaN
            for name in names
        }


def _recorded(path: Path) -> list[Mapping[str, Any]]:
    """The records of a resumed run; none of a new one."""
    file = path / "metrics.jsonl"
    if not file.is_file() or not file.stat().st_size:
        return []
    columns = curves.read_metrics(path)
    every = max(-(-columns["update"].size // (MOST_RECORDS // 2)), 1)
    rows = [{name: float(column[i]) for name, column in columns.items()} for i in range(columns["update"].size)]
    return [{k: v for k, v in row.items() if not np.isnan(v)} for row in rows[::every]]


def _seedless(one: training.Trained) -> training.Trained:
    return one._replace(config={key: value for key, value in one.config.items() if key not in ("seed", "name")})


def _together(trained: list[training.Trained]) -> training.Trained:
    """Runs that differ in their seed, as one."""
    name = trained[0].path.parent.name
    run = curves.Run(name, [one.run.seeds[0] for one in trained], [{} for _ in trained], True)
    folders = [one.path for one in trained]
    return training.Trained(name, folders[0].parent, trained[0].config, run, [{} for _ in trained], folders)
