"""The bug museum: every planted fault against the whole suite, until the first test that fails."""

from __future__ import annotations

import atexit
import functools
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests" / "museum"))
from faults import FAULTS
from faults_of_gae import AT_THE_END, BY_DEFINITION
from forking import Outcome, Server
from planting import Fault, named, planted, uncaught

TIMEOUT = 900.0
STYLES = {
    "a learning test": "tests/museum/styles_of_tests.py::test_ppo_learns_cartpole",
    "one episode, the usual style": "tests/museum/styles_of_tests.py::test_gae_of_one_episode",
    "random cases against the definition": f"tests/{BY_DEFINITION}",
}
CLEAN = "no fault: every test that is named passes"


@functools.cache
def server() -> Server:
    started = Server(ROOT).__enter__()
    atexit.register(started.__exit__)
    return started


def likely_first(file: str) -> list[list[str]]:
    """Every file of tests but the museum's own, in three groups: those of the module's name, its folder's, the rest."""
    below = PurePosixPath("tests") / PurePosixPath(file).relative_to("pg_theano").parent
    stem = PurePosixPath(file).stem
    folder = next(folder for folder in (below, *below.parents) if (ROOT / folder).is_dir())
    groups: list[list[str]] = [[], [], []]
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        name = PurePosixPath(path.relative_to(ROOT).as_posix())
        if name.parent.name != "museum":
            beside = name.parent == folder
            likeliest = stem in name.stem and (beside or folder.name == "tests")
            groups[0 if likeliest else 1 if beside else 2].append(str(name))
    return groups


def against_the_suite(fault: Fault) -> Figures:
    """The first test of the whole suite that fails, and after how long: the quick part, then the slow one.

    A group of files is collected when it is its turn: to import all tests takes longer than the likely ones take.
    """
    texts, groups = planted(fault, ROOT), [group for group in likely_first(next(iter(planted(fault, ROOT)))) if group]
    turns = [(group, "not slow") for group in groups] + [(group, "slow") for group in groups]
    seconds, passed = 0.0, 0
    for files, which in turns:
        seen: Outcome = server().run(files, texts, timeout=TIMEOUT, options=["-x", "-m", which])
        seconds, passed = seconds + seen.seconds, passed + seen.passed
        if seen.caught:
            break
    by = next(iter(seen.failed), "")
    own = [test.partition("[")[0] for test in named(fault)]
    return {
        "caught": int(bool(by)),
        "by": by,
        "one_that_it_names": int(by.partition("[")[0] in own),
        "tests_before": passed,
        "seconds": round(seconds, 1),
        **({"error": f"timed out: {seen.log[-300:]}"} if seen.timed_out else {}),
    }


def of_a_style(test: str) -> Figures:
    """How many of the ten faults at an episode's end one test catches; it must pass without any."""
    sound = server().run([test], timeout=TIMEOUT)
    if sound.caught:
        return {"error": f"{test} fails without a fault: {sound.log[-300:]}"}
    seen = {fault.name: server().run([test], planted(fault, ROOT), timeout=TIMEOUT) for fault in AT_THE_END}
    caught = [name for name, outcome in seen.items() if outcome.failed]
    return {"caught": len(caught), "of": len(seen), "which": caught, "seconds": round(sound.seconds, 1)}


def clean() -> Figures:
    """What the faults name, without a fault: all of it passes. And with its fault, all that it names fails."""
    tests: Sequence[str] = sorted({test for fault in FAULTS for test in named(fault)})
    sound = server().run(tests, timeout=TIMEOUT)
    if sound.caught:
        return {"error": f"fails without a fault: {sound.log[-300:]}"}
    seconds, missed = 0.0, []
    for fault in FAULTS:
        seen = server().run(named(fault), planted(fault, ROOT), timeout=TIMEOUT)
        seconds += seen.seconds
        missed += [fault.name] if seen.broken or uncaught(fault, seen.failed) else []
    return {"faults": len(FAULTS), "missed": missed, "passed_without": sound.passed, "seconds": round(seconds, 1)}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    made = []
    if CLEAN in found:
        own = found[CLEAN]
        figure = (
            f"{own['faults'] - len(own['missed'])} of {own['faults']} in {own['seconds']:.0f} s; without a fault "
            f"{own['passed_without']} of {own['passed_without']} of these tests pass"
        )
        made.append(Row("At least 40 faults, each caught by all tests that it names", figure, not own["missed"]))
    suite = {fault.name: found[fault.name] for fault in FAULTS if fault.name in found}
    if suite:
        caught = [name for name, cell in suite.items() if cell["caught"]]
        seconds = [cell["seconds"] for cell in suite.values()]
        longest = max(suite, key=lambda name: suite[name]["seconds"])
        by_own = sum(cell["one_that_it_names"] for cell in suite.values())
        figure = (
            f"{len(caught)} of {len(suite)}; first by a test that it names {by_own}; seconds until then: median "
            f"{statistics.median(seconds):.1f}, most {max(seconds):.0f} ({longest})"
        )
        made.append(Row("The whole suite catches every fault", figure, len(caught) == len(suite) == len(FAULTS)))
    said = {"a learning test": "2 of 10 (the issue)", "one episode, the usual style": "3 of 10 (the issue)"}
    for style in STYLES:
        cell = found.get(f"ten at an episode's end, {style}")
        if cell:
            figure = f"{cell['caught']} of {cell['of']}: {', '.join(cell['which'])}"
            held = cell["caught"] == cell["of"] or style in said
            made.append(Row(f"Ten faults of GAE at an episode's end, {style}", figure, held, said.get(style, "–")))
    return made


PART = Part(
    {
        CLEAN: clean,
        **{f"ten at an episode's end, {style}": functools.partial(of_a_style, test) for style, test in STYLES.items()},
        **{fault.name: functools.partial(against_the_suite, fault) for fault in FAULTS},
    },
    rows,
)
