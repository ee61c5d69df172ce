"""What one sees of a search: a live table on a terminal, a line for each trial elsewhere. Changes nothing."""

from collections.abc import Sequence
from typing import Any, TextIO

from pg_theano.reports import screen
from pg_theano.search import study
from pg_theano.search.axes import label
from pg_theano.search.plan import Plan
from pg_theano.search.samplers import names
from pg_theano.search.stored import Trial

ROWS = 10  # best trials in the table, and as many of the last


class Display:
    """The display of a search, from its first trial to its last."""

    def __init__(self, file: TextIO):
        self.screen = screen.LiveTable(file) if file is not None and file.isatty() else screen.Plain(file)
        self.told: int | None = None

    def say(self, text: str) -> None:
        self.screen.event(text)

    def show(self, plan: Plan, trials: Sequence[Trial], seconds: float) -> None:
        ended = [trial for trial in trials if trial.state != "running"]
        if isinstance(self.screen, screen.LiveTable):
            title = headline(plan, trials, seconds)
            self.screen.show(title, *_table(plan, ended))
        else:
            for trial in ended[self.told or 0 :]:
                self.say(line_of(plan, trial))
        self.told = len(ended)

    def close(self) -> None:
        self.screen.close()


def headline(plan: Plan, trials: Sequence[Trial], seconds: float) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in study.counted(trials).items() if count)
    limit = plan.search.budget.trials
    of = f" of at most {limit}" if limit else ""
    return f"{plan.name}: {plan.search.method}, {len(trials)}{of} trials ({counts or 'none yet'}), {seconds:.0f} s"


def line_of(plan: Plan, trial: Trial) -> str:
    """One trial as one line."""
    score = trial.state if trial.score is None else number(trial.score)
    state = f" ({trial.state})" if trial.state == "pruned" else ""
    return f"trial {trial.number:>4}  {plan.search.objective} {score:>9}{state}  {described(plan, trial.params)}"


def described(plan: Plan, params: dict[str, Any]) -> str:
    short = names(plan.axes)
    return ", ".join(f"{name} {number(params[axis.name])}" for name, axis in zip(short, plan.axes, strict=True))


def number(value: Any) -> str:
    """`0.0123456` -> '0.01235', `475.0` -> '475', `[8]` -> '[8]'."""
    value = label(value)
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _table(plan: Plan, ended: Sequence[Trial]) -> tuple[list[str], list[list[str]]]:
    sign = -1.0 if plan.maximise else 1.0
    complete = [trial for trial in ended if trial.state == "complete"]
    leaders = sorted(complete, key=lambda trial: (sign * (trial.score or 0.0), trial.number))[:ROWS]
    first = {trial.number for trial in leaders[:1]}
    columns = ["trial", plan.search.objective, *names(plan.axes), "seconds"]
    rows = [
        [
            f"{'best ' if trial.number in first else ''}{trial.number}",
            trial.state if trial.score is None else number(trial.score),
            *(number(trial.params[axis.name]) for axis in plan.axes),
            f"{trial.facts.get('seconds', 0.0):.1f}",
        ]
        for trial in [*leaders, *[one for one in ended[-ROWS:] if one not in leaders]]
    ]
    return columns, rows
