"""What the tests of searches share: a search that is small, and one that trains nothing."""

import json
import math
from pathlib import Path

import yaml

from pg_theano.search import plan as settings
from pg_theano.search import study, trials
from pg_theano.system.yaml_lines import Document
from pg_theano.training.display import Quiet

RATE, DISCOUNT, HIDDEN = "schedules.learning_rate.initial", "algorithm.discount", "policy.hidden"
SPACE = {
    RATE: {"low": 1e-3, "high": 1.0, "log": True},
    DISCOUNT: {"low": 0.5, "high": 1.0},
    HIDDEN: {"choices": [[4], [8]]},
}
REAL = {  # the NumPy twin on a small environment: a trial takes a tenth of a second, and nothing is compiled
    "gradients": "by_hand",
    "environment": {"id": "probe_environments:Lengths-v0", "num_envs": 4},
    "algorithm": {"name": "vpg", "num_epochs": 2},
    "policy": {"hidden": [4]},
    "schedules": {"episodes_per_update": {"initial": 4}},
    "evaluation": {"episodes": 5, "every_updates": 2},
    "budget": {"updates": 4},
}


def data_of(method="random", base=None, **search):
    settings_ = {"method": method, "space": SPACE, "batch": 4, "budget": {"trials": 14}, **search}
    return {"name": "tried", **(base or {}), "search": settings_}


def plan_of(method="random", base=None, **search):
    return settings.plan_of(Document(data_of(method, base, **search), {}, "test.yaml"), Path.cwd())


def written(path, method="random", base=None, **search):
    path.write_text(yaml.safe_dump(data_of(method, base, **search)))
    return path


def pretended(task):
    """A trial that trains nothing: a score from its parameters and how far it went; fails where the rate is large."""
    params, share = task["params"], task["share"]
    made = {"number": task["number"], "score": None, "scores": [], "ended": share >= 1, "env_steps": 1, "seconds": 0.0}
    if params[RATE] > 0.5:
        return made | {"reason": "the rate is too large"}
    score = -((math.log10(params[RATE]) + 1.5) ** 2) - (params[DISCOUNT] - 0.9) ** 2 + 0.1 * len(params[HIDDEN])
    return made | {"score": score * share, "scores": [score * share] * len(task["seeds"])}


def searched(plan, folder, monkeypatch, evaluate=pretended):
    monkeypatch.setattr(trials, "evaluate", evaluate)
    return study.new(plan, folder, lambda *_: None, lambda _: None)


def resumed(folder, *overrides):
    return study.resume(folder, overrides, lambda *_: None, lambda _: None)


def plain(found):
    """Trials without what differs between equal searches."""
    return [one._replace(facts={k: v for k, v in one.facts.items() if k != "seconds"}) for one in found]


def quiet(title):
    return Quiet()


def figures_of(text):
    return json.loads(text.splitlines()[-1])
