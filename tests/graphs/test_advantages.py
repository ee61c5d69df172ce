"""Signals, advantages and standardisation against O(T²) sums over ragged episodes and over segments with any ends."""

import functools

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_graphs import BOTH, CONTINUES, PADDED, TERMINATED, TRUNCATED
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_theano.by_hand import advantages as by_hand
from pg_theano.compiler import building
from pg_theano.graphs import advantages

MAX_STEPS = [1, 5, 16, 37]  # at a power of two, above and between

rewards = st.floats(-1e3, 1e3, allow_nan=False, width=64)


@st.composite
def minibatches(draw):
    """(max_steps, padded T, episodes' rewards): ragged, with room beside and below that is not theirs."""
    max_steps = draw(st.sampled_from(MAX_STEPS))
    episodes = draw(st.lists(st.lists(rewards, min_size=1, max_size=max_steps), min_size=1, max_size=4))
    longest = max(map(len, episodes))
    return max_steps, draw(st.integers(longest, max_steps)), [np.array(e) for e in episodes]


@pytest.fixture(scope="module")
def signals():
    """(name, max_steps) -> function of reward [T, E] and discount."""
    made = {}
    for name in by_definition.SIGNALS:
        for max_steps in MAX_STEPS:
            reward, discount = pt.dmatrix(), pt.dscalar()
            out = advantages.signal(name, reward, discount=discount, max_steps=max_steps)
            made[name, max_steps] = by_definition.interpreted([reward, discount], out)
    return made


