"""How an action is drawn while training, and the log-probability that learning uses for it.

| name                     | action                       | log-probability learned from                      |
|--------------------------|------------------------------|---------------------------------------------------|
| `softmax`                | a ~ π                        | log π(a): exact                                   |
| `epsilon_softmax`        | ε: uniform, else a ~ π       | log(ε/A + (1−ε)·π(a)): exact                      |
| `epsilon_greedy`         | ε: uniform, else argmax π    | log π(a) of the network: biased                   |
| `epsilon_greedy_softmax` | ε: a ~ π, else argmax π      | log π(a) of the network: biased                   |

The greedy two have a density whose gradient is zero almost everywhere (a small step moves no argmax), so log π
stands in for it. That is a bias, and part of why the classic recipe is hard to train.

Entropy, KL divergence and Fisher matrix are of the same distribution as the log-probability: of the mixture for
`epsilon_softmax`, of the network's π for all others. Where actions are masked, uniform is over those allowed.
"""

import pytensor.tensor as pt

from pg_theano.graphs import masks
from pg_theano.graphs.policies import inverse_cdf, relative_probs, taken


def draw(name, logits, noise, *, exploration_rate, masked=False):
    """The action to take. Shapes: `logits` [A, N], `noise` [U, N] uniform in [0, 1); the result [N], int32.

    Log-probabilities are logits too; what is drawn needs no more than logits.
    """
    num_actions = logits.type.shape[0]

    def sampled():
        return masks.inverse_cdf(logits, noise[0]) if masked else inverse_cdf(relative_probs(logits), noise[0])

    if name == "softmax":
        return sampled()
    explores = pt.lt(noise[1], exploration_rate)  # [N]
    if masked:
        uniform = masks.uniform_one(logits, noise[2])
    else:
        uniform = pt.minimum((noise[2] * num_actions).astype("int32"), num_actions - 1)  # [N]
    if name == "epsilon_softmax":
        return pt.switch(explores, uniform, sampled()).astype("int32")
    best = greedy(logits)
    other = uniform if name == "epsilon_greedy" else sampled()
    return pt.switch(explores, other, best).astype("int32")


def greedy(logits):
    """The likeliest action, the first of equals. [A, N] to [N], int32."""
    return pt.argmax(logits, axis=0).astype("int32")


def log_prob(name, log_probs, action, *, exploration_rate, masked=False):
    """The log-probability that learning uses (see the table above). [A, N], [N] to [N]."""
    num_actions = masks.number(log_probs) if masked else log_probs.type.shape[0]
    return learned_from(name, taken(log_probs, action), num_actions, exploration_rate=exploration_rate)


def learned_from(name, own, num_actions, *, exploration_rate):
    """From log π of the network, of one of A actions or of all, to the one that learning uses. Any shape.

        log π_ε(a) = log(ε/A + (1−ε)·π(a))                                   for epsilon_softmax

    The mixture is taken only where ε > 0. Its logarithm sees ε = 1 elsewhere: `switch` evaluates both branches,
    and log 0 in the one not chosen would make the gradient NaN.
    """
    if name != "epsilon_softmax":
        return own
    explores = pt.gt(exploration_rate, 0)
    rate = pt.switch(explores, exploration_rate, pt.ones_like(exploration_rate))
    mixture = pt.log(rate / num_actions + (1 - rate) * pt.exp(pt.maximum(own, -80.0)))
    return pt.switch(explores, mixture, own)


def mixture(name, log_probs, *, exploration_rate, masked=False):
    """The same of all actions; one that is masked keeps the probability 0. [A, N] to [A, N]."""
    if not masked:
        return learned_from(name, log_probs, log_probs.type.shape[0], exploration_rate=exploration_rate)
    learned = learned_from(name, log_probs, masks.number(log_probs), exploration_rate=exploration_rate)
    return pt.switch(masks.allowed(log_probs), learned, log_probs)
