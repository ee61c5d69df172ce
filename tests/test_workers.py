"""Environments in processes of their own: the same results, every fault named, and what follows it."""

import mmap
import os
import re
import signal
import subprocess
import sys
import threading
import time

import faulty_environments
import gymnasium
import numpy as np
import pytest
from helpers_runs import assert_equal_runs, ran, resumed, small

from pg_theano.config import knobs as sections
from pg_theano.config import reading as configs
from pg_theano.environments import making, spreading, workers
from pg_theano.system import bells, machine
from pg_theano.training.evaluating import Evaluator
from pg_theano.training.playing.episodes import collect
from pg_theano.training.playing.noise import uniforms
from pg_theano.training.playing.stretches import Segments
from pg_theano.training.setting import Progress
from pg_theano.training.specs import spec_of
from pg_theano.types import OF_EVERY_POLICY, RETURN_SO_FAR, UserError

SLOW = pytest.mark.slow
UNTRUSTED = "faulty_environments:Untrusted-v0"


def made(id=UNTRUSTED, num_envs=5, **knobs):
    config = sections.Environment(id=id, **knobs)
    environment = making.make(config, num_envs=num_envs, dtype="float32", single_environments=True)
    environment.told = []
    environment.report = environment.told.append
    return environment


def act(state, obs, noise, knobs, choice):
    """Actions that depend on the observation: what goes wrong with one goes wrong with the next."""
    return ((noise[:, 0] + obs[:, 0]) % 1 < 0.5).astype(np.int32), np.zeros(len(obs), np.float32)


def act_box(state, obs, noise, knobs, choice):
    return (3 * noise[:, :2] - 1 + 0 * obs[:, :1]).astype(np.float32), np.zeros(len(obs), np.float32)


def episodes(environment, number=12, act=act, **options):
    return collect(
        environment,
        act,
        {},
        {},
        num_episodes=number,
        draw=uniforms(2, "float32"),
        episode_seeds=np.random.default_rng(0),
        action_noise=np.random.default_rng(1),
        dtype="float32",
        **options,
    )


def stretches(environment, number=3, steps=9, act=act):
    """Several stretches, put one after the other; and what a checkpoint would hold after them."""
    segments, played = Segments(environment, dtype="float32"), []
    for update in range(number):
        noise = np.random.default_rng([update, 0]).random((steps, environment.num_envs, 2), np.float32)
        rng = np.random.default_rng([update, 1])
        played.append(segments.collect(act, {}, {}, noise=noise, episode_seeds=rng))
    return played, segments.arrays(segments.settle())


def assert_same(one, two):
    for name in OF_EVERY_POLICY:
        assert getattr(one.rollout, name).tobytes() == getattr(two.rollout, name).tobytes(), name
    assert one.returns.tobytes() == two.returns.tobytes()
    assert one.lengths.tobytes() == two.lengths.tobytes()
    assert one.env_steps == two.env_steps


def assert_same_stretches(one, two):
    for first, second in zip(one[0], two[0], strict=True):
        assert_same(first, second)
    assert {name: array.tobytes() for name, array in one[1].items()} == {
        name: array.tobytes() for name, array in two[1].items()
    }


# -- the same results


