"""Environments that misbehave in ways that strangers have met: what they do is survived, or named in the usual line."""

import pytest
from helpers_runs import as_arguments, merged

from pg_theano import train

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

STRANGE = "faulty_environments:Strange-v0"
COMMON = {
    "environment": {"id": STRANGE, "num_envs": 2},
    "policy": {"hidden": [4]},
    "algorithm": {"name": "ppo", "num_steps": 8},
    "evaluation": {"episodes": 2},
    "budget": {"updates": 2},
}


def trained(capsys, how="none", at=5, **changes):
    """(exit code, stdout, stderr) of a run in folder `run`."""
    config = merged(merged(COMMON, {"environment": {"kwargs": {"how": how, "at": at}}}), changes)
    return ended(capsys, "--run-dir", "run", *as_arguments(config))


def ended(capsys, *words):
    code = train.main([*words, "--no-plot"])
    return code, *capsys.readouterr()


def test_an_environment_that_shows_late_that_it_does_not_replay_is_resumed(capsys):
    """It draws from another generator after step 20, and sixteen are tried. Caught, with the code before: it was refused
    for ever ("does not replay: the observation is not that of the checkpoint")."""
    trained(capsys, "late", at=20, budget={"updates": 4})
    code, out, _ = ended(capsys, "--resume", "run", "budget.updates=5")
    assert code == 0 and "step 32 (seed" in out and "does not replay" in out
    assert "the open episodes are begun anew" in out and "update     5" in out
