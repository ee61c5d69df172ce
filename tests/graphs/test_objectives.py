"""Objectives against loops over steps, by hand where it matters, and far away where numbers overflow."""

import math

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_theano.graphs import objectives

EPSILON, REACH = 0.2, 0.3


def of_samples(dtype):
    """(log π, log π_old, Â, mask) to every objective of samples, and their gradients by log π."""
    log_prob, old, advantage, mask = symbols = [pt.vector(dtype=dtype) for _ in range(4)]
    clip = pt.constant(np.array(EPSILON, dtype))
    made = {
        "policy_gradient": objectives.policy_gradient_loss(log_prob, advantage, mask, number=pt.sum(mask)),
        "surrogate": objectives.surrogate_loss(*symbols),
        "ppo": objectives.ppo_clip_loss(*symbols, clip_range=clip),
        "kl": objectives.kl_of_samples(log_prob, old, mask),
        "fraction": objectives.clip_fraction(log_prob, old, mask, clip_range=clip),
    }
    gradients = [pytensor.grad(made[name], log_prob) for name in ("policy_gradient", "surrogate", "ppo", "kl")]
    run = by_definition.interpreted(symbols, [*made.values(), *gradients])

    def call(*columns):
        results = run(*(np.asarray(column, dtype) for column in columns))
        return dict(zip([*made, *(f"{name} gradient" for name in list(made)[:4])], results, strict=True))

    return call


@pytest.fixture(scope="module")
def samples():
    return of_samples("float64")


@pytest.fixture(scope="module")
def values():
    """(V, V_old, target, mask) to both value losses, and their gradients by V."""
    value, old, target, mask = symbols = [pt.dvector() for _ in range(4)]
    made = {
        "plain": objectives.value_loss(value, target, mask),
        "clipped": objectives.clipped_value_loss(value, old, target, mask, value_clip_range=REACH),
    }
    gradients = [pytensor.grad(loss, value) for loss in made.values()]
    run = by_definition.interpreted(symbols, [*made.values(), *gradients])
    return lambda *columns: dict(
        zip([*made, "plain gradient", "clipped gradient"], run(*map(np.asarray, columns)), strict=True)
    )


@st.composite
def columns(draw):
    """Four columns of up to ten steps: three of numbers, and whether the step is real; at least one is."""
    number = st.floats(-3, 3, allow_subnormal=False)
    step = st.tuples(number, number, number, st.booleans())
    steps = [*draw(st.lists(step, max_size=9)), (*draw(st.tuples(number, number, number)), True)]
    return [np.array(column, float) for column in zip(*steps, strict=True)]


@settings(deadline=None, max_examples=80)
@given(columns())
def test_objectives_of_samples_are_means_over_real_steps(samples, drawn):
    """Score function, importance-weighted, clipped, KL estimator and share clipped, each a loop with `if`."""
    got = samples(*drawn)
    real = [row for row in zip(*drawn, strict=True) if row[3]]
    sums = dict.fromkeys(("policy_gradient", "surrogate", "ppo", "kl", "fraction"), 0.0)
    for log_prob, old, advantage, _ in real:
        ratio = math.exp(log_prob) / math.exp(old)
        held = 1 + EPSILON if ratio > 1 + EPSILON else 1 - EPSILON if ratio < 1 - EPSILON else ratio
        sums["policy_gradient"] -= log_prob * advantage
        sums["surrogate"] -= ratio * advantage
        sums["ppo"] -= ratio * advantage if ratio * advantage < held * advantage else held * advantage
        sums["kl"] += ratio - 1 - math.log(ratio)
        sums["fraction"] += held != ratio
    for name, value in sums.items():
        np.testing.assert_allclose(got[name], value / len(real), rtol=1e-9, atol=1e-11, err_msg=name)
    assert all((got[f"{name} gradient"][drawn[3] == 0] == 0).all() for name in ("policy_gradient", "surrogate", "ppo"))


