"""evotorch's PGPE on a linear policy: its GymNE problem, its ClipUp optimiser, observations normalised, one process.

The numbers are the best of those that were tried on this task (see the options). The judge is asked about the centre
after every generation.
"""

from __future__ import annotations

import logging
import time

import numpy as np
import torch
from evotorch.algorithms import PGPE
from evotorch.neuroevolution import GymNE
from judge import ID, Judge, arguments, finish


def main() -> None:
    parser = arguments(__doc__, 1_000_000)
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--center-learning-rate", type=float, default=0.1)
    parser.add_argument("--std-learning-rate", type=float, default=0.1)
    parser.add_argument("--std", type=float, default=0.5)
    parser.add_argument("--generations", type=int, default=400)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    judge = Judge(options.seed)
    problem = GymNE(ID, "Linear(obs_length, act_length)", observation_normalization=True)
    problem.manual_seed(options.seed)
    searcher = PGPE(
        problem,
        popsize=options.population,
        center_learning_rate=options.center_learning_rate,
        stdev_learning_rate=options.std_learning_rate,
        stdev_init=options.std,
    )
    solved, training, generations = False, 0.0, 0
    while generations < options.generations and not solved:
        began = time.perf_counter()
        searcher.step()
        training += time.perf_counter() - began
        generations += 1
        policy = problem.to_policy(searcher.status["center"])

        def greedy(obs, policy=policy):
            with torch.no_grad():
                return policy(torch.as_tensor(obs, dtype=torch.float32)).argmax(dim=1).numpy()

        solved = judge.passes(greedy)
    steps = int(np.asarray(problem.status["total_interaction_count"]))
    finish(
        "evotorch_pgpe", options.seed, judge, solved=solved, env_steps=steps, training=training,
        uses=("evotorch", "torch", "gymnasium", "numpy"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
