"""A new run that begins with another's arrays: what fits, what does not, and that it is a run like any other."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers_runs import assert_equal_runs, command, digest, merged, ran, records, resumed, small

import pg_theano
from pg_theano import parameters
from pg_theano.runs import checkpoints, starting
from pg_theano.runs import folder as runs
from pg_theano.runs.starting import From
from pg_theano.system import importing, seals
from pg_theano.training import taking
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code
pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

VPG = small(gradients="by_hand", algorithm={"name": "vpg"}, solved={"stop": False})
ZERO = "schedules.learning_rate.initial=0"  # what was taken is still there after the first update
ES = {key: value for key, value in small(solved={"stop": False}).items() if key != "schedules"} | {
    "algorithm": {"name": "es", "population_size": 8}
}


@pytest.fixture(scope="module")
def source(tmp_path_factory, machine_code):
    folder = tmp_path_factory.mktemp("source") / "run"
    ran(VPG, folder)
    return folder


@pytest.fixture(scope="module")
def searched(tmp_path_factory, machine_code):
    folder = tmp_path_factory.mktemp("searched") / "run"
    ran(ES, folder)
    return folder


def begun(folder, source, *words, config=None, **options):
    """The arrays of a new run after one update at a rate of 0, and what it recorded of its start."""
    ran(config, folder, overrides=["budget.updates=1", *words], start_from=source, **options)
    newest = checkpoints.newest(folder / "checkpoints").state
    return arrays_of(folder, newest), newest, seals.read_json(folder / "run.json")["start"]


def arrays_of(folder, state):
    spec = runs.trained(Path(folder)).spec
    return parameters.views(state["params"], spec.acting.layout)


def test_it_begins_with_the_best_or_with_the_checkpoint_that_is_named(source, tmp_path):
    """The config is the run's. Caught, when planted: the newest taken for the best."""
    best = runs.trained(source).checkpoint
    newest = checkpoints.newest(source / "checkpoints")
    assert best.state["params"].tobytes() != newest.state["params"].tobytes()
    for number, (given, there) in enumerate(((source, best), (newest.path, newest))):
        folder = tmp_path / f"r{number}"
        _, state, start = begun(folder, given, ZERO, "schedules.value_learning_rate.initial=0")
        assert state["params"].tobytes() == there.state["params"].tobytes()
        assert (start["run"], start["checkpoint"], start["left"]) == (str(source), there.path.name, [])
        assert "policy/w1 [3, 4]" in start["taken"] and "optimizer/step []" in start["new"]
        assert runs.read_run(folder)[0].policy == runs.read_run(source)[0].policy


def test_the_optimiser_comes_where_it_is_asked_for_and_all_parameters_fit(source, tmp_path):
    """Caught, when planted: moments of arrays that were drawn anew."""
    steps = runs.trained(source).checkpoint.state["optimizer/step"]  # one an epoch and minibatch
    _, state, start = begun(tmp_path / "a", source, ZERO, from_optimizer=True)
    assert state["optimizer/step"] > steps and "optimizer/first_moment [31]" in start["taken"]
    _, state, start = begun(tmp_path / "b", source, ZERO, "policy.value_hidden=[7]", from_optimizer=True)
    assert state["optimizer/step"] < steps and "optimizer/first_moment [31]" in start["left"]
    _, state, start = begun(tmp_path / "c", source, ZERO)
    assert state["optimizer/step"] < steps and "optimizer/step []" in start["new"]


def test_of_wider_layers_what_fits_is_taken_and_the_rest_is_named(source, tmp_path):
    """Caught, when planted: arrays matched by their place in the vector instead of by name."""
    words = (ZERO, "schedules.value_learning_rate.initial=0", "policy.hidden=[4, 5]", "policy.value_hidden=[6]")
    arrays, _, start = begun(tmp_path / "r", source, *words)
    there = arrays_of(source, runs.trained(source).checkpoint.state)
    for name in ("policy/w1", "policy/b1"):
        assert arrays[name].tobytes() == there[name].tobytes()
    fresh = arrays_of(*(lambda one: (one, checkpoints.newest(one / "checkpoints").state))(alone(tmp_path, *words)))
    assert arrays["policy/w2"].tobytes() == fresh["policy/w2"].tobytes()
    assert "policy/w2 [4, 5] (there [4, 3])" in start["new"] and "policy/w3 [5, 3]" in start["new"]
    assert "value/b2 [1]" in start["taken"]


