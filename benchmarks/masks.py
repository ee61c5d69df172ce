"""Taxi-v4 with its masks, and without: our ppo, 300,000 steps, the same knobs.

    python benchmarks/masks.py --seeds 5

A cell is one seed: trained to the end of its budget, then judged by 100 greedy episodes in fresh environments on other
seeds. It is the newest policy that is judged, not the best by evaluation. Finished cells are kept.
"""

from __future__ import annotations

import argparse
from functools import partial

import measuring
import numpy as np
from measuring import Cells, table
from several import ours

CONFIG = "configs/ppo-taxi.yaml"
WHO = {"with masks": [], "without": ["policy.action_mask=none"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    cells, rows = Cells(options, "masks"), []
    for who, words in WHO.items():
        found = [
            cells.get({"task": "Taxi-v4", "who": who, "seed": seed}, partial(ours, CONFIG, seed, *words))
            for seed in range(options.seeds)
        ]
        means = [cell["mean"] for cell in found]
        each = ", ".join(f"{mean:.2f}" for mean in means)
        seconds = np.median([cell["seconds"] for cell in found])
        rows.append([who, f"{found[0]['steps']:,}", f"{np.mean(means):.2f}", each, f"{seconds:.0f}"])
    print(table(["Taxi-v4", "env steps", "mean return", "seed by seed", "seconds of training"], rows))


if __name__ == "__main__":
    main()
