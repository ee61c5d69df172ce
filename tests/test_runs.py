"""Run folders: what stands in them, who may write, and that a resumed run equals the one that was never stopped."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import helpers_forking as forking
import pytest
import yaml
from helpers_runs import (
    as_arguments,
    assert_equal_runs,
    assert_equal_states,
    command,
    ran,
    records,
    result,
    resumed,
    small,
)

from pg_theano import train
from pg_theano.config import reading
from pg_theano.runs import checkpoints, places
from pg_theano.runs import folder as runs
from pg_theano.system import locks
from pg_theano.training import begun, judging, looking, saving
from pg_theano.training.display import Quiet
from pg_theano.training.playing import collecting
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

EACH = {"checkpoint": {"every_updates": 1}}
ENGINES = [small(**EACH), {"budget": {"updates": 2}, "evaluation": {"episodes": 8, "every_updates": 1}, **EACH}]
pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Six updates, never stopped."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    ran(small(**EACH), folder)
    return folder


# -- the contract of the folder


def test_the_run_folder_holds_what_the_readme_promises(straight):
    """Caught, when planted: a key left out of result.json; the first evaluation reported in place of the second."""
    assert {path.name for path in straight.iterdir()} >= {"config.yaml", "metrics.jsonl", "checkpoints", "result.json"}
    figures = result(straight)
    assert {
        "status",
        "stop_reason",
        "updates",
        "env_steps",
        "steps_per_second",
        "seconds",
        "evaluation",
        "versions",
        "seed",
    } <= (figures.keys())
    parts = {"import", "compile", "collect", "update", "evaluate", "plot", "total"}
    assert parts <= figures["seconds"].keys()
    assert all(figures["seconds"][part] >= 0 for part in parts)
    assert figures["seconds"].keys() >= parts
    assert set(figures["evaluation"]) == {"mean", "std", "min", "max", "n"}
    assert figures["evaluation"]["n"] == 5
    assert {"python", "numpy", "gymnasium", "jax", "pytensor"} <= figures["versions"].keys()
    assert (figures["status"], figures["updates"], figures["seed"]) == ("budget", 6, 0)
    assert figures["steps_per_second"] > 0


def test_there_is_one_record_an_update(straight):
    found = records(straight)
    assert [record["update"] for record in found] == list(range(6))
    assert found[-1]["env_steps"] == result(straight)["env_steps"] == sum(r["length_mean"] * 4 for r in found)
    assert all(set(found[0]) <= set(record) for record in found)
    assert [("evaluation_mean" in record) for record in found] == [False, True] * 3
    assert {"learning_rate", "exploration_rate", "episodes_per_update", "cost", "return_mean"} <= found[0].keys()
    seconds = [json.loads(line)["seconds"] for line in (straight / "metrics.jsonl").read_text().splitlines()]
    assert seconds == sorted(seconds)


def test_the_config_in_the_folder_is_the_whole_config(straight):
    assert reading.read_config(straight / "config.yaml") == reading.from_dict(small(**EACH))
    assert yaml.safe_load((straight / "config.yaml").read_text())["algorithm"]["discount"] == 0.99


@pytest.mark.slow
def test_the_same_config_and_seed_give_the_same_run(straight, tmp_path):
    ran(small(**EACH), tmp_path / "again")
    assert_equal_runs(straight, tmp_path / "again")
    ran(small(**EACH, seed=1), tmp_path / "other")
    assert records(straight) != records(tmp_path / "other")


@pytest.mark.slow
@pytest.mark.parametrize("base", ENGINES, ids=["gymnasium", "default"])
def test_evaluating_changes_nothing_in_the_training(base, tmp_path):
    """Often or never, 3 episodes or 40, sampled or not."""
    variants = [(1, 3, True), (2, 40, False), (1000, 3, False)]
    for number, (every, episodes, sampled) in enumerate(variants):
        evaluation = {"episodes": episodes, "every_updates": every, "sampled": sampled}
        ran({**base, "evaluation": evaluation, "solved": {"stop": False}}, tmp_path / str(number))
    states = [checkpoints.newest(tmp_path / str(number) / "checkpoints").state for number in range(3)]
    learned = [records(tmp_path / str(number), without=["evaluation"]) for number in range(3)]
    assert learned[0] == learned[1] == learned[2]
    assert_equal_states(states[0], states[1])
    assert_equal_states(states[0], states[2])


def test_several_runs_have_a_folder_each_and_a_summary(tmp_path):
    """Caught, when planted: the same seed twice."""
    done = ran(small(runs=2, seed=5, budget={"updates": 2}), tmp_path / "many")
    assert {path.name for path in (tmp_path / "many").iterdir()} == {
        "seed-5",
        "seed-6",
        "seeds.yaml",
        "run.json",
        "summary.json",
        "lock",
    }
    summary = json.loads((tmp_path / "many" / "summary.json").read_text())
    assert summary == done.figures
    assert summary["seeds"] == [5, 6]
    ran(small(seed=6, budget={"updates": 2}), tmp_path / "alone")
    assert_equal_runs(tmp_path / "many" / "seed-6", tmp_path / "alone")
    means = [result(tmp_path / "many" / f"seed-{seed}")["evaluation"]["mean"] for seed in (5, 6)]
    assert summary["evaluation"]["mean"] == sum(means) / 2
    with pytest.raises(UserError, match=r"expected one of the runs in it; try .*seed-5"):
        runs.read_run(tmp_path / "many")


@pytest.mark.slow
def test_an_interrupted_set_of_seeds_goes_on_where_it_was(tmp_path):
    """One seed finished, one begun, one not yet: the summary is that of the set which was never interrupted.

    Caught, when planted: a finished seed run again, one that was not yet begun left out.
    """
    whole = ran(small(runs=3, seed=5, budget={"updates": 4}), tmp_path / "whole")
    ran(small(runs=3, seed=5, budget={"updates": 4}, checkpoint={"every_updates": 2}), tmp_path / "many")
    shutil.rmtree(tmp_path / "many" / "seed-7")
    for name in ("result.json", "checkpoints/update-00000004.npz", "checkpoints/update-00000004.json"):
        (tmp_path / "many" / "seed-6" / name).unlink()
    before = (tmp_path / "many" / "seed-5" / "result.json").stat().st_mtime_ns
    again = resumed(tmp_path / "many")
    assert (tmp_path / "many" / "seed-5" / "result.json").stat().st_mtime_ns == before
    for key in ("seeds", "evaluation", "env_steps", "runs"):
        assert again.figures[key] == whole.figures[key]


# -- solved


def test_solved_is_confirmed_on_fresh_seeds_and_the_second_evaluation_is_reported(tmp_path):
    """A threshold that is always met. Caught, when planted: the confirmation plays the seeds of the first."""
    done = ran(small(solved={"threshold": -1.0}), tmp_path / "run")
    assert (done.figures["status"], done.figures["updates"]) == ("solved", 2)
    first = records(tmp_path / "run")[-1]
    assert done.figures["evaluation"]["mean"] != first["evaluation_mean"]
    assert done.figures["threshold"] == -1.0
    with pytest.raises(UserError, match=r"finished .solved after 2 updates.*solved.stop=false"):
        resumed(tmp_path / "run")
    assert resumed(tmp_path / "run", "solved.stop=false").figures["status"] == "budget"


# -- resume


@pytest.mark.parametrize("base", ENGINES, ids=["gymnasium", "default"])
def test_a_raised_budget_goes_on_as_if_never_stopped(base, tmp_path):
    """Caught, when planted: the optimiser's state left out, generators begun anew, a record lost or doubled."""
    updates = base["budget"]["updates"]
    ran(base, tmp_path / "straight")
    ran({**base, "budget": {"updates": updates // 2}}, tmp_path / "run")
    with pytest.raises(UserError, match=rf"finished \(budget.updates = {updates // 2} is spent\).*try budget.updates="):
        resumed(tmp_path / "run")
    resumed(tmp_path / "run", f"budget.updates={updates}")
    assert_equal_runs(tmp_path / "straight", tmp_path / "run")


def test_what_a_resumed_run_was_given_is_in_its_config(tmp_path):
    """A raised budget outlives the next interruption. Caught, when planted: the old config.yaml left in place."""
    ran(small(budget={"updates": 2}), tmp_path / "run")
    resumed(tmp_path / "run", "budget.updates=4")
    assert reading.read_config(tmp_path / "run" / "config.yaml").budget.updates == 4


STOPS = {  # where Ctrl-C strikes: (object, method, on which call)
    "while collecting": (collecting.WholeEpisodes, "generator", 8),
    "after the update, before it is counted": (looking, "check_finite", 4),
    "while evaluating": (judging.Judge, "evaluation", 2),
    "after the evaluation, before the record": (runs.RunFolder, "record", 4),
    "after the record": (Quiet, "update", 4),
    "before the checkpoint": (saving.Saver, "save_when_due", 4),
    "in the checkpoint": (checkpoints, "prune", 3),
}


@pytest.mark.parametrize("where", STOPS)
@pytest.mark.parametrize("every", [1, None])
def test_ctrl_c_anywhere_and_resumed_equals_never_stopped(where, every, straight, tmp_path, monkeypatch):
    """Caught, when planted: counters of one update saved with the State of another; a record lost, or written twice."""
    owner, method, call = STOPS[where]
    original, calls = getattr(owner, method), []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(owner, method, interrupted)
    if where == "in the checkpoint" and every is None:
        pytest.skip("there is no checkpoint")
    done = ran(small(checkpoint={"every_updates": every}), tmp_path / "run")
    assert done.figures["status"] == result(tmp_path / "run")["status"] == "interrupted"
    assert len(records(tmp_path / "run")) == done.figures["updates"]
    monkeypatch.undo()
    os.chdir(tmp_path)
    resumed(tmp_path / "run")
    assert_equal_runs(straight, tmp_path / "run")


@pytest.mark.parametrize("where", ["before the first checkpoint", "between the last checkpoint and the result"])
def test_a_run_killed_at_either_end_is_resumed_and_equal(where, straight, tmp_path, monkeypatch):
    """Caught, when planted: 'no checkpoint in it'; 'finished' without a result."""
    owner, method = (saving, "begin") if where.startswith("before") else (saving.Saver, "finish")
    monkeypatch.setattr(owner, method, lambda *_, **__: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        ran(small(**EACH), tmp_path / "run")
    monkeypatch.undo()
    os.chdir(tmp_path)
    resumed(tmp_path / "run")
    assert_equal_runs(straight, tmp_path / "run")


def test_a_run_killed_after_it_was_solved_is_still_solved_at_that_update(tmp_path, monkeypatch):
    """Caught, when planted: the resumed run trains on to the next evaluation."""
    solved = small(solved={"threshold": -1.0})
    ran(solved, tmp_path / "straight")
    monkeypatch.setattr(runs.RunFolder, "finish", lambda *_: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        ran(solved, tmp_path / "run")
    monkeypatch.undo()
    os.chdir(tmp_path)
    assert resumed(tmp_path / "run").figures["updates"] == 2
    assert_equal_runs(tmp_path / "straight", tmp_path / "run")


def test_a_damaged_newest_checkpoint_costs_a_warning_and_changes_nothing(straight, tmp_path, capsys):
    """The one before is taken."""
    ran(small(**EACH, budget={"updates": 4}), tmp_path / "run")
    newest = max((tmp_path / "run" / "checkpoints").glob("update-*.npz"))
    newest.write_bytes(newest.read_bytes()[:-9])
    resumed(tmp_path / "run", "budget.updates=6")
    assert f"warning: {newest}: damaged checkpoint" in capsys.readouterr().err
    assert_equal_runs(straight, tmp_path / "run")


def test_the_best_checkpoint_of_the_one_before_is_kept_with_it(tmp_path, capsys):
    """The newest checkpoint, written with a better best, is damaged. Caught, when planted: one best kept."""
    often = small(**EACH, evaluation={"every_updates": 1}, budget={"updates": 12})
    ran(often, tmp_path / "straight")
    means = [record["evaluation_mean"] for record in records(tmp_path / "straight")]
    better = next(number for number in range(2, 13) if means[number - 1] > max(means[: number - 1]))
    ran({**often, "budget": {"updates": better}}, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / f"update-{better:08}.npz").write_bytes(b"")
    assert train.main(["--resume", "run", "budget.updates=12", "--no-plot"]) == 0
    out, err = capsys.readouterr()
    assert "sought anew" not in out
    assert "damaged checkpoint" in err
    assert_equal_runs(tmp_path / "straight", tmp_path / "run")


def test_every_update_plays_episodes_of_its_own(straight):
    """Caught, when planted: one generator's seeds again at each update."""
    assert len({record["length_mean"] for record in records(straight)}) > 3


def test_another_architecture_is_refused(tmp_path):
    ran(small(budget={"updates": 1}), tmp_path / "run")
    text = (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "config.yaml").write_text(re.sub(r"hidden:\n\s+- 4", "hidden: [6]", text))
    with pytest.raises(UserError, match=r"config.yaml: not as the run wrote it .*--force"):
        resumed(tmp_path / "run", "budget.updates=2")
    with pytest.raises(UserError, match=r"another architecture .*params: got .31,., expected .45,."):
        resumed(tmp_path / "run", "budget.updates=2", force=True)


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_metrics_that_are_gone_are_not_made_up(damage, tmp_path):
    """Caught, when planted: the file is lengthened with zeros."""
    ran(small(budget={"updates": 2}), tmp_path / "run")
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.unlink() if damage == "missing" else metrics.write_bytes(metrics.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"metrics.jsonl: missing or cut short"):
        resumed(tmp_path / "run", "budget.updates=4")


@pytest.mark.parametrize("override", ["algorithm.discount=0.5", "seed=3", "environment.num_envs=2"])
def test_a_resumed_run_keeps_its_config(override, straight):
    with pytest.raises(UserError, match=r"a resumed run keeps its config"):
        resumed(straight, override)


def test_a_run_that_ended_and_whose_checkpoints_are_gone_does_not_begin_anew(straight, tmp_path):
    """Caught, when planted: update 1 again, over its records."""
    folder = tmp_path / "gone"
    shutil.copytree(straight, folder)
    for path in (folder / "checkpoints").glob("update-*"):
        path.unlink()
    before = (folder / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"checkpoints: no checkpoint in it, though the run ended after"):
        resumed(folder, "budget.updates=50")
    assert (folder / "metrics.jsonl").read_bytes() == before


# -- two runs never write into the same folder


def test_default_folders_are_numbered(tmp_path):
    assert [places.new_folder("same").as_posix() for _ in range(3)] == ["runs/same", "runs/same-2", "runs/same-3"]


def test_a_named_folder_must_be_new_or_empty(tmp_path):
    """Caught, when planted: an occupied folder is taken."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(UserError, match=r"full: not empty; expected a new folder; try another, or --resume"):
        ran(small(), tmp_path / "full")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: cannot be made"):
        ran(small(), tmp_path / "file")
    assert places.exact_folder(tmp_path / "a" / "b").is_dir()


def test_a_live_run_is_refused_by_process_and_host(straight):
    """Caught, when planted: no lock. The lock is gone with its holder."""
    held = runs.RunFolder(straight)
    try:
        for attempt in (lambda: resumed(straight, "budget.updates=9"), lambda: runs.RunFolder(straight)):
            with pytest.raises(
                UserError, match=rf"in use by process {os.getpid()} on {re.escape(socket.gethostname())}"
            ):
                attempt()
    finally:
        held.close()
    runs.RunFolder(straight).close()


def test_whoever_takes_a_lock_is_named_though_another_name_still_stands_in_it(straight, tmp_path):
    """The one before was killed, and left its name; the one now has not written its own yet.

    Caught, when planted: the name of the dead one.
    """
    import threading

    folder = tmp_path / "run"
    shutil.copytree(straight, folder)
    held = locks.locked(folder)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = os.pread(held, 100, 0)
    for before in (b"", f"process {dead.pid} on {socket.gethostname()}\n".encode()):
        os.ftruncate(held, 0)
        os.pwrite(held, before, 0)
        writes = threading.Timer(0.2, lambda: (os.ftruncate(held, 0), os.pwrite(held, mine, 0)))
        writes.start()
        with pytest.raises(UserError, match=rf"in use by process {os.getpid()} on "):
            runs.RunFolder(folder)
        writes.join()
    locks.unlocked(held)
    assert (folder / "lock").read_bytes() == b""


def test_who_comes_late_to_a_new_folder_does_not_write_over_the_run_that_is_in_it(tmp_path, monkeypatch):
    """Both found it empty; the other was done before this one had its lock. Caught, when planted: no second look."""
    original = places.exact_folder

    def late(path):
        found = original(path)
        monkeypatch.setattr(places, "exact_folder", original)
        ran(small(budget={"updates": 1}), path)
        return found

    monkeypatch.setattr(places, "exact_folder", late)
    with pytest.raises(UserError, match=r"not empty: another process has just trained in it"):
        ran(small(budget={"updates": 2}), tmp_path / "run")
    assert result(tmp_path / "run")["updates"] == 1


def test_a_folder_in_which_nothing_began_can_be_taken_again(tmp_path, monkeypatch):
    """Stopped before there was a config. Caught, when planted: its lock makes it occupied."""
    monkeypatch.setattr(begun, "setting_of", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        ran(small(), tmp_path / "run")
    monkeypatch.undo()
    os.chdir(tmp_path)
    assert ran(small(budget={"updates": 1}), tmp_path / "run").figures["updates"] == 1


def test_who_comes_second_takes_nothing_away_from_who_is_about_to_begin(tmp_path):
    """The first has its lock, and no config yet. Caught, when planted: its lock and what it has written are removed."""
    (tmp_path / "run").mkdir()
    held = runs.RunFolder(tmp_path / "run")
    (tmp_path / "run" / ".run.json-x.tmp").write_text("half")
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    with pytest.raises(UserError, match=rf"in use by process {os.getpid()}"):
        ran(small(), tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before
    held.close()


def test_the_set_of_seeds_has_one_writer(tmp_path):
    """Caught, when planted: only the runs in it are locked."""
    ran(small(runs=2, budget={"updates": 1}), tmp_path / "many")
    held = locks.locked(tmp_path / "many")
    with pytest.raises(UserError, match=rf"many: in use by process {os.getpid()}"):
        resumed(tmp_path / "many")
    locks.unlocked(held)


def test_a_checkpoint_that_is_on_the_disk_is_not_taken_away_to_be_written_again(tmp_path, monkeypatch):
    """Every update, and once more at the end. Caught, when planted: the last is taken apart by `finish`."""
    written = []
    original = checkpoints.save
    monkeypatch.setattr(
        checkpoints, "save", lambda folder, name, *rest: written.append(name) or original(folder, name, *rest)
    )
    ran(small(**EACH), tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    resumed(tmp_path / "run")
    assert len(set(written)) == len(written)


# -- processes


def started(*arguments):
    return forking.Popen(
        [sys.executable, "-m", "pg_theano.train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_record(folder, number, process):
    path = folder / "checkpoints" / f"update-{number:08}.json"
    for _ in range(3000):
        if (
            any((folder / "checkpoints").glob("update-*"))
            and max((folder / "checkpoints").glob("update-*.npz"), default=path) >= path
        ):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise TimeoutError


SLOW = small(environment={"id": "probe_environments:Slow-v0"}, budget={"updates": 12}, **EACH)


@pytest.mark.slow
def test_ctrl_c_is_130_and_says_how_to_resume(tmp_path):
    """One process, one signal, one resume. Caught, when planted: exit code 0; no result.json."""
    process = started(*as_arguments(SLOW), "--run-dir", "run", "--no-plot")
    wait_for_record(tmp_path / "run", 2, process)
    refused = command("train", "--resume", "run", "--no-plot")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "python -m pg_theano.train --resume run" in out
    assert err == ""
    assert result(tmp_path / "run")["status"] == "interrupted"
    assert refused[0] == 2
    assert re.fullmatch(
        rf"error: run: in use by process {process.pid} on \S+; expected one process a folder; try again when it has ended\n",
        refused[2],
    )
    resumed(tmp_path / "run")
    ran(SLOW, tmp_path / "straight")
    assert_equal_runs(tmp_path / "straight", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(2))
def test_killed_at_a_random_moment_and_resumed_equals_never_stopped(attempt, tmp_path):
    """SIGKILL, twice; 500 in `make torture`. Caught, when planted: metrics not cut back to the checkpoint."""
    rng = __import__("random").Random(attempt)
    ran(SLOW, tmp_path / "straight")
    arguments = [*as_arguments(SLOW), "--run-dir", "run", "--no-plot"]
    for _ in range(2):
        process = started(*arguments)
        if attempt:
            for _ in range(3000):
                if any((tmp_path / "run").glob("checkpoints/*.npz")) or process.poll() is not None:
                    break
                time.sleep(0.01)
        time.sleep(rng.random())
        process.kill()
        process.communicate()
        arguments = ["--resume", "run", "--no-plot"]
        if not (tmp_path / "run" / "config.yaml").exists():
            pytest.skip("killed before there was a run")
    if not (tmp_path / "run" / "result.json").exists():
        assert command("train", "--resume", "run", "--no-plot")[0] == 0
    assert_equal_runs(tmp_path / "straight", tmp_path / "run")
