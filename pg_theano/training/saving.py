"""What a run leaves on the disk: checkpoints, its result; how it goes on from them, and back to a whole update."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config import changing
from pg_theano.runs import checkpoints, starting
from pg_theano.runs import folder as runs
from pg_theano.runs.checkpoints import Checkpoint
from pg_theano.training import seeding
from pg_theano.training.playing import collecting
from pg_theano.training.playing.collecting import Collector
from pg_theano.training.playing.stretches import OtherEpisode
from pg_theano.training.setting import Counters, Progress, Setting
from pg_theano.types import Array, Program, State, UserError


class Settled(NamedTuple):
    """A run at the end of an update, its record included: what an interruption of the next one goes back to."""

    progress: Progress
    size: int  # bytes recorded
    open_episodes: Any  # as the collector settled them


class Saver:
    """Writes the checkpoints and the result of one run, which begins with `progress`."""

    def __init__(self, setting: Setting, collector: Collector, progress: Progress, *, on_disk: bool):
        self.setting, self.collector = setting, collector
        self.fingerprint = runs.fingerprint(setting.config)
        self.steps_before = progress.counters.env_steps
        self.saved = (progress.counters.updates, progress.final) if on_disk else None
        self.saved_at = time.perf_counter()
        self.settled: Settled
        self.settle(progress)

    def settle(self, progress: Progress) -> None:
        """All of an update is done."""
        open_episodes = self.collector.settle()
        self.settled = Settled(progress, self.setting.folder.size(), open_episodes)

    def go_back(self) -> Progress:
        """Forget the update that was interrupted: a run that is resumed from whole updates equals one that was not."""
        self.setting.folder.cut(self.settled.size)
        return self.settled.progress

    def save_when_due(self, progress: Progress) -> None:
        knobs, now = self.setting.config.checkpoint, time.perf_counter()
        by_updates = knobs.every_updates is not None and progress.counters.updates % knobs.every_updates == 0
        if by_updates or (knobs.every_seconds is not None and now - self.saved_at >= knobs.every_seconds):
            self.save(progress)

    def save(self, progress: Progress) -> None:
        """Write the newest checkpoint, and the best one if it is not on the disk yet, then say so.

        A checkpoint that is there already stays: to write it again would take it away for a moment.
        """
        setting, counters = self.setting, progress.counters
        with setting.parts.of("checkpoint"):
            folder = setting.folder.checkpoints
            facts = {
                "counters": counters._asdict(),
                "seed": setting.config.seed,
                "final": progress.final,
                "given": progress.given,
                "fingerprint": self.fingerprint,
                **setting.folder.flush(),
            }
            best = best_path(setting, counters)
            if progress.best_state is not None and not best.with_suffix(".json").exists():
                checkpoints.save(folder, best.stem, progress.best_state, facts | {"best": counters.best})
            if self.saved != (counters.updates, progress.final):
                carried = self.collector.arrays(self.settled.open_episodes)
                checkpoints.save(folder, f"update-{counters.updates:08}", progress.state | carried, facts)
                self.saved = counters.updates, progress.final
            for kind in ("best", "update"):  # as many of the best: each checkpoint that is kept may need its own
                checkpoints.prune(folder, kind, setting.config.checkpoint.keep)
        self.saved_at = time.perf_counter()
        setting.display.saved(counters.updates)

    def finish(self, progress: Progress, status: str, reason: str) -> dict[str, Any]:
        """Write the result, and return it."""
        setting, config, counters = self.setting, self.setting.config, progress.counters
        seconds = setting.parts.seconds
        trained = seconds["collect"] + seconds["update"]
        result = {
            "name": setting.folder.path.name,
            "status": status,
            "stop_reason": reason,
            "environment": setting.task.id,
            "threshold": setting.threshold,
            "seed": config.seed,
            "updates": counters.updates,
            "env_steps": counters.env_steps,
            "episodes": counters.episodes,
            "steps_per_second": (counters.env_steps - self.steps_before) / trained if trained > 0 else 0.0,
            "seconds": seconds | {"total": setting.parts.total()},
            "evaluation": progress.final,
            "best_update": counters.best_update,
            "backend": config.backend if config.gradients == "symbolic" else "numpy",
            "dtype": config.dtype,
            "versions": runs.versions(),
            "fingerprint": self.fingerprint,
        }
        setting.folder.finish(result)
        return result


def best_path(setting: Setting, counters: Counters) -> Path:
    return setting.folder.checkpoints / f"best-{counters.best_update or 0:08}.npz"


# -- where a run begins


def begin(setting: Setting, program: Program, collector: Collector, begun: runs.Resumable, *, force: bool) -> Saver:
    """Begin anew, or where a checkpoint stands. Errors: `UserError` where it, or the records, are not this run's."""
    checkpoint = begun.checkpoint
    if checkpoint is None:
        progress = Progress(_begun(setting, program.init(setting.generator(seeding.INITIAL_WEIGHTS, 0))))
    else:
        progress = _resumed(setting, program, collector, checkpoint)
        setting.folder.go_on(setting.config, checkpoint.facts, begun.changes, force=force)
    return Saver(setting, collector, progress, on_disk=checkpoint is not None)


