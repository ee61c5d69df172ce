"""`module:Name` runs code: said before, recorded, compared, and refused where it is told to be."""

import json
import os
import py_compile
import sys
from pathlib import Path

import pytest
from helpers_runs import command, ran, resumed, small

from pg_theano import evaluate, watch
from pg_theano.config import reading as configs
from pg_theano.config import user_code
from pg_theano.system import importing, seals
from pg_theano.system.importing import importable
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

ENV = """
import gymnasium
import numpy as np
from {name}_numbers import REWARD
open({mark!r}, "a").write("imported")

class Env(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {{}}
    def step(self, action):
        self.steps += 1
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), REWARD, self.steps >= 3, False, {{}}

if "{name}-v0" not in gymnasium.registry:
    gymnasium.register("{name}-v0", entry_point=Env)
"""


class Own:
    """An environment of the user's own, two files in a folder, and whether it was imported."""

    def __init__(self, folder):
        self.folder, self.name = folder, f"own_{abs(hash(str(folder))):x}"
        self.mark = folder / "mark"
        (folder / f"{self.name}.py").write_text(ENV.format(name=self.name, mark=str(self.mark)))
        (folder / f"{self.name}_numbers.py").write_text("REWARD = 1.0\n")
        self.config = configs.from_dict(
            small(environment={"id": f"{self.name}:{self.name}-v0", "num_envs": 2}, budget={"updates": 1})
        )

    def change(self):
        (self.folder / f"{self.name}_numbers.py").write_text("REWARD = 2.0\n")

    def forget(self):
        """As in a process that has not imported it."""
        for module in (self.name, f"{self.name}_numbers"):
            sys.modules.pop(module, None)
        self.mark.unlink(missing_ok=True)

    @property
    def imported(self):
        return self.mark.exists()


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    return Own(tmp_path / "mine")


@pytest.fixture
def run(own, tmp_path):
    ran(own.config, tmp_path / "run", folder_of_config=own.folder)
    own.forget()
    return tmp_path / "run"


READERS = {
    "resume": lambda run: resumed(run, "budget.updates=2"),
    "evaluate": lambda run: evaluate.evaluate(run, episodes=2),
    "watch": lambda run: list(watch.watch(run, gif="x.gif")),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_module_that_has_changed_is_not_imported(own, run, reader, monkeypatch):
    """Here a file beside it, which it imports. Caught, when planted: a hash of the module's own file alone; no check in
    `watch`."""
    own.change()
    with pytest.raises(UserError, match=r"nothing was imported; try --allow-import"):
        READERS[reader](run)
    assert not own.imported
    if reader != "watch":  # which this environment cannot be drawn for
        monkeypatch.setenv(importing.ALLOW_IMPORT, "1")
        READERS[reader](run)
        assert own.imported


@pytest.mark.parametrize("reader", READERS)
def test_a_run_that_records_no_module_imports_none(run, own, reader):
    """Taken out by hand: it would be a way round. Caught, when planted: nothing recorded taken for nothing to compare."""
    facts = seals.read_json(run / "run.json")
    del facts["code"]
    seals.write_json(run / "run.json", facts)
    with pytest.raises(UserError, match="recorded, nothing; nothing was imported"):
        READERS[reader](run)
    assert not own.imported


def test_an_unchanged_module_is_imported_and_said(own, run, capsys):
    evaluate.evaluate(run, episodes=2)
    assert own.imported
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("imports "))
    assert f"{own.folder / own.name}.py and 1 beside it, SHA-256 " in line
    assert line.endswith("(environment.id)")


@pytest.mark.parametrize("reader", READERS)
def test_no_user_code_refuses_it(own, run, reader, monkeypatch):
    monkeypatch.setenv(importing.NO_USER_CODE, "1")
    with pytest.raises(UserError, match="expected none with --no-user-code"):
        READERS[reader](run)
    assert not own.imported


KNOBS = {
    "environment.id": {"environment": {"id": "evil:Evil-v0"}},
    "environment.wrappers": {"environment": {"wrappers": ["evil:Wrapper"]}},
    "environment.dynamics": {"environment": {"dynamics": "evil:Dynamics"}},
    "policy.name": {"policy": {"name": "evil:policy"}},
    "algorithm.objective": {"algorithm": {"objective": "evil:objective"}},
}