@pytest.mark.parametrize("name", by_definition.SIGNALS)
@settings(max_examples=60, deadline=None)
@given(batch=minibatches(), discount=st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_a_signal_is_its_definition(signals, name, batch, discount):
    """Caught, when planted: γ^(t+1) for γᵗ; one round of doubling too few; γ not squared from round to round;
    returns from t+1 on; the sum taken over episodes instead of steps.
    """
    max_steps, steps, episodes = batch
    reward = np.zeros((steps, len(episodes)))
    for e, own in enumerate(episodes):
        reward[: len(own), e] = own
    got = signals[name, max_steps](reward, discount)
    assert got.shape == reward.shape
    for e, own in enumerate(episodes):
        expected = by_definition.signal_by_definition(name, own, discount)
        scale = max(1.0, np.abs(own).sum())
        np.testing.assert_allclose(got[: len(own), e], expected, rtol=0, atol=1e-12 * scale)


def test_signals_of_a_worked_example(signals):
    """r = 1, 2, 4 at γ = 0.5, on paper. Caught, when planted: as above."""
    reward = np.array([[1.0], [2.0], [4.0]])
    assert signals["reward", 5](reward, 0.5)[:, 0].tolist() == [1.0, 1.0, 1.0]
    assert signals["episode_return", 5](reward, 0.5)[:, 0].tolist() == [3.0, 3.0, 3.0]
    assert signals["reward_to_go", 5](reward, 0.5)[:, 0].tolist() == [3.0, 4.0, 4.0]


# -- advantages


@functools.cache
def estimate(name, max_steps, **plain):
    """A function of advantages.py on a segment: run(segment, discount=...), interpreted."""
    wanted = {
        "recurrence": ["x", "factor"],
        "continues": ["terminated", "truncated", "mask"],
        "td_error": ["reward", "value", "next_value", "terminated", "mask"],
        "bootstrapped_reward_to_go": ["reward", "next_value", "terminated", "truncated", "mask"],
        "n_step": ["reward", "value", "next_value", "terminated", "truncated", "mask"],
        "gae": ["reward", "value", "next_value", "terminated", "truncated", "mask"],
    }[name]
    blocks = [pt.dmatrix(one) for one in wanted]
    knobs = {one: pt.dscalar(one) for one in ([] if name in ("recurrence", "continues") else ["discount"])}
    knobs |= {"gae_lambda": pt.dscalar("gae_lambda")} if name == "gae" else {}
    sizes = {} if name in ("continues", "td_error") else {"max_steps": max_steps}
    out = getattr(advantages, name)(*blocks, **knobs, **sizes, **plain)
    run = by_definition.interpreted([*blocks, *knobs.values()], out)
    return lambda segment, **values: run(*(segment[one] for one in wanted), *(values[one] for one in knobs))


@st.composite
def segments(draw, max_steps=None):
    """(max_steps, block [T, E]) with T at most max_steps."""
    max_steps = max_steps or draw(st.sampled_from(MAX_STEPS))
    shape = draw(st.integers(1, max_steps)), draw(st.integers(1, 3))
    likely = st.sampled_from([CONTINUES] * 6 + [TERMINATED, TRUNCATED, BOTH, PADDED])
    ends = draw(st.lists(likely, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    return max_steps, block(np.reshape(ends, shape), draw(st.integers(0, 2**32 - 1)))


def block(ends, seed):
    return by_definition.segment(ends, np.random.default_rng(seed))


def consistent(segment):
    """The same block with V(next_obs) equal to V(obs) of the next step, inside an episode: one V, as in life."""
    for t, e in np.argwhere(segment["mask"] > 0):
        if len(by_definition.stretch(segment, t, e)[0]) > 1:
            segment["next_value"][t, e] = segment["value"][t + 1, e]
    return segment


def assert_agree(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


DISCOUNTS = st.sampled_from([0.0, 0.5, 0.99, 1.0])
LAMBDAS = st.sampled_from([0.0, 0.3, 0.95, 1.0])
few = settings(max_examples=60, deadline=None)


@few
@given(st.sampled_from([1, 2, 5, 16, 37, 64, 65]), st.data(), st.integers(0, 2**32 - 1))
def test_a_recurrence_is_its_loop(max_steps, data, seed):
    """Caught, when planted: one round too few; factors not multiplied from round to round; f_{t+1} for f_t."""
    steps = data.draw(st.integers(1, max_steps))
    x, factor = np.random.default_rng(seed).normal(size=(2, steps, 2))
    expected, following = np.zeros_like(x), np.zeros(2)
    for t in reversed(range(steps)):
        expected[t] = following = x[t] + factor[t] * following
    ours = estimate("recurrence", max_steps)({"x": x, "factor": factor})
    np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-11)


@few
@given(segments(), DISCOUNTS, LAMBDAS)
def test_gae_is_the_discounted_sum_of_td_errors(segment, discount, gae_lambda):
    """Caught, when planted: merged done, V of the reset observation, an off-by-one end, a factor without the mask, the
    recurrence run forward in time.
    """
    max_steps, segment = segment
    ours = estimate("gae", max_steps)(segment, discount=discount, gae_lambda=gae_lambda)
    assert_agree(ours, by_definition.gae_by_definition(segment, discount, gae_lambda))


@few
@given(segments(), DISCOUNTS)
def test_bootstrapped_reward_to_go_is_the_discounted_sum_and_a_value(segment, discount):
    """Caught, when planted: merged done, V of the reset observation, an off-by-one end, a factor without the mask."""
    max_steps, segment = segment
    ours = estimate("bootstrapped_reward_to_go", max_steps)(segment, discount=discount)
    assert_agree(ours, by_definition.return_by_definition(segment, discount, max_steps))


@pytest.mark.parametrize("number", [1, 2, 3, 5, 6, 8, 11, 15, 16, 40])
@settings(max_examples=20, deadline=None)
@given(segment=segments(max_steps=16), discount=DISCOUNTS)
def test_n_step_is_n_rewards_and_a_value(number, segment, discount):
    """n of one bit and of several, at most, at and beyond the longest stretch.

    Caught, when planted: a bit left out; stretches put together in the wrong order; one step too many.
    """
    segment = consistent(segment[1])
    ours = estimate("n_step", 16, num_steps=number)(segment, discount=discount)
    expected = by_definition.return_by_definition(segment, discount, number) - segment["value"]
    assert_agree(ours, segment["mask"] * expected)


@few
@given(segments(), DISCOUNTS, LAMBDAS)
def test_the_twin_by_hand_agrees(segment, discount, gae_lambda):
    """Every function, on values that fit together and on values that do not."""
    max_steps, segment = segment
    rows = {name: values.T for name, values in segment.items()}
    rows |= {name: rows[name].astype(bool) for name in ("terminated", "truncated")}

    def theirs(name, without=(), **knobs):
        return getattr(by_hand, name)(**{n: v for n, v in rows.items() if n not in without}, **knobs).T

    assert_agree(estimate("continues", 0)(segment), theirs("continues", ["reward", "value", "next_value"]))
    assert_agree(
        estimate("td_error", 0)(segment, discount=discount), theirs("td_error", ["truncated"], discount=discount)
    )
    ours = estimate("bootstrapped_reward_to_go", max_steps)(segment, discount=discount)
    assert_agree(ours, theirs("reward_to_go", ["value"], discount=discount))
    ours = estimate("gae", max_steps)(segment, discount=discount, gae_lambda=gae_lambda)
    assert_agree(ours, theirs("gae", discount=discount, gae_lambda=gae_lambda))
    for number in (1, 3, 20):
        ours = estimate("n_step", max_steps, num_steps=number)(segment, discount=discount)
        assert_agree(ours, theirs("n_step", discount=discount, num_steps=number))


def test_a_table_worked_by_hand():
    """γ = λ = 1/2, so γ·λ = 1/4. δ', Â' and G' are those of the line below, of the same episode.

    Column 0: an episode that terminates, a step that never happened, and an episode cut by the end of the record.
        t   r   V(o)   V(o')            δ = r + V(o')/2 − V(o)   Â = δ + Â'/4            G = r + G'/2     δ + δ'/2
        0   2   1       3               2 + 3/2 − 1 =  5/2       5/2 − 2/4 = 2           2 + 1/2 = 5/2     3/2
        1   1   3      10  terminated   1 + 0   − 3 = −2         −2                      1 + 0   = 1      −2
        2   9   9       9  padding
        3   0   4       2               0 + 1   − 4 = −3         −3 + 5/4 = −7/4         0 + 7/2 = 7/2    −1/2
        4   3   2       8  cut          3 + 4   − 2 =  5         5                       3 + 8/2 = 7       5
    Column 1: an episode that a time limit stops, then one of which three steps are known.
        0   1   2       4  truncated    1 + 2   − 2 =  1         1                       1 + 4/2 = 3       1
        1   2   1       2               2 + 1   − 1 =  2         2 + 17/16 = 49/16       2 + 11/4 = 19/4   9/2
        2   4   2       6               4 + 3   − 2 =  5         5 − 3/4 = 17/4          4 + 3/2 = 11/2    7/2
        3   1   6       4  cut          1 + 2   − 6 = −3         −3                      1 + 4/2 = 3      −3
        4   9   9       9  padding
    """
    columns = {
        "reward": [[2, 1, 9, 0, 3], [1, 2, 4, 1, 9]],
        "value": [[1, 3, 9, 4, 2], [2, 1, 2, 6, 9]],
        "next_value": [[3, 10, 9, 2, 8], [4, 2, 6, 4, 9]],
        "terminated": [[0, 1, 0, 0, 0], [0, 0, 0, 0, 1]],
        "truncated": [[0, 0, 0, 0, 0], [1, 0, 0, 0, 0]],
        "mask": [[1, 1, 0, 1, 1], [1, 1, 1, 1, 0]],
    }
    segment = {name: np.array(values, float).T for name, values in columns.items()}
    assert estimate("continues", 0)(segment).T.tolist() == [[1, 0, 0, 1, 0], [0, 1, 1, 0, 0]]
    assert estimate("td_error", 0)(segment, discount=0.5).T.tolist() == [[2.5, -2, 0, -3, 5], [1, 2, 5, -3, 0]]
    gae = estimate("gae", 5)(segment, discount=0.5, gae_lambda=0.5)
    assert gae.T.tolist() == [[2, -2, 0, -1.75, 5], [1, 3.0625, 4.25, -3, 0]]
    to_go = estimate("bootstrapped_reward_to_go", 5)(segment, discount=0.5)
    assert to_go.T.tolist() == [[2.5, 1, 0, 3.5, 7], [3, 4.75, 5.5, 3, 0]]
    two = estimate("n_step", 5, num_steps=2)(segment, discount=0.5)
    assert two.T.tolist() == [[1.5, -2, 0, -0.5, 5], [1, 4.5, 3.5, -3, 0]]


@few
@given(segments(), DISCOUNTS)
def test_lambda_one_telescopes_to_reward_to_go_less_the_value(segment, discount):
    """Σ γˡ·δ_{t+l}: every V but V(o_t) appears once with plus and once with minus. So do all n steps together."""
    max_steps, segment = segment
    segment = consistent(segment)
    gae = estimate("gae", max_steps)(segment, discount=discount, gae_lambda=1.0)
    to_go = estimate("bootstrapped_reward_to_go", max_steps)(segment, discount=discount)
    assert_agree(gae, segment["mask"] * (to_go - segment["value"]))
    assert_agree(estimate("n_step", max_steps, num_steps=max_steps)(segment, discount=discount), gae)


@few
@given(segments(), DISCOUNTS)
def test_lambda_zero_and_one_step_are_the_td_error(segment, discount):
    max_steps, segment = segment
    td = estimate("td_error", 0)(segment, discount=discount)
    assert np.array_equal(estimate("gae", max_steps)(segment, discount=discount, gae_lambda=0.0), td)
    assert np.array_equal(estimate("n_step", max_steps, num_steps=1)(segment, discount=discount), td)


@few
@given(segments(max_steps=16), st.data(), DISCOUNTS)
def test_a_cut_with_a_bootstrap_changes_nothing(segment, data, discount):
    """Where V is exact (V = G) the estimates are the same wherever the record was cut; after the cut they always are.

    Caught, when planted: a cut taken for an end.
    """
    segment = segment[1]
    steps = len(segment["mask"])
    at = data.draw(st.integers(0, steps))
    gae, to_go = estimate("gae", 16), estimate("bootstrapped_reward_to_go", 16)
    whole = gae(segment, discount=discount, gae_lambda=0.7)
    second = {name: values[at:] for name, values in segment.items()}
    assert_agree(whole[at:], gae(second, discount=discount, gae_lambda=0.7))

    segment["value"] = to_go(segment, discount=discount)
    segment = consistent(segment)
    exact = to_go(segment, discount=discount)
    for half in (slice(0, at), slice(at, steps)):
        part = {name: values[half] for name, values in segment.items()}
        assert_agree(to_go(part, discount=discount), exact[half])
        assert_agree(gae(part, discount=discount, gae_lambda=0.7), np.zeros_like(exact[half]))


def compiled(name, max_steps, dtype, **plain):
    """A function of advantages.py with symbolic sizes as the trainer has it compiled; and the number of its nodes."""
    names = ["reward", "value", "next_value", "terminated", "truncated", "mask"]
    with by_definition.floats(dtype):
        blocks = [pt.tensor(one, shape=(None, None), dtype=dtype) for one in names]
        knobs = {one: pt.tensor(one, shape=(), dtype=dtype) for one in ("discount", "gae_lambda")}
        used = knobs if name == "gae" else {"discount": knobs["discount"]}
        out = getattr(advantages, name)(*blocks, **used, max_steps=max_steps, **plain)
        inputs = [*blocks, *used.values()]
        run = pytensor.function(inputs, out, mode=building.few_rewrites(), trust_input=True)
    return run, len(run.maker.fgraph.apply_nodes)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "plain"), [("gae", {}), ("n_step", {"num_steps": 10**6 - 1})])
def test_a_graph_grows_with_the_logarithm_of_the_steps(name, plain):
    """After the trainer's own rewrites, the same number of nodes for each doubling of T: 11, or 17 for n of all bits.

    Caught, when planted: a loop over T; f^(2ⁿ) written out as 2ⁿ factors.
    """
    nodes = [compiled(name, max_steps, "float32", **plain)[1] for max_steps in (127, 255, 511, 1023)]
    assert nodes[3] - nodes[2] == nodes[2] - nodes[1] == nodes[1] - nodes[0] <= 20
    assert nodes[2] < 160


@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-12), ("float32", 2e-4)])
def test_a_long_segment_as_the_trainer_compiles_it(dtype, error):
    """T = 500 of max_steps 512, and no wider than what came in. Caught, when planted: float64 amid float32."""
    import jax

    rng = np.random.default_rng(3)
    ends = rng.choice([CONTINUES, TERMINATED, TRUNCATED, PADDED], (500, 3), p=[0.97, 0.01, 0.01, 0.01])
    segment = {name: values.astype(dtype) for name, values in block(ends, 4).items()}
    run, _ = compiled("gae", 512, dtype)
    with jax.enable_x64(dtype == "float64"):
        (ours,) = run.vm.jit_fn(*segment.values(), np.asarray(0.99, dtype), np.asarray(0.95, dtype))
    assert run.maker.fgraph.outputs[0].type.dtype == ours.dtype == dtype
    np.testing.assert_allclose(ours, by_definition.gae_by_definition(segment, 0.99, 0.95), rtol=0, atol=error)


