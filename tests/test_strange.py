"""Environments that misbehave in ways that strangers have met: what they do is survived, or named in the usual line.

What each test caught is what the code before it did with the same environment.
"""

import json
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from faulty_environments import Choosy
from helpers_runs import as_arguments, command, merged
from test_environments import made, play

from pg_theano import evaluate, train, watch
from pg_theano.config import knobs
from pg_theano.environments import inspection, making, masks
from pg_theano.environments.telling import close_quietly
from pg_theano.system import commands
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

STRANGE = "faulty_environments:Strange-v0"
COMMON = {
    "environment": {"id": STRANGE, "num_envs": 2},
    "policy": {"hidden": [4]},
    "algorithm": {"name": "ppo", "num_steps": 8},
    "evaluation": {"episodes": 2},
    "budget": {"updates": 2},
}


def trained(capsys, how="none", at=5, **changes):
    """(exit code, stdout, stderr) of a run in folder `run`."""
    config = merged(merged(COMMON, {"environment": {"kwargs": {"how": how, "at": at}}}), changes)
    return ended(capsys, "--run-dir", "run", *as_arguments(config))


def ended(capsys, *words):
    code = train.main([*words, "--no-plot"])
    return code, *capsys.readouterr()


# -- silently wrong, or lost


def test_an_environment_that_shows_late_that_it_does_not_replay_is_resumed(capsys):
    """It draws from another generator after step 20, and sixteen are tried. Caught: refused for ever ("does not replay:
    the observation is not that of the checkpoint")."""
    trained(capsys, "late", at=20, budget={"updates": 4})
    code, out, _ = ended(capsys, "--resume", "run", "budget.updates=5")
    assert code == 0 and "step 32 (seed" in out and "does not replay" in out
    assert "the open episodes are begun anew" in out and "update     5" in out


@pytest.mark.parametrize("workers", [0, 1])
def test_statistics_in_a_wrapper_are_told_of_as_training_starts(workers, capsys):
    """An evaluation begins them anew (7.75 in place of 10.0). Caught: a word about the seed alone, and none with
    workers."""
    wrappers = {"wrappers": ["gymnasium.wrappers:NormalizeReward"], "workers": workers}
    code, out, _ = trained(capsys, environment=wrappers, budget={"updates": 1})
    assert code == 0 and "NormalizeReward keeps statistics" in out and "set normalize.rewards=true" in out


def test_statistics_of_observations_name_the_knob_that_is_saved():
    env = gymnasium.wrappers.NormalizeObservation(gymnasium.make(STRANGE))
    (line,) = inspection.glanced("any", env, env)
    assert "NormalizeObservation keeps statistics" in line and line.endswith("set normalize.observations=true")


@pytest.mark.parametrize("knobs", [{}, {"workers": 1}, {"max_episode_steps": 30}])
def test_a_wrapper_may_make_several_episodes_one(knobs):
    """Caught: "an episode has not ended after 20 steps", and the knob that it advised moved both limits."""
    env = made("faulty_environments:Corridor-v0", 2, wrappers=["faulty_environments:ThreeInOne"], **knobs)
    assert play(env, 3).lengths.tolist() == [3 * knobs.get("max_episode_steps", 20)] * 3
    env.close()


def test_a_command_with_json_prints_nothing_else_on_stdout(capsys):
    """Whatever the environment prints, in Python or below it. Caught: its lines before the object."""
    trained(capsys, "prints", budget={"updates": 1})
    code, out, err = command("evaluate", "run", "--episodes", 2, "--json")
    assert code == 0 and json.loads(out)["n"] == 2
    assert "a library says something" in err and "its library in C too" in err


def test_and_so_where_the_command_is_called(capsys):
    config = merged(COMMON, {"environment": {"kwargs": {"how": "prints"}}, "budget": {"updates": 1}})
    code, out, err = ended(capsys, "--run-dir", "run", "--json", *as_arguments(config))
    assert code == 0 and json.loads(out)["updates"] == 1 and "a library says something" in err


@pytest.mark.parametrize("look", [True, False])
def test_an_environment_that_changes_the_folder_takes_nothing_with_it(look, capsys):
    """While it is looked at, or later. Caught: checkpoints in another folder, and exit code 2."""
    here = Path.cwd()
    code, _, err = trained(capsys, "wanders", at=5 if look else 12, environment={"look": look})
    assert code == 0, err
    assert Path.cwd() == here and (here / "elsewhere").is_dir() and not any((here / "elsewhere").rglob("*.npz"))
    assert (here / "run/result.json").exists() and any((here / "run/checkpoints").glob("update-00000002.npz"))


