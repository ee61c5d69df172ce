"""A policy evaluated in fresh environments: its episodes, and the figures of their returns."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.config import knobs, schedules, user_code
from pg_theano.config.knobs import Config
from pg_theano.config.reading import from_dict, to_dict
from pg_theano.environments import making
from pg_theano.environments.given import given
from pg_theano.environments.spaces import check_same
from pg_theano.policies import policy
from pg_theano.policies.acting import nothing_remembered
from pg_theano.runs import folder
from pg_theano.spec import Spec
from pg_theano.training import programs, seeding, specs
from pg_theano.training.playing import episodes as rollout
from pg_theano.types import GREEDY, SAMPLE, Array, State, UserError

MOST_ENVIRONMENTS = 32


class Evaluator:
    """Environments of its own, that training never touches; made when first needed, kept for the next evaluation.

    `episodes` is the largest number of an evaluation. `shared`: those of the training are used after all. `spaces`:
    those that the environments must have. `steps`: the most that all evaluations take; None: one, of the longest
    episodes. `ours`: the processes of this run, all of which wait meanwhile but this one.
    """

    spaces: dict[str, Any] | None = None
    steps: int | None = None
    ours = 1

    def __init__(self, config: Config, spec: Spec, folders: Sequence[Path], episodes: int, shared: Any = None):
        self.config, self.folders, self.most = config, folders, episodes
        self.draw, self.acting = programs.noise_of(config, spec), spec.acting
        self.environment, self.shared = shared, shared is not None
        self.length: float | None = None  # mean, of the episodes played last; None where it costs nothing

    def __call__(
        self,
        act: Callable[..., Any],
        state: State,
        *,
        episodes: int,
        seed: np.random.SeedSequence,
        choice: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, Any]:
        """Play exactly `episodes` episodes, each to its end. Returns mean, std, min, max (of the episode return), n.

        Of several agents, the return is their mean, and `agents` has that of each.

        `progress` is told, while it plays, how many of how many have ended.
        """
        environment = self.made()
        agents = getattr(environment, "agents", [])  # of each environment, whose episode is one of each agent
        episode_seeds, action_noise = (np.random.default_rng(child) for child in seed.spawn(2))
        played = rollout.collect(
            environment,
            act,
            state,
            schedules.constant_knobs(self.config) | {"exploration_rate": 0.0},
            num_episodes=episodes * max(len(agents), 1),
            draw=self.draw,
            episode_seeds=episode_seeds,
            action_noise=action_noise,
            dtype=self.config.dtype,
            choice=choice,
            keep=(),
            memory=nothing_remembered(self.acting, environment.num_envs),
            progress=progress,
        )
        self.length = None if self.all_at_once() else float(played.lengths.mean()) * max(len(agents), 1)
        if self.shared:
            self.environment.player = None  # the episodes that were open there are over
        return figures_of_agents(played.returns, agents) if agents else figures_of(played.returns)

    def made(self) -> Any:
        """The environments."""
        if self.environment is None:
            made = making.make(
                self.config.environment,
                num_envs=1 if self.most == 1 else min(self.most, MOST_ENVIRONMENTS),
                dtype=self.config.dtype,
                folders=self.folders,
                whole=self.most,
                squash=self.config.policy.squash,
            )
            steps = self.steps or self.most * (made.task.time_limit or 0) or None
            self.environment = specs.on_all_cores(made, self.config, self.folders, steps=steps, ours=self.ours)
            if self.spaces and self.environment.task.spaces:
                with policy.said_of("run.json: not what a run records of its spaces"):
                    check_same(self.environment.task.spaces, self.spaces, self.environment.task.id)
            check_size(self.environment.task.id, self.environment.task.obs_size, self.acting.obs_size)
        return self.environment

    def all_at_once(self) -> bool:
        """Whether all episodes are rows of one vectorised class: fewer of them would be no quicker."""
        made = self.made()
        return isinstance(made, making.VectorClass) and made.num_envs >= self.most

    def close(self) -> None:
        if self.environment is not None and not self.shared:
            self.environment.close()


def check_size(id: str, got: int, expected: int) -> None:
    """Errors: `UserError` where an environment is not what the policy was trained on, as another version's may be."""
    if got != expected:
        raise UserError(
            f"{id}: got observations of {got} numbers; expected {expected}, as the policy was trained with; try the "
            "version of the environment that it was trained on"
        )


