"""The files in configs/: each reads, says what it is, and names only what exists."""

import re
import typing
from pathlib import Path

import pytest
import yaml

from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.kinds import Schedule
from pg_theano.config.knobs import Config
from pg_theano.config.reading import read_config
from pg_theano.config.tables import knobs

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(  # a search is read by tests/search/test_spaces.py; what a search found is the user's
    path for path in (ROOT / "configs").glob("*.yaml") if not path.stem.startswith(("search-", "best-"))
)
TEXTS = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
KNOBS = {key: (kind, default) for key, kind, default, _ in knobs()}


def comments(path):
    """The text after every `#`; none of our files has one inside quotes."""
    return [line.partition("#")[2].strip() for line in path.read_text().splitlines() if "#" in line]


def test_the_files_that_the_readme_promises_are_there():
    promised = {"cartpole", "classic-original", "classic", "acrobot", "mountaincar"}
    assert promised <= {path.stem for path in FILES}


def test_cartpole_is_the_defaults():
    """Caught, when planted: a learning rate, a hidden width and a budget changed in sections.py alone."""
    config = read_config(ROOT / "configs" / "cartpole.yaml")
    assert config.name == "cartpole"
    assert config.model_copy(update={"name": None}) == Config()


def test_cartpole_writes_its_values_out():
    """What the file leaves to sections.py would follow a changed default silently, and a reader would not see it."""
    data = yaml.safe_load((ROOT / "configs" / "cartpole.yaml").read_text())
    for section in ("policy", "algorithm", "exploration", "schedules", "budget", "solved", "evaluation"):
        assert section in data
    written = {f"{section}.{key}" for section, inner in data.items() if isinstance(inner, dict) for key in inner}
    needed = {key for key in KNOBS if key.startswith(("algorithm.", "schedules.", "budget.", "solved.", "evaluation."))}
    needed = {key for key in needed if ALGORITHMS["reinforce"].reads(key)}
    assert needed <= written


@TEXTS
def test_every_file_reads(path):
    config = read_config(path)
    assert config.name == path.stem
    assert config.environment.id


@TEXTS
def test_every_file_begins_with_what_it_is_its_command_and_what_it_reaches(path):
    lines = path.read_text().splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    assert f"python -m pg_theano.train configs/{path.name}" in "\n".join(head)
    reaches = [line for line in head if "Reaches: " in line]
    assert len(reaches) == 1
    assert re.search(r"\d", reaches[0].partition("Reaches: ")[2])  # a measured figure, not a promise


@TEXTS
def test_names_in_comments_exist(path):
    """Caught, when planted: `evaluation.every_update`, `leave_one_in`, configs/clasic.yaml."""
    parts = {key.partition(".")[0] for key in KNOBS if "." in key}
    for text in comments(path):
        for name in re.findall(rf"\b(?:{'|'.join(parts)})\.[a-z_]+(?:\.[a-z_]+)?\b", text):
            parent = name.rpartition(".")[0]
            inside_schedule = parent in KNOBS and KNOBS[parent][0] == "schedule"
            field = name.rpartition(".")[2] in Schedule.model_fields
            is_section = any(key.startswith(name + ".") for key in KNOBS)
            assert name in KNOBS or (inside_schedule and field) or is_section, name
        for file in re.findall(r"[\w./-]+\.yaml", text):
            assert (ROOT / file).is_file(), file
        for override in re.findall(r"(?<=\s)([a-z_.]+=\S+)", text):
            read_config(path, [override])


@TEXTS
def test_options_in_comments_are_all_the_options(path):
    """A comment `a | b | c` behind a knob lists exactly what sections.py allows there. Caught: an option left out."""
    section, found = "", 0
    for line in path.read_text().splitlines():
        opened = re.match(r"([a-z_]+):\s*(?:#.*)?$", line)
        section = opened[1] if opened else section
        knob = re.match(r"( *)([a-z_]+): *[^#{]+# *([a-z0-9_]+(?: \| [a-z0-9_]+)+)", line)
        if knob:
            key = f"{section}.{knob[2]}" if knob[1] else knob[2]
            assert set(knob[3].split(" | ")) == set(options(key)) - {"value"}, key  # which no REINFORCE has
            found += 1
    assert found >= 6 or path.stem != "cartpole"


def options(key):
    model = Config
    *sections, name = key.split(".")
    for section in sections:
        model = model.model_fields[section].annotation
    return typing.get_args(model.model_fields[name].annotation)