@pytest.mark.parametrize("count", [2, pytest.param(9, marks=pytest.mark.slow)])
def test_results_are_those_of_this_process_bit_for_bit(count):
    """Whole episodes (more and fewer than environments), then stretches; and every step by itself, with environments
    left out. Caught, when planted: a worker's rows counted from 0, results not copied, the last reward of a worker
    that is left out altogether given again."""
    with_workers, here = made(workers=count), made()
    assert with_workers.task == here.task
    for number in (12, 3):
        assert_same(episodes(with_workers, number), episodes(here, number))
    assert_same_stretches(stretches(with_workers), stretches(here))
    seeds, first, last = np.arange(5), np.arange(5) == 0, np.arange(5) >= 3
    for one in (with_workers, here):
        one.begin(np.ones(5, bool), seeds, all_over=True)
        one.step(np.ones(5, np.int32))
        one.park(first | last)
    told = [
        [[part.copy() for part in one.step(np.ones(5, np.int32))] for _ in range(3)] for one in (with_workers, here)
    ]
    for mine, plain in zip(*told, strict=True):
        assert [part.tobytes() for part in mine] == [part.tobytes() for part in plain]
    again = [one.begin(last, seeds + 7) for one in (with_workers, here)]
    assert again[0].tobytes() == again[1].tobytes() and with_workers.seeds == here.seeds
    with_workers.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "knobs", "how"),
    [
        (UNTRUSTED, {"kwargs": {"box": True}}, act_box),
        ("CartPole-v1", {}, act),
        ("probe_environments:ActionsFromOne-v0", {}, act),
        ("probe_environments:DictObs-v0", {}, act),
        ("Pendulum-v1", {"wrappers": ["gymnasium.wrappers:TimeAwareObservation"], "max_episode_steps": 20}, None),
    ],
)
def test_and_so_with_other_spaces(id, knobs, how):
    def one_number(state, obs, noise, knobs, choice):
        return (4 * noise[:, :1] - 2).astype(np.float32), np.zeros(len(obs), np.float32)

    with_workers, here = made(id, workers=2, **knobs), made(id, **knobs)
    assert_same(episodes(with_workers, 7, how or one_number), episodes(here, 7, how or one_number))
    with_workers.close()


@pytest.mark.slow
def test_a_run_is_the_same_run_and_goes_on_where_it_stopped(elsewhere):
    """Training, evaluation, checkpoints; interrupted by its budget and resumed, with episodes open."""
    ppo = {"name": "ppo", "num_steps": 8}
    ran(small(algorithm=ppo, environment={"id": UNTRUSTED}), "here")
    spread = small(algorithm=ppo, environment={"id": UNTRUSTED, "workers": 1})
    ran(spread | {"budget": {"updates": 3}}, "halves")
    resumed("halves", "budget.updates=6")
    assert_equal_runs("here", "halves")


def spread_over(monkeypatch, seconds=1e-3, cores=2, num_envs=5, steps=None, id=UNTRUSTED, own=True, load=1.0, **knobs):
    """Environments as `environment.workers: auto` steps them, where a step takes so long and there are so many cores."""
    monkeypatch.setattr(spreading, "step_seconds", lambda environment: seconds)
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "load", lambda: load)
    monkeypatch.setattr(making, "is_gymnasiums_own", lambda config: own)
    config = sections.Environment(id=id, workers="auto", **knobs)
    made = making.make(config, num_envs=num_envs, dtype="float32", single_environments=True)
    return made, spreading.spread(made, config, dtype="float32", squash=False, folders=[], steps=steps)


@pytest.mark.parametrize("cores", [2, pytest.param(3, marks=SLOW), pytest.param(9, marks=SLOW)])
def test_and_so_where_this_process_steps_a_share_itself(monkeypatch, cores):
    """Whole episodes, stretches, and one that goes on where a checkpoint was. Caught, when planted: what a worker begins
    ahead of being asked begun by other seeds, or by those of the step before; the last observation given for the first."""
    _, spread = spread_over(monkeypatch, cores=cores)
    number = min(cores, 5) - 1
    assert spread.kind == f"in this process and {number} worker process{'es' * (number > 1)}, as a step takes 1000 µs"
    here = made()
    assert spread.task == here.task and spread.replays() == here.replays()
    for number in (12, 3):
        assert_same(episodes(spread, number), episodes(here, number))
    assert_same_stretches(stretches(spread), stretches(here))
    _, saved = stretches(made(), number=1, steps=3)
    outcomes = []
    for one in (spread, here):
        segments = Segments(one, dtype="float32")
        segments.restore(saved)
        noise = np.random.default_rng(5).random((9, 5, 2), np.float32)
        outcomes.append(segments.collect(act, {}, {}, noise=noise, episode_seeds=np.random.default_rng(6)))
    assert_same(*outcomes)
    spread.close()


@pytest.mark.slow
def test_and_so_without_bells(monkeypatch):
    """As on a system whose C library has no semaphores that processes share: every message goes through the socket."""
    monkeypatch.setattr(bells, "_KEEPING", None)
    with_workers = made(workers=2)
    assert with_workers._children[0].line._bells is None
    assert_same_stretches(stretches(with_workers), stretches(made()))
    with_workers.close()


