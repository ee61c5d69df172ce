"""The enumerated task and the card that judges an estimate of its gradient."""

import math

import numpy as np
import pytest

from pg_theano.exact import card, task

LOGITS = np.random.default_rng(3).normal(0, 0.7, (3, 3, 2))


def test_the_probabilities_of_all_trajectories_add_up_to_one():
    policy = task.table(LOGITS)
    every = task.trajectories()
    assert abs(sum(task.probability(one, policy) for one in every) - 1) < 1e-12
    assert {len(one.places) for one in every} == {1, 2, 3}
    assert len({(one.places, one.actions) for one in every}) == len(every)


@pytest.mark.parametrize("discount", [1.0, 0.9])
@pytest.mark.parametrize("logits", [LOGITS, LOGITS[:, 0]], ids=["of a time", "of all times"])
def test_the_sum_of_scores_is_the_difference_of_returns(logits, discount):
    """Caught, when planted: the return without γᵗ, a score that lacks −π(j), an end that is left out."""
    by_differences = task.differences(lambda at: task.expected_return(task.table(at), discount), logits)
    np.testing.assert_allclose(task.true_gradient(logits, discount), by_differences, rtol=0, atol=1e-11)
    assert np.abs(by_differences).max() > 0.05


def test_the_value_of_the_beginning_is_j():
    policy = task.table(LOGITS)
    assert task.values(policy, 0.9)[0, 0] == pytest.approx(task.expected_return(policy, 0.9), abs=1e-14)


def test_every_figure_of_a_card_by_its_definition():
    """Two estimates, computed on paper: (3, 0) and (1, 2), with 3/4 and 1/4, beside (1, 0)."""
    made = card.card(np.array([[3.0, 0.0], [1.0, 2.0]]), np.array([1.0, 0.0]), np.array([0.75, 0.25]))
    mean = np.array([2.5, 0.5])
    assert made.bias == pytest.approx(100 * math.hypot(1.5, 0.5))
    assert made.angle == pytest.approx(math.degrees(math.atan2(0.5, 2.5)))
    assert made.scale == pytest.approx(math.hypot(*mean))
    assert made.variance == pytest.approx((0.75 * 0.5 + 0.25 * 4.5) / 6.5)
    assert made.cosine == pytest.approx(0.75 + 0.25 / math.sqrt(5))
    assert made.episodes == pytest.approx(made.variance / (6.25 / 6.5 / 0.81 - 1))


def test_twice_an_estimate_has_another_scale_and_no_other_direction():
    """Scale apart from direction. Caught, when planted: variance that is not over the squared length."""
    rng = np.random.default_rng(0)
    true, estimates = np.array([1.0, 2.0, 0.5]), rng.normal(0, 4, (500, 3)) + [1.2, 1.5, 0.5]
    once, twice = card.card(estimates, true), card.card(2 * estimates, true)
    assert twice.scale == pytest.approx(2 * once.scale)
    for name in ("angle", "variance", "cosine", "episodes"):
        assert getattr(twice, name) == pytest.approx(getattr(once, name)), name


def test_as_many_episodes_as_it_says_have_the_cosine():
    """Means of n estimates of a normal law: the cosine reaches 0.9 at n, to a hundredth."""
    rng, true = np.random.default_rng(1), np.ones(20)
    law = rng.normal(0, 5, (20000, 20)) + true + np.linspace(-0.3, 0.3, 20)
    number = math.ceil(card.card(law, true).episodes)
    means = np.stack([law[rng.integers(0, len(law), number)].mean(axis=0) for _ in range(400)])
    assert card.card(means, true).cosine == pytest.approx(0.9, abs=0.01)
    assert math.isinf(card.card(law + [-15, *[0] * 19], true).episodes)


def test_what_expects_nothing_has_no_direction():
    """Caught, when planted: the direction of its rounding."""
    made = card.card(np.array([[1.0, 0.1], [-1.0, -0.1 + 1e-16]]), np.array([1.0, 0.0]))
    assert made.bias == pytest.approx(100)
    assert math.isnan(made.angle)
    assert math.isinf(made.episodes)
    assert card.cells(made)[1] == "–"


def test_a_gradient_of_zero_has_no_card():
    with pytest.raises(ValueError, match="nothing has an angle"):
        card.card(np.ones((2, 3)), np.zeros(3))
