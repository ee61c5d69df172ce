"""What a comparison finds: groups, their estimates, and which is better."""

from __future__ import annotations

from typing import NamedTuple

from pg_theano.runs.curves import Curve

RESAMPLES, RESAMPLES_OF_CURVES = 10_000, 2_000
FEW = 5
"""Seeds below which such an interval is too narrow to be believed; tests/test_aggregates.py says by how much."""
CURVES = {"evaluation": "evaluation_mean", "return": "return_mean"}


MOST_OF_A_NAME = 40
"""Characters of a group's name that are shown; its values may be a stranger's."""


def short(name: str) -> str:
    return name if len(name) <= MOST_OF_A_NAME else f"{name[: MOST_OF_A_NAME - 1]}…"


class Estimate(NamedTuple):
    """A number and its interval, which a single run of a task has not."""

    value: float
    low: float | None
    high: float | None


class Group(NamedTuple):
    """The runs of one value of the knob."""

    name: str
    scores: dict[str, list[float]]  # task -> of each run, in returns or steps
    iqm: Estimate  # on the scale of the comparison, as all that follows
    median: Estimate
    mean: Estimate
    gap: Estimate | None  # None where nobody knows what counts as solved
    profile: Curve  # x: thresholds τ; middle: the share of runs beyond
    efficiency: Curve | None  # x: env steps; middle: interquartile mean of the return


class Improvement(NamedTuple):
    """How likely a run of one group beats one of another."""

    better: str
    worse: str
    probability: Estimate  # at least ½, as `better` is whichever makes it so


class Comparison(NamedTuple):
    by: list[str]  # knobs
    score: str  # as in `search.objective`
    words: str  # what a score is measured in
    normalised: str  # none, solved, range
    bounds: dict[str, tuple[float, float]]  # task -> what counts as 0 and as 1
    target: float | None  # at which the optimality gap is 0
    lower_is_better: bool
    groups: list[Group]
    improvements: list[Improvement]
    also_differ: list[str]  # knobs beside `by` in which groups differ
    left_out: list[str]
    warnings: list[str]
    steps: str  # what the sample-efficiency curve's x is
    returns: str  # and its y
