"""A search whose worker is killed in the middle: a process of this machine, or one of a Dask cluster."""

import multiprocessing
import os

import helpers_distribute as helpers
import pytest
from helpers_search import REAL, plain, plan_of

from pg_theano import distribute
from pg_theano.search import study

pytestmark = [pytest.mark.usefixtures("elsewhere"), pytest.mark.slow]


class Lent:
    """Workers that outlive the search that they evaluate for."""

    def __init__(self, workers):
        self.map = workers.map

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize("who", ["processes", "dask"])
def test_a_killed_worker_loses_no_trial(who, tmp_path, monkeypatch):
    """Alone, by workers, by workers of whom one is killed: the same trials, and none twice. Caught, when planted: the
    lost task's trial told as failed."""

    def searched(name):
        plan = plan_of("random", base=REAL, budget={"trials": 12})
        outcome = study.new(plan, tmp_path / name, lambda *_: None, lambda _: None)
        return plain(outcome.trials)

    alone = searched("alone")
    cluster = helpers.DaskCluster(tmp_path) if who == "dask" else None
    try:
        if cluster:
            cluster.workers(3)
        with distribute.opened(**({"cluster": cluster.address} if cluster else {"workers": 2})) as workers:

            def pids():
                if cluster:
                    return list(workers._engine._client.run(os.getpid).values())
                return [child.pid for child in multiprocessing.active_children()]

            monkeypatch.setattr(study.distribute, "opened", lambda **words: Lent(workers))
            undisturbed = searched("undisturbed")  # and the workers have imported what they need
            helpers.until(lambda: len(pids()) == (3 if cluster else 2))
            with helpers.killed_in_the_middle(pids()):
                killed = searched("killed")
    finally:
        if cluster:
            cluster.close()
    assert len(alone) == 12
    assert {trial.state for trial in alone} == {"complete"}
    assert undisturbed == alone
    assert killed == alone
