"""Runs from a config, or from the folder of an interrupted one, to a result: one, several seeds, or several at once."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pg_theano.config import reading as configs
from pg_theano.config import user_code
from pg_theano.config.knobs import Config
from pg_theano.environments import watchdog
from pg_theano.runs import checkpoints, figures, seeds
from pg_theano.runs import folder as runs
from pg_theano.system import clock
from pg_theano.training import agents, looking, programs, saving
from pg_theano.training.display import Display, Quiet, Screen
from pg_theano.training.loop import Trainer
from pg_theano.training.playing import collecting
from pg_theano.training.playing.collecting import Collector
from pg_theano.training.setting import Environment, Setting, compiled_line, described, setting_of
from pg_theano.types import Program, UserError

if TYPE_CHECKING:  # imported where one is given: the way to a solved task is short
    from pg_theano.training.callbacks import Callback

Chosen = Config | Mapping[str, Any] | str | os.PathLike[str] | None
"""What a config is made of: itself, plain data, a file, or nothing for the defaults."""


class Result(NamedTuple):
    """What a run left: its folder, its figures, and its plot once it is drawn."""

    folder: Path
    figures: dict[str, Any]
    plot: Path | None = None


class How(NamedTuple):
    """What goes with a run beside its config, and changes nothing that is learned."""

    display: Display = Quiet
    force: bool = False  # resume though this process, or a file of the run, is not as it was
    callbacks: Sequence[Callback] = ()


SILENT = How()


def run(
    config: Chosen = None,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    folder_of_config: Path | None = None,
    how: How = SILENT,
) -> Result:
    """Train a config, with `knob=value` set over it, in a new folder. Errors: `UserError`.

    `folder_of_config` is where the modules that a config names are looked for, where it comes from no file.
    """
    given = configs.resolved(config, overrides, seed, folder_of_config)
    name = given.config.name or runs.name_of(given.config.environment.dynamics or given.config.environment.id)
    with given.placed(), runs.new(name, run_dir) as path:
        if given.config.runs == 1:
            return Result(path, _one(_new(given.config, path, given.folder), given.folder, how))
        lock = runs.locked(path)
        try:
            code = user_code.check(given.config, [given.folder], _say_nothing)
            seeds.begin(given.config, path, given.folder, code)
            return Result(path, _several(given.config, path, given.folder, how))
        finally:
            runs.unlocked(lock)


def resume(path: Path, overrides: Sequence[str] = (), how: How = SILENT) -> Result:
    """Go on with the run of a folder, from its newest whole checkpoint, or with the seeds of one that holds several.

    Errors: `UserError` where the folder holds no run that can go on.
    """
    if (path / seeds.PLAN).exists():
        if overrides:
            raise UserError(f"{overrides[0]}: a set of seeds keeps its config; resume one seed to change its budget")
        lock = runs.locked(path)
        try:
            config, folder_of_config, code = seeds.read_plan(path)
            user_code.check(config, [folder_of_config], _say_nothing, code)
            return Result(path, _several(config, path, folder_of_config, how))
        finally:
            runs.unlocked(lock)
    begun = runs.resumable(path, overrides, force=how.force)
    return Result(path, _one(begun, Path(begun.facts["folder"]), how))


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
        begun = (path / "config.yaml").exists()
        recorded = runs.read_run(path, force=True)[1].get("code") if begun else user_code.NEW
        user_code.check(config, [folder_of_config], _say_nothing, recorded)
    said = set()
    batches = agents.batches([members[place][0] for place in left], [folder_of_config])
    for group, environment, hindrance in batches:
        batch = [members[left[index]] for index in group]
        if hindrance is None:
            trained = _together(batch, folder_of_config, environment, how)
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


# -- one run, or several at once


def _one(begun: runs.Resumable, folder_of_config: Path, how: How) -> dict[str, Any]:
    """One run in its folder."""
    config, path = begun.config, begun.folder.path
    with _shown(how.display, f"{config.environment.id} · seed {config.seed} · {path}", path) as (screen, closing):
        closing.callback(begun.folder.close)
        screen.begins(config, path)
        setting = _setting(begun, folder_of_config, screen, closing, say=screen.event)
        at = begun.checkpoint and begun.checkpoint.facts["counters"]["updates"]
        where = "new" if at is None else f"resumed at update {at}"
        screen.event(f"{path}: {where}; {_described(setting)}, seed {config.seed}")
        return to_the_end(_trainer(begun, setting, compiled(setting, closing), how, closing))


def _together(
    members: Sequence[tuple[Config, Path]], folder_of_config: Path, environment: Environment, how: How
) -> list[dict[str, Any]]:
    """Several runs of one graph at once, each in its folder."""
    runs.allow_open(2 * len(members))
    first, above = members[0][0], members[0][1].parent
    title = f"{first.environment.id} · {len(members)} agents at once · {above}"
    with _shown(how.display, title, above) as (screen, closing):
        begun, settings = [], []
        for config, path in members:
            one = _found(config, path, folder_of_config, how)
            closing.callback(one.folder.close)
            begun.append(one)
            told = screen.of_agent(one.config, path)
            settings.append(_setting(one, folder_of_config, told, closing, environment))
        screen.event(f"{above}: {len(settings)} agents at once; {_described(settings[0])}")
        loaded = agents.load(settings, [folder_of_config], lambda what, took: screen.event(compiled_line(what, took)))
        each = zip(begun, settings, loaded, strict=True)
        return agents.train([_trainer(*one, how, closing) for one in each], screen.event)


@contextlib.contextmanager
def _shown(display: Display, title: str, path: Path) -> Iterator[tuple[Screen, contextlib.ExitStack]]:
    """A screen, and what is to be closed after it; whoever interrupts before the first update hears how to go on."""
    with contextlib.ExitStack() as closing:
        screen = display(title)
        try:
            yield screen, closing
        except KeyboardInterrupt:  # while compiling, or in `finally` of what trained
            if (path / "config.yaml").exists() or (path / seeds.PLAN).exists():
                screen.go_on_with(path)
            raise
        finally:
            screen.close()


def _new(config: Config, path: Path, folder_of_config: Path) -> runs.Resumable:
    """A run that is not begun, as `runs.resumable` gives one that is."""
    facts = {"folder": str(folder_of_config), "code": user_code.NEW}
    return runs.Resumable(runs.fresh(path), config, facts, None)


def _found(config: Config, path: Path, folder_of_config: Path, how: How) -> runs.Resumable:
    """The run of a folder, or a new one in it."""
    if (path / "config.yaml").exists():
        return runs.resumable(path, (), force=how.force)
    return _new(config, path, folder_of_config)


def _say_nothing(text: str) -> None:
    pass


def _setting(
    begun: runs.Resumable,
    folder_of_config: Path,
    screen: Screen,
    closing: contextlib.ExitStack,
    environment: Environment | None = None,
    say: Callable[[str], None] = _say_nothing,
) -> Setting:
    """What a run is made of; recorded in its folder, unless a checkpoint is there already."""
    folders = [folder_of_config]
    code = user_code.check(begun.config, folders, say, begun.facts.get("code"))
    setting = setting_of(begun.config, begun.folder, folders, screen, environment)
    closing.callback(setting.environment.close)
    if begun.checkpoint is None:
        facts = {
            "folder": str(folder_of_config),
            "spec": setting.spec.plain(),
            "task": setting.task._asdict(),
            "code": code,
        }
        begun.folder.begin(begun.config, facts)
    return setting


def _described(setting: Setting) -> str:
    return described(setting.task, setting.environment, setting.spec, setting.config.gradients)


def compiled(setting: Setting, closing: contextlib.ExitStack) -> tuple[Program, Collector]:
    """The program of one run and who plays for it, after a glance at a user's environment."""
    looking.glance(setting)
    began, config, seconds = time.perf_counter(), setting.config, setting.parts.seconds
    program = programs.load(config, setting.spec, setting.report, setting.folders)
    collector = collecting.collector_of(config, setting.spec, setting.environment, program, setting.folders)
    closing.callback(collector.close)
    if said := collecting.said_of_minibatches(config):
        setting.display.event(said)
    program.prepare(collector.first_calls())
    # What `load` does beside reported compilation (importing JAX or PyTensor) is no part of training either.
    seconds["import"] += max(time.perf_counter() - began - seconds["compile"], 0.0)
    return program, collector


