"""Killed while it trains and writes, and a disk that is full: the quick forms of the torture's `kills` and `disk`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def measured(*words):
    script = [sys.executable, HERE / "helpers_killing.py", *map(str, words)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.slow
def test_no_kill_costs_a_checkpoint_that_was_reported():
    """From outside at random, and inside every kind of call that writes.

    Caught, when planted: a checkpoint reported before it is written; the last one
    taken apart to be written again at the end; temporary files left for ever.
    """
    found, said = measured("kills", 6)
    assert (found["unreadable"], found["older"], found["other"]) == (0, 0, 0), said
    assert found["equal"] == found["runs"] > 0
    assert found["temporaries"] > 0  # some kill struck in the middle of a file


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_costs_no_checkpoint():
    """At places all over a run: exit code 2, and resumed it equals the one that had room.

    Caught, when planted: the system's own words in place of a line that names the file.
    """
    found, said = measured("full", 29, 1)
    points = found["points"]
    assert points > 8
    assert found["intact"] == found["equal"] == found["refused"] + found["unharmed"] == points, said
    assert found["unharmed"] <= points // 10
