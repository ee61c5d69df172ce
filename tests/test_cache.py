"""The compile cache as its command shows it, and what the bridge rests on."""

import json
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from helpers_graphs import KNOBS, initial_state, make_spec, pad, random_episodes

from pg_theano import cache, compiling


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """A cache folder of this test's own, with two artifacts in it and machine code."""
    monkeypatch.setenv("PG_THEANO_CACHE", str(tmp_path / "cache"))
    train_once(str(tmp_path / "cache"))
    return tmp_path / "cache"


def train_once(folder):
    """One update of a tiny program on a cache folder; its parameters."""
    import os

    os.environ["PG_THEANO_CACHE"] = folder
    spec = make_spec()
    program = compiling.load(spec, backend="jax", report=lambda what, seconds: None)
    rng = np.random.default_rng(0)
    rollout = pad(random_episodes(rng, [3, 5]), 2, 8)
    state, _ = program.train(initial_state(spec, rng), rollout, KNOBS)
    return np.asarray(state["params"]).tobytes()


def test_the_command_lists_sizes_and_clears(filled, capsys):
    """Caught, when planted: a size left at 0; machine code left behind."""
    assert cache.main(["--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["function"] for row in shown["artifacts"]] == ["train-T8"]
    assert "reinforce" in shown["artifacts"][0]["about"]
    assert shown["artifacts"][0]["bytes"] == sum(p.stat().st_size for p in filled.glob("artifacts/*.stablehlo"))
    assert shown["folder"] == str(filled)
    (filled / "mine.txt").write_text("not ours")
    assert cache.main(["--clear"]) == 0
    assert "cleared" in capsys.readouterr().out
    assert sorted(path.name for path in filled.iterdir()) == ["mine.txt"]
    assert cache.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["artifacts"] == []


def test_a_damaged_artifact_is_listed_as_such(filled, capsys):
    (path,) = filled.glob("artifacts/*.stablehlo")
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.main([]) == 0
    assert "damaged" in capsys.readouterr().out


@pytest.mark.slow
def test_processes_that_start_at_once_share_one_empty_folder(tmp_path):
    """Four of them build, write and read the same artifacts: no clash, and the same parameters bit for bit."""
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(train_once, [str(tmp_path / "shared")] * 4))
    assert len(set(results)) == 1
    assert not list((tmp_path / "shared").rglob("*.tmp"))


def test_pytensors_function_still_gives_its_jax_function():
    """The one private attribute that the bridge uses. If this fails, PyTensor has moved it: mend `compiling._export`."""
    import pytensor
    import pytensor.tensor as pt

    x = pt.vector("x", dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = pytensor.function([x], [2 * x], mode=compiling._few_rewrites())
    assert hasattr(compiled, "vm"), "a compiled PyTensor function has no `vm` any more"
    assert hasattr(compiled.vm, "jit_fn"), "the `vm` of a function compiled for JAX has no `jit_fn` any more"
    assert np.allclose(compiled.vm.jit_fn(np.ones(3, "float32"))[0], 2)
