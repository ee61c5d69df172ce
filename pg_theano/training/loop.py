"""THE loop: one run, from its first update to its last."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pg_theano.config import schedules
from pg_theano.config.changing import changed
from pg_theano.config.knobs import Config
from pg_theano.runs import changes, figures
from pg_theano.runs.changes import Change
from pg_theano.system import stopping
from pg_theano.training import looking, memory, minibatches
from pg_theano.training.judging import Judge
from pg_theano.training.saving import Saver
from pg_theano.training.setting import Setting
from pg_theano.types import Knobs, Played, Program, State

if TYPE_CHECKING:  # imported where a callback is given
    from pg_theano.training.callbacks import Told


class Trainer:
    """One run. All that it is made of is there when it is made; `now` and `stop_asked` change while it trains.

    `made` are changes of its config that it recorded before, and will follow.
    """

    def __init__(
        self, setting: Setting, program: Program, saver: Saver, told: Told | None = None, made: Sequence[Change] = ()
    ):
        self.setting, self.program, self.told = setting, program, told
        self.changes, self.ahead = list(made), list(made)
        self.saver, self.collector = saver, saver.collector
        self.judge, self.looker = Judge(setting, program.act), looking.Looker(setting)
        self.now, self.stop_asked = saver.settled.progress, False
        self.began = time.perf_counter() - self.now.counters.seconds
        self._follow()

    def train(self) -> str:
        """Update until solved, until the budget is spent or a callback says so: "solved", "budget" or "stopped"."""
        if self.solved_before():
            return "solved"
        while not self.budget_spent() and not self.stop_asked:
            stopping.check()
            knobs = self.knobs()
            with self.setting.parts.of("collect"):
                played = self.collector.collect(self.now.state, knobs, self.now.counters.updates)
                order = minibatches.of_update(self.setting, played, self.now.counters.updates)
            with self.setting.parts.of("update"):
                before = self.now.without(played.dropped)
                state, measured = self.program.train(before, played.rollout, knobs, order)
            record = self.learned(played, state, measured, knobs)
            if self.finish_update(record):
                return "solved"
        return "stopped" if self.stop_asked else "budget"

    def learned(self, played: Played, state: State, measured: dict[str, float], knobs: Knobs) -> dict[str, Any]:
        """Take over what an update has learned; returns its record. Errors: `UserError` where it is not finite."""
        before = self.now.counters
        looking.check_finite(self.setting, measured, played, before.updates + 1)
        self.now = self.now._replace(state=state, counters=before.after(played, self.seconds()))
        self.looker.look(played, self.collector.replays)
        counts = {"env_steps": self.now.counters.env_steps, "episodes": self.now.counters.episodes}
        rates = {name: knobs[name] for name in ("learning_rate", "exploration_rate")}
        whole = {} if self.setting.spec.learning.num_steps else {"episodes_per_update": len(played.returns)}
        returned = figures.of_episodes(played.returns, played.lengths)
        given = {name: knobs[name] for name in self.now.given}
        return {"update": before.updates, **counts, **returned, **measured, **rates, **given, **whole}

    def finish_update(self, record: dict[str, Any]) -> bool:
        """Evaluate where it is due, write the record, save where it is due; returns whether the task is solved."""
        solved = False
        if self.evaluation_due(record):
            self.now, solved = self.judge.evaluate(self.now, record)
        record["seconds"] = self.seconds()
        self.setting.folder.record(record)
        self.setting.display.update(record, self.now.counters.share_of(self.config.budget, self.seconds()))
        if solved:
            self.now, solved = self.judge.confirm(self.now)
        if self.told:
            self.stop_asked, given = self.told.update(record, self.now.state)
            self.now = self.now._replace(given=self.now.given | given)
        self.saver.settle(self.now)
        if not solved:
            self.saver.save_when_due(self.now)
        return solved

    def evaluation_due(self, record: dict[str, Any]) -> bool:
        return self.judge.due(record, self.now.counters.updates)

    def knobs(self) -> Knobs:
        """The values of the next update, once the changes that begin with it are made."""
        self._follow()
        return schedules.knobs_at(self.config, self.now.counters.updates) | self.now.given

    @property
    def config(self) -> Config:
        """As it holds now."""
        return self.setting.config

    def change(self, knobs: Mapping[str, Any]) -> None:
        """Change knobs of the config, named by their paths, from the next update on; run.json records it.

        Errors: `UserError` for a knob that is part of the graph, or cannot have this value; nothing is changed then.
        """
        after = changed(self.config, knobs)
        memory.check(after, self.setting.spec)
        self.changes = changes.joined(self.config, self.changes, knobs, self.now.counters.updates)
        self.setting.folder.change(self.changes, knobs)
        self.setting.config = after  # with those of the budget, which `_follow` passes over
        self.ahead = [one for one in self.changes if one.update >= self.now.counters.updates]
        self._follow()

    def _follow(self) -> None:
        """Make the changes that have been reached."""
        updates = self.now.counters.updates
        while self.ahead and self.ahead[0].update <= updates:
            reached = [one for one in self.ahead if one.update == self.ahead[0].update]
            del self.ahead[: len(reached)]
            self.setting.config = self.collector.config = changes.config_after(self.config, reached)
            self.judge.renew()
            for one in reached if reached[0].update == updates else ():
                self.setting.display.event(str(one))
                kept = {name: value for name, value in self.now.given.items() if name not in one.knob.split(".")}
                self.now = self.now._replace(given=kept)  # the later word holds

    def solved_before(self) -> bool:
        """Whether this run had been solved when it was killed, before it could say so."""
        self.now = self.judge.solved_before(self.now)
        return self.now.final is not None

    def budget_spent(self) -> bool:
        return self.now.counters.share_of(self.config.budget, self.seconds()) >= 1.0

    def seconds(self) -> float:
        """Of training so far, with those of the parts before a resume."""
        return time.perf_counter() - self.began

    # -- its ends

    def begin(self) -> None:
        if self.told:
            self.told.begin()

    def give_up(self, status: str, reason: str | None = None) -> dict[str, Any]:
        """Finish without the update that was interrupted."""
        self.go_back()
        return self.finish(status, reason)

    def go_back(self) -> None:
        self.now = self.saver.go_back()

    def finish(self, status: str, reason: str | None = None) -> dict[str, Any]:
        """Save the last update, and the result, which is returned."""
        self.saver.save(self.now)
        self.now = self.judge.final(self.now, status)
        result = self.saver.finish(self.now, status, reason or self.judge.reason(status))
        if self.told:
            self.told.finish(result)
        return result
