"""What twenty runs that learned recorded of themselves, in good_runs.json: `python make_good_runs.py [NAME ...]`.

Some of them are solved, some train on, some were stopped on the way. Half an hour on two cores. Of the records every
column stands here that a reason is tried against, with at most `POINTS` updates, evenly spread, and those that were
evaluated; of the result and of run.json, what is asked of them.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

import pg_theano
from pg_theano.config.reading import from_dict, to_dict
from pg_theano.runs import curves, folder
from pg_theano.training.display import Quiet

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
POINTS = 30
COLUMNS = [
    *["record", "update", "env_steps", "episodes", "return_mean", "return_std", "return_min", "return_max"],
    *[
        "length_mean",
        "evaluation_mean",
        "evaluation_std",
        "evaluation_episodes",
        "entropy",
        "kl",
        "approx_kl",
        "clip_fraction",
    ],
    "explained_variance",
]
CARTPOLE, ON = ["environment.id=CartPole-v1", "budget.env_steps=60000"], "solved.stop=false"
GOOD = {
    "cartpole": ["cartpole"],
    "cartpole, another seed": ["cartpole", "seed=3"],
    "cartpole, trained on": ["cartpole", ON, "budget.updates=60"],
    "acrobot": ["acrobot"],
    "mountaincar": ["mountaincar"],
    "classic": ["classic"],
    "pgpe-pendulum": ["pgpe-pendulum"],
    "ppo-cartpole": ["ppo-cartpole"],
    "ppo-acrobot": ["ppo-acrobot"],
    "ppo-mountaincar": ["ppo-mountaincar"],
    "ppo-mountaincarcontinuous": ["ppo-mountaincarcontinuous"],
    "ppo-pendulum": ["ppo-pendulum"],
    "ppo-lunarlander, on the way": ["ppo-lunarlander", "budget.env_steps=300000"],
    "ppo": [None, *CARTPOLE, "algorithm.name=ppo", ON],
    "a2c": [None, *CARTPOLE, "algorithm.name=a2c", ON],
    "vpg": [None, *CARTPOLE, "algorithm.name=vpg", ON],
    "npg": [None, *CARTPOLE, "algorithm.name=npg", ON],
    "trpo": [None, *CARTPOLE, "algorithm.name=trpo", ON],
    "cem": [None, *CARTPOLE, "algorithm.name=cem", ON],
    "es": [None, *CARTPOLE, "algorithm.name=es", ON],
}


def thinned(columns):
    """The columns that are asked of, rounded, null where a value is missing."""
    size = len(columns["record"])
    kept = np.zeros(size, bool)
    kept[np.unique(np.linspace(0, size - 1, POINTS).astype(int))] = True
    evaluated = np.flatnonzero(np.isfinite(columns["evaluation_mean"]))
    kept[evaluated[np.unique(np.linspace(0, len(evaluated) - 1, POINTS).astype(int))]] = True
    return {
        name: [float(f"{value:.5g}") if np.isfinite(value) else None for value in columns[name][kept].tolist()]
        for name in COLUMNS
        if name in columns
    }


def named(config):
    """What of a config is not at its algorithm's default, and the algorithm."""
    algorithm = {"algorithm": {"name": config.algorithm.name}}
    found = changed(to_dict(config), to_dict(from_dict(algorithm)))
    return found | {"algorithm": found.get("algorithm", {}) | algorithm["algorithm"]}


def changed(data, usual):
    inner = {key: changed(one, usual.get(key, {})) if isinstance(one, dict) else one for key, one in data.items()}
    return {key: one for key, one in inner.items() if one not in (usual.get(key), {})}


def recorded(name, words):
    config, *knobs = words
    with tempfile.TemporaryDirectory() as where:
        run = Path(where) / "run"
        chosen = CONFIGS / f"{config}.yaml" if config else None
        pg_theano.run(chosen, *knobs, run_dir=run, plot=False, display=Quiet)
        read, facts = folder.read_run(run)
        result = folder.read_result(run)
        return {
            "config": named(read),
            "spec": facts["spec"],
            "task": {name: facts["task"][name] for name in ("time_limit", "threshold")},
            "result": {name: result[name] for name in ("status", "threshold", "evaluation")},
            "columns": thinned(curves.read_metrics(run)),
        }


if __name__ == "__main__":
    file = HERE / "good_runs.json"
    made = json.loads(file.read_text()) if file.exists() else {}
    for name in sys.argv[1:] or GOOD:
        made[name] = recorded(name, GOOD[name])
        print(name, made[name]["result"], flush=True)
        file.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in made.items()) + "\n}\n")