def test_a_bell_is_heard_once_each_time_it_is_rung():
    memory = mmap.mmap(-1, 4096)
    bell, same = bells.bell(memory, 64, new=True), bells.bell(memory, 64)
    assert bell.heard(0.001) is None
    for letter in (b"s", b"k"):
        same.ring(letter)
        assert bell.heard(1.0) == letter
    assert same.heard(0.001) is None


# -- whether it pays


@pytest.mark.parametrize(
    ("seconds", "number", "cores", "steps", "expected"),
    [
        (5e-6, 16, 2, None, False),  # CartPole
        (25e-6, 16, 2, None, True),  # LunarLander
        (75e-6, 8, 2, None, True),  # Hopper
        (75e-6, 1, 2, None, False),
        (75e-6, 2, 2, None, False),
        (200e-6, 2, 2, None, True),
        (1e-3, 8, 1, None, False),
        (1e-3, 8, 2, 1000, False),  # a run of a second
        (1e-3, 8, 2, 100_000, True),
    ],
)
def test_workers_are_started_where_they_save_time(seconds, number, cores, steps, expected):
    """Caught, when planted: the time that it takes to start them left out."""
    assert spreading.pays(seconds, number, cores, steps) is expected


def test_what_a_step_takes_is_measured_in_milliseconds():
    """By a clock that a planted environment moves on: resets are not counted, and a slow one is stepped few times.
    Caught, when planted: a slow environment stepped 64 times."""
    for seconds, steps in ((1e-5, spreading.MOST_STEPS), (1.1e-3, 5), (0.1, spreading.LEAST_STEPS)):
        environment, now, taken = made(), [0.0], []
        environment.slots[0].env = Clocked(environment.slots[0].env, now, seconds, taken)
        assert spreading.step_seconds(environment, lambda now=now: now[0]) == pytest.approx(seconds)
        assert len(taken) == steps
    environment.slots[0].env = Clocked(environment.slots[0].env, now, None, taken)
    assert spreading.step_seconds(environment) == 0.0


class Clocked(gymnasium.Wrapper):
    """Moves a clock on; fails where a step takes no time at all."""

    def __init__(self, env, now, seconds, taken):
        super().__init__(env)
        self.now, self.seconds, self.taken = now, seconds, taken

    def reset(self, **how):
        self.now[0] += 1.0
        return self.env.reset(**how)

    def step(self, action):
        self.now[0] += self.seconds
        self.taken.append(action)
        return self.env.step(action)


def test_an_evaluation_has_the_other_cores_too(monkeypatch):
    """The same figures; while the processes that train wait, their load is no reason against it.
    Caught, when planted: the run's own processes counted as load; what one evaluation may take in place of all."""
    config = configs.from_dict(small(environment={"id": UNTRUSTED, "max_episode_steps": 100}))
    one = making.make(config.environment, num_envs=1, dtype="float32")

    def evaluated(auto, ours=1, seconds=1e-3, steps=10**6):
        for name, value in {"cores": lambda: 2, "load": lambda: 2.0}.items():
            monkeypatch.setattr(machine, name, value)
        monkeypatch.setattr(spreading, "step_seconds", lambda environment: seconds)
        monkeypatch.setattr(making, "is_gymnasiums_own", lambda config: auto)
        evaluator = Evaluator(config, spec_of(config, one.task), [], 5)
        evaluator.ours, evaluator.steps = ours, steps
        try:
            figures = evaluator(act, {}, episodes=5, seed=np.random.SeedSequence(1), choice=1)
            return type(evaluator.environment), figures
        finally:
            evaluator.close()

    plain = evaluated(auto=False)
    assert evaluated(auto=True, ours=2) == (workers.Workers, plain[1])
    assert evaluated(auto=True) == plain
    assert evaluated(auto=True, ours=2, steps=None) == plain


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 1e-6},
        {"cores": 1},
        {"load": 2.0},
        {"num_envs": 1},
        {"look": False},
        {"own": False},
        {"id": "Alone-v0"},
    ],
    ids=str,
)
def test_where_it_does_not_pay_or_cannot_be_nothing_changes(monkeypatch, changes):
    """`environment.look=false` plays nothing before training; a task that is not Gymnasium's own may keep what is seen
    by others of its environments. An id that this process alone knows is stepped here."""
    if "id" in changes:
        lock = threading.Lock()
        gymnasium.register("Alone-v0", lambda: lock and faulty_environments.Untrusted())
    before, after = spread_over(monkeypatch, **changes)
    assert not isinstance(after, workers.Workers)
    assert_same(episodes(after), episodes(made(num_envs=before.num_envs)))