def alone(tmp_path, *words):
    ran(VPG, tmp_path / "alone", overrides=["budget.updates=1", *words])
    return tmp_path / "alone"


def test_normalisers_are_whole_or_not_at_all(tmp_path):
    compiled = small(environment={"id": "CartPole-v1"}, normalize={"observations": True}, budget={"updates": 2})
    ran(compiled, tmp_path / "a")
    count = runs.trained(tmp_path / "a").checkpoint.state["normalizer/count"]
    _, state, start = begun(tmp_path / "b", tmp_path / "a", ZERO)
    assert state["normalizer/count"] > count and "normalizer/mean [4]" in start["taken"]
    _, state, start = begun(tmp_path / "c", tmp_path / "a", ZERO, "normalize.observations=false")
    assert "normalizer/mean" not in state and "normalizer/mean [4]" in start["left"]


@pytest.mark.parametrize("name", ["cem", "pgpe", "es", "cmaes"])
def test_the_mean_of_a_search_starts_at_a_policy(name, searched, tmp_path):
    """Caught, when planted: a search that stands where it was drawn, beside `params` that were taken."""
    found = runs.trained(searched)
    start = starting.read(From(searched))
    drawn = {"params": np.zeros_like(found.checkpoint.state["params"]), "search/mean": np.zeros(15)}
    state, _ = taking.over(drawn, found.spec, start)
    assert np.array_equal(state["search/mean"], start.state["params"].astype("float64"))
    ran(None, tmp_path / "r", overrides=["budget.updates=1", f"algorithm.name={name}"], start_from=searched)
    assert records(tmp_path / "r")[0]["update"] == 0


def test_a_search_goes_on_with_its_own_state_and_hands_its_policy_to_a_gradient(searched, tmp_path):
    _, state, start = begun(tmp_path / "a", searched, ZERO, from_optimizer=True)
    assert state["search/mean/step"] == runs.trained(searched).checkpoint.state["search/mean/step"] + 1
    assert "search/std []" in start["taken"]
    arrays, _, start = begun(tmp_path / "b", searched, ZERO, "algorithm.name=reinforce", "policy.hidden=[4]")
    assert (
        arrays["policy/w1"].tobytes()
        == arrays_of(searched, runs.trained(searched).checkpoint.state)["policy/w1"].tobytes()
    )


def test_it_is_a_run_like_any_other_whose_source_may_go(source, tmp_path):
    """Bit for bit: stopped and resumed, and killed before its first checkpoint with its source gone. Caught, when
    planted: a run that begins anew with parameters of its own."""
    gone = tmp_path / "gone"
    shutil.copytree(source, gone)
    ran(None, tmp_path / "whole", start_from=gone, overrides=["budget.updates=4"])
    ran(None, tmp_path / "parts", start_from=gone, overrides=["budget.updates=2"])
    ran(None, tmp_path / "killed", start_from=gone, overrides=["budget.updates=4"])
    shutil.rmtree(gone)
    for path in [*(tmp_path / "killed" / "checkpoints").iterdir(), tmp_path / "killed" / "result.json"]:
        path.unlink()
    resumed(tmp_path / "parts", "budget.updates=4")
    resumed(tmp_path / "killed")
    assert_equal_runs(tmp_path / "parts", tmp_path / "whole")
    assert_equal_runs(tmp_path / "killed", tmp_path / "whole")


