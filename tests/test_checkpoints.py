"""Checkpoints: arrays and JSON, whole or refused."""

import io
import json
import os
import zipfile

import numpy as np
import pytest

from pg_theano.runs import checkpoints
from pg_theano.system import writing
from pg_theano.types import UserError

STATE = {
    "params": np.arange(5, dtype=np.float32) / 3,
    "optimizer/count": np.float64(2.0),
    "n": np.zeros((2, 0), np.int64),
}
FACTS = {"counters": {"updates": 7, "seconds": 1.25, "best": None}, "seed": 3}


def save(folder, update=7, state=STATE):
    return checkpoints.save(folder, f"update-{update:08}", state, FACTS | {"update": update})


def test_what_was_saved_is_loaded(tmp_path):
    """Values, shapes and dtypes. Caught, when planted: everything stored as float32."""
    found = checkpoints.load(save(tmp_path))
    assert found.facts == FACTS | {"update": 7}
    assert found.state.keys() == STATE.keys()
    for name, value in STATE.items():
        assert found.state[name].dtype == value.dtype
        assert found.state[name].shape == value.shape
        assert np.array_equal(found.state[name], value)


def test_no_pickle_anywhere(tmp_path):
    """Caught, when planted: an object array in State."""
    path = save(tmp_path)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            assert np.lib.format.read_magic(io.BytesIO(archive.read(name))) in ((1, 0), (2, 0), (3, 0))
            assert b"'|O'" not in archive.read(name)[:128]
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays.files) == set(STATE)
    with pytest.raises(ValueError, match=r"pickle|Object"):
        save(tmp_path, state={"params": np.array([object()])})


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_no_flipped_bit_and_no_cut_loads_silently(tmp_path, suffix):
    """400 flips, and every length. Caught, when planted: no checksum of the arrays; none of the facts."""
    path = save(tmp_path)
    file = path.with_suffix(suffix)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:length] for length in range(0, len(whole), 7)] + [whole + b"x", whole[1:]]
    for _ in range(400):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    for content in damaged:
        file.write_bytes(content)
        message = ""
        try:
            found = checkpoints.load(path)
        except UserError as error:
            message = str(error)
        else:  # only what means the same: 1e-05 and 1E-05
            assert json.loads(content) == json.loads(whole)
            assert found.facts == FACTS | {"update": 7}
        assert not message or (str(tmp_path) in message and "damaged" in message)


def test_a_damaged_newest_one_is_passed_over_with_a_warning(tmp_path, capsys):
    """Caught, when planted: the newest or nothing."""
    save(tmp_path, 7)
    path = save(tmp_path, 8)
    path.write_bytes(path.read_bytes()[:-1])
    assert checkpoints.newest(tmp_path).facts["update"] == 7
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {path}: damaged checkpoint")
    assert "taking the one before" in warning


def test_a_half_written_one_is_no_checkpoint(tmp_path, capsys):
    """Killed between the arrays and the manifest: the one before is taken, and there is nothing to warn of."""
    save(tmp_path, 7)
    save(tmp_path, 8).with_suffix(".json").unlink()
    assert checkpoints.newest(tmp_path).facts["update"] == 7
    assert capsys.readouterr().err == ""


def test_all_damaged_is_an_error_that_says_so(tmp_path, capsys):
    for update in (7, 8):
        save(tmp_path, update).write_bytes(b"")
    with pytest.raises(UserError, match="damaged checkpoint"):
        checkpoints.newest(tmp_path)
    with pytest.raises(UserError, match="no checkpoint in it"):
        checkpoints.newest(tmp_path / "nothing")


def test_prune_keeps_the_newest(tmp_path):
    for update in range(5):
        save(tmp_path, update)
    checkpoints.prune(tmp_path, "update", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"update-{update:08}{suffix}" for update in (3, 4) for suffix in (".json", ".npz")
    ]


def test_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", checkpoints.FORMAT + 1)
    path = save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(UserError, match="got format"):
        checkpoints.load(path)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    """Caught, when planted: writing in place."""
    path = tmp_path / "file"
    writing.write_atomically(path, b"old")
    monkeypatch.setattr(writing.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        writing.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_of_best_ones_that_are_all_damaged_the_newest_is_taken_with_a_warning(tmp_path, capsys):
    """Caught, when planted: a policy that is there, whole, refused."""
    for name in ("best-00000001", "update-00000002"):
        checkpoints.save(tmp_path, name, {"params": np.ones(3, np.float32)}, {})
    (tmp_path / "best-00000001.npz").write_bytes(b"")
    assert checkpoints.best(tmp_path).path.stem == "update-00000002"
    assert "best-00000001.npz" in (said := capsys.readouterr().err) and "which is not the best" in said
    (tmp_path / "update-00000002.npz").write_bytes(b"")
    with pytest.raises(UserError, match="best-00000001"):
        checkpoints.best(tmp_path)


def test_what_is_no_file_is_not_written_over(tmp_path):
    """A device would be a file afterwards. Caught, when planted: the rename over whatever is there."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        writing.write_atomically(tmp_path / "pipe", b"x")
    assert (tmp_path / "pipe").is_fifo() and len(list(tmp_path.iterdir())) == 1
