"""The course's chapters: their code runs, what it claims holds, and it gives pictures; its links lead somewhere."""

import contextlib
import importlib.util
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers_docs import commands_of, words_of

from pg_theano.config import reading
from pg_theano.course.listed import EXERCISES, numbered
from pg_theano.system import commands

COURSE = Path(__file__).parents[1] / "docs" / "course"
PAGES = sorted(COURSE.glob("*.md"))


def module(name):
    spec = importlib.util.spec_from_file_location(name, COURSE / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


chapters = module("chapters")
CHAPTERS = chapters.chapters()


def here(words, *, env, cwd, **_):
    """As `subprocess.run`, in this process, in which NumPy, matplotlib and the package are imported already."""
    said, kept = io.StringIO(), (sys.argv, list(sys.path))
    try:
        sys.argv = words[1:]
        with contextlib.redirect_stdout(said):
            runpy.run_path(words[1])
    finally:
        sys.argv, sys.path[:] = kept
    return subprocess.CompletedProcess(words, 0, said.getvalue(), "")


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_chapter_runs_and_is_seen(page, tmp_path, monkeypatch):
    """Its asserts are its claims: ∇J by enumeration is ∇J by differences; V is worse than no baseline; the cost rises with
    the return. Caught, when planted: −π left out of `exact.scores`; b* without the square."""
    monkeypatch.setattr(chapters.subprocess, "run", here)
    blocks = chapters.run(page, tmp_path)
    assert any(block.printed for block in blocks)
    figures = [block.figure for block in blocks if block.figure]
    assert figures and all(figure.read_text().startswith("<?xml") for figure in figures)
    shown = chapters.rendered(page.read_text(), blocks, "place")
    assert shown.count("](place/") == len(figures) and shown.count("```text") >= 1
    assert f"![{re.search(r'^# figure: (.*)$', page.read_text(), re.M)[1]}]" in shown


def test_a_block_that_fails_is_told(tmp_path):
    """Caught, when planted: what a chapter printed before it failed, and no error."""
    page = tmp_path / "00-x.md"
    page.write_text("```python\nprint(1)\n```\n\n```python\nassert False\n```\n")
    with pytest.raises(RuntimeError, match=r"00-x.md: (.|\n)*AssertionError"):
        chapters.run(page, tmp_path / "figures")


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_chapter_predicts_does_sees_derives_and_breaks(page):
    text = page.read_text()
    heads = re.findall(r"^## (\w+)", text, re.M)
    wanted = ["Predict", "Do", "See", "Derive", "Break"]
    assert [head for head in heads if head in wanted] == wanted
    number = int(page.stem[:2])
    assert text.startswith(f"# {number} · ")
    minutes = int(re.search(r"^\*(\d+) minutes", text, re.M)[1])
    assert 20 <= minutes <= 75
    row = re.search(rf"^\| {number} \| \[.*\]\({page.name}\) \| (\d+) \|", (COURSE / "index.md").read_text(), re.M)
    assert int(row[1]) == minutes


def test_every_exercise_has_its_chapter():
    """And the chapter says how to begin it. Caught, when planted: an exercise of a chapter that names it nowhere."""
    for number, one in enumerate(EXERCISES, 1):
        pages = [page for page in CHAPTERS if int(page.stem[:2]) == one.chapter]
        if pages:
            assert "course start" in pages[0].read_text(), (number, pages)


def test_links_lead_somewhere():
    """Caught, when planted: a chapter renamed; a function of the twin that is gone."""
    root = COURSE.parents[1]
    for page in PAGES:
        for words, target in re.findall(r"\[([^\]]+)\]\(([^)\s]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" in target:
                continue
            assert (page.parent / target).exists(), f"{page.name}: {target}"
            name = re.fullmatch(r"`(?:\w+\.)?(\w+)`", words)
            if target.endswith(".py") and name and name[1] != "py":
                assert re.search(rf"^(?:def )?{name[1]}\b", (page.parent / target).read_text(), re.M), (
                    page.name,
                    words,
                )
    assert root.exists()


def test_nothing_is_said_twice():
    """What a chapter derives is not derived in docs/derivations.md too. Caught, when planted: a section left in both."""
    derived = (COURSE.parent / "derivations.md").read_text()
    equations = {one.strip() for one in re.findall(r"```math\n(.*?)```", derived, re.S)}
    for page in CHAPTERS:
        assert not equations & {one.strip() for one in re.findall(r"```math\n(.*?)```", page.read_text(), re.S)}


SHOWN = [(page, one) for page in [*PAGES, COURSE.parent / "derivations.md"] for one in commands_of(page)]


@pytest.mark.parametrize(("page", "shown"), SHOWN, ids=lambda one: getattr(one, "text", None) or one.stem)
def test_every_command_of_a_chapter_is_one(page, shown, monkeypatch):
    """Its parser takes it, and its knobs are knobs. Caught, when planted: `--lambda`; `algorithm.baseline=own`."""
    name, arguments = words_of(shown.text)
    parsed = []
    monkeypatch.setattr(commands, "run", lambda made, command, argv: parsed.append(made.parse_intermixed_args(argv)))
    commands.main_of(name.removeprefix("pg_theano."))(arguments)
    if name.endswith((".train", ".check", ".graph")):
        file, overrides = commands.config_and_overrides(parsed[0].what)
        reading.resolved(file, overrides)
    if name.endswith(".course") and len(arguments) > 1 and arguments[1] not in ("N", "all"):
        numbered(arguments[1])


def test_no_page_of_the_course_asks_for_pytest():
    """`make train` does not install it. Caught, when planted: an exercise that ends in `python -m pytest`."""
    for page in [*PAGES, COURSE.parent / "derivations.md"]:
        assert "pytest" not in page.read_text(), page.name


def test_the_twin_is_rendered_with_its_lines():
    """Every function with a docstring, and the lines below it are its own. Caught, when planted: the docstring again for its lines; a
    module left out."""
    spec = importlib.util.spec_from_file_location("twin", COURSE.parent / "twin.py")
    twin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(twin)
    pages = twin.pages()
    package = COURSE.parents[1] / "pg_theano" / "by_hand"
    assert {f"twin-{path.stem}" for path in package.glob("[a-z]*.py")} == set(pages) - {"twin"}
    found = 0
    for name, page in pages.items():
        lines = (package / f"{name.removeprefix('twin-')}.py").read_text().splitlines() if name != "twin" else []
        for first, code in re.findall(r":lineno-start: (\d+)\n\n(.*?)\n```", page, re.S):
            assert lines[int(first) - 1].strip() == code.splitlines()[0].strip(), (name, first)
            assert not code.lstrip().startswith('"""'), (name, first)
            found += 1
    assert found > 70
    assert twin.anchor(package / "vpg.py", "`vpg.policy_loss`") == "twin-vpg.md#vpg-policy-loss"
    assert "(vpg-policy-loss)=" in pages["twin-vpg"] and twin.anchor(COURSE / "index.md", "a") is None


def test_a_font_for_equations_comes_with_the_site():
    """One with a MATH table, by a name of ours, with its licence. Caught, when planted: a style that names another file."""
    static = COURSE.parent / "static"
    style = (static / "math.css").read_text()
    (named,) = re.findall(r'url\("([^"]+)"\)', style)
    assert (static / named).read_bytes()[:4] == b"wOFF" and b"MATH" in (static / named).read_bytes()[:600]
    assert (
        "without charge" in (static / "math-licence.txt").read_text()
        or "free of charge" in (static / "math-licence.txt").read_text()
    )
    assert "overflow-x: auto" in style
    assert 'html_css_files = ["math.css"]' in (COURSE.parent / "conf.py").read_text()


def test_names_of_the_table_of_symbols_are_in_the_code():
    """And each symbol has one row. Caught, when planted: `kl_bound`, which is nobody's name."""
    page = (COURSE / "02-the-gradient-is-real.md").read_text()
    table = page.partition("| symbol |")[2].partition("\n\n")[0]
    rows = [row.split(" | ") for row in table.splitlines()[2:]]
    package = COURSE.parents[1] / "pg_theano"
    code = "".join(path.read_text() for room in ("by_hand", "graphs") for path in (package / room).rglob("*.py"))
    names = [name for row in rows for name in re.findall(r"`([\w.]+)[()]*`", row[-1])]
    assert len(rows) >= 15 and len(names) >= 12
    assert not [name for name in names if not re.search(rf"\b{re.escape(name)}\b", code)]
    symbols = [symbol for row in rows for symbol in re.findall(r"\$([^$]+)\$", row[0])]
    assert len(symbols) == len(set(symbols))


def test_the_page_counts_the_misconceptions():
    told = int(re.search(r"\((\d+) in all\)", (COURSE / "index.md").read_text())[1])
    assert told == len({(id(one.definition), wrong.name) for one in EXERCISES for wrong in one.misconceptions})
