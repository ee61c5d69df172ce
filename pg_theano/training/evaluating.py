"""A policy evaluated in fresh environments: its episodes, and the figures of their returns."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.config import schedules, user_code
from pg_theano.config.knobs import Config
from pg_theano.environments import making
from pg_theano.runs import folder
from pg_theano.spec import Spec
from pg_theano.training import programs, seeding
from pg_theano.training.playing import episodes as rollout
from pg_theano.types import GREEDY, SAMPLE, Array, State, UserError

MOST_ENVIRONMENTS = 32


class Evaluator:
    """Environments of its own, that training never touches; made when first needed, kept for the next evaluation.

    `episodes` is the largest number of an evaluation. `shared`: those of the training are used after all.
    """

    def __init__(self, config: Config, spec: Spec, folders: Sequence[Path], episodes: int, shared: Any = None):
        self.config, self.folders, self.most = config, folders, episodes
        self.draw, self.size = programs.noise_of(config, spec), spec.acting.obs_size
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
    ) -> dict[str, float]:
        """Play exactly `episodes` episodes, each to its end. Returns mean, std, min, max (of the episode return), n.

        `progress` is told, while it plays, how many of how many have ended.
        """
        episode_seeds, action_noise = (np.random.default_rng(child) for child in seed.spawn(2))
        played = rollout.collect(
            self.made(),
            act,
            state,
            schedules.constant_knobs(self.config) | {"exploration_rate": 0.0},
            num_episodes=episodes,
            draw=self.draw,
            episode_seeds=episode_seeds,
            action_noise=action_noise,
            dtype=self.config.dtype,
            choice=choice,
            keep=(),
            progress=progress,
        )
        self.length = None if self.all_at_once() else float(played.lengths.mean())
        if self.shared:
            self.environment.player = None  # the episodes that were open there are over
        return figures_of(played.returns)

    def made(self) -> Any:
        """The environments."""
        if self.environment is None:
            self.environment = making.make(
                self.config.environment,
                num_envs=1 if self.most == 1 else min(self.most, MOST_ENVIRONMENTS),
                dtype=self.config.dtype,
                folders=self.folders,
                whole=self.most,
                squash=self.config.policy.squash,
            )
            check_size(self.environment.task.id, self.environment.task.obs_size, self.size)
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


def evaluate(run: str | Path, *, episodes: int = 100, seed: int = 0, sampled: bool = False) -> dict[str, Any]:
    """Mean, std, min, max and n of the episode returns of a run's best checkpoint, greedy unless `sampled`."""
    path = Path(run)
    config, facts, spec, checkpoint = folder.trained(path)
    user_code.check_run(config, facts)
    folders = [Path(facts["folder"])]
    evaluator = Evaluator(config, spec, folders, episodes)
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
