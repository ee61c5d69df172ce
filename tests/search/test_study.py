"""The coordinator and its storage: the same outcome however it is worked off, interrupted or killed."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import helpers_forking as forking
import numpy as np
import optuna
import pytest
from helpers_damage import damages
from helpers_search import DISCOUNT, HIDDEN, RATE, REAL, plain, plan_of, pretended, resumed, searched, written
from optuna.storages.journal import JournalFileBackend

from pg_theano.search import journal, rounds, storage, study, trials
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

METHODS = ("random", "tpe", "bayesian", "cho")


class Killed(BaseException):
    """What no part of a search may catch."""


def kill_at(monkeypatch, operation, how):
    """The process dies at this operation of the storage: before it, after it, or with half of its line written."""
    real, count = journal.append, iter(range(10**6))

    def append(path, logs, say):
        if next(count) == operation:
            if how == "after":
                real(path, logs, say)
            elif how == "torn":
                with open(path, "ab") as file:
                    file.write(json.dumps(logs[0]).encode()[:20])
                os.symlink(journal.RUN_LOCK, journal.lock_of(path))  # and with the lock in its hands
            raise Killed
        real(path, logs, say)

    monkeypatch.setattr(journal, "append", append)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_search_killed_at_any_operation_goes_on_to_the_same_trials(tmp_path, monkeypatch, method):
    """Operations of the storage, all of them or every fifth, are each the last. Caught, when planted: a live generator in place of one for each number; running trials left running; a torn line left
    in the journal; running trials not told to the sampler."""
    options = {"budget": {"trials": 18 if method == "cho" else 14}}
    undisturbed = searched(plan_of(method, **options), tmp_path / "whole", monkeypatch)
    operations = sum(1 for _ in open(tmp_path / "whole" / storage.JOURNAL))
    assert undisturbed.status == "budget"
    assert {one.state for one in undisturbed.trials} >= {"complete"}
    hows = ("before", "after", "torn")
    steps = range(3, operations, 1 if method == "random" else 5)
    for operation in steps:  # before the third there is no search yet
        folder = tmp_path / f"killed-{operation}"
        with monkeypatch.context() as patched:
            kill_at(patched, operation, hows[operation % 3])
            with pytest.raises(Killed):
                searched(plan_of(method, **options), folder, patched)
        outcome = resumed(folder)
        assert plain(outcome.trials) == plain(undisturbed.trials), operation
        assert not any(one.state == "running" for one in outcome.trials)


@pytest.mark.slow
@pytest.mark.parametrize("pruning", ["median", "successive_halving"])
def test_pruning_is_the_same_after_a_kill(tmp_path, monkeypatch, pruning):
    """Caught, when planted: only the trials that are left of the batch compared at its rungs."""
    plan = plan_of("random", pruning=pruning)
    undisturbed = searched(plan, tmp_path / "whole", monkeypatch)
    operations = sum(1 for _ in open(tmp_path / "whole" / storage.JOURNAL))
    assert {one.state for one in undisturbed.trials} == {"complete", "pruned", "failed"}
    for operation in range(3, operations, 3):
        folder = tmp_path / f"killed-{operation}"
        with monkeypatch.context() as patched:
            kill_at(patched, operation, "before")
            with pytest.raises(Killed):
                searched(plan, folder, patched)
        assert plain(resumed(folder).trials) == plain(undisturbed.trials), operation


def test_survivors_by_hand():
    here = {4: 1.0, 5: 3.0, 6: 2.0, 7: 3.0, 8: 0.0}
    assert rounds.survivors(here, [], "median") == {5, 6, 7}
    assert rounds.survivors(here, [9.0] * 6, "median") == set()
    assert rounds.survivors(here, [9.0] * 6, "successive_halving") == {5, 6, 7}
    assert rounds.survivors({4: 1.0, 5: 1.0}, [], "successive_halving") == {4}
    assert rounds.survivors({}, [], "median") == set()


def test_a_failed_trial_is_recorded_with_its_reason_and_the_search_goes_on(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(trials, "evaluate", pretended)
    outcome = study.new(plan_of("random"), tmp_path / "s", lambda *_: None, said.append)
    failed = [one for one in outcome.trials if one.state == "failed"]
    assert failed
    assert all(one.params[RATE] > 0.5 and one.facts["reason"] == "the rate is too large" for one in failed)
    assert len(outcome.trials) == 14
    assert said == [f"trial {one.number} failed: the rate is too large" for one in failed]


def test_where_one_after_the_other_fails_the_search_stops(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"the last 8 trials failed; the first: the disk is full.*--resume"):
        searched(plan_of("random"), tmp_path / "s", monkeypatch, all_fail)
    assert [one.state for one in study.read_folder(tmp_path / "s") and store_of(tmp_path / "s").trials()] == [
        "failed"
    ] * 8


def test_a_search_in_which_all_fail_is_an_error_also_where_it_is_short(tmp_path, monkeypatch):
    """Of a grid, of a budget under the number that ends it early. Caught, when planted: an end like any other."""
    for method in ("random", "cho"):
        with pytest.raises(UserError, match=r"all \d trials failed; the first: the disk is full"):
            searched(plan_of(method, budget={"trials": 5}, **ONE_AXIS), tmp_path / method, monkeypatch, all_fail)


ONE_AXIS = {"space": {RATE: {"low": 1e-3, "high": 1.0, "log": True}}}


def all_but_each_fifth(task):
    return pretended(task | {"params": task["params"] | {RATE: 1.0 if task["number"] % 5 < 1 else 0.1}})


@pytest.mark.parametrize("batch", [1, 2])
def test_a_fifth_of_failing_trials_ends_no_search_however_small_its_batches(tmp_path, monkeypatch, batch):
    """Caught, when planted: one batch of failures ends it, though it is of one trial."""
    plan = plan_of("random", budget={"trials": 40}, batch=batch)
    counts = study.counted(searched(plan, tmp_path / "s", monkeypatch, all_but_each_fifth).trials)
    assert counts == {"complete": 32, "pruned": 0, "failed": 8, "running": 0}


def test_neighbours_in_a_grid_may_fail_together(tmp_path, monkeypatch):
    """Caught, when planted: a grid ended by its corner."""

    def evaluate(task):
        return all_fail(task) if task["number"] >= 16 else pretended(task | {"params": task["params"] | {RATE: 0.1}})

    plan = plan_of("grid", batch=2, budget={"trials": 40}, grid={"points": 4})
    outcome = searched(plan, tmp_path / "s", monkeypatch, evaluate)
    assert [one.state for one in outcome.trials] == ["complete"] * 16 + ["failed"] * 16


BAD = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


@pytest.mark.parametrize("method", ["random", "grid", "cho", "bayesian", "tpe"])
@pytest.mark.parametrize("bad", BAD)
def test_what_is_not_finite_never_wins(tmp_path, monkeypatch, method, bad):
    """A trial with such a score fails, is not the best one, and leaves the search where a failed one would.

    Caught, when planted: the score told as it is (Optuna refuses NaN, and takes infinity as the best one).
    """

    def outcome_of(score, name):
        def evaluate(task):
            made = pretended(task)
            if task["number"] % 3 == 1:
                made |= {"score": score, "reason": "no score"}
            return made

        return searched(plan_of(method, budget={"trials": 18}), tmp_path / name, monkeypatch, evaluate)

    found, failed = outcome_of(BAD[bad], "bad"), outcome_of(None, "failed")
    assert [one._replace(facts={}) for one in found.trials] == [one._replace(facts={}) for one in failed.trials]
    assert study.best(found.trials, True) == study.best(found.trials, True)._replace(state="complete")
    assert any(one.facts.get("reason") == f"its score is {bad}; expected a finite number" for one in found.trials)


@pytest.mark.parametrize("pruning", ["median", "successive_halving"])
def test_what_is_not_finite_is_not_compared_at_a_rung(tmp_path, monkeypatch, pruning):
    """It ends there, failed; the others are compared without it. Caught, when planted: NaN at a rung (nobody is at or
    above the median of NaN)."""

    def evaluate(task):
        made = pretended(task | {"params": task["params"] | {RATE: 0.1}})
        return made | {"score": float("nan")} if task["number"] % 4 == 1 and task["share"] < 0.4 else made

    outcome = searched(plan_of("random", pruning=pruning, budget={"trials": 16}), tmp_path / "s", monkeypatch, evaluate)
    for trial in outcome.trials:
        assert (trial.state == "failed") == (trial.number % 4 == 1)
    assert study.counted(outcome.trials)["complete"] >= 3


def test_a_resumed_search_says_what_it_keeps_and_what_goes_on(tmp_path, monkeypatch):
    """Caught, when planted: running trials counted as kept."""

    def evaluate(task):
        if task["number"] == 9:
            raise KeyboardInterrupt
        return pretended(task)

    outcome = searched(plan_of("random"), tmp_path / "s", monkeypatch, evaluate)
    counts = study.counted(outcome.trials)
    assert counts["running"] == 4
    monkeypatch.setattr(trials, "evaluate", pretended)
    said = []
    study.resume(tmp_path / "s", (), lambda *_: None, said.append)
    assert counts["complete"] == 8
    assert said[0] == f"{tmp_path / 's'}: resumed: 8 trials kept (8 complete); 4 that were begun go on"


def all_fail(task):
    return {"number": task["number"], "score": None, "ended": True, "reason": "the disk is full"}


def store_of(folder):
    plan = study.read_folder(folder)
    return storage.Store(folder, plan.search.storage, plan.name, plan.axes, plan.maximise)


def test_a_budget_in_seconds_ends_between_two_batches(tmp_path, monkeypatch):
    """Caught, when planted: seconds looked at only where there is no budget of trials."""

    def evaluate(task):
        time.sleep(0.06)
        return pretended(task)

    outcome = searched(plan_of("random", budget={"trials": 100, "seconds": 0.2}), tmp_path / "s", monkeypatch, evaluate)
    assert (outcome.status, len(outcome.trials)) == ("budget", 4)
    assert not any(one.state == "running" for one in outcome.trials)


def test_one_process_at_a_time(tmp_path, monkeypatch):
    """Told who holds it. Caught, when planted: the lock let go of as soon as the search has begun."""

    def evaluate(task):
        with pytest.raises(UserError, match=rf"in use by process {os.getpid()} on "):
            resumed(tmp_path / "s")
        return pretended(task)

    searched(plan_of("random", budget={"trials": 2}), tmp_path / "s", monkeypatch, evaluate)
    resumed(tmp_path / "s")  # and afterwards it is free


@pytest.mark.slow
def test_a_storage_of_another_search_is_refused_by_name(tmp_path, monkeypatch):
    """Caught, when planted: the base left out of what a search is; the folder of the other not compared."""
    address = f"sqlite:///{tmp_path}/study.db"
    searched(plan_of("random", storage=address), tmp_path / "first", monkeypatch)
    for changes in ({"method": "tpe"}, {"batch": 3}, {"base": {"policy": {"activation": "tanh"}}}):
        other = plan_of(**{"method": "random", "storage": address, **changes})
        with pytest.raises(
            UserError, match=r"study tried is another search's: random for evaluation over .*first on"
        ) as error:
            searched(other, tmp_path / f"second-{len(changes)}-{next(iter(changes))}", monkeypatch)
        assert ("base" if "base" in changes else next(iter(changes))) in str(error.value)
    with pytest.raises(UserError, match=r"is the search of .*first on .*; to go on with it: --resume"):
        searched(plan_of("random", storage=address), tmp_path / "third", monkeypatch)
    more = resumed(tmp_path / "first", "search.budget.trials=16")
    assert len(more.trials) == 16


@pytest.mark.parametrize("race", range(3))
def test_of_two_searches_that_make_one_study_at_once_one_is_told_whose_it_is(tmp_path, race):
    """In a storage that both share. Caught, when planted: a study loaded where it is there, and taken where nobody has
    said yet whose it is (both have it)."""
    plan = plan_of("random", storage=f"sqlite:///{tmp_path}/shared.db")
    optuna.create_study(storage=plan.search.storage, study_name="other")  # the tables are there
    start, outcomes = threading.Barrier(2), {}

    def claim(holder):
        start.wait()
        try:
            store = storage.Store(tmp_path, plan.search.storage, plan.name, plan.axes, plan.maximise)
            store.claim(plan.identity(), holder)
            outcomes[holder] = None
        except UserError as error:
            outcomes[holder] = str(error)

    both = [threading.Thread(target=claim, args=(holder,)) for holder in ("first on here", "second on there")]
    for one in both:
        one.start()
    for one in both:
        one.join()
    winner, loser = sorted(outcomes, key=lambda holder: outcomes[holder] is not None)
    assert outcomes[winner] is None
    assert f"is the search of {winner}; to go on with it: --resume" in outcomes[loser]


def test_a_storage_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"search.storage: nothing://x cannot be opened"):
        searched(plan_of("random", storage="nothing://x"), tmp_path / "s", monkeypatch)
    foreign = f"sqlite:///{tmp_path}/foreign.db"
    optuna.create_study(storage=foreign, study_name="tried", direction="maximize").add_trial(
        optuna.create_trial(value=1.0)
    )
    with pytest.raises(UserError, match=r"study tried was not made by pg_theano.search"):
        searched(plan_of("random", storage=foreign), tmp_path / "t", monkeypatch)


def test_what_a_resumed_search_may_not_change(tmp_path, monkeypatch):
    searched(plan_of("random", budget={"trials": 2}), tmp_path / "s", monkeypatch)
    with pytest.raises(UserError, match=r"search.batch=2: a resumed search keeps its config"):
        resumed(tmp_path / "s", "search.batch=2")
    (tmp_path / "s").rename(tmp_path / "elsewhere")
    assert len(resumed(tmp_path / "elsewhere", "search.budget.trials=3").trials) == 3
    with pytest.raises(UserError, match=r"no search in it \(no search.yaml\)"):
        resumed(tmp_path)


def test_no_damage_to_a_plan_is_searched_with(tmp_path, monkeypatch):
    """Caught, when planted: the plan not compared; a plan without its last line taken for an old one."""
    searched(plan_of("random", budget={"trials": 2}), tmp_path / "s", monkeypatch)
    path = tmp_path / "s" / "search.yaml"
    whole = path.read_bytes()
    for content in damages(whole, np.random.default_rng(0), cuts=20, flips=60):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"search\.yaml"):
            study.read_folder(tmp_path / "s")
    path.write_bytes(whole)
    assert study.read_folder(tmp_path / "s").search.budget.trials == 2
    facts = json.loads((tmp_path / "s" / "search.json").read_text())
    del facts["sealed"], facts["seal"]  # of before there was one
    (tmp_path / "s" / "search.json").write_text(json.dumps(facts))
    path.write_bytes(whole[: whole.rindex(b"# sha256")])
    assert study.read_folder(tmp_path / "s").search.budget.trials == 2


@pytest.mark.parametrize("address", [None, "sqlite"])
def test_optuna_reads_the_study_as_its_own(tmp_path, monkeypatch, address):
    """What optuna-dashboard shows: direction, parameters with their distributions, states, intermediate values."""
    address = address and f"sqlite:///{tmp_path}/study.db"
    plan = plan_of("tpe", pruning="median", storage=address)
    outcome = searched(plan, tmp_path / "s", monkeypatch)
    backend = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "s" / storage.JOURNAL)))
    found = optuna.load_study(study_name="tried", storage=address or backend)
    assert found.direction.name == "MAXIMIZE"
    assert found.best_trial.number == study.best(outcome.trials, True).number
    first = found.trials[0]
    assert first.distributions == {
        RATE: optuna.distributions.FloatDistribution(1e-3, 1.0, log=True),
        DISCOUNT: optuna.distributions.FloatDistribution(0.5, 1.0),
        HIDDEN: optuna.distributions.CategoricalDistribution(("[4]", "[8]")),
    }
    assert first.user_attrs["batch"] == 0
    assert all(one.datetime_complete for one in found.trials)
    assert {one.state.name for one in found.trials} == {"COMPLETE", "PRUNED", "FAIL"}


# -- real trials, real processes


def real(path, **search):
    return written(path, "random", REAL, **{"budget": {"trials": 6}, "batch": 3, **search})


def command(*arguments, cwd):
    done = forking.run(
        [sys.executable, "-m", "pg_theano.search", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done


def trials_in(folder):
    return plain(store_of(folder).trials())


@pytest.mark.slow
def test_two_workers_find_what_one_finds(elsewhere):
    """Caught, when planted: results taken in the order in which they came."""
    path = real(elsewhere / "s.yaml", seeds_per_trial=2)
    command(path, "--run-dir", "one", "--no-plot", cwd=elsewhere)
    command(path, "--run-dir", "two", "--no-plot", "search.workers=2", cwd=elsewhere)
    one, two = trials_in(elsewhere / "one"), trials_in(elsewhere / "two")
    assert one == two
    assert len({trial.score for trial in one}) > 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_killed_with_sigkill_goes_on(elsewhere, workers):
    """The process group, in the middle of its second batch; the trials are those of an undisturbed search."""
    path = real(elsewhere / "s.yaml", workers=workers)
    command(path, "--run-dir", "whole", "--no-plot", "search.workers=1", cwd=elsewhere)
    begun = forking.Popen(
        [sys.executable, "-m", "pg_theano.search", path, "--run-dir", "killed", "--no-plot"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=elsewhere, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (elsewhere / "killed" / "trials" / "00004" / "seed-0").exists():
        assert time.monotonic() < until and begun.poll() is None
        time.sleep(0.005)
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    assert any(trial.state == "running" for trial in trials_in(elsewhere / "killed"))
    command("--resume", "killed", "--no-plot", cwd=elsewhere)
    assert trials_in(elsewhere / "killed") == trials_in(elsewhere / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_search_that_goes_on(elsewhere, workers):
    """Exit code 130 and what to type; the trials in the end are those of an undisturbed search."""
    path = real(elsewhere / "s.yaml", workers=workers)
    command(path, "--run-dir", "whole", "--no-plot", "search.workers=1", cwd=elsewhere)
    begun = forking.Popen(
        [sys.executable, "-m", "pg_theano.search", path, "--run-dir", "stopped", "--no-plot"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=elsewhere, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (elsewhere / "stopped" / "trials" / "00004" / "seed-0").exists():
        assert time.monotonic() < until and begun.poll() is None
        time.sleep(0.005)
    os.killpg(begun.pid, signal.SIGINT)
    said, _ = begun.communicate(timeout=60)
    assert begun.returncode == 130, said
    assert "to go on: python -m pg_theano.search --resume stopped" in said
    command("--resume", "stopped", "--no-plot", cwd=elsewhere)
    assert trials_in(elsewhere / "stopped") == trials_in(elsewhere / "whole")


# -- rounds of several batches, for workers that need not wait for each other


class Lookers:
    """Three workers who look up a trial's result here, one after the other, from the last of a round to the first."""

    count = 3

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def map(self, function, tasks, *, told=lambda result: None):
        results = [function(task) for task in reversed(list(tasks))][::-1]
        for result in results:
            told(result)
        return results


