"""Distributions over actions, feature-major: log-probability, entropy, KL divergence, sample and mode of each.

One section each, in that order. `inputs` is a tuple of tensors that `inputs_of` makes of what the network gives; N
observations are N columns. Components of an action are independent given the observation, so that their
log-probabilities, entropies and divergences add up.

| distribution      | inputs                                             | action     | noise               |
|-------------------|----------------------------------------------------|------------|---------------------|
| `discrete`        | log π [A, N]                                       | int32 [N]  | uniform [U, N]      |
| `multi_discrete`  | log π of each component: [A1, N], [A2, N], ...     | int32 [C, N] | uniform [C, N]    |
| `multi_binary`    | logits [C, N]                                      | int32 [C, N] | uniform [C, N]    |
| `gaussian`        | mean [C, N], log_std [C, N] or [C, 1]              | [C, N]     | normal [C, N]       |
| `state_dependent` | mean [C, N], log_std [H, C], features [H, N]       | [C, N]     | normal [H·C, N]     |
| `squashed`        | those of either of the two above                   | [C, N]     | that of either      |

Pink noise is in no table: each of its numbers is standard normal, and so the action of one step is `gaussian`. Every
first and second derivative is finite for logits of ±10⁴ in float32.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import zero_grad

from pg_theano.graphs import many_choices, masks, policies
from pg_theano.graphs.common import total
from pg_theano.graphs.exploration import greedy
from pg_theano.spec import Acting


class Distribution(NamedTuple):
    """`inputs` is a tuple of tensors whose meaning is the distribution's own; N columns."""

    log_prob: Callable  # (inputs, action) -> [N]
    entropy: Callable  # (inputs) -> [N]
    kl: Callable  # (old inputs, inputs) -> [N]       KL(old || new)
    sample: Callable  # (inputs, noise [U, N]) -> action
    mode: Callable  # (inputs) -> action
    noise: str  # "uniform" or "normal"


# -- discrete: one of A actions


def discrete_log_prob(inputs, action):
    """log π(a|o). Shapes: ([A, N],), [N] to [N]."""
    return policies.taken(inputs[0], action)


def discrete_entropy(inputs):
    """H = −Σ_a π(a)·log π(a). Shapes: ([A, N],) to [N]."""
    return policies.entropy(inputs[0])


def discrete_kl(old, new):
    """KL = Σ_a π_old(a)·(log π_old(a) − log π(a)). Shapes: ([A, N],) twice to [N].

    Log-probabilities are bounded below by −10²⁰, which only log 0 reaches: an action that both rule out adds 0·0, and
    one that only the new policy rules out adds π_old(a)·10²⁰ in place of infinity.
    """
    log_old, log_new = pt.maximum(old[0], -1e20), pt.maximum(new[0], -1e20)
    return total(pt.exp(log_old) * (log_old - log_new), axis=0)


def discrete_sample(inputs, noise):
    """By the inverse of the cumulative distribution, from the first row of the noise. [N], int32."""
    return policies.inverse_cdf(pt.exp(inputs[0]), noise[0])


def discrete_mode(inputs):
    """The likeliest action, the first of equals. [N], int32."""
    return greedy(inputs[0])


DISCRETE = Distribution(
    discrete_log_prob, discrete_entropy, discrete_kl, discrete_sample, discrete_mode, noise="uniform"
)


# -- multi_discrete: C components, one of A_c choices each


def multi_discrete_log_prob(inputs, action):
    """log π(a|o) = Σ_c log π_c(a_c|o). Shapes: ([A1, N], [A2, N], ...), [C, N] to [N]."""
    return sum(policies.taken(log_probs, action[c]) for c, log_probs in enumerate(inputs))


def multi_discrete_entropy(inputs):
    """H = Σ_c H_c. Shapes: ([A1, N], [A2, N], ...) to [N]."""
    return sum(policies.entropy(log_probs) for log_probs in inputs)


