"""The display of a training run on a terminal, redrawn in place; elsewhere one line for each event."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from pg_theano.runs.figures import mean_and_std, shown
from pg_theano.system.console import printable
from pg_theano.training.display import Plain, Screen, line_of, to_go_on

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: list[float], width: int = 48) -> str:
    """The last `width` values (more are averaged together) as bars from lowest to highest."""
    if not values:
        return ""
    if len(values) > width:
        edges = [round(i * len(values) / width) for i in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    low, high = min(values), max(values)
    return "".join(BARS[round((v - low) / (high - low) * 7) if high > low else 3] for v in values)


MOST_RETURNS = 2048


class LiveScreen(Plain):
    """On a terminal: return, its sparkline, speed, schedules and time left, redrawn eight times a second."""

    def __init__(self, file: TextIO, title: str):
        from rich.console import Console
        from rich.live import Live

        super().__init__(file)
        self.title = title
        self.returns: list[float] = []  # every so many, so that it is no longer than a sparkline needs
        self.every, self.number = 1, 0
        self.pace = Pace()
        self.on_disk: int | None = None  # updates of the newest checkpoint
        self.last: tuple[Mapping[str, Any], float] | None = None  # record and share of the budget, as shown
        self.live = Live(console=Console(file=file), auto_refresh=False, transient=True)
        self.live.start()

    def evaluating(self, ended: int, episodes: int) -> None:
        now = time.monotonic()
        if self.last and now - self._last >= 0.5:
            self._last = now
            words = [("evaluating", f"{ended} of {episodes} episodes")]
            self.live.update(self._picture(*self.last, words), refresh=True)

    def saved(self, updates: int) -> None:
        self.on_disk = updates

    def event(self, text: str) -> None:
        text = printable(text)
        self.live.console.print(
            text, highlight=False, markup=False, emoji=False, no_wrap="evaluation" in text, overflow="ellipsis"
        )

    def update(self, record: Mapping[str, Any], budget: float) -> None:
        if record["return_mean"] is not None:
            self._remember(record["return_mean"])
        now = time.monotonic()
        if "evaluation_mean" in record:
            self.event(line_of(record))
        if now - self._last >= 0.125:
            self._last, self.last = now, (record, budget)
            self.live.update(self._picture(record, budget), refresh=True)

    def _remember(self, value: float) -> None:
        if self.number % self.every == 0:
            self.returns.append(value)
        self.number += 1
        if len(self.returns) > MOST_RETURNS:
            self.returns, self.every = self.returns[::2], 2 * self.every

    def _picture(self, record: Mapping[str, Any], budget: float, more: Sequence[tuple[str, str]] = ()) -> Any:
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", justify="right")
        table.add_column()
        first, *others = rows_of(record, budget, self.pace.left(budget))
        rows = [first, ("", sparkline(self.returns)), *others]
        if self.on_disk is not None:
            rows.append(("saved", f"after {self.on_disk:,} updates"))
        for row in [*rows, *more]:
            table.add_row(*row)
        return Panel(table, title=Text(printable(self.title)), title_align="left", expand=False)

    def close(self) -> None:
        self.live.stop()


class Pace:
    """How long a run will take at most, from what it has taken since its first update."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None  # when the first update came, and the share of the budget then

    def begin(self, budget: float) -> tuple[float, float]:
        """Measure from here: compiling, and the parts before a resume, had another pace."""
        self.first = self.first or (time.monotonic(), budget)
        return self.first

    def left(self, budget: float) -> float:
        """Seconds left; infinite as long as nothing is known."""
        since, then = self.begin(budget)
        gained = budget - then
        return (time.monotonic() - since) * (1 - budget) / gained if gained > 0 else float("inf")


def make(file: TextIO, title: str) -> Screen:
    return LiveScreen(file, title) if file is not None and file.isatty() else Plain(file)


class LiveTable(Plain):
    """On a terminal: a table below the lines of events, redrawn in place."""

    def __init__(self, file: TextIO):
        from rich.console import Console
        from rich.live import Live

        super().__init__(file)
        self.live = Live(console=Console(file=file), auto_refresh=False, transient=True)
        self.live.start()

    def event(self, text: str) -> None:
        self.live.console.print(printable(text), highlight=False, markup=False, emoji=False)

    def show(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(printable(title)), title_justify="left", expand=False)
        for column in columns:
            table.add_column(Text(printable(column)), justify="right", no_wrap=True, overflow="ellipsis")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self.live.update(table, refresh=True)

    def close(self) -> None:
        self.live.stop()


def rows_of(record: Mapping[str, Any], budget: float, left: float) -> list[tuple[str, str]]:
    """(name, value) of an update, as a live display shows them."""
    return [
        ("return", returned(record)),
        ("update", f"{record['update'] + 1:,}   {record['env_steps']:,} steps   {record['episodes']:,} episodes"),
        ("speed", f"{record['env_steps'] / max(record['seconds'], 1e-9):,.0f} steps/s"),
        *_of_learner(record),
        ("budget", f"{100 * budget:.0f} %   at most {duration(left)} left"),
    ]


def returned(record: Mapping[str, Any]) -> str:
    """The returns of the episodes that ended in an update."""
    if record["return_mean"] is None:
        return "no episode ended"
    return f"{shown(record['return_mean'])[0]}   (min {record['return_min']:g}, max {record['return_max']:g})"


def _of_learner(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows of a population, or of a learner by gradients."""
    if "spread" in record:
        best = "best {}   best quarter {}".format(*shown(record["fitness_best"], record["fitness_elites"]))
        moved = f"spread {record['spread']:.3g}   mean moved by {record['gradient_norm']:.3g}"
        return [("generation", f"{best}   {moved}")]
    episodes = f"   episodes {record['episodes_per_update']}" if "episodes_per_update" in record else ""
    rates = f"learning rate {record['learning_rate']:.4g}   exploration {record['exploration_rate']:.3g}"
    numbers = f"entropy {record['entropy']:.3f}   gradient {record['gradient_norm']:.3g}"
    return [("cost", f"{record['cost']:.4g}   {numbers}"), ("schedules", rates + episodes)]


def duration(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def closing(folder: Path, figures: Mapping[str, Any], plot: Path | None) -> list[str]:
    """The last lines: the outcome, where things are, what to do next."""
    if "solved" in figures:
        mean = figures["evaluation"]["mean"]
        lines = ["no run was evaluated"]
        if mean is not None:
            lines = [
                f"{figures['solved']} of {figures['runs']} runs solved; evaluation "
                f"{mean_and_std(figures['evaluation'])} over seeds; median {figures['env_steps']['median']:,.0f} steps"
            ]
    else:
        evaluation = figures["evaluation"]
        seconds = figures["seconds"]
        lines = [
            f"{figures['status']} ({figures['stop_reason']}): {figures['updates']} updates, "
            f"{figures['env_steps']:,} steps, {figures['steps_per_second']:,.0f} steps/s"
            + (f"; {evaluation['n']} greedy episodes: {mean_and_std(evaluation)}" if evaluation else "")
        ]
        lines.append("seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items()))
    if figures["status"] == "interrupted":
        lines.append(f"to go on: {to_go_on(folder)}")
    lines.append(f"run: {folder}" + (f"   plot: {plot}" if plot else ""))
    return lines
