"""What version 0.1.0 wrote (commit ed404da) is read, evaluated, resumed, reported, compared and exported today.

Only commands and the facade are used, so that these tests hold whatever the package's modules are called.
"""

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pg_theano

OLD = Path(__file__).parent / "old_runs"
EXPECTED = json.loads((OLD / "expected.json").read_text())
ACTED = EXPECTED["acted"]
NEAR = {"rtol": 1e-4, "atol": 1e-5}  # another processor, and other versions of libraries, round differently


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A copy of everything, in the folder that the test runs in."""
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def said(capsys, name, *words):
    """What a command prints on stdout. It must succeed."""
    capsys.readouterr()
    code = importlib.import_module(f"pg_theano.{name}").main([str(word) for word in words])
    out, error = capsys.readouterr()
    assert code == 0, error
    return out


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def resumed(folder, *knobs):
    """Other versions than those of the run are meant to be here."""
    return pg_theano.run(*knobs, resume=folder, force=True, plot=False).figures


# -- runs


@pytest.mark.parametrize("run", EXPECTED["evaluated"])
def test_an_old_run_is_evaluated(run, old, capsys):
    """Caught, when planted: the newest checkpoint taken for the best one."""
    found, expected = json.loads(said(capsys, "evaluate", run, "--episodes", 10, "--json")), EXPECTED["evaluated"][run]
    assert (found["checkpoint"], found["n"]) == (expected["checkpoint"], expected["n"])
    for key in ("mean", "std", "min", "max"):
        assert found[key] == pytest.approx(expected[key], rel=1e-3), key


@pytest.mark.parametrize("name", ACTED)
@pytest.mark.parametrize("kind", ["run", "npz"])
def test_an_old_policy_acts_as_it_did(name, kind, old):
    """Greedy and sampled actions, and probabilities. Caught, when planted: a normaliser that is not read."""
    policy, expected = pg_theano.load(f"{name}.npz" if kind == "npz" else name), ACTED[name]
    obs = np.array(expected["obs"], np.float32)
    np.testing.assert_allclose(policy(obs), expected["actions"], **NEAR)
    np.testing.assert_allclose(policy(obs[0]), expected["actions"][0], **NEAR)
    np.testing.assert_allclose(policy.sample(obs, 3), expected["sampled"], **NEAR)
    for found, part in zip(policy.probs(obs), expected["probs"], strict=True):
        np.testing.assert_allclose(found, part, **NEAR)


def test_a_killed_run_goes_on_as_if_it_never_had_been(old):
    """Caught, when planted: the optimiser's state begun anew."""
    before = (old / "unfinished" / "metrics.jsonl").read_bytes()
    figures, straight = resumed(old / "unfinished"), EXPECTED["straight"]
    for key in ("status", "updates", "env_steps", "episodes", "best_update"):
        assert figures[key] == straight[key], key
    assert figures["evaluation"] == pytest.approx(straight["evaluation"], rel=1e-3)
    assert (old / "unfinished" / "metrics.jsonl").read_bytes().startswith(before)
    for found, expected in zip(records(old / "unfinished"), straight["records"], strict=True):
        assert {key: found.get(key) for key in expected} == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    "run",
    [
        "by-hand/seed-0",
        *[pytest.param(run, marks=pytest.mark.slow) for run in ("ppo-compiled", "ppo-box", "cem", "agents/seed-0")],
    ],
)
def test_an_old_run_goes_on_after_its_budget_is_raised(run, old, capsys):
    """By the command: the records of before stay, one more follows, and its budget is in its config."""
    before = (old / run / "metrics.jsonl").read_bytes()
    words = ("--resume", run, "--force", "--no-plot", "--json", "budget.updates=5")
    figures = json.loads(said(capsys, "train", *words))
    assert (figures["status"], figures["updates"]) == ("budget", 5)
    assert (old / run / "metrics.jsonl").read_bytes().startswith(before)
    found = records(old / run)
    assert [record["update"] for record in found] == [0, 1, 2, 3, 4]
    assert set(found[-1]) == set(found[-3])  # neither was evaluated after
    assert found[-1]["env_steps"] > found[-2]["env_steps"]
    assert pg_theano.load(run).about.run


def test_old_sets_of_seeds_go_on(old):
    """Seeds that have ended are only read."""
    figures = resumed(old / "by-hand")
    assert figures["seeds"] == [0, 1]
    summary = json.loads((OLD / "by-hand" / "summary.json").read_text())
    assert figures["evaluation"] == summary["evaluation"]


def test_old_runs_are_compared(old, capsys):
    out = said(capsys, "compare", "by-hand", "agents", "ppo-compiled", "--no-plot", "--page", "compared.md", "--json")
    assert {name: group["scores"] for name, group in json.loads(out)["groups"].items()} == EXPECTED["compared"]
    assert "CartPole-v1" in (old / "compared.md").read_text()


def test_old_runs_and_searches_are_reported(old, capsys):
    """All on one page, and one of them played."""
    said(capsys, "report", "ppo-compiled", "ppo-box", "cem", "agents", "search", "--no-play", "--out", "page.html")
    page = (old / "page.html").read_text()
    for name in ("ppo-compiled", "ppo-box", "cem", "agents", "search", "Pendulum-v1"):
        assert name in page, name
    said(capsys, "report", "by-hand/seed-0", "unfinished", "--out", "played.html")
    assert "unfinished" in (old / "played.html").read_text()