def multi_discrete_kl(old, new):
    """KL = Σ_c KL(π_old,c || π_c). Shapes: ([A1, N], [A2, N], ...) twice to [N]."""
    return sum(discrete_kl((log_old,), (log_new,)) for log_old, log_new in zip(old, new, strict=True))


def multi_discrete_sample(inputs, noise):
    """Each component from its own row of the noise [C, N]. [C, N], int32."""
    return pt.stack([policies.inverse_cdf(pt.exp(log_probs), noise[c]) for c, log_probs in enumerate(inputs)], axis=0)


def multi_discrete_mode(inputs):
    """The likeliest choice of every component. [C, N], int32."""
    return pt.stack([greedy(log_probs) for log_probs in inputs], axis=0)


MULTI_DISCRETE = Distribution(
    multi_discrete_log_prob,
    multi_discrete_entropy,
    multi_discrete_kl,
    multi_discrete_sample,
    multi_discrete_mode,
    noise="uniform",
)


# -- multi_binary: C components, each 1 with probability σ(z_c)


def multi_binary_log_prob(inputs, action):
    """Σ_c log π(a_c), with π(1) = σ(z), π(0) = σ(−z) and log σ(z) = −softplus(−z).

        log π(a) = −Σ_c softplus(∓z_c)                                     − for a_c = 1, + for a_c = 0

    Shapes: ([C, N],), [C, N] to [N].
    """
    logits = inputs[0]
    return -total(pt.softplus(pt.switch(action > 0, -logits, logits)), axis=0)


def multi_binary_entropy(inputs):
    """H = Σ_c [σ(z)·softplus(−z) + σ(−z)·softplus(z)]. Shapes: ([C, N],) to [N].

    The two products are π(1)·(−log π(1)) and π(0)·(−log π(0)), without a logarithm of 0.
    """
    logits = inputs[0]
    return total(pt.sigmoid(logits) * pt.softplus(-logits) + pt.sigmoid(-logits) * pt.softplus(logits), axis=0)


def multi_binary_kl(old, new):
    """KL = Σ_c [σ(z)·(softplus(−z′) − softplus(−z)) + σ(−z)·(softplus(z′) − softplus(z))], z old and z′ new.

    Each difference is a difference of log-probabilities, taken before its weight, so that where old and new saturate
    on the same side 0 is left and not the difference of two large numbers. Shapes: ([C, N],) twice to [N].
    """
    z, z_new = old[0], new[0]
    one = pt.sigmoid(z) * (pt.softplus(-z_new) - pt.softplus(-z))  # [C, N]
    zero = pt.sigmoid(-z) * (pt.softplus(z_new) - pt.softplus(z))  # [C, N]
    return total(one + zero, axis=0)


def multi_binary_sample(inputs, noise):
    """a = 1 where u ≥ σ(−z): 0 owns the first part of [0, 1). Noise [C, N]; the result [C, N], int32."""
    return pt.ge(noise, pt.sigmoid(-inputs[0])).astype("int32")


def multi_binary_mode(inputs):
    """1 where z > 0. [C, N], int32."""
    return pt.gt(inputs[0], 0).astype("int32")


MULTI_BINARY = Distribution(
    multi_binary_log_prob,
    multi_binary_entropy,
    multi_binary_kl,
    multi_binary_sample,
    multi_binary_mode,
    noise="uniform",
)


# -- gaussian: C real numbers, a normal distribution each

LOG_2_PI = math.log(2 * math.pi)


def gaussian_log_prob(inputs, action):
    """The log-density, with σ = exp(log_std).

        log π(a) = Σ_c [−½·((a − μ)/σ)² − log σ − ½·log 2π]

    Shapes: ([C, N], [C, N] or [C, 1]), [C, N] to [N].
    """
    mean, log_std = inputs
    standard = (action - mean) * pt.exp(-log_std)  # [C, N]
    return total(-0.5 * standard * standard - log_std - 0.5 * LOG_2_PI, axis=0)


