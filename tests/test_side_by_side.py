"""docs/side-by-side.md: what is ours runs, and is no longer than theirs.

Theirs is written after the documentation of the commits that tests/test_coming_from.py names, and never run.
"""

import re
import shlex
import shutil
import sys
import types
from pathlib import Path

import pytest
from helpers_docs import DOCS, ROOT
from parallel_environments import Team
from test_docs import SMALLER, main_of

import pg_theano
from pg_theano.reports import agent as agents

OPTIMISED = False
PAGE = (DOCS / "side-by-side.md").read_text()
PAIR = r"^## (\d+)\. ([^\n]+)\n(.*?)(?=^## |\Z)"
SHORT = {"environment": {"max_episode_steps": 40}, "evaluation": {"episodes": 2}}


def pairs():
    """(title, theirs, ours), each a list of (language, text)."""
    for _, title, text in re.findall(PAIR, PAGE, re.M | re.S):
        yield title, *([*re.findall(r"^```(\w+)\n(.*?)^```$", side, re.M | re.S)] for side in text.split("</td><td>"))


PAIRS = [pytest.param(*pair, id=pair[0]) for pair in pairs()]


def lines_of(blocks):
    """Lines of code: neither empty nor a comment."""
    lines = [line.strip() for _, text in blocks for line in text.splitlines()]
    return [line for line in (re.sub(r"\s*# .*", "", one) for one in lines) if line]


def test_there_are_twenty_pairs():
    """A pattern that finds nothing would pass. Caught, when planted: another fence."""
    assert len(PAIRS) >= 20
    assert [int(number) for number, *_ in re.findall(PAIR, PAGE, re.M | re.S)] == [*range(1, len(PAIRS) + 1)]


@pytest.mark.parametrize(("title", "theirs", "ours"), PAIRS)
def test_ours_is_no_longer(title, theirs, ours):
    """Neither in lines of code nor in characters, imports counted. Caught, when planted: one line more."""
    others, own = lines_of(theirs), lines_of(ours)
    assert 0 < len(own) <= len(others)
    assert sum(map(len, own)) <= sum(map(len, others))
    assert {language for language, _ in theirs} <= {"py", "sh"}
    assert {language for language, _ in ours} <= {"python", "sh"}


class Frame:
    """As much of pandas as is asked for here: columns of one length."""

    def __init__(self, columns):
        assert len({len(column) for column in columns.values()}) == 1
        self.columns = columns

    def plot(self, x, y):
        assert {x, y} <= set(self.columns)


class Wandb(types.ModuleType):
    """As much of Weights & Biases."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


@pytest.fixture
def small_budgets(monkeypatch, elsewhere, functions_kept, ours):
    """Two updates in place of each budget, short episodes, two of them evaluated; nothing is compiled where a twin does.
    The rest is as it stands."""
    twin = not re.search("a2c|normalize|sh$", "".join(map("".join, ours)) + ours[0][0])
    short = SHORT | ({"gradients": "by_hand"} if twin else {})
    small = [*SMALLER["train"], "runs=2", *(["gradients=by_hand"] if twin else [])]
    init, learn, evaluate, run = agents.Agent.__init__, agents.Agent.learn, agents.Agent.evaluate, pg_theano.run

    def begins(self, *words, config=None, **options):
        init(self, *words, config=short if config is None else config, **options)

    def learns(self, env_steps=None, *, updates=None, **options):
        assert (env_steps is None) is not (updates is None)
        return learn(self, updates=min(updates or 2, 2), **options)

    monkeypatch.setattr(agents.Agent, "learn", learns)
    monkeypatch.setattr(agents.Agent, "evaluate", lambda self, episodes=2: evaluate(self, min(episodes, 3)))
    monkeypatch.setattr(agents.Agent, "__init__", begins)
    monkeypatch.setattr(pg_theano, "run", lambda *words, **options: run(*words, *small, **options))
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=Frame))
    monkeypatch.setitem(sys.modules, "wandb", Wandb("wandb"))
    spread = types.SimpleNamespace(parallel_env=Team)
    monkeypatch.setitem(sys.modules, "mpe2", types.SimpleNamespace(simple_spread_v3=spread))
    shutil.copytree(ROOT / "configs", "configs")


def done(language, text, capsys):
    """A block, done. A line of a shell ends where no backslash does, and says something."""
    if language == "python":
        names = {"__name__": "__side_by_side__"}
        exec(compile(re.sub(r"n_trials=\d+", "n_trials=2", text), "side-by-side.md", "exec"), names)  # noqa: S102
        return
    for command in text.replace("\\\n", " ").splitlines():
        called, name, *words = shlex.split(command)
        assert called == "pg-theano"
        capsys.readouterr()
        twin = (
            ["gradients=by_hand"] if "wandb" in words else []
        )  # the same config as that of the seeds, which is compiled
        assert main_of(f"pg_theano.{name}").main([*words, *SMALLER.get(name, []), *twin]) == 0
        assert capsys.readouterr().out.strip(), command


@pytest.mark.slow
@pytest.mark.parametrize(("title", "theirs", "ours"), PAIRS)
def test_ours_runs(small_budgets, title, theirs, ours, capsys):
    """To its end, and what it says it trains has learned: each run that it left has a checkpoint of an update.

    Caught, when planted: a `learn` that begins a run and ends; an `evaluate` that does nothing.
    """
    if "runs/ppo" in ours[0][1] and "train" not in ours[0][1]:  # runs that were made before
        for name in ("ppo", "vpg"):
            agents.Agent("CartPole-v1", name, run_dir=f"runs/{name}", gradients="by_hand").learn(updates=1)
    before = {path for path in Path().rglob("*") if path.is_file()}
    for language, text in ours:
        done(language, text, capsys)
    made = {path for path in Path().rglob("*") if path.is_file()} - before
    assert made
    trains = re.search(r"\.learn\(|pg_theano\.run\(|pg-theano (train|search)", "".join(text for _, text in ours))
    learned = [path for path in made if path.match("update-*.npz") and path.stem != "update-00000000"]
    assert bool(learned) >= bool(trains), title
