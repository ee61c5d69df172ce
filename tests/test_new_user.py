"""What somebody ran into who had never seen this: each was a wrong figure, a traceback or a line that misled."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers_runs import command, ran, result, small

import pg_theano
from pg_theano import card, compare, export, plot, train
from pg_theano.check_env import check_env
from pg_theano.config import reading as configs
from pg_theano.reports import model_card, screen
from pg_theano.runs import figures as metrics
from pg_theano.search import minimise
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")
BY_HAND = {"gradients": "by_hand", "algorithm": {"name": "vpg"}}


def tiny(**more):
    return small(**BY_HAND, **({"budget": {"updates": 1}} | more))


@pytest.fixture
def run(tmp_path):
    ran(tiny(), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    "given", [{"config": {"seed": 3}}, {"seed": 4}, {"run_dir": "elsewhere"}], ids=["config", "seed", "run_dir"]
)
def test_a_resumed_run_takes_no_other_config(given, run):
    """Caught, when planted: the config forgotten without a word."""
    with pytest.raises(UserError, match=r"^resume: got a (config|seed|run_dir) beside it; expected none"):
        pg_theano.run(**given, resume=run)


def test_a_run_that_trained_on_is_solved_if_it_is_at_its_end():
    """Caught, when planted: counted by the status alone."""
    over = {"status": "budget", "threshold": 475.0, "evaluation": {"mean": 500.0}}
    assert metrics.reached(over)
    assert metrics.reached({"status": "solved"})
    for other in (
        {"evaluation": {"mean": 474.9}}, {"evaluation": None}, {"threshold": None}, {"status": "interrupted"},
        {"status": "failed"},
    ):  # fmt: skip
        assert not metrics.reached(over | other)
    one = {"seed": 0, "env_steps": 1, "seconds": {"total": 1.0}, **over}
    assert metrics.summarised("a", "CartPole-v1", [one, one | {"evaluation": {"mean": 1.0}}], 1.0)["solved"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("together", [False, True])
def test_a_budget_without_an_evaluation_ends_with_one_of_what_was_learned(together, tmp_path):
    """Of three updates, evaluated every third or never. Caught, when planted: the policy that the run began with."""
    common = {"environment": {"id": "CartPole-v1", "max_episode_steps": 125}}
    common |= {"policy": {"hidden": [4]}, "budget": {"updates": 3}}
    common |= {"solved": {"stop": False}} | ({"runs": 2, "agents_per_process": 2} if together else {})
    folders = [tmp_path / name / ("seed-0" if together else "") for name in ("never", "third", "still")]
    for folder, every, rate in zip(folders, (100, 3, 3), (0.5, 0.5, 0.0), strict=True):
        rates = {
            "schedules": {"learning_rate": {"initial": rate}},
            "evaluation": {"every_updates": every, "episodes": 20},
        }
        ran(common | rates, folder.parent if together else folder)
    never, third, still = (result(folder)["evaluation"] for folder in folders)
    assert never == third
    assert never != still


def test_small_returns_have_decimals():
    """Caught, when planted: one decimal always."""
    assert metrics.shown(0.9584, 0.0199) == ["0.958", "0.020"]
    assert metrics.shown(500.0, 0.0) == ["500.0", "0.0"]
    assert metrics.shown(-7.25) == ["-7.25"]
    assert metrics.shown(0.0, 0.0) == ["0.0", "0.0"]
    figures = {
        "status": "budget",
        "stop_reason": "x",
        "updates": 1,
        "env_steps": 1,
        "steps_per_second": 1.0,
        "seconds": {},
    }
    (line, *_) = screen.closing(Path("r"), figures | {"evaluation": {"n": 3, "mean": 0.9584, "std": 0.0199}}, None)
    assert line.endswith("3 greedy episodes: 0.958 ± 0.020")


def test_the_card_says_how_to_make_it_again(run):
    """Caught, when planted: the environment's name for the run's."""
    text = (card.card(run, "card", episodes=2, gif=False) / "README.md").read_text()
    assert "train config.yaml --run-dir runs/run\npython -m pg_theano.evaluate runs/run\n" in text


def test_half_a_card_is_none(run, monkeypatch):
    """Caught, when planted: the folder left, which the next try refuses, and advice of another command."""
    with monkeypatch.context() as patch:
        patch.setattr(model_card, "export", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            card.card(run, "card", episodes=2, gif=False)
    assert not Path("card").exists()
    card.card(run, "card", episodes=2, gif=False)
    with pytest.raises(UserError, match=r"^card: not empty; expected a new folder; try another with --out$"):
        card.card(run, "card", episodes=2, gif=False)


@pytest.mark.parametrize("knob", ["noise=pink", "log_std=state_dependent", "initial_log_std=-3", "squash=true"])
def test_what_discrete_actions_do_not_read_is_refused_before_anything_is(knob, capsys):
    """Caught, when planted: each of them let through."""
    words = ["environment.id=CartPole-v1", "gradients=symbolic", "algorithm.name=ppo", f"policy.{knob}"]
    assert train.main([*WORDS, *words, "--run-dir", "runs/a"]) == 2
    assert f"policy.{knob.partition('=')[0]}: got " in (err := capsys.readouterr().err)
    assert "is for actions that are real numbers, and CartPole-v1 has a discrete" in err
    assert not Path("runs").exists()


WORDS = ["environment.id=probe_environments:Lengths-v0", "gradients=by_hand", "algorithm.name=vpg", "budget.updates=1"]
WORDS += ["policy.hidden=[4]", "evaluation.episodes=2", "--no-plot"]


@pytest.mark.slow
def test_a_slip_in_ones_own_policy_leaves_no_folder():
    """Caught, when planted: the folder left, which the next try refuses."""
    Path("bad.py").write_text(
        "def parameters(obs_size, action_size): return [('w', (obs_size, action_size), 'glorot')]\n"
        "def policy(params, obs): return obs @ params['ww']\n"
    )
    for _ in range(2):
        code, _, err = command(
            "train", "policy.name=bad:policy", "budget.updates=1", "--run-dir", "runs/fixme", "--no-plot"
        )
        assert code == 2 and "KeyError: 'ww'" in err and "not empty" not in err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pg_theano.run([1, 2]), r"^config: got \[1, 2\]; expected a file, a dict or a Config"),
        (lambda: pg_theano.run(run_dir=3), "^run_dir: got 3; expected a path"),
        (lambda: pg_theano.run(resume=5), "^resume: got 5; expected a path"),
        (lambda: pg_theano.run(callbacks=3), "^callbacks: got 3; expected functions"),
        (lambda: pg_theano.run(display=3), "^display: got 3; expected a function"),
        (lambda: pg_theano.load(None), "^load: got None; expected a run folder"),
        (lambda: compare.compare(None), "^compare: got None; expected run folders"),
        (lambda: compare.compare([3]), r"^compare: got \[3\]; expected run folders"),
        (lambda: compare.compare("no-such-run"), "^no-such-run: no such folder"),
        (lambda: compare.compare(["a"], by=None), "^by: got None; expected the name of a knob"),
        (lambda: check_env("CartPole-v1", timeout=-1), "^timeout: got -1; expected seconds above 0"),
        (lambda: check_env(3), "^environment: got int, which is none; expected an id"),
        (lambda: minimise(3, [1.0]), "^function: got 3; expected what is called with x"),
        (lambda: pg_theano.beside("runs/a"), "^beside: got 'runs/a'; expected results"),
        (lambda: pg_theano.run({"policy.hidden": [16]}), r"got a dot in a key; .* try {policy: {hidden: ...}}"),
        (lambda: pg_theano.run("algorithm.name=PPO"), "try ppo$"),
        (lambda: pg_theano.run("policy.activation=ReLU"), "try relu$"),
        (lambda: pg_theano.run({"search": {}}), "got a search's config; expected a run's"),
        (lambda: check_env("old_gym_environments:FourValues"), "is a class; .* try environment.api=gym"),
    ],
)
def test_a_slip_in_a_call_is_one_line(call, said):
    with pytest.raises(UserError, match=said):
        call()
    assert not Path("runs").exists()


def test_an_observation_that_is_none_is_one_line(run):
    policy = pg_theano.load(run)
    for obs in (["a", "b", "c"], [[1, 2], [3]], None):
        with pytest.raises(UserError, match="observation"):
            policy(obs)
    obs = np.zeros(3, np.float32)
    assert policy.sample(obs, 3) == policy.sample(obs, np.random.default_rng(3))


def test_a_function_is_a_callback_and_numpys_numbers_are_numbers(tmp_path):
    seen = []
    found = pg_theano.run(
        tiny(seed=np.int64(3), budget={"updates": np.int64(2)}),
        run_dir="a",
        plot=False,
        callbacks=lambda *told: seen.append(told),
    )
    assert len(seen) == 2 and found.figures["seed"] == 3


def test_files_say_what_is_in_them(run):
    with pytest.raises(UserError, match=r"^x.onnx: got .onnx for --to npz; expected .npz; try x.npz"):
        export.export(run, "npz", "x.onnx")
    Path("x.onnx").write_bytes(b"")
    with pytest.raises(UserError, match=r"^x.onnx: got .onnx; expected a run folder, or .npz"):
        pg_theano.load("x.onnx")


def test_a_figure_of_two_runs_is_not_that_of_the_first(run, tmp_path):
    """Caught, when planted: the first run's name."""
    ran(tiny(seed=1), tmp_path / "other")
    assert plot.main(["run", "other"]) == 0
    assert [path.name for path in Path("plots").iterdir()] == ["run-other.png"]


