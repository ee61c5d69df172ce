"""Every gradient of `by_hand/` against central differences, and its distributions against scipy.stats."""

import numpy as np
import pytest
from helpers_graphs import dense_layout
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, softmax

from pg_theano.by_hand import layers, networks, policies, ppo, vpg
from pg_theano.by_hand.networks import Network

STEP = 1e-5


def differences(f, x):
    """∂f/∂x by central differences; two steps, and Richardson's combination of them, whose error is O(step⁴)."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        sides = []
        for step in (STEP * 20, STEP * 40):
            above, below = x.copy(), x.copy()
            above[index] += step
            below[index] -= step
            sides.append((f(above) - f(below)) / (2 * step))
        gradient[index] = (4 * sides[0] - sides[1]) / 3
    return gradient


def assert_agree(gradient, numerical, scale=1.0):
    """To 1e-6 of the largest entry; `scale` is how large f itself is, whose rounding differences cannot see through."""
    error = np.abs(gradient - numerical).max(initial=0)
    assert error <= 1e-6 * np.abs(numerical).max(initial=0) + 1e-11 * scale, error


seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 4)
rows = st.sampled_from([1, 2, 7])


# -- layers


@given(seeds, rows, sizes, sizes)
def test_dense(seed, number, inputs, outputs):
    rng = np.random.default_rng(seed)
    x, weight, bias, weights = (
        rng.normal(size=s) for s in [(number, inputs), (inputs, outputs), outputs, (number, outputs)]
    )
    d_x, d_weight, d_bias = layers.dense_backward(weights, x, weight)
    assert_agree(d_x, differences(lambda v: (weights * layers.dense(v, weight, bias)).sum(), x))
    assert_agree(d_weight, differences(lambda v: (weights * layers.dense(x, v, bias)).sum(), weight))
    assert_agree(d_bias, differences(lambda v: (weights * layers.dense(x, weight, v)).sum(), bias))


@pytest.mark.parametrize("name", layers.ACTIVATIONS)
@given(seed=seeds, number=rows)
def test_activation(name, seed, number):
    """Caught, when planted: y·(1 + y) for the sigmoid."""
    forward, backward = layers.ACTIVATIONS[name]
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 3, (number, 3))
    x[np.abs(x) < 0.01] = 0.5  # relu has a corner at 0
    weights = rng.normal(size=x.shape)
    assert_agree(backward(weights, forward(x)), differences(lambda v: (weights * forward(v)).sum(), x))


def test_sigmoid_saturates_without_a_warning():
    x = np.array([-1e4, -750.0, -40.0, 0.0, 40.0, 750.0, 1e4])
    with np.errstate(all="raise", under="ignore"):
        y = layers.sigmoid(x)
        gradient = layers.sigmoid_backward(np.ones(7), y)
    assert np.allclose(y, expit(x), rtol=1e-12, atol=0)
    assert np.all((gradient >= 0) & (gradient <= 0.25)) and gradient[3] == 0.25
    assert gradient[0] == gradient[-1] == 0


def test_relu_has_gradient_zero_at_the_corner():
    assert list(layers.relu_backward(np.ones(3), layers.relu(np.array([-1.0, 0.0, 1.0])))) == [0, 0, 1]


@given(seeds, rows)
def test_mean_squared_error(seed, number):
    rng = np.random.default_rng(seed)
    prediction, target = rng.normal(size=(2, number))
    gradient = layers.mean_squared_error_backward(prediction, target)
    assert_agree(gradient, differences(lambda v: layers.mean_squared_error(v, target), prediction))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@given(seed=seeds, number=rows, shape=st.lists(sizes, min_size=2, max_size=4))
def test_network(activation, seed, number, shape):
    """Caught, when planted: the trace one layer off."""
    network, rng = Network(tuple(shape), activation), np.random.default_rng(seed)
    params = rng.normal(size=networks.count(network))
    x, weights = rng.normal(size=(number, shape[0])), rng.normal(size=(number, shape[-1]))
    _, trace = networks.forward(params, network, x)
    gradient = networks.backward(weights, params, network, trace)
    assert_agree(gradient, differences(lambda v: (weights * networks.forward(v, network, x)[0]).sum(), params))


def test_the_flat_vector_is_laid_out_as_the_trainers():
    from pg_theano import parameters

    layout = dense_layout([3, 5, 2])
    network = Network((3, 5, 2))
    assert networks.count(network) == parameters.count(layout)
    ours = networks.initial(np.random.default_rng(0), network)
    assert np.array_equal(ours, parameters.initial(np.random.default_rng(0), layout, "float64"))
    theirs = list(parameters.views(ours, layout).values())
    assert all(
        np.array_equal(a, b)
        for a, b in zip([p for pair in networks.unpack(ours, network) for p in pair], theirs, strict=True)
    )


# -- policies

POLICIES = {"logistic": policies.LOGISTIC, "softmax": policies.SOFTMAX, "gaussian": policies.GAUSSIAN}


def case(name, rng, number, size, spread):
    """(outputs, log_std, action) of N rows; a large `spread` makes the policy nearly deterministic."""
    outputs = rng.normal(0, spread, (number, 1 if name == "logistic" else size))
    if name == "gaussian":
        log_std = rng.normal(0, 1, size) - np.log(spread)
        return outputs, log_std, outputs + np.exp(log_std) * rng.normal(size=(number, size))
    return outputs, np.zeros(0), rng.integers(0, 2 if name == "logistic" else size, number)


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("name", POLICIES)
@given(seed=seeds, number=rows, size=sizes)
def test_log_prob_and_entropy_of_a_policy(name, spread, seed, number, size):
    """Both at once, as a loss has them. Caught, when planted: the entropy's gradient with the other sign; σ instead of
    σ² in the Gaussian's; log σ not summed over the rows."""
    policy, rng = POLICIES[name], np.random.default_rng(seed)
    outputs, log_std, action = case(name, rng, number, size, spread)
    a, b = rng.normal(size=(2, number))

    def loss(outputs, log_std):
        return (a * policy.log_prob(outputs, log_std, action) + b * policy.entropy(outputs, log_std)).sum()

    # A narrow Gaussian is steep: differences in units of its width. Of discrete policies the logits are the unit.
    width = np.exp(log_std) if name == "gaussian" else 1.0
    d_outputs, d_log_std = policy.backward(outputs, log_std, action, a, b)
    scale = 1 + np.abs(a * policy.log_prob(outputs, log_std, action)).sum() + np.abs(outputs).max()
    assert_agree(
        d_outputs * width, differences(lambda v: loss(outputs + v * width, log_std), np.zeros_like(outputs)), scale
    )
    assert_agree(d_log_std, differences(lambda v: loss(outputs, v), log_std), scale)