@pytest.mark.slow
def test_old_runs_are_drawn(old, capsys):
    said(capsys, "plot", "by-hand", "agents", "unfinished", "--out", "drawn.png")
    assert (old / "drawn.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("name", ACTED)
def test_an_old_run_is_exported(name, old, capsys):
    """Its npz has the arrays that it had, and its csv a row for each record."""
    said(capsys, "export", name, "--to", "npz", "--out", "new.npz")
    with (
        np.load(old / "new.npz", allow_pickle=False) as new,
        np.load(OLD / f"{name}.npz", allow_pickle=False) as before,
    ):
        arrays = [key for key in before.files if before[key].dtype.kind == "f"]
        assert arrays and set(new.files) >= set(arrays)
        for key in arrays:
            assert new[key].tobytes() == before[key].tobytes(), key
    said(capsys, "export", name, "--to", "csv", "--out", "new.csv")
    rows = (old / "new.csv").read_text().splitlines()
    assert len(rows) == 1 + len(records(old / name))
    obs = np.array(ACTED[name]["obs"], np.float32)
    np.testing.assert_array_equal(pg_theano.load("new.npz")(obs), pg_theano.load(f"{name}.npz")(obs))


@pytest.mark.slow
@pytest.mark.parametrize("run", ["ppo-compiled", "cem"])
def test_an_old_run_becomes_onnx(run, old, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    said(capsys, "export", run, "--to", "onnx", "--out", "new.onnx")
    session = onnxruntime.InferenceSession("new.onnx", providers=["CPUExecutionProvider"])
    obs = np.array(ACTED["ppo-compiled"]["obs"], np.float32)
    actions = session.run(None, {session.get_inputs()[0].name: obs})[0]
    np.testing.assert_array_equal(np.asarray(actions).ravel(), pg_theano.load(run)(obs))


@pytest.mark.slow
def test_an_old_run_is_watched(old, capsys):
    said(capsys, "watch", "cem", "--gif", "cem.gif")
    assert (old / "cem.gif").read_bytes()[:4] == b"GIF8"


# -- cards


def runs_its_python(folder, monkeypatch):
    """Run the block of code of a card, beside its files."""
    monkeypatch.chdir(folder)
    names = {}
    exec(re.search(r"```python\n(.*?)```", Path("README.md").read_text(), re.S)[1], names)  # noqa: S102 - our own card
    names["env"].reset(seed=0)
    assert names["env"].action_space.contains(names["action"])
    return names


def test_the_code_of_an_old_card_runs(old, monkeypatch):
    """It imports `config` and `environments` of pg_theano: both stay."""
    assert "from pg_theano import config, environments" in (old / "card" / "README.md").read_text()
    env = runs_its_python(old / "card", monkeypatch)["env"]
    assert env.observation_space.shape == (5,)  # the wrapper's feature
    assert not any(env.step(0)[3] for _ in range(7))


def test_an_old_run_has_a_card(old, capsys, monkeypatch):
    """Caught, when planted: a card without its policy; the code of another environment."""
    said(capsys, "card", "ppo-box", "--out", "new-card", "--episodes", 2, "--no-gif")
    assert {"README.md", "policy.npz", "config.yaml"} <= {path.name for path in (old / "new-card").iterdir()}
    assert runs_its_python(old / "new-card", monkeypatch)["env"].spec.id == "Pendulum-v1"


# -- searches


def test_an_old_search_goes_on(old, capsys):
    """Its three trials stand, and two more follow, those that the old version would have drawn."""
    trials = sorted((old / "search" / "trials").glob("*/*/result.json"))
    before = [path.read_bytes() for path in trials]
    words = ("--resume", "search", "--force", "--no-plot", "--json", "search.budget.trials=5")
    found, expected = json.loads(said(capsys, "search.__main__", *words)), EXPECTED["searched"]
    assert (found["status"], found["trials"], found["method"]) == ("budget", expected["trials"], "random")
    assert [path.read_bytes() for path in trials] == before
    assert found["score"] == pytest.approx(expected["score"], rel=1e-3)
    assert found["trial"] == expected["trial"]
    for knob, value in expected["params"].items():
        assert found["params"][knob] == pytest.approx(value), knob
    assert (old / "configs" / "best-search.yaml").is_file()


# -- imports


PUBLIC = """
import gymnasium, numpy
from pg_theano import config, environments
made = config.resolved({"environment": {"max_episode_steps": 7}}, ["algorithm.discount=0.9"], 3)
assert (made.config.seed, made.config.algorithm.discount) == (3, 0.9)
env = environments.single(made.config.environment, folders=["."])
env.reset(seed=0)
assert env.spec.max_episode_steps == 7
"""
REGISTERED = """
import gymnasium
import pg_theano.environments
for id in ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"):
    assert f"pg_theano/{id}" in gymnasium.registry, id
env = gymnasium.make("pg_theano/CartPole-v1")
assert env.reset(seed=0)[0].shape == (4,)
"""


@pytest.mark.parametrize(
    "code",
    [pytest.param(PUBLIC, id="named"), pytest.param(REGISTERED, id="registered", marks=pytest.mark.slow)],
)
def test_what_others_import_stays(code):
    """In a process of its own: nothing else has imported anything before."""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=300)
    assert done.returncode == 0, done.stderr