@settings(deadline=None, max_examples=80)
@given(columns(), st.lists(st.floats(-3, 3), min_size=10, max_size=10))
def test_value_losses_are_means_over_real_steps(values, drawn, targets):
    value, old, _, mask = drawn
    target = np.array(targets[: len(value)])
    got, plain, clipped = values(value, old, target, mask), [], []
    for v, o, g in zip(value[mask > 0], old[mask > 0], target[mask > 0], strict=True):
        near = o + REACH if v > o + REACH else o - REACH if v < o - REACH else v
        plain.append((v - g) ** 2)
        clipped.append(max((v - g) ** 2, (near - g) ** 2))
    np.testing.assert_allclose(got["plain"], np.mean(plain), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got["clipped"], np.mean(clipped), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.0, 2.0, -2.0, -2.0),  # where every update begins: that of the plain policy gradient
        (1.0, -2.0, 2.0, 2.0),
        (1.1, 2.0, -2.2, -2.2),  # inside: r·Â, and r·Â again for the slope by log π
        (0.9, -2.0, 1.8, 1.8),
        (1.5, 2.0, -2.4, 0.0),  # a good action already likelier by 1 + ε: no more to gain
        (0.5, -2.0, 1.6, 0.0),  # a bad one already rarer by 1 − ε
        (0.5, 2.0, -1.0, -1.0),  # moved the wrong way: never clipped
        (1.5, -2.0, 3.0, 3.0),
        (1.5, 0.0, 0.0, 0.0),
    ],
)
def test_the_clipped_objective_of_a_worked_example(samples, ratio, advantage, loss, slope):
    """ε = 0.2. Schulman et al. 2017, figure 1. Caught, when planted: the larger of both; a clipped ratio alone."""
    got = samples([math.log(ratio)], [0.0], [advantage], [1.0])
    np.testing.assert_allclose(got["ppo"], loss, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(got["ppo gradient"], [slope], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("value", "target", "loss", "slope"),
    [
        (1.1, 2.0, 0.81, -1.8),  # inside
        (1.5, 2.0, 0.49, 0.0),  # it has gone its way: (1.3 − 2)² is the larger, and a constant
        (1.5, 1.0, 0.25, 1.0),  # it went away from the target: (1.5 − 1)² is the larger
        (0.5, 0.0, 0.49, 0.0),
        (0.5, 1.0, 0.25, -1.0),
        (3.0, 1.2, 3.24, 3.6),  # beyond the target by more than the bound is short of it
    ],
)
def test_the_clipped_value_loss_of_a_worked_example(values, value, target, loss, slope):
    """V_old = 1, ε = 0.3. Engstrom et al. 2020. Caught, when planted: the smaller of both; a clip around the target."""
    got = values([value], [1.0], [target], [1.0])
    np.testing.assert_allclose(got["clipped"], loss, rtol=1e-12)
    np.testing.assert_allclose(got["clipped gradient"], [slope], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_estimated_divergence_is_never_negative(dtype):
    """0 where the policies agree, above it elsewhere; for log-ratios down to 1e-7, where exp(x) − 1 has lost all but a
    digit: to a hundredth of x²/2. Caught, when planted: exp(x) − 1 for expm1 (negative in float32).
    """
    run = of_samples(dtype)
    assert run([0.3, -2.0], [0.3, -2.0], [1.0, 1.0], [1.0, 1.0])["kl"] == 0
    for size in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-2, 1.0, 10.0):
        for x in (size, -size, 0.7 * size, -0.37 * size):
            assert run([x], [0.0], [0.0], [1.0])["kl"] >= 0, x
    for x in (1e-3, -1e-3):
        np.testing.assert_allclose(run([x], [0.0], [0.0], [1.0])["kl"], x * x / 2, rtol=1e-2)


@pytest.mark.parametrize("far", [1e4, -1e4, 90.0, -90.0])
@pytest.mark.parametrize("advantage", [3.0, -3.0])
def test_log_ratios_far_from_0_overflow_nothing(far, advantage):
    """In float32, values and gradients, also beside a step that is padding."""
    got = of_samples("float32")([far, 0.1, far], [0.0, 0.0, 0.0], [advantage, 1.0, 1e6], [1.0, 1.0, 0.0])
    for name, value in got.items():
        assert value.dtype == np.float32, name
        assert np.isfinite(value).all(), name
    clipped_away = (advantage > 0) == (far > 0)
    assert got["ppo gradient"][0] == 0 or not clipped_away


@pytest.mark.parametrize(("log_ratio", "bounded"), [(19.9, 19.9), (20.5, 20.0), (90.0, 20.0), (-20.5, -20.0)])
def test_a_log_ratio_is_bounded_at_20(log_ratio, bounded):
    """The ratio itself, and the divergence estimated from it. Caught, when planted: a bound of 19 or of 21."""
    x = pt.dvector()
    ratio = by_definition.interpreted([x], objectives.ratio_of(x, pt.zeros_like(x)))([log_ratio])
    np.testing.assert_allclose(ratio, np.exp([bounded]), rtol=1e-12)
    kl = by_definition.interpreted([x], objectives.kl_of_samples(x, pt.zeros_like(x), pt.ones_like(x)))([log_ratio])
    np.testing.assert_allclose(kl, np.expm1(bounded) - bounded, rtol=1e-12)


def test_nothing_real_is_worth_nothing(samples, values):
    """All of it padding: 0, not 0/0."""
    got = samples([1.0], [0.0], [2.0], [0.0]) | values([1.0], [0.0], [2.0], [0.0])
    assert all(np.all(value == 0) for value in got.values())
