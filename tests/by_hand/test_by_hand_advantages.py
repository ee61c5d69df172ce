"""`by_hand/advantages.py` against the definitions, O(T²), a table worked by hand, and what must be the same."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_theano.by_hand import advantages

CONTINUES, TERMINATED, TRUNCATED, BOTH, PADDED = range(5)


@st.composite
def segments(draw):
    """A block [E, T] with ends of every kind at any place, and steps that never happened, full of numbers."""
    rows, steps = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    likely = st.sampled_from([CONTINUES, CONTINUES, CONTINUES, TERMINATED, TRUNCATED, BOTH, PADDED])
    ends = np.array(draw(st.lists(likely, min_size=rows * steps, max_size=rows * steps))).reshape(rows, steps)
    return block(ends, draw(st.integers(0, 2**32 - 1)))


def block(ends, seed):
    rng = np.random.default_rng(seed)
    reward, value, next_value = rng.normal(size=(3, *ends.shape))
    return {
        "reward": reward,
        "value": value,
        "next_value": next_value,
        "terminated": np.isin(ends, [TERMINATED, BOTH]),
        "truncated": np.isin(ends, [TRUNCATED, BOTH]),
        "mask": (ends != PADDED).astype(float),
    }


def without(segment, *names):
    return {name: value for name, value in segment.items() if name not in names}


def stretch(segment, e, t):
    """The steps from t on that belong to the same episode, as far as it is recorded; and whether it terminated."""
    steps = []
    for k in range(t, segment["mask"].shape[1]):
        if not segment["mask"][e, k]:
            break
        steps.append(k)
        if segment["terminated"][e, k]:
            return steps, True
        if segment["truncated"][e, k]:
            break
    return steps, False


def by_definition(segment, weigh):
    """weigh(e, steps, terminated) at every step that happened, 0 elsewhere."""
    out = np.zeros(segment["mask"].shape)
    for e, t in np.argwhere(segment["mask"] > 0):
        out[e, t] = weigh(e, *stretch(segment, e, t))
    return out


def n_steps_of(segment, e, steps, terminated, discount, number):
    """Â⁽ⁿ⁾ as eq. 11-14 of Schulman et al. 2016 write it: n rewards, V where the rest would be, less V(o_t)."""
    seen = steps[:number]
    worth = math.fsum(discount**k * segment["reward"][e, s] for k, s in enumerate(seen))
    over = terminated and len(seen) == len(steps)
    rest = 0.0 if over else discount ** len(seen) * segment["next_value"][e, seen[-1]]
    return worth + rest - segment["value"][e, seen[0]]


def consistent(segment):
    """The same block with V(next_obs) equal to V(obs) one step on, inside an episode: one V, as in life."""
    for e, t in np.ndindex(segment["mask"].shape):
        if len(stretch(segment, e, t)[0]) > 1:
            segment["next_value"][e, t] = segment["value"][e, t + 1]
    return segment


DISCOUNTS = st.sampled_from([0.0, 0.5, 0.99, 1.0])


@given(segments(), DISCOUNTS)
def test_reward_to_go_is_the_discounted_sum(segment, discount):
    """Caught, when planted: merged done, an off-by-one end, an end that does not stop the sum."""
    expected = by_definition(
        segment,
        lambda e, steps, terminated: (
            n_steps_of(segment, e, steps, terminated, discount, len(steps)) + segment["value"][e, steps[0]]
        ),
    )
    ours = advantages.reward_to_go(**without(segment, "value"), discount=discount)
    assert np.allclose(ours, expected, rtol=0, atol=1e-12)


@given(segments(), DISCOUNTS)
def test_td_error(segment, discount):
    expected = by_definition(
        segment, lambda e, steps, end: n_steps_of(segment, e, steps[:1], end and len(steps) == 1, discount, 1)
    )
    ours = advantages.td_error(**without(segment, "truncated"), discount=discount)
    assert np.allclose(ours, expected, rtol=0, atol=1e-12)


@given(segments(), DISCOUNTS, st.integers(1, 14))
def test_n_step_is_n_rewards_and_a_value(segment, discount, number):
    """Caught, when planted: one step too many."""
    segment = consistent(segment)
    expected = by_definition(segment, lambda e, steps, end: n_steps_of(segment, e, steps, end, discount, number))
    ours = advantages.n_step(**segment, discount=discount, num_steps=number)
    assert np.allclose(ours, expected, rtol=0, atol=1e-12)


@given(segments(), DISCOUNTS, st.sampled_from([0.0, 0.3, 0.95, 1.0]))
def test_gae_is_the_discounted_sum_of_td_errors(segment, discount, gae_lambda):
    """Against Schulman et al. 2016, eq. 16. Caught, when planted: merged done, V(o_t) instead of V of the successor, the
    sum not stopped at an end, an off-by-one end."""

    def of(e, steps, terminated):
        total = 0.0
        for k, s in enumerate(steps):
            after = 0.0 if terminated and s == steps[-1] else segment["next_value"][e, s]
            total += (discount * gae_lambda) ** k * (
                segment["reward"][e, s] + discount * after - segment["value"][e, s]
            )
        return total

    ours = advantages.gae(**segment, discount=discount, gae_lambda=gae_lambda)
    assert np.allclose(ours, by_definition(segment, of), rtol=0, atol=1e-12)


@given(segments(), DISCOUNTS, st.sampled_from([0.3, 0.9]))
def test_gae_is_the_weighted_mean_of_n_step_estimates(segment, discount, gae_lambda):
    """(1 − λ)·Σ_n λⁿ⁻¹·Â⁽ⁿ⁾; from where an episode ends all are the last one, which so has weight λ^(L−1)."""
    segment = consistent(segment)

    def of(e, steps, terminated):
        each = [n_steps_of(segment, e, steps, terminated, discount, n) for n in range(1, len(steps) + 1)]
        head = (1 - gae_lambda) * math.fsum(gae_lambda**n * a for n, a in enumerate(each[:-1]))
        return head + gae_lambda ** (len(each) - 1) * each[-1]

    ours = advantages.gae(**segment, discount=discount, gae_lambda=gae_lambda)
    assert np.allclose(ours, by_definition(segment, of), rtol=0, atol=1e-12)


def test_a_table_worked_by_hand():
    """γ = λ = 1/2, so γ·λ = 1/4. Â' and G' are those of the line below, of the same episode.

    Row 0: an episode that terminates at t = 1, then one that a time limit stops at t = 3.
        t   r   V(o)   V(o')            δ = r + V(o')/2 − V(o)     Â = δ + Â'/4          G = r + G'/2
        0   1   2      4                1 + 2   − 2 =  1            1   − 3/4 = 1/4      1 + 1/2   = 3/2
        1   1   4      8  terminated    1 + 0   − 4 = −3           −3                    1 + 0     = 1
        2   2   1      3                2 + 3/2 − 1 =  5/2          5/2 + 4/4 = 7/2      2 + 7/2   = 11/2
        3   4   3      6  truncated     4 + 3   − 3 =  4            4                    4 + 6/2   = 7
    Row 1: an episode of which no more than three steps were recorded; the fourth is padding, full of 9.
        0   0   1      2                0 + 1   − 1 =  0            0   − 1/16 = −1/16   0 + 2/2   = 1
        1   1   2      1                1 + 1/2 − 2 = −1/2         −1/2 + 1/4 = −1/4     1 + 2/2   = 2
        2   1   1      2  cut           1 + 1   − 1 =  1            1                    1 + 2/2   = 2
    """
    segment = {
        "reward": np.array([[1.0, 1, 2, 4], [0, 1, 1, 9]]),
        "value": np.array([[2.0, 4, 1, 3], [1, 2, 1, 9]]),
        "next_value": np.array([[4.0, 8, 3, 6], [2, 1, 2, 9]]),
        "terminated": np.array([[0, 1, 0, 0], [0, 0, 0, 1]], bool),
        "truncated": np.array([[0, 0, 0, 1], [0, 0, 0, 0]], bool),
        "mask": np.array([[1.0, 1, 1, 1], [1, 1, 1, 0]]),
    }
    td = advantages.td_error(**without(segment, "truncated"), discount=0.5)
    gae = advantages.gae(**segment, discount=0.5, gae_lambda=0.5)
    to_go = advantages.reward_to_go(**without(segment, "value"), discount=0.5)
    assert td.tolist() == [[1, -3, 2.5, 4], [0, -0.5, 1, 0]]
    assert gae.tolist() == [[0.25, -3, 3.5, 4], [-0.0625, -0.25, 1, 0]]
    assert to_go.tolist() == [[1.5, 1, 5.5, 7], [1, 2, 2, 0]]


# -- what must be the same


@given(segments(), DISCOUNTS)
def test_lambda_one_telescopes_to_reward_to_go_less_the_value(segment, discount):
    """Σ γˡ·δ_{t+l}: every V but V(o_t) appears once with plus and once with minus."""
    segment = consistent(segment)
    gae = advantages.gae(**segment, discount=discount, gae_lambda=1.0)
    to_go = advantages.reward_to_go(**without(segment, "value"), discount=discount)
    assert np.allclose(gae, segment["mask"] * (to_go - segment["value"]), rtol=0, atol=1e-12)


@given(segments(), DISCOUNTS)
def test_lambda_zero_and_one_step_are_the_td_error(segment, discount):
    td = advantages.td_error(**without(segment, "truncated"), discount=discount)
    assert np.array_equal(advantages.gae(**segment, discount=discount, gae_lambda=0.0), td)
    assert np.array_equal(advantages.n_step(**segment, discount=discount, num_steps=1), td)


@given(segments(), DISCOUNTS)
def test_many_steps_are_lambda_one(segment, discount):
    ours = advantages.n_step(**segment, discount=discount, num_steps=segment["mask"].shape[1])
    assert np.allclose(ours, advantages.gae(**segment, discount=discount, gae_lambda=1.0), rtol=0, atol=1e-12)


@given(st.integers(2, 12), st.data(), DISCOUNTS, st.integers(0, 2**32 - 1))
def test_a_cut_with_a_bootstrap_changes_nothing(steps, data, discount, seed):
    """Of a policy whose values are exact (V = G), reward-to-go is the same wherever the record was cut, and so are TD
    errors; before the cut GAE's are 0 in both. Caught, when planted: a cut taken for an end."""
    end = data.draw(st.sampled_from([TERMINATED, TRUNCATED, CONTINUES]))
    at = data.draw(st.integers(1, steps - 1))
    whole = block(np.array([[CONTINUES] * (steps - 1) + [end]]), seed)
    to_go = advantages.reward_to_go(**without(whole, "value"), discount=discount)
    whole["value"], whole["next_value"][:, :-1] = to_go, to_go[:, 1:]
    first = {name: value[:, :at] for name, value in whole.items()}
    second = {name: value[:, at:] for name, value in whole.items()}
    for estimate, names in [(advantages.reward_to_go, ["value"]), (advantages.td_error, ["truncated"])]:
        halves = [estimate(**without(part, *names), discount=discount) for part in (first, second)]
        assert np.allclose(np.hstack(halves), estimate(**without(whole, *names), discount=discount), rtol=0, atol=1e-12)
    assert np.allclose(advantages.gae(**first, discount=discount, gae_lambda=0.7), 0, atol=1e-12)