def test_an_environment_stays_in_the_folder_that_it_moved_to():
    """Simulators read their files from there. Caught, when planted: moved back after each call, for good."""
    env = made(STRANGE, 1, kwargs={"how": "wanders", "at": 1}).slots[0]
    seen = []
    env.reset(seed=0)
    inner = env.unwrapped
    step = inner.step
    inner.step = lambda action: (step(action), seen.append(Path.cwd().name))[0]
    for _ in range(3):
        env.step(0)
    assert seen == ["elsewhere"] * 3 and Path.cwd().name != "elsewhere"
    env.reset(seed=0)
    close_quietly(env, "any")


# -- masks


@pytest.mark.parametrize("how", ["info", "method"])
@pytest.mark.parametrize("choices", [(6,), (3, 4)])
def test_the_look_at_the_start_respects_a_mask(how, choices):
    """Caught: its random actions end the run. And that it replays is found out under the mask too."""
    env = made("faulty_environments:Choosy-v0", 2, kwargs={"how": how, "choices": list(choices)})
    assert env.replays()
    assert inspection.glanced("any", env.slots[0].env, env.slots[1].env) == []
    found = []
    make = lambda: gymnasium.make("faulty_environments:Choosy-v0", how=how, choices=choices)  # noqa: E731
    inspection.Inspection(make, found.append).thorough()
    assert {one.what for one in found if one.kind != "question"} <= {"mask", "starts elsewhere"}
    assert next(one for one in found if one.what == "mask").kind == "note"


@pytest.mark.parametrize(
    ("how", "place", "workers"),
    [("info", 'info["action_mask"]', 0), ("method", "action_masks()", 0), ("info", 'info["action_mask"]', 1)],
)
def test_an_action_that_a_mask_rules_out_names_the_mask(how, place, workers):
    """Caught: "expected what the space of actions allows", which allowed it."""
    config = knobs.Environment(id="faulty_environments:Choosy-v0", kwargs={"how": how}, workers=workers)
    env = making.make(config.masked_by("none"), num_envs=2, dtype="float32")
    with pytest.raises(
        UserError, match=rf"step raises ValueError: action .*, which {re.escape(place)} rules out; .*action_mask=auto"
    ):
        play(env, action=3)
    env.close()


def test_a_mask_of_another_size_is_none_and_an_allowed_action_stays():
    env = Choosy()
    env.reset(seed=0)
    assert masks.mask_of(env, {"action_mask": np.ones(5)}) is None
    mask = masks.mask_of(env, {"action_mask": np.array([0, 1, 0, 0, 1, 0])})
    assert [int(masks.within(env.action_space, mask, action)) for action in range(2, 8)] == [3, 3, 3, 6, 6, 6]


def test_no_random_action_is_played_where_the_look_is_off(capsys):
    """Caught, when planted: the sixteen steps that are tried twice, played all the same."""
    stepped = []
    env = made(STRANGE, 2, look=False)
    env.slots[0].env.unwrapped.step = stepped.append
    assert env.replays() and not stepped
    code, out, _ = trained(capsys, "array for a reward", at=1, environment={"look": False})
    assert code == 2 and "warning" not in out


# -- what is raised, and what is returned


def fault_of(how, at=5, workers=0):
    """The line for an environment that misbehaves, played by whole episodes; without the look at the start."""
    env = made(STRANGE, 2, kwargs={"how": how, "at": at}, workers=workers)
    try:
        with pytest.raises(UserError) as caught:
            play(env)
    finally:
        env.close()
    return str(caught.value)


RAISED = {
    "exits": "SystemExit: 0; its action was 0",
    "no exception": "BaseException: of another kind; its action was 0",
    "no words": r"NotImplementedError at faulty_environments.py:\d+, in step; its action was 0",
    "speechless": r"Speechless at faulty_environments.py:\d+, in step; its action was 0",
    "closes stdout": "ValueError: standard output and standard error are not an environment's to close",
}
RETURNED = {
    "vast": r"reward is 10+\.\.\.; expected at most 1e\+15 in size",
    "text for a reward": "reward is '1.0'; expected a number",
    "masked reward": "reward is masked; expected a number",
    "array for a reward": r"reward is array\(\[1.\]\); expected a number",
    "two flags": r"terminated is array\(\[ True, False\]\); expected true or false",
    "text for a flag": "terminated is 'False'; expected true or false",
}