def figures_of(returns: Array) -> dict[str, float]:
    """Mean, std, min, max and n of episode returns."""
    figures = {name: float(getattr(returns, name)()) for name in ("mean", "std", "min", "max")}
    return figures | {"n": len(returns)}


def figures_of_agents(returns: Array, agents: Sequence[Any]) -> dict[str, Any]:
    """The figures of an episode's mean return over its agents, and the mean of each. `returns` [episodes · agents]."""
    by_agent = returns.reshape(-1, len(agents))
    means = zip(map(str, agents), by_agent.mean(axis=0).tolist(), strict=True)
    return figures_of(by_agent.mean(axis=1)) | {"agents": dict(means)}


def evaluate(
    run: str | Path,
    *,
    episodes: int = 100,
    seed: int = 0,
    sampled: bool = False,
    environment: object = None,
    kwargs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Mean, std, min, max and n of the episode returns of a run's best checkpoint, greedy unless `sampled`.

    `environment` is another one with the same spaces: an id, module:Id, or as Python has it (`environments.given`).
    `kwargs` are its keyword arguments, or others of the run's own. Errors: `UserError`; of other spaces it names both.
    """
    path = Path(run)
    trained = folder.trained(path)
    if environment is None:
        config = trained.config if kwargs is None else _with(trained.config, {"kwargs": dict(kwargs)})
        user_code.check_run(config, trained.facts)
        return _evaluated(
            trained._replace(config=config), path, [Path(trained.facts["folder"])], episodes, seed, sampled
        )
    with given(environment, knobs.Environment(kwargs=dict(kwargs or {}))) as own:
        other = {"engine": "auto", "api": "gymnasium", "max_episode_steps": None, "kwargs": dict(kwargs or {})}
        config = _with(trained.config, other | own)
        folders = _checked_code(config, trained)
        return _evaluated(trained._replace(config=config), path, folders, episodes, seed, sampled)


def _evaluated(
    trained: folder.Trained, path: Path, folders: Sequence[Path], episodes: int, seed: int, sampled: bool
) -> dict[str, Any]:
    config, _, spec, checkpoint = trained
    evaluator = evaluator_of(trained, folders, episodes)
    try:
        act = programs.acting_alone(config, spec, folders)
        return {
            **evaluator(
                act,
                checkpoint.state,
                episodes=episodes,
                seed=np.random.SeedSequence(seed, spawn_key=(seeding.EVALUATE_COMMAND,)),
                choice=SAMPLE if sampled else GREEDY,
            ),
            "run": str(path),
            "checkpoint": checkpoint.path.name,
            "environment": config.environment.dynamics or config.environment.id,
            "policy": "sampled" if sampled else "greedy",
            "seed": seed,
        }
    finally:
        evaluator.close()


def evaluator_of(trained: folder.Trained, folders: Sequence[Path], episodes: int) -> Evaluator:
    """Environments of a run that is read; one without a time limit, of a class, has the run's own."""
    config, facts, spec, _ = trained
    task = facts.get("task", {})
    evaluator = Evaluator(config, spec, folders, episodes)
    evaluator.spaces = task.get("spaces")
    try:
        if evaluator.made().task.time_limit is None and task.get("time_limit") is not None:
            evaluator.close()
            return Evaluator(_with(config, {"max_episode_steps": task["time_limit"]}), spec, folders, episodes)
    except BaseException:
        evaluator.close()
        raise
    return evaluator


def _with(config: Config, other: Mapping[str, Any]) -> Config:
    """A run's config with other knobs of its environment; its wrappers stay, unless there are others."""
    data = to_dict(config)
    data["environment"] |= other
    return from_dict(data, name="evaluate")


def _checked_code(config: Config, trained: folder.Trained) -> list[Path]:
    """The folders that user code is looked for in. The environment that is named now is in the current one; all else
    is what the run recorded. Errors: `UserError`."""
    left = trained.config.environment.model_copy(update={"id": "", "wrappers": config.environment.wrappers})
    recorded = config.model_copy(update={"environment": left})
    user_code.check_run(recorded, trained.facts)
    named = config.environment.model_copy(update={"wrappers": []})
    user_code.check(Config().model_copy(update={"environment": named}), [Path.cwd()], user_code.to_stderr)
    return [Path.cwd(), *([Path(trained.facts["folder"])] if user_code.named(recorded) else [])]
