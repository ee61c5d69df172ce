"""pycma on a linear policy: push right where w·o > 0, four weights, no gradient.

pycma's own defaults (8 candidates) from w = 0 with σ = 1; a candidate's fitness is its mean return over 8 episodes, all
64 of a generation side by side in Gymnasium's vectorised CartPole. The judge is asked about the distribution's mean
after every generation. Nothing of this is tuned.
"""

from __future__ import annotations

import time

import cma
import gymnasium
import numpy as np
from judge import ID, LIMIT, Judge, arguments, finish


def lengths(envs, weights, seed: int):
    """Steps of the first episode of each environment; row i of `weights` [N, 4] steers environment i."""
    length = np.full(len(weights), LIMIT)
    playing = np.ones(len(weights), bool)
    obs, _ = envs.reset(seed=seed)
    for step in range(1, LIMIT + 1):
        obs, _, terminated, truncated, _ = envs.step(((obs * weights).sum(axis=1) > 0).astype(np.int64))
        ended = playing & (terminated | truncated)
        length[ended] = step
        playing &= ~ended
        if not playing.any():
            break
    return length


def main() -> None:
    parser = arguments(__doc__, 500_000)
    parser.add_argument("--episodes-each", type=int, default=8, help="episodes of a candidate")
    options = parser.parse_args()
    judge = Judge(options.seed)
    seeds = np.random.default_rng(options.seed)
    search = cma.CMAEvolutionStrategy(np.zeros(4), 1.0, {"seed": options.seed + 1, "verbose": -9})
    envs = gymnasium.make_vec(ID, search.popsize * options.episodes_each, vectorization_mode="vector_entry_point")
    env_steps, solved, training = 0, False, 0.0
    while env_steps < options.total_steps and not solved:
        began = time.perf_counter()
        candidates = np.array(search.ask())  # [P, 4]
        length = lengths(envs, np.repeat(candidates, options.episodes_each, axis=0), int(seeds.integers(2**31 - 1)))
        search.tell(list(candidates), list(-length.reshape(-1, options.episodes_each).mean(axis=1)))
        env_steps += int(length.sum())
        training += time.perf_counter() - began
        mean = search.mean
        solved = judge.passes(lambda obs, mean=mean: (obs @ mean > 0).astype(np.int64))
    finish(
        "cma_linear", options.seed, judge, solved=solved, env_steps=env_steps, training=training,
        uses=("cma", "gymnasium", "numpy"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
