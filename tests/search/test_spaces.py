"""The space and the settings of a search: what values there are, and what is refused with which words."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers_search import DISCOUNT, RATE, data_of, plan_of
from hypothesis import given
from hypothesis import strategies as st

from pg_theano.search import axes as spaces
from pg_theano.search import plan as settings
from pg_theano.search import samplers, study
from pg_theano.search.axes import Axis
from pg_theano.types import UserError

ROOT = Path(__file__).resolve().parents[2]
AXES = [
    Axis("a", -3.0, 5.0),
    Axis("b", 1e-3, 1.0, log=True),
    Axis("c", 8, 64, log=True, integer=True),
    Axis("d", choices=([8], "two", 3)),
]


@given(st.floats(0, 1))
def test_unit_and_value_are_inverses(unit):
    """Caught, when planted: the window of a log axis laid out in the value itself."""
    for axis in AXES:
        value = axis.value(unit)
        assert axis.value(axis.unit(value)) == pytest.approx(value) if axis.choices is None else value in axis.choices
        if axis.choices is None:
            assert axis.low <= value <= axis.high
    assert AXES[0].value(unit) == pytest.approx(-3 + 8 * unit)
    assert math.log(AXES[1].value(unit)) == pytest.approx((1 - unit) * math.log(1e-3))


def test_no_value_lies_beside_its_range():
    """exp(log(x)) is not x. Caught, when planted: the result of `exp` as it is."""
    for low in np.random.default_rng(0).random(200):
        axis = Axis("r", float(low), float(low) * 10, log=True)
        assert axis.low <= axis.value(0.0) < axis.value(1.0) <= axis.high


def test_every_choice_is_its_own():
    for choice in AXES[3].choices:
        assert AXES[3].value(AXES[3].unit(choice)) == choice


def test_many_points_are_encoded_as_one_is():
    """Caught, when planted: an integer not rounded; a choice one further."""
    axes = [*AXES, Axis("e", 2, 5, integer=True)]
    units = np.random.default_rng(0).random((50, len(axes)))
    points = [{axis.name: axis.value(u) for axis, u in zip(axes, row, strict=True)} for row in units]
    assert np.allclose(spaces.rows_of(axes, units), spaces.encoded(axes, points), rtol=0, atol=1e-12)
    assert spaces.encoded(axes, points).shape == (50, 3 + 3 + 1)


def test_uniform_draws_are_uniform():
    """Integers at the ends as often as others; on a log axis each decade as often. Caught, when planted: rounding."""
    rng = np.random.default_rng(0)
    axes = [Axis("n", 1, 4, integer=True), Axis("r", 1e-3, 1.0, log=True), AXES[3]]
    drawn = [spaces.uniform(axes, rng) for _ in range(6000)]
    counts = [sum(point["n"] == n for point in drawn) for n in (1, 2, 3, 4)]
    decades = [sum(low <= point["r"] < 10 * low for point in drawn) for low in (1e-3, 1e-2, 1e-1)]
    choices = [sum(point["d"] == one for point in drawn) for one in AXES[3].choices]
    assert np.allclose(counts, 1500, atol=150)
    assert np.allclose([decades, choices], 2000, atol=180)


def test_a_grid_is_the_whole_product_once():
    plan = plan_of("grid", grid={"points": 3})
    asked = [one.params for one in samplers.next_candidates(plan_of("grid", budget={"trials": 18}), [], 100)]
    assert plan.search.grid.points == 3
    assert len(asked) == 18 == len({str(one) for one in asked})
    assert sorted({one[RATE] for one in asked}) == pytest.approx([1e-3, 10**-1.5, 1.0])


def test_a_batch_of_a_grid_is_no_slice_of_it():
    """A value at which all fails must not make a whole batch fail. Caught, when planted: the order of the product."""
    for sizes in ((3, 3, 3), (2, 5), (4, 4, 2), (7,)):
        values = {str(i): list(range(size)) for i, size in enumerate(sizes)}
        points = spaces.product(values, 100, "")
        assert len({tuple(point.values()) for point in points}) == len(points) == math.prod(sizes)
        for i in range(len(points) - 3):
            assert all(len({point[name] for point in points[i : i + 4]}) > 1 for name in values)


# -- the file


def read(tmp_path, text, *overrides, **options):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return settings.read_plan(path, overrides, **options)


MINIMAL = """\
policy: {hidden: [4]}
search:
  space:
    algorithm.discount: {low: 0.5, high: 1}
