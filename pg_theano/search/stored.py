"""Trials read back from a study, held to what a search writes: a stranger may have written it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from pg_theano.runs import recorded
from pg_theano.search.axes import Axis, label
from pg_theano.types import UserError

TrialState = Literal["running", "complete", "pruned", "failed"]
STATES: dict[str, TrialState] = {
    "RUNNING": "running", "WAITING": "running", "COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed",
}  # fmt: skip


class Trial(NamedTuple):
    """One candidate and what became of it."""

    number: int
    params: dict[str, Any]
    state: TrialState = "running"
    score: float | None = None  # of a pruned one, at its last rung
    facts: dict[str, Any] = {}  # batch, repeat, seeds, scores, seconds, env_steps, reason
    rungs: dict[int, float] = {}  # rung -> score there


class Facts(recorded.Recorded):
    """What is recorded of a trial beside its parameters, its state and its score."""

    batch: recorded.Natural
    seeds: Annotated[list[recorded.Natural], Field(min_length=1)]
    scores: list[recorded.Number] = []
    seconds: recorded.Seconds = 0.0
    env_steps: recorded.Natural = 0
    reason: str = ""


def trials_of(study: Any, axes: Sequence[Axis], place: str) -> list[Trial]:
    """Errors: `UserError` for a trial that no search writes."""
    try:
        found = [_thawed(one, axes) for one in study.get_trials(deepcopy=False)]
    except Exception as error:  # whatever follows from numbers and objects in each other's place
        raise unreadable(place, error) from None
    for trial in found:
        recorded.checked(Facts, trial.facts, Path(place), f"trial {trial.number}")
    return found


def _thawed(frozen: Any, axes: Sequence[Axis]) -> Trial:
    values, state = frozen.values, STATES[frozen.state.name]
    score = float(values[0]) if values and math.isfinite(values[0]) else None
    if state == "complete" and score is None:
        raise ValueError(f"trial {frozen.number} is complete without a score")
    return Trial(
        frozen.number,
        decoded(frozen.params, axes),
        state,
        score,
        {name: value for name, value in frozen.user_attrs.items() if name != "result"}
        | (frozen.user_attrs.get("result", {}) if frozen.state.is_finished() else {})
        | ({"reason": frozen.user_attrs.get("result", {}).get("reason", "")} if state == "failed" else {}),
        {int(rung): float(value) for rung, value in frozen.intermediate_values.items()},
    )


def decoded(params: dict[str, Any], axes: Sequence[Axis]) -> dict[str, Any]:
    for axis in axes:
        if axis.choices is None and not axis.low <= params[axis.name] <= axis.high:
            raise ValueError(f"{axis.name} is {params[axis.name]}, outside of the space")
        if axis.choices is not None and params[axis.name] not in map(label, axis.choices):
            raise ValueError(f"{axis.name} is {params[axis.name]!r:.40}, no choice of the space")
    return {
        axis.name: params[axis.name]
        if axis.choices is None
        else next(choice for choice in axis.choices if label(choice) == params[axis.name])
        for axis in axes
    }


def unreadable(place: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"{place}: not a storage that Optuna can open ({reason}); expected what pg_theano.search wrote")
