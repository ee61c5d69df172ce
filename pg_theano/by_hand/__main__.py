"""Learn CartPole, or another task, by hand-derived gradients: `python -m pg_theano.by_hand --algo ppo --gae`."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.by_hand import ppo, vpg
from pg_theano.by_hand.networks import Network
from pg_theano.by_hand.policies import GAUSSIAN, LOGISTIC, SOFTMAX
from pg_theano.config.knobs import Environment
from pg_theano.environments import making
from pg_theano.reports.animation import has_display
from pg_theano.system import commands
from pg_theano.system.console import say
from pg_theano.training.playing import episodes
from pg_theano.training.playing.noise import normals, uniforms
from pg_theano.types import GREEDY, Array, Played, Rollout, State, Steps, Task, UserError

ID = "CartPole-v1"
AGENT = vpg.Agent(LOGISTIC, Network((4, 1)), Network((4, 32, 1)))
"""The policy has five numbers: a weight for each observation and a bias. The value network has a hidden layer of 32."""

DISCOUNT, GAE_LAMBDA = 0.99, 0.95
_BOTH = {"value_learning_rate": 0.01, "entropy_coefficient": 0.0, "optimizer": "adam"}
SETTINGS: dict[str, dict[str, Any]] = {
    "vpg": _BOTH | {"learning_rate": 0.2, "num_value_steps": 10},
    "ppo": _BOTH | {"learning_rate": 0.01, "clip_range": 0.2, "num_epochs": 5, "num_minibatches": 4},
}
EPISODES_PER_UPDATE = 16
EVALUATE_ABOVE, EVALUATE_EVERY, STOP_AT = 200.0, 5, 490.0
"""Evaluate every so many updates, once training episodes are that long; stop where 100 greedy episodes reach STOP_AT.
That is more than the 475 at which CartPole counts as solved: the figure that is reported comes from another 100."""


def agent_of(task: Task, width: int = 0) -> vpg.Agent:
    """The policy that a task's actions need, with a hidden layer of `width` (0: none); AGENT for CartPole."""
    if task.action.kind == "box":
        policy, outputs = GAUSSIAN, task.action.size
    elif task.action.kind == "discrete":
        two = task.action.choices == [2]
        policy, outputs = (LOGISTIC, 1) if two else (SOFTMAX, task.action.choices[0])
    else:
        raise UserError.at(task.id, f"actions are {task.action.kind}", "one discrete action, or real numbers")
    hidden = (width,) if width else ()
    return vpg.Agent(policy, Network((task.obs_size, *hidden, outputs)), Network((task.obs_size, 32, 1)))


