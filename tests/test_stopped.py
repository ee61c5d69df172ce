"""Whole processes that are stopped, killed and started twice: quick forms of the torture's `signals`, `interruptions`,
`repeats`."""

import random
import signal

import helpers_processes as processes
import pytest

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """engine -> the digest of a run that was left alone."""
    known = {}

    def of(engine):
        if engine not in known:
            known[engine] = processes.ran_whole(tmp_path_factory.mktemp("alone"), processes.words_of(engine))
        return known[engine]

    return of


@pytest.mark.parametrize(("engine", "phase", "delay"), [("compiled", "compile", 0.2), ("population", "rollout", 0.003)])
def test_sigterm_saves_and_is_143_and_leaves_nobody(engine, phase, delay, expected):
    """Caught, when planted: SIGTERM not listened to."""
    found = processes.stopped_in(phase, delay, signal.SIGTERM, engine, expected(engine))
    assert found["seconds"] < 30
    assert {**found, "seconds": 0} == {"code": 143, "seconds": 0, "says": True, "orphans": 0, "equal": True}


def test_a_second_ctrl_c_does_not_wait_for_the_disk():
    """The first begins to save; the second ends it."""
    code, seconds = processes.second_ctrl_c("by hand", signal.SIGTERM)
    assert (code, seconds < 30) == (143, True)


def test_workers_end_with_a_parent_that_was_killed():
    """Caught, when planted: no thread that waits for the parent."""
    found = processes.killed_parent("population", 0.2)
    assert found["before"] >= 3
    assert found["left"] == 0


def test_of_two_that_start_at_once_one_wins_and_the_other_says_who():
    """Caught, when planted: `not empty` where somebody is at work."""
    assert processes.race(resume=False)


def test_a_search_with_workers_stops_on_sigterm():
    found = processes.stopped_search(2, 0.1, signal.SIGTERM)
    assert (found["code"], found["says"], found["orphans"]) == (143, True, 0)
    assert found["outcome"]["trials"]["complete"] == 12


def test_interrupted_at_random_and_resumed_is_equal(expected):
    """Open episodes are replayed by seed and actions."""
    found, stopped = processes.interrupted("gymnasium", 2, random.Random(0), 1.5)
    assert len(stopped) == 2
    assert found == expected("gymnasium")


def test_on_a_terminal_it_is_the_same_run(expected, tmp_path):
    """The live display changes nothing."""
    assert processes.on_a_terminal(tmp_path, processes.words_of("by hand")) == expected("by hand")