@pytest.mark.parametrize("knob", KNOBS)
@pytest.mark.parametrize("how", ["train", "one of several", "agents", "workers"])
def test_no_knob_gets_round_it(knob, how, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(importing.NO_USER_CODE, "1")
    (tmp_path / "evil.py").write_text("open('mark', 'w')")
    more = {"one of several": {"runs": 2}, "agents": {"runs": 2, "agents_per_process": 2}}.get(how, {})
    config = KNOBS[knob] | more
    if how == "workers":
        config = config | {"environment": {**config.get("environment", {}), "workers": 1}}
        if knob in ("environment.dynamics",):
            pytest.skip("symbolic environments have no workers")
    with pytest.raises(UserError, match="no-user-code"):
        ran(config, tmp_path / "run")
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_the_spec_of_a_run_names_no_other_code_than_its_config(tmp_path):
    """run.json's spec is what `evaluate` builds."""
    facts = {"folder": str(tmp_path), "spec": {"policy": "evil:policy"}, "code": {}}
    with pytest.raises(UserError, match="got evil:policy as its policy"):
        user_code.check_run(configs.from_dict({}), facts)


def test_what_a_search_may_choose_counts_as_named(tmp_path, monkeypatch):
    from pg_theano.search import plan as settings
    from pg_theano.search import study

    monkeypatch.setenv(importing.NO_USER_CODE, "1")
    path = tmp_path / "search.yaml"
    path.write_text("search: {method: random, space: {policy.name: {choices: [dense, 'evil:policy']}}}\n")
    plan = settings.read_plan(path)
    with pytest.raises(UserError, match="got evil:policy, which runs code"):
        study.new(plan, str(tmp_path / "run"), lambda *_: None, lambda _: None)
    assert not (tmp_path / "run").exists()


def test_a_file_beside_a_config_that_names_no_code_is_never_run(tmp_path, monkeypatch):
    """`scipy.py` beside a stranger's config."""
    (tmp_path / "pg_theano_shadow.py").write_text("raise SystemExit")
    with importable([tmp_path], ["CartPole-v1", "dense", None]):
        assert str(tmp_path) not in sys.path
    with importable([tmp_path], ["mine:Env"], anew=False):
        assert str(tmp_path) in sys.path
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize("invalidation", ["UNCHECKED_HASH", "TIMESTAMP"])
def test_bytecode_that_lies_is_not_run(tmp_path, invalidation):
    """`__pycache__` of a stranger's, whose bytecode is another program's."""
    (tmp_path / "lies.py").write_text("VALUE = 'source..'\n")
    times = os.stat(tmp_path / "lies.py")
    (tmp_path / "lies.py").write_text("VALUE = 'bytecode'\n"[:19])
    os.utime(tmp_path / "lies.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    py_compile.compile(
        str(tmp_path / "lies.py"), invalidation_mode=getattr(py_compile.PycInvalidationMode, invalidation)
    )
    (tmp_path / "lies.py").write_text("VALUE = 'source..'\n")
    os.utime(tmp_path / "lies.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    try:
        with importable([tmp_path], ["lies:VALUE"], anew=False):
            import lies
        assert lies.VALUE == "source.."
    finally:
        sys.modules.pop("lies", None)


def test_what_is_recorded_is_what_python_would_import(tmp_path, monkeypatch):
    """A package before a module, an extension before a source; a package's __init__ with what is in it; versions of what
    is installed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "both.py").write_text("A = 1")
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "__init__.py").write_text("from . import inner")
    (tmp_path / "both" / "inner.py").write_text("B = 1")
    found = importing.facts_of("both", [tmp_path])
    assert found["file"] == str(tmp_path / "both" / "__init__.py")
    inner = importing.facts_of("both.inner", [tmp_path])
    (tmp_path / "both" / "__init__.py").write_text("print('other')")
    assert importing.facts_of("both.inner", [tmp_path])["sha256"] != inner["sha256"]
    (tmp_path / "ext.py").write_text("A = 1")
    (tmp_path / "ext.abi3.so").write_bytes(b"\x7fELF")
    assert importing.facts_of("ext", [tmp_path])["file"].endswith(".so")
    import gymnasium

    assert importing.facts_of("gymnasium.wrappers", []) == {"package": "gymnasium", "version": gymnasium.__version__}
    assert importing.facts_of("sys", [])["package"] == "python"
    assert importing.facts_of("json", [])["package"] == "json"
    assert importing.facts_of("no_such_module_anywhere", []) is None


def test_a_default_run_names_no_code_and_looks_for_none(monkeypatch):
    monkeypatch.setattr(user_code, "facts_of", None)
    assert user_code.check(configs.from_dict({}), [], lambda text: None) == {}
    assert not user_code.named(configs.from_dict({}))


@pytest.mark.slow
def test_the_commands_say_and_refuse_it(own, tmp_path):
    """With --json the figures alone are on stdout."""
    (own.folder / "c.yaml").write_text(
        f"environment: {{id: '{own.name}:{own.name}-v0', num_envs: 2}}\npolicy: {{hidden: [4]}}\n"
        "schedules: {episodes_per_update: {initial: 2}}\nevaluation: {episodes: 2}\nbudget: {updates: 1}\n"
    )
    words = [own.folder / "c.yaml", "--run-dir", tmp_path / "run", "--no-plot", "--json"]
    code, out, err = command("train", *words, "--no-user-code")
    assert code == 2, err
    assert "no-user-code" in err
    assert not own.imported
    code, out, err = command("train", *words)
    assert code == 0, err
    assert json.loads(out)["updates"] == 1
    assert f"imports {own.name}:{own.name}-v0 from {own.folder / own.name}.py and 1 beside it" in err
    own.change()
    own.forget()
    for name in ("evaluate", "watch", "export"):
        more = {"watch": ["--gif", "x.gif"], "export": ["--to", "stablehlo", "--out", "x"]}.get(name, [])
        code, out, err = command(name, tmp_path / "run", *more)
        assert code == 2, (name, err)
        assert "nothing was imported" in err
        assert not own.imported
    code, out, err = command("evaluate", tmp_path / "run", "--allow-import", "--episodes", 2, "--json")
    assert code == 0, err
    assert json.loads(out)["n"] == 2


def test_the_examples_of_the_documentation_are_found():
    examples = Path(__file__).parent.parent / "docs" / "examples"
    for path in sorted(examples.glob("*.yaml")):
        config = configs.read_config(path)
        said = []
        code = user_code.check(config, [examples], said.append)
        assert len(said) == len(user_code.named(config)) == len(code) > 0
