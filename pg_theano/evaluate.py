"""Evaluate a trained policy in fresh environments: `python -m pg_theano.evaluate runs/cartpole`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.config import user_code
from pg_theano.config.knobs import Config
from pg_theano.config.tables import help_text
from pg_theano.environments import making
from pg_theano.runs import folder
from pg_theano.runs.figures import mean_and_std
from pg_theano.system import commands
from pg_theano.system.console import say
from pg_theano.training import programs
from pg_theano.training.playing import episodes as rollout
from pg_theano.types import GREEDY, SAMPLE, Array, Knobs, State

MOST_ENVIRONMENTS = 32


class Evaluator:
    """Environments of its own, that training never touches; made when first needed, kept for the next evaluation."""

    def __init__(self, config: Config, spec: dict[str, Any], folders: Sequence[Path] = ()):
        self.config, self.folders = config, folders
        self.draw = programs.noise_of(config, spec)
        self.environment: Any = None

    def __call__(
        self,
        act: Callable[..., Any],
        state: State,
        knobs: Knobs,
        *,
        episodes: int,
        seed: np.random.SeedSequence,
        choice: int,
    ) -> dict[str, float]:
        """Play exactly `episodes` episodes, each to its end. Returns mean, std, min, max (of the episode return), n."""
        if self.environment is None:
            self.environment = making.make(
                self.config.environment,
                num_envs=1 if episodes == 1 else min(episodes, MOST_ENVIRONMENTS),
                dtype=self.config.dtype,
                folders=self.folders,
                whole=episodes,
                squash=self.config.policy.squash,
            )
        episode_seeds, action_noise = (np.random.default_rng(child) for child in seed.spawn(2))
        played = rollout.collect(
            self.environment,
            act,
            state,
            knobs | {"exploration_rate": 0.0},
            num_episodes=episodes,
            draw=self.draw,
            episode_seeds=episode_seeds,
            action_noise=action_noise,
            dtype=self.config.dtype,
            choice=choice,
            keep=(),
        )
        return figures_of(played.returns)

    def close(self) -> None:
        if self.environment is not None:
            self.environment.close()


def figures_of(returns: Array) -> dict[str, float]:
    """Mean, std, min, max and n of episode returns."""
    return {
        "mean": float(returns.mean()),
        "std": float(returns.std()),
        "min": float(returns.min()),
        "max": float(returns.max()),
        "n": len(returns),
    }


def evaluate(run: str | Path, *, episodes: int = 100, seed: int = 0, sampled: bool = False) -> dict[str, Any]:
    """Mean, std, min, max and n of the episode returns of a run's best checkpoint, greedy unless `sampled`."""
    path = Path(run)
    config, facts, spec, checkpoint = folder.trained(path)
    user_code.check_run(config, facts)
    folders = [Path(facts["folder"])]
    evaluator = Evaluator(config, spec, folders)
    try:
        act = programs.acting_alone(config, spec, folders)
        return {
            **evaluator(
                act,
                checkpoint.state,
                programs.constant_knobs(config),
                episodes=episodes,
                seed=np.random.SeedSequence(seed, spawn_key=(programs.EVALUATE_COMMAND,)),
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


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "evaluate", __doc__, "python -m pg_theano.evaluate runs/cartpole --episodes 200 --json", knobs=help_text
    )
    parser.add_argument("run", metavar="RUN", help="a run folder; its best checkpoint is taken")
    parser.add_argument("--episodes", type=commands.positive, default=100, metavar="N", help="episodes to play (100)")
    parser.add_argument(
        "--seed", type=commands.natural, default=0, metavar="S", help="of the episodes and of sampled actions (0)"
    )
    commands.add_allow_import(parser)
    parser.add_argument("--sampled", action="store_true", help="sample actions instead of taking the likeliest")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _evaluate, argv)


def _evaluate(arguments: argparse.Namespace) -> int:
    result = evaluate(arguments.run, episodes=arguments.episodes, seed=arguments.seed, sampled=arguments.sampled)
    if arguments.json:
        print(json.dumps(result))
    else:
        say(
            f"{result['environment']}, {result['n']} {result['policy']} episodes: "
            f"{mean_and_std(result)} (min {result['min']:g}, max {result['max']:g}); "
            f"{result['run']}/checkpoints/{result['checkpoint']}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
