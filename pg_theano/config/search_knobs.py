"""The knobs of a search of hyper-parameters: the section `search` of its file."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pg_theano.config.kinds import Count, Finite, Positive, Section, knob, wrong

Share = Annotated[float, Field(gt=0, lt=1)]


WIDEST = 1e100
"""Of a range: what lies beyond cannot be subtracted or drawn."""


class Range(Section):
    """One hyper-parameter of the space: from low to high, or choices."""

    low: Finite | None = knob(None, "lowest value")
    high: Finite | None = knob(None, "highest value")
    log: bool = knob(False, "even steps of the logarithm")
    integer: bool = knob(False, "whole numbers only")
    choices: list[Any] | None = knob(None, "instead of low and high", min_length=2)
    points: int | None = knob(None, "of this one in a grid; null: the method's number", ge=2, le=1000)
    threshold: Share | None = knob(None, "cho: of this one alone; null: search.cho.threshold")

    @model_validator(mode="after")
    def complete(self) -> Range:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.integer:
                raise wrong(
                    "choices", "got low, high, log or integer with them; expected choices alone; try without the rest"
                )
            if len({json.dumps(choice, sort_keys=True) for choice in self.choices}) < len(self.choices):
                raise wrong("choices", "got one twice; expected different ones; try without it")
            return self
        for name in ("low", "high"):
            if getattr(self, name) is None:
                raise wrong(name, "missing", "low and high, or choices", "{low: 0.1, high: 0.9}")
        assert self.low is not None and self.high is not None  # noqa: S101 - for mypy
        if self.low >= self.high:
            raise wrong(
                "low", f"got {self.low:g}; expected less than high, which is {self.high:g}; try exchanging them"
            )
        if self.log and self.low <= 0:
            raise wrong(
                "low", f"got {self.low:g}, which has no logarithm; expected a number above 0; try {self.high / 1000:g}"
            )
        if max(-self.low, self.high) > WIDEST or (self.log and self.low < 1 / WIDEST):
            least = 1 / WIDEST if self.log else -WIDEST
            numbers = f"numbers from {least:g} to {WIDEST:g}"
            raise wrong("low", f"got {self.low:g} to {self.high:g}; expected {numbers}; try a narrower range")
        if self.integer and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise wrong(
                "low",
                f"got {self.low:g} to {self.high:g}; expected whole numbers, as integer is true; try integer: false",
            )
        return self


class SearchBudget(Section):
    trials: Count | None = knob(100, "stop after so many trials")
    seconds: Positive | None = knob(None, "begin no further batch after so many seconds")


class Grid(Section):
    points: int = knob(3, "values of each number; choices are all taken", ge=2, le=1000)


class Cho(Section):
    points: int = knob(3, "values of each number in a round's grid", ge=3, le=1000)
    shrink: Share = knob(0.5, "what a range and its step are multiplied by after a round")
    threshold: Share = knob(0.02, "done when a step is under it; a share of the whole range")
    repeats: int = knob(1, "trials of each point, on seeds of their own", ge=1, le=1000)
    order: Literal["together", "in_turn"] | list[list[str]] = knob(
        "together", "one grid of all; a round of each in turn; or of groups, such as [[a, b], [c]]"
    )


class Search(Section):
    method: Literal["cho", "bayesian", "tpe", "gp", "random", "grid"] = knob(
        "cho", "coarse to fine; Gaussian process; Optuna's two; the baselines"
    )
    space: dict[str, Range] = Field(description="knob: {low, high, log, integer} or {choices}")
    objective: Literal["evaluation", "learning_curve", "steps_to_solve"] = knob(
        "evaluation", "final evaluation; mean return while training; env steps until solved"
    )
    budget: SearchBudget = SearchBudget()
    batch: int = knob(8, "candidates asked for at once; not the number of workers", ge=1, le=10_000)
    workers: int = knob(1, "processes that evaluate; the outcome does not depend on it", ge=1, le=1024)
    cluster: str | None = knob(None, "Dask's scheduler instead, such as tcp://host:8786")
    seeds_per_trial: int = knob(1, "runs of each candidate; its score is their mean", ge=1, le=1000)
    pruning: Literal["none", "median", "successive_halving"] = knob(
        "none", "which candidates of a batch end early, at rungs that all of it reach"
    )
    rungs: list[Share] = knob([0.25, 0.5], "pruning: shares of a run's budget", min_length=1)
    storage: str | None = knob(None, "an RDB address, such as sqlite:///s.db; null: a journal file")
    grid: Grid = Grid()
    cho: Cho = Cho()

    @model_validator(mode="after")
    def fits_together(self) -> Search:
        if not self.space:
            raise wrong(
                "space",
                "is empty; expected a knob at least; try schedules.learning_rate.initial: {low: 0.001, high: 0.1}",
            )
        if self.pruning != "none" and self.method in ("cho", "grid"):
            raise wrong("pruning", f"{self.method} needs every point's whole outcome; expected none; try none")
        if self.pruning != "none" and self.objective != "evaluation":
            raise wrong(
                "pruning",
                f"got {self.pruning}, which compares evaluations, with search.objective={self.objective}; expected "
                "none; try objective: evaluation",
            )
        if sorted(set(self.rungs)) != self.rungs:
            raise wrong("rungs", f"got {self.rungs}; expected rising shares of the budget; try [0.25, 0.5]")
        if self.budget.trials is None and self.budget.seconds is None and self.method not in ("cho", "grid"):
            raise wrong(
                "budget",
                f"got no trials and no seconds, and {self.method} goes on for ever; expected one; try trials: 100",
            )
        if self.storage is not None and "://" not in self.storage:
            raise wrong("storage", f"got {self.storage}; expected an RDB address; try sqlite:///search.db")
        if isinstance(self.cho.order, list):
            named = [name for group in self.cho.order for name in group]
            if sorted(named) != sorted(self.space) or not all(self.cho.order):
                raise wrong("cho.order", "expected every knob of the space in one group, and no other; try together")
        return self
