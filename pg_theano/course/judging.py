"""From answers to a verdict: right; or wrong, and the misconception that gives the same answers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pg_theano.course.child import JUDGED_ON, KNOWS_NOTHING, THRESHOLD, unpacked
from pg_theano.course.exercise import Answer, Exercise, Misconception, cases_of
from pg_theano.types import Array

COARSE = {"float32": 2e-4, "float16": 3e-2}
"""The tolerance of answers in fewer digits, relative as the others."""
TELLS = 3
"""So many cases are fitted at least before a factor is believed."""


class Verdict(NamedTuple):
    """What is said of a submission."""

    right: bool
    misconception: str  # its name; "" where it is right, or where none fits
    said: str  # one line
    advice: str = ""
    shown_by: str = ""  # the smallest case that shows it


def parts_of(answer: Answer) -> list[Array]:
    """The arrays of an answer: a tuple's parts, or the one."""
    parts = answer if isinstance(answer, (tuple, list)) else [answer]
    return [np.asarray(one) for one in parts]


def flat(answer: Answer) -> Array:
    return np.concatenate([np.ravel(one).astype(float) for one in parts_of(answer)])


def tolerance_of(exercise: Exercise, answer: Answer) -> float:
    """As coarse as the coarsest part of an answer."""
    return max([exercise.tolerance, *(COARSE.get(str(one.dtype), 0.0) for one in parts_of(answer))])


def near(ours: Array, theirs: Array, tolerance: float) -> bool:
    """Whether all numbers agree, relative to the largest, at least 1. What is not finite agrees with nothing."""
    if ours.shape != theirs.shape or not np.isfinite(theirs).all() or not np.isfinite(ours).all():
        return False
    return float(np.abs(ours - theirs).max(initial=0)) <= tolerance * max(1.0, float(np.abs(ours).max(initial=0)))


class _Tried(NamedTuple):
    """All cases: what is right, and what was given."""

    cases: list[dict[str, Any]]
    right: list[Array]
    given: list[Array]
    tolerance: float

    def wrong(self) -> list[int]:
        """The cases that are answered wrongly, the smallest first."""
        found = [
            k for k, (a, b) in enumerate(zip(self.right, self.given, strict=True)) if not near(a, b, self.tolerance)
        ]
        return sorted(found, key=lambda k: (sum(np.size(one) for one in self.cases[k].values()), k))

    def fits(self, answers: list[Array], tolerance: float | None = None) -> bool:
        pairs = zip(answers, self.given, strict=True)
        return all(near(a, b, self.tolerance if tolerance is None else tolerance) for a, b in pairs)


def verdict(exercise: Exercise, found: dict[str, Any]) -> Verdict:
    """What is said of what a child process gave."""
    if "error" in found:
        return Verdict(False, "", found["error"])
    cases = cases_of(exercise)
    for case, one in zip(cases, found["answers"], strict=True):
        if "error" in one:
            return Verdict(False, "", one["error"], shown_by=shown(case))
    given = [unpacked(one) for one in found["answers"]]
    right = [exercise.definition(**case) for case in cases]
    for k, (ours, theirs) in enumerate(zip(right, given, strict=True)):
        if flat(ours).size != flat(theirs).size:  # a column is as good as a row
            return _of_another_shape(ours, theirs, cases[k])
    tolerance = max(tolerance_of(exercise, one) for one in given)
    tried = _Tried(cases, [flat(one) for one in right], [flat(one) for one in given], tolerance)
    if wrong := tried.wrong():
        return _named(exercise, tried, given)._replace(shown_by=_difference(tried, wrong[0]))
    return _of_learning(found["learned"]) if exercise.learns else Verdict(True, "", "right")


def _of_another_shape(ours: Answer, theirs: Answer, case: dict[str, Any]) -> Verdict:
    expected, got = (", ".join(str(list(one.shape)) for one in parts_of(answer)) for answer in (ours, theirs))
    return Verdict(False, "shape", f"returns an array of shape {got}; expected {expected}", shown_by=shown(case))


