"""The model card of a run."""

import re

import numpy as np
import pytest
import yaml
from helpers_runs import command, ran, small

import pg_theano
from pg_theano import card
from pg_theano.config import reading
from pg_theano.reports import model_card
from pg_theano.runs import folder as runs
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "lengths"
    ran(small(gradients="by_hand", algorithm={"name": "vpg"}), folder)
    return folder


def parts_of(text):
    """(the front matter as data, the Markdown after it)."""
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_a_folder_ready_to_upload(run, tmp_path):
    """The figure is the evaluation's, and what the card says can be done is done. Caught, when planted: the standard
    error for the standard deviation; the last checkpoint's policy instead of the best one's."""
    code, out, error = command("card", run, "--out", tmp_path / "c", "--episodes", 20)
    assert code == 0 and "wrote" in out
    assert all(line.startswith("imports probe_environments:Lengths-v0 from") for line in error.splitlines())
    front, body = parts_of((tmp_path / "c" / "README.md").read_text())
    judged = pg_theano.evaluate.evaluate(run, episodes=20)
    figure = f"{judged['mean']:.2f} +/- {judged['std']:.2f}"
    (result,) = front["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "mean_reward", "value": figure, "name": "mean_reward", "verified": False}]
    assert front["library_name"] == "pg_theano" and "reinforcement-learning" in front["tags"]
    assert figure in body
    obs = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_array_equal(pg_theano.load(tmp_path / "c" / "policy.npz")(obs), pg_theano.load(run)(obs))
    assert (tmp_path / "c" / "config.yaml").read_bytes() == (run / "config.yaml").read_bytes()
    for name in re.findall(r"\]\((\S+?)\)", body):
        assert (tmp_path / "c" / name).is_file()


@pytest.mark.slow
def test_the_gif_and_the_plot_stand_in_it(tmp_path):
    ran(small(environment={"id": "CartPole-v1"}, gradients="by_hand", algorithm={"name": "vpg"}), tmp_path / "r")
    folder = card.card(tmp_path / "r", tmp_path / "c", episodes=2)
    assert (folder / "replay.gif").read_bytes()[:4] == b"GIF8"
    assert "![An episode](replay.gif)" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("environment", "has"),
    [
        ({"id": "CartPole-v1"}, lambda env: env.spec.max_episode_steps == 500),
        ({"id": "CartPole-v1", "max_episode_steps": 7}, lambda env: env.spec.max_episode_steps == 7),
        ({"id": "CartPole-v1", "kwargs": {"sutton_barto_reward": True}}, lambda env: env.step(0)[1] == 0.0),
        ({"id": "probe_environments:Lengths-v0"}, lambda env: env.spec.id == "Lengths-v0"),
        (
            {"id": "CartPole-v1", "max_episode_steps": 7, "wrappers": ["gymnasium.wrappers:TimeAwareObservation"]},
            lambda env: env.observation_space.shape == (5,) and sum(not env.step(0)[3] for _ in range(7)) == 6,
        ),
    ],
    ids=["as it is", "time limit", "kwargs", "module", "wrappers"],
)
def test_the_card_says_how_to_make_its_environment(environment, has, tmp_path, monkeypatch):
    """In its own folder. Caught, when planted: kwargs, time limit, wrappers or the module left out."""
    data = small(environment=environment, gradients="by_hand", algorithm={"name": "vpg"}, budget={"updates": 1})
    ran(data, tmp_path / "r")
    folder = card.card(tmp_path / "r", tmp_path / "c", episodes=1, gif=False)
    monkeypatch.chdir(folder)
    _, body = parts_of((folder / "README.md").read_text())
    names = {}
    exec(re.search(r"```python\n(.*?)```", body, re.S)[1], names)  # noqa: S102 - our own card
    assert names["env"].action_space.contains(names["action"])
    names["env"].reset(seed=0)
    assert has(names["env"])


def test_what_a_run_is_called_stays_text():
    """Caught, when planted: an id as it is in a cell, a knob that ends the block of code."""
    made = reading.from_dict(
        {"environment": {"id": "a:b<script>alert(1)</script>|c](x)`*_", "kwargs": {"k": "```\n# no"}}}
    )
    judged = {"mean": 1.0, "std": 0.5, "n": 3, "seed": 0}
    text = model_card.card_of("run", made, {"spec": {"num_params": 3}}, judged, {}, {"plot": None, "gif": None})
    front, body = parts_of(text)
    prose, block = body.split("<details>")
    outside = re.sub(r"```.*?```", "", prose, flags=re.S)
    assert "<script" not in outside and "](x)" not in outside.replace("\\]", "")
    assert all(line.count("|") == 3 for line in outside.splitlines() if line.startswith("| "))
    assert front["tags"][0].startswith("b<script>")  # data, in YAML's own quotes
    fence = re.search(r"\n(`{3,})yaml\n", block)[1]
    assert block.count(fence) == 2 and len(fence) == 4


def test_no_run_and_a_folder_that_is_not_empty_are_refused(run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(UserError, match="not empty"):
        card.card(run, tmp_path / "full", episodes=1, gif=False)
    with pytest.raises(UserError, match="no run folder"):
        card.card(tmp_path / "nothing", tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_run_without_an_end_has_a_card(run, tmp_path):
    import shutil

    shutil.copytree(run, tmp_path / "stopped")
    (tmp_path / "stopped" / "result.json").unlink()
    folder = card.card(tmp_path / "stopped", tmp_path / "c", episodes=1, gif=False)
    text, counters = (folder / "README.md").read_text(), runs.trained(run).checkpoint.facts["counters"]
    assert f"{counters['env_steps']:,} when this policy was kept; the run was killed later" in text
    assert f"pg_theano.train config.yaml budget.updates={counters['updates']} --run-dir" in text
    assert runs.read_run(tmp_path / "stopped")
