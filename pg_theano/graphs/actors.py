"""Networks of policy and value: from observations to the inputs of a distribution, and to V.

Separate networks, or one trunk with two heads, or a policy of the user's own beside a dense value network. Which of
them it is can be read off the names in the layout (see `parameters.py`). Feature-major: obs [F, N].
"""

from __future__ import annotations

from pg_theano.graphs import distributions, networks, own
from pg_theano.parameters import path_of
from pg_theano.spec import Acting


def inputs(acting: Acting, layers, obs, *, multiply=networks.product):
    """The inputs of the policy's distribution. `layers` are the layout's arrays by name, `obs` [F, N]."""
    numbers, features = outputs(acting, layers, obs, multiply=multiply)
    return distributions.inputs_of(acting, numbers, layers.get("policy/log_std"), features)


def outputs(acting: Acting, layers, obs, *, multiply=networks.product):
    """(what the policy's network gives [K, N], what its last layer is given [H, N]; None for a policy of one's own)."""
    if acting.own is not None:
        return own.policy_outputs(acting, layers, obs), None
    path = [layers[name] for name in path_of(layers, "policy")]
    features = networks.hidden(path, obs, activation=acting.activation, multiply=multiply)
    return networks.head(path, features, multiply=multiply), features


def value(acting: Acting, layers, obs, *, multiply=networks.product):
    """V of each column. [F, N] to [N]."""
    path = [layers[name] for name in path_of(layers, "value")]
    features = networks.hidden(path, obs, activation=acting.activation, multiply=multiply)
    return networks.head(path, features, multiply=multiply)[0]
