"""A run's folder: config.yaml, run.json, metrics.jsonl, checkpoints/, result.json. One process at a time writes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import resource
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.config.kinds import NAME
from pg_theano.config.knobs import Config
from pg_theano.config.reading import from_dict, read_config, to_dict
from pg_theano.runs import checkpoints, recorded
from pg_theano.runs.records import Records
from pg_theano.spec import Spec, is_older
from pg_theano.system import opening, seals
from pg_theano.system import versions as fingerprints
from pg_theano.system.versions import versions
from pg_theano.system.yaml_lines import read_file
from pg_theano.types import UserError

RESUMABLE = ("budget.", "solved.", "checkpoint.")
"""Knobs that a resumed run may change: when it stops and what it keeps, nothing that it learns from."""


SECONDS_TO_NAME = 1.0
"""So long whoever has just taken a lock may need to write its name into it."""


def fingerprint(config: Config) -> dict[str, Any]:
    """What this process has in common with every one in which the run comes out the same, bit for bit."""
    return fingerprints.of(config.backend if config.gradients == "symbolic" else "numpy", config.dtype)


def name_of(id: str) -> str:
    """A run's name from its environment: CartPole-v1 is cartpole, my_module:MyEnv is myenv."""
    bare = re.sub(r"-v\d+$", "", id.rpartition(":")[2].rpartition("/")[2])
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in bare).strip("-").lower()[:64] or "run"


def new_folder(name: str, parent: Path = Path("runs")) -> Path:
    """`runs/<name>`, or the first free of `runs/<name>-2`, `-3`, ...; made here, so that no other process takes it."""
    for number in range(1, 100_000):
        folder = parent / (name if number == 1 else f"{name[: 63 - len(str(number))]}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be made ({error.strerror}); expected a folder that can be written; try another "
                "with --run-dir"
            ) from None
    raise UserError(f"{parent / name}: got 100,000 runs of this name; expected fewer; try another name")


def check_name(path: Path, option: str = "--run-dir") -> None:
    """A run's name is the last part of its folder, and part of other files' names. Errors: `UserError`."""
    name = path.resolve().name
    if not re.fullmatch(NAME, name):
        raise UserError(
            f"{path}: got {name!r} as the name of a run; expected letters, digits, '.', '_' or '-', at most 64, "
            f"beginning with a letter or digit; try another with {option}"
        )


def exact_folder(path: Path, option: str = "--run-dir") -> Path:
    """The folder that the user named by an option, made where it is missing, refused where something is in it."""
    check_name(path, option)
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(not _of_a_false_start(one) for one in path.iterdir())
    except OSError as error:
        raise UserError(
            f"{path}: cannot be made ({error.strerror}); expected a folder that can be written; "
            f"try another with {option}"
        ) from None
    if occupied:
        refuse_in_use(path)
        of_runs = option == "--run-dir"
        advice = f"try another, or --resume {path} to go on with that run" if of_runs else f"try another with {option}"
        raise UserError(f"{path}: not empty; expected a new folder; {advice}")
    return path


@contextlib.contextmanager
def new(name: str, run_dir: str | os.PathLike[str] | None) -> Iterator[Path]:
    """The folder of a new run. Where an error of the user ends it before anything has begun, it is taken away again."""
    wanted = Path("runs") / name if run_dir is None else Path(run_dir)
    made = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
    path = new_folder(name) if run_dir is None else exact_folder(wanted)
    try:
        yield path
    except UserError:
        if not any(path.rglob("checkpoints/*.npz")):  # a run that has begun saves what it began with
            _forget_false_start(path, made if path == wanted else [path, *made])
        raise


