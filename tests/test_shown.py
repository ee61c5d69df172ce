"""Texts that others chose are shown as text: on a terminal, in figures, in what is written beside them."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers_runs import ran, small

from pg_theano.config import reading as configs
from pg_theano.reports import plots, screen
from pg_theano.runs import curves, places
from pg_theano.system import commands
from pg_theano.system.console import printable
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

EVIL = [
    "[red]x[/red]",
    "[/]",
    "[link=http://x]y",
    ":smile:",
    "$x^{$",
    "a$b$c",
    r"$\frac{$",
    "<script>alert(1)</script>",
    "\x1b[2J\x1b]0;title\x07x",
    "a\rb\nc",
    "\u202eabc",
    "&amp;",
]


def test_what_is_not_printable_is_an_escape():
    """Caught, when planted: `text.replace(ESC, "")` (the rest of C0, C1 and what turns text round is left)."""
    assert printable("CartPole-v1 · γ") == "CartPole-v1 · γ"
    assert printable("\x1b[31m\x9b\u202e\n\udc80") == r"\x1b[31m\x9b\u202e\n\udc80"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("name", EVIL)
def test_a_name_on_the_live_display_is_text(name, monkeypatch):
    """Title, events and tables."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    live = screen.LiveScreen(file, name)
    record = dict.fromkeys(("env_steps", "episodes", "seconds", "cost", "entropy", "gradient_norm"), 1.0)
    record |= {"update": 0, "return_mean": 1.0, "return_min": 0.0, "return_max": 2.0}
    record |= {"learning_rate": 0.1, "exploration_rate": 0.0}
    live.event(f"event {name}")
    live.update(record, 0.5)
    live.close()
    table = screen.LiveTable(file)
    table.show(name, ["trial", name], [["1", name]])
    table.event(f"said {name}")
    table.close()
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())  # what rich itself sends
    assert not set("\x1b\x07\u202e") & set(said)
    assert f"event {printable(name)}" in said
    assert f"said {printable(name)}" in said
    assert said.count(printable(name)) >= 4


@pytest.mark.parametrize("name", EVIL)
def test_a_name_in_a_plain_line_or_an_error_is_text(name, capsys):
    file = io.StringIO()
    screen.Plain(file).event(f"event {name}")
    assert file.getvalue() == f"event {printable(name)}\n"

    def fails(arguments):
        raise UserError(f"x: got {name}")

    assert commands.run(commands.parser("x", "x", "x"), fails, []) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err[:-1].isprintable()


def columns():
    return {name: np.arange(1.0, 4.0) for name in ("record", "update", "env_steps", "return_mean", "cost")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_names_in_a_figure_are_text(kind, tmp_path):
    """Of a run, an environment, a title. Caught, when planted: `$` left alone (matplotlib raises at "$x^{$")."""
    for name in EVIL:
        result = {"name": name, "environment": name, "status": name}
        figure = plots.figure_of([curves.Run(name, [columns()], [result], False)] * 2, None)
        figure.savefig(tmp_path / f"x.{kind}", format=kind)
        figure = plots.figure_of([curves.Run(name, [columns()], [result], False)], name)
        figure.savefig(tmp_path / f"x.{kind}", format=kind)
        if kind == "svg":
            text = (tmp_path / "x.svg").read_text()
            assert "<script" not in text
            assert "\x1b" not in text
            hosts = set(re.findall(r"(?:href|src)\s*=\s*[\"'](https?://[^\"']*)", text))
            assert not hosts


def test_names_in_the_figure_of_a_search_are_text(tmp_path):
    """Choices and knobs."""
    pytest.importorskip("optuna")
    from pg_theano.reports import search_figures
    from pg_theano.search import plan as settings
    from pg_theano.search.stored import Trial

    path = tmp_path / "s.yaml"
    space = {"environment.kwargs.$a^{$": {"choices": EVIL[:6]}, "optimizer.beta1": {"low": 0.1, "high": 0.9}}
    path.write_text(yaml.safe_dump({"search": {"method": "random", "space": space}}))
    plan = settings.read_plan(path)
    trials = [
        Trial(i, {"environment.kwargs.$a^{$": name, "optimizer.beta1": 0.5}, "complete", float(i), {"seconds": 1.0})
        for i, name in enumerate(EVIL[:6])
    ]
    assert search_figures.draw(plan, trials, tmp_path / "s.png").exists()


# -- names


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", ".x", "-x", "x y", "x" * 65, "", "x\n", "$x", "é"])
def test_no_name_of_a_run_or_a_search_leads_elsewhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pg_theano.search import plan as settings

    with pytest.raises(UserError, match=r"got .*; expected letters, digits"):
        configs.from_dict({"name": name})
    Path("s.yaml").write_text(
        yaml.safe_dump(
            {"name": name, "search": {"method": "random", "space": {"optimizer.beta1": {"low": 0.1, "high": 0.9}}}}
        )
    )
    with pytest.raises(UserError, match=r"got .*; expected letters, digits"):
        settings.read_plan("s.yaml")
    if "/" not in name and name:
        with pytest.raises(UserError, match="as the name of a run"):
            ran(small(), tmp_path / name)
        assert not (tmp_path / name).exists()


def test_names_that_we_make_up_are_names(tmp_path):
    ids = ("CartPole-v1", "x:y/Z-v3", "ALE/Pong-v5", "😀", "x" * 200, "../..", ":")
    folders = [places.new_folder("x" * 64, tmp_path) for _ in range(3)]
    path = tmp_path / ("-" + "é" * 70 + ".yaml")
    path.write_text("seed: 1\n")
    names = [*map(places.name_of, ids), *(folder.name for folder in folders), configs.read_config(path).name or "run"]
    for name in names:
        places.check_name(Path("runs") / name)
        assert re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name), name


@pytest.mark.parametrize("base", ["/etc/x.yaml", "../x.yaml", "a/../../x.yaml"])
def test_the_base_of_a_search_stays_beside_it(base, tmp_path):
    from pg_theano.search import plan as settings

    path = tmp_path / "s.yaml"
    path.write_text(f"base: {base}\nsearch: {{space: {{optimizer.beta1: {{low: 0.1, high: 0.9}}}}}}\n")
    with pytest.raises(UserError, match="beside this one"):
        settings.read_plan(path)
