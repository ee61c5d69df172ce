"""`benchmarks/locomotion.py`: what is kept of MuJoCo's tasks, and the page that is made of it."""

import json
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import locomotion

ROOT = Path(__file__).resolve().parent.parent
SAID = {config: yaml.safe_load((ROOT / "configs" / f"{config}.yaml").read_text()) for config in locomotion.TASKS}


def test_one_set_of_knobs_but_for_the_discount_of_swimmer():
    """Caught, when planted: another clip range for Ant."""
    for config, published in locomotion.TASKS.items():
        said = SAID[config] | {"environment": {**SAID[config]["environment"], "id": "Hopper-v5"}}
        if config == "ppo-swimmer":
            said["algorithm"] = {**said["algorithm"], "discount": SAID["ppo-hopper"]["algorithm"]["discount"]}
        assert said == SAID["ppo-hopper"], config
        assert SAID[config]["environment"]["id"] == published.task
        steps = said["environment"]["num_envs"] * said["algorithm"]["num_steps"]
        assert 0.99e6 < said["budget"]["updates"] * steps <= 1e6


def test_the_page_is_what_the_kept_cells_say():
    """And the heads of the configs. Caught, when planted: a cell appended without `--table`; a mean that was changed in
    the page, or in a head."""
    cells = locomotion.kept(locomotion.CELLS)
    assert locomotion.PAGE.read_text() == locomotion.section(cells)
    for config in locomotion.TASKS:
        assert locomotion.reaches(config, cells) in (ROOT / "configs" / f"{config}.yaml").read_text().splitlines()
    assert all(cell["episodes"] == 100 and cell["env_steps"] <= 1e6 for cell in cells.values())


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
