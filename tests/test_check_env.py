"""The check of an environment: all 34 faults, none where there is none, and what the command says."""

import importlib.util
import json
import time

import faulty_environments as faulty
import gymnasium
import pytest
from helpers_runs import command

from pg_theano import check_env
from pg_theano.config import knobs as sections
from pg_theano.environments import making
from pg_theano.environments.inspection import FAULT, NOTE, QUESTION, Inspection

OPTIMISED = False  # see conftest.machine_code

HOW = {
    1: "step 5 (seed 0): the observation has nan at [1]; expected finite numbers",
    2: "step 1 (seed 0): the observation has nan at [1]; expected finite numbers",
    3: "step 0 (seed 0): the observation is float64; expected float32",
    4: "step 1 (seed 0): the observation has shape (4,); expected (3,)",
    5: "step 5 (seed 0): the observation has shape (4,); expected (3,)",
    6: "step 5 (seed 0): the observation has 11 at [2]; expected -10 to 10",
    7: "step 0 (seed 0): the observation is a list; expected an array",
    8: "step 1 (seed 0): the observation of step 0 was changed by step 1; expected an array of its own",
    9: "step 1 (seed 0): the reward is nan; expected a finite number",
    10: "step 20 (seed 0): the reward is nan; expected a finite number",
    11: "step 1 (seed 0): the reward is inf; expected a finite number",
    12: "step 1 (seed 0): the reward is array(1.), a ndarray of shape (); expected a number",
    13: "step 1 (seed 0): the reward is array([1.]), a ndarray of shape (1,); expected a number",
    14: "step 1 (seed 0): the reward is None, a NoneType; expected a number",
    15: "step 1 (seed 0): the reward is 1e+30; expected at most 1e+15",
    16: "step 1 (seed 0): step returns four values, as before Gym 0.26; expected (observation, reward, terminated, ",
    17: "step 1 (seed 0): terminated is 0, a int; expected True or False",
    18: "step 50 (seed 1124): all of 5 episodes terminated at step 50; expected truncated, if that is a time limit",
    19: "step 3000 (seed 1120): the episode has not ended after 3,000 steps of random actions, and no time limit is",
    20: "step 1 (seed 1139): 20 of 20 episodes ended at step 1; expected episodes of several steps",
    21: "step 50 (seed 0): terminated and truncated at once; expected one of them",
    22: "step 1 (seed 0): drew from the global np.random or random; expected random numbers from the seed",
    23: "step 4 (seed 0): drew from the global np.random or random; expected random numbers from the seed",
    24: "step 0 (seed 0): the same seed and actions gave another first observation; expected the same",
    25: "step 0 (seed 0): a reset after use gave another episode than the same seed in a new instance; expected the same",
    26: "another first observation (meanwhile Faulty.shared, which all instances share, has changed); expected the same",
    27: "step 1 (seed 0): info is another; expected the same when the same seed and actions are played again",
    28: "step 0 (seed 0): reset returns one ndarray; expected (observation, info)",
    29: "step 0 (seed 0): reset raises TypeError: WithoutSeed.reset() got an unexpected keyword argument 'seed'; expected",
    30: ": its actions have no bounds: Box(-inf, inf, (1,), float32); expected finite low and high",
    31: ": its actions start at 1: Discrete(2, start=1); expected 0",
    32: ": its action space Dict('a': Discrete(2), 'b': Discrete(2)) is not supported; expected Discrete, Box, ",
    33: "step 7 (seed 0): step raises RuntimeError: the motor is stuck (faulty_environments.py:",
}


def found_in(id, longest=3000, **knobs):
    config, found = sections.Environment(id=id, **knobs), []
    Inspection(lambda: making.single(config, flat=False), found.append, longest=longest).thorough()
    return found


@pytest.mark.parametrize("fault", HOW, ids=lambda fault: f"{fault}: {faulty.FAULTS[fault]}")
def test_a_fault_is_found_and_nothing_else(fault):
    """One finding, of the kind that it should be, that says where it was. Caught, when planted: no copy of what came
    (8), no look at the class (26), no look at the global generators (22), nothing played twice (24)."""
    (one,) = found_in(faulty.name_of(fault))
    assert one.kind == (QUESTION if fault in faulty.QUESTIONS else NOTE if fault in faulty.NOTES else FAULT)
    assert HOW[fault] in one.line(faulty.name_of(fault))


