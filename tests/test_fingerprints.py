"""What a run's numbers depend on, and who may go on with it."""

import json

import pytest
from helpers_runs import assert_equal_runs, ran, result, resumed, small

from pg_theano import train
from pg_theano.runs import checkpoints, folder
from pg_theano.system import versions
from pg_theano.types import UserError

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.slow
def test_the_result_holds_the_fingerprint(tmp_path):
    """Caught, when planted: XLA_FLAGS as `compiling` leaves them."""
    ran(small(budget={"updates": 1}), tmp_path / "run")
    found = result(tmp_path / "run")["fingerprint"]
    assert set(found) == {"versions", "backend", "dtype", "processor", "settings"}
    assert found["versions"].keys() >= {"python", "numpy", "jax", "jaxlib", "pytensor", "gymnasium", "pg_theano"}
    assert (found["backend"], found["dtype"]) == ("jax", "float32")
    assert found == checkpoints.newest(tmp_path / "run" / "checkpoints").facts["fingerprint"]
    assert "small_while_loop" not in json.dumps(found)


OTHERS = {
    "jax": ({"versions": {"jax": "0.0.1"}}, r"jax [\d.]+, here 0\.0\.1"),
    "a library that is gone": ({"versions": {"jaxlib": None}}, r"jaxlib [\d.]+, here not there"),
    "backend": ({"backend": "numba"}, r"backend jax, here numba"),
    "dtype": ({"dtype": "float64"}, r"dtype float32, here float64"),
}


def elsewhere_is(monkeypatch, other):
    original = versions.of

    def of(backend, dtype):
        found = original(backend, dtype)
        for part, value in other.items():
            found[part] = {k: v for k, v in (found[part] | value).items() if v} if isinstance(value, dict) else value
        return found

    monkeypatch.setattr(versions, "of", of)


@pytest.mark.parametrize("name", OTHERS)
def test_another_process_goes_on_only_with_force(name, tmp_path, monkeypatch, capsys):
    """Caught, when planted: only `versions` compared; a library that is missing counted as equal."""
    other, message = OTHERS[name]
    ran(small(), tmp_path / "straight")
    ran(small(budget={"updates": 3}), tmp_path / "run")
    elsewhere_is(monkeypatch, other)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=rf"run: was made with {message}.*--force"):
        resumed(tmp_path / "run", "budget.updates=6")
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    assert train.main(["--resume", "run", "budget.updates=6", "--no-plot", "--force"]) == 0
    assert "warning: run: was made with" in capsys.readouterr().err
    assert_equal_runs(tmp_path / "straight", tmp_path / "run")
    folder.resumable(tmp_path / "run", ["budget.updates=9"]).folder.close()  # it is now of this process


def test_another_processor_costs_a_warning(tmp_path, monkeypatch, capsys):
    """Caught, when planted: it is refused; nothing is said."""
    ran(small(budget={"updates": 3}), tmp_path / "run")
    elsewhere_is(monkeypatch, {"processor": "Abacus", "settings": {"XLA_FLAGS": "--xla_new"}})
    resumed(tmp_path / "run", "budget.updates=4")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ") and "here Abacus" in line and "XLA_FLAGS not there, here --xla_new" in line


def test_force_is_for_resuming(capsys):
    assert train.main(["--force"]) == 2
    assert "error: --force: goes with --resume" in capsys.readouterr().err
