"""What is kept of compiling is run by jaxlib alone: without JAX, with the same bits, or by JAX where that cannot be."""

import copy
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers_runs import assert_equal_runs, ran

from pg_theano.compiler import building, cached, lowering, runtime
from pg_theano.spec.smaller import Stepped

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import shipped

OPTIMISED = False  # see conftest.machine_code

DISCRETE = {
    "environment": {"num_envs": 4, "max_episode_steps": 125},
    "policy": {"hidden": [4]},
    "evaluation": {"episodes": 4, "every_updates": 2},
    "budget": {"updates": 4},
}
WIDE = {
    "dtype": "float64",
    "environment": {"id": "Pendulum-v1", "num_envs": 4},
    "algorithm": {"name": "ppo", "num_steps": 16, "num_epochs": 2, "num_minibatches": 2},
    "policy": {"hidden": [8], "activation": "tanh"},
    "evaluation": {"episodes": 2, "every_updates": 2},
    "budget": {"updates": 4},
}
AGENTS = DISCRETE | {"runs": 2, "agents_per_process": 2}

THIRD_PARTY = {"numpy", "yaml", "gymnasium", "cloudpickle", "farama_notifications", "jaxlib", "ml_dtypes", "pg_theano"}
THIRD_PARTY |= {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
PLOTTING = {"matplotlib", "PIL", "pyparsing", "cycler", "dateutil", "kiwisolver", "packaging", "six"}

IMPORTED = """
import sys
before = {name.partition(".")[0] for name in sys.modules}
from pg_theano import train
assert train.main(sys.argv[1:]) == 0
found = {name.partition(".")[0] for name in sys.modules} - before - set(sys.stdlib_module_names) - {"cython_runtime"}
print(*sorted(name for name in found if not name.startswith("_")), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory, machine_code):
    """A cache of this module's own, empty at first."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PG_THEANO_CACHE", str(folder))
        yield folder


def test_jaxlib_alone_is_enough_here():
    """On each jaxlib that we support, or its runs are slower to start. Caught, when planted: an attribute that is not
    there; a plug-in of another package taken for a device's."""
    assert runtime.is_enough()


@pytest.mark.parametrize("config", [DISCRETE, WIDE, AGENTS], ids=["discrete", "float64", "agents together"])
def test_the_same_bits_as_with_jax(cache, tmp_path, config, monkeypatch):
    """Compiled and kept, read from there, and by JAX: one run, three times. Caught, when planted: float32 for float64 as
    arrays go in; outputs in another order; results that are overwritten by the next call."""
    compiled, kept, by_jax = (tmp_path / name for name in ("compiled", "kept", "by-jax"))
    ran(config, compiled)
    with monkeypatch.context() as patch:
        patch.setattr(lowering, "begun", lambda: pytest.fail("JAX was begun"))
        ran(config, kept)
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "is_enough", lambda: False)
        ran(config, by_jax)
    for one in (kept, by_jax):
        for part in ("seed-0", "seed-1") if "runs" in config else ("",):
            assert_equal_runs(compiled / part, one / part)


