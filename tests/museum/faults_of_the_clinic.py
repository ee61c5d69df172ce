"""Faults of what finds faults: the clinic's probe, its detectors, and what a page to play with is written from."""

from __future__ import annotations

from planting import Fault

CLINIC = [
    Fault(
        "no V at a time limit for who is told of ends alone",
        "seen",
        "    rewards = case.rewards + case.gamma * cut * case.next_values\n    return case._replace(\n",
        "    rewards = case.rewards\n    return case._replace(\n",
        ("test_clinic.py::test_what_a_function_is_told_has_the_same_advantages",),
        "Code such as Stable-Baselines3's would be held to advantages that it was never given the numbers for.",
    ),
    Fault(
        "a fault is named by one case",
        "_wrong",
        "return all(_same(define(seen[at], reading), got[at]) for at in order)",
        "return all(_same(define(seen[at], reading), got[at]) for at in order[:1])",
        ("test_clinic.py::test_a_fault_is_named",),
        "The first fault of the table that agrees with one case is named, whatever the others say.",
    ),
    Fault(
        "the last case for the smallest",
        "_wrong",
        "at = differ[0]",
        "at = differ[-1]",
        ("test_clinic.py::test_the_smallest_case_comes_with_the_lines_to_look_at",),
        "A table of forty rows where two would show it.",
    ),
    Fault(
        "V is wrong where the episode is cut",
        "_steps",
        "np.where(time < taken - 1, values[1][at], values[0][at])",
        "values[1][at]",
        ("test_clinic.py::test_the_enumerated_gradient_is_right_or_is_not",),
        "Enumeration calls right code biased.",
    ),
    Fault(
        "padding is given to the function",
        "planted_gae",
        "real = mask[e] > 0",
        "real = mask[e] > -1",
        ("test_clinic.py::test_the_twin_estimates_by_what_is_planted_and_is_itself_again",),
        "The table would say of a fault what the padding did.",
    ),
]
