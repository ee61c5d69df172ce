"""One update of `ppo-pong` on random frames, ours or Stable-Baselines3's, which need not be in one installation.

    PYTHONPATH=. taskset -c 1 python benchmarks/peers/pixels_update.py ours
    taskset -c 1 /path/to/sb3/bin/python benchmarks/peers/pixels_update.py sb3

Prints the CPU seconds of each update, and of what was collected for it; the first is a warm-up of caches.
"""

import sys
import tempfile
import time
from pathlib import Path

import gymnasium
import numpy as np

UPDATES = 4


class Frames(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    action_space = gymnasium.spaces.Discrete(6)
    pictures = np.random.default_rng(0).integers(0, 256, (64, 84, 84, 4), np.uint8)

    def __init__(self, **kwargs):
        """Takes what the config says to Pong."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.pictures[0], {}

    def step(self, action):
        self.steps += 1
        return self.pictures[self.steps % 64], float(self.steps % 7 == 0), self.steps >= 500, False, {}


def timed(train, finished):
    """`train`, which says how long it took."""

    ended = 0.0

    def run(*arguments):
        nonlocal ended
        began = time.process_time()
        result = train(*arguments)
        finished(result)
        before, ended = ended, time.process_time()
        print(f"update: {ended - began:.2f} CPU s, collecting for it: {began - before:.2f}", flush=True)
        return result

    return run


def ours():
    import jax

    import pg_theano
    from pg_theano.training import programs

    load = programs.load

    def loaded(*arguments, **named):
        program = load(*arguments, **named)
        return program._replace(train=timed(program.train, jax.block_until_ready))

    programs.load = loaded
    changed = [f"budget.updates={UPDATES}", "budget.env_steps=null", "evaluation.every_updates=1000"]
    changed += ["environment.id=pixels_update:Frames", "environment.wrappers=[]"]
    config = Path(__file__).parents[2] / "configs" / "ppo-pong.yaml"
    with tempfile.TemporaryDirectory() as folder:
        pg_theano.run(str(config), overrides=changed, plot=False, run_dir=f"{folder}/run")


def sb3():
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(1)
    knobs = {"n_steps": 128, "n_epochs": 4, "batch_size": 256, "learning_rate": 2.5e-4, "clip_range": 0.1}
    model = PPO("CnnPolicy", DummyVecEnv([Frames] * 8), ent_coef=0.01, **knobs)
    model.train = timed(model.train, lambda result: None)
    model.learn(UPDATES * 1024)


if __name__ == "__main__":
    {"ours": ours, "sb3": sb3}[sys.argv[1]]()
