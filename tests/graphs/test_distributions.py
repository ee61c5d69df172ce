"""Every distribution against SciPy, against sampling, and against central differences."""

import math
import zlib
from functools import cache

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from pg_theano import parameters
from pg_theano.graphs import distributions
from pg_theano.types import ActionSpace

C, H, CHOICES = 3, 5, [2, 4, 3]
LOW, HIGH = [-2.0, 0.0, 1.0], [2.0, 0.5, 7.0]
BOX = ActionSpace("box", C, [], LOW, HIGH)._asdict()
SPECS = {
    "discrete": {"num_actions": 4},
    "multi_discrete": {"action": ActionSpace("multi_discrete", 3, CHOICES, [], [])._asdict()},
    "multi_binary": {"action": ActionSpace("multi_binary", C, [2] * C, [], [])._asdict()},
    "gaussian": {"action": BOX},
    "gaussian, one log-std for all": {"action": BOX},
    "squashed": {"action": BOX, "squash": True},
    "state_dependent": {"action": BOX, "noise": "state_dependent"},
    "squashed state_dependent": {"action": BOX, "noise": "state_dependent", "squash": True},
}
BOXES = [name for name, spec in SPECS.items() if spec.get("action") == BOX]


# -- a distribution as a function of arrays: its parts are what the inputs are made of


def parts_of(name, rng, n, scale=1.0):
    """Arrays that the inputs are made of: logits, or mean, log-std and features."""
    if name not in BOXES:
        sizes = {"discrete": [4], "multi_discrete": CHOICES, "multi_binary": [C]}[name]
        return [rng.normal(0, 2 * scale, (size, n)) for size in sizes]
    mean = rng.normal(0, scale, (C, n))
    if "state_dependent" in name:
        return [mean, rng.normal(-1, 0.5, (H, C)), rng.normal(size=(H, n))]
    return [mean, rng.normal(-0.5, 0.5, (C, 1 if name == "gaussian, one log-std for all" else n))]


def action_of(name, rng, n):
    if name == "discrete":
        return rng.integers(0, 4, n).astype("int32")
    if name == "multi_discrete":
        return np.array([rng.integers(0, size, n) for size in CHOICES], "int32")
    return rng.integers(0, 2, (C, n)).astype("int32") if name == "multi_binary" else rng.normal(0, 1.5, (C, n))


def symbols_of(name, dtype="float64"):
    """(parts, the inputs made of them): the softmax's log-probabilities are part of what is differentiated."""
    shapes = [part.shape for part in parts_of(name, np.random.default_rng(0), 2)]
    fixed = {(H, C), (C, 1)}
    parts = [pt.tensor(shape=s if s in fixed else (s[0], None), dtype=dtype) for s in shapes]
    if "discrete" in name:
        return parts, tuple(distributions.policies.softmax_log_probs(part) for part in parts)
    return parts, tuple(parts)


@cache
def compiled(name, dtype="float64"):
    """Functions of arrays: log_prob, entropy, kl, sample, mode; and the same with their gradients."""
    with by_definition.floats(dtype):
        spec = by_definition.make_spec(**SPECS[name], dtype=dtype)
        distribution = distributions.of(spec.acting)
        parts, inputs = symbols_of(name, dtype)
        old_parts, old = symbols_of(name, dtype)
        action = pt.ivector() if name == "discrete" else pt.imatrix() if name not in BOXES else pt.matrix(dtype=dtype)
        noise = pt.matrix(dtype=dtype)
        log_prob, entropy = distribution.log_prob(inputs, action), distribution.entropy(inputs)
        kl = distribution.kl(old, inputs)

        def gradient(value, of=parts):
            return pytensor.grad(value.sum(), of, disconnected_inputs="ignore")

        weight = pt.matrix(dtype=dtype)  # a direction for the Hessian, of the first part
        slope = pytensor.grad((gradient(kl)[0] * weight).sum(), parts, disconnected_inputs="ignore")
        made = {
            "log_prob": ([*parts, action], log_prob),
            "entropy": (parts, entropy),
            "kl": ([*old_parts, *parts], kl),
            "sample": ([*parts, noise], distribution.sample(inputs, noise)),
            "mode": (parts, distribution.mode(inputs)),
            "d_log_prob": ([*parts, action], gradient(log_prob)),
            "d_entropy": (parts, gradient(entropy)),
            "d_kl": ([*old_parts, *parts], gradient(kl)),
            "d_kl_old": ([*old_parts, *parts], gradient(kl, old_parts)),
            "hessian_kl": ([*old_parts, *parts, weight], slope),
        }
        return {key: by_definition.interpreted(*value) for key, value in made.items()}