"""


def test_a_base_lies_under_the_knobs_and_the_command_line_over_both(tmp_path):
    """Caught, when planted: the base laid over the file."""
    (tmp_path / "base.yaml").write_text("name: other\npolicy: {hidden: [32], activation: tanh}\nbudget: {updates: 7}\n")
    plan = read(tmp_path, f"base: base.yaml\n{MINIMAL}", "budget.updates=9", "search.batch=3", seed=5)
    assert plan.name == "s"
    assert (plan.config.policy.hidden, plan.config.policy.activation) == ([4], "tanh")
    assert (plan.config.budget.updates, plan.search.batch, plan.config.seed) == (9, 3, 5)


def test_the_space_can_be_nested_as_the_command_line_does(tmp_path):
    plan = read(
        tmp_path, MINIMAL, "search.space.algorithm.discount.high=0.9", "search.space.policy.hidden.choices=[[4], [8]]"
    )
    assert {axis.name: (axis.low, axis.high, axis.choices) for axis in plan.axes} == {
        DISCOUNT: (0.5, 0.9, None),
        "policy.hidden": (0.0, 1.0, ([4], [8])),
    }


def test_a_written_plan_reads_as_the_same(tmp_path):
    plan = plan_of("cho", space={DISCOUNT: {"low": 0.5, "high": 1.0, "points": 4}}, cho={"order": "in_turn"})
    again = read(tmp_path, settings.written(plan))
    assert again.identity() == plan.identity()
    assert again.axes == plan.axes


BAD = {
    "low over high": ("{low: 1, high: 0.5}", "s.yaml:5 search.space.algorithm.discount.low: got 1; expected less than high"),
    "low equal to high": ("{low: 0.5, high: 0.5}", "low: got 0.5; expected less than high, which is 0.5"),
    "log at zero": ("{low: 0, high: 1, log: true}", "low: got 0, which has no logarithm; expected a number above 0"),
    "log below zero": ("{low: -1, high: 1, log: true}", "low: got -1, which has no logarithm; expected a number above 0"),
    "no high": ("{low: 0.5}", "high: missing; expected low and high, or choices"),
    "choices and low": ("{low: 0.5, choices: [1, 2]}", "choices: got low, high, log or integer with them"),
    "one choice": ("{choices: [0.9]}", "choices: got a list; expected"),
    "choice twice": ("{choices: [0.9, 0.9]}", "choices: got one twice"),
    "halves": ("{low: 0.5, high: 2, integer: true}", "expected whole numbers, as integer is true"),
    "unknown key": ("{low: 0.5, hihg: 1}", "search.space.algorithm.discount.hihg: unknown knob; did you mean search.space.algorithm.discount.high?"),
    "out of the knob's bounds": ("{low: 0.5, high: 2}", "search.space.algorithm.discount: got 2; expected a number from 0 to 1"),
    "a word": ("{low: a, high: 1}", "search.space.algorithm.discount.low: got 'a'; expected a finite number"),
    "no mapping": ("0.5", "search.space.algorithm.discount: got 0.5; expected a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_range_is_named_with_its_line(tmp_path, monkeypatch, case):
    """One line: file, line and key. Caught, when planted: each check left out makes its own row fail."""
    monkeypatch.chdir(tmp_path)
    text, expected = BAD[case]
    with pytest.raises(UserError) as error:
        settings.read_plan(write(tmp_path, f"# a search\n{MINIMAL}".replace("{low: 0.5, high: 1}", text)))
    assert expected in str(error.value)
    assert str(error.value).startswith("s.yaml:5 ")


def write(folder, text):
    (folder / "s.yaml").write_text(text)
    return "s.yaml"


KNOBS = {
    "algorithm.discuont": "unknown knob; did you mean algorithm.discount?",
    "learning_rate.initial": "unknown knob; did you mean schedules.learning_rate.initial?",
    "seed": "unknown knob",
    "environment.num_envs": "environment.num_envs: takes whole numbers; expected integer: true",
}


@pytest.mark.parametrize("knob", KNOBS)
def test_a_knob_that_cannot_be_searched_is_named(tmp_path, knob):
    with pytest.raises(UserError, match=f"s.yaml:4 search.space.{knob}: .*"[:200]) as error:
        read(tmp_path, MINIMAL.replace("algorithm.discount", knob))
    assert KNOBS[knob] in str(error.value)


SETTINGS = {
    "search.method=chol": "command line search.method: got 'chol'; expected one of cho",
    "search.bathc=3": "command line search.bathc: unknown knob; did you mean search.batch?",
    "search.batch=0": "command line search.batch: got 0; expected a whole number from 1",
    "search.storage=study.db": "search.storage: got study.db; expected an RDB address; try sqlite:///search.db",
    "search.pruning=median": "search.pruning: cho needs every point's whole outcome; expected none",
    "search.objective=steps_to_solve": "got steps_to_solve without budget.env_steps",
    "search.cho.points=2": "search.cho.points: got 2; expected a whole number from 3",
    "search.cho.order=[[a]]": "search.cho.order: expected every knob of the space in one group",
    "search.space={}": "search.space: is empty",
    "search=3": "no section `search`",
    "base=nothing.yaml": "nothing.yaml: no such file",
    "runs=3": "command line runs: got several runs, and a trial is one; expected 1; try search.seeds_per_trial",
    "algorithm.clip_rage=1": "command line algorithm.clip_rage: unknown knob; did you mean algorithm.clip_range?",
}


@pytest.mark.parametrize("override", SETTINGS)
def test_a_bad_setting_is_named(tmp_path, override):
    with pytest.raises(UserError) as error:
        read(tmp_path, MINIMAL, override)
    assert SETTINGS[override] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["grid", "cho"])
def test_a_grid_that_the_budget_does_not_hold_is_refused_before_there_is_a_folder(tmp_path, method):
    plan = plan_of(method, budget={"trials": 17})
    with pytest.raises(
        UserError, match=r"a grid of 3 x 3 x 2 = 18 points; expected at most 17 \(search.budget.trials=17\)"
    ):
        study.new(plan, tmp_path / "f", lambda *_: None, lambda _: None)
    assert not (tmp_path / "f").exists()


def test_an_endless_search_needs_a_budget(tmp_path):
    with pytest.raises(UserError, match=r"search.budget: got no trials and no seconds, and random goes on for ever"):
        read(tmp_path, MINIMAL, "search.budget.trials=null", "search.method=random")


def test_the_example_of_the_repository_reads():
    data = yaml.safe_load(settings.written(settings.read_plan(ROOT / "configs" / "search-cartpole.yaml")))
    assert len(data["search"]["space"]) == 4
    assert data_of("cho")["search"]["method"] == "cho"
