"""Runs that start at once, and share an empty cache and a folder of runs."""

import pytest
from helpers_crowd import figures

OPTIMISED = False  # see conftest.machine_code


@pytest.mark.slow
def test_runs_at_once_do_not_get_into_each_others_way():
    """Three; sixteen in benchmarks/torture/parts/crowd.py. Caught, when planted: `new_folder` that looks before it makes
    (two runs in one folder)."""
    found = figures(3)
    assert found["codes"] == [0, 0, 0]
    assert found["said"] == []
    assert found["runs"] == ["mine", "mine-2", "mine-3"]
    assert found["equal"] == 3
    assert found["artifacts"] > 0
    assert found["damaged"] == found["temporary"] == []
    assert found["after"] == {"code": 0, "built": False, "said": ""}