@given(seeds, rows)
def test_logistic_is_bernoulli(seed, number):
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 4, (number, 1))
    reference = stats.bernoulli(expit(logit[:, 0]))
    action = rng.integers(0, 2, number)
    assert np.allclose(policies.logistic_log_prob(logit, action), reference.logpmf(action), rtol=1e-10, atol=1e-12)
    assert np.allclose(policies.logistic_entropy(logit), reference.entropy(), rtol=1e-8, atol=1e-12)


@given(seeds, rows, sizes)
def test_softmax_is_categorical(seed, number, size):
    rng = np.random.default_rng(seed)
    logits, action = rng.normal(0, 4, (number, size)), rng.integers(0, size, number)
    for row, a, log_prob, entropy in zip(
        logits, action, policies.softmax_log_prob(logits, action), policies.softmax_entropy(logits), strict=True
    ):
        reference = stats.rv_discrete(values=(np.arange(size), softmax(row)))
        assert np.isclose(log_prob, reference.logpmf(a), rtol=1e-9, atol=1e-12)
        assert np.isclose(entropy, stats.entropy(softmax(row)), rtol=1e-9, atol=1e-12)


@given(seeds, rows, sizes)
def test_gaussian_is_normal(seed, number, size):
    rng = np.random.default_rng(seed)
    mean, log_std, action = rng.normal(size=(number, size)), rng.normal(size=size), rng.normal(size=(number, size))
    reference = stats.norm(mean, np.exp(log_std))
    assert np.allclose(policies.gaussian_log_prob(mean, log_std, action), reference.logpdf(action).sum(1), rtol=1e-10)
    assert np.allclose(policies.gaussian_entropy(mean, log_std), reference.entropy().sum(1), rtol=1e-10)


