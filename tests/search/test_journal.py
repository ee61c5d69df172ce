"""The journal: cut anywhere, damaged anywhere, locked by the living and the dead, and still the same search."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

import optuna
import pytest
from helpers_search import plain, plan_of, resumed, searched
from optuna.storages.journal import JournalFileBackend

from pg_theano.search import journal, storage, study
from pg_theano.types import UserError

OPERATION = b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"note":"by another"}}\n'


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """(the trials of an undisturbed search, its folder); it stays patched to train nothing."""
    outcome = searched(plan_of("random", budget={"trials": 10}), tmp_path / "whole", monkeypatch)
    return plain(outcome.trials), tmp_path / "whole"


def copied(whole, name, content):
    folder = whole.parent / name
    shutil.copytree(whole, folder)
    (folder / storage.JOURNAL).write_bytes(content)
    return folder


def said_by(folder):
    """(the trials of a resumed search, what it said)."""
    said = []
    return plain(study.resume(folder, (), lambda *_: None, said.append).trials), said


def read_by_optuna(folder):
    backend = optuna.storages.JournalStorage(JournalFileBackend(str(folder / storage.JOURNAL)))
    return optuna.load_study(study_name="tried", storage=backend)


@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_a_journal_cut_at_any_byte_of_its_last_record_goes_on_to_the_same_trials(whole, every):
    """And Optuna opens it. Caught, when planted: the next record appended to half a line."""
    trials, folder = whole
    content = (folder / storage.JOURNAL).read_bytes()
    start = content.rfind(b"\n", 0, -1) + 1
    for size in [*range(start, len(content), every), len(content) - 1]:
        cut = copied(folder, "cut", content[:size])
        found, said = said_by(cut)
        assert found == trials, size
        assert any("half a line of a process that was killed: cut off" in line for line in said) == (size > start)
        assert len(read_by_optuna(cut).trials) == len(trials)
        shutil.rmtree(cut)


@pytest.mark.parametrize("kind", ["noise", "nul", "line", "json", "nested", "middle", "glued", "all"])
def test_a_journal_with_garbage_in_it_goes_on_to_the_same_trials(whole, kind):
    """What is cut off is kept beside it. Caught, when planted: only the last line looked at; JSON that is no operation
    taken for one; the line that follows half a line cut with it."""
    trials, folder = whole
    lines = (folder / storage.JOURNAL).read_bytes().splitlines(keepends=True)
    half, noise = len(lines) // 2, random.Random(0).randbytes(300)
    content, kept = {
        "noise": (lines + [noise], len(lines)),
        "nul": (lines + [bytes(4096)], len(lines)),
        "line": (lines + [b"\xff\xfe\n", b"x\n"], len(lines)),
        "json": (lines + [b"null\n"], len(lines)),
        "nested": (lines + [b"[" * 100_000 + b"\n"], len(lines)),
        "middle": ([*lines[:half], noise + b"\n", *lines[half:]], half),
        "glued": ([*lines[:half], lines[half][:40] + OPERATION, *lines[half:]], len(lines) + 1),
        "all": ([noise], 0),
    }[kind]
    damaged = copied(folder, kind, b"".join(content))
    found, said = said_by(damaged)
    assert found == trials
    assert f"{storage.JOURNAL}:{kept + 1 if kind != 'glued' else half + 1}: " in said[0]
    assert (damaged / f"{storage.JOURNAL}.cut").stat().st_size > 0
    assert len(read_by_optuna(damaged).trials) == len(trials)
    if kind == "glued":
        assert read_by_optuna(damaged).user_attrs["note"] == "by another"


def test_optuna_itself_never_reads_a_journal_again_to_which_it_appended_after_half_a_line(whole):
    """The reason for all this; here it is read, and nothing but the half is gone."""
    _, folder = whole
    path = folder / storage.JOURNAL
    content = path.read_bytes()
    path.write_bytes(content + content[:40])
    read_by_optuna(folder).set_user_attr("note", "appended to half a line")
    with pytest.raises(ValueError, match=r".*"):
        read_by_optuna(folder).set_user_attr("note", "again")
    with pytest.raises(ValueError, match=r".*"):
        read_by_optuna(folder)
    said_by(folder)
    assert read_by_optuna(folder).user_attrs["note"] == "again"


def test_trials_whose_journal_is_gone_are_said_to_be_run_again(whole):
    """Caught, when planted: "0 trials kept" alone, over their folders."""
    trials, folder = whole
    gone = copied(folder, "gone", b"\x00\x01")
    for number in range(3):
        (gone / "trials" / f"{number:05}").mkdir(parents=True, exist_ok=True)
    found, said = said_by(gone)
    assert found == trials
    assert any("0 trials kept; warning: " in line and "have a folder and no record" in line for line in said)


def test_half_a_line_of_another_process_is_mended_before_our_next_one(tmp_path, monkeypatch, whole):
    """While the search goes on. Caught, when planted: mended as it is opened, and never after."""
    trials, _ = whole
    real, count = journal.append, iter(range(10**6))

    def append(path, logs, say):
        if next(count) % 5 == 4:
            with open(path, "ab") as file:
                file.write(OPERATION[:50])
        real(path, logs, say)

    monkeypatch.setattr(journal, "append", append)
    plan = plan_of("random", budget={"trials": 10})
    assert plain(searched(plan, tmp_path / "s", monkeypatch).trials) == trials
    assert len(read_by_optuna(tmp_path / "s").trials) == 10


SLOW_WRITER = """
import sys, time
from optuna.storages.journal import JournalFileSymlinkLock
path, line, end = sys.argv[1], sys.argv[2].encode(), sys.argv[3]
lock = JournalFileSymlinkLock(path)
lock.acquire()
with open(path, "ab") as file:
    file.write(line[:30])
    file.flush()
    print("half", flush=True)
    if end == "killed":
        import os; os.kill(os.getpid(), 9)
    time.sleep(60 if end == "never" else 0.5)
    file.write(line[30:] + b"\\n")
