"""The files of a run that are no checkpoint: whole, or refused by name."""

import json

import numpy as np
import pytest
from helpers_damage import damages
from helpers_runs import ran, resumed, small

from pg_theano.runs import folder, seeds
from pg_theano.system import seals
from pg_theano.types import UserError

pytestmark = pytest.mark.usefixtures("elsewhere")
FACTS = {"status": "budget", "evaluation": {"mean": 1.25e-05, "std": 0.1}, "none": None, "nan": float("nan"), "é": "ü"}


def test_json_comes_back_as_it_was_and_stays_plain(tmp_path):
    """Caught, when planted: the seal left in what is read; a seal over what JSON cannot hold as it is."""
    seals.write_json(tmp_path / "a.json", FACTS | {"pair": (1, 2), "keys": {3: 4}})
    found = seals.read_json(tmp_path / "a.json")
    assert found.pop("nan") != 0
    assert found == {k: v for k, v in FACTS.items() if k != "nan"} | {"pair": [1, 2], "keys": {"3": 4}}
    assert set(json.loads((tmp_path / "a.json").read_text())) == set(FACTS) | {"pair", "keys", "seal"}


def test_json_of_an_older_version_has_no_seal_and_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"status": "solved"}')
    assert seals.read_json(tmp_path / "a.json") == {"status": "solved"}


def test_a_seal_whose_key_is_damaged_is_no_older_version(tmp_path):
    """Caught, when planted: taken for a file without a seal, with one thing more in it."""
    seals.write_json(tmp_path / "a.json", FACTS)
    (tmp_path / "a.json").write_bytes((tmp_path / "a.json").read_bytes().replace(b'"seal"', b'"sead"'))
    with pytest.raises(UserError, match="checksum"):
        seals.read_json(tmp_path / "a.json")


def test_no_damage_to_json_is_read_silently(tmp_path):
    """Caught, when planted: the seal not compared; `evaluation` left out of it."""
    path = tmp_path / "a.json"
    seals.write_json(path, {k: v for k, v in FACTS.items() if k != "nan"})
    whole, expected = path.read_bytes(), seals.read_json(path)
    for content in damages(whole, np.random.default_rng(0), cuts=50, flips=150):
        path.write_bytes(content)
        message = f"{path}: damaged"
        try:
            found = seals.read_json(path)
        except UserError as error:
            message = str(error)
        else:  # what means the same: 1e-05 and 1E-05
            assert found == expected
        assert message.startswith(f"{path}: damaged")


def test_no_damage_to_a_config_is_trained_with(tmp_path):
    """Caught, when planted: the last line not compared; a file without it taken for an old one."""
    ran(small(budget={"updates": 1}), tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    whole = path.read_bytes()
    for content in damages(whole, np.random.default_rng(0), cuts=10, flips=30):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"config\.yaml"):
            folder.read_run(tmp_path / "run")
    path.write_bytes(whole)
    assert folder.read_run(tmp_path / "run")[0].budget.updates == 1


def test_a_damaged_plan_of_seeds_is_refused(tmp_path):
    """Caught, when planted: the plan not compared."""
    ran(small(runs=2, budget={"updates": 1}), tmp_path / "many")
    plan = tmp_path / "many" / seeds.PLAN
    plan.write_bytes(plan.read_bytes().replace(b"seed: 0", b"seed: 1"))
    with pytest.raises(UserError, match=r"seeds\.yaml: not as it was written"):
        resumed(tmp_path / "many")


def test_a_damaged_result_is_told_and_found_again(tmp_path, capsys):
    """The run is taken for one that has not ended, and ends again with the same. Caught, when planted: it is believed;
    it is taken for an error."""
    first = ran(small(budget={"updates": 2}), tmp_path / "run").figures
    path = tmp_path / "run" / "result.json"
    path.write_bytes(path.read_bytes().replace(b'"episodes": ', b'"episodes": 1'))
    assert seeds.finished(tmp_path / "run") is None
    again = resumed(tmp_path / "run").figures
    assert capsys.readouterr().err.startswith(f"warning: {path}: damaged: its checksum does not agree")
    assert again["evaluation"] == first["evaluation"]
    assert seeds.finished(tmp_path / "run")["episodes"] == first["episodes"]