# -- standardisation


@pytest.fixture(scope="module")
def standardize():
    advantage, mask = pt.dmatrix(), pt.dmatrix()
    return by_definition.interpreted([advantage, mask], advantages.standardize(advantage, mask))


def test_standardised_advantages_of_a_worked_example(standardize):
    """2, 4, 6 have mean 4 and (population) variance 8/3; the fourth entry is padding.

    Caught, when planted: padding counted; variance where its root belongs; N−1 for N.
    """
    got = standardize(np.array([[2.0, 6.0], [4.0, 100.0]]), np.array([[1.0, 1.0], [1.0, 0.0]]))
    np.testing.assert_allclose(got, [[-1.2247448714, 1.2247448714], [0.0, 0.0]], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("advantage", "mask"),
    [
        ([[3.0]], [[1.0]]),  # a minibatch of one step
        ([[3.0, 8.0], [9.0, 9.0]], [[1.0, 0.0], [0.0, 0.0]]),  # one step beside padding
        ([[0.5, 0.5], [0.5, 0.5]], [[1.0, 1.0], [1.0, 1.0]]),  # equals
        ([[1.0, 2.0]], [[0.0, 0.0]]),  # nothing at all
    ],
)
def test_advantages_without_spread_become_zeros(standardize, advantage, mask):
    """Caught, when planted: no 1e-8 under the fraction (NaN); number of steps not held above 0."""
    assert standardize(np.array(advantage), np.array(mask)).tolist() == np.zeros_like(advantage).tolist()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_standardised_advantages_do_not_depend_on_their_unit(dtype):
    """From rewards of 1 down to 1e-14, by graph and by hand. Caught, when planted: 1e-8 under the fraction, whatever
    the unit: then advantages of 1e-10 become a hundredth of what they should be.
    """
    with by_definition.floats(dtype):
        advantage, mask = pt.matrix(dtype=dtype), pt.matrix(dtype=dtype)
        run = by_definition.interpreted([advantage, mask], advantages.standardize(advantage, mask))
    block = np.array([[2.0, 6.0], [4.0, 100.0]]), np.array([[1.0, 1.0], [1.0, 0.0]], dtype)
    for unit in (1.0, 1e-6, 1e-10, 1e-14):
        scaled = (unit * block[0]).astype(dtype)
        np.testing.assert_allclose(run(scaled, block[1]), [[-1.2247448714, 1.2247448714], [0, 0]], atol=1e-3)
        twin = by_hand.standardize(scaled.ravel()[:3])
        np.testing.assert_allclose(twin, [-1.2247448714, 1.2247448714, 0], atol=1e-3)


@pytest.mark.parametrize("value", [1e-12, 0.1, 100.1, 1e9])
def test_many_equal_advantages_become_zeros_in_float32(value):
    """A policy whose episodes all return the same has nothing to learn from them, whatever rounding says."""
    with by_definition.floats("float32"):
        advantage, mask = pt.fmatrix(), pt.fmatrix()
        run = by_definition.interpreted([advantage, mask], advantages.standardize(advantage, mask))
    block = np.full((64, 7), value, "float32")
    assert np.abs(run(block, np.ones_like(block))).max() < 0.05
