"""Returns and advantages against O(T²) sums, hundreds of random cases at once; `benchmarks/torture` has 10,000."""

import helpers_oracles as oracles
import numpy as np
import pytest

RUNS = {"graph": lambda: oracles.by_graph(21), "by hand": lambda: oracles.by_hands}


@pytest.mark.parametrize("run", RUNS)
def test_every_estimate_is_its_definition(run):
    """GAE, reward-to-go and n steps of 400 cases, each with a γ and a λ of its own, to 1e-12.

    Caught, when planted: V after a termination, a time limit that does not end the sum, gaps bridged, a bit of n left
    out; by hand, a time limit that does not end the sum, and one step too many.
    """
    errors = oracles.errors_of_definitions(RUNS[run](), np.random.default_rng(0), 400, 21)
    assert max(errors.values()) <= 1e-12, errors


def test_every_signal_is_its_definition():
    """Caught, when planted: one round of doubling too few."""
    errors = oracles.errors_of_signals(RUNS["graph"](), np.random.default_rng(1), 400, 21)
    assert max(errors.values()) <= 1e-12, errors


@pytest.mark.parametrize("run", RUNS)
def test_what_must_be_the_same_is(run):
    """λ = 1 telescopes, λ = 0 is the TD error, and a cut at any place, with the λ-return for V there, changes nothing."""
    errors = oracles.errors_of_identities(RUNS[run](), np.random.default_rng(2), 2000, 21)
    assert len(errors) == 5
    assert max(errors.values()) <= 1e-12, errors