def test_a_policy_that_is_sure_has_finite_numbers():
    for policy, outputs in [(policies.LOGISTIC, [[-1e4], [1e4]]), (policies.SOFTMAX, [[-1e4, 0, 1e4], [1e4, 0, -1e4]])]:
        outputs, none, action = np.array(outputs, float), np.zeros(0), np.array([1, 1])
        assert np.isfinite(policy.log_prob(outputs, none, action)).all()
        assert np.allclose(policy.entropy(outputs, none), 0)
        assert np.isfinite(policy.backward(outputs, none, action, np.ones(2), np.ones(2))[0]).all()


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_samples_have_the_probabilities(name):
    """χ² of 100,000 draws; and the extremes of the uniform number give actions that exist."""
    policy = POLICIES[name]
    outputs = np.array([[0.7]] if name == "logistic" else [[0.3, -1.0, 1.2, 0.0]])
    probs = np.array([expit(-0.7), expit(0.7)]) if name == "logistic" else softmax(outputs[0])
    uniform = np.random.default_rng(0).random((100_000, 1))
    drawn = policy.sample(np.repeat(outputs, 100_000, axis=0), np.zeros(0), uniform)
    assert stats.chisquare(np.bincount(drawn, minlength=len(probs)), 100_000 * probs).pvalue > 1e-3
    ends = policy.sample(np.repeat(outputs, 2, axis=0), np.zeros(0), np.array([[0.0], [1 - 2**-53]]))
    assert list(ends) == [0, len(probs) - 1]
    assert policy.mode(outputs, np.zeros(0)) == probs.argmax()


def test_gaussian_samples_are_the_normals_moved_and_widened():
    mean, log_std = np.array([[1.0, -2.0]]), np.log([0.5, 3.0])
    assert np.allclose(policies.GAUSSIAN.sample(mean, log_std, np.array([[2.0, -1.0]])), [[2.0, -5.0]])
    assert np.array_equal(policies.GAUSSIAN.mode(mean, log_std), mean)


@pytest.mark.parametrize("name", POLICIES)
def test_the_expected_score_is_zero(name):
    """𝔼[∇log π] = 0, which is why a baseline does not bias: by summing over actions, or integrating over them."""
    if name == "gaussian":
        nodes, weights = np.polynomial.hermite_e.hermegauss(20)
        weights = weights / weights.sum()
        mean, log_std = np.full((20, 1), 0.3), np.array([-0.4])
        for part in policies.gaussian_d_log_prob(mean, log_std, mean + np.exp(log_std) * nodes[:, None]):
            assert abs(weights @ part[:, 0]) < 1e-12
        return
    number = 2 if name == "logistic" else 4
    outputs = np.repeat(np.array([[0.7]] if name == "logistic" else [[0.3, -1.0, 1.2, 0.0]]), number, axis=0)
    d_log_prob = policies.logistic_d_log_prob if name == "logistic" else policies.softmax_d_log_prob
    probs = np.exp(POLICIES[name].log_prob(outputs, np.zeros(0), np.arange(number)))
    assert np.abs(probs @ d_log_prob(outputs, np.arange(number))).max() < 1e-12


# -- losses


def agent_of(name, hidden=(3,), size=2):
    outputs = 1 if name == "logistic" else size
    return vpg.Agent(POLICIES[name], Network((3, *hidden, outputs)), Network((3, 4, 1)))


def batch(name, rng, agent, number):
    """(params, obs, action, old log-prob, advantage); old log-probs differ from the new ones by up to e^±0.8."""
    params = vpg.init(agent, rng)["policy"]
    params = params + 0.3 * rng.normal(size=params.shape)
    obs = rng.normal(size=(number, 3))
    noise = rng.normal(size=(number, 2)) if name == "gaussian" else rng.random((number, 1))
    action, log_prob = vpg.act(agent, {"policy": params}, obs, noise)
    return params, obs, action, log_prob + rng.uniform(-0.8, 0.8, number), rng.normal(size=number)


@pytest.mark.parametrize("name", POLICIES)
@given(seed=seeds, number=rows)
def test_the_policy_gradient(name, seed, number):
    """Caught, when planted: the entropy's sign; no division by N."""
    agent, rng = agent_of(name), np.random.default_rng(seed)
    params, obs, action, _, advantage = batch(name, rng, agent, number)
    _, gradient = vpg.policy_loss(agent, params, obs, action, advantage, entropy_coefficient=0.3)
    assert_agree(
        gradient,
        differences(lambda v: vpg.policy_loss(agent, v, obs, action, advantage, entropy_coefficient=0.3)[0], params),
    )