def gaussian_entropy(inputs):
    """H = Σ_c [log σ + ½·log 2πe]. Shapes: ([C, N], [C, N] or [C, 1]) to [N]."""
    mean, log_std = inputs
    return total(log_std + (0.5 * LOG_2_PI + 0.5) + pt.zeros_like(mean), axis=0)


def gaussian_kl(old, new):
    """KL between two normal distributions of each component, from (μ, σ) to (μ′, σ′).

        KL = Σ_c ½·[σ²/σ′² − 1 − log(σ²/σ′²) + ((μ − μ′)/σ′)²]

    σ²/σ′² − 1 by expm1, for two that are nearly the same. Shapes: ([C, N], [C, N] or [C, 1]) twice to [N].
    """
    (mean, log_std), (new_mean, new_log_std) = old, new
    log_ratio = 2 * (log_std - new_log_std)  # [C, N]
    distance = (mean - new_mean) * pt.exp(-new_log_std)  # [C, N]
    return total(0.5 * (pt.expm1(log_ratio) - log_ratio + distance * distance), axis=0)


def gaussian_sample(inputs, noise):
    """a = μ + σ·ε. Noise [C, N]; the result [C, N]."""
    mean, log_std = inputs
    return mean + pt.exp(log_std) * noise


def gaussian_mode(inputs):
    """The mean. [C, N]."""
    return inputs[0]


GAUSSIAN = Distribution(
    gaussian_log_prob, gaussian_entropy, gaussian_kl, gaussian_sample, gaussian_mode, noise="normal"
)


# -- state_dependent: a normal distribution whose noise is a function of the observation, held for a rollout

LEAST_VARIANCE = 1e-6


def marginal(inputs):
    """The normal distribution of one step's action, as the inputs of `gaussian`: ([C, N], [C, N]).

        a   = μ + Wᵀ·φ,   W_hc = exp(log_std_hc)·ε_hc                        Raffin et al. 2022, eq. 4 to 6
        σ_c = √(Σ_h φ_h²·exp(2·log_std_hc) + 10⁻⁶)

    The features φ are constants to the gradient: else the network would learn to be noisy or quiet instead of
    learning what is worth doing (as in the authors' implementation; there, too, 10⁻⁶ keeps the root from 0).
    Shapes: ([C, N], [H, C], [H, N]).
    """
    mean, log_std, features = inputs
    features = zero_grad(features)
    variance = pt.exp(2 * log_std).T @ (features * features)  # [C, N]
    return mean, 0.5 * pt.log(variance + LEAST_VARIANCE)


def state_dependent_log_prob(inputs, action):
    """That of the step's own distribution N(μ, σ). Shapes: ([C, N], [H, C], [H, N]), [C, N] to [N].

    Not of the whole rollout, whose actions share one ε: given the observations they are dependent, and the method
    learns as if they were not.
    """
    return gaussian_log_prob(marginal(inputs), action)


def state_dependent_entropy(inputs):
    """H of N(μ, σ). Shapes: ([C, N], [H, C], [H, N]) to [N]."""
    return gaussian_entropy(marginal(inputs))


def state_dependent_kl(old, new):
    """KL(N(μ, σ) || N(μ′, σ′)). Shapes: ([C, N], [H, C], [H, N]) twice to [N]."""
    return gaussian_kl(marginal(old), marginal(new))


def state_dependent_sample(inputs, noise):
    """a = μ + Wᵀ·φ, W_hc = exp(log_std_hc)·ε_hc. Noise [H·C, N], ε_hc in row h·C + c; the result [C, N]."""
    mean, log_std, features = inputs
    epsilon = noise.reshape((*log_std.shape, -1))  # [H, C, N]
    return mean + total(features[:, None, :] * pt.exp(log_std)[:, :, None] * epsilon, axis=0)


def state_dependent_mode(inputs):
    """The mean. [C, N]."""
    return inputs[0]


