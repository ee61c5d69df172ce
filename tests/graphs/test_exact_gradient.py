"""Every estimator's expectation against the gradient of the expected return, over all trajectories of a small task."""

import helpers_exact as exact
import numpy as np
import pytest

QUICK = {
    "reinforce reward_to_go, none",
    "reinforce reward_to_go, leave_one_out",
    "reinforce episode_return, mean_so_far",
    "reinforce, epsilon_softmax, J of the mixture",
    "a2c td, V exact",
    "ppo gae, V exact",
    "trpo gae, λ = 1, any V",
    "reinforce reward_to_go, γ = 0.9",
    "reinforce epsilon_greedy, ε = 0.3",
    "reinforce average=steps, 2 episodes",
    "vpg by hand gae, λ = 0.5, V wrong",
}


def marked(estimators):
    """`a2c` and `npg` differ from `vpg` and `trpo` in nothing that an expectation sees: of these all is in `torture`."""
    for one in estimators:
        if one.algorithm in ("a2c", "npg") and "gae" not in one.name and one.name not in QUICK:
            continue
        slow = one.name not in QUICK and not (one.by_hand and not one.why)
        yield pytest.param(one, id=one.name, marks=[pytest.mark.slow] * slow)


def test_the_task_and_its_gradient_are_what_they_say():
    """Probabilities add up, episodes end early and late, and the differences are those of complex steps."""
    estimator = exact.UNBIASED[0]
    spec = exact.spec_of(estimator)
    params = exact.state_of(spec, estimator)["params"]
    weighed = exact.chances(spec, params, estimator)
    assert abs(sum(chance for chance, *_ in weighed) - 1) < 1e-12
    assert {len(places) for _, places, _ in weighed} == {1, 2, 3}

    def expected(moved):
        probs = exact.chances(spec, moved, estimator)
        return sum(
            chance * sum(exact.task.THREE_STATES.pays[s, a] for s, a in zip(*where, strict=True))
            for chance, *where in probs
        )

    by_complex_steps = exact.actor_critics.derivative(expected, params)
    np.testing.assert_allclose(exact.true_gradient(spec, params, estimator), by_complex_steps, rtol=0, atol=1e-10)
    assert np.linalg.norm(by_complex_steps) > 0.1


@pytest.mark.parametrize("estimator", list(marked(exact.UNBIASED)))
def test_the_expected_estimate_is_the_gradient_of_the_expected_return(estimator):
    """To 1e-8: every algorithm, every signal and baseline that says so, V right or wrong, by graph and by hand.

    Caught, when planted: the surrogate's sign; V of a terminated episode's successor (V exact: no bias elsewhere); the
    own episode in `leave_one_out`; the mixture's log-probability without ε; a mean over padding by hand.
    """
    found = exact.measured(estimator)
    assert np.linalg.norm(found.true) > 0.1
    assert found.error <= 1e-8


@pytest.mark.parametrize("estimator", list(marked(exact.BIASED)))
def test_a_biased_choice_is_named_with_its_bias(estimator):
    """Each differs from ∇J by more than rounding, and less than a right angle away: it still goes uphill. But for the
    running mean, whose expectation is nothing where γ = 1, and has no direction.

    Caught, when planted: γᵗ in the weight of step t (no bias).
    """
    found = exact.measured(estimator)
    assert estimator.why
    assert found.bias > 0.01
    assert found.angle < 90 or np.linalg.norm(found.expected) < 1e-15