def _trainer(
    begun: runs.Resumable,
    setting: Setting,
    loaded: tuple[Program, Collector],
    how: How,
    closing: contextlib.ExitStack,
) -> Trainer:
    program, collector = loaded
    saver = saving.begin(setting, program, collector, begun.checkpoint, force=how.force)
    told = None
    if how.callbacks:
        from pg_theano.training.callbacks import Told

        told = Told(how.callbacks, setting)
    trainer = Trainer(setting, program, saver, told)
    closing.callback(trainer.judge.close)
    return trainer


def to_the_end(trainer: Trainer) -> dict[str, Any]:
    """Train to the end, whatever it is, and leave the folder whole; returns the result."""
    trainer.begin()
    try:
        with watchdog.watching(trainer.config.environment.timeout):
            return trainer.finish(trainer.train())
    except KeyboardInterrupt:
        return trainer.give_up("interrupted")
    except UserError as error:
        trainer.give_up("failed", str(error))
        raise
    except OSError as error:  # a full disk, a folder or an output that cannot be written
        with contextlib.suppress(OSError):  # what can be saved still; else the last checkpoint is there
            trainer.give_up("failed", str(error))
        raise


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
    checkpoints.write_atomically(path / "summary.json", json.dumps(summary, indent=1).encode() + b"\n")
    return summary


def _alone(config: Config, path: Path, folder_of_config: Path, how: How) -> dict[str, Any]:
    """One of several runs, by itself."""
    begun = _found(config, path, folder_of_config, how)
    return _one(begun, Path(begun.facts["folder"]), how)


def _or_failed(config: Config, path: Path, folder_of_config: Path, how: How) -> dict[str, Any]:
    """One of several runs, by itself; the result that it wrote where it failed."""
    try:
        return _alone(config, path, folder_of_config, how)
    except UserError:
        result = runs.read_result(path)
        if result is None or result["status"] != "failed":
            raise
        return result