def _named(exercise: Exercise, tried: _Tried, given: list[Answer]) -> Verdict:
    """The misconception that gives these answers."""
    if any(not np.isfinite(one).all() for one in tried.given):
        return Verdict(False, "not finite", "gives numbers that are not finite (nan or inf)", "look for 0/0 and log 0")
    guesses = [(one, [flat(one.answer(*case.values())) for case in tried.cases]) for one in exercise.misconceptions]
    for one, answers in guesses:
        if tried.fits(answers):
            return _of(one)
    if found := _in_general(tried, given):
        return found
    for one, answers in guesses:
        if tried.fits([-answer for answer in answers]):
            return _of(one)._replace(said=f"{one.sentence}; and the sign is turned")
    return Verdict(
        False,
        "",
        f"wrong in {len(tried.wrong())} of {len(tried.cases)} cases; no misconception fits",
        f"work the case below out on paper; chapter {exercise.chapter} derives it",
    )


def _of(one: Misconception) -> Verdict:
    return Verdict(False, one.name, one.sentence, one.advice)


def _in_general(tried: _Tried, given: list[Answer]) -> Verdict | None:
    """What can be wrong with any answer: sign, a factor, axes exchanged, too few digits."""
    if tried.fits([-one for one in tried.right]):
        return Verdict(False, "turned", "its sign is turned", "what is asked for is the negative of it")
    if tried.fits(tried.right, 1e-4):
        return Verdict(False, "rounded", "right to a few digits only", "compute in float64, and round nothing")
    transposed = [flat([one.T for one in parts_of(answer)]) for answer in given]
    if all(near(a, b, tried.tolerance) for a, b in zip(tried.right, transposed, strict=True)):
        return Verdict(False, "transposed", "the axes are exchanged", "return the transpose of it")
    factors = _factors(tried)
    if factors is not None and np.ptp(factors) <= 1e-8 * abs(factors[0]):
        said = f"every answer is {factors[0]:.4g} times what it should be"
        return Verdict(False, "factor", said, "look for a mean that is a sum, a 2, a ½")
    if factors is not None:
        lengths = [[size for one in case.values() for size in np.shape(one)] for case in tried.cases]
        for what, power in (("times as large as it should be", 1), ("of what it should be", -1)):
            if all(any(abs(f - n**power) < 1e-8 for n in sizes) for f, sizes in zip(factors, lengths, strict=True)):
                said = f"every answer is {'N' if power == 1 else '1/N'} {what}, N the length of an axis"
                return Verdict(False, "sum for mean", said, "sum and mean are exchanged")
    return None


def _factors(tried: _Tried) -> Array | None:
    """By what the answer of each case is multiplied, where it is."""
    found = []
    for ours, theirs in zip(tried.right, tried.given, strict=True):
        largest = int(np.argmax(np.abs(ours)))
        if abs(ours[largest]) < 1e-9:
            return None
        found.append(theirs[largest] / ours[largest])
        if not near(found[-1] * ours, theirs, tried.tolerance):
            return None
    return np.array(found) if len(found) >= TELLS else None


def _difference(tried: _Tried, k: int) -> str:
    return f"{shown(tried.cases[k])}: expected {_numbers(tried.right[k])}, got {_numbers(tried.given[k])}"


def _numbers(array: Array, most: int = 12) -> str:
    said = " ".join(f"{one:.4g}" for one in np.ravel(array)[:most])
    return f"[{said}{' ...' if np.size(array) > most else ''}]" if np.size(array) != 1 else said


def shown(case: dict[str, Any]) -> str:
    """The inputs of a case as one would write them."""
    return ", ".join(
        f"{name}={value if np.ndim(value) == 0 else np.array2string(value, precision=4, separator=', ')}"
        for name, value in case.items()
    ).replace("\n", "")


def _of_learning(learned: dict[str, Any]) -> Verdict:
    """CartPole on five seeds, and before anything was learned."""
    if "error" in learned:
        return Verdict(False, "", f"learn: {learned['error']}")
    means = ", ".join(f"{one:.0f}" for one in learned["trained"])
    solved = sum(one >= THRESHOLD for one in learned["trained"])
    if learned["untrained"] > KNOWS_NOTHING:
        said = f"without an episode it reaches {learned['untrained']:.0f} already: this was written, not learned"
        return Verdict(False, "not learned", said, "begin with weights of 0, or small random ones")
    if solved < len(learned["trained"]):
        said = f"solves {solved} of {len(learned['trained'])} seeds: means of {JUDGED_ON} episodes {means}"
        advice = "standardise the advantages; a larger learning rate; the likelier action in the end"
        return Verdict(False, "not solved", said, advice)
    return Verdict(True, "", f"right, and it solves CartPole on every seed: means {means}")
