"""Many actions, or many components: expressions for all of them at once equal those for one after the other."""

import helpers_graphs as by_definition
import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.graph.traversal import ancestors

from pg_theano.graphs import distributions, exploration, many_choices, policies
from pg_theano.types import ActionSpace

N = 7
CHOICES = {"of equal size": [3] * 20, "of other sizes": [2, 4, 3, 1, 6] * 4}


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
def test_many_components_are_as_each_by_itself(choices):
    """Values and gradients. Caught, when planted: choices that a component has not, drawn where u rounds to 1; another
    bound of log π in the entropy."""
    rng = np.random.default_rng(0)
    z, old = (pt.as_tensor(rng.normal(0, 3, (sum(choices), N))).copy() for _ in range(2))
    noise = pt.as_tensor(np.where(rng.random((len(choices), N)) < 0.1, 1.0, rng.random((len(choices), N))))
    each = [tuple(map(policies.softmax_log_probs, many_choices.parts(choices, x))) for x in (z, old)]
    all_ = [(many_choices.log_probs(choices, x),) for x in (z, old)]
    law, alone = distributions.Distribution(*many_choices.LAW, noise="uniform"), distributions.MULTI_DISCRETE
    drawn = [alone.sample(each[0], noise), law.sample(all_[0], noise), alone.mode(each[0]), law.mode(all_[0])]
    told = [
        (one.log_prob(made[0], drawn[0]), one.entropy(made[0]), one.kl(made[1], made[0]))
        for one, made in ((alone, each), (law, all_))
    ]
    grads = [pt.grad(value.sum(), z) for values in told for value in values]
    *actions, values, others, slopes, other_slopes = by_definition.interpreted(
        [], [*drawn, pt.stack(told[0]), pt.stack(told[1]), pt.stack(grads[:3]), pt.stack(grads[3:])]
    )()
    np.testing.assert_array_equal(actions[0], actions[1])
    np.testing.assert_array_equal(actions[2], actions[3])
    assert (actions[1] < np.array(choices)[:, None]).all()
    np.testing.assert_allclose(values, others, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slopes, other_slopes, rtol=0, atol=1e-12)


@pytest.mark.parametrize("number", [policies.FEW, policies.FEW + 1, 200])
def test_one_of_many_actions_is_drawn_as_one_of_few(number):
    """By the definition. Caught, when planted: < for ≤; 32,000 for few, which ends in a RecursionError."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (number, N))
    logits[0, 0] = -1e4  # which is not drawn, even at u = 0
    uniform = np.array([0.0, 1 - 2**-53, *rng.random(N - 2)])
    weights = np.exp(logits - logits.max(axis=0))
    reached = np.cumsum(weights, axis=0)
    expected = [
        min(np.searchsorted(reached[:, n], uniform[n] * reached[-1, n], side="right"), number - 1) for n in range(N)
    ]
    z, u = pt.specify_shape(pt.as_tensor(logits), (number, N)), pt.as_tensor(uniform)[None]
    drawn, log_probs = by_definition.interpreted(
        [], [exploration.draw("softmax", z, u, exploration_rate=0.0), policies.softmax_log_probs(z)]
    )()
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_allclose(log_probs, logits - logits.max(axis=0) - np.log(reached[-1]), rtol=1e-12)


@pytest.mark.parametrize("action", [("discrete", 1, [5000]), ("multi_discrete", 5000, [3] * 5000)])
def test_the_graph_of_many_choices_is_no_larger_than_that_of_a_few(action):
    """Found: a graph as deep as there are actions, which ends in a RecursionError at 5,000."""
    kind, size, choices = action
    spec = by_definition.make_spec(action=ActionSpace(kind, size, choices, [], [])._asdict())
    outputs = pt.specify_shape(pt.matrix("outputs"), (sum(choices), None))
    law, inputs = distributions.of(spec.acting), distributions.inputs_of(spec.acting, outputs, None, None)
    taken = law.sample(inputs, pt.matrix("noise"))
    made = [taken, law.log_prob(inputs, taken), law.entropy(inputs), law.kl(inputs, inputs), law.mode(inputs)]
    assert sum(1 for _ in ancestors([*made, pt.grad(made[1].sum(), outputs)])) < 300