def test_the_healthy_base_has_none():
    assert found_in("Healthy-v0") == []


OWN = [
    *("CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1", "Acrobot-v1"),
    *("Blackjack-v1", "FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "Taxi-v4"),
]
BOX2D = ["LunarLander-v3", "LunarLanderContinuous-v3", "BipedalWalker-v3"]


@pytest.mark.parametrize("id", [*OWN, *(BOX2D if importlib.util.find_spec("Box2D") else [])])
def test_gymnasiums_own_environments_have_none(id):
    """No fault and no question; a note where an engine replays nearly (BipedalWalker). Caught, when planted: that called
    a fault."""
    if id not in gymnasium.registry:
        pytest.skip(f"{id} is not of this version of Gymnasium")
    assert [one.line(id) for one in found_in(id, longest=2**17) if one.kind != NOTE] == []


def test_a_both_flags_at_the_registered_limit_is_no_fault():
    """Gymnasium's TimeLimit says truncated at the limit, whatever the task itself says. Caught, when planted: no look at
    the limit."""
    gymnasium.register("Limited-v0", faulty.Faulty, kwargs={"fault": 18}, max_episode_steps=faulty.LENGTH)
    assert found_in("Limited-v0") == []
    del gymnasium.registry["Limited-v0"]


# -- the command


def test_a_healthy_environment_is_exit_code_0(elsewhere):
    code, out, err = command("check_env", "faulty_environments:Healthy-v0")
    assert (code, out) == (0, "faulty_environments:Healthy-v0: no fault found\n")
    assert err.startswith("imports faulty_environments:Healthy-v0 from ") and err.count("\n") == 1


def test_a_step_that_stalls_is_named_within_the_timeout_and_a_second(elsewhere):
    began = time.monotonic()
    report = check_env.check_env("faulty_environments:Fault34-v0", timeout=0.5)
    (line,) = report.lines()
    assert line.startswith(
        "fault: faulty_environments:Fault34-v0, step 5 (seed 0): step takes longer than 0.5 s; expected an answer; "
    )
    assert not report.healthy and time.monotonic() - began < 30  # of which starting the process takes all but one


def test_a_process_that_dies_is_named(elsewhere):
    code, out, _ = command("check_env", "faulty_environments:Dying-v0", "--json")
    found = json.loads(out)
    assert code == 1 and found["healthy"] is False
    assert found["findings"][0]["line"].startswith(
        "faulty_environments:Dying-v0, step 5 (seed 0): its process ended with exit code 3; expected an answer"
    )


def test_json_is_one_object_whatever_the_environment_prints(elsewhere):
    words = ["faulty_environments:Dying-v0", "environment.kwargs={how: prints}", "--json"]
    code, out, err = command("check_env", *words)
    assert code == 0 and json.loads(out)["findings"] == []
    assert "a line on stdout" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["NoSuch-v0"], "environment.id: NoSuch-v0 is not registered with Gymnasium"),
        (["faulty_environments:Healthy-v0", "environment.kwargs={fualt: 1}"], "cannot be made: TypeError"),
        (["environment.dynamics=a:B"], "environment.dynamics: no file a.py in"),
        (["missing.yaml"], "missing.yaml: no such file"),
        (["Healthy-v0", "--timeout", "0"], "--timeout: got 0; expected seconds above 0"),
    ],
)
def test_what_cannot_be_checked_is_exit_code_2_and_one_line(words, message, capsys, elsewhere):
    assert check_env.main(words) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("imports ")]
    assert out == "" and len(lines) == 1 and message in lines[0]


def test_a_part_that_is_no_numbers_is_named_and_nothing_else():
    """Found: no fault at all, or a traceback of a space that cannot say what belongs to it."""
    told = [one.line("") for one in found_in("probe_environments:MissionObs-v0") if one.kind == FAULT]
    assert ["its observation['mission'] is of MissionSpace, which is not supported" in line for line in told] == [
        True
    ], told
