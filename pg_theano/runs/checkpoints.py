"""Checkpoints: arrays in an npz, everything else in JSON; neither holds code.

    checkpoints/update-00000040.npz      State, by name
    checkpoints/update-00000040.json     counters, and the SHA-256 of both; written last: it makes the checkpoint
    checkpoints/best-00000030.npz, .json the same, of the best evaluation so far

Each file is written beside its place, flushed to the disk and renamed, and so is the folder's entry: a process
killed anywhere leaves the old checkpoint or the new one.
"""

import contextlib
import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.system import console, opening, seals, writing
from pg_theano.types import State, UserError

FORMAT = 1

WHOLE = ("it as it was written", "a copy of the folder, or a new run")
"""What is expected where something is damaged, and the advice."""
AS_WRITTEN = f"expected {WHOLE[0]}; try {WHOLE[1]}"


class Checkpoint(NamedTuple):
    state: State
    facts: dict[str, Any]
    path: Path


def save(folder: Path, name: str, state: State, facts: dict[str, Any]) -> Path:
    """Write one checkpoint; `facts` is what JSON can hold. Returns the path of its npz."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{key: np.asarray(value) for key, value in state.items()})
    arrays = buffer.getvalue()
    manifest = {"format": FORMAT, "arrays": seals.of(arrays), "facts": facts}
    # The rename of the npz needs no sync of its own: the folder's sync after the manifest covers both, and until the
    # manifest is there nobody reads the npz. An older pair of the same name is taken apart manifest first.
    with contextlib.suppress(FileNotFoundError):
        (folder / f"{name}.json").unlink()
    writing.write_atomically(folder / f"{name}.npz", arrays)
    writing.write_atomically(folder / f"{name}.json", seals.sealed(manifest, sort_keys=True))
    return folder / f"{name}.npz"


def load(path: Path) -> Checkpoint:
    """The checkpoint whose npz this is. Errors: `UserError` where it is missing, damaged, or of a newer version."""
    manifest_path = path.with_suffix(".json")
    try:
        manifest = opening.parsed(opening.read(manifest_path, opening.MOST_JSON))
        arrays = opening.read(path, opening.most_bytes())
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename}: no such file; expected a .npz and a .json of one name; try another checkpoint"
        ) from None
    except ValueError:
        raise UserError(f"{manifest_path}: damaged checkpoint: not JSON; {AS_WRITTEN}") from None
    if not isinstance(manifest, dict) or not seals.agrees(manifest):
        raise UserError(f"{manifest_path}: damaged checkpoint: its checksum does not agree; {AS_WRITTEN}")
    if not {"format", "arrays", "facts"} <= manifest.keys() or not isinstance(manifest["facts"], dict):
        raise UserError(f"{manifest_path}: damaged checkpoint: not what pg_theano writes; {AS_WRITTEN}")
    if manifest["format"] != FORMAT:
        raise UserError(
            f"{manifest_path}: got format {manifest['format']!r:.40}; expected {FORMAT}, which this pg_theano "
            "reads; try the version that wrote it"
        )
    if seals.of(arrays) != manifest["arrays"]:
        raise UserError(f"{path}: damaged checkpoint: its checksum does not agree; {AS_WRITTEN}")
    try:
        state = opening.arrays_of(arrays)
    except ValueError as error:
        raise UserError(f"{path}: damaged checkpoint: {error}; {AS_WRITTEN}") from None
    return Checkpoint(state, manifest["facts"], path)


def newest(folder: Path, kind: str = "update") -> Checkpoint:
    """The newest checkpoint that is whole; a damaged one is passed over with a warning.

    `kind` is "update" (written as time goes by) or "best" (written at the best evaluation so far).
    """
    paths = sorted(folder.glob(f"{kind}-*.npz"), reverse=True)
    problem = f"{folder}: no checkpoint in it; expected one; try when the run has saved one, or a new run"
    passed = []  # the damaged ones; one that is only half written nobody was told of
    for path in paths:
        try:
            found = load(path)
        except UserError as error:
            problem = str(error)
            passed += [problem] * path.with_suffix(".json").exists()
            continue
        for damage in passed:
            _warn(f"{damage}; taking the one before")
        return found
    raise UserError(problem)


def best(folder: Path) -> Checkpoint:
    """The checkpoint of the best evaluation so far; before any evaluation, the newest."""
    if not any(folder.glob("best-*.json")):
        return newest(folder)
    try:
        return newest(folder, "best")
    except UserError as error:
        try:
            found = newest(folder)
        except UserError:
            raise error from None
        _warn(f"{error}; taking the newest, which is not the best")
        return found


def prune(folder: Path, kind: str, keep: int) -> None:
    """Remove all but the newest `keep`, manifests first."""
    for path in sorted(folder.glob(f"{kind}-*.npz"), reverse=True)[keep:]:
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def forget_after(folder: Path, updates: int) -> None:
    """Remove the checkpoints of later updates, which a resumed run will write again: the newest of them was damaged."""
    for path in [*folder.glob("update-*.*"), *folder.glob("best-*.*")]:
        if path.stem.rpartition("-")[2].isdigit() and int(path.stem.rpartition("-")[2]) > updates:
            path.unlink(missing_ok=True)


def _warn(message: str) -> None:
    console.say(f"warning: {message}", sys.stderr)
