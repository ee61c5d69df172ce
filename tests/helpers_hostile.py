"""A run folder whose every seal agrees and whose entries are a stranger's, read by everything that reads a run.

The quick form is tests/test_recorded.py, all changes benchmarks/torture/parts/hostile.py.
"""

import contextlib
import copy
import io
import shutil

import numpy as np
from helpers_runs import ran, resumed, small

import pg_theano
from pg_theano import evaluate, export, report
from pg_theano.reports import model_card
from pg_theano.runs import checkpoints
from pg_theano.system import seals
from pg_theano.types import UserError

GONE = object()
VALUES = [None, "x", -1, 10**30, 1.5, [], {}, True, [1, 2, 3], 1e308, float("nan"), GONE]
ARRAYS = [np.zeros(3, "f4"), np.zeros(0, "f4"), np.full(4, np.nan, "f4"), np.zeros((2, 2, 2), "i4"), np.int8(1), GONE]
CONFIGS = {
    "stretches": small(
        environment={"id": "CartPole-v1"}, algorithm={"name": "ppo", "num_steps": 8}, gradients="by_hand",
        budget={"updates": 3}, solved={"stop": False}, evaluation={"every_updates": 1},
    ),
    "episodes": small(
        environment={"id": "Pendulum-v1", "max_episode_steps": 5}, algorithm={"name": "vpg"}, gradients="by_hand",
        budget={"updates": 3}, evaluation={"every_updates": 1},
    ),
    "population": small(
        environment={"id": "CartPole-v1", "max_episode_steps": 10, "engine": "gymnasium"},
        algorithm={"name": "cem", "population_size": 4}, budget={"updates": 3}, solved={"stop": False},
        evaluation={"every_updates": 1},
    ),
}  # fmt: skip
del CONFIGS["population"]["schedules"]


def entries(value, at=()):
    """Where something stands in plain data, the whole of it first."""
    yield at
    for key in value if isinstance(value, dict) else range(min(len(value), 3)) if isinstance(value, list) else ():
        yield from entries(value[key], (*at, key))


def with_entry(value, at, new):
    """A copy in which one entry is another, or is gone."""
    value = copy.deepcopy(value)
    inner = value
    for key in at[:-1]:
        inner = inner[key]
    if new is GONE:
        del inner[at[-1]]
    else:
        inner[at[-1]] = new
    return value


def changes_of(run):
    """(what, where, value) of every change that is tried: 1,500 or more."""
    found = [
        (name, at, value)
        for name in ("run.json", "result.json")
        for at in entries(seals.read_json(run / name))
        for value in VALUES
        if at
    ]
    newest = checkpoints.newest(run / "checkpoints")
    found += [("facts", at, value) for at in entries(newest.facts) for value in VALUES if at]
    return found + [("state", (name,), value) for name in newest.state for value in ARRAYS]


def change(run, what, at, value):
    """Made, and sealed as its writer would have."""
    if what.endswith(".json"):
        seals.write_json(run / what, with_entry(seals.read_json(run / what), at, value), durable=False)
        return
    for path in (run / "checkpoints").glob("*.npz"):
        state, facts, _ = checkpoints.load(path)
        if what == "facts" and at[0] in facts:
            facts = with_entry(facts, at, value)
        elif what == "state" and at[0] in state:
            state = with_entry(dict(state), at, value)
        checkpoints.save(path.parent, path.stem, state, facts)


READERS = {
    "load": lambda run: pg_theano.load(run)(np.zeros((2, 4), np.float32)),
    "evaluate": lambda run: evaluate.evaluate(run, episodes=1),
    "export": lambda run: export.export(run, "npz", run.parent / "policy.npz"),
    "resume": lambda run: resumed(run, "budget.updates=4"),
    "card": lambda run: model_card.card(run, run.parent / "card", episodes=1, gif=False),
    "report": lambda run: report.report([run], run.parent / "report.html", play=False),
}


def tried(folder, kind, part, parts):
    """What other errors than the documented one there were, of one of so many parts of all changes, as dealt."""
    ran(CONFIGS[kind], folder / "kept")
    every, found = changes_of(folder / "kept"), []
    for number in np.random.default_rng(0).permutation(len(every))[part::parts]:
        what, at, value = every[number]
        for name, read in READERS.items():
            run = folder / "run"
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(folder / "kept", run)
            (folder / "policy.npz").unlink(missing_ok=True)
            shutil.rmtree(folder / "card", ignore_errors=True)
            change(run, what, at, value)
            try:
                with contextlib.redirect_stderr(io.StringIO()):
                    read(run)
            except UserError as error:
                if "\n" in str(error):
                    found.append((name, what, at, value, "more than a line"))
            except Exception as error:
                found.append((name, what, at, value, repr(error)))
    return len(every[part::parts]), found
