"""CHO against functions whose minimum is known: by calculus, not by another search."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_theano.search import cho
from pg_theano.search.axes import Axis
from pg_theano.types import UserError

OPTIONS = {"points": 3, "shrink": 0.5, "threshold": 0.02, "repeats": 1, "order": "together"}


def searched(axes, function, *, at_once=7, **changes):
    """(state when it is done, every point with its outcome)."""
    state, seen = cho.init(axes, **(OPTIONS | {"limit": (10**6, "of a grid")} | changes)), []
    while points := cho.ask(state)[:at_once]:
        outcomes = [function(point) for point in points]
        seen += zip(points, outcomes, strict=True)
        state = cho.tell(state, points, outcomes)
        assert len(seen) < 10_000
    return state, seen


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.floats(0.1, 10), st.floats(0, 1), st.floats(0.01, 10)), min_size=1, max_size=3
    ),
    st.sampled_from([3, 4]),
)
def test_a_separable_quadratic_is_minimised_exactly_in_the_first_round(parts, points):
    """The vertex of each parabola, whatever the others do. Caught, when planted: means over the wrong axis, the optimum
    taken as the best grid point, c·u² fitted about the window's middle and not moved back."""
    axes = [Axis(f"x{i}", low, low + width) for i, (low, width, _, _) in enumerate(parts)]
    vertex = {f"x{i}": low + width * where for i, (low, width, where, _) in enumerate(parts)}

    def function(point):
        return sum(
            steep * ((point[f"x{i}"] - vertex[f"x{i}"]) / width) ** 2 for i, (_, width, _, steep) in enumerate(parts)
        )

    state, seen = searched(axes, function, points=points)
    for axis in axes:
        assert state.rounds[0].minimum[axis.name] == pytest.approx(vertex[axis.name], abs=1e-5 * (axis.high - axis.low))
    last, outcome = seen[-1]  # the minimum itself is evaluated at the end
    assert last == state.rounds[-1].minimum
    assert outcome == pytest.approx(0.0, abs=1e-8)


def test_steps_shrink_by_the_factor_until_each_is_under_its_threshold():
    """By hand: the steps of 3 points are 1/2, 1/4, 1/8 and then 1/16, under 0.1; those of x1 1/2 and then 1/4, under 0.3.

    Caught, when planted: the width of the group out of turn shrunk too; a range shrunk and its step not.
    """
    axes = [Axis("x0", 0, 1), Axis("x1", 0, 1, threshold=0.3)]
    state, seen = searched(axes, lambda p: p["x0"] ** 2 + p["x1"] ** 2, threshold=0.1, order="in_turn")
    assert [one.axes for one in state.rounds] == [("x0",), ("x1",), ("x0",), ("x0",)]
    widths = [np.ptp([*one.fits["x0"].values]) for one in state.rounds if "x0" in one.fits]
    assert widths == pytest.approx([1, 1 / 2, 1 / 4])
    assert len(seen) == 3 * 4 + 1


def test_a_log_axis_is_quadratic_in_the_logarithm():
    """Caught, when planted: the window laid out in the value itself."""
    axes = [Axis("rate", 1e-4, 1.0, log=True), Axis("x", -1.0, 1.0)]
    state, seen = searched(axes, lambda p: (math.log10(p["rate"]) + 2.7) ** 2 + p["x"] ** 2)
    assert state.rounds[0].minimum["rate"] == pytest.approx(10**-2.7, rel=1e-4)
    first = [point["rate"] for point, _ in seen[:9]]
    assert sorted(set(first)) == pytest.approx([1e-4, 1e-2, 1.0])


@pytest.mark.parametrize(("low", "high", "expected"), [(-1.0, 2.0, 2.0), (-2.0, 1.0, -2.0)])
def test_a_parabola_upside_down_has_its_minimum_at_the_better_end(low, high, expected):
    """Caught, when planted: the vertex taken without the bounds; the optimiser started at the middle, where the slope
    of a symmetric one is zero."""
    state, seen = searched([Axis("x", low, high)], lambda p: -(p["x"] ** 2))
    assert state.rounds[-1].minimum["x"] == expected
    assert seen[-1] == ({"x": expected}, -(expected**2))


def test_a_symmetric_maximum_in_the_middle_is_left():
    state, _ = searched([Axis("x", -1.0, 1.0)], lambda p: -(p["x"] ** 2))
    assert abs(state.rounds[-1].minimum["x"]) == 1.0


def test_integers_stay_integers_and_the_search_ends():
    """Caught, when planted: values not rounded; rounds over grids of one integer, until their steps too are small."""
    axes = [Axis("n", 1, 9, integer=True), Axis("m", 1, 64, integer=True, log=True)]
    state, seen = searched(axes, lambda p: (p["n"] - 6) ** 2 + (math.log2(p["m"]) - 3) ** 2, threshold=1e-3)
    assert all(isinstance(value, int) for point, _ in seen for value in point.values())
    assert state.rounds[-1].minimum == {"n": 6, "m": 8}
    assert not any(len(one.fits["n"].values) == len(one.fits["m"].values) == 1 for one in state.rounds)


