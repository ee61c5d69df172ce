"""Whatever is wrong: one line on stderr, exit code 2, no traceback unless --debug."""

import json
import re
import shutil

import pytest
from helpers_runs import SMALL, as_arguments, command, ran, records, result, small

from pg_theano import evaluate, train, watch
from pg_theano.environments import inspection
from pg_theano.runs import checkpoints
from pg_theano.system import writing

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere")
WORDS = as_arguments(SMALL)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "run"
    ran(small(checkpoint={"every_updates": 1}), folder)
    return folder


def failed(capsys, main, *arguments):
    """The message, once it is known to be the one line that it must be."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 2, (out, err)
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in out + err
    return err[len("error: ") : -1]


CONFIGS = [  # what is not on the page (test_troubleshooting.py)
    ("environment:\n  num_env: 3", "mine.yaml:2 environment.num_env: unknown knob; did you mean environment.num_envs?"),
    ("\0", "mine.yaml:1"),
    ("environment: {wrappers: ['broken_module:Nothing']}", "broken_module:Nothing cannot be imported (SyntaxError"),
    (
        "policy: {hidden: [1000000, 1000000]}",
        "policy.hidden: got 1,000,008,000,002 parameters, which need 12,000 GB of memory",
    ),
]


@pytest.mark.parametrize(("text", "message"), CONFIGS, ids=[text[:40] for text, _ in CONFIGS])
def test_a_config_that_cannot_be(text, message, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(text)
    (tmp_path / "broken_module.py").write_text("def (:\n")
    assert message in failed(capsys, train.main, "mine.yaml", "--no-plot")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.yaml"], "missing.yaml: no such file"),
        (["."], ".: got a folder; expected a YAML file"),
        (["a.yaml", "b.yaml"], "got 2 config files (a.yaml, b.yaml); expected one"),
        (["discount=1"], "command line discount: unknown knob; did you mean algorithm.discount?"),
        (["--seed", "x"], "argument --seed: got x; expected a whole number from 0"),
        (["--seed", "-1"], "--seed"),
        (["--sed", "1"], "unrecognized arguments: --sed"),
        (["--run-dir"], "--run-dir: expected one argument"),
        (["--run-dir", "/proc/nothing/here"], "/proc/nothing/here: cannot be made"),
        (["--resume", "nowhere"], "nowhere: no run folder (no config.yaml in it)"),
        (["--resume", "."], ".: no run folder (no config.yaml in it)"),
        (["--resume", "nowhere", "a.yaml"], "--resume takes its config, seed and folder from the run"),
        (["--resume", "nowhere", "algorithm.discount=1"], "algorithm.discount=1: a resumed run keeps its config"),
    ],
)
def test_arguments_that_cannot_be(arguments, message, capsys):
    assert message in failed(capsys, train.main, *arguments)


@pytest.mark.parametrize("main", [evaluate.main, watch.main], ids=["evaluate", "watch"])
def test_other_commands_refuse_what_is_no_run(main, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name in ("empty", "file", "missing"):
        assert f"{name}: no run folder" in failed(capsys, main, name)
    assert "expected a whole number" in failed(capsys, main, "empty", "--episodes", "0")
    assert "arguments are required: RUN" in failed(capsys, main)


# -- environments that go wrong while training

FAULTS = [
    ("raises", 4, "step raises RuntimeError: the motor is stuck"),
    ("nan", 4, "the observation has nan; an observation must be finite"),
    ("inf", 4, "the observation has inf; an observation must be finite"),
    ("reward inf", 4, "reward is inf; a reward must be finite"),
    ("reward nan", 4, "reward is nan; a reward must be finite"),
    ("shape", 4, "the observation has shape (2, 1); its space says (2,)"),
    ("four values", 4, ""),
    ("raises at reset", 0, "reset raises RuntimeError: no sensor no reset"),
]


@pytest.mark.parametrize(("how", "step", "message"), FAULTS, ids=[how for how, *_ in FAULTS])
def test_an_environment_that_goes_wrong_is_named_with_step_and_seed(how, step, message, capsys, tmp_path):
    id = "probe_environments:Failing-v0"
    words = as_arguments(small(environment={"id": id, "kwargs": {"how": how}}))
    found = failed(capsys, train.main, *words, "--run-dir", "run", "--no-plot")
    assert found.startswith(f"{id}, environment 0, step {step} (seed ")
    assert message in found
    assert result("run")["status"] == "failed"
    assert result("run")["stop_reason"].split() == found.split()


@pytest.mark.slow
def test_an_environment_that_goes_wrong_later_leaves_the_last_good_checkpoint(capsys, tmp_path, monkeypatch):
    """Five good updates, then a fault in the environments of the evaluation. Caught, when planted: nothing saved; the
    parameters of an update that is not recorded saved."""
    import probe_environments as probes

    monkeypatch.setattr(inspection, "glanced", lambda *arguments: [])  # whose steps are not counted here
    original, ends = probes.Lengths.outcome, []

    def outcome(self, action):
        reward, terminated, truncated = original(self, action)
        ends.append(terminated)
        return (float("nan") if sum(ends) == 6 * 4 + 12 else reward), terminated, truncated

    monkeypatch.setattr(probes.Lengths, "outcome", outcome)
    found = failed(capsys, train.main, *WORDS, "--run-dir", "run", "--no-plot")
    assert "reward is nan" in found
    newest = checkpoints.newest(tmp_path / "run" / "checkpoints")
    assert newest.facts["counters"]["updates"] == len(records("run")) == result("run")["updates"] == 5
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert train.main(["--resume", "run", "--no-plot"]) == 0
    capsys.readouterr()
    ran(small(), tmp_path / "straight")
    assert records("run") == records("straight")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "changes",
    [
        {"schedules": {"learning_rate": {"initial": 3e38}}, "optimizer": {"name": "sgd"}},
        {"schedules": {"learning_rate": {"initial": 1e39}}, "optimizer": {"name": "sgd"}},
    ],
    ids=["learning rate 3e38", "learning rate infinite in float32"],
)
def test_a_loss_that_is_not_finite_stops_the_run(changes, capsys, tmp_path):
    """Before it reaches the parameters, and without NumPy's warnings. Caught, when planted: no check; a check of loss
    and gradient alone (a finite gradient times an infinite rate)."""
    import numpy as np

    found = failed(capsys, train.main, *as_arguments(small(**changes)), "--run-dir", "run", "--no-plot")
    assert re.search("the loss.* is not finite", found)
    assert "schedules.learning_rate" in found
    state = checkpoints.newest(tmp_path / "run" / "checkpoints").state
    assert all(np.isfinite(value).all() for value in state.values())


# -- damaged runs


def copied(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


def test_a_damaged_checkpoint_is_named(good, tmp_path, capsys):
    folder = copied(good, tmp_path)
    for path in (folder / "checkpoints").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    for main, arguments in ((evaluate.main, ["copy"]), (watch.main, ["copy", "--gif", "a.gif"])):
        code = main(arguments)
        err = capsys.readouterr().err.splitlines()
        assert code == 2
        assert err[-1].startswith("error: copy/checkpoints/best-")
        assert "damaged checkpoint: its checksum does not agree" in err[-1]
        assert all(line.startswith(("warning: copy/checkpoints/", "imports ")) for line in err[:-1])
    assert train.main(["--resume", "copy", "budget.updates=9", "--no-plot"]) == 2
    assert "error: copy/checkpoints/update-" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("run.json", "{", "run.json: missing or damaged"),
        ("run.json", "[]", "run.json: missing or damaged"),
        ("run.json", None, "run.json: missing or damaged"),
        ("config.yaml", "seed: x\n", "config.yaml:1 seed: got 'x'"),
        ("config.yaml", None, "copy: no run folder"),
    ],
)
def test_a_damaged_run_folder_is_named(file, content, message, good, tmp_path, capsys):
    folder = copied(good, tmp_path)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    assert message in failed(capsys, evaluate.main, "copy")
    assert message in failed(capsys, train.main, "--resume", "copy", "budget.updates=9")


def test_a_damaged_best_checkpoint_does_not_stop_a_resume(good, tmp_path, capsys):
    folder = copied(good, tmp_path)
    for path in (folder / "checkpoints").glob("best-*.npz"):
        path.write_bytes(b"")
    assert train.main(["--resume", "copy", "budget.updates=8", "--no-plot"]) == 0
    assert "damaged checkpoint" in capsys.readouterr().out
    assert evaluate.main(["copy", "--episodes", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoint"] == "best-00000008.npz"


# -- the process


def test_debug_shows_the_traceback_and_nothing_else_does(capsys):
    assert train.main(["--resume", "nowhere", "--debug"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last)")
    assert err.splitlines()[-1].startswith("error: nowhere: no run folder")


def test_a_full_disk_is_one_line(capsys, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "runs/x/config.yaml")

    monkeypatch.setattr(writing, "write_atomically", full)
    assert failed(capsys, train.main, *WORDS) == "runs/x/config.yaml: No space left on device"


def test_the_exit_code_of_the_process_is_2():
    code, out, err = command("evaluate", "nowhere")
    assert (code, out) == (2, "")
    assert (
        err
        == "error: nowhere: no run folder (no config.yaml in it); expected a folder that `pg_theano.train` wrote, such as runs/cartpole; try one of: ls -d runs/*\n"
    )
