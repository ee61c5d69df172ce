"""A run folder whose every seal agrees and whose entries are a stranger's: one line that names one, and no traceback."""

import numpy as np
import pytest
from helpers_hostile import CONFIGS, change, tried
from helpers_runs import ran, resumed

import pg_theano
from pg_theano.runs import checkpoints, folder, recorded
from pg_theano.system import seals
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_an_entry_of_another_kind_is_one_line(kind, tmp_path):
    """One of 40 changes, read by six readers each; all of them: `make torture`. Caught, when planted: the spec's layout
    believed; shapes of the State compared and its kinds of numbers not; a checkpoint's counters believed; open episodes
    believed."""
    number, other = tried(tmp_path, kind, 0, 40)
    assert number > 35
    assert other == []


def test_what_a_run_writes_is_what_is_expected(tmp_path):
    """Caught, when planted: a layout's entry without its initialiser; an evaluation of 0 episodes expected."""
    for kind, config in CONFIGS.items():
        ran(config, tmp_path / kind)
        _, facts, spec, checkpoint = folder.trained(tmp_path / kind)
        assert spec.acting.num_params == len(checkpoint.state["params"])
        recorded.checked(recorded.Facts, facts, tmp_path)
        recorded.checked(recorded.Checkpoint, checkpoint.facts, tmp_path)
        recorded.checked(recorded.Result, seals.read_json(tmp_path / kind / "result.json"), tmp_path)


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