def _begun(setting: Setting, fresh: State) -> State:
    """The State of a new run, with what it takes over of another, which is said and recorded."""
    if (start := starting.kept(setting.folder.path)) is None:
        return fresh
    from pg_theano.training import taking

    state, taken = taking.over(fresh, setting.spec, start)
    for line in (f"begins with {start.where}", *taken.lines()):
        setting.display.event(line)
    whose = {"run": start.run, "checkpoint": start.checkpoint, "optimizer": start.optimizer}
    setting.folder.note(start=whose | taken._asdict())
    return state


def _resumed(setting: Setting, program: Program, collector: Collector, checkpoint: Checkpoint) -> Progress:
    state, open_episodes = _learned(setting, program, checkpoint)
    try:
        collector.restore(open_episodes)
    except OtherEpisode as error:
        setting.display.event(
            f"warning: {error}; the open episodes are begun anew, so the run goes on otherwise than without the stop"
        )
        state = Progress(state).without(range(setting.by_rows.environment.num_envs))
    facts = checkpoint.facts
    given = changing.inputs(setting.config, facts.get("given", {}))
    progress = Progress(state, Counters(**facts["counters"]), final=facts["final"], given=given)
    checkpoints.forget_after(setting.folder.checkpoints, progress.counters.updates)
    if progress.counters.best_update is None:
        return progress
    try:
        best, _ = _learned(setting, program, checkpoints.load(best_path(setting, progress.counters)))
    except UserError as error:
        setting.display.event(f"warning: {error}; the best policy is sought anew")
        return progress._replace(counters=progress.counters._replace(best=None, best_update=None))
    return progress._replace(best_state=best)


def _learned(setting: Setting, program: Program, checkpoint: Checkpoint) -> tuple[State, dict[str, Array]]:
    """(State, arrays of open episodes) of a checkpoint. Errors: `UserError` where the State is not of this program."""
    rows = setting.by_rows.environment.num_envs
    entries = program.manifest["state"]
    expected = {name: tuple(rows if size == "E" else size for size in shape) for name, shape, _ in entries}
    learned, open_episodes = collecting.parted(checkpoint.state)
    found = {name: array.shape for name, array in learned.items()}
    if expected != found:
        differs = sorted(name for name in expected | found if expected.get(name) != found.get(name))
        named = "; ".join(f"{name}: got {found.get(name)}, expected {expected.get(name)}" for name in differs)
        raise UserError(
            f"{checkpoint.path}: another architecture ({named}); expected that of the run's config; try the "
            "config.yaml that it was written with, or a new run"
        )
    kinds = {name: array.dtype for name, array in program.init(np.random.default_rng(0)).items()}
    for name, array in learned.items():
        if array.dtype != kinds[name]:
            raise UserError(
                f"{checkpoint.path}: {name}: got numbers of {array.dtype}; expected {kinds[name]}; try a copy of "
                "the folder, or a new run"
            )
    return learned, open_episodes