# -- faults

NAMED = r"Untrusted-v0, environment \d, step 5 \(seed \d+\): "
FAULTS = {
    "raise": NAMED + r"step raises RuntimeError: the motor is stuck; its action was [01]",
    "kill": NAMED + r"its process was killed \(signal 9, SIGKILL\); its action was [01]",
    "exit": NAMED + r"its process ended with exit code 3; its action was [01]",
    "hang": NAMED + r"step takes longer than environment.timeout = 0.5 s; its action was [01]",
    "locked": NAMED + r"step takes longer than environment.timeout = 0.5 s; its action was [01]",
}


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.touch()
    return str(path)


@pytest.mark.parametrize("how", ["kill", *(pytest.param(how, marks=SLOW) for how in ("raise", "exit", "hang"))])
def test_a_fault_is_named_and_stops_the_run(how, token):
    """With environment, step, seed and action, within the timeout and a second."""
    environment = made(workers=2, timeout=0.5, kwargs={"how": how, "token": token})
    began = time.monotonic()
    with pytest.raises(
        UserError, match=FAULTS[how] + ".*; to go on after a fault: environment.on_fault=skip or restart"
    ):
        episodes(environment)
    assert time.monotonic() - began < 5.5
    environment.close()


@pytest.mark.slow
def test_a_fault_beside_this_process_is_named_as_well(monkeypatch, token):
    """In a worker, and in the share that this process steps; also one of a reset that was made ahead."""
    for at, first in ((5, 2), (0, 2), (0, 12)):  # of which environment 0 has had ten, to see whether it replays
        kwargs = {"how": "raise", "token": token, "at": at, "first_episode": first}
        _, spread = spread_over(monkeypatch, kwargs=kwargs)
        with pytest.raises(
            UserError, match=rf"environment \d, step {at} \(seed \d+\): (step|reset) raises .*the motor"
        ):
            stretches(spread, number=19)
        spread.close()
        open(token, "w").close()


@pytest.mark.parametrize("how", ["kill", *(pytest.param(how, marks=SLOW) for how in ("raise", "locked"))])
def test_after_a_restart_everything_is_as_if_nothing_had_been(how, token):
    """Bit for bit, whole episodes; and it is said what happened. Caught, when planted: the step that failed taken twice
    by the environments beside it, the episodes beside it begun anew, actions of the episode before replayed too."""
    kwargs = {"how": how, "token": token, "first_episode": 2}
    environment = made(workers=2, timeout=0.5, on_fault="restart", kwargs=kwargs)
    assert_same(episodes(environment), episodes(made()))
    (told,) = environment.told
    assert re.search(
        FAULTS[how] + r".*; its process is started again, its episodes are replayed \(fault 1 of at most 10\)", told
    )
    environment.close()


@pytest.mark.slow
def test_and_so_in_stretches(token):
    """Where episodes reach over several; also for an episode that was opened by a resumed run. Caught, when planted:
    actions from before the resume forgotten."""
    kwargs = {"how": "hang", "token": token, "at": 5}
    environment = made(workers=2, timeout=0.5, on_fault="restart", kwargs=kwargs)
    here = made()
    assert_same_stretches(stretches(environment), stretches(here))
    assert len(environment.told) == 1
    _, saved = stretches(here, number=1, steps=3)
    outcomes = []
    for one in (environment, here):
        segments = Segments(one, dtype="float32")
        segments.restore(saved)
        open(token, "w").close()  # all of them are at step 3 now
        noise = np.random.default_rng(5).random((9, 5, 2), np.float32)
        outcomes.append(segments.collect(act, {}, {}, noise=noise, episode_seeds=np.random.default_rng(6)))
    assert_same(*outcomes)
    assert len(environment.told) == 2
    environment.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "nan"])
