"""Run folders from a stranger: what lies in them is neither written through, published nor called."""

import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import old_gym_environments as old
import pytest
import yaml
from helpers_runs import ran, resumed, small

import pg_theano
from pg_theano import evaluate, report
from pg_theano.config import changing, reading, user_code
from pg_theano.environments import making, old_gym
from pg_theano.reports import model_card
from pg_theano.runs import checkpoints, curves, seeds
from pg_theano.runs import folder as runs
from pg_theano.search import plan, study
from pg_theano.system import importing, seals, writing
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a finished run, whose environment comes with Gymnasium."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    config = small(environment={"id": "CartPole-v1", "num_envs": 2}, gradients="by_hand", algorithm={"name": "vpg"})
    ran(config | {"budget": {"updates": 2}}, folder)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


# -- links


@pytest.mark.parametrize("read", [evaluate.evaluate, pg_theano.load, model_card.card, resumed])
def test_no_checkpoint_behind_a_link_is_read(read, run, tmp_path, monkeypatch):
    """Caught, when planted: `newest` looks through any folder of that name."""
    monkeypatch.chdir(tmp_path)
    (run / "checkpoints").rename(tmp_path / "elsewhere")
    (run / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="checkpoints: is a link"):
        read(run)


@pytest.mark.parametrize("name", ["result.json", "config.yaml"])
def test_a_card_publishes_no_file_behind_a_link(name, run, tmp_path, monkeypatch):
    """`result.json -> ~/.ssh/id_ed25519` was copied into the folder to upload. Caught, when planted: copyfile."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes((run / name).read_bytes())
    (run / name).unlink()
    (run / name).symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="is a link"):
        model_card.card(run, episodes=1, gif=False)
    assert not (tmp_path / "run-card").exists()


def test_a_card_publishes_no_plot_behind_a_link(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "run.png").symlink_to(run / "run.json")
    with pytest.raises(UserError, match="is a link"):
        model_card.card(run, episodes=1, gif=False)


def test_no_seed_behind_a_link_is_read(run, tmp_path):
    """Caught, when planted: `is_dir`, which follows it."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "seed-0").symlink_to(run)
    for read in (seeds.folders_of, curves.read_run):
        with pytest.raises(UserError, match="seed-0: is a link"):
            read(tmp_path / "set")


def test_no_link_can_be_laid_where_a_picture_is_drawn(tmp_path):
    """Its temporary name was that of the process. Caught, when planted: a name that can be guessed."""
    names = set()
    for _ in range(2):
        with writing.replacing(tmp_path / "a.png") as temporary:
            names.add(temporary.name)
            temporary.touch()
    assert len(names) == 2


# -- names and entries


@pytest.mark.parametrize("name", ["best-\u00b2", "update-\u0662", "best-" + "9" * 5_000])
def test_a_name_that_is_no_number_is_no_checkpoint(name, tmp_path):
    """`best-\u00b2.json` was a ValueError. Caught, when planted: `isdigit`."""
    try:
        (tmp_path / f"{name}.json").touch()
    except OSError:  # a name that no file can have
        return
    checkpoints.forget_after(tmp_path, 0)


def sealed(path, **entries):
    """Entries of a sealed file changed, or taken out (None), by whoever wrote it."""
    found = {name: value for name, value in (seals.read_json(path) | entries).items() if value is not None}
    seals.write_json(path, found)


@pytest.mark.parametrize("seconds", [{}, {"collect": 1.0}, None], ids=str)
def test_a_result_without_its_seconds_is_a_card_without_them(seconds, run, tmp_path):
    """`seconds: {}` was a KeyError. Caught, when planted: the total taken for granted."""
    sealed(run / "result.json", seconds=seconds)
    text = (model_card.card(run, tmp_path / "card", episodes=1, gif=False) / "README.md").read_text()
    assert "start to end" not in text and "parameters" in text
    assert report.report([run], tmp_path / "report.html", play=False).exists()


@pytest.mark.parametrize("counters", [None, [], {}, {"updates": 1}, {"env_steps": "x", "updates": 1}], ids=str)
def test_a_checkpoint_without_counters_is_named(counters, run, tmp_path):
    """Of a run without a result: it was a KeyError. Caught, when planted: counters taken for granted."""
    (run / "result.json").unlink()
    for path in (run / "checkpoints").glob("*.npz"):
        state, facts, _ = checkpoints.load(path)
        facts = {name: value for name, value in facts.items() if name != "counters"}
        checkpoints.save(path.parent, path.stem, state, facts | ({} if counters is None else {"counters": counters}))
    for read in (
        lambda: model_card.card(run, tmp_path / "card", episodes=1, gif=False),
        lambda: resumed(run, "budget.updates=3"),
    ):
        with pytest.raises(UserError, match=r"\.json: facts\.counters.*: got "):
            read()


