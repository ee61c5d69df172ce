"""The softmax policy against SciPy, at sizes of logits where careless formulas fail."""

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import special

from pg_theano.graphs import policies


@pytest.fixture(scope="module")
def softmax():
    """logits [3, N], action [N] -> log π, log π(a), its gradient, H, its gradient."""
    logits, action = pt.tensor("z", shape=(3, None), dtype="float64"), pt.ivector()
    log_probs = policies.softmax_log_probs(logits)
    taken, entropy = policies.taken(log_probs, action), policies.entropy(log_probs)
    outputs = [log_probs, taken, pytensor.grad(taken.sum(), logits), entropy, pytensor.grad(entropy.sum(), logits)]
    return by_definition.interpreted([logits, action], outputs)


@pytest.fixture(scope="module")
def logits():
    rng = np.random.default_rng(0)
    ordinary, large = rng.normal(0, 3, (3, 50)), rng.normal(0, 200, (3, 50))
    extreme = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4], [0, 0, 0], [1e4, 0, -1e4]]).T
    return np.concatenate([ordinary, large, extreme], axis=1)


def test_log_probs_are_scipys(softmax, logits):
    """Caught, when planted: the largest logit not taken out first (inf); log of a softmax (−inf); the sum over
    observations instead of actions.
    """
    action = np.arange(logits.shape[1], dtype="int32") % 3
    log_probs, taken, gradient, *_ = softmax(logits, action)
    expected = special.log_softmax(logits, axis=0)
    np.testing.assert_allclose(log_probs, expected, rtol=1e-13, atol=1e-12)
    np.testing.assert_array_equal(taken, log_probs[action, np.arange(len(action))])
    # ∂ log π(a) / ∂z_b = 1[a = b] − π(b)                                     Sutton and Barto 2018, exercise 13.3
    one_hot = np.eye(3)[action].T
    np.testing.assert_allclose(gradient, one_hot - special.softmax(logits, axis=0), rtol=0, atol=1e-12)


def test_entropy_is_finite_where_probabilities_are_zero(softmax, logits):
    """And so is its gradient ∂H/∂z_b = −π(b)·(log π(b) + H).

    Caught, when planted: 0·log 0 without a bound (NaN); a bound so high that it shows (−8); the sign.
    """
    *_, entropy, gradient = softmax(logits, np.zeros(logits.shape[1], "int32"))
    probs, log_probs = special.softmax(logits, axis=0), special.log_softmax(logits, axis=0)
    expected = special.entr(probs).sum(axis=0)
    np.testing.assert_allclose(entropy, expected, rtol=0, atol=1e-12)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient, -probs * (log_probs + expected), rtol=0, atol=1e-12)


def test_inverse_cdf_of_a_table():
    """π = ¼, 0, ½, ¼: an interval is closed on the left, an action of probability 0 is never taken, and there is no
    action 4. Caught, when planted: < for ≤; the last sum counted too (action 4 for probabilities that sum to less
    than 1).
    """
    probs, uniform = pt.tensor("p", shape=(4, None), dtype="float64"), pt.dvector()
    draw = by_definition.interpreted([probs, uniform], policies.inverse_cdf(probs, uniform))
    table = {0.0: 0, 0.2499: 0, 0.25: 2, 0.7499: 2, 0.75: 3, np.nextafter(1, 0): 3}
    column = np.array([[0.25], [0.0], [0.5], [0.25]])
    got = draw(np.repeat(column, len(table), axis=1), np.array(list(table)))
    assert got.tolist() == list(table.values())
    assert got.dtype == np.int32
    assert draw(column * 0.9, np.array([np.nextafter(1, 0)])).tolist() == [3]
    assert draw(np.array([[0.0], [0.5], [0.5], [0.0]]), np.array([0.0])).tolist() == [1]


def test_one_logit_for_two_actions():
    """log σ(∓z), its gradient 1[a] − σ(z), entropy and curvature: finite for ±1e4, and the number of actions known.

    Caught, when planted: log of a sigmoid (−inf); the two actions the other way round.
    """
    logit = pt.tensor("z", shape=(1, None), dtype="float64")
    log_probs = policies.logistic_log_probs(logit)
    assert log_probs.type.shape == (2, None)
    entropy = policies.entropy(log_probs)
    slopes = [pytensor.grad(one.sum(), logit) for one in (log_probs[0], log_probs[1], entropy)]
    curvature = pytensor.grad(slopes[1].sum(), logit)
    z = np.array([[-1e4, -40.0, -2.0, 0.0, 0.5, 40.0, 1e4]])
    got, zero, one, entropies, bend = by_definition.interpreted([logit], [log_probs, *slopes[:2], entropy, curvature])(
        z
    )
    np.testing.assert_allclose(got, [special.log_expit(-z[0]), special.log_expit(z[0])], rtol=1e-14)
    np.testing.assert_allclose(zero, -special.expit(z), rtol=1e-14)
    np.testing.assert_allclose(one, special.expit(-z), rtol=1e-14)
    np.testing.assert_allclose(bend, -special.expit(z) * special.expit(-z), rtol=1e-10, atol=1e-16)
    np.testing.assert_allclose(
        entropies, special.entr([special.expit(z[0]), special.expit(-z[0])]).sum(axis=0), atol=1e-14
    )
    assert np.isfinite(by_definition.interpreted([logit], slopes[2])(z)).all()