lock.release()
"""


def writer(folder, end):
    path = str(folder / storage.JOURNAL)
    made = subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITER, path, OPERATION.decode().strip(), end], stdout=subprocess.PIPE, text=True
    )
    assert made.stdout.readline() == "half\n"
    return made


def test_what_another_process_is_appending_is_waited_for(whole):
    """Caught, when planted: its lock taken away; the half of its line that is there cut off."""
    trials, folder = whole
    with writer(folder, "soon") as other:
        found, said = said_by(folder)
        assert other.wait(timeout=30) == 0
    assert found == trials
    assert len(said) == 1
    assert read_by_optuna(folder).user_attrs["note"] == "by another"


def test_the_lock_of_a_killed_process_of_optuna_is_taken_away_after_a_while_and_said(whole, monkeypatch):
    """With the half line that it left. Caught, when planted: waited for without an end."""
    trials, folder = whole
    monkeypatch.setattr(journal, "PATIENCE", 0.3)
    writer(folder, "killed").wait(timeout=30)
    assert journal.lock_of(folder / storage.JOURNAL).is_symlink()
    found, said = said_by(folder)
    assert found == trials
    assert "left since 20" in said[0]
    assert "by a process that is gone: removed after 0.3 s" in said[0]
    assert "cut off" in said[1]
    assert not journal.lock_of(folder / storage.JOURNAL).is_symlink()


def test_a_process_that_holds_the_lock_for_ever_is_named(whole, monkeypatch):
    """Caught, when planted: its lock taken away, for it is old."""
    _, folder = whole
    monkeypatch.setattr(journal, "PATIENCE", 0.3)
    with writer(folder, "never") as other:
        try:
            with pytest.raises(UserError, match=rf"held by process {other.pid} \(.*\) since 20.* stop that process"):
                resumed(folder)
            assert journal.lock_of(folder / storage.JOURNAL).is_symlink()
        finally:
            other.kill()


def test_a_lock_that_our_own_killed_process_left_is_not_waited_for(whole):
    """Caught, when planted: our link not told from one of Optuna's."""
    trials, folder = whole
    os.symlink(journal.RUN_LOCK, journal.lock_of(folder / storage.JOURNAL))
    began = time.monotonic()
    assert said_by(folder)[0] == trials
    assert time.monotonic() - began < journal.PATIENCE
    (folder / journal.RUN_LOCK).write_text("process 1 on elsewhere\n")  # of a killed one that nobody holds any more
    os.symlink(journal.RUN_LOCK, journal.lock_of(folder / storage.JOURNAL))
    plan = study.read_folder(folder)
    assert len(storage.Store(folder, None, plan.name, plan.axes, plan.maximise).trials()) == len(trials)


def test_records_are_optunas_own(whole):
    """Each line ends with a newline, is JSON, and has what an operation of Optuna has."""
    _, folder = whole
    lines = (folder / storage.JOURNAL).read_bytes().splitlines(keepends=True)
    assert all(journal.is_operation(line) for line in lines)
    assert sum(json.loads(line)["op_code"] == 4 for line in lines) == 10
