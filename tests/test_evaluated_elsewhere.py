"""A policy evaluated on another task: with the same spaces, and no other."""

import shutil
from pathlib import Path

import probe_environments
import pytest
from helpers_runs import command, ran, small

from pg_theano.environments import spaces
from pg_theano.system import importing, seals
from pg_theano.training.evaluating import evaluate
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code
pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

RUN = small(gradients="by_hand", algorithm={"name": "vpg"}, budget={"updates": 1})
FIGURES = ("mean", "std", "min", "max", "n")


@pytest.fixture(scope="module")
def run(tmp_path_factory, machine_code):
    folder = tmp_path_factory.mktemp("elsewhere") / "run"
    ran(RUN, folder)
    return folder


def test_another_task_with_the_same_spaces_is_played(run):
    """`EitherEnd` ends its episodes otherwise, and pays what `Lengths` pays: the figures are equal. `NotAgain` shows
    other numbers. Caught, when planted: the run's own environment, played under another name."""
    own = evaluate(run, episodes=6)
    other = evaluate(run, episodes=6, environment="probe_environments:EitherEnd-v0")
    assert [own[name] for name in FIGURES] == [other[name] for name in FIGURES]
    assert (own["environment"], other["environment"]) == tuple(
        f"probe_environments:{name}-v0" for name in ("Lengths", "EitherEnd")
    )
    assert evaluate(run, episodes=2, environment="probe_environments:WildLater-v0")["max"] <= 20  # 100 a step there


@pytest.mark.parametrize("name", ["DiscreteObs-v0", "BoxFromObs-v0", "Capped-v0"])
def test_other_spaces_are_refused_and_both_are_named(name, run):
    """DiscreteObs has rows of three numbers too. Caught, when planted: sizes compared, and not the spaces."""
    with pytest.raises(UserError) as raised:
        evaluate(run, environment=f"probe_environments:{name}")
    line = str(raised.value)
    assert "expected observations Box(-inf, inf, (3,), float32) and actions Discrete(3), as the policy was" in line
    assert name in line and "got observations" in line and "\n" not in line


def test_an_environment_that_has_changed_since_is_refused(run, tmp_path):
    """Same size, another space, as a later version of it may have. Caught, when planted: none is compared unless another
    environment is asked for."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    facts = seals.read_json(folder / "run.json")
    facts["task"]["spaces"]["observation"] = spaces.observed(spaces.gymnasium.spaces.Discrete(3), "")
    seals.write_json(folder / "run.json", facts)
    with pytest.raises(UserError, match=r"Lengths-v0: got observations Box\(.*expected observations Discrete\(3\)"):
        evaluate(folder)
    facts["task"]["spaces"]["observation"] = {"kind": "Nothing"}
    seals.write_json(folder / "run.json", facts)
    with pytest.raises(UserError, match="not what a run records of its spaces"):
        evaluate(folder)


def test_bounds_of_observations_do_not_count_and_those_of_actions_do():
    """As Gymnasium's versions differ. Older runs recorded them, and a Dict in another form."""
    kinds = spaces.gymnasium.spaces

    def of(low, high, action=1.0, dtype="float32"):
        observed = {
            "kind": "Box",
            "low": [low],
            "high": [high],
            "dtype": f"<f{(dtype[-2:] == '64' and 8) or 4}",
            "shape": [1],
        }
        return {"observation": observed, "action": spaces.as_data(kinds.Box(-action, action, (1,)))}

    plain = {"observation": {"kind": "Box", "dtype": "<f4", "shape": [1]}, "action": of(0, 1)["action"]}
    for same in (of(-9.0, 9.0), of(0.0, 1.0, dtype="float64"), plain):
        spaces.check_same(same, of(-1.0, 1.0), "task")
    with pytest.raises(UserError, match=r"task: got .*2\.0.*expected"):
        spaces.check_same(of(0.0, 1.0, action=2.0), plain, "task")
    two = kinds.Dict({"b": kinds.Discrete(2), "a": kinds.Discrete(3)})
    new, old = spaces.observed(two, ""), {"kind": "Dict", "spaces": {k: spaces.as_data(s) for k, s in two.items()}}
    spaces.check_same(plain | {"observation": new}, plain | {"observation": old}, "task")


EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"


def test_keyword_arguments_are_of_the_other_task_or_of_its_own(tmp_path):
    """Caught, when planted: the run's own keyword arguments handed on to another task."""
    ran(RUN | {"environment": {"id": "CartPole-v1", "num_envs": 4}}, tmp_path / "a")
    shutil.copy(EXAMPLES / "long_pole.py", ".")
    long = [
        evaluate(tmp_path / "a", episodes=9, environment="long_pole:LongPole-v0", kwargs=k)
        for k in (None, {"length": 5.0})
    ]
    assert long[0]["mean"] != long[1]["mean"]
    same = evaluate(tmp_path / "a", episodes=9, environment="long_pole:LongPole-v0", kwargs={"length": 1.0})
    assert [long[0][name] for name in FIGURES] == [same[name] for name in FIGURES]
    assert evaluate(tmp_path / "a", episodes=3, kwargs={"sutton_barto_reward": True})["mean"] <= 0
    ran(
        RUN | {"environment": {"id": "long_pole:LongPole-v0", "kwargs": {"length": 5.0}, "num_envs": 4}}, tmp_path / "b"
    )
    assert evaluate(tmp_path / "b", episodes=2, environment="CartPole-v1")["n"] == 2


def test_a_class_without_a_limit_has_the_runs(run):
    """In Python it may be any that `run(environment=...)` takes. Caught, when planted: episodes that never end."""
    for never in (OnlyLonger, lambda: OnlyLonger()):
        found = evaluate(run, episodes=2, environment=never)
        assert (found["n"], found["min"]) == (2, 50.0)  # its registered limit


class OnlyLonger(probe_environments.Lengths):
    def outcome(self, action):
        return 1.0, False, False


def test_code_that_it_names_is_looked_at_as_any_other(run, tmp_path):
    with importing.consenting(no_user_code=True), pytest.raises(UserError, match="--no-user-code"):
        evaluate(run, environment="long_pole:LongPole-v0")
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    facts = seals.read_json(folder / "run.json")
    seals.write_json(folder / "run.json", facts | {"code": {}, "folder": str(EXAMPLES)})
    with pytest.raises(UserError, match="long_pole"):  # nothing is looked for beside a stranger's config
        evaluate(folder, environment="long_pole:LongPole-v0")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--environment", "Nope-v1"], "Nope-v1 is not registered"),
        (["--environment", ""], "environment.id: got ''"),
        (["--environment", "no_such_module:Env-v0"], "no_such_module"),
        (["--kwargs", "3"], "--kwargs: got 3; expected a mapping; try --kwargs '{length: 2.0}'"),
        (["--kwargs", "{a: "], "--kwargs: got"),
        (["--kwargs", "{nothing: 1}"], "nothing"),
    ],
)
def test_bad_input_is_one_line(words, line, run):
    code, out, err = command("evaluate", run, *words, "--json")
    errors = [one for one in err.splitlines() if not one.startswith("imports ")]
    assert code == 2 and not out and len(errors) == 1 and line in errors[0] and errors[0].startswith("error: ")