def _forget_false_start(path: Path, folders: Sequence[Path]) -> None:
    """Remove what a run leaves that has not begun, of several seeds too, and nothing that is anybody else's."""
    try:
        lock = locked(path)
    except UserError:  # somebody else is about to begin in it
        return
    begun = ("seeds.yaml", "config.yaml", "result.json", "metrics.jsonl")
    for folder in [*path.glob("seed-*"), path]:
        for one in folder.iterdir():
            if one.is_file() and (one.name in begun or _of_a_false_start(one)):
                one.unlink(missing_ok=True)
    for folder in [*path.glob("seed-*/checkpoints"), *path.glob("seed-*"), path / "checkpoints", *folders]:
        with contextlib.suppress(OSError):  # not empty, or gone
            folder.rmdir()
    os.close(lock)


def _of_a_false_start(path: Path) -> bool:
    """Whether this is all that a run leaves which ends before it has written its config."""
    left = path.name in ("lock", "run.json") or (path.name.startswith(".") and path.suffix == ".tmp")
    return left or (path.name == "metrics.jsonl" and path.stat().st_size == 0)


def allow_open(files: int) -> None:
    """Raise this process's limit of open files, where the system lets it: a run folder has two open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + 256
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class RunFolder:
    """The folder of one run while it is being written. The system lets go of its lock when the process ends."""

    def __init__(self, path: Path):
        self.path = path
        opening.own_folder(self.checkpoints)  # files are cleared from it
        self._lock = locked(path)
        self._records: Records
        checkpoints.clear_temporaries(self.checkpoints)
        checkpoints.clear_temporaries(self.path)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def begin(self, config: Config, facts: Mapping[str, Any]) -> None:
        """A new run: where it came from, and its resolved config, last: this makes the folder a run."""
        began = {"versions": versions(), "argv": sys.argv, "sealed": ["config.yaml"]}
        seals.write_json(self.path / "run.json", began | dict(facts))
        self._records = Records(self.path / "metrics.jsonl")
        self._write_config(config)

    def go_on(self, config: Config, facts: Mapping[str, Any], *, force: bool = False) -> None:
        """A resumed run: records written after the checkpoint of these facts are cut off, and will be written again.

        Errors: `UserError` where the records before it are not those that it counts on.
        """
        metrics, size = self.path / "metrics.jsonl", facts["metrics_bytes"]
        if not metrics.is_file() or metrics.stat().st_size < size:
            raise UserError(
                f"{metrics}: missing or cut short; expected {size:,} bytes or more, as its checkpoint counts on; try "
                "a copy of it"
                ", or a new run"
            )
        self._records = Records(metrics, size)
        if self._records.sha256() != facts.get("metrics_sha256", self._records.sha256()) and not force:
            raise UserError(
                f"{metrics}: damaged: its checksum does not agree; expected it as the run wrote it; try a "
                "copy of it, or --force"
            )
        (self.path / "result.json").unlink(missing_ok=True)
        self._write_config(config)  # what may change, such as a raised budget, holds for the next resume too

    def record(self, values: Mapping[str, Any]) -> None:
        self._records.add(json.dumps(values).encode() + b"\n")

    def size(self) -> int:
        """Bytes recorded so far."""
        return self._records.size()

    def cut(self, size: int) -> None:
        """Forget the records after the first `size` bytes."""
        self._records.cut(size)

    def flush(self) -> dict[str, Any]:
        """Everything recorded so far is on the disk; returns what a checkpoint must know of it."""
        size, digest = self._records.flush()
        return {"metrics_bytes": size, "metrics_sha256": digest}

    def finish(self, result: Mapping[str, Any]) -> None:
        self.flush()
        seals.write_json(self.path / "result.json", result)

    def close(self) -> None:
        try:
            if hasattr(self, "_records"):
                self._records.close()
        finally:
            unlocked(self._lock)

    def _write_config(self, config: Config) -> None:
        seals.write_yaml(self.path / "config.yaml", to_dict(config))


def fresh(path: Path) -> RunFolder:
    """The folder of a new run, locked. Errors: `UserError` where another process has begun one in it meanwhile."""
    folder = RunFolder(path)
    if (path / "config.yaml").exists():
        folder.close()
        raise UserError(
            f"{path}: not empty: another process has just trained in it; expected a new folder; try another "
            "with --run-dir"
        )
    return folder


def locked(folder: Path) -> int:
    """The descriptor that holds a run folder's lock. Errors: `UserError` that names the process that has it."""
    path = folder / "lock"
    descriptor = opening.opened(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        taken = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
        holder = _holder(descriptor) if taken else ""
        os.close(descriptor)
        if not taken:
            raise UserError(
                f"{path}: cannot be locked ({error.strerror}); expected a file system with locks; try a folder "
                "on another disk"
            ) from None
        raise UserError(
            f"{folder}: in use by {holder}; expected one process a folder; try again when it has ended"
        ) from None
    if not os.fstat(descriptor).st_nlink:
        os.close(descriptor)
        raise UserError(f"{folder}: got taken away by another process a moment ago; expected it to stay; try again")
    with contextlib.suppress(OSError):  # a full disk: it is locked all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return descriptor


def refuse_in_use(folder: Path) -> None:
    """Errors: `UserError` that names the process that has a folder's lock. Writes nothing: it may be no run's."""
    with contextlib.suppress(OSError), open(folder / "lock", "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise UserError(f"{folder}: in use by {_holder(file.fileno())}; wait for it, or stop it") from None


def unlocked(descriptor: int) -> None:
    """Let go of a lock, and of the name in it."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def _holder(descriptor: int) -> str:
    """Who has a lock: whoever took it a moment ago may not have written its name over that of one that was killed."""
    until = time.monotonic() + SECONDS_TO_NAME
    while True:
        text = os.pread(descriptor, 300, 0).decode(errors="replace").strip()
        found = re.fullmatch(r"process (\d+) on (\S+)", text)
        if found and (found[2] != socket.gethostname() or Path("/proc", found[1]).exists()):
            return text
        if time.monotonic() > until:
            return text or "another process"
        time.sleep(0.01)


def read_run(path: Path, *, force: bool = False) -> tuple[Config, dict[str, Any]]:
    """(config, facts) of a run folder. Errors: `UserError` where it is none, or (without `force`) was changed."""
    if not (path / "config.yaml").is_file():
        known = [str(p) for p in sorted(Path(path).glob("seed-*")) if (p / "config.yaml").is_file()]
        hint = (
            f"expected one of the runs in it; try {known[0]}"
            if known
            else "expected a folder that `pg_theano.train` wrote, such as runs/cartpole; try one of: ls -d runs/*"
        )
        raise UserError(f"{path}: no run folder (no config.yaml in it); {hint}")
    try:
        facts = seals.read_json(path / "run.json")
        _ = facts["folder"], facts["spec"]
    except (OSError, KeyError, UserError):
        raise UserError(
            f"{path / 'run.json'}: missing or damaged; expected what `pg_theano.train` wrote; try "
            "a copy of the folder, or a new run"
        ) from None
    recorded.checked(recorded.Facts, facts, path / "run.json")
    if not is_older(facts["spec"]):  # whose figures can be read all the same
        recorded.spec_in(facts, path / "run.json")
    document = read_file(opening.own_file(path / "config.yaml"))
    config = from_dict(document.data, document.lines, document.name)
    if not force and "config.yaml" in facts.get("sealed", ()) and not seals.yaml_is_whole(path / "config.yaml"):
        raise UserError(
            f"{path / 'config.yaml'}: not as the run wrote it (its checksum does not agree); expected no change by "
            f"hand; try putting it back; to train on with other knobs: python -m pg_theano.train --resume {path} "
            "budget.updates=500, with --force if the change is wanted"
        )
    return config, facts


class Trained(NamedTuple):
    """A run whose policy can act."""

    config: Config
    facts: dict[str, Any]
    spec: Spec
    checkpoint: checkpoints.Checkpoint  # the best; before any evaluation, the newest


def trained(path: Path) -> Trained:
    """What a run folder holds of its best policy. Errors: `UserError`: no run, no checkpoint, a damaged one."""
    config, facts = read_run(path)
    spec = recorded.spec_in(facts, path / "run.json")
    checkpoint = checkpoints.best(path / "checkpoints")
    recorded.fits(spec, checkpoint.state, checkpoint.path)
    return Trained(config, facts, spec, checkpoint)


class Resumable(NamedTuple):
    """A run that can go on, in its folder, which is locked."""

    folder: RunFolder
    config: Config
    facts: dict[str, Any]
    checkpoint: checkpoints.Checkpoint | None  # the newest; None where the run was stopped before there was one


def resumable(path: Path, overrides: Sequence[str], *, force: bool = False) -> Resumable:
    """Whatever a run that can go on is made of.

    Errors: `UserError`: in use, finished, damaged, no run; and where this process differs from the one that wrote the
    checkpoint in what its numbers depend on, without `force`.
    """
    for override in overrides:
        if not override.startswith(RESUMABLE):
            raise UserError(
                f"{override}: a resumed run keeps its config; expected knobs of budget, solved and checkpoint; try "
                "a new run"
            )
    read_run(path, force=force)  # before a lock is made in a folder that is none
    folder = RunFolder(path)
    try:
        _, facts = read_run(path, force=force)  # a live run changes its files
        config = read_config(path / "config.yaml", overrides)
        if not any(folder.checkpoints.glob("update-*.json")):  # the best one is written before the first of these
            _check_never_saved(path)
            return Resumable(folder, config, facts, None)
        checkpoint = checkpoints.newest(folder.checkpoints)
        recorded.checked(recorded.Checkpoint, checkpoint.facts, checkpoint.path.with_suffix(".json"), "facts")
        _check_unfinished(path, config, checkpoint, overrides)
        then = checkpoint.facts.get("fingerprint", {"versions": facts.get("versions", {})})
        check_fingerprint(path, then, fingerprint(config), force)
        return Resumable(folder, config, facts, checkpoint)
    except BaseException:
        folder.close()
        raise


def _check_never_saved(path: Path) -> None:
    """A run without a checkpoint begins anew; but one that has ended had saved before it said so."""
    if (result := read_result(path)) is not None:
        raise UserError(
            f"{path / 'checkpoints'}: no checkpoint in it, though the run ended after {result.get('updates', 0):,} "
            "updates; expected what it saved; try a copy of the folder, or a new run"
        )


def _check_unfinished(path: Path, config: Config, checkpoint: checkpoints.Checkpoint, overrides: Sequence[str]) -> None:
    counters, result = checkpoint.facts["counters"], read_result(path)
    status = result["status"] if result else None
    if status == "solved" and not overrides:
        raise UserError(
            f"{path}: finished (solved after {counters['updates']} updates); expected a run that was stopped; "
            "try solved.stop=false, to train on"
        )
    for name, limit in (("updates", config.budget.updates), ("env_steps", config.budget.env_steps)):
        if status == "budget" and limit is not None and counters[name] >= limit:
            raise UserError(
                f"{path}: finished (budget.{name} = {limit} is spent); expected a run that was stopped; to train on, "
                "try "
                f"budget.{name}={2 * limit}"
            )


def check_fingerprint(path: Path, then: Mapping[str, Any], now: Mapping[str, Any], force: bool) -> None:
    """Say where this process differs from the one before. Errors: `UserError` where that binds, without `force`."""
    binding, others = fingerprints.differences(then, now)
    if binding and not force:
        raise UserError(
            f"{path}: was made with {'; '.join(binding)}: what follows would not be what would have followed there; "
            "go on where it was made, or here with --force"
        )
    if binding or others:
        opening.say(
            f"warning: {path}: was made with {'; '.join([*binding, *others])}; the numbers may differ from here on",
            sys.stderr,
        )


def read_result(path: Path) -> dict[str, Any] | None:
    """The result of a run folder; None where there is none yet, or a damaged one, of which it is warned."""
    try:
        return recorded.checked(recorded.Result, seals.read_json(path / "result.json"), path / "result.json")
    except OSError:
        return None
    except UserError as error:
        opening.say(f"warning: {error}; taken as a run that has not ended", sys.stderr)
        return None