QUICK = ("exits", "text for a reward", "two flags")
HOWS = [(how, 0) for how in (*RAISED, *RETURNED)]
HOWS += [
    pytest.param(how, 1, marks=() if how in QUICK else pytest.mark.slow) for how, _ in HOWS if how != "closes stdout"
]


@pytest.mark.parametrize(("how", "workers"), HOWS)
def test_whatever_goes_wrong_in_a_step_is_one_line_with_environment_step_and_seed(how, workers):
    """Caught: `SystemExit(0)` ends the process with exit code 0 and not a word; text is taken for a number; OverflowError
    and an exception whose words raise are tracebacks."""
    what = RETURNED.get(how) or f"step raises {RAISED[how]}"
    line = fault_of(how, workers=workers)
    assert re.match(rf"{STRANGE}, environment 0, step 5 \(seed \d+\): {what}", line), line


@pytest.mark.parametrize("how", [name for name in RAISED if name != "closes stdout"])
def test_and_so_in_a_reset(how):
    what = RAISED[how].partition(";")[0].replace("in step", "in reset")
    assert re.match(rf"{STRANGE}, environment 0, step 0 \(seed \d+\): reset raises {what};", fault_of(how, at=0))


@pytest.mark.parametrize("how", [*RAISED, *RETURNED])
def test_the_look_at_the_start_leaves_no_traceback(how, capsys):
    """It meets each of them first. Caught: tracebacks for four of them."""
    code, out, err = trained(capsys, how)
    assert code == 2 and re.match(rf"error: {STRANGE}, environment 0, step 5 \(seed \d+\): ", err), out + err
    assert err.count("\n") == 1 + err.count("converting a masked element") * 2, err


@pytest.mark.parametrize(
    ("fault", "what", "workers"),
    [(3, "the observation is float64", 0), (3, "the observation is float64", 1), (12, "the reward is array(1.)", 1)],
)
def test_what_is_converted_is_told_of_with_workers_too(fault, what, workers, capsys):
    """Caught: with workers nothing was said of either."""
    environment = {"id": f"faulty_environments:Fault{fault:02}-v0", "workers": workers, "kwargs": {}}
    config = merged(COMMON, {"environment": environment, "budget": {"updates": 1}})
    code, out, _ = ended(capsys, "--run-dir", "run", *as_arguments(config))
    assert code == 0 and f"warning: {environment['id']}, step " in out and what in out


def test_masked_observations_are_told_of(capsys):
    """Their masks are dropped. Caught: a traceback as a masked number is put into words."""
    env = gymnasium.make(STRANGE, how="masked", at=1)
    (line,) = inspection.glanced("any", env, env)
    assert line.startswith("any, step 1 (seed 0): the observation is a MaskedArray; expected an array of NumPy")


def test_what_close_raises_does_not_end_a_run(capsys):
    """Caught: exit code 0 without the result, as `SystemExit` went through everything."""
    code, out, err = trained(capsys, "raises in close", budget={"updates": 1})
    assert code == 0 and "run: run" in out
    assert "environment 0: close raises SystemExit: 0" in err


def test_an_environment_of_another_size_than_the_policys_is_refused(capsys, monkeypatch):
    """As a vectorised class beside an id was, or as another version's is. Caught: a traceback of a matrix product."""
    trained(capsys, budget={"updates": 1})
    kind = gymnasium.spec("Strange-v0").entry_point
    monkeypatch.setattr(kind, "observation_space", gymnasium.spaces.Box(-10, 10, (4,), np.float32))
    monkeypatch.setattr(kind, "observation", lambda self, noise: np.zeros(4, np.float32))
    for main, words in ((evaluate.main, ["run"]), (watch.main, ["run", "--gif", "run.gif"])):
        assert main(words) == 2
        assert re.search(
            r"got observations .*4.*; expected .*3.*, as the policy was trained with", capsys.readouterr().err
        )


def test_others_code_does_not_end_a_command_without_a_word(capsys):
    """A policy or a callback, as an environment. Caught: exit code 0, and nothing said; `-h` ends so and may."""
    parser = commands.parser("train", "A command.", "an example")

    def leave(arguments):
        raise SystemExit(0)

    assert commands.run(parser, leave, []) == 2
    assert capsys.readouterr().err == "error: others' code raises SystemExit(0); expected it to return; try --debug\n"
    with pytest.raises(SystemExit):
        commands.run(parser, leave, ["-h"])
