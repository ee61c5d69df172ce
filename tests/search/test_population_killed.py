"""A generation of PGPE whose worker is killed in the middle: a process of this machine, or one of a Dask cluster."""

import helpers_distribute as helpers
import pytest
from helpers_runs import assert_equal_runs, ran

from pg_theano.training.playing import generations

OPTIMISED = False  # see conftest.machine_code

pytestmark = [pytest.mark.usefixtures("elsewhere"), pytest.mark.slow]

CHOSEN = {
    "environment": {"id": "CartPole-v1", "engine": "gymnasium", "max_episode_steps": 120},
    "algorithm": {"name": "pgpe", "population_size": 16, "episodes_per_candidate": 2},
    "evaluation": {"episodes": 3, "every_updates": 4},
    "solved": {"stop": False},
    "budget": {"updates": 12},
}


@pytest.mark.parametrize("who", ["processes", "dask"])
def test_a_killed_worker_loses_nothing_of_a_generation(who, tmp_path, monkeypatch):
    """Alone, by workers, by workers of whom one is killed: bit for bit."""
    ran(CHOSEN, tmp_path / "alone")
    with helpers.workers_of(who, tmp_path) as (workers, pids):
        monkeypatch.setattr(generations.distribute, "opened", lambda **words: workers)
        by_workers = CHOSEN | {"distribute": {"workers": 2, "tasks": 4}}
        ran(by_workers, tmp_path / "undisturbed")  # and the workers have imported what they need
        with helpers.killed_in_the_middle(pids()):
            ran(by_workers, tmp_path / "killed")
    assert_equal_runs(tmp_path / "alone", tmp_path / "undisturbed")
    assert_equal_runs(tmp_path / "alone", tmp_path / "killed")
