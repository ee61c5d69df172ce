"""The cross-entropy method: the trainer this project began with, in one file.

    python old/cem.py --env CartPole-v1 --seed 0

It searches the weights of a linear policy without any gradient. In generation k, with N(mean, std²) over all
weights and biases, one independent Gaussian for each of the D of them:

    x_p    ~ N(mean, std²)                          p = 1..P
    F_p    = mean episode return of the policy x_p  every x_p of a generation meets the same episodes
    elites = the n_k best of them                   n_k = P · elite_fraction · exp(−elite_decay · k)
    mean   = 𝔼[elites]
    std²   = Var[elites] + extra_std_k²             extra_std_k = extra_std · exp(−extra_std_decay · k)

Rubinstein 1999 (the method); Mannor, Rubinstein and Gat 2003 (policies); Szita and Lőrincz 2006 (the extra noise
that keeps the search from freezing too early). Szita and Lőrincz give their noise Z as a variance that falls
linearly to zero; ours is given as a standard deviation that falls exponentially: Z_k = extra_std_k². Every name
here that says `std` is a standard deviation, and variances are added, never standard deviations.

The search stops when the policy of the mean parameters solves the task: its mean return over 100 fresh episodes
reaches the environment's registered reward threshold, or --threshold. That test is made when the elites' mean
fitness has reached the threshold, for before that it would cost time and fail.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

INITIAL_STD = 1.0
NUM_EVALUATION_EPISODES = 100


class BadInput(Exception):
    """Something that the user can mend. One line, exit code 2."""


class Gaussian(NamedTuple):
    """Where the search looks: one independent Gaussian for each parameter."""

    mean: np.ndarray  # [D]
    std: np.ndarray  # [D]   a standard deviation


class Generation(NamedTuple):
    """What a generation achieved: mean, best and elite fitness, in units of the episode return."""

    mean: float
    best: float
    elites: float


def exponential_decay(initial, decay_rate, generation):
    """initial · exp(−decay_rate · generation), with generations counted from 0."""
    return initial * math.exp(-decay_rate * generation)


def elite_count(population, elite_fraction):
    """How many of the population are elites: the nearest whole number, and two at least, for one has no spread."""
    return max(2, round(population * elite_fraction))


def best_of(fitness, num_elites):
    """Indices of the elites, best first; a higher fitness is better, and of equals the first drawn goes first."""
    return np.argsort(-fitness, kind="stable")[:num_elites]


def update(elites, extra_std):
    """The Gaussian that fits the elites [n, D], its variance raised by extra_std² (Szita and Lőrincz 2006, eq. 3)."""
    return Gaussian(elites.mean(axis=0), np.sqrt(elites.var(axis=0) + extra_std**2))


def num_parameters(env):
    """D: a weight for each pair of observation feature and output, and a bias for each output."""
    return (math.prod(env.observation_space.shape) + 1) * num_outputs(env.action_space)


def num_outputs(action_space):
    """One output for each choice of a Discrete space, one for each component of a Box."""
    return int(action_space.n) if isinstance(action_space, Discrete) else math.prod(action_space.shape)


def linear_policy(params, action_space):
    """The greedy policy obs -> action: the largest output's choice (Discrete), or the outputs, clipped (Box)."""
    matrix = params.reshape(-1, num_outputs(action_space))
    weights, bias = matrix[:-1], matrix[-1]  # [F, outputs], [outputs]
    if isinstance(action_space, Discrete):
        return lambda obs: action_space.start + (obs.ravel() @ weights + bias).argmax()

    def clipped(obs):
        action = (obs.ravel() @ weights + bias).reshape(action_space.shape)
        return action.clip(action_space.low, action_space.high).astype(action_space.dtype)

    return clipped


def episode_return(env, policy, seed):
    """Sum of the rewards of the one episode that begins with this seed."""
    obs, _ = env.reset(seed=seed)
    total, episode_end = 0.0, False
    while not episode_end:
        obs, reward, terminated, truncated, _ = env.step(policy(obs))
        total += float(reward)
        episode_end = terminated or truncated
    if not math.isfinite(total):
        raise BadInput(f"{env.spec.id}, episode of seed {seed}: the rewards add up to {total}; they must be finite")
    return total


def mean_return(env, params, seeds):
    """Mean return of the linear policy with these parameters over one episode for each seed."""
    policy = linear_policy(params, env.action_space)
    return sum(episode_return(env, policy, seed) for seed in seeds) / len(seeds)


def episode_seeds(rng, count):
    """Fresh seeds for `count` episodes."""
    return [int(seed) for seed in rng.integers(2**31, size=count)]


