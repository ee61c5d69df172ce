"""Every bad input of the page: the line that is printed, the exit code, and that nothing is written or lost."""

import re
import subprocess
import sys

import pytest
import troubleshooting
from troubleshooting import ACCEPTED, PAGE, cases, let_go, main_of, page, pattern, prepared

from pg_theano.config import reading as configs

ALL = [case for _, case in cases()]


def held_by(folder):
    """Path and content of all that a folder holds, but for what a lock says of its holder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and path.name != "lock" else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def released():
    yield
    let_go()


@pytest.mark.parametrize("case", ALL, ids=[case.title for case in ALL])
def test_a_bad_input_is_one_line_and_nothing_is_written_or_lost(case, elsewhere, capsys, released):
    """Caught, when planted: a folder of a run left behind where it could not begin; an error without its file and line
    once the config is read; a warning before the error, and so a second line."""
    name, *words = prepared(case, elsewhere)
    before = held_by(elsewhere)
    code = main_of(name)(words)
    out, err = capsys.readouterr()
    printed = err if case.code == 2 else out
    assert code == case.code, (out, err)
    assert "Traceback" not in out + err
    line, *more = printed.splitlines()
    assert not more, printed
    assert re.fullmatch(("error: " if case.code == 2 else "") + pattern(case.line), line), line
    after = held_by(elsewhere)
    if not case.leaves:
        assert after == before
    assert {path: after.get(path) for path in before} == before


def test_there_are_enough_of_them_and_each_is_another():
    assert len(ALL) >= 60
    assert (
        len({case.title for case in ALL}) == len({(case.given, case.command, case.setup) for case in ALL}) == len(ALL)
    )


@pytest.mark.parametrize("case", ALL, ids=[case.title for case in ALL])
def test_a_line_says_where_and_what_to_expect_and_what_to_try(case):
    """`where: what was got; what was expected; what to try`. Of the environment's own, what is said by `check_env`, whose
    advice stands in the place of what to try."""
    where, _, what = case.line.partition(": ")
    assert where and what
    if "unknown knob" in what:
        assert "; did you mean " in what
        return
    got, _, rest = what.partition("; expected ")
    assert got and rest
    assert (
        "; try " in rest or "did you mean" in rest or "to train on, try" in rest or not case.command.startswith("train")
    )
    if case.given and case.command.startswith("train") and not case.leaves:
        assert re.match(r"mine\.yaml:\d+( |$)", where) or case.line.startswith("mine.yaml: got 1,000,001"), where


@pytest.mark.parametrize(("text", "knob", "value", "how"), ACCEPTED)
def test_what_the_page_says_is_read_as_meant_is(text, knob, value, how, tmp_path):
    """Caught, when planted: 1e-4 read as text; 010 as eight."""
    section, _, key = knob.partition(".")
    outer, _, inner = key.partition(".")
    nested = f"{{{outer}: {{{inner}: {text}}}}}" if inner else f"{{{outer}: {text}}}" if outer else text
    (tmp_path / "mine.yaml").write_text(f"{section}: {nested}\n")
    found = configs.to_dict(configs.read_config(tmp_path / "mine.yaml"))
    for part in knob.split("."):
        found = found[part]
    assert found == value and type(found) is type(value)


def test_the_page_is_made_of_these_cases():
    """To write it anew: python tests/troubleshooting.py"""
    assert PAGE.read_text() == page()


def test_bad_input_is_refused_before_jax_or_pytensor_is_imported(elsewhere):
    """Of what shows in the file or with the environment at hand. Caught, when planted: `compiling` importing JAX."""
    script = (
        "import sys, troubleshooting as t\n"
        "from pathlib import Path\n"
        "for section, case in t.cases():\n"
        "    if case.setup is None and not case.leaves and case.command.startswith('train'):\n"
        "        name, *words = t.prepared(case, Path.cwd())\n"
        "        assert t.main_of(name)(words) == 2, case.title\n"
        "        assert not {'jax', 'pytensor', 'matplotlib'} & set(sys.modules), case.title\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert len(done.stderr.splitlines()) > 40
    assert troubleshooting.SECTIONS.keys() >= {"The file", "A knob", "A run"}
