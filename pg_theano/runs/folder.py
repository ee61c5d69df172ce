"""A run's folder: config.yaml, run.json, metrics.jsonl, checkpoints/, result.json. One process at a time writes."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.config.changing import ALWAYS, changed
from pg_theano.config.knobs import Config
from pg_theano.config.reading import as_then, from_dict, knob_of, read_config, to_dict
from pg_theano.runs import changes, checkpoints, recorded
from pg_theano.runs.changes import Change
from pg_theano.runs.records import Records
from pg_theano.spec import Spec
from pg_theano.spec.reading import is_older
from pg_theano.system import console, locks, opening, seals, writing
from pg_theano.system import versions as fingerprints
from pg_theano.system.versions import versions
from pg_theano.system.yaml_lines import read_file
from pg_theano.types import UserError


def fingerprint(config: Config) -> dict[str, Any]:
    """What decides whether a run comes out the same in another process, bit for bit."""
    return fingerprints.of(config.backend if config.gradients == "symbolic" else "numpy", config.dtype)


class RunFolder:
    """The folder of one run while it is being written. The system lets go of its lock when the process ends."""

    def __init__(self, path: Path):
        self.path = path
        opening.own_folder(self.checkpoints)  # files are cleared from it
        self._lock = locks.locked(path)
        self._records: Records
        writing.clear_temporaries(self.checkpoints)
        writing.clear_temporaries(self.path)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def begin(self, config: Config, facts: Mapping[str, Any]) -> None:
        """Write the facts of a new run and its resolved config. The config comes last: it makes the folder a run."""
        began = {"versions": versions(), "argv": sys.argv, "sealed": ["config.yaml"]}
        seals.write_json(self.path / "run.json", began | dict(facts))
        self._records = Records(self.path / "metrics.jsonl")
        self._write_config(config)

    def go_on(
        self, config: Config, facts: Mapping[str, Any], made: Sequence[Change] = (), *, force: bool = False
    ) -> None:
        """Resume: cut off the records written after the checkpoint of these facts. The run will write them again.
        `made` is what is changed of the config while it trains.

        Errors: `UserError` where the records before it are not those that it counts on.
        """
        metrics, size = self.path / "metrics.jsonl", facts["metrics_bytes"]
        if not metrics.is_file() or metrics.stat().st_size < size:
            raise UserError(
                f"{metrics}: missing or cut short; expected {size:,} bytes or more, as its checkpoint counts on; try "
                "a copy of it, or a new run"
            )
        self._records = Records(metrics, size)
        if self._records.sha256() != facts.get("metrics_sha256", self._records.sha256()) and not force:
            raise UserError(
                f"{metrics}: damaged: its checksum does not agree; expected it as the run wrote it; try a "
                "copy of it, or --force"
            )
        (self.path / "result.json").unlink(missing_ok=True)
        if list(made) != changes.of(seals.read_json(self.path / "run.json")):
            self.note(changes=[one._asdict() for one in made])
        self._write_config(config)  # what may change, such as a raised budget, holds for the next resume too

    def note(self, **entries: Any) -> None:
        """Write entries of run.json, beside or instead of those that are there."""
        path = self.path / "run.json"
        seals.write_json(path, seals.read_json(path) | entries)

    def change(self, made: Sequence[Change], knobs: Mapping[str, Any]) -> None:
        """Write what was changed of the config, in all, and of the `knobs` changed now those that config.yaml has."""
        self.note(changes=[one._asdict() for one in made])
        if always := {knob: value for knob, value in knobs.items() if knob.startswith(ALWAYS)}:
            self._write_config(changed(from_dict(as_then(read_file(self.path / "config.yaml").data)), always))

    def record(self, values: Mapping[str, Any]) -> None:
        self._records.add(json.dumps(values).encode() + b"\n")

    def size(self) -> int:
        """Bytes recorded so far."""
        return self._records.size()

    def cut(self, size: int) -> None:
        """Forget the records after the first `size` bytes."""
        self._records.cut(size)

    def flush(self) -> dict[str, Any]:
        """Sync everything recorded so far to the disk. Returns its size and checksum, for a checkpoint."""
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
            locks.unlocked(self._lock)

    def _write_config(self, config: Config) -> None:
        seals.write_yaml(self.path / "config.yaml", to_dict(config))


def fresh(path: Path) -> RunFolder:
    """The folder of a new run, locked. Errors: `UserError` if another process has begun a run in it meanwhile."""
    folder = RunFolder(path)
    if (path / "config.yaml").exists():
        folder.close()
        raise UserError(
            f"{path}: not empty: another process has just trained in it; expected a new folder; try another "
            "with --run-dir"
        )
    return folder


def read_run(path: Path, *, force: bool = False) -> tuple[Config, dict[str, Any]]:
    """(config, facts) of a run folder. Errors: `UserError` if it is none or (without `force`) was changed."""
    if not (path / "config.yaml").is_file():
        known = [str(p) for p in sorted(Path(path).glob("seed-*")) if (p / "config.yaml").is_file()]
        hint = (
            ("one of the runs in it", known[0])
            if known
            else ("a folder that `pg_theano.train` wrote, such as runs/cartpole", "one of: ls -d runs/*")
        )
        raise UserError.at(path, "no run folder (no config.yaml in it)", *hint)
    try:
        facts = seals.read_json(path / "run.json")
        _ = facts["folder"], facts["spec"]
    except (OSError, KeyError, UserError):
        raise UserError.at(
            path / "run.json",
            "missing or damaged",
            "what `pg_theano.train` wrote",
            "a copy of the folder, or a new run",
        ) from None
    recorded.checked(recorded.Facts, facts, path / "run.json")
    if not is_older(facts["spec"]):  # whose figures can be read all the same
        recorded.spec_in(facts, path / "run.json")
    document = read_file(opening.own_file(path / "config.yaml"))
    config = from_dict(as_then(document.data), document.lines, document.name)
    if not force and "config.yaml" in facts.get("sealed", ()) and not seals.yaml_is_whole(path / "config.yaml"):
        raise UserError.at(
            path / "config.yaml",
            "not as the run wrote it (its checksum does not agree)",
            "no change by hand",
            f"putting it back; to train on with other knobs: python -m pg_theano.train --resume {path} "
            "budget.updates=500, with --force if the change is wanted",
        )
    return config, facts


class Trained(NamedTuple):
    """A run whose policy can act."""

    config: Config
    facts: dict[str, Any]
    spec: Spec
    checkpoint: checkpoints.Checkpoint  # the best; before any evaluation, the newest


def trained(path: Path, npz: Path | None = None) -> Trained:
    """What a run folder holds of its best policy, or of the checkpoint in a file of it. Errors: `UserError`: no run, no
    checkpoint, a damaged one."""
    config, facts = read_run(path)
    spec = recorded.spec_in(facts, path / "run.json")
    checkpoint = checkpoints.load(npz) if npz else checkpoints.best(path / "checkpoints")
    recorded.fits(spec, checkpoint.state, checkpoint.path)
    return Trained(config, facts, spec, checkpoint)


class Resumable(NamedTuple):
    """A run that can go on, in its folder, which is locked."""

    folder: RunFolder
    config: Config
    facts: dict[str, Any]
    checkpoint: checkpoints.Checkpoint | None  # the newest; None where the run was stopped before there was one
    changes: Sequence[Change] = ()  # of the config, while it trains; `asked` for now, or recorded before

    def config_now(self) -> Config:
        """The config as it holds where the run goes on."""
        at = self.checkpoint.facts["counters"]["updates"] if self.checkpoint else 0
        return changes.config_at(self.config, self.changes, at)


def resumable(path: Path, overrides: Sequence[str], *, force: bool = False, change: bool = False) -> Resumable:
    """A run that can go on, with its folder locked. With `change`, overrides are of what is no part of the graph.

    Errors: `UserError`: in use, finished, damaged, no run; and where this process differs from the one that wrote the
    checkpoint in what its numbers depend on, without `force`.
    """
    changes.check(overrides, change)
    read_run(path, force=force)  # before a lock is made in a folder that is none
    folder = RunFolder(path)
    try:
        _, facts = read_run(path, force=force)  # a live run changes its files
        always = [one for one in overrides if one.startswith(ALWAYS)]
        config = read_config(path / "config.yaml", always, of_a_run=True)
        if not any(folder.checkpoints.glob("update-*.json")):  # then it begins; the best is written before these
            _check_never_saved(path)
            return Resumable(folder, read_config(path / "config.yaml", overrides, of_a_run=True), facts, None)
        checkpoint = checkpoints.newest(folder.checkpoints)
        recorded.checked(recorded.Checkpoint, checkpoint.facts, checkpoint.path.with_suffix(".json"), "facts")
        _check_unfinished(path, config, checkpoint, overrides)
        then = checkpoint.facts.get("fingerprint", {"versions": facts.get("versions", {})})
        check_fingerprint(path, then, fingerprint(config), force)
        made = changes.of(facts)
        if change:
            at = checkpoint.facts["counters"]["updates"]
            now = changes.config_at(read_config(path / "config.yaml", of_a_run=True), made, at)
            made = changes.joined(now, made, dict(map(knob_of, overrides)), at)
        return Resumable(folder, config, facts, checkpoint, made)
    except BaseException:
        folder.close()
        raise


def _check_never_saved(path: Path) -> None:
    """Refuse a run that has ended but has no checkpoint: one that ends saves first, so its checkpoints are lost."""
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
                f"try budget.{name}={2 * limit}"
            )


def check_fingerprint(path: Path, then: Mapping[str, Any], now: Mapping[str, Any], force: bool) -> None:
    """Warn where this process differs from the one before. Errors: `UserError` for a binding part, without `force`."""
    binding, others = fingerprints.differences(then, now)
    if binding and not force:
        raise UserError(
            f"{path}: was made with {'; '.join(binding)}: what follows would not be what would have followed there; "
            "go on where it was made, or here with --force"
        )
    if binding or others:
        console.say(
            f"warning: {path}: was made with {'; '.join([*binding, *others])}; the numbers may differ from here on",
            sys.stderr,
        )


def result_of(path: Path) -> dict[str, Any] | None:
    """The result of a run folder; None where there is none yet. Errors: `OSError`; `UserError` for a damaged one."""
    try:
        return seals.read_json(path / "result.json")
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_result(path: Path, *, check: bool = True) -> dict[str, Any] | None:
    """The same, but None with a warning for a damaged result: the run counts as one that has not ended.

    With `check`, a result with an entry of a kind that no run writes counts as damaged.
    """
    try:
        result = result_of(path)
        if result is not None and check:
            recorded.checked(recorded.Result, result, path / "result.json")
        return result
    except (OSError, UserError) as error:
        console.say(f"warning: {error}; taken as a run that has not ended", sys.stderr)
        return None
