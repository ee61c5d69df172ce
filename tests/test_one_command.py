"""One command for all: the installed `pg-theano`, and `python -m pg_theano COMMAND`, which is the same."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pg_theano import __main__ as one
from pg_theano.system import commands, console, importing, path
from pg_theano.system.path import SCRIPT

pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # the command is run in this process
ROOT = Path(__file__).parents[1]
MADE_BY_PIP = "import sys\nfrom pg_theano.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """What pip makes of the entry in pyproject.toml, and its folder, in which modules leave a mark."""
    path = tmp_path_factory.mktemp("bin") / "pg-theano"
    path.write_text(MADE_BY_PIP)
    for name in ("__future__", "json", "numpy", "yaml"):
        path.with_name(f"{name}.py").write_text(f"open({str(path.with_name('mark'))!r}, 'a').write({name!r})\n")
    return path


def begun(*words, **options):
    """What a process of its own gives: no fork, as a user's begins."""
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.fixture
def called(monkeypatch, capsys):
    """(exit code, stdout, stderr) of the command in this process."""

    def call(*words, script=True):
        monkeypatch.setattr(console, "called", console.called)
        monkeypatch.setattr(one, "IS_SCRIPT", script)
        monkeypatch.setattr(sys, "argv", ["pg-theano", *words])
        try:
            code = one.main()
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call


def test_the_script_is_installed():
    """Caught, when planted: an entry that names a function that is not there."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert entries == {SCRIPT: "pg_theano.__main__:main"} and callable(one.main)


def test_the_three_ways_are_one(script, tmp_path):
    """The same line but for the name; nothing is imported from the folder of programs, nor from where one stands.
    Caught, when planted: sys.argv left with the command's name, the folder of the script left on the path."""
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n")
    names = ["python -m pg_theano.", "python -m pg_theano ", "pg-theano "]
    ways = [["-m", "pg_theano.evaluate"], ["-m", "pg_theano", "evaluate"], [script, "evaluate"]]
    said = [begun(*way, "nowhere", "--episodes", "x", cwd=tmp_path) for way in ways]
    assert [done.returncode for done in said] == [2, 2, 2]
    assert [done.stderr.replace(f"{name}evaluate", "NAME") for name, done in zip(names, said, strict=True)] == [
        "error: NAME: argument --episodes: got x; expected a whole number from 1; try NAME -h\n"
    ] * 3
    assert not (tmp_path / "mark").exists() and not script.with_name("mark").exists()


@pytest.mark.parametrize("script", [True, False])
def test_a_module_of_ones_own_finds_others_later(script, tmp_path, monkeypatch):
    """Where one stands, for as long as the command runs. Caught, when planted: not for the script."""
    monkeypatch.setattr(path, "IS_SCRIPT", script)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_of_a_script.py").write_text("")
    with importing.importable([tmp_path], ["own_of_a_script:Env"], anew=False):
        pass
    assert (str(tmp_path) in sys.path) == script


@pytest.mark.parametrize("name", ["config", "search", "cache"])
def test_a_commands_help_is_named_as_it_was_called(name, called):
    """Caught, when planted: `python -m` in the usage or the example."""
    code, out, _ = called(name, "-h")
    assert code == 0 and out.startswith(f"usage: pg-theano {name} ") and f"\n  pg-theano {name}" in out
    assert "python -m pg_theano" not in out
    assert called("-h", name, script=False)[1].startswith(f"usage: python -m pg_theano {name} ")


@pytest.mark.usefixtures("elsewhere")
def test_what_the_command_says_names_it_as_it_was_called(called):
    """Errors and what to do next, which other modules write. Caught, when planted: `printable` as it was."""
    code, _, err = called("report")
    assert code == 2 and err.endswith("; expected one, or its name; try pg-theano train\n")


def test_without_a_command_they_are_listed(called):
    for words in ((), ("-h",)):
        code, out, err = called(*words)
        assert code == 0 and err == "" and "\npg-theano COMMAND, each with -h:\n" in f"\n{out}"
        assert set(re.findall(r"^  (\w+) +\S", out.partition("each with -h:")[2], re.M)) == set(commands.sources())
    assert called(script=False)[1].startswith("python -m pg_theano COMMAND, each with -h:\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "pg-theano: got trian; expected a command; try pg-theano train"),
        (["check-emv"], "pg-theano: got check-emv; expected a command; try pg-theano check_env"),
        (["__main__"], "pg-theano: got __main__; expected a command; try pg-theano -h"),
        (["../train"], "pg-theano: got ../train; expected a command; try pg-theano train"),
        (["a.yaml"], "pg-theano: got a.yaml; expected a command; try pg-theano train a.yaml"),
        (["seed=1"], "pg-theano: got seed=1; expected a command; try pg-theano train seed=1"),
        (["\x1b[2J"], "pg-theano: got \\x1b[2J; expected a command; try pg-theano -h"),
        (["--sed"], "pg-theano: unrecognized arguments: --sed; expected what its help lists; try pg-theano -h"),
        (
            ["--no-such", "config"],
            "pg-theano config: unrecognized arguments: --no-such; expected what its help lists; ",
        ),
    ],
    ids=lambda value: value[0][:12] if isinstance(value, list) else "",
)
def test_an_unknown_command_is_one_line(words, expected, called):
    """Caught, when planted: a name that is a path, a module that is no command."""
    code, out, err = called(*words)
    assert code == 2 and out == "" and err.startswith(f"error: {expected}") and err.count("\n") == 1


def test_a_dash_does_for_an_underscore(called):
    assert called("check-env", "-h")[1].startswith("usage: pg-theano check_env ")


def test_the_version(called):
    assert re.fullmatch(r"pg_theano \S+, Python [\d.]+\n", called("--version")[1])


def test_ctrl_c_while_modules_are_imported_is_a_word(script, tmp_path):
    """Caught, when planted: Python's traceback, of the script alone."""
    (tmp_path / "pydantic.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", str(Path(__file__).parents[1]))])
    done = begun(script, "train", env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == -signal.SIGINT and done.stderr == "interrupted\n"


def test_the_help_of_train_does_without_what_trains():
    """That and sections compiled once are 0.15 of 0.45 s, on a busy core. Caught, when planted: `shown_run` imported at
    the top of train.py."""
    code = "import sys, pg_theano.train; print('gymnasium' in sys.modules, 'pg_theano.training' in sys.modules)"
    assert begun("-c", code).stdout == "False False\n"


@pytest.mark.skipif(os.name == "nt", reason="a shell that closes outputs")
def test_a_closed_output_is_no_traceback(script):
    """Nor are docstrings that are left out."""
    for closed in (">&-", ">/dev/full"):
        words = ["sh", "-c", f'"$0" -OO "$1" {closed}', sys.executable, script]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr and "Exception" not in done.stderr, done.stderr