STATE_DEPENDENT = Distribution(
    state_dependent_log_prob,
    state_dependent_entropy,
    state_dependent_kl,
    state_dependent_sample,
    state_dependent_mode,
    noise="normal",
)


# -- squashed: what the environment is given is b = low + (high − low)·(tanh u + 1)/2; the action here is u

LOGISTIC_WEIGHTS = (0.32366411, 0.56589425, 0.11044164)
LOGISTIC_STDS = (0.57648091, 0.92086657, 1.45850256)
"""Three normal distributions around 0 whose mixture stands for the logistic distribution of scale ½ (the idea:
Monahan and Stefanski 1992), fitted so that the largest error of log(1 − tanh² u) over all u is least: 7.6·10⁻⁵."""


def log_slope(u):
    """log(1 − tanh² u) = 2·(log 2 − u − softplus(−2u)), which never takes the logarithm of 0. Any shape."""
    return 2 * (math.log(2) - u - pt.softplus(-2 * u))


def mean_log_slope(mean, log_std):
    """𝔼[log(1 − tanh² u)] for u ~ N(μ, σ), to 10⁻⁴ for every μ and σ. Shapes: [C, N], [C, N] or [C, 1] to [C, N].

        log(1 − tanh² u)      = 2·log 2 − 2·𝔼|u + x|,  x logistic of scale ½   (second derivative: −2·sech² u)
                              ≈ 2·log 2 − 2·Σ_k w_k·𝔼|u + s_k·ε|               the mixture in x's place
        𝔼[log(1 − tanh² u)]   ≈ 2·log 2 − 2·Σ_k w_k·m(μ, √(σ² + s_k²))         sums of normals are normal
        m(μ, τ) = 𝔼|μ + τ·ε|  = τ·√(2/π)·exp(−½·(μ/τ)²) + μ·erf(μ/(τ·√2))      the folded normal's mean

    An average of an error is no larger than the error, hence the bound. Quadrature would need more for less: 16 nodes
    of Gauss and Hermite err by 3·10⁻³ at σ = 2 and by 0.25 at σ = 7.
    """
    variance, value = pt.exp(2 * log_std), 2 * math.log(2)
    for weight, std in zip(LOGISTIC_WEIGHTS, LOGISTIC_STDS, strict=True):
        scale = pt.sqrt(variance + std**2)  # [C, N], never below std
        ratio = mean / scale
        folded = scale * math.sqrt(2 / math.pi) * pt.exp(-0.5 * ratio * ratio) + mean * pt.erf(ratio * math.sqrt(0.5))
        value = value - 2 * weight * folded
    return value


def squashed(base, moments, half_range):
    """The distribution of b = low + half range·(tanh u + 1), where `base` is that of u.

    `moments` makes (mean, log_std) of u from the inputs; `half_range` is (high − low)/2, an array [C] of the inputs'
    dtype. All functions take u, never b: tanh has no inverse where it rounds to 1.
    """
    log_half_range = np.log(half_range)[:, None]  # [C, 1]

    def log_prob(inputs, action):
        """The density of b, by the change of variables db/du = half range·(1 − tanh² u).

        log π(b) = log π(u) − Σ_c log half range − Σ_c log(1 − tanh² u)      Haarnoja et al. 2018, eq. 21
        """
        return base.log_prob(inputs, action) - total(log_half_range + log_slope(action), axis=0)

    def entropy(inputs):
        """H(b) = H(u) + Σ_c log half range + Σ_c 𝔼[log(1 − tanh² u)], to 10⁻⁴ a component: see `mean_log_slope`."""
        return base.entropy(inputs) + total(log_half_range + mean_log_slope(*moments(inputs)), axis=0)

    def kl(old, new):
        """KL of b is KL of u: the slope is in both densities and cancels in their ratio."""
        return base.kl(old, new)

    def mode(inputs):
        """The mean of u: of b the median, and no more than that, as tanh does not keep a mode where it is."""
        return base.mode(inputs)

    return Distribution(log_prob, entropy, kl, base.sample, mode, base.noise)