def test_skip_drops_the_episode_and_nothing_else(how):
    """What the other environments play is, bit for bit, what it is where nothing goes wrong. Caught, when planted: the
    mask left at 1, its return counted as 0, another environment than the one at fault."""
    kwargs = {"how": how, "share": 0.4}
    environment = made(workers=2, on_fault="skip", max_faults=30, kwargs=kwargs)
    played, whole = episodes(environment, 16), episodes(made(kwargs=kwargs | {"how": "none"}), 16)
    assert 0 < len(environment.told) == environment.faults < 10
    at_fault = {int(re.search(r"environment (\d), step 5", told)[1]) for told in environment.told}
    assert at_fault & {3, 4} and at_fault < {0, 1, 2, 3, 4}
    assert len(played.returns) == len(played.lengths) == 16 - environment.faults
    mask = played.rollout.mask
    assert mask.any(axis=1).sum() == len(played.returns)
    assert played.env_steps == mask.sum() == played.lengths.sum()
    for e in range(16):
        if e % 5 not in at_fault:
            for name in OF_EVERY_POLICY:
                assert np.array_equal(getattr(played.rollout, name)[e], getattr(whole.rollout, name)[e])
    before = environment.faults
    with_lost = episodes(environment, 16, with_lost=True, keep=())
    assert np.isnan(with_lost.returns).sum() == (with_lost.lengths == 0).sum() == environment.faults - before > 0
    environment.close()


@pytest.mark.slow
def test_skip_in_stretches_leaves_the_steps_of_the_episode_out():
    """mask 0 from where the episode began, or the stretch, to the fault, five steps at most; its return is not counted.
    Caught, when planted: the step of the fault alone left out, the return of the lost episode kept."""
    environment = made(workers=2, on_fault="skip", max_faults=40, kwargs={"how": "raise", "share": 0.2})
    played, _ = stretches(environment, steps=20)
    holes = 0
    for one in played:
        mask, over = one.rollout.mask, one.rollout.truncated
        assert one.env_steps == mask.sum()
        assert not one.rollout.terminated.any() and np.isfinite(one.returns).all()
        assert len(one.returns) == (over & (mask == 1)).sum()
        for e in range(5):
            begun = 0
            for end in np.flatnonzero(over[e]):
                episode = mask[e, begun : end + 1]
                assert episode.min() == episode.max()
                if not episode[0]:
                    holes += 1
                    assert len(episode) == 5 or begun == 0
                begun = end + 1
            assert mask[e, begun:].all()
    assert holes == environment.faults > 0
    environment.close()


@pytest.mark.slow
def test_a_lost_episode_that_was_open_before_is_named():
    """Its return so far, which scales rewards, is not the next episode's. Caught, when planted: every lost episode
    named, none named; the State kept as it was."""
    environment = made(workers=2, on_fault="skip", max_faults=200, kwargs={"how": "raise", "share": 0.3})
    played, _ = stretches(environment, steps=3, number=12)
    open_before, named = np.zeros(5, bool), 0
    for one in played:
        lost = np.array(
            [
                over.any() and not mask[over.argmax()]
                for over, mask in zip(one.rollout.truncated, one.rollout.mask, strict=True)
            ]
        )
        assert set(one.dropped) == set(np.flatnonzero(lost & open_before))
        named += len(one.dropped)
        open_before = ~one.rollout.truncated[:, -1]
    assert named > 0
    state = {RETURN_SO_FAR: np.arange(1.0, 4.0), "params": np.ones(2)}
    assert Progress(state).without([0, 2, 2])[RETURN_SO_FAR].tolist() == [0.0, 2.0, 0.0]
    assert state[RETURN_SO_FAR].tolist() == [1.0, 2.0, 3.0]
    environment.close()


@pytest.mark.slow
def test_a_run_that_skips_learns_from_what_is_left(elsewhere):
    config = small(environment={"id": UNTRUSTED, "workers": 2, "on_fault": "skip", "max_faults": 100,
                                "kwargs": {"how": "raise", "share": 0.1}})  # fmt: skip
    figures = ran(config, "run").figures
    assert figures["updates"] == 6 and figures["episodes"] < 24