@given(st.integers(2, 12), st.data(), st.integers(0, 2**32 - 1))
def test_a_cut_changes_gae_only_before_it(steps, data, seed):
    at = data.draw(st.integers(1, steps - 1))
    whole = block(np.zeros((1, steps), int), seed)
    second = {name: value[:, at:] for name, value in whole.items()}
    gae = advantages.gae(**whole, discount=0.9, gae_lambda=0.7)
    assert np.allclose(gae[:, at:], advantages.gae(**second, discount=0.9, gae_lambda=0.7), rtol=0, atol=1e-12)


@given(segments())
def test_what_never_happened_has_no_effect(segment):
    """Caught, when planted: the mask left out of the TD error."""
    changed = {name: value.copy() for name, value in segment.items()}
    padded = segment["mask"] == 0
    for name in ("reward", "value", "next_value"):
        changed[name][padded] = 1e6
    for one in (segment, changed):
        assert np.all(advantages.gae(**one, discount=0.9, gae_lambda=0.9)[padded] == 0)
    same = [advantages.gae(**one, discount=0.9, gae_lambda=0.9) for one in (segment, changed)]
    assert np.array_equal(*same)
    same = [advantages.reward_to_go(**without(one, "value"), discount=0.9) for one in (segment, changed)]
    assert np.array_equal(*same)


def test_standardized_advantages():
    ours = advantages.standardize(np.array([1.0, 2.0, 6.0]))
    assert ours.mean() == pytest.approx(0, abs=1e-15) and ours.std() == pytest.approx(1)
    assert list(advantages.standardize(np.array([3.0]))) == [0.0]
    assert np.all(advantages.standardize(np.full(7, 1e9 + 0.1)) == 0)
