"""What a comparison finds: groups, their estimates, which is better; as Markdown that reads on a terminal, and JSON."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pg_theano.runs.curves import Curve, number
from pg_theano.runs.figures import OBJECTIVES
from pg_theano.system.console import printable

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


# -- in words


SCALES = {
    "none": "as it is",
    "solved": "0 is random play, 1 the threshold",
    "range": "0 is the worst, 1 the best of these runs",
}


def said(found: Comparison) -> list[str]:
    """Lines on what was left out, and on what the figures do not show."""
    return [*(f"left out: {one}" for one in found.left_out), *(f"warning: {one}" for one in found.warnings)]


def markdown(found: Comparison) -> str:
    """The figures of each group, and of each pair which is better."""
    better = "lower" if found.lower_is_better else "higher"
    tasks = ", ".join(found.bounds)
    lines = [
        f"{len(found.groups)} groups by {', '.join(found.by)}, {tasks}: {OBJECTIVES[found.score]}, "
        f"{_scale(found)}; {better} is better. In brackets 95 % of stratified bootstraps.",
        "",
    ]
    gap = None if found.target is None else f"gap to {number(found.target)}"
    head = ["group", "runs", "interquartile mean", "median", "mean", *([gap] if gap else [])]
    rows = []
    for group in found.groups:
        counts = [len(one) for one in group.scores.values()]
        estimates = [group.iqm, group.median, group.mean, *([group.gap] if group.gap else [])]
        least = f"{min(counts)}{'' if min(counts) == max(counts) else ' or more'}"
        shown = least if len(counts) == 1 else f"{sum(counts)} ({least} a task)"
        rows.append([short(group.name), shown, *map(_cell, estimates)])
    lines += [*_table(head, rows), ""]
    pairs = [
        [f"{short(one.better)} over {short(one.worse)}", _cell(one.probability), _verdict(one.probability)]
        for one in found.improvements
    ]
    lines += _table(["pair", "probability of improvement", ""], pairs)
    if found.also_differ:
        most = 8
        rest = f" and {len(found.also_differ) - most} more" if len(found.also_differ) > most else ""
        lines += ["", f"The runs also differ in {', '.join(found.also_differ[:most])}{rest}."]
    if said(found):
        lines += ["", *(f"- {printable(one)}" for one in said(found))]
    return "\n".join(lines)


def _scale(found: Comparison) -> str:
    if found.normalised == "none":
        return SCALES["none"]
    each = "; ".join(f"{task} {number(low)} to {number(high)}" for task, (low, high) in found.bounds.items())
    return f"{found.words} ({each})"


def _cell(one: Estimate | None) -> str:
    if one is None:
        return "–"
    if one.low is None or one.high is None:
        return number(one.value)
    return f"{number(one.value)} [{number(one.low)}, {number(one.high)}]"


def _verdict(one: Estimate) -> str:
    if one.low is None:
        return "one run of a task: nothing can be said"
    return "better" if one.low > 0.5 else "not told apart"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned, so that it reads as it stands."""
    shown = [[printable(cell).replace("|", "\\|") for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in shown) for i in range(len(head))]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in shown]
    return [lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]]


def plain(found: Comparison) -> dict[str, Any]:
    """The whole comparison for JSON."""
    made = found._asdict()
    made["groups"] = {
        group.name: {
            "scores": group.scores,
            **{
                name: None if one is None else one._asdict()
                for name, one in group._asdict().items()
                if name in ("iqm", "median", "mean", "gap")
            },
            "profile": _plain_curve(group.profile),
            "efficiency": _plain_curve(group.efficiency),
        }
        for group in found.groups
    }
    made["improvements"] = [
        {"better": one.better, "worse": one.worse, **one.probability._asdict()} for one in found.improvements
    ]
    return made


def _plain_curve(curve: Curve | None) -> dict[str, list[float]] | None:
    return None if curve is None else {name: column.tolist() for name, column in curve._asdict().items()}
