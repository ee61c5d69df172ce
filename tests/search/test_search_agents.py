"""A search whose trials train together, on a compiled environment."""

import json

import pytest
from helpers_runs import command
from helpers_search import RATE, written

from pg_theano.search import trials
from pg_theano.training import run as training

pytestmark = [pytest.mark.usefixtures("elsewhere"), pytest.mark.slow]

BASE = {
    "dtype": "float64",
    "environment": {"id": "CartPole-v1", "max_episode_steps": 40},
    "policy": {"hidden": [4]},
    "schedules": {"episodes_per_update": {"initial": 4}},
    "evaluation": {"episodes": 5, "every_updates": 2},
    "solved": {"stop": False},
    "budget": {"updates": 4},
}
SPACE = {RATE: {"low": 1e-3, "high": 1.0, "log": True}, "algorithm.discount": {"low": 0.5, "high": 1.0}}


def test_trials_that_train_together_are_the_trials_alone(elsewhere, monkeypatch):
    """And the best config gives the reported score. Caught, when planted: groups that are never trained
    together."""
    search = {"space": SPACE, "budget": {"trials": 6}, "batch": 6, "seeds_per_trial": 2, "objective": "learning_curve"}
    scores = {}
    for agents in (1, 4):
        path = written(elsewhere / f"of-{agents}.yaml", base=BASE | {"agents_per_process": agents}, **search)
        code, out, error = command("search", path, "--json", "--no-plot", "--run-dir", f"runs/of-{agents}")
        assert code == 0, error
        figures = json.loads(out)
        scores[agents] = figures["score"]
    assert scores[1] == pytest.approx(scores[4], rel=1e-9)
    groups, tasks = [], []
    monkeypatch.setattr(
        training, "train_group", lambda members, folder: groups.append(len(members)) or [{"status": "budget"}]
    )
    monkeypatch.setattr(trials, "evaluate", lambda task: tasks.append(task["number"]))
    task = {
        "base": BASE | {"agents_per_process": 4},
        "params": {RATE: 0.1},
        "seeds": [0, 1],
        "share": 1.0,
        "folder": ".",
    }
    trials.evaluate_group([task | {"number": number, "path": f"new/{number}"} for number in (3, 4)])
    assert groups == [4]
    assert tasks == [3, 4]
