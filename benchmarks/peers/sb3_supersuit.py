"""Stable-Baselines3's PPO on a parallel environment of PettingZoo, every agent a row by SuperSuit, as in its tutorial.

    python benchmarks/peers/sb3_supersuit.py mpe2.simple_spread_v3:parallel_env 0 300000 '{"n_steps": 128}' 8 100

Prints one JSON object: the mean return of greedy episodes over agents, and the seconds of training.
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

OTHER_SEEDS = 1_000_000


def main() -> None:
    name, seed, steps, knobs, number, episodes = sys.argv[1:]
    module, _, factory = name.partition(":")
    make = getattr(importlib.import_module(module), factory)
    torch.set_num_threads(1)
    rows = supersuit.pettingzoo_env_to_vec_env_v1(make())
    rows = supersuit.concat_vec_envs_v1(rows, int(number), num_cpus=0, base_class="stable_baselines3")
    rows.seed = lambda seed=None: None  # SuperSuit's has none, and SB3 asks for one
    rows.reset(seed=int(seed)) if "seed" in rows.reset.__code__.co_varnames else rows.reset()
    began = time.process_time()
    model = PPO("MlpPolicy", rows, seed=int(seed), device="cpu", **json.loads(knobs)).learn(int(steps))
    seconds = time.process_time() - began
    env, returns = make(), []
    for episode in range(int(episodes)):
        obs, _ = env.reset(seed=OTHER_SEEDS + episode)
        total = dict.fromkeys(env.agents, 0.0)
        while env.agents:
            action, _ = model.predict(np.array([obs[agent] for agent in env.agents]), deterministic=True)
            obs, reward, *_ = env.step(dict(zip(env.agents, action, strict=True)))
            total = {agent: so_far + reward.get(agent, 0.0) for agent, so_far in total.items()}
        returns.append(np.mean([*total.values()]))
    uses = {one: version(one) for one in ("stable-baselines3", "supersuit", "pettingzoo", "torch", "numpy")}
    print(json.dumps({"mean": float(np.mean(returns)), "seconds": seconds, "steps": model.num_timesteps, "uses": uses}))


if __name__ == "__main__":
    main()
