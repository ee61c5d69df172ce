"""What a new run begins with of another: the arrays of one of its checkpoints, kept in the new run's folder.

    start.npz     parameters and normalisers, and the optimiser where it was asked for
    start.json    whose they are, their spec, and the checksum of both

So a run that is interrupted before its first checkpoint begins again with the same numbers, and so does each seed of
several, whatever has become of the other run meanwhile.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.config import reading, user_code
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.runs import changes, checkpoints, folder, recorded, seeds
from pg_theano.spec import Spec
from pg_theano.system import yaml_lines
from pg_theano.types import State, UserError

NAMES = ("start.npz", "start.json")
NORMALIZERS = ("normalizer/", "reward_normalizer/")
OPTIMIZERS = ("optimizer/", "value_optimizer/", "search/")
OF_AN_ALGORITHM = ("algorithm", "schedules", "optimizer", "exploration")
SAME = ("environment", "policy", "normalize")
"""Sections that another algorithm has from the run whole, whatever its own defaults of them."""


class From(NamedTuple):
    """A run folder, whose best checkpoint is meant, or the .npz of one of its checkpoints."""

    run: str | os.PathLike[str]
    optimizer: bool = False  # its optimiser too

    @property
    def folder(self) -> Path:
        path = Path(self.run)
        return path.parent.parent if path.suffix == ".npz" else path


class Start(NamedTuple):
    """What a run begins with: whose it is, and its arrays, by the names of that run's State."""

    spec: Spec
    state: State
    run: str
    checkpoint: str
    optimizer: bool

    @property
    def where(self) -> str:
        return f"{self.run}/checkpoints/{self.checkpoint}"


def read(source: From) -> Start:
    """Errors: `UserError`: no run, no checkpoint, a damaged one, one of another architecture than its run's."""
    path = Path(source.run)
    of_npz = path if path.suffix == ".npz" else None
    _, _, spec, checkpoint = folder.trained(source.folder, of_npz)
    wanted = ("params", *NORMALIZERS, *(OPTIMIZERS if source.optimizer else ()))
    state = {name: array for name, array in checkpoint.state.items() if name.startswith(wanted)}
    return Start(spec, state, str(source.folder), checkpoint.path.name, source.optimizer)


def keep(path: Path, start: Start | None) -> None:
    """Write what the run of this folder is to begin with; None: nothing, whatever a false start has left there."""
    for name in NAMES:
        (path / name).unlink(missing_ok=True)
    if start is not None:
        facts = {name: value for name, value in start._asdict().items() if name != "state"}
        checkpoints.save(path, "start", start.state, facts | {"spec": start.spec.plain()})


def hand_down(path: Path) -> None:
    """Give the run of one seed what the set of seeds in the folder above is to begin with."""
    if (path.parent / seeds.PLAN).exists() and (path.parent / NAMES[1]).exists():
        for name in NAMES:
            shutil.copyfile(path.parent / name, path / name, follow_symlinks=False)


def kept(path: Path) -> Start | None:
    """What the run of this folder begins with; None: nothing of another. Errors: `UserError`: damaged."""
    if not (path / NAMES[1]).exists():
        return None
    found = checkpoints.load(path / NAMES[0])
    wanted = {"spec": dict, "run": str, "checkpoint": str, "optimizer": bool}
    if not all(isinstance(found.facts.get(name), kind) for name, kind in wanted.items()):
        raise UserError.at(path / NAMES[1], "not what a run records of its start", *checkpoints.WHOLE)
    spec = recorded.spec_in(found.facts, path / NAMES[1])
    recorded.fits(spec, found.state, found.path)
    return Start(spec, found.state, *(found.facts[name] for name in Start._fields[2:]))


def resolved(
    source: From, overrides: Sequence[str] = (), seed: int | None = None, own: Mapping[str, Any] | None = None
) -> reading.Resolved:
    """The config of the run, with `knob=value` words and a seed over it, as that of a new one; see `reading.resolved`.

    With another algorithm, all of `OF_AN_ALGORITHM` is at that one's defaults. Errors: `UserError`; so where a module
    that both configs name is not the one that the run recorded, before its import.
    """
    path = source.folder
    config, facts = folder.read_run(path)
    config = changes.config_after(config, changes.of(facts))
    name = dict(map(reading.knob_of, overrides)).get("algorithm.name", config.algorithm.name)
    document = yaml_lines.read_file(path / "config.yaml")
    document = document._replace(data=_for(name, config), name=str(path / "config.yaml"))
    found = reading.resolved_over(document, overrides, seed, own)
    shared = set(user_code.named(config)) & set(user_code.named(found.config))
    if not shared:
        return found
    user_code.check(config, [Path(facts["folder"])], lambda text: None, facts.get("code"))
    return found._replace(folder=Path(facts["folder"]))


def _for(name: Any, config: Config) -> dict[str, Any]:
    """The config as plain data for an algorithm of this name."""
    data, plain = reading.to_dict(config), reading.to_dict(reading.from_dict(_named(config.algorithm.name)))
    if name == config.algorithm.name or name not in ALGORITHMS:
        return data
    reads = ALGORITHMS[name].reads
    base: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict) and key not in OF_AN_ALGORITHM:
            base[key] = {
                knob: one
                for knob, one in value.items()
                if reads(f"{key}.{knob}") and (key in SAME or one != plain[key][knob])
            }
        elif not isinstance(value, dict) and value != plain[key]:
            base[key] = value
    return base


def _named(algorithm: str) -> dict[str, Any]:
    return {"algorithm": {"name": algorithm}}
