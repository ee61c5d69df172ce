"""Why a run did not learn: the usual reasons, tried against what it recorded of itself.

found = diagnose("runs/cartpole")
found.learned, found.said                       # whether it stands higher at its end than at its beginning
found.reasons                                   # [(reason, figure, knob, sentence)], the likeliest first
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config.knobs import Config
from pg_theano.environments import watchdog
from pg_theano.reports.reasons import REASONS, Evidence, Reason
from pg_theano.runs import curves, folder, policy_of_run, recorded
from pg_theano.runs import figures as metrics
from pg_theano.runs.curves import number
from pg_theano.types import Array, UserError

LEAST_UPDATES = 8
"""Of a shorter run nobody can say whether it learns."""
LEAST_SHARE = 0.15
"""Of the way from where a run began to its threshold: one that went less far did not learn."""

MOMENT = 0.2
"""Seconds of playing, to see how large observations are."""
TRACKS = (
    ("Greedy evaluations", "evaluation_mean", "evaluation_std", 2),
    ("Training returns", "return_mean", "return_std", 4),
)


class Diagnosis(NamedTuple):
    """Whether a run learned; if not, the reasons that its records bear out, the likeliest first. None: too short."""

    learned: bool | None
    said: str
    reasons: list[Reason]

    @property
    def first(self) -> str:
        """The likeliest reason, in a sentence."""
        return self.reasons[0].sentence if self.reasons else f"{self.said} None of the usual reasons shows."

    def plain(self) -> dict[str, Any]:
        return self._asdict() | {"reasons": [reason._asdict() for reason in self.reasons]}


def diagnose(run: str | os.PathLike[str], *, play: bool = True) -> Diagnosis:
    """Whether a run learned, and if not, why. `play`: its policy is played for a moment, to see observations.

    Errors: `UserError`: no run, no records, made by an older version.
    """
    if not isinstance(run, str | os.PathLike):
        raise UserError.at("run", f"got {run!r:.60}", "a run folder", "diagnose('runs/cartpole')")
    path = Path(run)
    if metrics.reached(result := curves.sound(folder.read_result(path) or {})):
        return Diagnosis(True, "It is solved.", [])
    folder.read_run(path)
    return of_records(path, curves.read_metrics(path), result, play=play)


def of_records(path: Path, columns: Mapping[str, Array], result: Mapping[str, Any], *, play: bool) -> Diagnosis:
    """The same of records and a result that are read already. Of a solved run nothing else is read."""
    if metrics.reached(result):
        return Diagnosis(True, "It is solved.", [])
    config, facts = folder.read_run(path)
    spec = recorded.spec_in(facts, path / "run.json")
    task = curves.numbers(facts.get("task") or {}, ["time_limit", "threshold"])
    found = Evidence(config, spec, task, columns, result)
    judged = tried(found)
    if judged.learned is False and play and not config.normalize.observations:
        judged = tried(found._replace(met=_met(path, config, facts)))
    return judged


def _met(path: Path, config: Config, facts: Mapping[str, Any]) -> tuple[Array, list[str]] | None:
    """Observations that the policy meets, and their features' names; None where it cannot be played."""
    from pg_theano.reports.pages import policies, policy_section  # only now: a run that learned does without

    try:
        policy = policy_of_run.load(path)
        with watchdog.watching(config.environment.timeout), np.errstate(all="ignore"):
            rows, *_ = policy_section.played(policy, config.environment, [Path(facts["folder"])], MOMENT)
            return rows, policies.names_of(policy)
    except Exception:  # an environment may do anything, and the other reasons do without
        return None


@np.errstate(all="ignore")  # what a file says may be of any size
def tried(found: Evidence) -> Diagnosis:
    """Every reason, in the order in which one brings about those that follow."""
    learned, said = standing(found)
    reasons = [] if learned is not False else [one for reason in REASONS if (one := reason(found)) is not None]
    return Diagnosis(learned, said, reasons)


def standing(found: Evidence) -> tuple[bool | None, str]:
    """Whether a run learned, and how that was told.

    It did if it is solved, or if its greedy evaluations or its training returns went up from its beginning (their first
    tenth) to its end (their last quarter): by `LEAST_SHARE` of the way to the threshold, or without one by a standard
    deviation of an episode's return; and by more than two standard errors, which is what chance does.
    """
    if metrics.reached(found.result):
        return True, "It is solved."
    if len(found.columns["record"]) < LEAST_UPDATES:
        return None, f"Fewer than {LEAST_UPDATES} updates: too short to say."
    went = [one for track in TRACKS if (one := _went(found, *track)) is not None]
    if not went:
        return None, "No episode ended: nothing says whether it learns."
    return any(up for up, _ in went), " ".join(words for _, words in went)


def _went(found: Evidence, name: str, column: str, spread: str, least: int) -> tuple[bool, str] | None:
    """Whether the returns of a column went up, and from where to where; None for fewer than `least` of them."""
    values, threshold = found.of(column), found.threshold
    if len(values) < least:
        return None
    begins, ends = max(1, len(values) // 10), max(1, len(values) // 4)
    first, last = float(values[:begins].mean()), float(values[-ends:].mean())
    deviation = float(found.of(spread).mean()) if found.of(spread).size else 0.0
    episodes = found.of("evaluation_episodes") if found.of("evaluation_episodes").size else np.ones(1)
    each = float(episodes.mean()) if column == "evaluation_mean" else 1.0  # episodes that a value is the mean of
    chance = 2 * deviation * math.sqrt(1 / (each * begins) + 1 / (each * ends))
    words = f"{name} went from {number(first)} to {number(last)}"
    if threshold is None:
        return last - first > max(deviation, chance), f"{words}, where episodes differ by {number(deviation)}."
    if threshold <= first:
        return last >= first - chance, f"{words}, and it is solved at {number(threshold)}."
    share = (last - first) / (threshold - first)
    up = share >= LEAST_SHARE and last - first > chance
    return up, f"{words}, {number(round(100 * share) + 0.0)}% of the way to {number(threshold)}."