# -- the same by SciPy


def std_of(name, parts):
    """σ [C, N] of one step's action."""
    if "state_dependent" not in name:
        return np.exp(parts[1])
    _, log_std, features = parts
    n = features.shape[1]
    variance = [
        [sum((features[h, i] * math.exp(log_std[h, c])) ** 2 for h in range(H)) for i in range(n)] for c in range(C)
    ]
    return np.sqrt(np.array(variance) + 1e-6)


def log_prob_by_scipy(name, parts, action):
    n = parts[0].shape[1]
    if name == "discrete":
        return special.log_softmax(parts[0], axis=0)[action, np.arange(n)]
    if name == "multi_discrete":
        return sum(special.log_softmax(z, axis=0)[a, np.arange(n)] for z, a in zip(parts, action, strict=True))
    if name == "multi_binary":
        return np.where(action, special.log_expit(parts[0]), special.log_expit(-parts[0])).sum(axis=0)
    log_prob = stats.norm.logpdf(action, parts[0], std_of(name, parts))
    if "squashed" in name:
        slope = (np.array(HIGH) - np.array(LOW))[:, None] / 2 / np.cosh(action) ** 2
        log_prob = log_prob - np.log(slope)
    return log_prob.sum(axis=0)


def entropy_by_scipy(name, parts):
    if "discrete" in name:
        return sum(stats.entropy(special.softmax(z, axis=0), axis=0) for z in parts)
    if name == "multi_binary":
        return stats.bernoulli.entropy(special.expit(parts[0])).sum(axis=0)
    std = np.broadcast_to(std_of(name, parts), parts[0].shape)
    entropy = stats.norm.entropy(0, std)
    if "squashed" in name:
        for c in range(C):
            for i in range(std.shape[1]):
                entropy[c, i] += math.log((HIGH[c] - LOW[c]) / 2) + mean_log_slope(parts[0][c, i], std[c, i])
    return entropy.sum(axis=0)


def mean_log_slope(mean, std):
    """E log(1 − tanh²(μ + σ·ε)) by quadrature."""

    def integrand(e):
        return -2 * np.logaddexp(mean + std * e, -mean - std * e) * stats.norm.pdf(e)

    kink = min(max(-mean / std, -9.0), 9.0)
    return 2 * math.log(2) + integrate.quad(integrand, -10, 10, points=[kink], epsabs=1e-10, limit=200)[0]


def kl_by_scipy(name, old, new):
    """Discrete: Σ p·log(p/q). Normal: ∫ p·log(p/q) by Gauss and Hermite, exact for the quadratic log(p/q)."""
    if "discrete" in name:
        return sum(
            stats.entropy(special.softmax(a, axis=0), special.softmax(b, axis=0), axis=0)
            for a, b in zip(old, new, strict=True)
        )
    if name == "multi_binary":
        p, q = ([special.expit(x), special.expit(-x)] for x in (old[0], new[0]))
        return stats.entropy(p, q, axis=0).sum(axis=0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    std, new_std = std_of(name, old), std_of(name, new)
    value = 0
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        a = old[0] + std * node
        value = value + weight * (stats.norm.logpdf(a, old[0], std) - stats.norm.logpdf(a, new[0], new_std))
    return value.sum(axis=0)


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 9), scale=st.sampled_from([0.1, 1.0, 4.0]))
def test_log_prob_entropy_and_kl_are_scipys(name, seed, n, scale):
    """To 1e-12; the entropy of a squashed distribution to 1e-4 for each of its three components.

    Caught, when planted: the variance for the standard deviation; no determinant, or that of tanh alone (half range
    forgotten); log 2π left out; a mean over components for the sum; old and new exchanged in each KL; the variance of
    features without their square.
    """
    rng = np.random.default_rng(seed)
    parts, old, action = parts_of(name, rng, n, scale), parts_of(name, rng, n, scale), action_of(name, rng, n)
    run = compiled(name)

    def check(got, expected, atol):
        assert got.shape == (n,)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=atol)

    check(run["log_prob"](*parts, action), log_prob_by_scipy(name, parts, action), 1e-12)
    check(run["entropy"](*parts), entropy_by_scipy(name, parts), C * 1e-4 if "squashed" in name else 1e-12)
    check(run["kl"](*old, *parts), kl_by_scipy(name, old, parts), 1e-11)
    np.testing.assert_allclose(run["kl"](*parts, *parts), 0, atol=1e-14)