def search(env, options):
    """Search until the task is solved or the generations are spent; prints a line for each generation.

    Returns the mean parameters [D] and the history, one `Generation` each.
    """
    sampling, training, evaluation = map(np.random.default_rng, np.random.SeedSequence(options.seed).spawn(3))
    dimension = num_parameters(env)
    gaussian = Gaussian(np.zeros(dimension), np.full(dimension, INITIAL_STD))
    history = []
    for k in range(options.generations):
        candidates = gaussian.mean + gaussian.std * sampling.standard_normal((options.population, dimension))  # [P, D]
        seeds = episode_seeds(training, options.episodes)
        fitness = np.array([mean_return(env, params, seeds) for params in candidates])  # [P]
        num_elites = elite_count(options.population, exponential_decay(options.elite_fraction, options.elite_decay, k))
        elites = best_of(fitness, num_elites)
        extra_std = exponential_decay(options.extra_std, options.extra_std_decay, k)
        gaussian = update(candidates[elites], extra_std)
        history.append(Generation(fitness.mean(), fitness.max(), fitness[elites].mean()))
        print(
            f"generation {k + 1:3d}: mean return {history[-1].mean:8.2f}, best {history[-1].best:8.2f}, "
            f"mean of {num_elites} elites {history[-1].elites:8.2f}, extra std {extra_std:.3f}",
            flush=True,
        )
        last = k + 1 == options.generations
        if last or (options.threshold is not None and history[-1].elites >= options.threshold):
            evaluated = mean_return(env, gaussian.mean, episode_seeds(evaluation, NUM_EVALUATION_EPISODES))
            solved = options.threshold is not None and evaluated >= options.threshold
            print(f"{verdict(solved, options.threshold)}: mean return {evaluated:.2f} over 100 fresh episodes")
            if solved:
                break
    return gaussian.mean, history


def verdict(solved, threshold):
    """The word that goes before an evaluation's result."""
    if threshold is None:
        return "no threshold to reach"
    return f"solved (threshold {threshold:g})" if solved else f"not solved (threshold {threshold:g})"


def draw(history, options):
    """Save the learning curve as plots/old-cem-<env>.png and say so."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    generations = range(1, len(history) + 1)
    for name in Generation._fields:
        axes.plot(generations, [getattr(generation, name) for generation in history], marker=".", label=name)
    if options.threshold is not None:
        axes.axhline(options.threshold, color="grey", linestyle="--", label="threshold")
    axes.set(xlabel="generation", ylabel="episode return", title=f"Cross-entropy method, {options.env}")
    axes.legend()
    path = Path("plots") / f"old-cem-{options.env.replace('/', '-').replace(':', '-')}.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"learning curve: {path}")


def make(env_id, render_mode=None):
    """The environment, refused unless a linear policy can read its observations and choose its actions."""
    try:
        env = gymnasium.make(env_id, render_mode=render_mode)
    except (gymnasium.error.Error, ImportError) as error:
        raise BadInput(f"--env {env_id}: {' '.join(str(error).split())}") from error
    if not isinstance(env.observation_space, Box):
        raise BadInput(f"--env {env_id}: observations are {env.observation_space}; expected a Box")
    if not isinstance(env.action_space, (Discrete, Box)):
        raise BadInput(f"--env {env_id}: actions are {env.action_space}; expected Discrete or a Box")
    return env


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def bounded(kind, expected, accepts):
    """An argparse type: a finite number of this kind that `accepts` accepts, described by `expected`."""

    def parse(text):
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and accepts(number)):
            raise argparse.ArgumentTypeError(f"got {text}; expected {expected}")
        return number

    return parse


def parse_options(argv=None):
    """The command line as a namespace."""
    parser = OneLineParser(
        description="Solve an environment with the cross-entropy method and a linear policy.",
        epilog="example: python old/cem.py --env CartPole-v1 --seed 0",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    natural = bounded(int, "a whole number, 0 or more", lambda n: n >= 0)
    positive = bounded(int, "a whole number, 1 or more", lambda n: n >= 1)
    plural = bounded(int, "a whole number, 2 or more", lambda n: n >= 2)
    fraction = bounded(float, "a number above 0 and not above 1", lambda x: 0 < x <= 1)
    not_negative = bounded(float, "a number, 0 or more", lambda x: x >= 0)
    add = parser.add_argument
    add("--env", default="CartPole-v1", help="id of a Gymnasium environment")
    add("--seed", type=natural, default=0, help="every random number follows from it")
    add("--generations", type=positive, default=100, help="give up after so many")
    add("--population", type=plural, default=50, help="candidates in a generation")
    add("--episodes", type=positive, default=1, help="episodes for each candidate")
    add("--elite-fraction", type=fraction, default=0.2, help="part of the population that is kept, at first")
    add("--elite-decay", type=not_negative, default=0.02, help="its exponential decay rate, per generation")
    add("--extra-std", type=not_negative, default=1.0, help="extra noise, at first; a standard deviation")
    add("--extra-std-decay", type=not_negative, default=0.2, help="its exponential decay rate, per generation")
    add("--threshold", type=bounded(float, "a number", lambda x: True), help="solved at this mean return")
    add("--render", action="store_true", help="show an episode of the final policy in a window")
    add("--no-plot", action="store_true", help="do not save the learning curve")
    return parser.parse_args(argv)


def main():
    """Search, draw, show; gives the exit code, which is 0 whether the task was solved or not."""
    options = parse_options()
    try:
        env = make(options.env)
        if options.render and "human" not in env.metadata.get("render_modes", ()):
            raise BadInput(
                f"--render: {options.env} has no window; its render modes are {env.metadata.get('render_modes')}"
            )
        if options.threshold is None:
            options.threshold = env.spec.reward_threshold
        params, history = search(env, options)
        if not options.no_plot:
            draw(history, options)
        if options.render:
            window = make(options.env, render_mode="human")
            mean_return(window, params, [options.seed])
            window.close()
    except (BadInput, OSError) as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
