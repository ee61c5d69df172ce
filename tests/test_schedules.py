"""Schedules against a table worked by hand, and at the edges of floating point."""

import math
from types import SimpleNamespace

import pytest

from pg_theano.config.kinds import Schedule
from pg_theano.config.schedules import value_at

LINEAR = {"kind": "linear", "initial": 1.0, "final": 0.2, "over_updates": 4}
GROWTH = {"kind": "linear", "initial": 2.0, "final": 10.0, "over_updates": 8}
DECAY = {"kind": "exponential_decay", "initial": 8.0, "decay_rate": math.log(2)}
EXPONENTIAL = {"kind": "exponential_decay", "initial": 3.0, "decay_rate": -math.log(2)}


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        ({"kind": "constant", "initial": 0.3}, {0: 0.3, 1: 0.3, 10**9: 0.3}),
        (LINEAR, {0: 1.0, 1: 0.8, 2: 0.6, 3: 0.4, 4: 0.2, 5: 0.2, 10**9: 0.2}),
        (GROWTH, {0: 2.0, 1: 3.0, 7: 9.0, 8: 10.0, 9: 10.0}),
        (LINEAR | {"over_updates": 1}, {0: 1.0, 1: 0.2}),
        (DECAY, {0: 8.0, 1: 4.0, 2: 2.0, 3: 1.0, 6: 0.125}),
        (DECAY | {"decay_rate": 0.0}, {0: 8.0, 1000: 8.0}),
        (EXPONENTIAL, {0: 3.0, 1: 6.0, 4: 48.0}),
        (DECAY | {"minimum": 1.5}, {2: 2.0, 3: 1.5, 10**6: 1.5}),
        (EXPONENTIAL | {"maximum": 20.0}, {2: 12.0, 3: 20.0, 10**12: 20.0}),
        (LINEAR | {"minimum": 0.5, "maximum": 0.9}, {0: 0.9, 1: 0.8, 2: 0.6, 3: 0.5}),
        ({"kind": "constant", "initial": 5.0, "maximum": 2.0}, {0: 2.0}),
        ({"kind": "constant", "initial": 0.0, "minimum": 0.0}, {0: 0.0}),
    ],
)
def test_a_schedule_has_the_values_of_the_table(schedule, values):
    """Caught, when planted: k+1 for k; the sign of the decay; base 10 or 2 for e; a line that goes on past its end;
    bounds exchanged or left out for one kind.
    """
    read = Schedule(**schedule)
    for update, expected in values.items():
        assert value_at(read, update) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("update", [0, 1, 10**3, 10**9, 10**12])
@pytest.mark.parametrize("rate", [-1e308, -1e6, -1.0, 0.0, 1.0, 1e6, 1e308])
def test_no_rate_and_no_update_overflows(rate, update):
    """A bound holds, and where there is none nothing is raised. Caught, when planted: `exp` not held below 709
    (OverflowError).
    """
    free = SimpleNamespace(kind="exponential_decay", initial=2.0, decay_rate=rate, minimum=None, maximum=None)
    assert value_at(free, update) >= 0
    if -rate * update >= 700:
        assert value_at(free, update) == 2.0 * math.exp(700.0)
    bounded = SimpleNamespace(kind="exponential_decay", initial=2.0, decay_rate=rate, minimum=1.0, maximum=4.0)
    assert 1.0 <= value_at(bounded, update) <= 4.0
    if update and rate:
        expected = 4.0 if rate < 0 else 1.0
        assert value_at(bounded, update) == pytest.approx(expected)
