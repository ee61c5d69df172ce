"""A run's folder: config.yaml, run.json, metrics.jsonl, checkpoints/, result.json. One process at a time writes."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import resource
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pg_theano import checkpoints
from pg_theano.config import Config, from_dict, read_config, to_dict
from pg_theano.types import UserError
from pg_theano.yaml_lines import read_file

RESUMABLE = ("budget.", "solved.", "checkpoint.")
"""Knobs that a resumed run may change: when it stops and what it keeps, nothing that it learns from."""


def versions() -> dict[str, str]:
    """Of everything that a result depends on."""
    found = {"python": platform.python_version()}
    for name in ("pg_theano", "pytensor", "jax", "jaxlib", "gymnasium", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def name_of(id: str) -> str:
    """A run's name from its environment: CartPole-v1 is cartpole, my_module:MyEnv is myenv."""
    bare = re.sub(r"-v\d+$", "", id.rpartition(":")[2].rpartition("/")[2])
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in bare).strip("-").lower()[:64] or "run"


def new_folder(name: str, parent: Path = Path("runs")) -> Path:
    """`runs/<name>`, or the first free of `runs/<name>-2`, `-3`, ...; made here, so that no other process takes it."""
    for number in range(1, 100_000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror}); name another with --run-dir") from None
    raise UserError(f"{parent / name}: 100,000 runs of this name; give it another")


def exact_folder(path: Path) -> Path:
    """The folder that the user named, made where it is missing, refused where something is in it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(path.iterdir())
    except OSError as error:
        raise UserError(f"{path}: cannot be made ({error.strerror}); name another with --run-dir") from None
    if occupied:
        raise UserError(f"{path}: not empty; expected a new folder, or use --resume {path} to go on with that run")
    return path


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
        self._lock = locked(path)
        self._metrics: Any = None

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def begin(self, config: Config, facts: Mapping[str, Any]) -> None:
        """A new run: where it came from, and its resolved config, last: this makes the folder a run."""
        self._write_json("run.json", {"versions": versions(), "argv": sys.argv, **facts})
        self._metrics = open(self.path / "metrics.jsonl", "wb")
        self._write_config(config)

    def go_on(self, config: Config, metrics_bytes: int) -> None:
        """A resumed run: records written after the checkpoint are cut off; they will be written again."""
        metrics = self.path / "metrics.jsonl"
        if not metrics.is_file() or metrics.stat().st_size < metrics_bytes:
            raise UserError(f"{metrics}: missing or cut short; its checkpoint expects {metrics_bytes:,} bytes or more")
        checkpoints.clear_temporaries(self.checkpoints)
        checkpoints.clear_temporaries(self.path)
        (self.path / "result.json").unlink(missing_ok=True)
        self._write_config(config)  # what may change, such as a raised budget, holds for the next resume too
        self._metrics = open(metrics, "r+b")
        self.cut(metrics_bytes)

    def record(self, values: Mapping[str, Any]) -> None:
        self._metrics.write(json.dumps(values).encode() + b"\n")

    def size(self) -> int:
        """Bytes recorded so far."""
        return self._metrics.tell()

    def cut(self, size: int) -> None:
        """Forget the records after the first `size` bytes."""
        self._metrics.truncate(size)
        self._metrics.seek(size)

    def flush(self) -> int:
        """Everything recorded so far is on the disk; returns the size of metrics.jsonl."""
        self._metrics.flush()
        os.fsync(self._metrics.fileno())
        return self._metrics.tell()

    def finish(self, result: Mapping[str, Any]) -> None:
        self.flush()
        self._write_json("result.json", result)

    def close(self) -> None:
        if self._metrics is not None:
            self._metrics.close()
        os.close(self._lock)

    def _write_config(self, config: Config) -> None:
        text = yaml.safe_dump(to_dict(config), sort_keys=False)
        checkpoints.write_atomically(self.path / "config.yaml", text.encode())

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        checkpoints.write_atomically(self.path / name, json.dumps(value, indent=1).encode() + b"\n")


def locked(folder: Path) -> int:
    """The descriptor that holds a run folder's lock. Errors: `UserError` that names the process that has it."""
    path = folder / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = path.read_text().strip() or "another process"
        os.close(descriptor)
        raise UserError(f"{folder}: in use by {holder}; wait for it, or stop it") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def read_run(path: Path) -> tuple[Config, dict[str, Any]]:
    """(config, facts) of a run folder. Errors: `UserError` where it is none."""
    if not (path / "config.yaml").is_file():
        known = [str(p) for p in sorted(Path(path).glob("seed-*")) if (p / "config.yaml").is_file()]
        hint = (
            f"it holds several runs: name one, such as {known[0]}"
            if known
            else "expected a folder such as runs/cartpole"
        )
        raise UserError(f"{path}: no run folder (no config.yaml in it); {hint}")
    document = read_file(path / "config.yaml")
    try:
        facts = json.loads((path / "run.json").read_text())
        _ = facts["folder"], facts["spec"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path / 'run.json'}: missing or damaged; expected what `pg_theano.train` wrote") from None
    return from_dict(document.data, document.lines, document.name), facts


def resumable(path: Path, overrides: Sequence[str]) -> tuple[Config, dict[str, Any], checkpoints.Checkpoint | None]:
    """(config, facts, newest checkpoint) of a run that can go on; None where it was stopped before there was one.

    Errors: `UserError`: in use, finished, damaged, no run.
    """
    for override in overrides:
        if not override.startswith(RESUMABLE):
            raise UserError(
                f"{override}: a resumed run keeps its config; only {', '.join(RESUMABLE)[:-1]} knobs may change"
            )
    _, facts = read_run(path)
    os.close(locked(path))  # before its files are read: a live run changes them
    config = read_config(path / "config.yaml", overrides)
    if not any((path / "checkpoints").glob("update-*.json")):  # the best one is written before the first of these
        return config, facts, None
    checkpoint = checkpoints.newest(path / "checkpoints")
    counters = checkpoint.facts["counters"]
    status = _status(path)
    if status == "solved" and not overrides:
        raise UserError(
            f"{path}: finished (solved after {counters['updates']} updates); nothing to resume. "
            "To train on: solved.stop=false"
        )
    for name, limit in (("updates", config.budget.updates), ("env_steps", config.budget.env_steps)):
        if status == "budget" and limit is not None and counters[name] >= limit:
            raise UserError(
                f"{path}: finished (budget.{name} = {limit} is spent); to train on, raise it: budget.{name}={2 * limit}"
            )
    return config, facts, checkpoint


def _status(path: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        return json.loads((path / "result.json").read_text()).get("status")
    return None
