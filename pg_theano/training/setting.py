"""What a run is made of before anything is compiled, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config import knobs
from pg_theano.config.knobs import Config
from pg_theano.environments.making import Compiled, Task
from pg_theano.runs import figures
from pg_theano.runs.folder import RunFolder
from pg_theano.spec import Spec
from pg_theano.training import memory, seeding, specs
from pg_theano.training.display import Screen
from pg_theano.types import RETURN_SO_FAR, Knobs, Played, State, Steps

Evaluation = dict[str, float]
"""Mean, std, min, max and n of episode returns."""

Environment = Compiled | Steps


class Counters(NamedTuple):
    """How far a run has come. With the seed, they say all that a generator's state would."""

    updates: int = 0
    env_steps: int = 0
    episodes: int = 0
    seconds: float = 0.0  # of training, over all resumed parts
    best: float | None = None  # mean of the best evaluation so far
    best_update: int | None = None
    evaluated_steps: int = 0  # env_steps at the last evaluation,
    evaluated_length: float | None = None  # and the mean length of its episodes, where it could have had fewer

    def after(self, played: Played, seconds: float) -> Counters:
        """The counters once an update has learned from what was played."""
        return self._replace(
            updates=self.updates + 1,
            env_steps=self.env_steps + played.env_steps,
            episodes=self.episodes + len(played.returns),
            seconds=seconds,
        )

    def share_of(self, budget: knobs.Budget, seconds: float) -> float:
        """The largest share of a limit that is spent; 1 or more: the budget is spent."""
        pairs = ((self.updates, budget.updates), (self.env_steps, budget.env_steps), (seconds, budget.seconds))
        return max((spent / limit for spent, limit in pairs if limit is not None), default=0.0)


class Progress(NamedTuple):
    """All of a run that its updates change."""

    state: State
    counters: Counters = Counters()
    best_state: State | None = None  # of those that were evaluated
    final: Evaluation | None = None  # the evaluation that the result reports
    given: Knobs = {}

    def best(self) -> State:
        """The best State of those that were evaluated; the newest, where none was."""
        return self.state if self.best_state is None else self.best_state

    def without(self, dropped: Sequence[int]) -> State:
        """The State in which the returns so far of lost episodes are 0: other episodes follow there."""
        if not dropped or RETURN_SO_FAR not in self.state:
            return self.state
        so_far = np.array(self.state[RETURN_SO_FAR])
        so_far[list(dropped)] = 0.0
        return self.state | {RETURN_SO_FAR: so_far}

    def with_best(self, mean: float) -> Progress:
        """The same, its State being the best so far."""
        counters = self.counters._replace(best=mean, best_update=self.counters.updates)
        return self._replace(counters=counters, best_state=self.state)


@dataclass(slots=True)
class Setting:
    """What a run is made of. While it trains, `Trainer.change` alone puts another config here."""

    config: Config
    folder: RunFolder
    folders: Sequence[Path]  # where the modules that the config names are looked for
    display: Screen
    environment: Environment
    spec: Spec
    parts: figures.Parts

    @property
    def task(self) -> Task:
        return self.environment.task

    @property
    def by_rows(self) -> Config:
        """The config in which environments are counted by rows of a batch: one for each agent of each."""
        return counted_by_rows(self.config, self.environment)

    @property
    def threshold(self) -> float | None:
        """The mean return that solves the task; None: nothing does."""
        own = self.config.solved.threshold
        return self.task.threshold if own is None else own

    def generator(self, purpose: int, update: int) -> np.random.Generator:
        return seeding.generator(self.config.seed, purpose, update)

    def report(self, what: str, seconds: float) -> None:
        """Say that something is being compiled (0 seconds), or how long it took."""
        self.parts.seconds["compile"] += seconds
        self.display.event(compiled_line(what, seconds))


def counted_by_rows(config: Config, environment: Environment) -> Config:
    """See `Setting.by_rows`."""
    rows = getattr(environment, "num_envs", config.environment.num_envs)
    if rows == config.environment.num_envs:
        return config
    return config.model_copy(update={"environment": config.environment.model_copy(update={"num_envs": rows})})


def compiled_line(what: str, seconds: float) -> str:
    return f"compiled {what}: {seconds:.2f} s" if seconds else f"compiling {what} ..."


def setting_of(
    config: Config, folder: RunFolder, folders: Sequence[Path], display: Screen, environment: Environment | None = None
) -> Setting:
    """Make the environment and the spec. An `environment` that keeps nothing between two calls may be another run's."""
    parts = figures.Parts()
    parts.seconds["import"] = parts.total()
    made: Any = environment or specs.trained_in(config, folders)
    if hasattr(made, "report"):  # of what goes wrong in worker processes
        made.report = display.event
    spec = specs.spec_of(config, made.task, made, folders)
    memory.check(counted_by_rows(config, made), spec)
    return Setting(config, folder, folders, display, made, spec, parts)


def described(setting: Setting) -> str:
    """The task, the policy, who steps how many environments side by side, and whether gradients are by hand."""
    task, environment, spec = setting.task, setting.environment, setting.spec
    stretches = f"stretches of {spec.learning.num_steps} steps" if spec.learning.num_steps else ""
    if isinstance(environment, Compiled):
        engine = f"compiled, {stretches or 'all episodes of an update side by side'}"
    else:
        engine = f"gymnasium, {environment.num_envs} environments ({environment.kind})"
        engine += f", {stretches}" if stretches else ""
    discrete = task.action.kind == "discrete"
    actions = f"{task.action.choices[0]} actions" if discrete else f"actions of size {task.action.size}"
    sizes = f"{task.num_features} features, {actions}, {spec.acting.num_params} parameters"
    by_hand = "; gradients by hand" if setting.config.gradients == "by_hand" else ""
    return f"{task.id}, {sizes}; engine {engine}{by_hand}"