# -- gradients


def differences(function, arrays, step=1e-5):
    """∂ Σ f / ∂ every number of `arrays`, by central differences."""
    gradients = []
    for k, array in enumerate(arrays):
        gradient = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[k][place] += sign * step
                sides.append(function(*moved).sum())
            gradient[place] = (sides[0] - sides[1]) / (2 * step)
        gradients.append(gradient)
    return gradients


@pytest.mark.parametrize("name", SPECS)
def test_gradients_are_central_differences(name):
    """Of log_prob, entropy and KL by everything but features, which are constants: their gradient is 0.

    Caught, when planted: features that learn.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    parts, old, action = parts_of(name, rng, 4), parts_of(name, rng, 4), action_of(name, rng, 4)
    run, learned = compiled(name), parts[:2] if "state_dependent" in name else parts
    rest = parts[len(learned) :]
    for function, before, after in [("log_prob", [], [action]), ("entropy", [], []), ("kl", old, [])]:
        got = run["d_" + function](*before, *parts, *after)
        expected = differences(lambda *x, f=function, b=before, a=after: run[f](*b, *x, *rest, *a), learned)
        for mine, other in zip(got, expected, strict=False):
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)
        for mine in got[len(learned) :]:
            assert (mine == 0).all()
    got = run["d_kl_old"](*old, *parts)
    expected = differences(lambda *x: run["kl"](*x, *old[len(learned) :], *parts), old[: len(learned)])
    for mine, other in zip(got, expected, strict=False):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SPECS)
def test_the_hessian_of_kl_is_the_gradients_difference(name):
    """H·v by differentiating twice, v in the first part; at new = old, where trust regions take it, and elsewhere.

    At new = old it is the Fisher matrix: v·H·v > 0.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    old, weight = parts_of(name, rng, 4), rng.normal(size=parts_of(name, rng, 4)[0].shape)
    run, shared = compiled(name), 2 if "state_dependent" in name else None
    for parts in ([a.copy() for a in old], parts_of(name, rng, 4)):
        got = run["hessian_kl"](*old, *parts, weight)
        expected = differences(
            lambda *x, p=parts: run["d_kl"](*old, *x, *(p[shared:] if shared else []))[0] * weight, parts[:shared]
        )
        for mine, other in zip(got, expected, strict=False):
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)
        if parts[0].tolist() == old[0].tolist():
            assert (got[0] * weight).sum() > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SPECS)
