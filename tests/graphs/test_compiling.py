"""The bridge: few sizes, one compilation, artifacts that are used when they are good and only then."""

import contextlib
import gc
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import helpers_graphs as by_definition
import numpy as np
import pytest
from helpers_graphs import KNOBS

from pg_theano.compiler import building, cached
from pg_theano.compiler import program as compiling
from pg_theano.system import collector
from pg_theano.types import UserError


def key_of(spec):
    return cached.key_of(spec.module, spec)


TESTS = Path(by_definition.__file__).parent


def small(**changes):
    return by_definition.make_spec(**{"hidden": (), "time_limit": 2, "max_steps": 2, "obs_size": 1} | changes)


def rollout():
    rng = np.random.default_rng(0)
    return by_definition.pad(by_definition.random_episodes(rng, [2, 1], obs_size=1), 2, 2)


def one_update(spec, backend="jax", knobs=KNOBS):
    """(parameters after one update, what was reported)."""
    reports = []
    program = compiling.load(spec, backend=backend, report=lambda what, _: reports.append(what))
    state, _ = program.train(program.init(np.random.default_rng(0)), rollout(), knobs)
    return np.asarray(state["params"]), reports


def found(reports):
    """Whether all came from the cache: no graph was built."""
    return not any("graph" in line for line in reports) and all("from the cache" in line for line in reports)


# -- sizes


@pytest.mark.parametrize(
    ("steps", "limit", "expected"),
    [
        (1, None, 64), (64, None, 64), (65, None, 128), (500, None, 512), (1000, None, 1024),
        (1, 500, 64), (64, 500, 64), (65, 500, 128), (257, 500, 500), (500, 500, 500),
        (1, 10, 10), (10, 10, 10), (1, 64, 64), (100, 100, 100), (65, 100, 100), (1, 1, 1),
    ],
)  # fmt: skip
def test_the_ladder_of_timesteps(steps, limit, expected):
    """64, 128, … up to the time limit. Caught, when planted: < for ≤ (an exact fit doubled); the limit ignored."""
    assert compiling.bucket(steps, limit) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (16, 16), (17, 32), (65536, 65536), (65537, 131072)],
)
def test_the_next_power_of_two(number, expected):
    """Caught, when planted: powers of two doubled."""
    assert compiling.power_of_two(number) == expected


# -- the cache


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """(cache folder with what `small()` needs, the parameters after one update)."""
    folder = tmp_path_factory.mktemp("kept")
    built, build = [], building.pytensor_function
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PG_THEANO_CACHE", str(folder))
        patch.setattr(building, "pytensor_function", lambda *given: built.append(gc.get_threshold()) or build(*given))
        params, reports = one_update(small())
    assert not found(reports)
    assert len(built) == 1 and built[0] > gc.get_threshold()  # the collector comes seldom meanwhile
    return folder, params


@pytest.fixture
def cache(kept, tmp_path, monkeypatch):
    """(the artifact of `train` in a cache of this test's own, the right result)."""
    folder = tmp_path / "cache"
    shutil.copytree(kept[0] / "artifacts", folder / "artifacts")
    monkeypatch.setenv("PG_THEANO_CACHE", str(folder))
    (artifact,) = (folder / "artifacts").glob("*train*")
    return artifact, kept[1]


FRESH = """
import json, sys
import numpy as np
import test_compiling as t
from pg_theano.compiler import program
params, reports = t.one_update(t.small())
loaded = sorted(n for n in sys.modules if n.split(".")[0] == "pytensor" or n.startswith("pg_theano.graphs"))
print(json.dumps({"params": params.tolist(), "reports": reports, "loaded": loaded}))
"""


def in_a_fresh_process(folder, code=FRESH, **environment):
    path = [str(Path(compiling.__file__).parents[2]), str(TESTS), str(TESTS / "graphs")]
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PG_THEANO_CACHE": str(folder), "PYTHONPATH": os.pathsep.join(path)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_a_process_that_finds_everything_imports_no_pytensor(kept):
    """Neither PyTensor nor `graphs/`, and the same numbers bit for bit.

    Caught, when planted: an import of PyTensor at the top of compiling.py; of graphs in acting.py; a key that differs
    from process to process (`hash`).
    """
    done = in_a_fresh_process(kept[0])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["loaded"] == []
    assert found(told["reports"])
    assert told["params"] == kept[1].tolist()
    assert done.stderr == ""