class Learner:
    """An agent in an environment; holds its environments, its State, its generators, and what was counted."""

    def __init__(
        self, algo: str, *, seed: int, gae: bool, baseline: bool, environment: str = ID, width: int = 0, **changed: Any
    ):
        # One generator for each purpose: evaluating more often changes nothing else.
        children = np.random.SeedSequence(seed).spawn(5)
        weights, self.episode_seeds, self.noise, self.order, self.evaluation = map(np.random.default_rng, children)
        self.id = environment
        self.environment = making.make(Environment(id=environment), num_envs=EPISODES_PER_UPDATE, dtype="float64")
        self.task = self.environment.task
        try:
            self.agent = agent_of(self.task, width)
        except UserError:
            self.environment.close()
            raise
        self.state: State = vpg.init(self.agent, weights)
        self.algo = algo
        trace = changed.pop("gae_lambda", None)
        given = {"gae_lambda": (GAE_LAMBDA if trace is None else trace) if gae else None, "baseline": baseline}
        self.settings = SETTINGS[algo] | {"discount": DISCOUNT} | given | changed
        self.updates = self.episodes = self.steps = 0
        self.records: list[dict[str, float]] = []

    def update(self, num_episodes: int) -> float:
        """Play whole episodes, then learn from them. The mean of their returns."""
        played = self.played(self.environment, num_episodes, episode_seeds=self.episode_seeds, action_noise=self.noise)
        experience = scaled(played.rollout, self.settings["discount"])
        if self.algo == "vpg":
            self.state, metrics = vpg.update(self.agent, self.state, experience, **self.settings)
        else:
            self.state, metrics = ppo.update(self.agent, self.state, experience, self.order, **self.settings)
        self.updates += 1
        self.episodes += num_episodes
        self.steps += int(played.lengths.sum())
        returns, lengths = played.returns, played.lengths
        self.records.append(
            {"update": self.updates, "env_steps": self.steps, **metrics, "evaluation_mean": np.nan}
            | {f"return_{name}": float(getattr(returns, name)()) for name in ("mean", "std", "min", "max")}
            | {f"length_{name}": float(getattr(lengths, name)()) for name in ("mean", "min", "max")}
        )
        return float(returns.mean())

    def played(self, environment: Steps, number: int, **how: Any) -> Played:
        """Whole episodes in an environment."""
        box = self.task.action.kind == "box"
        draw = normals(self.task.action.size, "float64") if box else uniforms(1, "float64")
        return episodes.collect(
            environment, self.act, self.state, {}, num_episodes=number, draw=draw, dtype="float64", **how
        )

    def act(self, state: State, obs: Array, noise: Array, knobs: dict[str, float], choice: int) -> tuple[Array, Array]:
        """`vpg.act` as `rollout.collect` calls it."""
        return vpg.act(self.agent, state, obs, None if choice == GREEDY else noise)

    def evaluate(self, num_episodes: int = 100) -> Array:
        """The returns of greedy episodes, in fresh environments, on seeds that nothing else has seen."""
        environment = making.make(Environment(id=self.id), num_envs=num_episodes, dtype="float64")
        try:
            random = {"episode_seeds": self.evaluation, "action_noise": self.evaluation}
            returns = self.played(environment, num_episodes, **random, choice=GREEDY, keep=()).returns
        finally:
            environment.close()
        self.records[-1]["evaluation_mean"] = float(returns.mean())
        return returns

    def solves(self, mean: float) -> bool:
        """Whether 100 greedy episodes reach enough to stop; they are played where the training episodes say so."""
        threshold = self.task.threshold
        if threshold is None or self.updates % EVALUATE_EVERY:
            return False
        worth, enough = (EVALUATE_ABOVE, STOP_AT) if self.id == ID else (-np.inf, threshold)
        return mean >= worth and bool(self.evaluate().mean() >= enough)


def scaled(experience: Any, discount: float = DISCOUNT) -> Rollout:
    """Rewards times 1 − γ, so that the value network, which begins near 0, has to predict numbers between 0 and 1.

    A factor common to all rewards changes neither which policy is best nor a standardised advantage. γ = 1 has the
    factor of 0.99.
    """
    return experience._replace(reward=experience.reward * (1.0 - (discount if discount < 1 else DISCOUNT)))


def learn(
    algo: str, *, seed: int = 0, max_episodes: int = 2000, gae: bool = False, baseline: bool = True, **how: Any
) -> tuple[Learner, dict[str, Any]]:
    """Learn until solved, or for `max_episodes` episodes; then the mean of 100 greedy episodes, and what it took.

    `how`: `environment`, `width`, and any of SETTINGS, of `discount` and `gae_lambda`.
    """
    began = time.perf_counter()
    learner = Learner(algo, seed=seed, gae=gae, baseline=baseline, **how)
    try:
        while learner.episodes < max_episodes:
            mean = learner.update(min(EPISODES_PER_UPDATE, max_episodes - learner.episodes))
            if learner.solves(mean):
                break
    finally:
        learner.environment.close()
    returns, threshold = learner.evaluate(), learner.task.threshold
    return learner, {
        "algo": algo,
        "seed": seed,
        "gae": gae,
        "baseline": baseline,
        **how,
        "mean": float(returns.mean()),
        "min": float(returns.min()),
        "training_mean": learner.records[-1]["return_mean"],
        "solved": bool(threshold is not None and returns.mean() >= threshold),
        "episodes": learner.episodes,
        "steps": learner.steps,
        "seconds": round(time.perf_counter() - began, 3),
    }


DRAWN = {
    "value_loss": "loss of V\n(squared error)",
    "gradient_norm": "gradient\n(norm)",
    "ratio_outside": "ratios outside\nthe clip (share)",
}
"""What the fourth panel shows."""


def plot(learner: Learner, result: dict[str, Any], path: Path) -> None:
    from pg_theano.reports import plots  # matplotlib takes half a second to import

    columns = {name: np.array([record[name] for record in learner.records]) for name in learner.records[0]}
    run = plots.Run(result["algo"], [columns], [{"threshold": learner.task.threshold}], False)
    outcome = "solved" if result["solved"] else "not solved"
    how = f"{result['algo']}{' with GAE' if result['gae'] else ''}, seed {result['seed']}"
    title = f"{learner.id} by hand, {how}: {outcome}"
    path.parent.mkdir(parents=True, exist_ok=True)
    plots.figure_of([run], f"{title} after {result['episodes']:,} episodes", DRAWN).savefig(path)


