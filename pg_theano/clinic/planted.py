"""Ten faults as replaced text of `right.py`: to be measured, and to be diagnosed.

source(PLANTED["λ forgotten"])        the file with the fault in it
"""

from __future__ import annotations

from pathlib import Path

from pg_theano.types import UserError

RIGHT = "right"
"""The name of what has no fault."""
_BOOTSTRAPS, _CONTINUES = "bootstraps = 1.0 - terminated[t]", "continues = 1.0 - (terminated[t] | truncated[t])"
_DELTA, _SUM, _TARGETS = "gamma * bootstraps * next_values[t]", "gamma * lam * continues", "targets = result + values"

PLANTED: dict[str, tuple[tuple[str, str], ...]] = {
    RIGHT: (),
    "merged done": ((_BOOTSTRAPS, "bootstraps = 1.0 - (terminated[t] | truncated[t])"),),
    "termination bootstrapped": ((_BOOTSTRAPS, "bootstraps = 1.0"),),
    "truncation leaks": ((_CONTINUES, "continues = 1.0 - terminated[t]"),),
    "termination leaks": ((_CONTINUES, "continues = 1.0 - truncated[t]"),),
    "V of the reset observation": (
        (_DELTA, "gamma * bootstraps * (values[t + 1] if t + 1 < len(values) else next_values[t])"),
    ),
    "sum stops one step late": ((_CONTINUES, "continues = 1.0 - (terminated[t - 1] | truncated[t - 1]) * (t > 0)"),),
    "the record's end is an end": ((_BOOTSTRAPS, "bootstraps = (1.0 - terminated[t]) * (t + 1 < len(rewards))"),),
    "λ forgotten": ((_SUM, "gamma * continues"),),
    "γ forgotten in δ": ((_DELTA, "bootstraps * next_values[t]"),),
    "targets of standardised advantages": (
        (_TARGETS, "targets = (result - result.mean()) / (result.std() + 1e-8) + values"),
    ),
}
"""{fault, as `faults.FAULTS` calls it: ((old, new), ...)}; each old text stands once in `right.py`."""

CASES = {
    1: "V of the reset observation",
    2: "termination bootstrapped",
    3: "λ forgotten",
    4: "γ forgotten in δ",
    5: "targets of standardised advantages",
}
"""The five files to diagnose."""


def source(name: str) -> str:
    """The text of `right.py` with a fault in it."""
    text = (Path(__file__).parent / "right.py").read_text("utf-8")
    for old, new in PLANTED[name]:
        if text.count(old) != 1:
            raise LookupError(f"{name}: right.py has the old text {text.count(old)} times; expected once: {old!r}")
        text = text.replace(old, new)
    return text


def case(number: int) -> str:
    """The text of one of the files to diagnose, which says nothing of its fault. Errors: `UserError`."""
    if number not in CASES:
        raise UserError.at("--case", f"got {number}", f"a number from 1 to {len(CASES)}", "--case 1")
    heading = (
        f'"""Case {number}. One fault is in this file. Read it, write a test, or hold it to the definition:\n\n'
        f'    python -m pg_theano.clinic --probe case_{number}:advantages\n"""\n'
    )
    return heading + source(CASES[number]).partition('"""\n')[2]
