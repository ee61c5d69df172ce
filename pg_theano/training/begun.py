"""Runs whose folders are open: what each is made of, its program, its training to the end. One, or several at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pg_theano.config import user_code
from pg_theano.config.knobs import Config
from pg_theano.environments import masks, watchdog
from pg_theano.environments.sound import LONGEST_EPISODE
from pg_theano.runs import folder as runs
from pg_theano.runs import seeds, starting
from pg_theano.system import machine
from pg_theano.training import agents, looking, memory, networks, programs, saving
from pg_theano.training.display import Display, Quiet, Screen
from pg_theano.training.loop import Trainer
from pg_theano.training.playing import collecting
from pg_theano.training.playing.collecting import Collector
from pg_theano.training.setting import Environment, Setting, compiled_line, described, setting_of
from pg_theano.types import Program, Task, UserError

if TYPE_CHECKING:  # imported where one is given: the way to a solved task is short
    from pg_theano.training.callbacks import Callback


class How(NamedTuple):
    """What goes with a run beside its config."""

    display: Display = Quiet
    force: bool = False  # resume though this process, or a file of the run, is not as it was
    change: bool = False  # resume with other values of knobs that are no part of the graph
    callbacks: Sequence[Callback] = ()
    only_begin: bool = False  # end before the first update
    start_from: starting.From | None = None  # begin with what fits of another run; all else changes nothing learned


def one(begun: runs.Resumable, folder_of_config: Path, how: How) -> dict[str, Any]:
    """One run in its folder."""
    config, path = begun.config, begun.folder.path
    with _shown(how.display, f"{config.environment.id} · seed {config.seed} · {path}", path) as (screen, closing):
        closing.callback(begun.folder.close)
        screen.begins(config, path)
        setting = _setting(begun, folder_of_config, screen, closing, say=screen.event)
        at = begun.checkpoint and begun.checkpoint.facts["counters"]["updates"]
        where = "new" if at is None else f"resumed at update {at}"
        screen.event(f"{path}: {where}; {described(setting)}, seed {config.seed}")
        _tell_of_no_limit(setting.task, screen)
        if setting.task.mask_size:
            screen.event(f"policy.action_mask: {masks.place_of(setting.task.spaces)} of {setting.task.id}")
        for line in networks.said_of(config, setting.task, setting.spec.acting.num_params):
            screen.event(line)
        return to_the_end(_trainer(begun, setting, compiled(setting, closing), how, closing))


def together(
    members: Sequence[tuple[Config, Path]], folder_of_config: Path, environment: Environment, how: How
) -> list[dict[str, Any]]:
    """Several runs of one graph at once, each in its folder."""
    machine.allow_open(2 * len(members))
    first, above = members[0][0], members[0][1].parent
    title = f"{first.environment.id} · {len(members)} agents at once · {above}"
    with _shown(how.display, title, above) as (screen, closing):
        begun, settings = [], []
        for config, path in members:
            member = found(config, path, folder_of_config, how)
            closing.callback(member.folder.close)
            begun.append(member)
            told = screen.of_agent(member.config, path)
            settings.append(_setting(member, folder_of_config, told, closing, environment))
        screen.event(f"{above}: {len(settings)} agents at once; {described(settings[0])}")
        _tell_of_no_limit(settings[0].task, screen)
        loaded = agents.load(settings, [folder_of_config], lambda what, took: screen.event(compiled_line(what, took)))
        looking.tell_of_jumps(settings[0], loaded[0][0].manifest)
        each = zip(begun, settings, loaded, strict=True)
        return agents.train([_trainer(*member, how, closing) for member in each], screen.event)


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


def new(config: Config, path: Path, folder_of_config: Path) -> runs.Resumable:
    """A run that is not begun, as `runs.resumable` gives one that is."""
    facts = {"folder": str(folder_of_config), "code": user_code.NEW}
    return runs.Resumable(runs.fresh(path), config, facts, None)


def found(config: Config, path: Path, folder_of_config: Path, how: How) -> runs.Resumable:
    """The run of a folder, or a new one in it."""
    if (path / "config.yaml").exists():
        return runs.resumable(path, (), force=how.force)
    starting.hand_down(path)
    return new(config, path, folder_of_config)


def say_nothing(text: str) -> None:
    pass


def _setting(
    begun: runs.Resumable,
    folder_of_config: Path,
    screen: Screen,
    closing: contextlib.ExitStack,
    environment: Environment | None = None,
    say: Callable[[str], None] = say_nothing,
) -> Setting:
    """What a run is made of; recorded in its folder, unless a checkpoint is there already."""
    folders = [folder_of_config]
    code = user_code.check(begun.config, folders, say, begun.facts.get("code"))
    setting = setting_of(begun.config, begun.folder, folders, screen, environment)
    closing.callback(setting.environment.close)
    if begun.changes:
        memory.check(begun.config_now(), setting.spec)
    if begun.checkpoint is None:
        facts = {
            "folder": str(folder_of_config),
            "spec": setting.spec.plain(),
            "task": setting.task._asdict(),
            "code": code,
        }
        begun.folder.begin(begun.config, facts)
    return setting


def _tell_of_no_limit(task: Task, screen: Screen) -> None:
    """An evaluation waits for the end of its episodes, which a greedy policy may never reach."""
    if task.time_limit is None:
        screen.event(
            f"{task.id} has no time limit: an episode, of an evaluation too, may take {LONGEST_EPISODE:,} steps; "
            "try environment.max_episode_steps=1000"
        )


def compiled(setting: Setting, closing: contextlib.ExitStack) -> tuple[Program, Collector]:
    """The program of one run and who plays for it, after a glance at a user's environment."""
    looking.glance(setting)
    began, config, seconds = time.perf_counter(), setting.by_rows, setting.parts.seconds
    program = programs.load(config, setting.spec, setting.report, setting.folders)
    looking.tell_of_jumps(setting, program.manifest)
    collector = collecting.collector_of(config, setting.spec, setting.environment, program, setting.folders)
    closing.callback(collector.close)
    if said := collecting.said_of_minibatches(config):
        setting.display.event(said)
    program.prepare(collector.first_calls())
    # What `load` does beside reported compilation (importing JAX or PyTensor) is no part of training either.
    seconds["import"] += max(time.perf_counter() - began - seconds["compile"], 0.0)
    return program, collector


def _trainer(
    begun: runs.Resumable, setting: Setting, loaded: tuple[Program, Collector], how: How, closing: contextlib.ExitStack
) -> Trainer:
    program, collector = loaded
    saver = saving.begin(setting, program, collector, begun, force=how.force)
    told = None
    if how.callbacks:
        from pg_theano.training.callbacks import Told

        told = Told(how.callbacks, setting)
    trainer = Trainer(setting, program, saver, told, begun.changes)
    trainer.stop_asked = how.only_begin
    closing.callback(trainer.judge.close)
    return trainer


def to_the_end(trainer: Trainer) -> dict[str, Any]:
    """Train to the end, whatever it is, and leave the folder whole; returns the result."""
    trainer.begin()
    try:
        with watchdog.watching(trainer.config.environment.timeout):
            status = trainer.train()
            only_begun = status == "stopped" and not trainer.now.counters.updates
            return trainer.finish(status, "it was only begun" if only_begun else None)
    except KeyboardInterrupt:
        return trainer.give_up("interrupted")
    except UserError as error:
        trainer.give_up("failed", str(error))
        raise
    except OSError as error:  # a full disk, a folder or an output that cannot be written
        with contextlib.suppress(OSError):  # what can be saved still; else the last checkpoint is there
            trainer.give_up("failed", str(error))
        raise