def test_each_of_several_seeds_begins_with_it_also_when_the_set_is_resumed(source, tmp_path):
    gone = tmp_path / "gone"
    shutil.copytree(source, gone)
    ran(None, tmp_path / "set", start_from=gone, overrides=["budget.updates=2", "runs=2"])
    before = digest(tmp_path / "set")
    shutil.rmtree(gone)
    shutil.rmtree(tmp_path / "set" / "seed-1")
    resumed(tmp_path / "set")
    assert digest(tmp_path / "set") == before
    ran(None, tmp_path / "one", start_from=source, overrides=["budget.updates=2"], seed=1)
    assert_equal_runs(tmp_path / "one", tmp_path / "set" / "seed-1")


@pytest.mark.slow
def test_agents_at_once_begin_as_each_does_alone(tmp_path):
    compiled = small(environment={"id": "CartPole-v1"}, budget={"updates": 2})
    ran(compiled, tmp_path / "a")
    words = ["budget.updates=3", "runs=2"]
    ran(None, tmp_path / "one", start_from=tmp_path / "a", overrides=words)
    ran(None, tmp_path / "both", start_from=tmp_path / "a", overrides=[*words, "agents_per_process=2"])
    for seed in ("seed-0", "seed-1"):
        start, other = (seals.read_json(tmp_path / run / seed / "run.json")["start"] for run in ("one", "both"))
        assert start == other
        np.testing.assert_allclose(
            checkpoints.newest(tmp_path / "one" / seed / "checkpoints").state["params"],
            checkpoints.newest(tmp_path / "both" / seed / "checkpoints").state["params"],
            rtol=1e-4,
            atol=1e-6,
        )


def test_where_nothing_fits_it_is_one_line_and_no_folder_is_left(source, tmp_path):
    words = ["policy.hidden=[9]", "environment.id=CartPole-v1"]
    with pytest.raises(UserError, match="none of its policy's arrays fits: it has policy/w1") as raised:
        ran(None, tmp_path / "r", overrides=words, start_from=source)
    assert "\n" not in str(raised.value) and not (tmp_path / "r").exists()


def test_what_a_false_start_left_is_no_start_of_a_later_run(source, tmp_path):
    """Caught, when planted: a start.npz of a killed run, with which the next one in the folder began."""
    (tmp_path / "r").mkdir()
    starting.keep(tmp_path / "r", starting.read(From(source)))
    ran(VPG, tmp_path / "r", overrides=["budget.updates=1"])
    assert "start" not in seals.read_json(tmp_path / "r" / "run.json")


def test_a_start_that_a_stranger_wrote_is_held_to_what_it_must_be(source, tmp_path):
    (tmp_path / "r").mkdir()
    starting.keep(tmp_path / "r", starting.read(From(source)))
    found = checkpoints.load(tmp_path / "r" / "start.npz")
    for wrong in ({"run": 3}, {"spec": []}, {"optimizer": 1}, {"spec": found.facts["spec"] | {"obs_size": 9}}):
        checkpoints.save(tmp_path / "r", "start", found.state, found.facts | wrong)
        with pytest.raises(UserError) as raised:
            starting.kept(tmp_path / "r")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("damage", ["a number", "a spec", "not finite", "a link"])
def test_a_damaged_source_or_start_is_one_line(damage, source, tmp_path):
    folder = tmp_path / "theirs"
    shutil.copytree(source, folder)
    best = runs.trained(folder).checkpoint
    for path in (folder / "checkpoints").glob("update-*"):
        path.unlink()
    if damage == "a number":
        content = bytearray(best.path.read_bytes())
        content[-30] ^= 1
        best.path.write_bytes(bytes(content))
    elif damage == "a spec":
        facts = seals.read_json(folder / "run.json")
        facts["spec"]["obs_size"] = 5
        seals.write_json(folder / "run.json", facts)
    elif damage == "not finite":
        checkpoints.save(
            best.path.parent, best.path.stem, best.state | {"optimizer/step": np.float32("nan")}, best.facts
        )
    else:
        (folder / "checkpoints").rename(tmp_path / "elsewhere")
        (folder / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError) as raised:
        ran(None, tmp_path / "r", start_from=folder, from_optimizer=True)
    assert "\n" not in str(raised.value) and not (tmp_path / "r").exists()


