"""Evaluations while a run trains: when, which State was the best, and whether the task is solved."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pg_theano.config import schedules
from pg_theano.runs import figures
from pg_theano.system import stopping
from pg_theano.training import seeding
from pg_theano.training.evaluating import Evaluator
from pg_theano.training.setting import Evaluation, Progress, Setting
from pg_theano.types import GREEDY, SAMPLE, State


class Judge:
    """Evaluates one run, in environments of its own, on seeds that no training uses."""

    def __init__(self, setting: Setting, act: Callable[..., Any]):
        self.setting, self.act = setting, act
        self.evaluator = Evaluator(setting.config, setting.spec, setting.folders)
        self.beforehand: dict[tuple[int, int], Evaluation] = {}  # (purpose, choice): played together with other runs'

    def due(self, record: Mapping[str, Any], updates: int) -> bool:
        """Whether to evaluate: every so many updates, and when a population's best quarter reaches the threshold."""
        threshold = self.setting.threshold
        promising = threshold is not None and record.get("fitness_elites", -np.inf) >= threshold
        return promising or updates % self.setting.config.evaluation.every_updates == 0

    def evaluate(self, now: Progress, record: dict[str, Any]) -> tuple[Progress, bool]:
        """Add an evaluation to the record; returns (the progress with its best State, whether the run may stop)."""
        with self.setting.parts.of("evaluate"):
            greedy = self.evaluation(now, seeding.EVALUATION, GREEDY)
            record |= {f"evaluation_{name}": greedy[name] for name in ("mean", "std", "min", "max")}
            if self.setting.config.evaluation.sampled:
                record["evaluation_sampled_mean"] = self.evaluation(now, seeding.EVALUATION, SAMPLE)["mean"]
        if now.counters.best is None or greedy["mean"] > now.counters.best:
            now = now.with_best(greedy["mean"])
        return now, self.solves(greedy)

    def evaluation(self, now: Progress, purpose: int, choice: int, state: State | None = None) -> Evaluation:
        """Play the run's newest State, or another `state`, on the seeds of this purpose and update."""
        if (purpose, choice) in self.beforehand:
            return self.beforehand.pop((purpose, choice))
        config = self.setting.config
        return self.evaluator(
            self.act,
            now.state if state is None else state,
            schedules.constant_knobs(config),
            episodes=config.evaluation.episodes,
            seed=seeding.child(config.seed, purpose, now.counters.updates),
            choice=choice,
        )

    def reaches(self, found: Evaluation) -> bool:
        return self.setting.threshold is not None and found["mean"] >= self.setting.threshold

    def solves(self, found: Evaluation) -> bool:
        """Whether an evaluation is a reason to stop."""
        return self.setting.config.solved.stop and self.reaches(found)

    def confirm(self, now: Progress) -> tuple[Progress, bool]:
        """Evaluate again on fresh seeds; returns (the progress, whether this too reaches the threshold).

        The policy that solved the task is the best, whatever a luckier evaluation gave another.
        """
        with self.setting.parts.of("evaluate"):
            second = self.evaluation(now, seeding.CONFIRMATION, GREEDY)
        reached = self.reaches(second)
        verdict = "confirmed" if reached else f"not confirmed (threshold {self.setting.threshold:g}); going on"
        self.setting.display.event(f"second evaluation on fresh seeds: {figures.mean_and_std(second)}, {verdict}")
        return (now._replace(final=second).with_best(second["mean"]) if reached else now), reached

    def solved_before(self, now: Progress) -> Progress:
        """The progress without a final evaluation, unless the run was killed between solving and saying so."""
        return now if now.final and self.solves(now.final) else now._replace(final=None)

    def final(self, now: Progress, status: str) -> Progress:
        """The progress with the evaluation that the result reports: of the best State, on seeds that chose none."""
        if status in ("budget", "stopped") and now.counters.updates:
            with self.setting.parts.of("evaluate"):
                return now._replace(final=self.evaluation(now, seeding.CONFIRMATION, GREEDY, now.best()))
        return now if status == "solved" else now._replace(final=None)

    def reason(self, status: str) -> str:
        """Why a run ended with this status, in words."""
        episodes = self.setting.config.evaluation.episodes
        return {
            "solved": f"mean of {episodes} greedy episodes reached {self.setting.threshold}, twice",
            "budget": "the budget is spent",
            "interrupted": stopping.reason(),
            "stopped": "a callback asked for it",
        }[status]

    def close(self) -> None:
        self.evaluator.close()