# -- from a policy, and from its network


def of(acting: Acting):
    """The distribution of a policy's actions. A squashed box needs finite bounds."""
    action = acting.action
    if acting.mask_size:
        if many_choices.are(action):
            return Distribution(*many_choices.MASKED, noise="uniform")
        return masks.law(DISCRETE if action.kind == "discrete" else MULTI_DISCRETE)
    if many_choices.are(action):
        return Distribution(*many_choices.LAW, noise="uniform")
    if action.kind != "box":
        return {"discrete": DISCRETE, "multi_discrete": MULTI_DISCRETE, "multi_binary": MULTI_BINARY}[action.kind]
    of_state = acting.noise == "state_dependent"
    base, moments = (STATE_DEPENDENT, marginal) if of_state else (GAUSSIAN, lambda inputs: inputs)
    if not acting.squash:
        return base
    half_range = [(high - low) / 2 or 1.0 for low, high in zip(action.low, action.high, strict=True)]  # 0: a constant
    return squashed(base, moments, np.array(half_range, acting.dtype))


LEAST_LOG_STD, MOST_LOG_STD = -20.0, 2.0


def bounded_log_std(log_std):
    """A network's log-std, kept between −20 and 2 by a smooth bound. Any shape.

        y      = 2 − softplus(2 − x)
        result = −20 + softplus(y + 20)

    Smooth, because beyond a hard bound the gradient is 0: a policy that one step threw out there for every observation
    would stay there. It moves what is inside a little near the bounds: 0 to −0.127, −1 to −1.049, −3 to −3.007.
    """
    below = MOST_LOG_STD - pt.softplus(MOST_LOG_STD - log_std)
    return LEAST_LOG_STD + pt.softplus(below - LEAST_LOG_STD)


def mode_of(acting: Acting, outputs):
    """The likeliest action, from what a policy's network gives: for that no probability is needed.

    Shapes: `outputs` [K, N]; the result [N], or [C, N].
    """
    action = acting.action
    if action.kind == "discrete":
        return pt.gt(outputs[0], 0).astype("int32") if acting.logistic else greedy(outputs)
    if many_choices.are(action):
        return many_choices.mode((_of_many(acting, outputs),))
    if action.kind == "multi_discrete":
        return multi_discrete_mode(many_choices.parts(action.choices, outputs))
    return multi_binary_mode((outputs,)) if action.kind == "multi_binary" else outputs[: action.size]


def _of_many(acting, outputs):
    """log π [C, A, N] of many components."""
    never = masks.NEVER if acting.mask_size else many_choices.NEVER
    return many_choices.log_probs(acting.action.choices, outputs, never)


def inputs_of(acting: Acting, outputs, log_std, features):
    """A distribution's inputs from what the policy network gives.

    Shapes: `outputs` [K, N], the network's; `log_std`, the parameter policy/log_std: [C], or [H, C] for
    state-dependent noise, None where there is none; `features` [H, N], the input of the network's last layer, used
    for state-dependent noise only.

    A learned log-std is taken as it is. One that the network gives is bounded (`bounded_log_std`), as nobody can say
    what the network gives for an observation that it has not seen.
    """
    action = acting.action
    if action.kind == "discrete":
        return (policies.logistic_log_probs(outputs) if acting.logistic else policies.softmax_log_probs(outputs),)
    if many_choices.are(action):
        return (_of_many(acting, outputs),)
    if action.kind == "multi_discrete":
        return tuple(map(policies.softmax_log_probs, many_choices.parts(action.choices, outputs)))
    if action.kind == "multi_binary":
        return (outputs,)
    if acting.noise == "state_dependent":
        return outputs, log_std, features
    if acting.log_std == "state_dependent":
        return outputs[: action.size], bounded_log_std(outputs[action.size :])
    return outputs, log_std[:, None]