def test_a_strangers_run_imports_nothing_that_is_refused(tmp_path, monkeypatch):
    """Nor what is not the module that it recorded; a config of one's own beside it imports nothing of the run's.
    Caught, when planted: the run's config read as one that is new."""
    ran(merged(VPG, {"budget": {"updates": 1}}), tmp_path / "theirs")
    facts = seals.read_json(tmp_path / "theirs" / "run.json")
    seals.write_json(tmp_path / "theirs" / "run.json", facts | {"code": {}})
    with pytest.raises(UserError, match="expected what the run recorded, nothing"):
        ran(None, tmp_path / "r", start_from=tmp_path / "theirs")
    with importing.consenting(no_user_code=True), pytest.raises(UserError, match="--no-user-code"):
        ran(None, tmp_path / "r", start_from=tmp_path / "theirs")
    own = {"environment": {"id": "Acrobot-v1"}, "budget": {"updates": 1}, "evaluation": {"episodes": 1}}
    with importing.consenting(no_user_code=True):
        ran(merged(VPG, own), tmp_path / "r", start_from=tmp_path / "theirs")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--from", "nowhere"], "nowhere: no run folder"),
        (["--from-optimizer"], "--from-optimizer: goes with --from"),
        (["--from", "RUN", "--resume", "RUN"], "--from: got --resume beside it"),
        (["--from", "RUN/checkpoints/update-00000099.npz"], "no such file"),
        (["--from", "RUN/result.json"], "no run folder"),
        (["--from", ""], "no run folder"),
        (
            ["--from", "RUN", "algorithm.name=ppo", "gradients=symbolic", "algorithm.clip_range=-2"],
            "algorithm.clip_range",
        ),
    ],
)
def test_bad_input_is_one_line(words, line, source):
    code, _, err = command("train", *(word.replace("RUN", str(source)) for word in words))
    assert code == 2 and line in err and err.count("\n") == 1 and "Traceback" not in err


def test_in_python_too(source):
    for options, line in (
        ({"from_optimizer": True}, "from_optimizer: got no start_from"),
        ({"start_from": 3}, "start_from: got 3; expected a path"),
        ({"start_from": source, "resume": source}, "resume: got start_from beside it"),
    ):
        with pytest.raises(UserError, match=line):
            pg_theano.run(**options)


EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
CONFIGS = EXAMPLES.parent.parent / "configs"


@pytest.mark.slow
def test_the_example_of_a_longer_pole_learns_from_cartpole(tmp_path):
    """docs/going-on.md says 46,239 env steps in the median of five seeds, and 161,226 without `--from`."""
    few = {"overrides": ["evaluation.episodes=20"], "seed": 1}
    ran(CONFIGS / "cartpole.yaml", tmp_path / "cartpole", **few)
    found = ran(EXAMPLES / "long_pole.yaml", tmp_path / "long", start_from=tmp_path / "cartpole", **few)
    assert found.figures["status"] == "solved" and found.figures["env_steps"] < 80_000
    assert found.figures["environment"] == "long_pole:LongPole-v0"


@pytest.mark.slow
def test_the_example_of_acrobot_goes_on_from_a_tenth_of_its_budget(tmp_path):
    """With another rate of learning and other normalisers' rewards, and from its first update on far from -500."""
    tenth = ["budget.updates=24", "evaluation.episodes=5"]
    ran(CONFIGS / "ppo-acrobot.yaml", tmp_path / "tenth", overrides=tenth)
    words = ["budget.updates=2", "schedules.learning_rate.initial=0.0001", "evaluation.episodes=5"]
    ran(None, tmp_path / "on", overrides=words, start_from=tmp_path / "tenth")
    first = records(tmp_path / "on")[0]
    assert first["return_mean"] > -150 and first["learning_rate"] == 0.0001
