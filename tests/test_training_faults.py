"""What training itself says of a faulty environment: in one line, once; and of one that hangs."""

import io
import signal
import subprocess
import sys
import threading
import time

import faulty_environments as faulty
import numpy as np
import pytest
from helpers_runs import command, records, result, small

import pg_theano
from pg_theano.config import knobs
from pg_theano.environments import making, sound, watchdog
from pg_theano.system import machine
from pg_theano.training import loop
from pg_theano.training.display import Plain
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

SAID = {
    1: "error: environment 0, step 5 (seed 1040750625): the observation has nan",
    2: "error: environment 0, step 1 (seed 1040750625): the observation has nan",
    3: "warning: step 0 (seed 0): the observation is float64; expected float32",
    4: "error: environment 0, step 1 (seed 1040750625): the observation has shape (4,); its space says (3,)",
    5: "error: environment 0, step 5 (seed 1040750625): the observation has shape (4,); its space says (3,)",
    6: "warning: step 5 (seed 0): the observation has 11 at [2]; expected -10 to 10",
    7: "warning: step 0 (seed 0): the observation is a list; expected an array",
    8: "warning: step 1 (seed 0): the observation of step 0 was changed by step 1",
    9: "error: environment 0, step 1 (seed 1040750625): reward is nan",
    10: "error: environment 0, step 20 (seed 1040750625): reward is nan",
    11: "error: environment 0, step 1 (seed 1040750625): reward is inf",
    12: "warning: step 1 (seed 0): the reward is array(1.), a ndarray of shape ()",
    13: "error: environment 0, step 1 (seed 1040750625): reward is array([1.]); expected a number",
    14: "error: environment 0, step 1 (seed 1040750625): reward is None; expected a number",
    15: "error: environment 0, step 1 (seed 1040750625): reward is 1e+30; expected at most 1e+15 in size",
    16: "error: environment 0, step 1 (seed 1040750625): step returns 4 values; expected (observation, reward, termin",
    17: "warning: step 1 (seed 0): terminated is 0, a int; expected True or False",
    18: "question: all of 8 episodes terminated at step 50; expected truncated, if that is a time limit",
    19: "error: environment 0: an episode has not ended after 200 steps; expected an end; try environment.max_episode_steps=1000",
    20: "warning: step 1 (seed 63): 64 of 64 episodes ended at step 1",
    21: "warning: step 50 (seed 0): terminated and truncated at once",
    22: "warning: step 1 (seed 0): the same seed and actions gave another step",
    23: "warning: step 4 (seed 0): the same seed and actions gave another step",
    24: "warning: step 0 (seed 0): the same seed and actions gave another first observation",
    25: "warning: step 0 (seed 0): the same seed and actions gave another first observation",
    26: "warning: step 0 (seed 0): the same seed and actions gave another first observation (meanwhile Faulty.shared",
    27: None,  # nothing here reads `info`
    28: "error: environment 0, step 0 (seed 1040750625): reset returns one ndarray; expected (observation, info)",
    29: "error: environment 0, step 0 (seed 1040750625): reset raises TypeError: WithoutSeed.reset() got an unexpected",
    30: "warning: its actions have no bounds",
    31: None,  # actions begin where their space does
    32: "error: environment.id: its action space Dict('a': Discrete(2), 'b': Discrete(2)) is not supported",
    33: "error: environment 0, step 7 (seed 1040750625): step raises RuntimeError: the motor is stuck; its action was ",
    34: "error: environment 0, step 5 (seed 0): step takes longer than environment.timeout = 0.3 s, it stands at faulty_",
}
"""By number: whether it ends the run, and what is said. 32 of 34, and the other two harm nothing here."""


class Heard(Plain):
    """What is said, line by line."""

    def __init__(self):
        super().__init__(io.StringIO())
        self.lines = []

    def event(self, text):
        self.lines.append(text)


def trained(id, folder, **environment):
    """Every line of warning, question and error of a small run, without compiling anything."""
    heard = Heard()
    config = small(
        algorithm={"name": "vpg"},
        gradients="by_hand",
        environment={"id": id, "num_envs": 2} | environment,
        budget={"updates": 3},
    )
    try:
        pg_theano.run(config, run_dir=folder, plot=False, display=lambda title: heard)
    except UserError as error:
        heard.lines.append(f"error: {error}")
    return [line for line in heard.lines if line.startswith(("warning", "question", "error"))]


@pytest.mark.parametrize("fault", SAID, ids=lambda fault: f"{fault}: {faulty.FAULTS[fault]}")
def test_training_says_what_is_wrong_once(fault, tmp_path, monkeypatch):
    """Caught, when planted: no glance as it starts; a glance whose findings are told again by the error."""
    monkeypatch.setattr(sound, "LONGEST_EPISODE", 200)
    id = faulty.name_of(fault)
    lines = trained(id, tmp_path / "run", timeout=0.3 if fault == 34 else 120.0)
    bare = [line.replace(f" {id}: ", " ").replace(f" {id}, ", " ") for line in lines]
    if SAID[fault] is None:
        assert bare == []
    else:
        (line,) = bare
        assert line.startswith(SAID[fault])