def watch(learner: Learner) -> float:
    """One greedy episode in a window; its return."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    env = making.single(Environment(id=learner.id), render_mode="human")
    try:
        obs, _ = env.reset(seed=int(learner.evaluation.integers(0, 2**31 - 1)))
        total, over = 0.0, False
        while not over:
            action, _ = vpg.act(learner.agent, learner.state, np.asarray(obs, np.float64).reshape(1, -1), None)
            obs, reward, terminated, truncated, _ = env.step(action[0])
            total, over = total + float(reward), terminated or truncated
        return total
    finally:
        env.close()


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("by_hand", __doc__, "python -m pg_theano.by_hand --algo ppo --gae --seed 3 --json")
    add = parser.add_argument
    add("--algo", choices=list(SETTINGS), default="vpg", help="policy gradient, or clipped PPO (vpg)")
    add("--seed", type=commands.natural, default=0, metavar="S", help="of everything random (0)")
    add("--max-episodes", type=commands.positive, default=2000, metavar="N", help="give up after so many (2000)")
    add("--gae", action="store_true", help="advantages by GAE instead of reward-to-go less V")
    add("--no-baseline", action="store_true", help="weigh by reward-to-go alone, nothing taken from it")
    add("--gae-lambda", type=_number(0, 1), metavar="λ", help="of GAE, with --gae (0.95)")
    add("--discount", type=_number(0, 1), metavar="γ", help="(0.99)")
    add("--clip-range", type=_number(0, 10), metavar="ε", help="of PPO's ratio (0.2)")
    add("--learning-rate", type=_number(0, 1e6), metavar="η", help="of the policy (0.2; ppo: 0.01)")
    add("--optimizer", choices=["adam", "sgd"], help="sgd: plain descent, the gradient times the rate (adam)")
    add("--environment", default=ID, metavar="ID", help=f"of Gymnasium's ({ID})")
    add(
        "--width", type=commands.natural, default=0, metavar="H", help="units of a hidden layer of the policy (0: none)"
    )
    add("--watch", action="store_true", help="show one episode in a window at the end")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    add("--no-plot", action="store_true", help="leave out plots/by-hand-ALGO.png")
    return commands.run(parser, _command, argv)


def _number(low: float, high: float) -> Callable[[str], float]:
    """A type of an option: a number of a range."""

    def number(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = np.nan
        if not low <= found <= high:
            raise argparse.ArgumentTypeError(f"got {text}; expected a number from {low:g} to {high:g}")
        return found

    return number


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """What differs from the defaults, as `learn` takes it."""
    names = ("gae_lambda", "discount", "clip_range", "learning_rate", "optimizer")
    asked = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.gae and arguments.no_baseline:
        raise UserError("--gae with --no-baseline: GAE is made of values; leave one of them out")
    if "gae_lambda" in asked and not arguments.gae:
        raise UserError("--gae-lambda without --gae: λ is of GAE; add --gae")
    if "clip_range" in asked and arguments.algo != "ppo":
        raise UserError(f"--clip-range with --algo {arguments.algo}: nothing is clipped; try --algo ppo")
    if arguments.environment != ID:
        asked["environment"] = arguments.environment
    return asked | ({"width": arguments.width} if arguments.width else {})


def _command(arguments: argparse.Namespace) -> int:
    asked = _asked(arguments)
    if arguments.watch and not has_display():
        raise UserError("--watch: no display here to open a window on; leave it out")
    learner, result = learn(
        arguments.algo,
        seed=arguments.seed,
        max_episodes=arguments.max_episodes,
        gae=arguments.gae,
        baseline=not arguments.no_baseline,
        **asked,
    )
    path = Path("plots") / f"by-hand-{arguments.algo}.png"
    if arguments.json:
        commands.answer(result)
    else:
        say(
            f"{learner.id}, 100 greedy episodes: mean {result['mean']:.1f}, min {result['min']:g}: "
            f"{'solved' if result['solved'] else 'not solved'} after {result['episodes']:,} episodes, "
            f"{result['steps']:,} steps, {result['seconds']:.1f} s ({result['steps'] / result['seconds']:,.0f} steps/s)"
        )
        say(
            f"the last update's own episodes: mean {result['training_mean']:.1f}; there actions are drawn from the "
            "policy, and a greedy episode takes the likeliest each time"
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
