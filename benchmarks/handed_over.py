"""A policy trained here as a model of Stable-Baselines3's `evaluate_policy`, in the environment of the peers.

    python benchmarks/handed_over.py

Trains CartPole, exports it to npz, and has SB3 play 100 episodes with it, in a process that has torch and SB3, and of
ours only what `pg_theano.load` needs: NumPy and Gymnasium.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from measuring import add_options, environment, run, scratch

PLAY = """
import json, sys
import gymnasium
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
import pg_theano

policy = pg_theano.load("policy.npz")
env = Monitor(gymnasium.make("CartPole-v1"))
env.reset(seed=1)
mean, std = evaluate_policy(policy, env, n_eval_episodes=100, deterministic=True)
print(json.dumps({"mean": float(mean), "std": float(std), "ours": sorted(
    name for name in ("jax", "pytensor", "pydantic", "yaml") if name in sys.modules)}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args()
    with scratch() as folder:
        env = environment(options.source, Path(folder))
        for words in (
            ["train", "--no-plot", "--run-dir", "run"],
            ["export", "run", "--to", "npz", "--out", "policy.npz"],
        ):
            subprocess.run([options.python, "-m", f"pg_theano.{words[0]}", *words[1:]], check=True, cwd=folder, env=env)
        seen = run([options.peer_python, "-c", PLAY], cwd=folder, env=env, core=options.core, timeout=options.timeout)
    print(seen.out or seen.error)
    return 0 if seen.code == 0 and json.loads(seen.out)["mean"] >= 450 else 1


if __name__ == "__main__":
    sys.exit(main())
