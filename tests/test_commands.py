"""The commands: what they print, where, with which exit code."""

import json
import re
import sys

import pytest
from helpers_runs import SMALL, as_arguments, command, merged, ran, records, result, small

from pg_theano import check, compare, evaluate, graph, train, watch
from pg_theano.compiler import program
from pg_theano.config import reading as configs
from pg_theano.config import tables
from pg_theano.environments import inspection, making
from pg_theano.reports import animation
from pg_theano.training import evaluating, looking, specs
from pg_theano.types import GREEDY, SAMPLE

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")
WORDS = as_arguments(SMALL)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A small run that is over; nobody changes it."""
    folder = tmp_path_factory.mktemp("commands") / "run"
    ran(small(), folder)
    return folder


# -- train


def test_train_writes_plain_lines_where_it_is_no_terminal(tmp_path, capsys, monkeypatch):
    """Caught, when planted: the live display, or its escape codes, in a pipe."""
    monkeypatch.setattr(program, "_kept", None)  # what has been compiled is compiled again, and said
    assert train.main([*WORDS, "name=tiny", "--no-plot", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    imports, *lines = out.splitlines()
    assert imports.startswith("imports probe_environments:Lengths-v0 from ")
    assert lines[0].startswith("runs/tiny: new; probe_environments:Lengths-v0, 3 features, 3 actions, 31 parameters")
    assert lines[0].endswith("seed 3")
    assert any(re.match(r"compiled train \[.*E=4.*: \d+\.\d\d s", line) for line in lines)
    assert sum(re.match(r"update +\d+ .*evaluation", line) is not None for line in lines) == 3
    assert re.search(r"^budget \(the budget is spent\): 6 updates, .*; 5 greedy episodes: ", out, re.MULTILINE)
    assert lines[-1] == "run: runs/tiny"
    assert result("runs/tiny")["status"] == "budget"


def test_train_json_prints_one_object_and_nothing_else_on_stdout(tmp_path, capsys):
    """Caught, when planted: progress on stdout."""
    assert train.main([*WORDS, "--run-dir", "here", "--no-plot", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == result("here")
    assert out.count("\n") == 1
    assert "update" in err
    assert train.main([*WORDS, "runs=2", "budget.updates=2", "--run-dir", "both", "--no-plot", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == [0, 1]


def test_train_draws_its_plot(tmp_path, capsys):
    assert train.main([*WORDS, "name=drawn"]) == 0
    assert "plot: plots/drawn.png" in capsys.readouterr().out
    assert (tmp_path / "plots" / "drawn.png").read_bytes().startswith(b"\x89PNG")
    assert result("runs/drawn")["seconds"]["plot"] > 0


def test_solved_is_exit_code_0(tmp_path, capsys):
    assert train.main([*WORDS, "solved.threshold=-1", "--no-plot"]) == 0
    assert "confirmed" in capsys.readouterr().out


def test_ctrl_c_is_exit_code_130_and_its_hint_works(tmp_path, capsys, monkeypatch):
    """The command that is printed is run as printed. Caught, when planted: exit code 0; the wrong folder in the hint."""
    for number, words in enumerate((["--run-dir", "alone"], ["runs=2", "--run-dir", "several"])):
        original, calls = looking.check_finite, []

        def interrupted(*given, number=number, original=original, calls=calls):
            calls.append(1)
            if len(calls) == 3 + 6 * number:  # in the second of the two runs
                raise KeyboardInterrupt
            return original(*given)

        monkeypatch.setattr(looking, "check_finite", interrupted)
        assert train.main([*WORDS, *words, "--no-plot"]) == 130
        out = capsys.readouterr().out
        monkeypatch.setattr(looking, "check_finite", original)
        (hint,) = re.findall(r"^to go on: python -m pg_theano.train (.*)$", out, re.MULTILINE)
        assert train.main([*hint.split(), "--no-plot"]) == 0
        assert "resumed at update 2" in capsys.readouterr().out
        for folder in [hint.split()[1]] if number == 0 else ["several/seed-0", "several/seed-1"]:
            assert len(records(folder)) == 6


def test_ctrl_c_with_json_still_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(looking, "check_finite", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert train.main([*WORDS, "--run-dir", "run", "--no-plot", "--json"]) == 130
    out, err = capsys.readouterr()
    assert json.loads(out)["status"] == "interrupted"
    assert "to go on: python -m pg_theano.train --resume run" in err


@pytest.mark.parametrize("module", [train, evaluate, watch, check, graph, compare], ids=lambda module: module.__name__)
def test_the_help_lists_every_knob_and_an_example(module, capsys):
    """Caught, when planted: the table printed by one command only."""
    with pytest.raises(SystemExit) as ended:
        module.main(["-h"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for key, _, default, meaning in tables.knobs():
        assert f"{key} = {default}" in out
        assert meaning in out
    assert f"example:\n  python -m {module.__name__} " in out
    assert "--debug" in out


@pytest.mark.slow
def test_the_package_runs_from_any_folder_and_the_config_brings_its_module(tmp_path):
    """A process of its own, in an empty folder: defaults from the package, the environment from beside the YAML."""
    module = (
        "import gymnasium, numpy as np\n"
        "class Env(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)\n"
        "    action_space = gymnasium.spaces.Discrete(2)\n"
        "    def reset(self, *, seed=None, options=None): return np.zeros(1, np.float32), {}\n"
        "    def step(self, action): return np.zeros(1, np.float32), float(action), True, False, {}\n"
        "gymnasium.register('Mine-v0', Env)\n"
    )
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "mine_beside.py").write_text(module)
    (tmp_path / "lab" / "mine.yaml").write_text(
        "environment: {id: 'mine_beside:Mine-v0', num_envs: 4}\nbudget: {updates: 2}\nevaluation: {episodes: 3}\n"
    )
    code, out, err = command("train", "lab/mine.yaml", "--no-plot")
    assert (code, err) == (0, "")
    assert "run: runs/mine" in out
    code, out, err = command("evaluate", "runs/mine", "--episodes", "4", "--json")
    assert code == 0 and all(line.startswith("imports mine_beside:Mine-v0 from") for line in err.splitlines())
    assert json.loads(out)["n"] == 4


# -- evaluate


def test_evaluate_json(run_folder, capsys):
    """Caught, when planted: a line of text beside the object; 100 episodes whatever was asked for."""
    assert evaluate.main([str(run_folder), "--episodes", "7", "--seed", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err.startswith("imports probe_environments:") and err.count("\n") == 1
    assert {"mean", "std", "min", "max", "n"} <= found.keys()
    assert (found["n"], found["seed"], found["policy"]) == (7, 2, "greedy")
    assert found["min"] <= found["mean"] <= found["max"]


def test_evaluate_is_a_function_of_its_seed_and_leaves_the_run_alone(run_folder):
    """Caught, when planted: one seed for all; sampled and greedy the same."""
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}

    def figures(**options):
        found = evaluate.evaluate(run_folder, episodes=20, **options)
        return [found[name] for name in ("mean", "std", "min", "max")]

    assert figures(seed=1) == figures(seed=1)
    assert figures(seed=1) != figures(seed=2)
    assert figures(seed=1) != figures(seed=1, sampled=True)
    assert {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("episodes", [1, 2, 31, 33, 100])
def test_an_evaluation_plays_exactly_n_episodes_each_to_its_end(episodes, monkeypatch):
    """Always action 0 is paid 1 + 2 + ... + L. Caught, when planted: the first n to end; n rounded up to the slots."""
    import numpy as np
    import probe_environments as probes

    probes.Lengths.made.clear()
    config = configs.from_dict(SMALL)
    environment = making.make(config.environment, num_envs=1, dtype="float32")
    spec = specs.spec_of(config, environment.task)
    evaluator = evaluating.Evaluator(config, spec, [], episodes)

    def zero(state, obs, noise, knobs, choice):
        return np.zeros(len(obs), np.int32), np.zeros(len(obs), np.float32)

    found = evaluator(zero, {}, episodes=episodes, seed=np.random.SeedSequence(1), choice=1)
    drawn = np.random.default_rng(np.random.SeedSequence(1).spawn(1)[0]).integers(0, 2**31 - 1, size=episodes)
    returns = [sum(range(1, probes.length_of(seed) + 1)) for seed in drawn]
    assert found["n"] == episodes
    assert np.isclose(found["mean"], np.mean(returns))
    assert np.isclose(found["std"], np.std(returns))
    assert (found["min"], found["max"]) == (min(returns), max(returns))
    assert sum(one.steps_taken for one in probes.Lengths.made) == sum(probes.length_of(seed) for seed in drawn)


def test_an_evaluation_does_not_explore():
    """What the policy is asked for is what the caller asked for, at an exploration rate of 0.

    Caught, when planted: the choice of training; the exploration rate of training.
    """
    import numpy as np

    config = configs.from_dict(merged(SMALL, {"schedules": {"exploration_rate": {"initial": 0.9}}}))
    environment = making.make(config.environment, num_envs=1, dtype="float32")
    asked = []

    def spy(state, obs, noise, knobs, choice):
        asked.append((knobs["exploration_rate"], choice))
        return np.zeros(len(obs), np.int32), np.zeros(len(obs), np.float32)

    evaluator = evaluating.Evaluator(config, specs.spec_of(config, environment.task), [], 3)
    for choice in (GREEDY, SAMPLE):
        asked.clear()
        evaluator(spy, {}, episodes=3, seed=np.random.SeedSequence(1), choice=choice)
        assert set(asked) == {(0.0, choice)}


def test_an_evaluation_has_environments_of_its_own(monkeypatch, tmp_path):
    """Four that train, five that are evaluated in, and the four are stepped for training alone."""
    import probe_environments as probes

    probes.Lengths.made.clear()
    monkeypatch.setattr(inspection, "glanced", lambda *arguments: [])  # which takes steps of its own
    ran(small(budget={"updates": 2}), tmp_path / "run")
    steps = [one.steps_taken for one in probes.Lengths.made]
    assert len(steps) == 4 + 5
    assert sum(steps[:4]) == result(tmp_path / "run")["env_steps"]


# -- watch


def test_watch_without_a_display_says_so(run_folder, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert watch.main([str(run_folder)]) == 2
    assert capsys.readouterr().err.endswith("\nerror: no display here to open a window on; use --gif FILE\n")


def test_watch_refuses_what_cannot_be_drawn_or_written(run_folder, capsys):
    assert watch.main([str(run_folder), "--gif", "a.gif"]) == 2
    assert (
        "probe_environments:Lengths-v0: takes no render_mode; expected an environment that" in capsys.readouterr().err
    )
    for file in ("a.png", "no/such/folder/a.gif"):
        assert watch.main([str(run_folder), "--gif", file]) == 2
        assert f"error: {file}: expected a file that ends in .gif" in capsys.readouterr().err


@pytest.mark.slow
def test_watch_draws_the_episodes_of_its_seed(tmp_path, capsys, monkeypatch):
    """As many pictures as steps, and the start; at most as many as the cap."""
    from PIL import Image

    cartpole = {"environment": {"id": "CartPole-v1", "engine": "gymnasium", "num_envs": 4}, "policy": {"hidden": []}}
    ran(small(**cartpole, budget={"updates": 1}), tmp_path / "run")
    assert watch.main(["run", "--gif", "a.gif", "--episodes", "3", "--seed", "5", "--sampled", "--fps", "25"]) == 0
    out = capsys.readouterr().out
    steps = [int(number) for number in re.findall(r"episode \d: return \d+, (\d+) steps", out)]
    assert len(steps) == 3
    assert len(set(steps)) > 1
    with Image.open("a.gif") as picture:
        assert picture.size == (600, 400)
        total = 0
        for frame in range(picture.n_frames):
            picture.seek(frame)
            total += picture.info["duration"]
        assert total == 40 * sum(count + 1 for count in steps)  # equal frames are joined, their times added
    monkeypatch.setattr(animation, "MOST_FRAMES", 12)
    assert watch.main(["run", "--gif", "b.gif", "--episodes", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].endswith("cut short: a GIF has at most 12 frames")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (3, "num_minibatches: 3 does not divide 64 steps: minibatches have 21 or 22"),
        (4, None),
    ],
)
def test_minibatches_that_do_not_divide_the_rollout_are_said(number, said, tmp_path):
    """And learned from. Caught, when planted: nothing said; said of those that do divide."""
    words = ["algorithm.name=ppo", "algorithm.num_steps=16", "environment.num_envs=4", "gradients=by_hand"]
    words += [f"algorithm.num_minibatches={number}", "budget.updates=2", "evaluation.every_updates=5"]
    words += ["evaluation.episodes=2", "algorithm.num_epochs=2", f"--run-dir={tmp_path / 'run'}", "--no-plot"]
    code, out, error = command("train", *words, cwd=tmp_path)
    assert code == 0, error
    assert result(tmp_path / "run")["updates"] == 2
    assert (said in out) if said else ("num_minibatches" not in out)