def test_nothing_is_nan_where_probabilities_are_zero(name, dtype):
    """Logits, means and actions of ±1e4 and 0; log-stds of −20 and 2, features of 0; every pair of old and new.

    Values, gradients and second derivatives are finite, and the KL of certain and wrong is what the logits say, 2e4.
    Caught, when planted: log(1 − tanh²) as it stands; log σ(z); a bound of log π that shows in the KL.
    """
    extremes = np.array([1e4, -1e4, 0.0])
    n = len(extremes) ** 2
    rng = np.random.default_rng(0)

    def parts(values):
        made = []
        for k, part in enumerate(parts_of(name, rng, n)):
            if name in BOXES and k == 1:
                array = np.zeros_like(part) + np.resize([-20.0, 2.0], part.shape[0])[:, None]
            else:
                array = np.zeros_like(part) + values
                array[0] *= -1
            made.append(array.astype(dtype))
        return made

    old, new = parts(np.repeat(extremes, 3)), parts(np.tile(extremes, 3))
    run = compiled(name, dtype)
    if name in BOXES:
        action = np.tile(extremes, (C, 3)).astype(dtype)
    else:
        action = np.zeros((C, n), "int32")[0 if name == "discrete" else slice(None)]
    # (a − μ)/σ with σ = e⁻²⁰ is 5e12, so squares stay inside float32
    for function, arguments in [
        ("log_prob", [*new, action]),
        ("entropy", new),
        ("kl", [*old, *new]),
        ("hessian_kl", [*old, *new, np.ones_like(new[0])]),
    ]:
        for key in (function, "d_" + function):
            if key not in run:
                continue
            got = run[key](*arguments)
            for array in got if isinstance(got, list) else [got]:
                assert array.dtype == dtype
                assert np.isfinite(array).all(), key
    kl = run["kl"](*old, *new)
    assert (kl >= 0).all()
    assert (kl[::4] == 0).all()  # old = new
    if name == "discrete":
        # log π_old = (−2e4, and three times −log 3); log π = (0, and three times −2e4)
        np.testing.assert_allclose(kl[1], 2e4 - math.log(3), rtol=1e-6)


def test_the_kl_of_actions_that_are_ruled_out():
    """log π = −∞, as a policy of one's own may say: an action that both rule out adds nothing.

    Caught, when planted: no bound (NaN).
    """
    with np.errstate(all="ignore"):
        for dtype in ("float32", "float64"):
            run = compiled("discrete", dtype)
            old = np.array([[0.0], [0.0], [-np.inf], [-np.inf]], dtype)
            new = np.array([[0.0], [1.0], [-np.inf], [3.0]], dtype)
            p, q = np.array([0.5, 0.5]), special.softmax([0.0, 1.0, 3.0])[:2]
            np.testing.assert_allclose(run["kl"](old, new), [(p * np.log(p / q)).sum()], rtol=1e-6)
            assert run["kl"](new, old) > 1e15
            assert np.isfinite(run["d_kl"](old, new)[0]).all()
            assert np.isfinite(run["entropy"](old)).all()


# -- sampling


def midpoints(*counts):
    """[U, N]: the midpoints of equal boxes that fill the unit cube. A share of them is a probability, nearly."""
    axes = [(np.arange(n) + 0.5) / n for n in counts]
    return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")])


def repeated(parts, n):
    """The first observation's parts, n times; log-stds that are parameters as they are."""
    return [part if part.shape == (H, C) else np.repeat(part[:, :1], n, axis=1) for part in parts]


@pytest.mark.parametrize("name", ["discrete", "multi_discrete", "multi_binary"])
def test_samples_have_the_stated_probabilities(name):
    """Every action's share of a grid of uniforms is its probability, so the components are independent too.

    Caught, when planted: one row of noise for all components; π(0) for π(1).
    """
    counts = [200] if name == "discrete" else [40, 41, 42]
    noise = midpoints(*counts)
    parts = repeated(parts_of(name, np.random.default_rng(5), 1, 0.5), noise.shape[1])
    run = compiled(name)
    action = run["sample"](*parts, noise)
    assert action.dtype == np.int32
    assert action.shape == (noise.shape[1:] if name == "discrete" else noise.shape)
    probs = np.exp(run["log_prob"](*parts, action))
    rows, place, shares = np.unique(action.reshape(-1, len(probs)), axis=1, return_inverse=True, return_counts=True)
    assert rows.shape[1] == {"discrete": 4, "multi_discrete": 24, "multi_binary": 8}[name]
    np.testing.assert_allclose((shares / len(probs))[place.ravel()], probs, rtol=0, atol=2.5 / min(counts))
    # and that each row of the noise decides its own component alone
    if name != "discrete":
        for c in range(3):
            moved = np.array(noise)
            moved[c] = 1 - np.nextafter(1, 0) if c else np.nextafter(1, 0)
            changed = (run["sample"](*parts, moved) != action).any(axis=1)
            assert changed.tolist() == [i == c for i in range(3)]