@pytest.mark.parametrize("entry", ["num_params", "dynamics", "policy", "objective"])
@pytest.mark.parametrize("value", [None, [], {}, 3, "x"], ids=str)
def test_a_spec_of_other_things_is_one_line(entry, value, run, tmp_path):
    """A card without `num_params` was a KeyError, a policy `x` a ValueError. Caught, when planted: the file's own number
    shown; a policy that is no module taken for a network."""
    sealed(run / "run.json", spec=with_entry(seals.read_json(run / "run.json")["spec"], entry, value))
    readers = (
        lambda: evaluate.evaluate(run, episodes=1),
        lambda: model_card.card(run, tmp_path / "card", episodes=1, gif=False),
        lambda: report.report([run], tmp_path / "report.html"),
    )
    if value is None or (entry, value) == ("objective", "x"):  # left out, and a name that nobody needs to act
        for read in readers:
            assert read()
        return
    for read in readers[:2] if (entry, value) == ("policy", "x") else readers:  # a page shows what else there is
        with pytest.raises(UserError, match=r"run\.json: \S") as refused:
            read()
        assert "\n" not in str(refused.value)


def with_entry(spec, entry, value):
    return {name: one for name, one in (spec | {entry: value}).items() if one is not None}


def test_a_seed_that_is_no_number_has_no_number(tmp_path):
    """`seed-\u00b2` was a ValueError. Caught, when planted: `isdigit`."""
    for name in ("seed-\u00b2", "seed-1", "seed-" + "9" * 240):
        (tmp_path / name).mkdir()
    assert len(seeds.folders_of(tmp_path)) == 3


# -- addresses

ADDRESS = "tcp://203.0.113.1:8786"


@pytest.mark.parametrize("knob", ["distribute.cluster", "search.cluster"])
def test_no_file_chooses_whose_code_runs(knob, tmp_path, monkeypatch):
    """A config named the cluster, whose answers were unpickled. Caught, when planted: no look at one of the knobs; at
    the base of a search; a search that is resumed."""
    section, name = knob.split(".")
    space = {"method": "random", "space": {"policy.hidden": {"choices": [[4], [8]]}}, "budget": {"trials": 1}}
    data = {"search": space, "algorithm": {"name": "cem"}, "budget": {"updates": 1}}
    data[section] = data.get(section, {}) | {name: ADDRESS}
    path = tmp_path / "strange.yaml"
    path.write_text(yaml.safe_dump(data))
    refused = rf"strange\.yaml:\d+ {knob}: got {ADDRESS}; expected it on the command line; try {knob}={ADDRESS} there"
    with pytest.raises(UserError, match=refused):
        plan.read_plan(path)
    assert plan.read_plan(path, [f"{knob}={ADDRESS}"])
    if section == "distribute":
        del data["search"]
        path.write_text(yaml.safe_dump(data))
        for read in (reading.read_config, reading.resolved):
            with pytest.raises(UserError, match=refused):
                read(path)
            assert read(path, [f"{knob}=null"])
        (tmp_path / "search.yaml").write_text(yaml.safe_dump({"base": "strange.yaml", "search": space}))
        with pytest.raises(UserError, match=refused):
            plan.read_plan(tmp_path / "search.yaml")
        assert reading.resolved(data)  # of plain data: who writes Python chooses
    monkeypatch.setenv("PG_THEANO_CLUSTER", ADDRESS)
    assert plan.read_plan(path) if section == "search" else reading.read_config(path)


def test_no_run_and_no_search_goes_on_where_its_folder_says(run, tmp_path, monkeypatch):
    """Caught, when planted: what was recorded believed by `--resume`."""
    seals.write_yaml(run / "config.yaml", {"algorithm": {"name": "cem"}, "distribute": {"cluster": ADDRESS}})
    with pytest.raises(UserError, match=r"distribute\.cluster: got tcp.*expected it on the command line"):
        resumed(run, "budget.updates=2")
    assert runs.read_run(run)[0].distribute.cluster == ADDRESS  # who only reads it asks nobody
    assert reading.read_config(run / "config.yaml", [f"distribute.cluster={ADDRESS}"])
    assert "distribute.cluster=...".startswith(changing.ALWAYS)
    monkeypatch.syspath_prepend(Path(__file__).parent / "search")
    from helpers_search import plan_of, searched

    with pytest.MonkeyPatch.context() as patch:
        searched(plan_of("random", budget={"trials": 1}), tmp_path / "search", patch)
    written = (tmp_path / "search" / "search.yaml").read_text().partition("# sha256")[0]
    seals.write_text(
        tmp_path / "search" / "search.yaml", written.replace("cluster: null", f"cluster: {ADDRESS}").encode()
    )
    assert study.read_folder(tmp_path / "search").search.cluster == ADDRESS
    with pytest.raises(UserError, match=r"search\.cluster: got tcp.*expected it on the command line"):
        study.resume(tmp_path / "search", (), lambda *_: None, lambda _: None)


