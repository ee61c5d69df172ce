"""A generation of PGPE whose worker is killed in the middle: a process of this machine, or one of a Dask cluster."""

import multiprocessing
import os

import helpers_distribute as helpers
import pytest
from helpers_runs import assert_equal_runs, ran

from pg_theano import distribute
from pg_theano.search import population

pytestmark = [pytest.mark.usefixtures("elsewhere"), pytest.mark.slow]

CHOSEN = {
    "environment": {"id": "CartPole-v1", "engine": "gymnasium", "max_episode_steps": 120},
    "algorithm": {"name": "pgpe", "population_size": 16, "episodes_per_candidate": 2},
    "evaluation": {"episodes": 3, "every_updates": 4},
    "solved": {"stop": False},
    "budget": {"updates": 12},
}


class Lent:
    """Workers that outlive the run that they play for."""

    def __init__(self, workers):
        self.map = workers.map

    def close(self):
        pass


@pytest.mark.parametrize("who", ["processes", "dask"])
def test_a_killed_worker_loses_nothing_of_a_generation(who, tmp_path, monkeypatch):
    """Alone, by workers, by workers of whom one is killed: bit for bit. Caught, when planted: the lost part's candidates
    left at fitness 0."""
    ran(CHOSEN, tmp_path / "alone")
    cluster = helpers.DaskCluster(tmp_path) if who == "dask" else None
    try:
        if cluster:
            cluster.workers(3)
        with distribute.opened(**({"cluster": cluster.address} if cluster else {"workers": 2})) as workers:

            def pids():
                if cluster:
                    return list(workers._engine._client.run(os.getpid).values())
                return [child.pid for child in multiprocessing.active_children()]

            monkeypatch.setattr(population.distribute, "opened", lambda **words: Lent(workers))
            by_workers = CHOSEN | {"distribute": {"workers": 2, "tasks": 4}}
            ran(by_workers, tmp_path / "undisturbed")  # and the workers have imported what they need
            helpers.until(lambda: len(pids()) == (3 if cluster else 2))
            with helpers.killed_in_the_middle(pids()):
                ran(by_workers, tmp_path / "killed")
    finally:
        if cluster:
            cluster.close()
    assert_equal_runs(tmp_path / "alone", tmp_path / "undisturbed")
    assert_equal_runs(tmp_path / "alone", tmp_path / "killed")
