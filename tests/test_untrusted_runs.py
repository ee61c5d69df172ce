"""Run folders from a stranger: what lies in them is neither written through, published nor called."""

import shutil

import pytest
from helpers_runs import ran, resumed, small

import pg_theano
from pg_theano import evaluate
from pg_theano.reports import model_card
from pg_theano.runs import checkpoints, curves, seeds
from pg_theano.system import writing
from pg_theano.types import UserError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a finished run, whose environment comes with Gymnasium."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    config = small(environment={"id": "CartPole-v1", "num_envs": 2}, gradients="by_hand", algorithm={"name": "vpg"})
    ran(config | {"budget": {"updates": 2}}, folder)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


# -- links


@pytest.mark.parametrize("read", [evaluate.evaluate, pg_theano.load, model_card.card, resumed])
def test_no_checkpoint_behind_a_link_is_read(read, run, tmp_path, monkeypatch):
    """Caught, when planted: `newest` looks through any folder of that name."""
    monkeypatch.chdir(tmp_path)
    (run / "checkpoints").rename(tmp_path / "elsewhere")
    (run / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="checkpoints: is a link"):
        read(run)


@pytest.mark.parametrize("name", ["result.json", "config.yaml"])
def test_a_card_publishes_no_file_behind_a_link(name, run, tmp_path, monkeypatch):
    """`result.json -> ~/.ssh/id_ed25519` was copied into the folder to upload. Caught, when planted: copyfile."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes((run / name).read_bytes())
    (run / name).unlink()
    (run / name).symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="is a link"):
        model_card.card(run, episodes=1, gif=False)
    assert not (tmp_path / "run-card").exists()


def test_a_card_publishes_no_plot_behind_a_link(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "run.png").symlink_to(run / "run.json")
    with pytest.raises(UserError, match="is a link"):
        model_card.card(run, episodes=1, gif=False)


def test_no_seed_behind_a_link_is_read(run, tmp_path):
    """Caught, when planted: `is_dir`, which follows it."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "seed-0").symlink_to(run)
    for read in (seeds.folders_of, curves.read_run):
        with pytest.raises(UserError, match="seed-0: is a link"):
            read(tmp_path / "set")


def test_no_link_can_be_laid_where_a_picture_is_drawn(tmp_path):
    """Its temporary name was that of the process. Caught, when planted: a name that can be guessed."""
    names = set()
    for _ in range(2):
        with writing.replacing(tmp_path / "a.png") as temporary:
            names.add(temporary.name)
            temporary.touch()
    assert len(names) == 2


# -- names and entries


@pytest.mark.parametrize("name", ["best-\u00b2", "update-\u0662", "best-" + "9" * 5_000])
def test_a_name_that_is_no_number_is_no_checkpoint(name, tmp_path):
    """`best-\u00b2.json` was a ValueError. Caught, when planted: `isdigit`."""
    try:
        (tmp_path / f"{name}.json").touch()
    except OSError:  # a name that no file can have
        return
    checkpoints.forget_after(tmp_path, 0)


def test_a_seed_that_is_no_number_has_no_number(tmp_path):
    """`seed-\u00b2` was a ValueError. Caught, when planted: `isdigit`."""
    for name in ("seed-\u00b2", "seed-1", "seed-" + "9" * 240):
        (tmp_path / name).mkdir()
    assert len(seeds.folders_of(tmp_path)) == 3