def test_without_user_code_no_file_chooses_a_database(tmp_path):
    """A search made it, wherever it was to be. Caught, when planted: storage left out of the addresses."""
    path, made = tmp_path / "strange.yaml", f"sqlite:///{tmp_path}/made.db"
    space = {"method": "random", "space": {"policy.hidden": {"choices": [[4], [8]]}}, "storage": made}
    path.write_text(yaml.safe_dump({"search": space}))
    assert plan.read_plan(path).search.storage == made
    with importing.consenting(no_user_code=True):
        with pytest.raises(UserError, match=r"search\.storage: got sqlite"):
            plan.read_plan(path)
        assert plan.read_plan(path, [f"search.storage={made}"]).search.storage == made


# -- what is called


def naming(run, id, **more):
    """The run, whose author named that environment and recorded its module as it is here."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["environment"] |= {"id": id, "api": "gym", **more}
    seals.write_yaml(run / "config.yaml", config)
    facts = seals.read_json(run / "run.json")
    seals.write_json(
        run / "run.json", facts | {"code": {id.partition(":")[0]: importing.facts_of(id.partition(":")[0], [])}}
    )
    return run


@pytest.mark.parametrize(
    ("id", "how"),
    [
        ("subprocess:Popen", {"args": "touch mark", "shell": True}),
        ("os:system", {"command": "touch mark"}),
        ("concurrent.futures:ThreadPoolExecutor", {}),
        ("numpy:save", {"file": "mark", "arr": 1}),
        ("numpy:memmap", {"filename": "mark", "mode": "w+", "shape": [1]}),
        ("helpers_runs:command", {"name": "train"}),
    ],
)
def test_what_is_called_is_an_environment(id, how, run, tmp_path, monkeypatch):
    """`subprocess:Popen` ran a command in `evaluate`, with what it was to be in `kwargs`. Caught, when planted: any
    class; any function; a module of Python's own."""
    monkeypatch.chdir(tmp_path)
    naming(run, id, kwargs=how)
    for read in (lambda: evaluate.evaluate(run, episodes=1), lambda: resumed(run, "budget.updates=3")):
        with pytest.raises(UserError, match=r"of Python's own module|is no environment"):
            read()
    report.report([run], tmp_path / "report.html")  # which says on its page why nothing was played
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "mark.npy").exists()


@pytest.mark.parametrize(
    "name", ["subprocess:Popen", "numpy:save", "numpy:float64", "numpy:load", "helpers_runs:small"]
)
def test_what_wraps_is_a_wrapper(name):
    """Caught, when planted: whatever can be called."""
    environment = reading.from_dict({"environment": {"id": "CartPole-v1", "wrappers": [name]}}).environment
    with pytest.raises(UserError, match=r"of Python's own module|is no wrapper"):
        making.single(environment)


def test_environments_and_wrappers_of_every_make_are_taken():
    """Caught, when planted: spaces looked for in the class alone; a wrapper that is a function refused."""
    kinds = [old.FourValues, old.FiveValues, old.Wrapped, old.New, old.OldCartPole, gymnasium.Env]
    assert all(old_gym.is_environment(kind, "observation_space", "action_space") for kind in kinds)
    assert not old_gym.is_environment(old.FourValues(), "observation_space")
    assert not old_gym.is_environment(old.FourValues, "no_such_space")
    for one in (gymnasium.wrappers.FlattenObservation, old.Wrapped, lambda env, size=3: env):
        assert old_gym.wrapper(one, "name") is one


def test_a_module_of_pythons_own_is_nobodys(tmp_path):
    """Caught, when planted: `json.py` beside a config, for which Python's own is taken. Nothing is imported."""
    (tmp_path / "json.py").write_text("")
    config = reading.from_dict({"policy": {"name": "json:policy"}})
    with pytest.raises(UserError, match=r"policy.name: got json:policy, of Python's own module json; expected"):
        user_code.check(config, [tmp_path], lambda said: None)
    with pytest.raises(UserError, match="of Python's own"), importing.importable([tmp_path], ["json.tool:policy"]):
        pass


