"""Knobs that change while a run trains: from which update on, after which stop, and what cannot change."""

import contextlib
import shutil

import pytest
from helpers_runs import as_arguments, assert_equal_runs, command, ran, records, resumed, small

from pg_theano.reports.pages import training
from pg_theano.reports.pages.changed import rings
from pg_theano.runs import changes, curves, folder
from pg_theano.system import seals
from pg_theano.training import begun
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code
pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

RATE = "schedules.learning_rate.initial"
BASE = small(gradients="by_hand", algorithm={"name": "vpg"}, solved={"stop": False}, budget={"updates": 4})


@pytest.fixture(scope="module")
def four(tmp_path_factory, machine_code):
    """A run of four updates, in two parts, so that two checkpoints are there."""
    folder = tmp_path_factory.mktemp("four") / "run"
    ran(BASE | {"budget": {"updates": 2}}, folder)
    resumed(folder, "budget.updates=4")
    return folder


@pytest.fixture(scope="module")
def changed(four, tmp_path_factory):
    """The same, gone on with to eight updates with another learning rate, in one part."""
    folder = tmp_path_factory.mktemp("changed") / "run"
    shutil.copytree(four, folder)
    resumed(folder, "budget.updates=8", f"{RATE}=0.001", change=True)
    return folder


def test_a_change_holds_from_its_update_on_and_is_recorded(changed):
    rates = [record["learning_rate"] for record in records(changed)]
    assert rates == [0.02] * 4 + [0.001] * 4
    made = changes.of(seals.read_json(changed / "run.json"))
    assert [(one.update, one.knob, one.before, one.value) for one in made] == [
        (4, "budget.updates", 4, 8),
        (4, RATE, 0.02, 0.001),
    ]


@pytest.mark.parametrize("stop", ["in two parts", "killed soon after", "killed before it, too"])
def test_it_stays_in_force_after_every_stop_bit_for_bit(stop, four, changed, tmp_path):
    """Caught, when planted: a change that is forgotten by the next resume; one that is in force, after a checkpoint
    before it was taken, from that checkpoint on."""
    run = tmp_path / "run"
    shutil.copytree(four, run)
    resumed(run, f"budget.updates={6 if stop == 'in two parts' else 5}", f"{RATE}=0.001", change=True)
    lost = {"in two parts": [], "killed soon after": [5], "killed before it, too": [5, 4]}[stop]
    if 4 in lost:  # two checkpoints are kept: those of 4 and 5
        for path in (four / "checkpoints").glob("update-00000002.*"):
            shutil.copy(path, run / "checkpoints")
    for update in lost:
        (run / "checkpoints" / f"update-{update:08}.json").unlink()
    resumed(run, "budget.updates=8")
    assert_equal_runs(run, changed)


def test_a_trainer_that_is_held_changes_as_a_resumed_run_does(four, changed, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(four, run)
    with contextlib.ExitStack() as closing:
        found = folder.resumable(run, ["budget.updates=6"])
        closing.callback(found.folder.close)
        setting = begun._setting(found, tmp_path, begun.Quiet(), closing)
        trainer = begun._trainer(found, setting, begun.compiled(setting, closing), begun.How(), closing)
        trainer.change({RATE: 0.5})
        trainer.change({RATE: 0.001})
        assert trainer.train() == "budget"
        trainer.change({"budget.updates": 8})
        trainer.finish(trainer.train())
    assert_equal_runs(run, changed)
    assert [one.knob for one in changes.of(seals.read_json(run / "run.json"))] == [RATE, "budget.updates"]


def test_an_evaluation_that_changes_is_that_of_a_run_that_had_it(four, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(four, run)
    how = {"episodes": 9, "every_updates": 1, "share": None}
    resumed(run, "budget.updates=6", *as_arguments(how, "evaluation."), change=True)
    ran(BASE | {"budget": {"updates": 6}, "evaluation": how}, tmp_path / "whole")
    assert records(run)[4:] == records(tmp_path / "whole")[4:]
    assert records(run)[3].get("evaluation_episodes") == 5 and records(run)[5]["evaluation_episodes"] == 9


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("policy.hidden=[3]", "shapes the graph, or what is played, and a run keeps it; .*--from RUN"),
        ("seed=3", "shapes the graph, or what is played"),
        ("optimizer.max_gradient_norm=0.5", "takes a part of the graph in; expected null, .*--from RUN"),
        (f"{RATE}=-1", "a change of schedules.learning_rate.initial: got -1; expected 0 to inf"),
        ("schedules.learning_rte.initial=1", "unknown knob; did you mean schedules.learning_rate"),
        ("algorithm.clip_range=0.1", "vpg does not read"),
        ("evaluation={episodes: 3}", "shapes the graph, or what is played"),
        ("schedules.learning_rate", "got no `=`"),
    ],
)
def test_what_cannot_change_is_one_line_and_nothing_is_written(word, line, four):
    before = {path: path.read_bytes() for path in four.glob("*.*")}
    with pytest.raises(UserError, match=line) as raised:
        resumed(four, "budget.updates=9", word, change=True)
    assert "\n" not in str(raised.value) and {path: path.read_bytes() for path in four.glob("*.*")} == before


def test_without_change_the_line_names_what_would_do(four):
    for word, advice in ((f"{RATE}=1", "--change"), ("policy.hidden=[3]", "--from RUN")):
        with pytest.raises(UserError, match=f"a resumed run keeps its config; .*{advice}"):
            resumed(four, word)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"update": 1, "knob": "policy.hidden", "before": [4], "value": [3]}, "shapes the graph"),
        ({"update": -1, "knob": RATE, "before": 1, "value": 1}, "changes.0.update: got -1"),
        ({"update": 1, "knob": RATE, "before": 1, "value": 1, "more": 1}, "changes.0.more"),
        ({"update": 1, "knob": RATE, "before": 1, "value": {"a": 1}}, "a change of schedules.learning_rate.initial"),
        (3, "changes.0"),
    ],
)
def test_a_strangers_changes_are_held_to_the_same(entry, line, four, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(four, run)
    seals.write_json(run / "run.json", seals.read_json(run / "run.json") | {"changes": [entry]})
    with pytest.raises(UserError, match=line):
        resumed(run, "budget.updates=9")


def test_the_command_says_what_it_changes(four, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(four, run)
    words = ("--resume", run, "--no-plot", "budget.updates=5", f"{RATE}=0.5")
    code, out, _ = command("train", *words, "--change")
    assert code == 0 and f"{RATE}: 0.02 -> 0.5 after update 4" in out
    for wrong in (("--change",), ("--change", f"{RATE}=1"), ("--resume", run, "--change")):
        code, _, err = command("train", *wrong)
        assert code == 2 and err.startswith("error: --change: expected --resume RUN and knob=value") and "\n" in err


def test_the_report_marks_a_change_in_the_curves(changed, four):
    """A ring at the last update before it. Caught, when planted: a ring at the update after."""
    page, plain = (training.curves_section([training.read(run)]) for run in (changed, four))
    assert f"{RATE}: 0.02 -&gt; 0.001 after update 4" in page and "a knob changed" in page
    assert "changed" not in plain and "rings" not in plain
    columns = curves.read_metrics(changed)
    found = rings(changes.of(seals.read_json(changed / "run.json")), columns, "env_steps", "return_mean")
    assert (found.x, found.middle) == (columns["env_steps"][3], columns["return_mean"][3])
