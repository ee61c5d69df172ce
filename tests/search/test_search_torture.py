"""Searches under fire, in small: `benchmarks/torture` has the same with 24 workers and 240 trials."""

import os

import helpers_torture as torture
import pytest
from helpers_search import plan_of, searched

from pg_theano.runs import places
from pg_theano.system import locks
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code


@pytest.mark.slow
def test_workers_and_coordinators_are_killed_and_no_trial_is_lost_stuck_or_counted_twice(tmp_path):
    """A fifth of the trials fail; the trials in the end are those of an undisturbed search.

    Caught, when planted: the last trial of a batch told twice.
    """
    path = torture.written(tmp_path, 24)
    assert torture.begun(path, "--run-dir", "whole", cwd=tmp_path, said=tmp_path / "whole.txt").wait(timeout=120) == 0
    figures = torture.under_fire(tmp_path, path, workers=3, trials=24, worker_kills=1, coordinator_kills=1, seed=0)
    assert torture.whole(figures, 24), figures
    assert figures["killed"] == ["coordinator", "worker"]
    assert figures["failed"] >= 3
    assert torture.left_in(tmp_path / "killed") == torture.left_in(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("resume", [False, True])
def test_of_two_that_take_one_search_at_once_one_is_told_who_has_it(tmp_path, resume):
    """Caught, when planted: a folder that is not locked before it is written to."""
    path = torture.written(tmp_path, 16)
    outcome = torture.raced(tmp_path, path, name="raced", resume=resume)
    assert torture.one_won(*outcome), outcome


def test_a_folder_in_which_another_process_has_begun_is_in_use_and_not_just_full(tmp_path):
    """Of two that begin at once the second may find the files of the first. Caught, when planted: "not empty"."""
    (tmp_path / "study.journal").touch()
    lock = locks.locked(tmp_path)
    try:
        with pytest.raises(UserError, match=rf"in use by process {os.getpid()} on "):
            places.exact_folder(tmp_path)
    finally:
        locks.unlocked(lock)
    with pytest.raises(UserError, match="not empty"):
        places.exact_folder(tmp_path)


def test_a_search_that_was_made_in_the_folder_meanwhile_is_not_written_over(tmp_path, monkeypatch):
    """Caught, when planted: the folder looked into before its lock is taken, and never after."""
    plan = plan_of("random", budget={"trials": 4})
    searched(plan, tmp_path, monkeypatch)
    monkeypatch.setattr(places, "exact_folder", lambda path: path)
    with pytest.raises(UserError, match="another process has just searched in it"):
        searched(plan, tmp_path, monkeypatch)
