"""Where a command runs: outputs that are closed or have no `±`, variables, umask, a full disk, numbers that are none."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers_runs import as_arguments, command, ran, records, small
from helpers_search import REAL, plan_of
from helpers_search import resumed as searched_on
from PIL import Image

from pg_theano import train, watch
from pg_theano.environments import symbolic
from pg_theano.search import __main__ as search
from pg_theano.search import journal, study
from pg_theano.system import writing
from pg_theano.training.display import Plain
from pg_theano.types import BUILT_IN_DYNAMICS, UserError

pytestmark = pytest.mark.usefixtures("elsewhere")
WORDS = [*as_arguments(small(gradients="by_hand", algorithm={"name": "vpg"})), "--no-plot", "--run-dir", "run"]


def fails(capsys, *words):
    """The one line of an error with exit code 2."""
    assert train.main(list(words)) == 2
    out, error = capsys.readouterr()
    assert "Traceback" not in out + error
    return error


# -- outputs


@pytest.mark.parametrize("letters", ["ascii", "latin-1", "cp1252"])
def test_no_run_and_no_help_is_lost_for_a_letter(letters, monkeypatch):
    """Was: UnicodeEncodeError in the middle of training (ascii, C) and in `-h` (all three), a traceback, exit code 1."""
    stream = io.TextIOWrapper(io.BytesIO(), letters)
    monkeypatch.setattr(sys, "stdout", stream)
    assert train.main(WORDS) == 0
    with pytest.raises(SystemExit) as ended:
        train.main(["-h"])
    stream.flush()
    said = stream.buffer.getvalue().decode(letters)
    assert ended.value.code == 0
    assert ("\\xb1" if letters == "ascii" else "±") in said
    assert "\\u03c0" in said  # π, of the table of knobs


def test_a_library_call_writes_to_a_stream_without_the_letter():
    """Where no command has set the stream up. Caught, when planted: print instead of say."""
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    Plain(stream).event("14 ± 2")
    assert stream.buffer.getvalue() == b"14 \\xb1 2\n"


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_output_stops_nothing(closed, monkeypatch):
    """`>&-` and `2>&-`. Was: AttributeError: 'NoneType' object has no attribute 'isatty', before the first update."""
    monkeypatch.setattr(sys, closed, None)
    assert train.main(WORDS) == 0
    assert len(records("run")) == 6


@pytest.mark.skipif(os.name == "nt", reason="a shell that closes outputs")
def test_what_is_written_to_a_closed_output_reaches_no_file(tmp_path):
    """The next file that is opened would have its number. Caught, when planted: sys.stdout set, descriptor 1 left."""
    code = (
        "from pg_theano.system import console; console.ready(); import os\n"
        "file = open('kept', 'w'); os.write(1, b'noise'); os.write(2, b'noise'); print('noise'); file.close()"
    )
    words = ["sh", "-c", '"$0" -c "$1" >&- 2>&- <&-', sys.executable, code]
    assert subprocess.run(words, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "kept").read_text() == ""


def test_commands_run_without_docstrings():
    """`python -OO`. Was: IndexError in every command."""
    words = [sys.executable, "-OO", "-m", "pg_theano.config", "-h"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: python -m pg_theano.config" in done.stdout


# -- variables


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("JAX_PLATFORMS", "cuda"),
        ("JAX_DISABLE_JIT", "1"),
        pytest.param("JAX_TRANSFER_GUARD", "disallow", marks=pytest.mark.slow),
        pytest.param("JAX_DISABLE_JIT", "x", marks=pytest.mark.slow),
    ],
)
def test_a_variable_that_keeps_jax_from_running_is_named(variable, value):
    """Was: AssertionError, ValueError, JaxRuntimeError, ValueError as tracebacks, most of them while training began."""
    code, _, error = command("train", "budget.updates=1", env={**os.environ, variable: value}, cwd=os.getcwd())
    assert code == 2
    assert error.count("\n") == 1
    assert error.startswith(f"error: {variable}: got {value!r}, with which JAX cannot run (")
    assert error.endswith(f"try unset {variable}\n")
    assert not os.path.exists("runs/cartpole")


def test_a_backend_that_matplotlib_lacks_is_named_before_training(tmp_path):
    """Was: a traceback after training."""
    words = [word for word in WORDS if word != "--no-plot"]
    code, _, error = command("train", *words, env={**os.environ, "MPLBACKEND": "nonsense"}, cwd=tmp_path)
    assert (code, error) == (
        2,
        "error: MPLBACKEND: got 'nonsense'; expected a backend of matplotlib's; try unset MPLBACKEND\n",
    )
    assert not (tmp_path / "run").exists()


# -- files


@pytest.mark.parametrize("folder", [".", "", "../{here}"])
def test_the_folder_that_one_stands_in_is_no_run(folder, capsys):
    """Was: trained there where it was empty, and called itself "not empty" where it was not."""
    words = [*WORDS[:-1], folder.format(here=os.path.basename(os.getcwd()))]
    assert fails(capsys, *words) == (
        "error: --run-dir: got the folder that you are in; expected one of its own; try --run-dir runs/mine\n"
    )
    assert not os.listdir()


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_files_have_the_mode_that_the_user_wants():
    """Was: 0644 whatever the umask. Caught, when planted: a mode set after the file was made."""
    before = os.umask(0o077)
    try:
        assert train.main(WORDS) == 0
    finally:
        os.umask(before)
    shared = [path for folder, _, names in os.walk("run") for path in [os.path.join(folder, one) for one in names]]
    assert len(shared) > 4
    assert not [path for path in shared if os.stat(path).st_mode & 0o077]


def test_a_search_on_a_full_disk_names_the_file_and_goes_on_with_room(tmp_path, monkeypatch):
    """Its trials stay open and are asked again. Was: counted as failed for ever (5 of 6), and no file named.

    Caught, when planted: the trial of no room ended as failed; the journal's error without its file.
    """
    plan, original = plan_of("random", REAL, budget={"trials": 4}, batch=2), writing.write_atomically

    def full(path, content, **options):
        if "00001" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        original(path, content, **options)

    monkeypatch.setattr(writing, "write_atomically", full)
    with pytest.raises(UserError, match=r"trial 1: .*No space left on device.*00001.*; try --resume once there is"):
        study.new(plan, "search", lambda *_: None, lambda _: None)
    monkeypatch.setattr(writing, "write_atomically", original)
    found = searched_on(Path("search")).trials
    assert [trial.state for trial in found] == ["complete"] * 4
    in_one_go = study.new(plan, "whole", lambda *_: None, lambda _: None).trials
    assert [trial.score for trial in found] == [trial.score for trial in in_one_go]


def test_a_journal_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    """Was: error: [Errno 28] No space left on device."""
    path = tmp_path / "study.journal"
    path.write_bytes(b"")

    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left on device") as error:
        journal.append(path, [{"op_code": 0, "worker_id": "a"}], lambda _: None)
    assert error.value.filename == str(path)
    assert not journal.lock_of(path).is_symlink()


# -- numbers that are none

LOG = "search: {method: random, space: {schedules.learning_rate.initial: {low: 5.0e-324, high: 1.0e+300, log: true}}}"
WIDE = "search: {method: random, space: {schedules.learning_rate.initial: {low: -1.7e+308, high: 1.7e+308}}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%YAML 1." + 5000 * "9" + "\n---\nseed: 1\n", "mine.yaml:1: got a number that is none (Exceeds the limit"),
        ('name: "\\UFFFFFFFF"\n', "mine.yaml:1: got a number that is none (Python int too large"),
        (LOG, "low: got 4.94066e-324 to 1e+300; expected numbers from 1e-100 to 1e+100; try a narrower range"),
        (WIDE, "low: got -1.7e+308 to 1.7e+308; expected numbers from -1e+100 to 1e+100; try a narrower range"),
    ],
    ids=["version", "letter", "log", "wide"],
)
def test_a_number_that_is_none_is_one_line(text, said, tmp_path, capsys):
    """Was: ValueError, OverflowError, and a search that ended in "Axis limits cannot be NaN or Inf"."""
    (tmp_path / "mine.yaml").write_text(text)
    main = search.main if text.startswith("search") else train.main
    assert main(["mine.yaml", "--run-dir", "run"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_knob_of_3000_parts_is_one_line(capsys):
    """Was: RecursionError."""
    assert "...: got 3,000 parts; expected a knob, such as algorithm.discount=0.98" in fails(
        capsys, "a." * 2999 + "a=1"
    )


# -- pictures


@pytest.fixture
def drawn():
    """A run on an environment that draws, of three steps: brightness 1/3, 2/3, 1."""
    ran(small(environment={"id": "probe_environments:Draws-v0"}, gradients="by_hand", algorithm={"name": "vpg"}), "run")


def gif_of(monkeypatch, how, *words):
    monkeypatch.setenv("PROBE_DRAWS", how)
    assert watch.main(["run", "--gif", "a.gif", *words]) == 0
    with Image.open("a.gif") as picture:
        frames = range(picture.n_frames)
        shown = [(picture.seek(i), picture.info["duration"], np.asarray(picture.convert("L")).mean()) for i in frames]
    return [duration for _, duration, _ in shown], [bright for *_, bright in shown]


def test_a_picture_is_as_bright_as_it_is_drawn(drawn, monkeypatch):
    """Floats from 0 to 1, bools and bytes alike. Was: black."""
    _, expected = gif_of(monkeypatch, "bytes")
    assert max(expected) > 250
    for how in ("float", "bool", "beyond"):
        _, found = gif_of(monkeypatch, how)
        np.testing.assert_allclose(max(found), max(expected), atol=2)
    np.testing.assert_allclose(gif_of(monkeypatch, "float")[1], expected, atol=2)


@pytest.mark.parametrize(("how", "duration"), [("0.5", 2000), ("0", 30), ("nan", 30), ("1e-9", 655_350), ("60", 20)])
def test_slow_frames_are_shown_slowly(drawn, monkeypatch, how, duration):
    """render_fps 0.5 was a ZeroDivisionError."""
    assert set(gif_of(monkeypatch, how)[0]) == {duration}


def test_a_gif_that_cannot_be_written_leaves_no_file(drawn, monkeypatch, capsys):
    """Was: an empty a.gif, and the old one gone. Caught, when planted: written in place."""
    monkeypatch.setenv("PROBE_DRAWS", "bytes")
    with open("a.gif", "w") as file:
        file.write("old")

    def save(self, file, **options):
        with open(file, "wb"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", save)
    assert watch.main(["run", "--gif", "a.gif"]) == 2
    assert capsys.readouterr().err.endswith("error: a.gif: cannot be written (No space left on device)\n")
    with open("a.gif") as file:
        assert file.read() == "old"
    assert not [name for name in os.listdir() if name.endswith(".tmp")]


def test_a_compiled_task_of_gymnasiums_is_drawn_by_name():
    """`environment.dynamics=` of a built-in task. Was: "a symbolic environment has no picture"."""
    env = symbolic.SymbolicEnv(BUILT_IN_DYNAMICS["CartPole-v1"], "rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (400, 600, 3)