@pytest.mark.slow
def test_the_budget_of_faults_ends_the_run():
    environment = made(workers=1, on_fault="skip", max_faults=1, kwargs={"how": "raise", "share": 1.0})
    with pytest.raises(UserError, match=NAMED + ".*; it is fault 2, and environment.max_faults is 1"):
        episodes(environment)
    environment.close()


@pytest.mark.slow
def test_a_fault_that_comes_again_when_replayed_ends_the_run():
    environment = made(workers=1, on_fault="restart", kwargs={"how": "raise", "share": 0.5})
    with pytest.raises(UserError, match="and so again when it was replayed"):
        episodes(environment)
    environment.close()


@pytest.mark.slow
def test_what_does_not_replay_is_dropped(token):
    kwargs = {"how": "kill", "token": token, "replays": False}
    environment = made(workers=1, num_envs=2, on_fault="restart", kwargs=kwargs)
    played = episodes(environment, 6)
    assert len(played.returns) == 4
    assert "environments 0, 1: does not replay; the episode is dropped" in environment.told[1]
    environment.close()


@pytest.mark.slow
def test_a_reset_that_fails_is_survived_too(token):
    environment = made(workers=2, num_envs=3, on_fault="skip", kwargs={"how": "raise", "token": token, "at": 0})
    assert len(episodes(environment, 6).returns) == 5
    assert "step 0" in environment.told[0] and "reset raises RuntimeError" in environment.told[0]
    environment.close()


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_waits_is_started_again():
    """From outside, by whoever runs out of memory. Nobody is to blame, and no episode is lost."""
    environment = made(workers=2, on_fault="skip")
    environment._children[1].kill()
    assert_same(episodes(environment), episodes(made()))
    assert "environments 3 to 4: its process was killed (signal 9, SIGKILL) while it waited" in environment.told[0]
    environment.close()


# -- the end


def in_group(pid):
    """The processes of a group that have not ended."""
    return subprocess.run(["pgrep", "-g", str(pid), "-r", "D,R,S,T"], capture_output=True, text=True).stdout.split()


PARENT = """
import sys, time
sys.path[:0] = {path!r}
import numpy as np
from pg_theano.config.knobs import Environment
from pg_theano.environments import making
knobs = Environment(id="faulty_environments:Untrusted-v0", workers=2, kwargs={{"how": {how!r}, "share": 1.0}})
environment = making.make(knobs, num_envs=2, dtype="float32")
print(*[child.process.pid for child in environment._children], flush=True)
environment.begin(np.ones(2, bool), np.arange(2), all_over=True)
for _ in range(9):
    environment.step(np.zeros(2, np.int32))
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["locked", "spawn"])
def test_no_orphan_is_left_when_the_parent_is_killed(how, tmp_path):
    """Though its workers hold the interpreter's lock for ever, or have started processes of their own."""
    code = PARENT.format(path=sys.path, how=how)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    time.sleep(1.0)
    assert all(map(in_group, pids))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 5
    while time.monotonic() < until and any(map(in_group, pids)):
        time.sleep(0.05)
    assert not any(map(in_group, pids))


@pytest.mark.slow
def test_close_does_not_hang_on_an_environment_that_does():
    environment = made(workers=2, kwargs={"how": "hangs in close"})
    children = [child.process for child in environment._children]
    began = time.monotonic()
    environment.close()
    assert time.monotonic() - began < workers.CLOSING + 2
    assert all(child.poll() is not None for child in children)
    environment.close()


def test_what_cannot_be_made_in_a_worker_is_said_as_it_would_be_here():
    with pytest.raises(UserError, match=r"Untrusted-v0: cannot be made: TypeError: .*'wieght'"):
        made(workers=2, kwargs={"wieght": 3})


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"workers": 2, "dynamics": "a:B"}, "environment.workers: environment.dynamics is stepped by a compiled graph"),
        (
            {"workers": 2, "engine": "compiled"},
            "environment.engine: got compiled; environment.workers step Gymnasium's",
        ),
        ({"on_fault": "skip"}, "environment.on_fault: skip needs environment.workers, such as 2; got auto"),
        ({"workers": 2, "timeout": 0}, "environment.timeout: got 0; expected a number above 0"),
    ],
)
def test_knobs_that_do_not_go_together(knobs, message):
    with pytest.raises(UserError, match=re.escape(message)):
        configs.from_dict({"environment": knobs})