def test_who_is_left_out_of_a_comparison_is_named(run, tmp_path):
    """Caught, when planted: advice to do what was done."""
    ran(tiny(), tmp_path / "again")
    with pytest.raises(UserError, match=r"again has the config and the seed of .*; try a run that differs"):
        compare.compare(["run", "again"], by="run")


def test_the_commands_are_listed():
    done = subprocess.run([sys.executable, "-m", "pg_theano"], capture_output=True, text=True, check=True)
    assert re.search(r"^  train +Train a policy$", done.stdout, re.M) and re.search(
        r"^  search +Search hyper", done.stdout, re.M
    )


@pytest.mark.slow
def test_a_symbolic_task_of_ones_own_is_played_for_its_report(tmp_path, monkeypatch):
    """Its map shows where the policy was. Caught, when planted: played by nobody."""
    from pg_theano import report

    examples = Path(__file__).parent.parent / "docs" / "examples"
    (tmp_path / "soft_landing.py").write_text((examples / "soft_landing.py").read_text())
    words = ["environment.dynamics=soft_landing:SoftLanding", "budget.updates=2", "evaluation.episodes=2"]
    assert train.main([*words, "policy.hidden=[4]", "--run-dir", "runs/landing", "--no-plot"]) == 0
    page = report.report(["runs/landing"], "report.html").read_text()
    assert "could not be played" not in page
    assert "No picture of an episode: soft_landing:SoftLanding: a symbolic environment has no picture" in page
    assert "observations that it met in playing" in page


