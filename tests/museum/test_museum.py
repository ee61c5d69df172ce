"""Every fault of the museum is caught by the tests that it names, and by each of them."""

import re

import pytest
from faults import FAULTS
from faults_of_gae import AT_THE_END
from faults_of_the_host import SEARCHES
from forking import REPOSITORY, Server
from planting import Fault, file_of, named, planted, symbol_at, uncaught

ISSUE = [
    *["wrong sign", "merged done", "V(s_t) for V of the true successor", "stale log-probability", "leaked padding"],
    *["clipped action stored", "γᵗ forgotten", "γᵗ doubled", "standardisation of a batch of one"],
    *["element-wise clipping called a norm", "variance for a standard deviation", "unseeded action space"],
    *["the normaliser is updated at evaluation"],
]
"""Those that must be there, by name, beside ten at an episode's end."""


@pytest.fixture(scope="module")
def server():
    with Server() as one:
        yield one


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "_"))
def test_a_fault_is_caught_by_the_tests_it_names(server, fault):
    outcome = server.run(named(fault), planted(fault, REPOSITORY), timeout=120)
    assert not outcome.broken, outcome.log
    assert not outcome.timed_out, outcome.log
    assert uncaught(fault, outcome.failed) == [], outcome.log


def test_the_museum_has_what_it_must_have():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 40
    assert set(ISSUE) <= set(names)
    assert len(AT_THE_END) == 10
    files = [file for fault in FAULTS for file in planted(fault, REPOSITORY)]
    assert SEARCHES and all(
        any(file.startswith(f"pg_theano/{half}/") for file in files) for half in ("graphs", "by_hand")
    )


def test_no_two_faults_are_the_same():
    """Two names for one change would count twice. Caught, when planted: a fault entered again under another name."""
    assert len({tuple(planted(fault, REPOSITORY).items()) for fault in FAULTS}) == len(FAULTS)


FILE = """
LEAST = 1

class A:
    def f(self):
        return 1 + 2

    def g(self):
        return 1 + 1
"""


@pytest.mark.parametrize(
    ("symbol", "old", "new", "message"),
    [
        ("f", "return 3", "return 4", "f has the old text 0 times (no file); expected once"),
        ("f", "1 + 1", "1 + 3", "f has the old text 0 times (no file); expected once"),
        ("g", "1", "3", "g has the old text 2 times (pg_theano/room/x.py); expected once"),
        ("A", "return 1", "return 2", "A has the old text 2 times (pg_theano/room/x.py); expected once"),
        ("h", "1 + 2", "1 + 3", "h has the old text 0 times (no file); expected once"),
        ("f", "1 + 2", "1 + 2", "the new text is the old one"),
    ],
)
def test_an_old_text_that_is_gone_or_there_twice_is_an_error(tmp_path, symbol, old, new, message):
    """A museum whose faults can no longer be planted would else pass for ever.

    Caught, when planted: `replace` without a count; a count of at least 1; the text looked for in the whole file.
    """
    written(tmp_path, "room/x.py")
    with pytest.raises(LookupError, match=re.escape(message)):
        planted(Fault("a name", symbol, old, new, (), ""), tmp_path)


def test_a_fault_is_found_wherever_its_function_stands(tmp_path):
    """In any folder, in functions and classes and constants; and what another file has too is an error.

    Caught, when planted: the first file taken; the text replaced in the other function too.
    """
    written(tmp_path, "room/below/x.py")
    path = "pg_theano/room/below/x.py"
    fault = Fault("a name", "g", "return 1", "return 2", (), "")
    assert planted(fault, tmp_path) == {path: FILE.replace("return 1 + 1", "return 2 + 1")}
    assert planted(Fault("a name", "LEAST", "1", "2", (), ""), tmp_path) == {path: FILE.replace("= 1", "= 2")}
    assert file_of(tmp_path, "x") == file_of(tmp_path, "x", "room") == path
    assert [symbol_at(FILE, line) for line in (1, 2, 4, 6, 9)] == ["", "LEAST", "A", "f", "g"]
    written(tmp_path, "x.py")
    with pytest.raises(LookupError, match="g has the old text 2 times"):
        planted(fault, tmp_path)
    with pytest.raises(LookupError, match="2 modules named x"):
        file_of(tmp_path, "x")
    assert file_of(tmp_path, "x", "room") == path
    with pytest.raises(LookupError, match="0 modules named y"):
        file_of(tmp_path, "y")


def written(repository, name):
    path = repository / "pg_theano" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FILE)


SOUND = "tests/test_schedules.py::test_a_schedule_has_the_values_of_the_table"


@pytest.mark.slow
def test_a_change_is_seen_by_its_fork_and_by_no_other(server):
    """What is said of a change, and that the tree is put back: sound, broken, sound again.

    Caught, when planted: the tree not put back; compiled Python of the change kept; a module that cannot be imported
    taken for a test that passed; a test that does not exist taken for one that passed.
    """
    schedules = file_of(REPOSITORY, "schedules")
    text = (REPOSITORY / schedules).read_text()
    for _ in range(2):
        outcome = server.run([SOUND], timeout=120)
        assert not outcome.caught and outcome.passed > 5, outcome.log
        outcome = server.run([SOUND], {schedules: text.replace("schedule.final", "schedule.fina1", 1)}, timeout=120)
        assert outcome.failed and outcome.passed, outcome.log
    outcome = server.run([SOUND], {schedules: text + "\nimport nothing_of_this_name\n"}, timeout=120)
    assert outcome.broken and not outcome.failed
    assert server.run([SOUND + "_not"], timeout=120).broken
    looping = text.replace(
        '    if schedule.kind == "linear":', '    while True:\n        pass\n    if schedule.kind == "linear":'
    )
    outcome = server.run([SOUND], {schedules: looping}, timeout=3)
    assert outcome.timed_out and outcome.seconds < 30
    assert not server.run([SOUND], timeout=120).caught
