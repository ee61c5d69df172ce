"""What the tests share: a cache of compiled code that outlives them, and probe environments on the path."""

import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "search"), str(HERE / "museum")]

# BLAS's threads, which it counts as NumPy is imported, wait for each other where tests run on every core: 14 s of CPU for
# 2 s of PPO by hand.
from helpers_forking import ONE_THREAD  # noqa: E402

with pytest.MonkeyPatch.context() as one_thread:
    for name, number in ONE_THREAD.items():
        one_thread.setenv(name, number)
    import numpy  # noqa: F401

hypothesis.settings.register_profile("no clock", deadline=None)  # a busy machine is no fault
if hypothesis.settings.get_current_profile_name() == "default":
    hypothesis.settings.load_profile("no clock")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c():
    """Ctrl-C is heard, by what the tests start too: a shell has its background jobs ignore it, and they inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """One cache for the whole session and all its processes, the caller's where one is set: compiling takes longer than
    what is tested. And bytecode, as users have it: else each process that is started compiles us anew, in 0.26 s."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if not os.environ.get("PG_THEANO_CACHE"):
        folder = os.environ["PG_THEANO_CACHE"] = tempfile.mkdtemp(prefix="pg-theano-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    if not os.environ.get("PYTENSORRC"):  # it notes for every node who made it, for messages: a fifth of its time
        handle, os.environ["PYTENSORRC"] = tempfile.mkstemp(prefix="pytensorrc-")
        os.write(handle, b"[traceback]\nlimit = 0\n")
        os.close(handle)
        config.add_cleanup(lambda path=os.environ["PYTENSORRC"]: Path(path).unlink(missing_ok=True))


def pytest_unconfigure():
    if "helpers_forking" in sys.modules:
        sys.modules["helpers_forking"].end()


def pytest_collection_finish():
    put_aside()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(scope="module", autouse=True)
def heap():
    yield
    put_aside()


def put_aside():
    """What is in memory now is not walked through again: to collect the heap of a thousand tests takes 1.5 s each time."""
    gc.collect()
    gc.freeze()


MODE = "JAX_DISABLE_MOST_OPTIMIZATIONS"  # JAX's own, for tests that compile more than they run


@pytest.fixture(scope="module", autouse=True)
def machine_code(request):
    """XLA takes a fifth of its time over the machine code of a module that says `OPTIMISED = False`, in its processes too.

    For modules in which a run is any run: pages, commands, folders, damaged files. Those of mathematics, of speed, and of
    what must be equal bit for bit in other sizes, chunks or numbers of agents run what users run.
    """
    with contextlib.nullcontext() if getattr(request.module, "OPTIMISED", True) else haste():
        yield


@pytest.fixture
def in_haste():
    """The same for one test of a module."""
    with haste():
        yield


@contextlib.contextmanager
def haste():
    import jax

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODE, "1")
        jax.config.update(MODE.lower(), True)
        yield
    jax.config.update(MODE.lower(), False)


@pytest.fixture(autouse=True)
def nothing_kept():
    """A search keeps the functions of its trials for the next one of its process, which is another test."""
    yield
    if "pg_theano.compiler.program" in sys.modules:
        sys.modules["pg_theano.compiler.program"]._kept = None


_functions = {}


@pytest.fixture
def functions_kept(nothing_kept, monkeypatch):
    """Runs of this process share their compiled functions, with those of other tests too, as the trials of a search do.

    For tests of what is done with them: to trace, lower and load a function anew costs more than to train with it for
    a few updates.
    """
    from pg_theano.compiler import program

    monkeypatch.setattr(program, "MOST_KEPT", 1024)
    monkeypatch.setattr(program, "_kept", _functions.setdefault(os.environ.get(MODE), {}))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The test runs in an empty folder, from which the probe environments can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parent)]))
    return tmp_path
