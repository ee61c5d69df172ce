"""Runs of many updates: what they keep does not grow, and their files grow as the page says."""

import re
from pathlib import Path

import pytest
from helpers_long import KINDS, MOST_BYTES, MOST_FILES, MOST_OTHER_BYTES, figures

from pg_theano.reports import screen

PAGE = Path(__file__).parent.parent / "docs" / "long-and-large.md"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_run_keeps_does_not_grow(kind):
    """900 updates; up to 200,000 in benchmarks/torture/parts/long.py. Caught, when planted: what was played kept in a
    list, with 50 kB an update; no checkpoint taken away."""
    found = figures(kind, 900, 300)
    assert found["growth"] < 0.05
    assert found["files"] <= MOST_FILES
    assert found["bytes_an_update"] < MOST_BYTES
    assert found["other_bytes"] < MOST_OTHER_BYTES


def test_the_page_says_how_large_a_run_gets():
    text = PAGE.read_text()
    assert f"at most {MOST_BYTES} bytes an update" in re.sub(r"\s+", " ", text)


def test_the_live_display_keeps_no_more_than_it_shows(tmp_path):
    """Whatever the number of updates. Caught, when planted: every return kept."""
    with (tmp_path / "out").open("w") as file:
        live = screen.LiveScreen(file, "title")
        try:
            for number in range(20_000):
                live._remember(float(number))
            assert len(live.returns) <= screen.MOST_RETURNS
            assert live.returns[0] == 0.0 and live.returns[-1] > 19_900
            assert live.returns == sorted(live.returns)
        finally:
            live.close()