def test_what_was_prepared_is_what_is_called(cache):
    """`prepare` compiles ahead, and once. Caught, when planted: prepared under another key (compiled twice)."""
    reports = []
    program = compiling.load(small(), backend="jax", report=lambda what, _: reports.append(what))
    program.prepare([("train", 2, 2), ("train", 2, 2)])
    for _ in range(2):
        state, _ = program.train(program.init(np.random.default_rng(0)), rollout(), KNOBS)
        assert np.asarray(state["params"]).tolist() == cache[1].tolist()
    assert len([report for report in reports if "to machine code" in report]) == 1


def flipped(data):
    middle = len(data) - len(data) // 3
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES = {
    "one bit flipped": flipped,
    "a bit flipped in the manifest": lambda data: data.replace(b'"finite"', b'"finitf"', 1),
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "JSON of somebody else": lambda data: b'{"a": 1}\n',
    "JSON that is no mapping": lambda data: b"[1]\n" + data,
    "not text": lambda data: b"\xff\x00" + data,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_artifact_is_a_miss_with_a_warning(cache, capfd, damage, monkeypatch):
    """One line on stderr that names the file, built anew, kept anew.

    Caught, when planted: no checksum; a checksum over the payload alone; an exception for what is no JSON.
    """
    artifact, expected = cache
    good = artifact.read_bytes()
    artifact.write_bytes(DAMAGES[damage](good))
    assert artifact.read_bytes() != good
    if damage != "one bit flipped":  # building takes a second: once is enough
        assert cached.read(artifact, key_of(small())) is None
        lines = capfd.readouterr().err.splitlines()
    else:
        params, reports = one_update(small())
        assert params.tolist() == expected.tolist()
        assert not found(reports)
        lines = capfd.readouterr().err.splitlines()
        assert found(one_update(small())[1])
    assert len(lines) == 1
    assert lines[0].startswith(f"warning: {artifact}: damaged")


def test_an_artifact_under_another_specs_name_is_a_miss(cache, capfd):
    """Caught, when planted: the key not compared with the one inside."""
    artifact, _ = cache
    assert cached.read(artifact, key_of(small())) is not None
    assert cached.read(artifact, key_of(small(activation="relu"))) is None
    assert "not ours" in capfd.readouterr().err


def test_what_jax_cannot_read_is_a_miss_with_a_warning(cache, capfd):
    """A good checksum over bytes that are no artifact. Caught, when planted: deserialize's exception let through."""
    artifact, expected = cache
    manifest, _ = cached.read(artifact, key_of(small()))
    cached.write(artifact, manifest, b"no artifact")
    params, reports = one_update(small())
    assert params.tolist() == expected.tolist()
    assert not found(reports)
    assert "not readable by this JAX" in capfd.readouterr().err


def test_knobs_hit_and_shapes_miss(cache):
    """Another learning rate is another result from the same artifact; another width is another key, and so is every
    choice that shapes the graph. Caught, when planted: a part of the spec left out of the key.
    """
    artifact, expected = cache
    params, reports = one_update(small(), knobs=KNOBS | {"learning_rate": 0.2})
    assert found(reports)
    assert not np.array_equal(params, expected)
    own = key_of(small())
    assert artifact.name.startswith(own[:32])
    assert key_of(small()) == own
    others = [
        small(hidden=(2,)),
        small(hidden=(3,)),
        small(num_actions=2),
        small(activation="relu"),
        small(signal="reward"),
        small(baseline="running_mean"),
        small(standardize_advantages=True),
        small(average="episodes"),
        small(exploration="epsilon_softmax"),
        small(optimizer="adam"),
        small(clips_gradient=True),
        small(normalize_observations=True),
        small(dtype="float32"),
        small(max_steps=3),
        small(dynamics="CartPole-v1", chunk=8),
    ]
    keys = [key_of(spec) for spec in others]
    assert len({own, *keys}) == len(others) + 1


def test_another_start_is_the_same_graph():
    """A search over initial values compiles nothing. Caught, when planted: initialisers in the key."""
    spec = small()
    other = by_definition.changed(
        spec, layout=[[name, list(shape), ["constant", 0.5]] for name, shape, _ in spec.acting.layout]
    )
    assert key_of(other) == key_of(spec)


@pytest.mark.parametrize(
    "path",
    [
        "graphs/algorithms/reinforce.py",
        "graphs/common.py",
        "graphs/objectives.py",
        "graphs/environments/cartpole.py",
        "compiler/functions.py",
        "compiler/building.py",
        "compiler/program.py",
        "layers/plain.py",
        "parameters.py",
        "types.py",
    ],
)
def test_a_changed_source_is_another_key(tmp_path, monkeypatch, path):
    """Whatever a graph is built from is in the key. Caught, when planted: the folder of environments left out."""
    package = tmp_path / "pg_theano"
    shutil.copytree(Path(cached.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cached, "__file__", str(package / "compiler" / "cached.py"))
    forgotten()  # as another process finds it
    before = key_of(small())
    with (package / path).open("a") as file:
        file.write("\n# a change\n")
    forgotten()
    found = key_of(small())
    forgotten()
    assert found != before


def forgotten():
    cached.sources.cache_clear()
    cached.surroundings.cache_clear()


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_costs_a_warning_and_nothing_else(kept, tmp_path):
    """A folder under a regular file: even root cannot make it. Caught, when planted: an exception let through."""
    (tmp_path / "file").write_text("in the way")
    done = in_a_fresh_process(tmp_path / "file" / "cache")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["params"] == kept[1].tolist()
    assert not found(told["reports"])
    assert "nothing is kept for the next run" in done.stderr
    assert "Traceback" not in done.stderr


# -- what building leaves out


def test_the_collector_is_as_it_was_after_an_error():
    """Caught, when planted: no `finally`."""
    before = gc.get_threshold()
    with contextlib.suppress(ZeroDivisionError), collector.seldom():
        assert gc.get_threshold() > before
        1 / 0
    assert gc.get_threshold() == before


def test_rewrites_left_out_are_there_and_change_no_graph_of_ours(cache, monkeypatch):
    """They give the same StableHLO. Caught, when planted: a name with a typing error; `local_dimshuffle_lift` left out."""
    artifact, _ = cache
    import jax.export
    from pytensor.compile.mode import optdb

    def program():
        exported = jax.export.deserialize(bytearray(cached.read(artifact, key_of(small()))[1]))
        return re.sub(r"loc\(.*?\)|#loc.*", "", exported.mlir_module()).split()

    known = {name for stage in ("canonicalize", "stabilize", "specialize") for name in optdb[stage].__db__}
    assert set(building._OF_SPECIAL_MATRICES) <= known
    without = program()
    artifact.unlink()
    monkeypatch.setattr(building, "_OF_SPECIAL_MATRICES", [])
    one_update(small())
    assert program() == without


# -- the other backends


def three_updates(spec, backend):
    program = compiling.load(spec, backend=backend, report=lambda *_: None)
    rng, state, told = np.random.default_rng(1), program.init(np.random.default_rng(0)), []
    for _ in range(3):
        episodes = by_definition.random_episodes(rng, [2, 1], obs_size=1)
        state, metrics = program.train(state, by_definition.pad(episodes, 2, 2), KNOBS)
        told.append(({name: np.asarray(value) for name, value in state.items()}, metrics))
    return told


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numba", "c"])
def test_backends_learn_the_same(backend):
    """State and metrics of the first three updates, against JAX. Caught, when planted: float32 constants."""
    if backend == "c" and not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("no C++ compiler")
    if backend == "numba":
        pytest.importorskip("numba")
    spec = small(hidden=(2,), optimizer="adam", baseline="mean_so_far", exploration="epsilon_softmax")
    building.import_pytensor()
    import pytensor

    with pytensor.config.change_flags(gcc__cxxflags="-O0"):  # 61 modules: 58 s of CPU instead of 79 where none is kept
        learned = three_updates(spec, backend)
    for (state, metrics), (expected, expected_metrics) in zip(learned, three_updates(spec, "jax"), strict=True):
        assert set(state) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(state[name], value, rtol=0, atol=1e-10, err_msg=name)
        for name, value in expected_metrics.items():
            np.testing.assert_allclose(metrics[name], value, rtol=0, atol=1e-10, err_msg=name)


def test_backend_c_without_a_compiler_is_an_error_of_one_line(monkeypatch, tmp_path):
    """Caught, when planted: the check left out (PyTensor warns and takes minutes in Python)."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^backend: got c, but no C\+\+ compiler") as raised:
        compiling.load(small(), backend="c", report=lambda *_: None)
    assert "\n" not in str(raised.value)
