"""Learn CartPole by hand-derived gradients: `python -m pg_theano.by_hand --algo ppo --gae`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.by_hand import ppo, vpg
from pg_theano.by_hand.networks import Network
from pg_theano.by_hand.policies import LOGISTIC
from pg_theano.config.knobs import Environment
from pg_theano.config.tables import help_text
from pg_theano.environments import making
from pg_theano.reports.animation import has_display
from pg_theano.system import commands
from pg_theano.system.console import say
from pg_theano.training.playing import episodes
from pg_theano.training.playing.noise import uniforms
from pg_theano.types import GREEDY, Array, Played, Rollout, State, Steps, UserError

ID, SOLVED = "CartPole-v1", 475.0  # Gymnasium's own threshold, of the mean of 100 episodes
AGENT = vpg.Agent(LOGISTIC, Network((4, 1)), Network((4, 32, 1)))
"""The policy has five numbers: a weight for each observation and a bias. The value network has a hidden layer of 32."""

DISCOUNT, GAE_LAMBDA = 0.99, 0.95
SETTINGS: dict[str, dict[str, Any]] = {
    "vpg": {
        "learning_rate": 0.2,
        "value_learning_rate": 0.01,
        "num_value_steps": 10,
        "entropy_coefficient": 0.0,
        "optimizer": "adam",
    },
    "ppo": {
        "learning_rate": 0.01,
        "value_learning_rate": 0.01,
        "clip_range": 0.2,
        "num_epochs": 5,
        "num_minibatches": 4,
        "entropy_coefficient": 0.0,
        "optimizer": "adam",
    },
}
EPISODES_PER_UPDATE = 16
EVALUATE_ABOVE, EVALUATE_EVERY, STOP_AT = 200.0, 5, 490.0
"""Evaluate every so many updates, once training episodes are that long; stop where 100 greedy episodes reach STOP_AT.
That is more than SOLVED: the figure that is reported comes from another 100."""


class Learner:
    """An agent on CartPole; holds its environments, its State, its generators, and what was counted."""

    def __init__(self, algo: str, *, seed: int, gae: bool, baseline: bool):
        # One generator for each purpose: evaluating more often changes nothing else.
        children = np.random.SeedSequence(seed).spawn(5)
        weights, self.episode_seeds, self.noise, self.order, self.evaluation = map(np.random.default_rng, children)
        self.state: State = vpg.init(AGENT, weights)
        self.algo = algo
        self.settings = SETTINGS[algo] | {
            "discount": DISCOUNT,
            "gae_lambda": GAE_LAMBDA if gae else None,
            "baseline": baseline,
        }
        self.environment = making.make(Environment(id=ID), num_envs=EPISODES_PER_UPDATE, dtype="float64")
        self.updates = self.episodes = self.steps = 0
        self.records: list[dict[str, float]] = []

    def update(self, num_episodes: int) -> float:
        """Play whole episodes, then learn from them. The mean of their returns."""
        played = self.played(self.environment, num_episodes, episode_seeds=self.episode_seeds, action_noise=self.noise)
        experience = scaled(played.rollout)
        if self.algo == "vpg":
            self.state, metrics = vpg.update(AGENT, self.state, experience, **self.settings)
        else:
            self.state, metrics = ppo.update(AGENT, self.state, experience, self.order, **self.settings)
        self.updates += 1
        self.episodes += num_episodes
        self.steps += int(played.lengths.sum())
        returns, lengths = played.returns, played.lengths
        self.records.append(
            {"update": self.updates, "env_steps": self.steps, "cost": metrics["cost"]}
            | {"learning_rate": self.settings["learning_rate"], "episodes_per_update": num_episodes}
            | {"evaluation_mean": np.nan}
            | {f"return_{name}": float(getattr(returns, name)()) for name in ("mean", "std", "min", "max")}
            | {f"length_{name}": float(getattr(lengths, name)()) for name in ("mean", "min", "max")}
        )
        return float(returns.mean())

    def played(self, environment: Steps, number: int, **how: Any) -> Played:
        """Whole episodes in an environment."""
        draw = uniforms(1, "float64")
        return episodes.collect(
            environment, acting, self.state, {}, num_episodes=number, draw=draw, dtype="float64", **how
        )

    def evaluate(self, num_episodes: int = 100) -> Array:
        """The returns of greedy episodes, in fresh environments, on seeds that nothing else has seen."""
        environment = making.make(Environment(id=ID), num_envs=num_episodes, dtype="float64")
        try:
            random = {"episode_seeds": self.evaluation, "action_noise": self.evaluation}
            returns = self.played(environment, num_episodes, **random, choice=GREEDY, keep=()).returns
        finally:
            environment.close()
        self.records[-1]["evaluation_mean"] = float(returns.mean())
        return returns


def acting(state: State, obs: Array, noise: Array, knobs: dict[str, float], choice: int) -> tuple[Array, Array]:
    """`vpg.act` as `rollout.collect` calls it."""
    return vpg.act(AGENT, state, obs, None if choice == GREEDY else noise)


def scaled(experience: Any) -> Rollout:
    """Rewards times 1 − γ, so that the value network, which begins near 0, has to predict numbers between 0 and 1.

    A factor common to all rewards changes neither which policy is best nor a standardised advantage.
    """
    return experience._replace(reward=experience.reward * (1.0 - DISCOUNT))


def learn(
    algo: str, *, seed: int = 0, max_episodes: int = 2000, gae: bool = False, baseline: bool = True
) -> tuple[Learner, dict[str, Any]]:
    """Learn until solved, or for `max_episodes` episodes; then the mean of 100 greedy episodes, and what it took."""
    began = time.perf_counter()
    learner = Learner(algo, seed=seed, gae=gae, baseline=baseline)
    try:
        while learner.episodes < max_episodes:
            mean = learner.update(min(EPISODES_PER_UPDATE, max_episodes - learner.episodes))
            due = mean >= EVALUATE_ABOVE and learner.updates % EVALUATE_EVERY == 0
            if due and learner.evaluate().mean() >= STOP_AT:
                break
    finally:
        learner.environment.close()
    returns = learner.evaluate()
    return learner, {
        "algo": algo,
        "seed": seed,
        "gae": gae,
        "baseline": baseline,
        "mean": float(returns.mean()),
        "min": float(returns.min()),
        "solved": bool(returns.mean() >= SOLVED),
        "episodes": learner.episodes,
        "steps": learner.steps,
        "seconds": round(time.perf_counter() - began, 3),
    }


def plot(learner: Learner, result: dict[str, Any], path: Path) -> None:
    from pg_theano.reports import plots  # matplotlib takes half a second to import

    columns = {name: np.array([record[name] for record in learner.records]) for name in learner.records[0]}
    run = plots.Run(result["algo"], [columns], [{"threshold": SOLVED}], False)
    outcome = "solved" if result["solved"] else "not solved"
    title = f"{ID} by hand, {result['algo']}{' with GAE' if result['gae'] else ''}, seed {result['seed']}: {outcome}"
    path.parent.mkdir(parents=True, exist_ok=True)
    plots.figure_of([run], f"{title} after {result['episodes']:,} episodes").savefig(path)


def watch(learner: Learner) -> float:
    """One greedy episode in a window; its return."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    env = making.single(Environment(id=ID), render_mode="human")
    try:
        obs, _ = env.reset(seed=int(learner.evaluation.integers(0, 2**31 - 1)))
        total, over = 0.0, False
        while not over:
            action, _ = vpg.act(AGENT, learner.state, np.asarray(obs, np.float64)[None], None)
            obs, reward, terminated, truncated, _ = env.step(action[0])
            total, over = total + float(reward), terminated or truncated
        return total
    finally:
        env.close()


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "by_hand", __doc__, "python -m pg_theano.by_hand --algo ppo --gae --seed 3 --json", knobs=help_text
    )
    add = parser.add_argument
    add("--algo", choices=list(SETTINGS), default="vpg", help="policy gradient, or clipped PPO (vpg)")
    add("--seed", type=commands.natural, default=0, metavar="S", help="of everything random (0)")
    add("--max-episodes", type=commands.positive, default=2000, metavar="N", help="give up after so many (2000)")
    add("--gae", action="store_true", help="advantages by GAE(0.95) instead of reward-to-go less V")
    add("--no-baseline", action="store_true", help="weigh by reward-to-go alone, nothing taken from it")
    add("--watch", action="store_true", help="show one episode in a window at the end")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    add("--no-plot", action="store_true", help="leave out plots/by-hand-ALGO.png")
    return commands.run(parser, _command, argv)


def _command(arguments: argparse.Namespace) -> int:
    if arguments.gae and arguments.no_baseline:
        raise UserError("--gae with --no-baseline: GAE is made of values; leave one of them out")
    if arguments.watch and not has_display():
        raise UserError("--watch: no display here to open a window on; leave it out")
    learner, result = learn(
        arguments.algo,
        seed=arguments.seed,
        max_episodes=arguments.max_episodes,
        gae=arguments.gae,
        baseline=not arguments.no_baseline,
    )
    path = Path("plots") / f"by-hand-{arguments.algo}.png"
    if arguments.json:
        commands.answer(result)
    else:
        say(
            f"{ID}, 100 greedy episodes: mean {result['mean']:.1f}, min {result['min']:g}: "
            f"{'solved' if result['solved'] else 'not solved'} after {result['episodes']:,} episodes, "
            f"{result['steps']:,} steps, {result['seconds']:.1f} s ({result['steps'] / result['seconds']:,.0f} steps/s)"
        )
    if not arguments.no_plot:
        plot(learner, result, path)
        if not arguments.json:
            say(f"wrote {path}")
    if arguments.watch:
        shown = watch(learner)
        say(f"watched one episode: return {shown:g}", sys.stderr if arguments.json else sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
