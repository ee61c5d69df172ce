"""docs/not-for.md: each refusal is what the program says, and what is not refused does what the page says."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from pg_theano import train
from pg_theano.environments.rows import observation_of

PAGE = (Path(__file__).parents[1] / "docs" / "not-for.md").read_text()
REFUSED, ELSEWHERE = (
    [[cell.strip() for cell in row.split("|")[1:-1]] for row in part.splitlines() if row.startswith("| ")][1:]
    for part in PAGE.split("\n## ")[1:]
)
BY_HAND = "gradients=by_hand algorithm.name=vpg budget.updates=1 evaluation.episodes=1"
ASKED = {  # what a cell asks for in words
    "an action space with a part for each": "environment.id=probe_environments:TwoPlayers-v0",
    "a Tuple or Dict of actions": "environment.id=probe_environments:TupleActions-v0",
    "a Graph or Sequence space": "environment.id=probe_environments:GraphObs-v0",
    "an array as reward": f"environment.id=probe_environments:TwoRewards-v0 {BY_HAND}",
}


def said(words, capsys):
    """The line of an error, of a run that ends with exit code 2."""
    assert train.main(words.split()) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("row", REFUSED, ids=[row[0].split(",")[0] for row in REFUSED])
def test_what_is_refused_is_refused_in_these_words(row, capsys):
    """Caught, when planted: a knob `device` that is there; an algorithm that the list of the page lacks."""
    _, asked, line, instead = row
    words = ASKED.get(asked) or asked.strip("`")
    assert line in said(words, capsys)
    assert instead


def test_an_image_is_as_many_bytes_as_the_page_says():
    """Caught, when planted: rows of float32, which are 116 MB."""
    (row,) = [row for row in ELSEWHERE if row[0] == "images of Atari's size"]
    frames = gymnasium.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    rows = observation_of(frames, "Frames", "float32").convert(np.zeros((2, *frames.shape), np.uint8))
    assert f"{round(128 * 8 * rows.nbytes / 2 / 1e6)} MB" in row[1]


def test_the_page_is_complete():
    """Nine refusals and two that are none, each with what to use instead."""
    assert (len(REFUSED), len(ELSEWHERE)) == (9, 2)
    assert all(row[-1] for row in REFUSED + ELSEWHERE)
