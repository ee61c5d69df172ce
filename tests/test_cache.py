"""The compile cache as its command shows it, and what the bridge rests on."""

import json
import os
import time
import warnings

import numpy as np
import pytest
from helpers_graphs import KNOBS, initial_state, make_spec, pad, random_episodes

from pg_theano import cache
from pg_theano.compiler import building, cached
from pg_theano.compiler import program as compiling
from pg_theano.system import writing


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """A cache folder of this test's own, with two artifacts in it and machine code."""
    monkeypatch.setenv("PG_THEANO_CACHE", str(tmp_path / "cache"))
    train_once(str(tmp_path / "cache"))
    return tmp_path / "cache"


def train_once(folder):
    """One update of a tiny program on a cache folder; its parameters."""
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


def test_damaged_machine_code_is_compiled_anew_and_says_so(filled, capsys):
    """A flipped bit in every file, or a cut: the same numbers, one warning a file, and whole files again.

    Caught, when planted: JAX's own cache left in place (which compiles anew, but keeps the damaged file for ever, and
    with zstandard installed loads it); the seal not compared; a file that is there not written again.
    """
    files = sorted(filled.glob("xla/*"))
    assert files and all(path.read_bytes().startswith(cached.MAGIC) for path in files)
    before = {path: path.read_bytes() for path in files}
    expected = train_once(str(filled))
    assert capsys.readouterr().err == ""
    for damage in (lambda code: code[:-7] + bytes([code[-7] ^ 4]) + code[-6:], lambda code: code[: len(code) // 2]):
        for path, content in before.items():
            path.write_bytes(damage(content))
        assert train_once(str(filled)) == expected
        warned = capsys.readouterr().err.splitlines()
        read = [path for path in files if path.read_bytes() != damage(before[path])]
        assert sorted(warned) == [f"warning: {path}: damaged; compiling it anew" for path in read]
        assert read
        assert all(cached.MachineCode(lambda: filled / "xla", print).get(path.name) for path in read)


def test_machine_code_under_anothers_name_is_damaged(tmp_path):
    """Caught, when planted: a seal over the content alone."""
    said = []
    cache = cached.MachineCode(lambda: tmp_path, said.append)
    cache.put("one", b"code\nof one")
    assert cache.get("one") == b"code\nof one"
    assert cache.get("two") is None
    (tmp_path / "one").rename(tmp_path / "two")
    assert cache.get("two") is None
    assert said == [f"{tmp_path / 'two'}: damaged; compiling it anew"]


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path):
    """Caught, when planted: the error raised into JAX, which reports it as its own."""
    (tmp_path / "file").write_text("")
    said = []
    cached.MachineCode(lambda: tmp_path / "file", said.append).put("key", b"code")
    assert said == [f"{tmp_path / 'file'}: File exists; nothing is kept for the next run"]


def test_what_a_killed_writer_left_is_cleared_and_a_live_ones_is_not(tmp_path):
    """Caught, when planted: never cleared; a writer of this moment robbed of its file."""
    for name, age in (("old.tmp", 2 * writing.STALE), ("new.tmp", 0.0)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    cached.write_whole(tmp_path / "file", b"content")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "new.tmp"]


def test_pytensors_function_still_gives_its_jax_function():
    """The one private attribute that the bridge uses. If this fails, PyTensor has moved it: mend `backends.JaxFunctions._export`."""
    import pytensor
    import pytensor.tensor as pt

    x = pt.vector("x", dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = pytensor.function([x], [2 * x], mode=building.few_rewrites())
    assert hasattr(compiled, "vm"), "a compiled PyTensor function has no `vm` any more"
    assert hasattr(compiled.vm, "jit_fn"), "the `vm` of a function compiled for JAX has no `jit_fn` any more"
    assert np.allclose(compiled.vm.jit_fn(np.ones(3, "float32"))[0], 2)