@given(seeds, rows)
def test_the_value_gradient(seed, number):
    agent, rng = agent_of("softmax"), np.random.default_rng(seed)
    params, obs, target = vpg.init(agent, rng)["value"], rng.normal(size=(number, 3)), rng.normal(size=number)
    _, gradient = vpg.value_loss(agent, params, obs, target)
    assert_agree(gradient, differences(lambda v: vpg.value_loss(agent, v, obs, target)[0], params))


@pytest.mark.parametrize("name", POLICIES)
@given(seed=seeds, number=rows)
def test_the_clipped_gradient(name, seed, number):
    """Steps within 1e-3 of a corner of the clip are moved away from it: there is no derivative.

    Caught, when planted: the clip on the wrong side for Â < 0; the ratio left out of the gradient.
    """
    agent, rng = agent_of(name), np.random.default_rng(seed)
    params, obs, action, old, advantage = batch(name, rng, agent, number)
    outputs, log_std, _ = vpg.outputs_of(agent, params, obs)
    log_ratio = agent.policy.log_prob(outputs, log_std, action) - old
    near = np.any([np.abs(np.exp(log_ratio) - corner) < 0.03 for corner in (0.8, 1.2)], axis=0)
    old = np.where(near, old - 0.1, old)

    def loss(v):
        return ppo.policy_loss(agent, v, obs, action, old, advantage, clip_range=0.2, entropy_coefficient=0.3)

    assert_agree(loss(params)[1], differences(lambda v: loss(v)[0], params))


@pytest.mark.parametrize("name", POLICIES)
def test_at_ratio_one_the_clipped_gradient_is_the_policy_gradient(name):
    agent, rng = agent_of(name), np.random.default_rng(0)
    params, obs, action, _, advantage = batch(name, rng, agent, 20)
    outputs, log_std, _ = vpg.outputs_of(agent, params, obs)
    old = agent.policy.log_prob(outputs, log_std, action)
    for coefficient in (0.0, 0.1):
        _, ours = ppo.policy_loss(
            agent, params, obs, action, old, advantage, clip_range=0.2, entropy_coefficient=coefficient
        )
        _, plain = vpg.policy_loss(agent, params, obs, action, advantage, entropy_coefficient=coefficient)
        assert np.allclose(ours, plain, rtol=1e-12, atol=1e-15)


def test_where_the_clip_makes_the_gradient_zero():
    """ε = 0.2. Worked by hand, S = min(r·Â, clip(r)·Â) and ∂S/∂log π:

        r    Â     r·Â    clip(r)·Â    S      which      ∂S/∂log π = r·Â or 0
        1.5  +2    3.0    2.4          2.4    clipped    0
        0.5  +2    1.0    1.6          1.0    r·Â        1.0
        1.1  +2    2.2    2.2          2.2    r·Â        2.2
        1.5  −2   −3.0   −2.4         −3.0    r·Â       −3.0
        0.5  −2   −1.0   −1.6         −1.6    clipped    0
        0.9  −2   −1.8   −1.8         −1.8    r·Â       −1.8

    Caught, when planted: the clip with the wrong sign.
    """
    ratio = np.array([1.5, 0.5, 1.1, 1.5, 0.5, 0.9])
    advantage = np.array([2.0, 2.0, 2.0, -2.0, -2.0, -2.0])
    surrogate, gradient = ppo.clipped_surrogate(np.log(ratio), np.zeros(6), advantage, clip_range=0.2)
    assert np.allclose(surrogate, [2.4, 1.0, 2.2, -3.0, -1.6, -1.8])
    assert np.allclose(gradient, [0, 1.0, 2.2, -3.0, 0, -1.8])


def test_a_ratio_out_of_all_bounds_is_finite_and_teaches_nothing():
    surrogate, gradient = ppo.clipped_surrogate(
        np.array([900.0, -900.0]), np.zeros(2), np.array([-1.0, 1.0]), clip_range=0.2
    )
    assert np.isfinite(surrogate).all()
    assert list(gradient) == [0, 0]