@pytest.mark.parametrize("method", ["random", "grid", "cho"])
def test_several_batches_at_once_give_what_one_after_the_other_does(method, tmp_path, monkeypatch):
    """Told batch by batch. Caught, when planted: all trials of a round in one batch; a round told in the order in which
    its trials ended; CHO, which learns from a batch, asked for several."""
    plan = plan_of(method, budget={"trials": 30})
    alone = searched(plan, tmp_path / "alone", monkeypatch)
    monkeypatch.setattr(study.distribute, "opened", lambda **words: Lookers())
    seen, done = [], []
    beside = study.new(
        plan, tmp_path / "beside", lambda plan, found, seconds: seen.append(len(found)), lambda text: done.append(text)
    )
    assert plain(beside.trials) == plain(alone.trials)
    asked_for = 4 if method == "cho" else len(alone.trials)
    assert max(b - a for a, b in itertools.pairwise([0, *seen])) == asked_for
    assert len(seen) >= len(alone.trials) // 4  # shown after each batch


def test_a_round_stops_at_its_first_batch_that_failed(tmp_path, monkeypatch):
    """Caught, when planted: the last batch of the round looked at, which is not told yet."""
    monkeypatch.setattr(study.distribute, "opened", lambda **words: Lookers())
    with pytest.raises(UserError, match=r"the last 8 trials failed; the first: the disk is full"):
        searched(plan_of("random", budget={"trials": 40}), tmp_path / "s", monkeypatch, all_fail)
    states = [one.state for one in store_of(tmp_path / "s").trials()]
    assert states == ["failed"] * 8 + ["running"] * 32


def test_a_round_that_was_stopped_goes_on_as_if_it_never_had_been(tmp_path, monkeypatch):
    """By one worker or by several. Caught, when planted: only the last batch of an open round gone on with; that batch
    filled up to a round."""
    plan = plan_of("random", budget={"trials": 60})
    alone = searched(plan, tmp_path / "alone", monkeypatch)

    class Stopped(Lookers):
        def map(self, function, tasks, *, told):
            def take(part):
                if part[0]["number"] == 10:
                    raise KeyboardInterrupt
                told(part)

            return super().map(function, tasks, told=take)

    with monkeypatch.context() as here:
        here.setattr(study.distribute, "opened", lambda **words: Stopped())
        outcome = searched(plan, tmp_path / "s", here)
    assert outcome.status == "interrupted"
    assert sum(one.state == "running" for one in outcome.trials) == 40
    shutil.copytree(tmp_path / "s", tmp_path / "other")
    assert plain(resumed(tmp_path / "s").trials) == plain(alone.trials)
    monkeypatch.setattr(study.distribute, "opened", lambda **words: Lookers())
    assert plain(resumed(tmp_path / "other").trials) == plain(alone.trials)
