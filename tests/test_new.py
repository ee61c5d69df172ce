"""`pg-theano new NAME`: what it makes is whole, runs, and can be changed; what it refuses leaves nothing."""

import errno
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers_runs import command, records

from pg_theano import new, train
from pg_theano.environments.sketch import sketch

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")
KINDS = pytest.mark.parametrize("symbolic", [False, True], ids=["gymnasium", "symbolic"])
SHORT = ["budget.updates=1", "evaluation.episodes=2", "--no-plot"]


@KINDS
def test_what_it_makes_is_short_and_tidy(symbolic):
    """By ruff's own defaults and by more, at either length of line. Caught, when planted: an import that is not used, a
    line of 90 letters, two imports in the wrong order."""
    for name in ("a", "swing_up", "Lander2" + 25 * "x"):
        files = sketch(name, symbolic=symbolic)
        assert [path.name for path in files] == [f"{name}.py", f"{name}.yaml", f"test_{name}.py", "README.md"]
        lines = [len(path.read_text().splitlines()) for path in files]
        assert lines[0] <= 34 and lines[-1] <= 10 and not any("@" in path.read_text() for path in files)
    ruff = [sys.executable, "-m", "ruff"]
    for more in ([], ["--line-length=120"]):
        for words in (["check", "--select=E,F,W,I,UP,B,C4,SIM,RUF,PT,NPY"], ["format", "--check"]):
            done = subprocess.run([*ruff, *words, "--isolated", "--no-cache", *more], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout


@KINDS
def test_what_it_makes_runs(symbolic, monkeypatch, capsys):
    """Its own test, which checks it, and training from inside and outside. Caught, when planted: `action` not cast, a config
    that names another class, a reward of nan."""
    assert new.main(["my_task", *["--symbolic"] * symbolic]) == 0
    said = capsys.readouterr().out
    assert "to train it: python -m pg_theano.train my_task/my_task.yaml\n" in said and "my_task/README.md" in said
    assert train.main(["my_task/my_task.yaml", *SHORT]) == 0
    monkeypatch.chdir("my_task")
    assert train.main(["my_task.yaml", *SHORT]) == 0
    assert records("../runs/my_task")[-1]["return_mean"] == records("runs/my_task")[-1]["return_mean"]
    monkeypatch.syspath_prepend(Path.cwd())
    held = {name: one for name, one in runpy.run_path("test_my_task.py").items() if name.startswith("test_")}
    for test in held.values():
        test()
    assert len(held) == 2
    sys.modules.pop("my_task", None)


@pytest.mark.slow
@KINDS
def test_what_it_makes_is_learned(symbolic):
    sketch("my_task", symbolic=symbolic)
    code, out, err = command("train", "my_task/my_task.yaml", "--no-plot")
    assert code == 0 and "\nsolved " in out, out + err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "3x",
            "NAME: got 3x; expected the name of a module: at most 32 letters, digits and _, a letter first; try my_task",
        ),
        ("", "NAME: got nothing; expected the name of a module"),
        ("a-b", "NAME: got a-b; expected the name of a module"),
        ("../a", "NAME: got ../a; expected the name of a module"),
        ("_", "NAME: got _; expected the name of a module"),
        ("ümlaut", "NAME: got ümlaut; expected the name of a module"),
        ("a" * 33, f"NAME: got {'a' * 33}; expected the name of a module"),
        ("class", "NAME: got class, a word of Python's grammar; expected another; try class_task"),
        ("none", "NAME: got none, a word of Python's grammar; expected another; try none_task"),
        ("json", "NAME: got json, and a module of this name is Python's own; expected another; try json_task"),
        ("numpy", "NAME: got numpy, and a module of this name is that of a package; expected another; try numpy_task"),
        ("pg_theano", "NAME: got pg_theano, and a module of this name is that of a package"),
        ("there", "there: is there already; expected the name of a new folder; try another"),
        ("file", "file: is there already; expected the name of a new folder; try another"),
    ],
)
def test_a_name_that_cannot_be_is_one_line(name, message, capsys):
    """Caught, when planted: a class called None, a module that hides NumPy."""
    Path("there").mkdir()
    Path("file").touch()
    assert new.main([name]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}") and err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["file", "there"] and not list(Path("there").iterdir())


@pytest.mark.parametrize("which", ["my_task", "test_my_task.py"])
def test_what_cannot_be_written_leaves_nothing(which, monkeypatch, capsys):
    """A folder of somebody else's, a full disk. Caught, when planted: the files left that were written before it."""

    def refuse(call, number):
        def refused(path, *words, **options):
            if path.name == which:
                raise OSError(number, "no room", str(path))
            return call(path, *words, **options)

        return refused

    monkeypatch.setattr(Path, "mkdir", refuse(Path.mkdir, errno.EACCES))
    monkeypatch.setattr(Path, "write_text", refuse(Path.write_text, errno.ENOSPC))
    assert new.main(["my_task"]) == 2
    err = capsys.readouterr().err
    assert err.endswith(f"{which}: no room\n") and err.count("\n") == 1
    assert not list(Path().iterdir())
