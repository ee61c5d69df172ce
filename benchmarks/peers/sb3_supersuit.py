"""Stable-Baselines3's PPO on a parallel environment of PettingZoo, every agent a row by SuperSuit, as in its tutorial.

    python benchmarks/peers/sb3_supersuit.py mpe2.simple_spread_v3:parallel_env 0 300000 '{"n_steps": 128}' 8 100 [told]

Prints one JSON object: the mean return over agents of greedy episodes and of sampled ones, and the seconds of training.
With `told` it is told which episodes a time limit stopped, as its own environments say and SuperSuit's do not.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from importlib.metadata import version

import numpy as np
import supersuit
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnvWrapper

OTHER_SEEDS = 1_000_000


class Told(VecEnvWrapper):
    """Says of an episode whether a time limit stopped it, so that its last state has a value."""

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        obs, rewards, ended, stopped, infos = self.venv.venv.step_wait()  # SuperSuit's own, before they are one
        pairs = zip(infos, np.array(stopped, bool) & ~np.array(ended, bool), strict=True)
        infos = [info | {"TimeLimit.truncated": bool(limit)} for info, limit in pairs]
        return obs, rewards, np.array(ended, bool) | np.array(stopped, bool), infos


def judged(model, env, episodes: int, greedy: bool) -> float:
    returns = []
    for episode in range(episodes):
        obs, _ = env.reset(seed=OTHER_SEEDS + episode)
        total = dict.fromkeys(env.agents, 0.0)
        while env.agents:
            action, _ = model.predict(np.array([obs[agent] for agent in env.agents]), deterministic=greedy)
            obs, reward, *_ = env.step(dict(zip(env.agents, action, strict=True)))
            total = {agent: so_far + reward.get(agent, 0.0) for agent, so_far in total.items()}
        returns.append(np.mean([*total.values()]))
    return float(np.mean(returns))


def main() -> None:
    name, seed, steps, knobs, number, episodes, *told = sys.argv[1:]
    module, _, factory = name.partition(":")
    make = getattr(importlib.import_module(module), factory)
    torch.set_num_threads(1)
    rows = supersuit.pettingzoo_env_to_vec_env_v1(make())
    rows = supersuit.concat_vec_envs_v1(rows, int(number), num_cpus=0, base_class="stable_baselines3")
    rows.seed = lambda seed=None: None  # SuperSuit's has none, and SB3 asks for one
    rows.reset(seed=int(seed)) if "seed" in rows.reset.__code__.co_varnames else rows.reset()
    if told:
        rows = Told(rows)
    began = time.process_time()
    model = PPO("MlpPolicy", rows, seed=int(seed), device="cpu", **json.loads(knobs)).learn(int(steps))
    seconds = time.process_time() - began
    means = {way: judged(model, make(), int(episodes), way == "greedy") for way in ("greedy", "sampled")}
    uses = {one: version(one) for one in ("stable-baselines3", "supersuit", "pettingzoo", "torch", "numpy")}
    print(json.dumps(means | {"seconds": seconds, "steps": model.num_timesteps, "uses": uses}))


if __name__ == "__main__":
    main()
