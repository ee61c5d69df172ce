"""Faults of the microscope: what would make a gradient look better, or worse, than it is."""

from __future__ import annotations

from planting import Fault

WHAT = "test_microscope.py::test_what_expects_the_gradient_expects_it_exactly"
INSIDE = "test_microscope.py::test_cosines_lie_inside_their_intervals_and_are_off_by_nothing"
TRAINED = "test_microscope.py::test_each_weighs_steps_as_what_is_trained_with_does"
NAMED = "test_bias.py::test_what_has_no_reason_has_no_bias_and_what_has_one_has_some"

MICROSCOPE = [
    Fault(
        "a truth of the same episodes",
        "across",
        " - (weights**2) @ np.diag(products)",
        "",
        ("test_microscope.py::test_nothing_is_judged_by_the_episodes_that_it_was_made_of",),
        "An estimate is held to a truth that its own noise is part of: every cosine is too good.",
    ),
    Fault(
        "a truth that is held fixed",
        "across",
        "pairs = ((weights @ products) * weights).sum(axis=1)",
        "pairs = (weights @ products).sum(axis=1) * weights.mean(axis=1)",
        (INSIDE,),
        "Intervals leave out the truth's own error.",
    ),
    Fault(
        "directions of other batches",
        "verdicts",
        "np.array([one.truth[k] for one in blocks], float)",
        "np.array([one.truth[k] / np.linalg.norm(one.truth[k]) for one in blocks], float)",
        (INSIDE,),
        "A cosine is taken of normalised gradients of different batches.",
    ),
    Fault(
        "γᵗ left out of the true gradient",
        "truth",
        "discounts(e.reward, known.discount_of_j) * (to_go",
        "(to_go",
        (WHAT,),
        "What everybody drops is dropped from the truth as well, and has no bias any more.",
    ),
    Fault(
        "the other γ in δ",
        "errors",
        "known.discount * known.value[:, 1:]",
        "known.discount_of_j * 0.9 * known.value[:, 1:]",
        (TRAINED,),
        "The estimators are not those that are trained with.",
    ),
    Fault(
        "a spread of a sample",
        "scaled",
        "sum(axis=(1, 2)) / number - mean**2",
        "sum(axis=(1, 2)) / (number - 1) - mean**2",
        (TRAINED,),
        "Standardised advantages are of another scale than those of PPO.",
    ),
    Fault(
        "other random numbers before and after a step",
        "_returns",
        "np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)",
        "seed",
        ("test_microscope_runs.py::test_a_short_step_keeps_the_promise_and_its_slope",),
        "A short step's change of J drowns in noise.",
    ),
    Fault(
        "its own episode in what the others' mean is",
        "judged",
        "chances = np.outer(chances, each).ravel()",
        "chances = np.outer(chances, np.full(len(each), 1 / len(each))).ravel()",
        (NAMED,),
        "Pairs of trajectories are weighed as if every second one were as likely.",
    ),
]
