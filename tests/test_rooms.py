"""The picture of the rooms (docs/rooms.svg) is what its script draws of the package's imports."""

import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parent.parent / "docs"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def rooms():
    where = importlib.util.spec_from_file_location("rooms", DOCS / "rooms.py")
    made = sys.modules["rooms"] = importlib.util.module_from_spec(where)
    where.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def drawn(rooms):
    return rooms.picture()


def a_package(folder, files):
    """A package of these files, each with one line of source; every folder of it is a package."""
    package = folder / "pg_theano"
    for name, source in ({"__init__.py": ""} | files).items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        for above in path.relative_to(package).parents:
            (package / above / "__init__.py").touch()
    return package


HOUSE = {
    "types.py": "import numpy",
    "spec.py": "from pg_theano.types import Array",
    "graphs/algorithms/ppo.py": "import numpy",
    "graphs/environments/cartpole.py": "from ... import types\nfrom ..algorithms import ppo",
    "environments/making.py": "def make():\n    from pg_theano import types",
    "training/loop.py": "from pg_theano.environments import making as made",
    "search/__main__.py": "import pg_theano.training.loop",
    "train.py": "from pg_theano import training\ndef main(): pass",
}


def test_what_is_committed_is_what_the_script_draws(rooms, drawn):
    """Caught, when planted: a room renamed, the first import from one room to another, and the picture as it was."""
    assert rooms.PICTURE.read_text(encoding="utf-8") == drawn, "try: python docs/rooms.py"


def test_rooms_and_imports_are_those_of_the_source(rooms, tmp_path):
    """A sub-package is one room, as deep as it goes; commands are one, a package's `__main__` too. Caught, when planted:
    imports inside functions left out; `...` read as one level more; `search/__main__.py` counted as search's."""
    found, edges = rooms.read(a_package(tmp_path, HOUSE))
    assert [one.name for one in found] == [
        "commands", "search", "training", "environments", "graphs", "spec", "types",
    ]  # fmt: skip
    assert edges == {
        ("spec", "types"),
        ("graphs", "types"),
        ("environments", "types"),
        ("training", "environments"),
        ("commands", "training"),
    }


def test_an_import_upwards_is_drawn_as_one(rooms, tmp_path):
    """Caught, when planted: drawn like any other."""
    good = rooms.picture(a_package(tmp_path / "good", HOUSE))
    assert f'fill="{rooms.UP}"><title>' not in good
    more = HOUSE | {"graphs/networks.py": "from pg_theano.training import loop"}
    assert f'fill="{rooms.UP}"><title>graphs imports training</title>' in rooms.picture(
        a_package(tmp_path / "bad", more)
    )


def test_what_stands_in_no_room_is_shown_as_such(rooms, tmp_path):
    """Caught, when planted: a file beside the commands, and a package of another name, left out of the picture."""
    more = HOUSE | {"helpers.py": "", "attic/old.py": "from pg_theano import helpers"}
    found, edges = rooms.read(a_package(tmp_path, more))
    assert [one.name for one in found][:2] == ["attic", rooms.NO_ROOM]
    assert ("attic", rooms.NO_ROOM) in edges


def test_the_picture_is_read_by_eyes_and_by_screen_readers(drawn):
    """It is XML, asks no other host, has a title and words for all it shows, and nothing lies over anything else."""
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    assert not re.search(r"(?:href|src|url\()", drawn)
    assert root.find(f"{SVG}title").text and "graphs: " in root.find(f"{SVG}desc").text
    width, height = (float(root.get(side)) for side in ("width", "height"))
    boxes = []
    for one in root.iter(f"{SVG}text"):
        size = float(one.get("font-size"))
        wide = size * (0.62 if one.get("font-weight") else 0.56) * len(one.text)  # of a wide sans-serif
        if one.get("transform"):  # at 45 degrees: how far it reaches
            x, y = map(float, re.search(r"translate\(([\d.]+) ([\d.]+)\)", one.get("transform")).groups())
            assert x + 0.71 * wide <= width and y - 0.71 * (wide + size) >= 0, one.text
            continue
        x, y = float(one.get("x")), float(one.get("y"))
        assert x + wide <= width and y <= height, one.text
        boxes.append((y, x, x + wide, one.text))
    for (y, _, end, before), (below, begin, _, after) in zip(sorted(boxes), sorted(boxes)[1:], strict=False):
        assert below != y or end <= begin, f"{before!r} lies over {after!r}"