def test_what_a_warm_run_imports(cache, tmp_path):
    """No JAX, no PyTensor, no SciPy, and Matplotlib only for a plot. Caught, when planted: `import jax` in runtime.py; a
    plot drawn by pyplot."""
    words = ["budget.updates=1", "evaluation.episodes=2", "--run-dir"]
    path = os.pathsep.join([str(Path(cached.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])

    def imported(name, *more):
        done = subprocess.run(
            [sys.executable, "-c", IMPORTED, *words, tmp_path / name, *more],
            env=os.environ | {"PYTHONPATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return set(done.stderr.splitlines()[-1].split())

    assert "jax" in imported("cold", "--no-plot")
    assert imported("warm", "--no-plot") <= THIRD_PARTY
    assert imported("plotted") - THIRD_PARTY <= PLOTTING | {"mpl_toolkits", "fontTools"}


@pytest.mark.parametrize(
    ("variables", "installed", "enough"),
    [
        ({}, [], True),
        ({"JAX_PLATFORMS": "cpu"}, ["jax_plugins"], True),
        ({"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}, [], True),
        ({"JAX_PLATFORMS": "cuda"}, [], False),
        ({"JAX_PLATFORMS": "cpu,cuda"}, [], False),
        ({"JAX_DEBUG_NANS": "1"}, [], False),
        ({}, ["jax_plugins"], False),
        ({}, ["libtpu"], False),
    ],
)
def test_where_jax_decides(variables, installed, enough, monkeypatch):
    """Caught, when planted: variables not looked at; a plug-in not looked for."""
    for name in [name for name in os.environ if name.startswith("JAX_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: name if name in installed else None)
    runtime._only_cpu.cache_clear()
    found = runtime.is_enough()
    runtime._only_cpu.cache_clear()
    assert found is enough


def test_a_jaxlib_without_what_it_takes(monkeypatch):
    """JAX does it all. Caught, when planted: the AttributeError let through."""
    from jaxlib import xla_client

    monkeypatch.delattr(xla_client, "array_result_handler")
    monkeypatch.delattr(xla_client, "batched_device_put", raising=False)
    monkeypatch.delattr("jaxlib._jax.batched_device_put")
    runtime._machine.cache_clear()
    found = runtime.is_enough()
    runtime._machine.cache_clear()
    assert not found


def sealed(folder):
    return [path for path in sorted((folder / "xla").iterdir()) if re.fullmatch("[0-9a-f]{64}", path.name)]  # not JAX's


def test_machine_code_of_another_jaxlib_is_compiled_anew(cache, tmp_path, capfd):
    """Sealed, and not readable. Caught, when planted: the exception let through; an empty file taken for code."""
    ran(DISCRETE, tmp_path / "first")
    assert sealed(cache)
    for path in sealed(cache):
        cached.machine_code().put(path.name, b'{"takes": [], "gives": []}\nno code')
    ran(DISCRETE, tmp_path / "second")
    assert "not readable by this jaxlib" in capfd.readouterr().err
    assert_equal_runs(tmp_path / "first", tmp_path / "second")
    ran(DISCRETE, tmp_path / "third")
    assert capfd.readouterr().err == ""


def test_what_determines_machine_code_is_in_its_key(monkeypatch):
    """Caught, when planted: each of them left out."""
    monkeypatch.setattr(lowering, "_flags", [])
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    first = lowering.key_of("a", "train-T64", {"E": 4})
    assert lowering.key_of("a", "train-T64", {"E": 4}) == first
    others = [
        lowering.key_of("b", "train-T64", {"E": 4}),
        lowering.key_of("a", "train-T128", {"E": 4}),
        lowering.key_of("a", "train-T64", {"E": 8}),
    ]
    for change in (
        lambda patch: patch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true"),
        lambda patch: patch.setattr(lowering, "_flags", ["--xla_cpu_enable_fast_math=false"]),
        lambda patch: patch.setenv(lowering._HASTE, "0"),
        lambda patch: patch.setattr(lowering.versions, "features", lambda: "another"),
    ):
        with monkeypatch.context() as patch:
            change(patch)
            others.append(lowering.key_of("a", "train-T64", {"E": 4}))
    assert len({first, *others}) == 1 + len(others)


def test_what_is_shipped_has_a_key_for_each_module_and_spec():
    """Caught, when planted: each left out."""
    specs = [Stepped("a:Task", None, dtype) for dtype in ("float32", "float64")]
    assert len({cached.meaning_of(module, spec) for module in ("one", "other") for spec in specs}) == 4


def test_an_option_that_xla_has_no_longer_is_left_out(monkeypatch):
    """As on jaxlib 0.12, where haste has one option less. Caught, when planted: the error let through; tried for ever."""
    import jax

    monkeypatch.setattr(lowering, "_unknown", set())
    lowered = jax.jit(lambda x: x + 1).lower(np.float32(1))
    run = lowering._with_known(lowered, lowering._OPTIONS | {"xla_cpu_gone": 1, "xla_cpu_gone_too": True})
    assert run(np.float32(1)) == 2
    assert lowering._unknown == {"xla_cpu_gone", "xla_cpu_gone_too"}
    with pytest.raises(Exception, match="invalid"):
        lowering._with_known(lowered, {"xla_cpu_prefer_vector_width": "invalid"})


def test_results_are_numpys_to_read():
    """Caught, when planted: a copy in float64; sizes compared in place of shapes."""
    machine = runtime._machine(runtime.starting.count)
    aval = runtime._Aval("float32", (2, 3))
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    kept = runtime.Kept(machine, aval, machine.put(aval, numbers))
    assert np.asarray(kept).tolist() == numbers.tolist()
    assert np.asarray(kept, np.float64).dtype == np.float64
    copied = np.array(kept)
    assert copied.flags.writeable and copied.dtype == np.float32
    assert (kept.shape, kept.ndim, kept.size, len(kept), kept.dtype) == ((2, 3), 2, 6, 2, np.float32)
    assert kept[1].tolist() == [3, 4, 5]
    assert machine.put(aval, kept) is kept.held
    for twin in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):  # noqa: S301
        assert isinstance(twin, np.ndarray)
        assert twin.tolist() == kept[:].tolist()
    with pytest.raises(TypeError, match="shape"):
        machine.put(runtime._Aval("float32", (3, 2)), kept)
    with pytest.raises(TypeError, match="shape"):
        machine.put(aval, numbers.T)


def test_a_small_array_is_handed_over_once():
    """Another of equal bytes is the one that is held, as it was; what is new each time is not looked up for ever.
    Caught, when planted: held without a copy; looked up without its type; misses not counted, or never forgotten."""
    machine = runtime._machine(runtime.starting.count)
    machine.small.clear()
    bytes_of = np.zeros(64 + 16, np.uint8)
    aligned = bytes_of[-bytes_of.ctypes.data % 64 :][:16]  # where XLA reads in place
    aval, numbers = runtime._Aval("float32", (4,)), aligned.view(np.float32)
    numbers[:] = np.arange(4)
    held = machine.put(aval, numbers)
    numbers += 1
    assert np.asarray(memoryview(held)).tolist() == [0, 1, 2, 3]
    assert machine.put(aval, np.arange(4)) is held
    assert machine.put(aval, numbers) is not held
    zeros = [machine.put(runtime._Aval(dtype, (4,)), np.zeros(4)) for dtype in ("float32", "int32")]
    assert [np.asarray(memoryview(zero)).dtype for zero in zeros] == [np.float32, np.int32]
    for number in range(runtime._MOST_SMALL - 1):
        machine.put(aval, np.full(4, 100.0 + number))
    assert machine.put(aval, np.full(4, 100.0 + number)) is machine.put(aval, np.full(4, 100.0 + number))
    for number in range(runtime._MOST_SMALL + 1):
        machine.put(aval, np.full(4, 900.0 + number))
    assert machine.put(aval, numbers) is not machine.put(aval, numbers)
    assert len(machine.small) <= runtime._MOST_SMALL


@pytest.mark.slow
def test_what_is_shipped_needs_no_pytensor_and_is_what_is_built(tmp_path, monkeypatch, capfd):
    """The wheel's artifacts are those built here, byte for byte; a first run takes them, builds nothing, and is the same
    run. Caught, when planted: the versions in their key."""
    words = ["budget.updates=2", "evaluation.episodes=2", "evaluation.every_updates=2"]
    config = {"budget": {"updates": 2}, "evaluation": {"episodes": 2, "every_updates": 2}}
    made = shipped.fill(tmp_path / "shipped", [words])
    monkeypatch.setenv("PG_THEANO_CACHE", str(tmp_path / "built"))
    ran(config, tmp_path / "anew")
    own = sorted((tmp_path / "built" / "artifacts").glob("*.stablehlo"))
    assert [path.read_bytes().partition(b"\n")[2] for path in sorted(own, key=by_function)] == [
        path.read_bytes().partition(b"\n")[2] for path in sorted(made, key=by_function)
    ]
    monkeypatch.setattr(cached, "SHIPPED", str(tmp_path / "shipped"))
    monkeypatch.setenv("PG_THEANO_CACHE", str(tmp_path / "empty"))
    with monkeypatch.context() as patch:
        patch.setattr(building, "build", lambda *given: pytest.fail("a graph was built"))
        patch.setattr(cached, "surroundings", lambda: b"other versions")
        ran(config, tmp_path / "first")
    assert_equal_runs(tmp_path / "anew", tmp_path / "first")
    for path in made:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    monkeypatch.setenv("PG_THEANO_CACHE", str(tmp_path / "again"))
    ran(config, tmp_path / "damaged")
    assert "damaged" in capfd.readouterr().err
    assert_equal_runs(tmp_path / "anew", tmp_path / "damaged")


def by_function(path):
    return path.name.partition("-")[2]
