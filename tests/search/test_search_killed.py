"""A search whose worker is killed in the middle: a process of this machine, or one of a Dask cluster."""

import helpers_distribute as helpers
import pytest
from helpers_search import REAL, plain, plan_of

from pg_theano.search import study

OPTIMISED = False  # see conftest.machine_code

pytestmark = [pytest.mark.usefixtures("elsewhere"), pytest.mark.slow]


@pytest.mark.parametrize("who", ["processes", "dask"])
def test_a_killed_worker_loses_no_trial(who, tmp_path, monkeypatch):
    """Alone, by workers, by workers of whom one is killed: the same trials, and none twice."""

    def searched(name):
        plan = plan_of("random", base=REAL, budget={"trials": 12})
        outcome = study.new(plan, tmp_path / name, lambda *_: None, lambda _: None)
        return plain(outcome.trials)

    alone = searched("alone")
    with helpers.workers_of(who, tmp_path) as (workers, pids):
        monkeypatch.setattr(study.distribute, "opened", lambda **words: workers)
        undisturbed = searched("undisturbed")  # and the workers have imported what they need
        with helpers.killed_in_the_middle(pids()):
            killed = searched("killed")
    assert len(alone) == 12
    assert {trial.state for trial in alone} == {"complete"}
    assert undisturbed == alone
    assert killed == alone