def test_nothing_is_said_of_a_sound_one(tmp_path):
    """Nor is a glance taken at Gymnasium's own."""
    assert trained("Healthy-v0", tmp_path / "run") == []
    assert making.is_gymnasiums_own(knobs.Environment(id="Acrobot-v1"))
    assert not making.is_gymnasiums_own(knobs.Environment(id="Healthy-v0"))
    wrapped = knobs.Environment(id="Acrobot-v1", wrappers=["gymnasium.wrappers:TimeAwareObservation"])
    assert not making.is_gymnasiums_own(wrapped)


def test_a_glance_changes_nothing_of_a_run(tmp_path, monkeypatch):
    """Sound environments begin every episode from its seed."""
    from pg_theano.environments import inspection

    trained("Healthy-v0", tmp_path / "with")
    monkeypatch.setattr(inspection, "glanced", lambda *arguments: [])
    trained("Healthy-v0", tmp_path / "without")
    assert records(tmp_path / "with") == records(tmp_path / "without")


# -- an environment that hangs in this process


@pytest.mark.parametrize("how", ["hang", "spin"])
def test_a_step_that_hangs_is_named_and_the_run_is_saved(how, elsewhere, monkeypatch):
    """With environment, step, seed, action, and the line where it stands; nothing is wrapped around what is said.
    Caught, when planted: an Exception raised in it, which is then said to be the environment's own."""
    token = elsewhere / "token"
    kwargs, began = {"how": how, "token": str(token)}, time.monotonic()
    original = loop.Trainer.finish_update

    def finish_update(self, record):
        solved = original(self, record)
        if record["update"] == 1:
            token.touch()
        return solved

    monkeypatch.setattr(loop.Trainer, "finish_update", finish_update)
    (line,) = trained("faulty_environments:Untrusted-v0", "run", kwargs=kwargs, timeout=0.5)
    assert "step 5 (seed " in line and "raises" not in line
    assert "step takes longer than environment.timeout = 0.5 s, it stands at faulty_environments.py:" in line
    assert "; its action was " in line
    assert time.monotonic() - began < 0.5 + 5
    assert result("run")["status"] == "failed" and result("run")["updates"] == 2 == len(records("run"))


CATCHES_ALL = """
import time, gymnasium, numpy as np
class Env(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(1, np.float32), {}
    def step(self, action):
        self.time += 1
        while self.time == 3:
            try:
                time.sleep(60)
            except BaseException:
                pass
        return np.zeros(1, np.float32), 1.0, self.time == 9, False, {}
gymnasium.register("CatchesAll-v0", Env)
"""


@pytest.mark.slow
def test_what_catches_everything_ends_with_the_process(elsewhere):
    """In the timeout and five seconds, with one line and exit code 2."""
    (elsewhere / "catches_all.py").write_text(CATCHES_ALL)
    began = time.monotonic()
    words = ["environment.id=catches_all:CatchesAll-v0", "environment.timeout=0.5", "environment.engine=gymnasium"]
    code, _, err = command("train", *words, "--run-dir", "run", "--no-plot")
    assert code == 2 and time.monotonic() - began < 30
    assert "step 3 (seed 0): step takes longer than environment.timeout = 0.5 s, it stands at catches_all.py:" in err


@pytest.mark.slow
def test_a_process_that_was_stopped_does_not_hang():
    """Ctrl-Z, and on again after longer than the timeout. Caught, when planted: seconds counted, not looks."""
    code = (
        "import os, signal, subprocess, sys, time\n"
        "sys.path[:0] = " + repr(sys.path) + "\n"
        "import numpy as np\n"
        "from pg_theano.config import knobs\n"
        "from pg_theano.environments import making, watchdog\n"
        "env = making.make(knobs.Environment(id='faulty_environments:Untrusted-v0'), num_envs=1, dtype='float32')\n"
        "env.begin(np.ones(1, bool), np.zeros(1, int), all_over=True)\n"
        "def step(action):\n"
        "    for _ in range(15):\n"
        "        time.sleep(0.1)\n"
        "    return np.zeros(2, np.float32), 0.0, False, False, {}\n"
        "env.slots[0].env.step = step\n"
        "with watchdog.watching(2.0):\n"
        "    subprocess.Popen(['sh', '-c', f'sleep 0.8; kill -STOP {os.getpid()}; sleep 3; kill -CONT {os.getpid()}'])\n"
        "    env.step(np.zeros(1, int))\n"
        "print('on')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "on\n"), done.stderr


@pytest.mark.slow
def test_many_slow_steps_are_not_one_that_hangs():
    """Caught, when planted: the call looked at, and not which environment's."""
    env = making.make(knobs.Environment(id="Healthy-v0"), num_envs=8, dtype="float32")
    env.begin(np.ones(8, bool), np.arange(8), all_over=True)
    for slot in env.slots:
        slot.env.step = lambda action: time.sleep(0.12) or (np.zeros(3, np.float32), 0.0, False, False, {})
    began = time.monotonic()
    with watchdog.watching(0.5):
        obs, *_ = env.step(np.zeros(8, np.int32))
    assert len(obs) == 8
    assert time.monotonic() - began > 0.5  # all of them together take longer than one may


def test_a_watch_leaves_the_process_as_it_was():
    before = signal.getsignal(machine.WAKES)
    with watchdog.watching(1.0):
        assert any(thread.name == "watchdog" for thread in threading.enumerate())
    assert signal.getsignal(machine.WAKES) == before
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())
    with watchdog.watching(None):
        assert not any(thread.name == "watchdog" for thread in threading.enumerate())
