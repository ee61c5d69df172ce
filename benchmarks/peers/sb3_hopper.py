"""Stable-Baselines3's PPO on MuJoCo's Hopper with CleanRL's numbers: most are its defaults. Learns, and says nothing.

python benchmarks/peers/sb3_hopper.py --seed 1 --total-steps 100352
"""

from __future__ import annotations

import argparse

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--total-steps", type=int, default=100_352)
    options = parser.parse_args()
    environment = VecNormalize(make_vec_env("Hopper-v5", n_envs=1, seed=options.seed))
    model = PPO(
        "MlpPolicy",
        environment,
        n_steps=2048,
        batch_size=64,
        n_epochs=10,
        clip_range_vf=0.2,
        learning_rate=lambda remaining: 3e-4 * remaining,
        seed=options.seed,
        device="cpu",
    )
    model.learn(options.total_steps)
    assert model.num_timesteps == options.total_steps


if __name__ == "__main__":
    main()
