"""The machinery of mutation testing, on a handful of mutants; three hundred are a part of the torture."""

import ast

import mutants
import pytest
from forking import REPOSITORY, Server
from planting import file_of, places, symbol_at
from survivors import SURVIVORS, reason_of

SOURCE = '''
def f(x, y: int = 3) -> "a - b":
    """1 + 1."""
    if x <= y and not y:
        raise ValueError(f"{1 + 1}")
    return g(x, -y) + minimum(x, 2)  # é + ü
'''


def test_every_place_of_a_source_has_its_mutants():
    """Neither docstrings nor annotations nor messages. Caught, when planted: bytes taken for characters."""
    found = [(one.operator, one.old, one.new) for one in mutants.mutants_of("f.py", SOURCE)]
    assert sorted(found) == sorted(
        [
            ("constant", "3", "4"),
            ("constant", "3", "2"),
            ("condition", "x <= y and not y", "not (x <= y and not y)"),
            ("comparison", "<=", "<"),
            ("comparison", "<=", ">"),
            ("boolean", "and", "or"),
            ("negation", "not ", ""),
            ("arguments", "x, -y", "-y, x"),
            ("negation", "-", ""),
            ("arithmetic", "+", "-"),
            ("arguments", "x, 2", "2, x"),
            ("function", "minimum", "maximum"),
            ("constant", "2", "3"),
            ("constant", "2", "1"),
        ]
    )
    for one in mutants.mutants_of("f.py", SOURCE):
        assert one.applied(SOURCE).splitlines()[one.line - 1] != SOURCE.splitlines()[one.line - 1]


@pytest.mark.slow
def test_the_sample_is_of_all_files_and_the_same_for_a_seed():
    sample = mutants.sampled(REPOSITORY)
    assert len(set(sample)) == mutants.SAMPLE
    assert sample == mutants.sampled(REPOSITORY) != mutants.sampled(REPOSITORY, seed=1)
    assert {one.file for one in sample} == set(mutants.TESTS)
    for one in sample:
        ast.parse(one.applied((REPOSITORY / one.file).read_text()))


@pytest.mark.slow
def test_mutants_are_killed_and_one_that_means_the_same_is_not():
    """Five of the real thing, by hand and in NumPy: four that change what is computed and one that cannot."""
    chosen = [
        (file_of(REPOSITORY, "schedules"), "schedule.final - schedule.initial", "-", "+"),
        (file_of(REPOSITORY, "schedules"), "exponential_decay", "==", "!="),
        (file_of(REPOSITORY, "advantages", "by_hand"), "centred - centred.mean()", "-", "+"),
        (file_of(REPOSITORY, "optimizers", "by_hand"), "1.0 - beta2**step", "**", "*"),
        (file_of(REPOSITORY, "schedules"), "max(value,", "value, schedule.minimum", "schedule.minimum, value"),
    ]
    fates = []
    with Server() as server:
        for file, line, old, new in chosen:
            text = (REPOSITORY / file).read_text()
            (mutant, *_) = [
                one
                for one in mutants.mutants_of(file, text)
                if (one.old, one.new) == (old, new) and line in text.splitlines()[one.line - 1]
            ]
            fates.append(mutants.fate(server, REPOSITORY, mutant, thorough=False))
    assert [fate["killed"] for fate in fates] == [True, True, True, True, False]
    assert fates[0]["by"].startswith("tests/test_schedules.py::")
    assert not any(fate["timed_out"] for fate in fates)


@pytest.mark.parametrize("one", SURVIVORS, ids=lambda one: f"{one.symbol}:{one.change}")
def test_a_survivor_with_a_reason_is_still_there(one):
    """Else its reason is about a line that is gone."""
    (place,) = places(REPOSITORY, one.symbol, one.source)
    text = (REPOSITORY / place.path).read_text()
    line = text.count("\n", 0, place.start)
    old, new = one.change.split(" -> ")
    assert text.splitlines()[line].strip() == one.source and old in one.source and one.reason
    assert place.path in mutants.TESTS
    fate = {"symbol": symbol_at(text, line + 1), "source": one.source, "old": old, "new": new}
    assert reason_of(fate) == one.reason
