"""What a run is worth, in one number: its final evaluation, its learning curve, or its env steps until solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pg_theano.config.knobs import Config
from pg_theano.types import UserError

UNSOLVED = 2.0  # budgets that a run counts as which was not solved
OBJECTIVES = {
    "evaluation": "evaluation (return)",
    "learning_curve": "mean return while training",
    "steps_to_solve": "steps to solve",
}


def steps_to_solve(figures: Mapping[str, Any], config: Config) -> float:
    """Env steps until solved; of an unsolved run `UNSOLVED` times its budget, whatever it spent."""
    if figures["threshold"] is None:
        raise UserError(f"{figures['environment']}: has no registered threshold; set solved.threshold")
    if figures["status"] == "solved":
        return float(figures["env_steps"])
    assert config.budget.env_steps is not None  # noqa: S101 - the settings see to it
    return UNSOLVED * config.budget.env_steps


def learning_curve(records: Sequence[Mapping[str, Any]], figures: Mapping[str, Any], config: Config) -> float:
    """The area under the mean return of an update, over the budget: a mean return per env step, or per update.

        A = 1/B · Σ_k R_k·(x_{k+1} − x_k),   x in env steps where the budget has them, else in updates

    A run that was solved before its budget B was spent holds its final evaluation from there on. Updates in which no
    episode ended hold the return before.
    """
    by_steps = config.budget.env_steps is not None
    budget = float((config.budget.env_steps if by_steps else config.budget.updates) or len(records))
    area, before, held = 0.0, 0.0, None
    for i, record in enumerate(records):
        x = min(float(record["env_steps"]) if by_steps else i + 1.0, budget)
        held = record["return_mean"] if record["return_mean"] is not None else held
        if held is not None:
            area += held * (x - before)
            before = x
    if held is None:
        raise UserError("no episode ended; there is no learning curve")
    rest = figures["evaluation"]["mean"] if figures["status"] == "solved" else held
    return (area + rest * (budget - before)) / budget
