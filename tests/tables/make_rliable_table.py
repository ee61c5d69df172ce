"""Make `rliable.json`: what rliable, the code of Agarwal et al. 2021, gives for the same scores.

    python -m venv venv; venv/bin/pip install rliable "pandas<3" "statsmodels<0.15"      # what arch 7.2 runs with
    venv/bin/python tests/tables/make_rliable_table.py

It imports nothing of pg_theano. Every score is a multiple of 1/64. `tests/test_aggregates.py` reads the table.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path

import numpy as np
from rliable import library, metrics

HERE = Path(__file__).resolve().parent
RESAMPLES = 50_000
SHAPES = {"one task": (8, 1), "three tasks": (12, 3), "five runs": (5, 1), "ten runs": (10, 1), "three runs": (3, 2)}
AT = [-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5]
AGGREGATES = {
    "interquartile_mean": metrics.aggregate_iqm,
    "mean": metrics.aggregate_mean,
    "median": metrics.aggregate_median,
    "optimality_gap": metrics.aggregate_optimality_gap,
}


def scores(rng, runs, tasks):
    """Multiples of 1/64, [runs, tasks]; each task has its own mean and spread."""
    drawn = rng.normal(0.3 + 0.4 * np.arange(tasks), 0.3 + 0.2 * np.arange(tasks), (runs, tasks))
    return np.round(drawn * 64) / 64


def estimates(function, data):
    np.random.seed(0)  # it draws from NumPy's global generator
    values, intervals = library.get_interval_estimates({"x": data}, function, reps=RESAMPLES)
    return np.ravel(values["x"]).tolist(), np.asarray(intervals["x"]).tolist()


def main():
    rng = np.random.default_rng(0)
    table = {"scores": {}, "at": AT, "profile": {}, "improvement": {}}
    for name, shape in SHAPES.items():
        x = scores(rng, *shape)
        table["scores"][name] = x.tolist()
        values, intervals = estimates(lambda x: np.array([one(x) for one in AGGREGATES.values()]), x)
        table[name] = {
            aggregate: {"value": values[i], "interval": [intervals[0][i], intervals[1][i]]}
            for i, aggregate in enumerate(AGGREGATES)
        }
        table["profile"][name] = library.score_distributions(x, np.array(AT)).tolist()
    for name, runs in (("three tasks", 9), ("one task", 8), ("five runs", 5)):
        x = np.array(table["scores"][name])
        y = np.round((scores(rng, runs, x.shape[1]) - 0.2) * 8) / 8  # ties
        y[0] = x[0]
        values, intervals = estimates(lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), [x, y])
        table["improvement"][name] = {"y": y.tolist(), "value": values[0], "interval": np.ravel(intervals).tolist()}
    versions = {package: importlib.metadata.version(package) for package in ("rliable", "arch", "numpy", "scipy")}
    source = {
        "made_by": "tests/tables/make_rliable_table.py",
        "python": platform.python_version(),
        "versions": versions,
        "resamples": RESAMPLES,
    }
    text = json.dumps({"source": source} | table, separators=(", ", ": "))
    (HERE / "rliable.json").write_text(text.replace('}, "', '},\n"') + "\n")


if __name__ == "__main__":
    main()
