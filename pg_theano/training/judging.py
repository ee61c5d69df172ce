"""Evaluations while a run trains: when, which State was the best, and whether the task is solved."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pg_theano.environments.making import Compiled
from pg_theano.runs import figures
from pg_theano.system import stopping
from pg_theano.training import seeding
from pg_theano.training.evaluating import Evaluator
from pg_theano.training.setting import Counters, Evaluation, Progress, Setting
from pg_theano.training.specs import budget_steps
from pg_theano.types import GREEDY, SAMPLE, State

LEAST_EPISODES = 5
"""Of an evaluation, however dear it is."""


class Judge:
    """Evaluates one run, in environments of its own, on seeds that no training uses."""

    def __init__(self, setting: Setting, act: Callable[..., Any]):
        self.setting, self.act = setting, act
        knobs, trained = setting.config.evaluation, setting.environment
        shared = None if knobs.environment == "fresh" or isinstance(trained, Compiled) else trained
        self.evaluator = self._evaluator(shared)
        self.beforehand: dict[tuple[int, int], Evaluation] = {}  # (purpose, choice): played together with other runs'

    def renew(self) -> None:
        """The config has changed: other environments, where an evaluation has another number of episodes."""
        if self.setting.config.evaluation.episodes != self.evaluator.most:
            self.evaluator.close()
            self.evaluator = self._evaluator()

    def _evaluator(self, shared: Any = None) -> Evaluator:
        setting, knobs = self.setting, self.setting.config.evaluation
        made = Evaluator(setting.config, setting.spec, setting.folders, knobs.episodes, shared)
        budget = budget_steps(setting.config)
        made.steps = int(knobs.share * budget) if knobs.share and budget else None
        made.ours = getattr(setting.environment, "processes", 1)
        return made

    def due(self, record: Mapping[str, Any], updates: int) -> bool:
        """Whether to evaluate: every so many updates, and when a population's best quarter reaches the threshold."""
        threshold = self.setting.threshold
        promising = threshold is not None and record.get("fitness_elites", -np.inf) >= threshold
        return promising or updates % self.setting.config.evaluation.every_updates == 0

    def evaluate(self, now: Progress, record: dict[str, Any]) -> tuple[Progress, bool]:
        """Add an evaluation to the record; returns (the progress with its best State, whether the run may stop)."""
        with self.setting.parts.of("evaluate"):
            counters, every = now.counters, self.setting.config.evaluation.episodes
            episodes = self.affordable(counters, record)
            greedy = self.evaluation(now, seeding.EVALUATION, GREEDY, episodes=episodes)
            length = self.evaluator.length
            if episodes < every and self.solves(greedy):
                greedy = self.evaluation(now, seeding.EVALUATION, GREEDY)
            now = now._replace(counters=counters._replace(evaluated_steps=counters.env_steps, evaluated_length=length))
            record |= {f"evaluation_{name}": greedy[name] for name in ("mean", "std", "min", "max")}
            record["evaluation_episodes"] = greedy["n"]
            if self.setting.config.evaluation.sampled:
                sampled = self.evaluation(now, seeding.EVALUATION, SAMPLE, episodes=episodes)
                record["evaluation_sampled_mean"] = sampled["mean"]
        if now.counters.best is None or greedy["mean"] > now.counters.best:
            now = now.with_best(greedy["mean"])
        return now, self.solves(greedy)

    def affordable(self, counters: Counters, record: Mapping[str, Any]) -> int:
        """How many episodes: those whose steps are a share of what was trained since the last evaluation.

        Never fewer than `LEAST_EPISODES`. They are taken to be as long as those of the last evaluation, or as those
        that training has just played, whichever are longer.
        """
        config = self.setting.config.evaluation
        together = (seeding.EVALUATION, GREEDY) in self.beforehand  # with other runs, as rows of one class
        if config.share is None or together or self.evaluator.all_at_once():
            return config.episodes
        length = max(counters.evaluated_length or 0.0, record["length_mean"] or 0.0)
        steps = config.share * (counters.env_steps - counters.evaluated_steps)
        return min(config.episodes, max(LEAST_EPISODES, int(steps / length) if length else 0))

    def evaluation(
        self, now: Progress, purpose: int, choice: int, state: State | None = None, episodes: int | None = None
    ) -> Evaluation:
        """Play the run's newest State, or another `state`, on the seeds of this purpose and update."""
        if (purpose, choice) in self.beforehand:
            return self.beforehand.pop((purpose, choice))
        config = self.setting.config
        return self.evaluator(
            self.act,
            now.state if state is None else state,
            episodes=episodes or config.evaluation.episodes,
            seed=seeding.child(config.seed, purpose, now.counters.updates),
            choice=choice,
            progress=self.setting.display.evaluating,
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
