"""The Gaussian process sampler: expected improvement against its integral, the search against drawing at random."""

import numpy as np
import pytest
from scipy import integrate, stats

from pg_theano.search import axes, bayesian, samplers
from pg_theano.search import plan as settings
from pg_theano.search.stored import Trial
from pg_theano.system.yaml_lines import Document


@pytest.mark.parametrize("mean", [-2.0, 0.0, 0.3, 3.0])
@pytest.mark.parametrize("std", [0.05, 1.0, 4.0])
def test_expected_improvement_is_the_integral_of_the_improvement(mean, std):
    """E[max(y* − Y, 0)], integrated numerically. Caught, when planted: the sign of the gain, φ without its std."""
    best = 0.2
    expected = integrate.quad(
        lambda y: max(best - y, 0.0) * stats.norm.pdf(y, mean, std), mean - 12 * std, best, limit=400
    )[0]
    if best <= mean - 12 * std:
        expected = 0.0
    found = bayesian.expected_improvement(np.array([mean]), np.array([std]), best)
    assert found[0] == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_expected_improvement_where_nothing_is_uncertain():
    found = bayesian.expected_improvement(np.array([0.0, 1.0]), np.zeros(2), 0.4)
    assert found.tolist() == [0.4, 0.0]


def plan_of(method, space, seed, batch=4, **search):
    data = {"seed": seed, "search": {"method": method, "space": space, "batch": batch, **search}}
    return settings.plan_of(Document(data, {}, "test"), None)


def optimised(plan, function, trials):
    """The trials of a search that evaluates `function`, batch by batch, as the coordinator does."""
    found = []
    while len(found) < trials:
        asked = samplers.next_candidates(plan, found, min(plan.search.batch, trials - len(found)))
        found += [
            Trial(len(found) + i, one.params, "complete", function(one.params), {"batch": 0})
            for i, one in enumerate(asked)
        ]
    return found


RATE, DISCOUNT = "schedules.learning_rate.initial", "algorithm.discount"
PLANE = {RATE: {"low": 1e-4, "high": 1.0, "log": True}, DISCOUNT: {"low": 0.0, "high": 1.0}}


def hill(point):
    """Greatest, 0, at learning rate 10^-1.3 and discount 0.8; the two interact."""
    u, v = (np.log10(point[RATE]) + 1.3) / 4, point[DISCOUNT] - 0.8
    return -float(u**2 + v**2 + u * v)


@pytest.mark.slow
def test_it_finds_more_than_drawing_at_random():
    """A function of two variables, 32 trials, 8 seeds: ten times nearer in the median, and nearer for all but one.

    Caught, when planted: outcomes not turned round where the score is maximised.
    """
    gaps = {}
    for method in ("bayesian", "random"):
        gaps[method] = [
            -max(trial.score for trial in optimised(plan_of(method, PLANE, seed), hill, 32)) for seed in range(8)
        ]
    assert np.median(gaps["bayesian"]) < 0.1 * np.median(gaps["random"])
    assert sum(a < b for a, b in zip(gaps["bayesian"], gaps["random"], strict=True)) >= 7


def test_candidates_of_a_batch_lie_apart_and_are_the_same_each_time():
    plan = plan_of("bayesian", PLANE, 3)
    found = optimised(plan, hill, 12)
    asked = samplers.next_candidates(plan, found, 4)
    assert samplers.next_candidates(plan, found, 4) == asked
    rows = axes.encoded(plan.axes, [one.params for one in asked])
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=-1)[np.triu_indices(4, 1)]
    assert apart.min() > 1e-3
    running = [Trial(12 + i, one.params, "running", None, {"batch": 3}) for i, one in enumerate(asked[:2])]
    assert samplers.next_candidates(plan, [*found, *running], 2) == asked[2:]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bayesian", "tpe"])
def test_integers_choices_and_failed_trials(method):
    """Caught, when planted: failed trials with no outcome handed to the process; a list among choices not found again."""
    space = {
        "policy.hidden": {"choices": [[8], [16], []]},
        "environment.num_envs": {"low": 1, "high": 64, "integer": True, "log": True},
        "optimizer.name": {"choices": ["adam", "sgd"]},
    }
    plan = plan_of(method, space, 0)
    found = []
    for number in range(16):
        (asked,) = samplers.next_candidates(plan, found, 1)
        params = asked.params
        assert params["policy.hidden"] in [[8], [16], []]
        assert isinstance(params["environment.num_envs"], int)
        assert 1 <= params["environment.num_envs"] <= 64
        failed = number in (2, 11)
        score = None if failed else len(params["policy.hidden"]) - abs(np.log2(params["environment.num_envs"]) - 3)
        found.append(Trial(number, params, "failed" if failed else "complete", score, {"batch": number}))


def test_the_process_is_that_of_the_formulas():
    """Mean and std at new points against Rasmussen and Williams 2006, eqs. 2.23 and 2.24, with the Matérn kernel (their
    eq. 4.17) written out here. Caught, when planted: nu=1.5, the noise counted into the std."""
    rng = np.random.default_rng(1)
    points, new = rng.random((14, 2)), rng.random((5, 2))
    outcomes = np.sin(6 * points[:, 0]) + points[:, 1] + 0.1 * rng.normal(size=14)
    process = bayesian.Process(points, outcomes, seed=0)
    kernel = process.fitted.kernel_
    variance, lengths, noise = kernel.k1.k1.constant_value, kernel.k1.k2.length_scale, kernel.k2.noise_level

    def matern(a, b):
        r = np.sqrt(5) * np.linalg.norm((a[:, None] - b[None]) / lengths, axis=-1)
        return variance * (1 + r + r**2 / 3) * np.exp(-r)

    standardised = (outcomes - outcomes.mean()) / outcomes.std()
    gram = matern(points, points) + (noise + 1e-8) * np.eye(14)
    mean = matern(new, points) @ np.linalg.solve(gram, standardised)
    spread = variance - np.sum(matern(new, points) * np.linalg.solve(gram, matern(points, new)).T, axis=1)
    found_mean, found_std = process.predict(new)
    assert np.allclose(found_mean, mean, rtol=0, atol=1e-6)
    assert np.allclose(found_std, np.sqrt(spread), rtol=0, atol=1e-5)
    assert lengths.shape == (2,)