# -- where one stands


def begun(name, *words, cwd):
    """(exit code, stderr) of a command that begins as a user's does, in no fork."""
    words = [sys.executable, "-m", f"pg_theano.{name}", *words]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


SHADOWS = [
    "__future__",
    "json",
    "argparse",
    "logging",
    "numpy",
    "yaml",
    "pydantic",
    "rich",
    "gymnasium",
    "multiprocessing",
]
SHADOWS += ["no_such_extra"]


@pytest.fixture
def stranger(run):
    """A run, and beside it modules that leave a mark where they are imported."""
    for name in SHADOWS:
        (run / f"{name}.py").write_text(f"open({str(run / 'mark')!r}, 'a').write({name!r})\n")
    return run


@pytest.mark.parametrize("words", [["evaluate", ".", "--episodes", "1"], ["plot", "."], ["train", "--help"]], ids=str)
def test_nothing_is_imported_from_where_one_stands(words, stranger):
    """`numpy.py` beside a run was imported, because `python -m` puts the current folder first. Caught, when planted: the
    folder taken off after the first import of the standard library's."""
    code, err = begun(*words, cwd=stranger)
    assert code == 0, err
    assert not (stranger / "mark").exists(), (stranger / "mark").read_text()


def test_worker_processes_import_nothing_from_there(stranger):
    """Those of a search are started by `python -c`, which puts it first again. Caught, when planted: SAFE_PATH left out."""
    script = "import sys; sys.path.pop(0); from pg_theano.system import distribute\nif __name__ == '__main__':\n"
    script += (
        " with distribute.opened(workers=2) as workers: print(workers.map(abs, [-1, -2]), workers.map(repr, [3]))\n"
    )
    (stranger.parent / "elsewhere").mkdir()
    (stranger.parent / "elsewhere" / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, stranger.parent / "elsewhere" / "script.py"],
        cwd=stranger,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "[1, 2] ['3']\n", done.stderr
    assert not (stranger / "mark").exists(), (stranger / "mark").read_text()


OWN = """
import gymnasium
class Env(gymnasium.wrappers.TimeLimit):
    def __init__(self):
        super().__init__(gymnasium.make("CartPole-v1"), 5)
    def step(self, action):
        import own_helper_of_where_one_stands
        return super().step(action)
gymnasium.register("Own-v0", entry_point=Env)
"""


@pytest.mark.parametrize("beside", [True, False], ids=["beside the config", "where one stands"])
def test_ones_own_modules_are_found(beside, tmp_path):
    """What they import later is, too, where one stands. Caught, when planted: the folder not put back."""
    here = tmp_path / "here"
    here.mkdir()
    (here if not beside else tmp_path).joinpath("own_of_where_one_stands.py").write_text(OWN)
    (here / "own_helper_of_where_one_stands.py").write_text("")
    (tmp_path / "own.yaml").write_text(
        "environment: {id: 'own_of_where_one_stands:Own-v0', num_envs: 1}\ngradients: by_hand\n"
        "algorithm: {name: vpg}\nbudget: {updates: 1}\nevaluation: {episodes: 1}\n"
    )
    code, err = begun("train", "../own.yaml", "--run-dir", "run", "--no-plot", cwd=here)
    assert code == 0, err


def test_a_file_beside_a_config_takes_no_packages_place(tmp_path, monkeypatch):
    """Nor is its folder on the path for what that package imports. Caught, when planted: the folder before all others."""
    for name in ("gymnasium", "own_of_a_stranger"):
        (tmp_path / f"{name}.py").write_text("")
    assert "package" in importing.facts_of("gymnasium.wrappers", [tmp_path])
    with importing.importable([tmp_path], ["gymnasium.wrappers:TimeLimit"], anew=False):
        assert str(tmp_path) not in sys.path
    with importing.importable([tmp_path], ["own_of_a_stranger:Env"], anew=False):
        assert sys.path[0] == str(tmp_path)
    with pytest.raises(UserError, match="gymnasium is an installed package"):
        importing.sources_of("gymnasium:policy", [tmp_path])
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)
    (here / "own_of_mine.py").write_text("")
    with importing.importable([tmp_path], ["own_of_mine:Env"], anew=False):
        assert str(tmp_path) not in sys.path