def test_the_newest_run_is_reported_where_none_is_named(tmp_path, capsys):
    from pg_theano import report

    assert report.main([]) == 2
    assert capsys.readouterr().err.startswith("error: runs: no run here; expected one")
    for name in ("old", "new"):
        ran(tiny(name=name), tmp_path / "runs" / name)
    os.utime(tmp_path / "runs" / "old", (1, 1))
    assert report.main(["--no-play"]) == 0
    assert "<title>new" in Path("report.html").read_text()


def test_a_folder_that_is_gone_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert train.main([]) == 2
    assert capsys.readouterr().err.startswith("error: the folder that this shell stands in is gone;")


def test_ctrl_c_while_modules_are_imported_is_a_word(tmp_path):
    """Caught, when planted: Python's traceback."""
    (tmp_path / "pydantic.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    paths = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "pg_theano.train"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode == -signal.SIGINT and done.stderr == "interrupted\n"


@pytest.mark.slow
def test_ctrl_c_while_workers_start_is_no_traceback_of_theirs():
    """Caught, when planted: what cannot be sent any more left to Python."""
    words = [sys.executable, "-m", "pg_theano.train", *WORDS, "environment.workers=4", "environment.num_envs=8"]
    for seconds in (0.3, 0.5, 0.7, 0.9):
        process = subprocess.Popen([*words, "--run-dir", f"runs/{seconds}"], stderr=subprocess.PIPE, text=True)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        err = process.communicate()[1]
        assert "Traceback" not in err, err


def test_a_cache_that_is_a_file_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PG_THEANO_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="file: is a file; expected a folder, of the compile cache"):
        ran(small(budget={"updates": 1}), tmp_path / "run")


def test_the_report_counts_who_trained_on(tmp_path):
    """Caught, when planted: "0 of 2 seeds solved" beside a mean above the threshold; the longest seed for the whole."""
    config = tiny(runs=2, solved={"threshold": -1e9, "stop": False})
    assert ran(config, tmp_path / "two").figures["solved"] == 2
    from pg_theano import report

    page = report.report(["two"], "report.html").read_text()
    assert "2 of 2 seeds solved" in page and "longest seed" in page and "whole process</dt>" not in page
    assert json.loads((tmp_path / "two" / "summary.json").read_text())["solved"] == 2
    assert result(tmp_path / "two" / "seed-0")["status"] == "budget"
    assert configs.to_dict(configs.from_dict(config))["solved"]["stop"] is False