@pytest.mark.parametrize("name", BOXES)
def test_samples_are_mean_plus_noise(name):
    """u = μ + σ·ε of each component, and for state-dependent noise Σ_h φ_h·σ_hc·ε_hc with ε_hc in row h·C + c.

    Caught, when planted: the variance for σ; rows by component and then feature.
    """
    rng = np.random.default_rng(1)
    parts = parts_of(name, rng, 6)
    noise = rng.normal(size=(H * C if "state_dependent" in name else C, 6))
    action = compiled(name)["sample"](*parts, noise)
    mean, log_std = parts[:2]
    for c in range(C):
        for i in range(6):
            if "state_dependent" in name:
                drawn = sum(parts[2][h, i] * math.exp(log_std[h, c]) * noise[h * C + c, i] for h in range(H))
            else:
                drawn = np.exp(log_std[c, i % log_std.shape[1]]) * noise[c, i]
            np.testing.assert_allclose(action[c, i], mean[c, i] + drawn, rtol=1e-12)


def test_the_variance_of_state_dependent_noise_is_the_log_probs():
    """40,000 draws of ε: mean and variance of the actions, against a std from the log-probability's own curvature.

    ∂² log π/∂a² = −1/σ², here by a second difference.
    """
    name, n = "state_dependent", 40_000
    rng = np.random.default_rng(2)
    parts = repeated(parts_of(name, rng, 1), n)
    action = compiled(name)["sample"](*parts, rng.normal(size=(H * C, n)))
    one = repeated(parts, 3)
    for c in range(C):
        points = np.repeat(one[0][:, :1], 3, axis=1)
        points[c] += [-0.1, 0.0, 0.1]
        below, middle, above = compiled(name)["log_prob"](*one, points)
        variance = -(0.1**2) / (below - 2 * middle + above)
        assert action[c].var() == pytest.approx(variance, rel=0.03)
        assert action[c].mean() == pytest.approx(parts[0][c, 0], abs=4 * math.sqrt(variance / n))
    assert abs(np.corrcoef(action) - np.eye(C)).max() < 0.03


@pytest.mark.parametrize("name", SPECS)
def test_the_mode_is_the_likeliest(name):
    """No action is likelier, of all there are or of a grid; the first of equals. A squashed box has its mean of u.

    Caught, when planted: z ≥ 0 for z > 0.
    """
    rng = np.random.default_rng(3)
    run, parts = compiled(name), parts_of(name, rng, 5)
    mode = run["mode"](*parts)
    if name in BOXES:
        np.testing.assert_array_equal(mode, parts[0])
        return
    assert mode.dtype == np.int32
    best = run["log_prob"](*parts, mode)
    for _ in range(200):
        assert (run["log_prob"](*parts, action_of(name, rng, 5)) <= best).all()
    assert (run["mode"](*[part * 0 for part in parts]) == 0).all()


# -- squashing


@pytest.mark.parametrize("name", ["squashed", "squashed state_dependent"])
def test_a_squashed_density_is_one_over_the_box(name):
    """∫ π(b) db = 1 for each component: what the others contribute is taken off at one point.

    And the entropy is −∫ π·log π.
    """
    rng = np.random.default_rng(4)
    run, parts = compiled(name), parts_of(name, rng, 1)
    std = std_of(name, parts)
    total = 0.0
    for c in range(C):

        def density(b, c=c):
            u = np.array(parts[0])
            u[c] = math.atanh(2 * (b - LOW[c]) / (HIGH[c] - LOW[c]) - 1)
            others = [k for k in range(C) if k != c]
            slopes = [(HIGH[k] - LOW[k]) / 2 / math.cosh(parts[0][k, 0]) ** 2 for k in others]
            fixed = sum(-math.log(std[k, 0] * math.sqrt(2 * math.pi) * s) for k, s in zip(others, slopes, strict=True))
            return math.exp(run["log_prob"](*parts, u)[0] - fixed)

        width = 1e-9 * (HIGH[c] - LOW[c])
        area, _ = integrate.quad(density, LOW[c] + width, HIGH[c] - width, limit=200)
        assert area == pytest.approx(1, abs=1e-6)
        total -= integrate.quad(lambda b: special.xlogy(density(b), density(b)), LOW[c] + width, HIGH[c] - width)[0]
    np.testing.assert_allclose(run["entropy"](*parts), total, rtol=0, atol=C * 1e-4)


