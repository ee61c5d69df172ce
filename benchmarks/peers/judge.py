"""What every peer has in common: when it has solved CartPole, and what it says at the end.

A policy passes when the mean return of 100 greedy episodes in a fresh Gymnasium CartPole-v1 is at least 475. The
episodes are played side by side in Gymnasium's own vectorised environment, the policy's forward pass is NumPy, and an
evaluation ends as soon as it can no longer pass: the cheapest that gives the same verdict. Nobody's evaluation steps
count as training steps.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from importlib.metadata import version

import gymnasium
import numpy as np

EPISODES = 100
LIMIT = 500
THRESHOLD = 475.0
ID = "CartPole-v1"


def since_start() -> float:
    """Seconds since the kernel started this process (in steps of 10 ms)."""
    with open("/proc/self/stat", encoding="ascii") as stat:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / 100.0


class Judge:
    """Says whether a policy passes; draws fresh start states each time, and counts its own seconds."""

    def __init__(self, seed: int):
        self.seeds = np.random.default_rng([seed, 475])
        self.envs = gymnasium.make_vec(ID, EPISODES, vectorization_mode="vector_entry_point")
        self.evaluations, self.seconds, self.mean = 0, 0.0, float("nan")

    def passes(self, greedy) -> bool:
        """Whether `greedy`, a function from observations [N, 4] to actions [N], reaches the threshold."""
        began = time.perf_counter()
        allowed = EPISODES * (LIMIT - THRESHOLD)  # steps that may be missing in all
        length = np.full(EPISODES, LIMIT)
        playing = np.ones(EPISODES, bool)
        obs, _ = self.envs.reset(seed=int(self.seeds.integers(2**31 - 1)))
        for step in range(1, LIMIT + 1):
            obs, _, terminated, truncated, _ = self.envs.step(greedy(obs))
            ended = playing & (terminated | truncated)
            if ended.any():
                length[ended] = step
                playing &= ~ended
                if (LIMIT - length).sum() > allowed or not playing.any():
                    break
        self.mean = float(length.mean())  # of an evaluation that was cut short: an upper bound
        self.evaluations += 1
        self.seconds += time.perf_counter() - began
        return self.mean >= THRESHOLD


def greedy_mlp(layers, activation=np.tanh):
    """The greedy policy of dense layers [(weight [in, out], bias [out]), ...] as a NumPy function."""
    layers = [(np.asarray(weight, np.float32), np.asarray(bias, np.float32)) for weight, bias in layers]

    def greedy(obs):
        for weight, bias in layers[:-1]:
            obs = activation(obs @ weight + bias)
        return (obs @ layers[-1][0] + layers[-1][1]).argmax(axis=1)

    return greedy


def arguments(description: str, total_steps: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total-steps", type=int, default=total_steps, help="give up after so many environment steps")
    return parser


def finish(name: str, seed: int, judge: Judge, *, solved: bool, env_steps: int, training: float, uses, **more):
    """Print the one line. `training` is seconds of collecting and updating: no start-up, compiling or evaluating."""
    seconds = since_start()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = {"python": platform.python_version()} | {package: version(package) for package in uses}
    line = {
        "name": name,
        "seed": seed,
        "solved": solved,
        "env_steps": int(env_steps),
        "seconds_to_solve": seconds if solved else None,
        "seconds": seconds,
        "steps_per_second": env_steps / training if training > 0 else 0.0,
        "training_seconds": training,
        "evaluation_seconds": judge.seconds,
        "evaluations": judge.evaluations,
        "evaluation_mean": None if np.isnan(judge.mean) else judge.mean,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        **more,
        "versions": used,
    }
    print(json.dumps(line), flush=True)
