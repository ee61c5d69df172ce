"""Runs from a config, or from the folder of an interrupted one, to a result: one, several seeds, or several at once."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.config import reading as configs
from pg_theano.config import user_code
from pg_theano.config.knobs import Config
from pg_theano.environments import given as environments
from pg_theano.runs import figures, places, seeds, starting
from pg_theano.runs import folder as runs
from pg_theano.runs.starting import Start
from pg_theano.system import clock, locks, writing
from pg_theano.system.yaml_lines import read_file
from pg_theano.training import agents, begun
from pg_theano.training.begun import How
from pg_theano.types import UserError

SILENT = How()

Chosen = Config | Mapping[str, Any] | str | os.PathLike[str] | None
"""What a config is made of: itself, plain data, a file, or nothing for the defaults."""


class Result(NamedTuple):
    """What a run left: its folder, its figures, and its plot once it is drawn."""

    folder: Path
    figures: dict[str, Any]
    plot: Path | None = None


def run(
    config: Chosen = None,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    folder_of_config: Path | None = None,
    environment: object = None,
    how: How = SILENT,
) -> Result:
    """Train a config, with `knob=value` set over it, in a new folder. Errors: `UserError`.

    `folder_of_config` is where the modules that a config names are looked for, where it comes from no file.
    `environment` is one as Python has it, in place of the config's: see `pg_theano.environments.given`.
    """
    start_from = how.start_from
    start = None if start_from is None else starting.read(start_from)

    def resolved(own: Mapping[str, Any] | None = None) -> configs.Resolved:
        if start_from is not None and config is None:
            return starting.resolved(start_from, overrides, seed, own)
        return configs.resolved(config, overrides, seed, folder_of_config, own)

    given = resolved()
    if environment is None:
        return _new(given, run_dir, how, start)
    with environments.given(environment, given.config.environment) as own:
        return _new(resolved(own), run_dir, how, start)


def _new(given: configs.Resolved, run_dir: str | os.PathLike[str] | None, how: How, start: Start | None) -> Result:
    name = given.config.name or places.name_of(given.config.environment.dynamics or given.config.environment.id)
    with given.placed(), places.new(name, run_dir) as path:
        starting.keep(path, start)
        if given.config.runs == 1:
            return Result(path, begun.one(begun.new(given.config, path, given.folder), given.folder, how))
        with locks.held(path):
            code = user_code.check(given.config, [given.folder], begun.say_nothing)
            seeds.begin(given.config, path, given.folder, code)
            return Result(path, _several(given.config, path, given.folder, how))


def resume(path: Path, overrides: Sequence[str] = (), how: How = SILENT, environment: object = None) -> Result:
    """Go on with the run of a folder, from its newest whole checkpoint, or with the seeds of one that holds several.

    `environment` is the one that the run was given in Python. Errors: `UserError` where the folder holds no run that
    can go on.
    """
    if environment is not None:
        several = (path / seeds.PLAN).exists()
        trained = seeds.read_plan(path)[0] if several else runs.read_run(path, force=how.force)[0]
        with environments.again(environment, trained.environment):
            return resume(path, overrides, how)
    if (path / seeds.PLAN).exists():
        if overrides:
            raise UserError(f"{overrides[0]}: a set of seeds keeps its config; resume one seed to change its budget")
        with locks.held(path):
            config, folder_of_config, code = seeds.read_plan(path)
            configs.check_addresses(read_file(path / seeds.PLAN))
            user_code.check(config, [folder_of_config], begun.say_nothing, code)
            return Result(path, _several(config, path, folder_of_config, how))
    resumed = runs.resumable(path, overrides, force=how.force, change=how.change)
    return Result(path, begun.one(resumed, Path(resumed.facts["folder"]), how))


def train_group(
    members: Sequence[tuple[Config, Path]], folder_of_config: Path, how: How = SILENT
) -> list[dict[str, Any] | None]:
    """Train several configs, each in a folder of its own, at once where they share a graph; their results, in order.

    A finished run is only read, one that was begun goes on. One that fails does so alone: its result has status
    "failed" and the reason in "stop_reason". After Ctrl-C what was not begun has None.
    """
    results: list[dict[str, Any] | None] = [seeds.finished(path) for _, path in members]
    left = [place for place, found in enumerate(results) if found is None]
    for config, path in (members[place] for place in left):  # before the first of them is imported
        known = (path / "config.yaml").exists()
        recorded = runs.read_run(path, force=True)[1].get("code") if known else user_code.NEW
        user_code.check(config, [folder_of_config], begun.say_nothing, recorded)
    said = set()
    batches = agents.batches([members[place][0] for place in left], [folder_of_config])
    for group, environment, hindrance in batches:
        batch = [members[left[index]] for index in group]
        if hindrance is None:
            trained = begun.together(batch, folder_of_config, environment, how)
        else:
            if hindrance not in said:
                said.add(hindrance)
                shown = how.display("agents_per_process")
                shown.event(f"agents_per_process: one after the other: {hindrance}")
                shown.close()
            trained = [_or_failed(config, path, folder_of_config, how) for config, path in batch]
        for index, one in zip(group, trained, strict=True):
            results[left[index]] = one
        if any(one["status"] == "interrupted" for one in trained):
            break
    return results


# -- several seeds


def _several(config: Config, path: Path, folder_of_config: Path, how: How) -> dict[str, Any]:
    """`runs` seeds, in turn or `agents_per_process` at once; returns their summary."""

    def train(configs: list[Config], folders: list[Path]) -> list[dict[str, Any]]:
        members = list(zip(configs, folders, strict=True))
        if config.agents_per_process > 1:
            return [one for one in train_group(members, folder_of_config, how) if one]
        return [_alone(*one, folder_of_config, how) for one in members]

    results = seeds.play(config, path, train)
    if all(one["status"] == "failed" for one in results):
        raise UserError(f"{path}: every seed failed, the first of them so: {results[0]['stop_reason']}")
    task = config.environment.dynamics or config.environment.id
    summary = figures.summarised(path.name, task, results, time.perf_counter() - clock.BEGAN)
    writing.write_atomically(path / "summary.json", json.dumps(summary, indent=1).encode() + b"\n")
    return summary


def _alone(config: Config, path: Path, folder_of_config: Path, how: How) -> dict[str, Any]:
    """One of several runs, by itself."""
    found = begun.found(config, path, folder_of_config, how)
    return begun.one(found, Path(found.facts["folder"]), how)


def _or_failed(config: Config, path: Path, folder_of_config: Path, how: How) -> dict[str, Any]:
    """One of several runs, by itself; the result that it wrote where it failed."""
    try:
        return _alone(config, path, folder_of_config, how)
    except UserError:
        result = runs.read_result(path)
        if result is None or result["status"] != "failed":
            raise
        return result
