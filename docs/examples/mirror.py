"""A policy of one's own: what it does in a mirror is what it would do, mirrored."""

import pytensor.tensor as pt


def parameters(obs_size, action_size, *, hidden=16):
    return [
        ("w1", (obs_size, hidden), "orthogonal"),
        ("b1", (hidden,), "zeros"),
        ("w2", (hidden, action_size), "zeros"),
    ]


def policy(params, obs, *, hidden=16):
    """Logits h(o) + reversed h(−o), so that π(left|o) = π(right|−o) whatever the parameters."""

    def h(obs):
        return pt.tanh(obs @ params["w1"] + params["b1"]) @ params["w2"]

    return h(obs) + h(-obs)[:, ::-1]