@pytest.mark.slow
def test_the_mean_log_determinant_is_right_for_every_mean_and_std():
    """Within 1e-4, from a std of 0.001 to one of 20; its gradient within 1e-3 of differences of the quadrature."""
    mean, log_std = (pt.dmatrix() for _ in range(2))
    value = distributions.mean_log_slope(mean, log_std)
    run = by_definition.interpreted([mean, log_std], [value, *pytensor.grad(value.sum(), [mean, log_std])])
    for std in (0.001, 0.05, 0.3, 1.0, 2.0, 7.4, 20.0):
        for middle in (-40.0, -2.0, -0.7, 0.0, 0.3, 1.1, 2.0, 6.0):
            got, by_mean, by_log_std = (x[0, 0] for x in run([[middle]], [[math.log(std)]]))
            assert got == pytest.approx(mean_log_slope(middle, std), abs=1e-4)
            step = 1e-3
            slope = (mean_log_slope(middle + step, std) - mean_log_slope(middle - step, std)) / (2 * step)
            assert by_mean == pytest.approx(slope, abs=1e-3)
            slope = (
                mean_log_slope(middle, std * math.exp(step)) - mean_log_slope(middle, std * math.exp(-step))
            ) / step
            assert by_log_std == pytest.approx(slope / 2, abs=1e-3)


def test_the_tails_of_a_squashed_density_are_the_logarithms():
    """log(1 − tanh² u) → 2·log 2 − 2·|u|, where tanh has long rounded to 1."""
    u = pt.dvector()
    run = by_definition.interpreted([u], distributions.log_slope(u))
    np.testing.assert_allclose(
        run([-400.0, -30, 30, 400]), 2 * math.log(2) - 2 * np.array([400, 30, 30, 400.0]), rtol=1e-14
    )
    x = np.linspace(-5, 5, 21)
    np.testing.assert_allclose(run(x), np.log(1 - np.tanh(x) ** 2), rtol=0, atol=1e-11)


# -- from a network's outputs


def test_the_number_of_outputs():
    """A logit a choice; a mean a number of a box, and as many log-stds where the network gives them."""
    expected = {"discrete": 4, "multi_discrete": 9, "multi_binary": 3, "gaussian": 3}
    for name, number in expected.items():
        action = by_definition.make_spec(**SPECS[name]).acting.action
        assert parameters.num_outputs(action, "state_independent") == number
        assert parameters.num_outputs(action, "state_dependent") == (6 if name == "gaussian" else number)
    two = by_definition.make_spec(num_actions=2).acting.action
    assert parameters.num_outputs(two, "state_independent", True) == 1
    assert parameters.num_outputs(two, "state_independent", False) == 2


@pytest.mark.parametrize("name", ["discrete", "multi_discrete", "multi_binary", "gaussian", "logistic"])
def test_the_likeliest_action_can_be_read_off_the_networks_outputs(name):
    """Where nothing is learned from it there are no probabilities: the largest logit of each part, and the mean.

    Caught, when planted: parts of a multi-discrete action cut at the wrong places; the log-stds taken for means.
    """
    spec = by_definition.make_spec(**({"num_actions": 2, "logistic": True} if name == "logistic" else SPECS[name]))
    z = np.random.default_rng(3).normal(size=({"gaussian": 6, "logistic": 1}.get(name, 9), 40))
    z = z[: {"discrete": 4, "multi_binary": 3}.get(name, len(z))]
    symbol = pt.tensor(shape=(len(z), None), dtype="float64")
    got = by_definition.interpreted([symbol], distributions.mode_of(spec.acting, symbol))(z)
    expected = {
        "discrete": lambda: z.argmax(axis=0),
        "logistic": lambda: z[0] > 0,
        "multi_discrete": lambda: [z[a:b].argmax(axis=0) for a, b in ((0, 2), (2, 6), (6, 9))],
        "multi_binary": lambda: z > 0,
        "gaussian": lambda: z[:3],
    }[name]()
    np.testing.assert_array_equal(got, expected)


