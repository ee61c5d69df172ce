"""What a page says of the cost of an update: that its value is no measure."""

from collections.abc import Sequence

import numpy as np

from pg_theano.reports.pages import html
from pg_theano.runs.curves import Run, number


def in_words(trained: Sequence[tuple[str, Run]]) -> str:
    """A paragraph; of each run (name, run) whose cost rose with its return, from what to what. "" without a run."""
    if not trained:
        return ""
    words = (
        "The cost is a loss made so that its gradient is the policy's; its value is no measure of how good the policy "
        "is, since every update has it on other episodes."
    )
    for name, run in trained:
        ends = [found for column in ("cost", "return_mean") if (found := _ends(run, column))]
        if len(ends) == 2 and all(last > first for first, last in ends):
            cost, returns = (f"from {number(first)} to {number(last)}" for first, last in ends)
            words += f" In {name} it rose {cost} while the return rose {returns}: that is as it should be."
    return f'<p class="soft">{html.text(words)}</p>'


def _ends(run: Run, column: str) -> tuple[float, float] | None:
    """The mean over seeds of a column's first and last tenth; None where there are not two values."""
    parts = []
    for columns in run.seeds:
        values = columns.get(column, np.zeros(0))
        values = values[np.isfinite(values)]
        if len(values) < 2:
            return None
        part = max(1, len(values) // 10)
        parts.append((values[:part].mean(), values[-part:].mean()))
    first, last = np.mean(parts, axis=0)
    return float(first), float(last)