def test_choices_are_compared_by_their_means_and_the_worse_half_left_out():
    axes = [Axis("kind", choices=("a", [8], "c", "d")), Axis("x", 0.0, 1.0)]
    worth = {"a": 3.0, "[8]": 1.0, "c": 2.0, "d": 9.0}
    state, seen = searched(axes, lambda p: worth[str(p["kind"])] + (p["x"] - 0.25) ** 2)
    assert state.rounds[-1].minimum["kind"] == [8]
    second = [point["kind"] for point, _ in seen[12:18]]
    assert sorted(map(str, second)) == ["[8]", "[8]", "[8]", "c", "c", "c"]
    assert state.rounds[-1].minimum["x"] == pytest.approx(0.25, abs=1e-4)


def test_failed_points_are_left_out_of_the_means_and_counted():
    """The minimum is where it is without them. Caught, when planted: a failure counted as an outcome of 0."""
    axes = [Axis("x", 0.0, 1.0), Axis("y", 0.0, 1.0)]

    def function(p):
        return None if p["x"] == 1.0 and p["y"] == 0.0 else (p["x"] - 0.6) ** 2 + 5.0

    state, _ = searched(axes, function)
    assert state.rounds[0].minimum["x"] == pytest.approx(0.6, abs=1e-4)
    assert state.rounds[0].failed == 1


def test_where_a_whole_value_or_a_whole_round_failed_the_rest_still_counts():
    axes = [Axis("x", 0.0, 1.0), Axis("y", 0.0, 1.0)]
    state, _ = searched(axes, lambda p: None if p["x"] == 0.5 else p["x"] + p["y"])
    assert math.isnan(state.rounds[0].fits["x"].means[1])
    assert state.rounds[0].minimum == {"x": 0.0, "y": 0.0}
    state, _ = searched(axes, lambda p: None)
    assert state.rounds[0].minimum == {"x": 0.5, "y": 0.5}
    assert state.rounds[0].failed == 9


def test_repeats_ask_each_point_so_often_and_take_the_mean():
    """Caught, when planted: only the first of the repeats counted."""
    turn = iter(range(10**6))
    state, seen = searched([Axis("x", 0.0, 1.0)], lambda p: (p["x"] - 0.5) ** 2 + (-1) ** next(turn), repeats=2)
    assert [point["x"] for point, _ in seen[:6:2]] == [point["x"] for point, _ in seen[1:6:2]]
    assert {point["x"] for point, _ in seen[:6]} == {0, 0.5, 1}
    assert state.rounds[0].fits["x"].means == pytest.approx([0.25, 0.0, 0.25])


def test_an_interaction_is_followed_in_groups():
    """Groups of the user's own: x and y in one grid, z alone; those out of turn stand still at the last minimum."""
    axes = [Axis(name, -1.0, 1.0) for name in "xyz"]
    state, seen = searched(axes, lambda p: (p["x"] - 0.3) ** 2 + p["y"] ** 2 + p["z"] ** 2, order=[["x", "y"], ["z"]])
    assert [one.axes for one in state.rounds[:4]] == [("x", "y"), ("z",), ("x", "y"), ("z",)]
    assert {(p["x"], p["y"]) for p, _ in seen[9:12]} == {(state.rounds[0].minimum["x"], state.rounds[0].minimum["y"])}


@pytest.mark.parametrize("at_once", [1, 4, 1000])
def test_how_many_are_asked_for_at_once_changes_nothing(at_once):
    axes = [Axis("x", 0.0, 1.0), Axis("n", 1, 30, integer=True)]
    expected = searched(axes, lambda p: abs(p["x"] - 0.3) + math.cos(p["n"]), at_once=7)
    assert searched(axes, lambda p: abs(p["x"] - 0.3) + math.cos(p["n"]), at_once=at_once) == expected


def test_a_grid_over_the_limit_says_its_size_and_the_limit():
    axes = [Axis(name, 0.0, 1.0) for name in "abcd"]
    with pytest.raises(UserError, match=r"3 x 3 x 3 x 3 = 81 points; expected at most 80"):
        cho.ask(cho.init(axes, **OPTIONS, limit=(80, "of a grid")))


def test_the_minimum_of_a_sum_of_quadratics():
    """Against a grid of a million points. Caught, when planted: the gradient without its factor 2."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        quadratics = rng.normal(size=(2, 3)) * 10.0 ** rng.integers(-6, 6)
        bounds = np.sort(rng.random((2, 2)), axis=1)
        found = cho.minimum_of_sum(tuple(map(tuple, quadratics.tolist())), tuple(map(tuple, bounds.tolist())))
        for (_, b, c), (low, high), u in zip(quadratics, bounds, found, strict=True):
            fine = np.linspace(low, high, 1001)
            least = (b * fine + c * fine**2).min()
            assert low <= u <= high
            assert b * u + c * u**2 <= least + 1e-9 * np.abs(quadratics).max()
