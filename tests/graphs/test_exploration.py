"""Every strategy draws actions with the probabilities that it states."""

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_theano.graphs import exploration

PROBS = np.array([10, 4, 26]) / 40
BEST = np.array([0.0, 0.0, 1.0])


def every_uniform():
    """Noise [3, N]: the midpoints of 40 × 40 × 39 equal boxes. A share of them is a probability, exactly."""
    axes = [(np.arange(n) + 0.5) / n for n in (40, 40, 39)]
    return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")])


@pytest.fixture(scope="module")
def strategies():
    """name -> (draw, log_prob with its gradient), functions of log π [3, N], noise or action [N], and ε."""
    made = {}
    for name in by_definition.EXPLORATIONS:
        log_probs, rate = pt.tensor("p", shape=(3, None), dtype="float64"), pt.dscalar()
        noise, action = pt.dmatrix(), pt.ivector()
        drawn = exploration.draw(name, log_probs, noise, exploration_rate=rate)
        learned = exploration.log_prob(name, log_probs, action, exploration_rate=rate)
        made[name] = (
            by_definition.interpreted([log_probs, noise, rate], drawn),
            by_definition.interpreted([log_probs, action, rate], [learned, pytensor.grad(learned.sum(), log_probs)]),
        )
    return made


@pytest.mark.parametrize("name", ["epsilon_softmax", "epsilon_greedy"])
def test_a_uniform_number_that_rounds_to_1_is_the_last_action(strategies, name):
    """An action A does not exist. Caught, when planted: no bound; a bound of A + 1, of A − 2."""
    noise = np.array([[0.5, 0.5], [0.0, 0.0], [1.0, 0.999]])
    assert strategies[name][0](np.log(np.tile(PROBS[:, None], 2)), noise, 1.0).tolist() == [2, 2]


@pytest.mark.parametrize("name", ["epsilon_greedy", "epsilon_greedy_softmax"])
def test_at_a_rate_of_0_nothing_explores(strategies, name):
    """Not even where the uniform number is 0, which one of 2²⁴ is in float32. Caught, when planted: u ≤ ε."""
    noise = np.array([[0.1], [0.0], [0.1]])
    assert strategies[name][0](np.log(PROBS[:, None]), noise, 0.0).tolist() == [2]


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", by_definition.EXPLORATIONS)
def test_actions_have_the_stated_probabilities(strategies, name, rate):
    """Caught, when planted: ε and 1−ε exchanged; the uniform action drawn with the uniform number that decided to
    explore; only A−1 actions in the uniform draw; argmin; strategies' names exchanged.
    """
    expected = {
        "softmax": PROBS,
        "epsilon_softmax": rate / 3 + (1 - rate) * PROBS,
        "epsilon_greedy": rate / 3 + (1 - rate) * BEST,
        "epsilon_greedy_softmax": rate * PROBS + (1 - rate) * BEST,
    }[name]
    noise = every_uniform()
    log_probs = np.repeat(np.log(PROBS)[:, None], noise.shape[1], axis=1)
    action = strategies[name][0](log_probs, noise, rate)
    assert action.dtype == np.int32
    shares = np.bincount(action, minlength=3) / len(action)
    np.testing.assert_allclose(shares, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", by_definition.EXPLORATIONS)
def test_no_action_outside_the_space_and_the_first_of_equals(strategies, name):
    """The largest uniform number below 1, in float32 and float64; a tie between actions 0 and 2.

    Caught, when planted: a uniform action rounded to the nearest; the last of equals.
    """
    log_probs = np.log([[0.4], [0.2], [0.4]])
    for almost_one in (np.nextafter(1, 0), float(np.nextafter(np.float32(1), np.float32(0)))):
        action = strategies[name][0](log_probs, np.full((3, 1), almost_one), 1.0)
        assert action.tolist() == [2]
    if "greedy" in name:
        assert strategies[name][0](log_probs, np.full((3, 1), 0.5), 0.0).tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(
    logits=st.lists(st.floats(-60, 60), min_size=3, max_size=3),
    action=st.integers(0, 2),
    rate=st.one_of(st.just(1.0), st.floats(1e-6, 1.0)),
)
def test_log_prob_is_that_of_the_mixture_or_of_the_network(strategies, logits, action, rate):
    """log(ε/A + (1−ε)π) for epsilon_softmax, whose density it is; log π for all others.

    Caught, when planted: ε without /A; π left unweighted; the mixture for epsilon_greedy.
    """
    log_probs = np.array(logits) - np.logaddexp.reduce(logits)
    for name in by_definition.EXPLORATIONS:
        (got,), _ = strategies[name][1](log_probs[:, None], np.array([action], "int32"), rate)
        spec = by_definition.make_spec(exploration=name)
        expected = by_definition.learned_log_prob(spec, log_probs, action, rate)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 1e-3, 0.5, 1.0])
@pytest.mark.parametrize("worst", [-1.0, -79.0, -100.0, -800.0, -1e4])
def test_log_prob_has_a_finite_gradient_everywhere(strategies, rate, worst):
    """At ε = 0 it is that of log π, 1; for a π(a) that underflows beside ε/A it is 0.

    ∂/∂log π(a) log(ε/A + (1−ε)π(a)) = (1−ε)π(a) / (ε/A + (1−ε)π(a))
    Caught, when planted: the mixture's logarithm taken at ε = 0 with no lower bound (NaN). Either guard alone is enough.
    """
    log_probs = np.array([[worst], [np.log(0.5)], [np.log(0.5)]])
    for name in by_definition.EXPLORATIONS:
        (value,), gradient = strategies[name][1](log_probs, np.array([0], "int32"), rate)
        own = (1 - rate) * np.exp(worst)
        mixed = name == "epsilon_softmax" and rate > 0
        np.testing.assert_allclose(value, np.log(rate / 3 + own) if mixed else worst, rtol=1e-12)
        np.testing.assert_allclose(gradient[:, 0], [own / (rate / 3 + own) if mixed else 1, 0, 0], atol=1e-12)
