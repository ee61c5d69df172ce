"""`benchmarks/locomotion.py`: what is kept of MuJoCo's tasks, and the page that is made of it."""

import json
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import locomotion

ROOT = Path(__file__).resolve().parent.parent
SAID = {config: yaml.safe_load((ROOT / "configs" / f"{config}.yaml").read_text()) for config in locomotion.TASKS}


WIDE = ["ppo-halfcheetah", "ppo-walker2d"]  # the second set


def test_two_sets_of_knobs_which_differ_in_how_steps_are_collected():
    """And the discount of Swimmer. Caught, when planted: another clip range for Ant; 64 environments for Hopper."""
    for config, published in locomotion.TASKS.items():
        said, hopper = SAID[config], SAID["ppo-hopper"]
        num_envs, num_steps = (64, 32) if config in WIDE else (16, 128)
        discount = 0.9999 if config == "ppo-swimmer" else 0.99
        algorithm = hopper["algorithm"] | {"num_steps": num_steps, "discount": discount}
        assert said == hopper | {"environment": {"id": published.task, "num_envs": num_envs}, "algorithm": algorithm}
        assert 0.99e6 < said["budget"]["updates"] * num_envs * num_steps <= 1e6


def test_the_page_is_what_the_kept_cells_say():
    """And the heads of the configs. Caught, when planted: a cell appended without `--table`; a mean that was changed in
    the page, or in a head."""
    cells = locomotion.kept(locomotion.CELLS)
    assert locomotion.PAGE.read_text() == locomotion.section(cells)
    for config in locomotion.TASKS:
        assert locomotion.reaches(config, cells) in (ROOT / "configs" / f"{config}.yaml").read_text().splitlines()
    assert all(cell["episodes"] == 100 and cell["env_steps"] <= 1e6 for cell in cells.values())


def test_no_knob_was_tuned_on_the_seeds_of_the_table():
    """What was tried there is the set of all six before, and Hopper with the second set; both are on the page. Caught,
    when planted: a learning rate tried on seed 3."""
    collected = [[f"environment.num_envs={envs}", f"algorithm.num_steps={2048 // envs}"] for envs in (16, 64)]
    for tried in map(json.loads, locomotion.TRIED.read_text().splitlines()):
        assert tried["seed"] >= 100 or tried["differs"] in collected
        assert tried["env_steps"] <= 1e6


def cell(mean, seed=0, config="ppo-hopper", **more):
    knobs = locomotion.knobs_of(config)
    made = {"config": config, "seed": seed, "knobs": knobs, "mean": mean, "cpu_seconds": None, "at": "", "versions": {}}
    return made | more


def test_cells_of_other_knobs_and_of_other_seeds_do_not_count(tmp_path):
    """Of two of the same seed the first does. Caught, when planted: the last of two; knobs that were not compared; a
    sixth seed in the mean, which is of 0 to 4; `reached` by the upper end of the interval."""
    file = tmp_path / "cells.jsonl"
    cells = [cell(2800.0), cell(9000.0), cell(2600.0, 1), cell(9000.0, 2, knobs="others"), cell(9000.0, 5)]
    file.write_text("".join(json.dumps(one) + "\n" for one in cells))
    row = next(line for line in locomotion.section(locomotion.kept(file)).splitlines() if "Hopper" in line)
    assert row.split(" | ")[3:] == ["2", "**2700** (2600 to 2800)", "2600", "2800", "–", "no |"]
    assert not locomotion.kept(file, ["budget.updates=2"])


def test_a_run_goes_on_where_the_file_ends(tmp_path, monkeypatch):
    """Round by round: every task's first seed before a second. Caught, when planted: a cell measured again; task by task."""
    file, asked = tmp_path / "cells.jsonl", []
    file.write_text(json.dumps(cell(1.0)) + "\n")

    def measured(options, config, seed, trained):
        asked.append((config, seed))
        return cell(2.0, seed, config)

    monkeypatch.setattr(locomotion, "measured", measured)
    options = type("Options", (), {"cells": file, "overrides": [], "seeds": 2, "table": False})
    locomotion.main(options, None)
    names = list(locomotion.TASKS)
    assert asked == [pair for pair in [(n, 0) for n in names] + [(n, 1) for n in names] if pair != ("ppo-hopper", 0)]
    locomotion.main(options, None)
    assert len(asked) == 11
    assert len(file.read_text().splitlines()) == 12
    assert "| Hopper-v5 | 2609.3 | 2741 | 2 |" in file.with_suffix(".md").read_text()
