"""Warnings and questions about a user's environment, from what a training run plays in it."""

from collections.abc import Mapping
from typing import Any

from pg_theano.environments import inspection, making, watchdog
from pg_theano.environments.joint import Together
from pg_theano.environments.masks_of_many import check_masks
from pg_theano.environments.parallel import Parallel
from pg_theano.environments.singles import Slots
from pg_theano.environments.sound import check_record
from pg_theano.training.setting import Setting
from pg_theano.types import Played, Record, UserError

LENGTHS_ASKED_OF = 8
"""So many episodes of one length, and no other, are a reason to ask."""


def glance(setting: Setting) -> None:
    """Step a user's environment 64 times, take the same steps again, and say what is wrong."""
    environment, task, knobs = setting.environment, setting.task, setting.config.environment
    if not knobs.look or isinstance(environment, making.Compiled) or making.is_gymnasiums_own(knobs):
        return
    from pg_theano.environments.workers import Workers

    if not isinstance(environment, Slots | Workers):
        return
    with watchdog.watching(knobs.timeout):
        if isinstance(environment, Workers):
            found = environment.glance()
        else:
            first, last = environment.slots[0].env, environment.slots[-1].env
            if isinstance(environment, Parallel):
                first, last = (Together(environment.joints[place].env, knobs) for place in (0, -1))
            found = inspection.glanced(task.id, first, last)
    for line in found:
        setting.display.event(f"warning: {line}")
    if found:
        api = f" environment.api={knobs.api}" if knobs.api != "gymnasium" else ""
        setting.display.event(f"to look further: python -m pg_theano.check_env {task.id}{api}")


def tell_of_jumps(setting: Setting, manifest: Mapping[str, Any]) -> None:
    """A gradient through the dynamics is that of their smooth parts, and nothing else would show it."""
    if found := manifest.get("jumps"):
        algorithm = setting.config.algorithm.name
        setting.display.event(
            f"warning: {setting.task.id} jumps ({', '.join(found)}), which {algorithm} cannot see; compare it with "
            "algorithm.name=ppo"
        )


class Looker:
    """Looks at what is played, and says each thing once."""

    def __init__(self, setting: Setting):
        self.setting = setting
        self.lengths: list[int] | None = []  # of the first episodes, until they differ or are asked of
        self.first = True

    def look(self, played: Played, replays: bool | None) -> None:
        """Look at what was played for an update; `replays` as the collector has it."""
        self._ask_of_lengths(played)
        if self.first and replays is False:
            self.setting.display.event(
                f"{self.setting.task.id} does not replay (same seed, same actions, other steps): after every update "
                "its episodes are begun anew"
            )
        self.first = False

    def _ask_of_lengths(self, played: Played) -> None:
        """Ask whether an end that all episodes share is a time limit, reported as the task's own end."""
        if played.truncated is None or self.lengths is None:
            return
        self.lengths += played.lengths.tolist()
        if played.truncated or len(set(self.lengths)) > 1:
            self.lengths = None
        elif len(self.lengths) >= LENGTHS_ASKED_OF:
            if self.lengths[0] > 1:
                got, expected, advice = inspection.one_length(len(self.lengths), self.lengths[0])
                line = f"question: {self.setting.task.id}: {got}; expected {expected}; {advice}"
                self.setting.display.event(line)
            self.lengths = None


def check_finite(setting: Setting, measured: dict[str, float], played: Played, update: int) -> None:
    """Errors: `UserError` where an update, counted from 1, gave or read what is not finite, or an absurd reward."""
    finite, cost = measured.pop("finite"), measured["cost"]
    if isinstance(played.rollout, Record):
        column = "environment" if setting.spec.learning.num_steps else "episode"
        check_record(played.rollout, f"{setting.task.id}, update {update}, {column}", everything=not finite)
        if setting.task.mask_size and "obs" in played.rollout.columns:
            check_masks(played.rollout, f"{setting.task.id}, update {update}, {column}", setting.task.mask_size)
    if not finite:
        raise UserError(
            f"update {update}: the loss, its gradient or the step is not finite (cost {cost:g}); parameters were left "
            "as they were; expected finite numbers; try a lower schedules.learning_rate, or rewards of a smaller size"
        )
