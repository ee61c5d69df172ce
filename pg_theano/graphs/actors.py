"""Networks of policy and value: from observations to the inputs of a distribution, and to V.

Separate networks, or one trunk with two heads, or a policy of the user's own beside a value network. Feature-major:
obs [F, N], which may end with a mask: see `masks.py`.
"""

from __future__ import annotations

from pg_theano import parameters
from pg_theano.graphs import distributions, masks, networks, own
from pg_theano.graphs.layers import dense
from pg_theano.spec import Acting


def inputs(acting: Acting, layers, obs, *, multiply=dense.product):
    """The inputs of the policy's distribution. `layers` are the layout's arrays by name, `obs` [F, N]."""
    numbers, features = outputs(acting, layers, obs, multiply=multiply)
    return distributions.inputs_of(acting, numbers, layers.get(parameters.LOG_STD), features)


def outputs(acting: Acting, layers, obs, *, multiply=dense.product):
    """(what the policy's network gives [K, N], what its last layer is given [H, N]; None for a policy of one's own).

    Where there is a mask, the logits of choices that it rules out are `masks.NEVER`.
    """
    obs, mask = masks.split(acting, obs)
    if acting.own is not None:
        return masks.masked(own.policy_outputs(acting, layers, obs), mask), None
    *hidden, head = acting.path("policy")
    features = networks.through(hidden, layers, obs, multiply=multiply)
    return masks.masked(networks.through([head], layers, features, multiply=multiply), mask), features


def value(acting: Acting, layers, obs, *, multiply=dense.product):
    """V of each column. [F, N] to [N]."""
    return networks.through(acting.path("value"), layers, masks.split(acting, obs)[0], multiply=multiply)[0]
