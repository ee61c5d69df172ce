"""The folder of a search from a stranger: reading it writes nothing, and no link in it is followed."""

import json
import os
import re
import shutil

import pytest
from helpers_search import plan_of, pretended, resumed, searched

from pg_theano.reports.pages import searched as page
from pg_theano.search import journal, plan, storage, study, trials
from pg_theano.system import importing, locks, seals
from pg_theano.types import UserError

HALF = b'{"op_code":2,"worker_id":"ssh-ed25519 AAAA'


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a finished search."""
    folder = tmp_path_factory.mktemp("search") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        searched(plan_of("random", budget={"trials": 4}), folder, patch)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "stranger")


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_link(folder, tmp_path):
    """What the journal's `cut` leads to, which mending its last line would write."""
    victim = tmp_path / "authorized_keys"
    victim.write_bytes(b"precious")
    (folder / "study.journal.cut").symlink_to(victim)
    with open(folder / "study.journal", "ab") as file:
        file.write(HALF)
    return victim


def test_a_report_of_a_search_writes_nothing(folder, tmp_path):
    """`study.journal.cut -> victim` had what the stranger chose appended. Caught, when planted: mended by a report."""
    with_link(folder, tmp_path)
    before = everything(tmp_path)
    assert "Search tried" in page.section(folder)
    assert everything(tmp_path) == before


def test_a_resume_mends_through_no_link(folder, tmp_path):
    """Caught, when planted: `study.journal.cut` opened by `open`."""
    victim = with_link(folder, tmp_path)
    with pytest.raises(UserError, match=r"study\.journal\.cut: is a link"):
        resumed(folder)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["trials", "trials/00004", "trials/00004/seed-0"])
def test_no_trial_is_run_behind_a_link(name, folder, tmp_path, monkeypatch):
    """Caught, when planted: the path of a trial resolved before it is looked at."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(elsewhere)
    monkeypatch.setattr(trials, "_figures", lambda config, path, *rest: path.mkdir(parents=True))
    try:
        found = resumed(folder, "search.budget.trials=5").trials[4].facts["reason"]
    except UserError as error:
        found = str(error)
    assert "is a link" in found
    assert list(elsewhere.iterdir()) == []


def test_a_pipe_named_lock_is_waited_for_by_nobody(tmp_path):
    """Caught, when planted: `open` in `holder_of`, which waits for ever."""
    os.mkfifo(tmp_path / "lock")
    assert locks.holder_of(tmp_path) is None
    with pytest.raises(UserError, match="not a regular file"):
        locks.locked(tmp_path)


def named(folder, address):
    """The search of a folder, whose author named that storage."""
    text = re.sub("(?m)storage: .*$", f"storage: {address}", plan.written(study.read_folder(folder)))
    seals.write_text(folder / "search.yaml", text.encode())


def test_a_storage_that_a_file_names_is_read_where_it_is_and_never_made(folder, tmp_path, monkeypatch):
    """A report made that file. Caught, when planted: `Store` in place of `storage.read`; a database not read-only."""
    made = tmp_path / "made.db"
    named(folder, f"sqlite:///{made}")
    with pytest.raises(UserError, match="no such file"):
        page.section(folder)
    assert not made.exists()
    named(folder, "postgresql://nobody@127.0.0.1:9/x")
    with importing.consenting(no_user_code=True), pytest.raises(UserError, match="a file with --no-user-code"):
        page.section(folder)
    searched(plan_of("random", budget={"trials": 4}, storage=f"sqlite:///{made}"), tmp_path / "other", monkeypatch)
    before = made.read_bytes()
    assert "Search tried" in page.section(tmp_path / "other")
    assert made.read_bytes() == before


# -- journals


def changed(operation, which=0, **fields):
    """The lines of a journal in which one of an operation has other fields; None takes a field out."""

    def change(lines):
        number = [i for i, line in enumerate(lines) if json.loads(line)["op_code"] == operation][which]
        line = json.loads(lines[number]) | fields
        lines[number] = json.dumps({name: value for name, value in line.items() if value is not None}).encode()
        return lines

    return change


STUDY, ATTRIBUTE, TRIAL, STATE, FACTS = 0, 2, 4, 6, 8  # operations of Optuna's
JOURNALS = {
    "deep": changed(ATTRIBUTE, 0, user_attr={"holder": json.loads("[" * 500 + "]" * 500)}),
    "an identity that is no JSON": changed(ATTRIBUTE, 1, user_attr={"identity": "{"}),
    "an identity that is a number": changed(ATTRIBUTE, 1, user_attr={"identity": "3"}),
    "an identity that is no text": changed(ATTRIBUTE, 1, user_attr={"identity": 3}),
    "no parameters": changed(TRIAL, params=None),
    "no distributions": changed(TRIAL, distributions=None),
    "a number as parameters": changed(TRIAL, params=3),
    "a number as distributions": changed(TRIAL, distributions=3),
    "text as parameters": changed(TRIAL, params={"algorithm.discount": "x"}),
    "a number as facts": changed(TRIAL, user_attrs=3),
    "no facts": changed(TRIAL, user_attrs={}),
    "text as seeds": changed(TRIAL, user_attrs={"batch": 0, "seeds": "x"}),
    "text as seconds": changed(FACTS, user_attr={"result": {"seconds": "x"}}),
    "a number as a result": changed(FACTS, user_attr={"result": 3}),
    "no such state": changed(STATE, state=77),
    "text as a score": changed(STATE, values=["x"]),
    "a number as scores": changed(STATE, values=3),
    "no score": changed(STATE, values=[float("nan")]),
    "a trial of no study": changed(TRIAL, study_id=[]),
    "a study without a name": changed(STUDY, study_name=3),
    "no direction": changed(STUDY, directions=3),
    "no numbers, but an object": changed(FACTS, trial_id={}),
}


@pytest.mark.parametrize("name", JOURNALS)
def test_a_journal_of_other_things_is_one_line(name, folder, monkeypatch):
    """Of fifteen, seven were tracebacks. Caught, when planted: an identity not looked at, facts not held to types."""
    monkeypatch.setattr(trials, "evaluate", pretended)
    path = folder / storage.JOURNAL
    path.write_bytes(b"\n".join(JOURNALS[name](path.read_bytes().splitlines())) + b"\n")
    problems = []
    for read in (page.section, lambda folder: resumed(folder, "search.budget.trials=5")):
        try:
            read(folder)
        except UserError as error:
            problems.append(str(error))
    assert problems or name == "deep"  # it is cut off there, and the trials are run again
    assert all("\n" not in problem and len(problem) < 600 for problem in problems)


def test_who_only_reads_a_journal_appends_nothing(folder):
    with pytest.raises(UserError, match="read only"):
        journal.Read(folder / storage.JOURNAL).append_logs([{}])
