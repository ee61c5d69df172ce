"""The JSON schema that editors complete configs with."""

import json
from pathlib import Path

import jsonschema
import pytest
from helpers_runs import command

from pg_theano.config import __main__ as schema
from pg_theano.system import yaml_lines

CONFIGS = Path(__file__).parents[1] / "configs"
SHIPPED = sorted(CONFIGS.glob("*.yaml"))


def validator():
    return jsonschema.Draft202012Validator(json.loads((CONFIGS / "schema.json").read_text()))


def test_the_kept_schema_is_up_to_date():
    """Caught, when planted: a bound of 1 that is -9 in the kept file (the broken config with -3 environments, too)."""
    assert (CONFIGS / "schema.json").read_text() == schema.text()


def test_the_config_says_it_too():
    """Caught, when planted: the module run under another name."""
    code, out, err = command("config", "--schema")
    assert (code, err) == (0, "")
    assert out == schema.text()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_config_names_the_schema_and_is_valid_by_it(path):
    assert "# yaml-language-server: $schema=schema.json" in path.read_text().splitlines()
    validator().validate(yaml_lines.read_file(path).data)


@pytest.mark.parametrize(
    "broken",
    [
        {"algorithm": {"clip_rage": 0.2}},
        {"algorithm": {"name": "pppo"}},
        {"environment": {"num_envs": -3}},
        {"algorithm": {"discount": "0.9"}},
        {"search": {"no_such_knob": 1}},
    ],
)
def test_a_broken_config_is_not_valid(broken):
    assert not validator().is_valid(broken)
