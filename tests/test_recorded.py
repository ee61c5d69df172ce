"""A run folder whose every seal agrees and whose entries are a stranger's: one line that names one, and no traceback."""

import contextlib
import copy
import io
import shutil

import numpy as np
import pytest
from helpers_runs import ran, resumed, small

import pg_theano
from pg_theano import checkpoints, evaluate, export, recorded, runs, sealed
from pg_theano.types import UserError

pytestmark = pytest.mark.usefixtures("elsewhere")

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
}  # fmt: skip


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
        for at in entries(sealed.read_json(run / name))
        for value in VALUES
        if at
    ]
    newest = checkpoints.newest(run / "checkpoints")
    found += [("facts", at, value) for at in entries(newest.facts) for value in VALUES if at]
    return found + [("state", (name,), value) for name in newest.state for value in ARRAYS]


def change(run, what, at, value):
    """Made, and sealed as its writer would have."""
    if what.endswith(".json"):
        sealed.write_json(run / what, with_entry(sealed.read_json(run / what), at, value), durable=False)
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
}


def tried(folder, kind, numbers):
    """What other errors than the documented one there were."""
    ran(CONFIGS[kind], folder / "kept")
    every, found = changes_of(folder / "kept"), []
    rng = np.random.default_rng(0)
    for number in rng.permutation(len(every))[:numbers]:
        what, at, value = every[number]
        for name, read in READERS.items():
            run = folder / "run"
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(folder / "kept", run)
            (folder / "policy.npz").unlink(missing_ok=True)
            change(run, what, at, value)
            try:
                with contextlib.redirect_stderr(io.StringIO()):
                    read(run)
            except UserError as error:
                if "\n" in str(error):
                    found.append((name, what, at, value, "more than a line"))
            except Exception as error:
                found.append((name, what, at, value, repr(error)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_an_entry_of_another_kind_is_one_line(kind, tmp_path):
    """Each of 40 changes, read by four readers. Caught, when planted: the spec's layout believed; shapes of the State
    compared and its kinds of numbers not; a checkpoint's counters believed; open episodes believed."""
    assert tried(tmp_path, kind, 40) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_many_entries_of_another_kind_are_one_line_each(kind, tmp_path):
    assert tried(tmp_path, kind, 200) == []


def test_what_a_run_writes_is_what_is_expected(tmp_path):
    """Caught, when planted: a layout's entry without its initialiser; an evaluation of 0 episodes expected."""
    for kind, config in CONFIGS.items():
        ran(config, tmp_path / kind)
        _, facts, spec, checkpoint = runs.trained(tmp_path / kind)
        assert spec["num_params"] == len(checkpoint.state["params"])
        recorded.checked(recorded.Facts, facts, tmp_path)
        recorded.checked(recorded.Checkpoint, checkpoint.facts, tmp_path)
        recorded.checked(recorded.Result, sealed.read_json(tmp_path / kind / "result.json"), tmp_path)


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (("spec", "obs_size"), "4", "run.json: spec.obs_size: got '4': Input should be a valid integer"),
        (("spec", "noise"), "purple", "run.json: spec.noise: got 'purple': String should match pattern"),
        (("spec", "layout"), [], "run.json says 55 parameters, and layers of 0"),
        (("folder",), 1.5, "run.json: folder: got 1.5: Input should be a valid string"),
        (("task", "spaces", "action", "n"), 10**9, "run.json: not what a run records of its spaces (a space of more"),
    ],
)
def test_the_entry_is_named(at, value, said, tmp_path):
    ran(CONFIGS["stretches"], tmp_path / "run")
    change(tmp_path / "run", "run.json", at, value)
    with pytest.raises(UserError) as refused:
        pg_theano.load(tmp_path / "run")
    assert said in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_a_state_of_other_numbers_is_named(tmp_path):
    """Parameters of float64 for a run of float32 would be trained on, and never equal. Caught, when planted: shapes
    compared, and kinds not."""
    ran(CONFIGS["stretches"], tmp_path / "run")
    params = checkpoints.newest(tmp_path / "run" / "checkpoints").state["params"].astype(np.float64)
    change(tmp_path / "run", "state", ("params",), params)
    for read in (lambda: resumed(tmp_path / "run", "budget.updates=4"), lambda: pg_theano.load(tmp_path / "run")):
        with pytest.raises(UserError, match=r"params: got .*float64.*; expected float32"):
            read()
