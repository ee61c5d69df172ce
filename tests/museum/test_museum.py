"""Every fault of the museum is caught by the tests that it names, and by each of them."""

import pytest
from faults import FAULTS
from faults_of_gae import AT_THE_END
from forking import REPOSITORY, Server
from planting import Fault, named, planted, uncaught

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
    for folder in ("graphs/", "by_hand/", "search/"):
        assert any(fault.file.startswith(folder) for fault in FAULTS)


def test_no_two_faults_are_the_same():
    """Two names for one change would count twice. Caught, when planted: a fault entered again under another name."""
    assert len({(fault.file, tuple(planted(fault, REPOSITORY).values())) for fault in FAULTS}) == len(FAULTS)


FILE = "a = 1\nb = 2\nc = 1\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("d = 4", "d = 5", "has the old text 0 times; expected once"),
        ("= 1", "= 3", "has the old text 2 times; expected once"),
        ("b = 2", "b = 2", "the new text is the old one"),
    ],
)
def test_an_old_text_that_is_gone_or_there_twice_is_an_error(tmp_path, old, new, message):
    """A museum whose faults can no longer be planted would else pass for ever.

    Caught, when planted: `replace` without a count; a count of at least 1.
    """
    (tmp_path / "pg_theano").mkdir()
    (tmp_path / "pg_theano" / "x.py").write_text(FILE)
    with pytest.raises(LookupError, match=message):
        planted(Fault("a name", "x.py", old, new, (), ""), tmp_path)
    with pytest.raises(LookupError, match="is gone"):
        planted(Fault("a name", "y.py", old, new, (), ""), tmp_path)
    assert planted(Fault("a name", "x.py", "b = 2", "", (), ""), tmp_path) == {"pg_theano/x.py": "a = 1\n\nc = 1\n"}


SOUND = "tests/test_schedules.py::test_a_schedule_has_the_values_of_the_table"


@pytest.mark.slow
def test_a_change_is_seen_by_its_fork_and_by_no_other(server):
    """What is said of a change, and that the tree is put back: sound, broken, sound again.

    Caught, when planted: the tree not put back; compiled Python of the change kept; a module that cannot be imported
    taken for a test that passed; a test that does not exist taken for one that passed.
    """
    schedules = "pg_theano/config/schedules.py"
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