def test_inputs_are_the_networks_outputs_in_their_places():
    """Caught, when planted: log-stds before means; a log-std [C] along observations; a hard bound."""
    rng = np.random.default_rng(0)

    def inputs(outputs, vector=None, features=None, **changes):
        spec = by_definition.make_spec(**changes)
        arrays = [a for a in (outputs, vector, features) if a is not None]
        symbols = [pt.tensor(shape=(a.shape[0], *[None] * (a.ndim - 1)), dtype="float64") for a in arrays]
        given = iter(symbols)
        three = [None if a is None else next(given) for a in (outputs, vector, features)]
        return by_definition.interpreted(symbols, list(distributions.inputs_of(spec.acting, *three)))(*arrays)

    z = rng.normal(size=(9, 4))
    np.testing.assert_allclose(inputs(z, num_actions=9), [special.log_softmax(z, axis=0)], atol=1e-14)
    for got, (start, end) in zip(inputs(z, **SPECS["multi_discrete"]), [(0, 2), (2, 6), (6, 9)], strict=True):
        np.testing.assert_allclose(got, special.log_softmax(z[start:end], axis=0), atol=1e-14)
    np.testing.assert_array_equal(inputs(z[:3], **SPECS["multi_binary"]), [z[:3]])
    (got,) = inputs(z[:1], num_actions=2, logistic=True)
    np.testing.assert_allclose(got, np.log([special.expit(-z[0]), special.expit(z[0])]), atol=1e-14)

    log_std = np.array([-1.0, 0.0, 30.0])
    mean, got = inputs(z[:3], log_std, **SPECS["gaussian"])
    assert np.array_equal(mean, z[:3]) and np.array_equal(got, log_std[:, None])
    mean, got = inputs(z[:6], action=BOX, log_std="state_dependent", squash=True)
    assert np.array_equal(mean, z[:3])
    np.testing.assert_allclose(got, 2 - np.logaddexp(0, 2 - z[3:6]), atol=1e-8)
    log_std, features = rng.normal(size=(H, C)), rng.normal(size=(H, 4))
    for got, expected in zip(
        inputs(z[:3], log_std, features, **SPECS["state_dependent"]), (z[:3], log_std, features), strict=True
    ):
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_networks_log_std_stays_between_its_bounds_and_can_return(dtype):
    """Within [−20, 2] for ±1e4; nearly itself inside; growing everywhere, with a gradient ten beyond either bound.

    Caught, when planted: a hard bound (gradient 0); a bound on one side.
    """
    x = pt.vector(dtype=dtype)
    with by_definition.floats(dtype):
        y = distributions.bounded_log_std(x)
        run = by_definition.interpreted([x], [y, pytensor.grad(y.sum(), x)])
    value, _ = run(np.array([-1e4, 1e4], dtype))
    assert value.tolist() == pytest.approx([-20, 2], abs=1e-5)
    points = np.linspace(-30, 12, 200).astype(dtype)
    value, gradient = run(points)
    assert value.dtype == gradient.dtype == dtype
    assert (gradient > 1e-5).all()
    assert (value >= -20.00001).all() and (value <= 2.00001).all()
    inside = (points > -16) & (points < -2)
    np.testing.assert_allclose(value[inside], points[inside], rtol=0, atol=0.02)


@pytest.mark.parametrize("name", SPECS)
def test_the_noise_is_what_the_host_is_told_to_draw(name):
    spec = by_definition.make_spec(hidden=(H,), **SPECS[name])
    kind, size = spec.acting.noise_kind
    assert kind == distributions.of(spec.acting).noise
    assert size == {"discrete": 1}.get(name, H * C if "state_dependent" in name else C)
