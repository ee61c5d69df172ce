"""Runs whose episodes stay open from one update to the next: killed or interrupted anywhere, and resumed."""

import contextlib
import io
import json
import random
import re
import signal
import time

import numpy as np
import pytest
from helpers_runs import (
    as_arguments,
    assert_equal_runs,
    assert_equal_states,
    command,
    merged,
    ran,
    records,
    result,
    resumed,
)
from test_runs import started

import pg_theano
from pg_theano import train
from pg_theano.reports import plots, screen
from pg_theano.runs import checkpoints, curves, seeds
from pg_theano.runs import folder as runs
from pg_theano.system import writing
from pg_theano.training import display, judging, looking, minibatches, saving
from pg_theano.training.playing import collecting

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

COMMON = {
    "environment": {"num_envs": 3},
    "policy": {"hidden": [4], "activation": "tanh"},
    "evaluation": {"episodes": 3, "every_updates": 2},
    "normalize": {"observations": True, "rewards": True},
    "budget": {"updates": 6},
}
STRETCHES = {"name": "ppo", "num_steps": 12, "num_epochs": 2, "num_minibatches": 5}  # 5 does not divide 36
WHOLE = {"num_epochs": 2, "num_minibatches": 2}
FEW = {"schedules": {"episodes_per_update": {"initial": 3}}}
CASES = {
    "ppo, compiled": {"environment": {"id": "CartPole-v1", "max_episode_steps": 30}, "algorithm": STRETCHES},
    "ppo, gymnasium": {"environment": {"id": "probe_environments:EitherEnd-v0"}, "algorithm": STRETCHES},
    "ppo, compiled, Box, gSDE": {
        "environment": {"id": "Pendulum-v1", "max_episode_steps": 30},
        "algorithm": STRETCHES,
        "policy": {"noise": "state_dependent", "noise_every": 5},
    },
    "ppo, Box, pink": {
        "environment": {"id": "Pendulum-v1", "engine": "gymnasium", "max_episode_steps": 30},
        "algorithm": STRETCHES,
        "policy": {"noise": "pink"},
    },
    "ppo, Box, gSDE": {
        "environment": {"id": "Pendulum-v1", "engine": "gymnasium", "max_episode_steps": 30},
        "algorithm": STRETCHES,
        "policy": {"noise": "state_dependent"},
    },
    "a2c, shared": {
        "environment": {"id": "probe_environments:EitherEnd-v0"},
        "algorithm": {"name": "a2c", "num_steps": 12},
        "policy": {"shared": True},
    },
    "vpg, stretches": {
        "environment": {"id": "probe_environments:EitherEnd-v0"},
        "algorithm": WHOLE | {"name": "vpg", "num_steps": 12},
    },
    "vpg, whole episodes": {
        "environment": {"id": "CartPole-v1", "max_episode_steps": 30},
        "algorithm": WHOLE | {"name": "vpg"},
        **FEW,
    },
    "trpo, whole episodes": {
        "environment": {"id": "probe_environments:EitherEnd-v0"},
        "algorithm": WHOLE | {"name": "trpo", "target_kl": 0.05},
        **FEW,
    },
    "does not replay": {
        "environment": {"id": "probe_environments:WildLater-v0"},
        "algorithm": STRETCHES | {"num_steps": 8},
    },
}
QUICK = ["ppo, compiled", "ppo, gymnasium", "does not replay"]
INTERVALS = [1, 2, None]
# Each case at one interval of checkpoints, the three in turn; the first of all at all three.
TURNS = [(name, INTERVALS[place % 3]) for place, name in enumerate(CASES)]
TURNS += [(next(iter(CASES)), every) for every in INTERVALS[1:]]
AT_RANDOM = [
    pytest.param(name, every, id=f"{name}-{every}", marks=() if place in (0, 2) else pytest.mark.slow)
    for place, (name, every) in enumerate(TURNS)
]
EVERY = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in CASES]


def case(name, **changes):
    return merged(merged(COMMON, CASES[name]), changes)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The folder of a case's run that was never stopped, and how many moments it had."""
    known = {}

    def of(name, monkeypatch):
        if name not in known:
            folder = tmp_path_factory.mktemp("straight") / "run"
            with monkeypatch.context() as patch:
                moments = Moments(patch)
                ran(case(name, checkpoint={"every_updates": 1}), folder)
            known[name] = folder, moments.passed
        return known[name]

    return of


class Moments:
    """Counts moments of a run, between any two things that it does, and raises at one of them."""

    PLACES = (
        (collecting._Common, "generator"),
        (minibatches, "of_update"),
        (looking, "check_finite"),
        (judging.Judge, "evaluation"),
        (saving.Saver, "settle"),
        (saving.Saver, "save_when_due"),
        (saving.Saver, "finish"),
        (runs.RunFolder, "record"),
        (runs.RunFolder, "flush"),
        (display.Quiet, "update"),
        (checkpoints, "prune"),
        (writing, "write_atomically"),
    )

    def __init__(self, monkeypatch, at=None, what=KeyboardInterrupt):
        self.passed, self.at, self.what = 0, at, what
        for owner, name in self.PLACES:
            monkeypatch.setattr(owner, name, self.counted(getattr(owner, name)))
        original = collecting.programs.noise_of
        monkeypatch.setattr(
            collecting.programs, "noise_of", lambda *given: self.counted(original(*given))
        )  # before each stretch, and in the middle of whole episodes and of evaluations

    def counted(self, original):
        def passing(*arguments, **options):
            for when in (True, False):  # before and after
                self.passed += 1
                if self.passed == self.at:
                    raise self.what
                if when:
                    done = original(*arguments, **options)
            return done

        return passing


def gone_on(folder):
    """Resume, unless the run was over."""
    over = (folder / "result.json").exists() and result(folder)["status"] == "budget"
    if not over:
        resumed(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "every"), AT_RANDOM)
def test_stopped_at_random_moments_and_resumed_equals_never_stopped(name, every, straight, tmp_path, monkeypatch):
    """By Ctrl-C, and killed without a word; then once more while it goes on.

    Caught, when planted: open episodes left out of a checkpoint, or those of the update before or after, their returns,
    lengths or states alone; the reward normaliser's sums forgotten; an interrupted stretch not taken back; minibatches
    or noise drawn from one generator for all updates; an environment that does not replay left open.
    """
    reference, moments = straight(name, monkeypatch)
    rng = random.Random(f"{name} {every}")
    for what in (KeyboardInterrupt, SystemExit):
        folder = tmp_path / what.__name__
        for attempt in (1, 2):
            with monkeypatch.context() as patch, contextlib.suppress(what):
                Moments(patch, rng.randrange(1, moments // attempt), what)
                if attempt == 1:
                    ran(case(name, checkpoint={"every_updates": every}), folder)
                elif (folder / "config.yaml").exists():  # else it was stopped before there was a run
                    gone_on(folder)
        if (folder / "config.yaml").exists():
            gone_on(folder)
            assert_equal_runs(reference, folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 9))
def test_a_set_killed_before_it_is_a_run_goes_on(number, tmp_path, monkeypatch):
    """At each of the first things that it writes: the set's, the first seed's, its best checkpoint and its newest.

    Caught, when planted: the config, which makes a folder a run, written before what a resumed run reads; a best
    checkpoint taken for one to go on from.
    """
    with monkeypatch.context() as patch:
        original, calls = writing.write_atomically, []

        def killed(*arguments, **options):
            calls.append(1)
            if len(calls) == number:
                raise SystemExit
            original(*arguments, **options)

        patch.setattr(writing, "write_atomically", killed)
        with pytest.raises(SystemExit):
            ran(case("ppo, gymnasium", runs=2, budget={"updates": 2}), tmp_path / "many")
    if not (tmp_path / "many" / seeds.PLAN).exists():
        assert not any((tmp_path / "many").glob("seed-*"))  # nothing was begun
        return
    assert resumed(tmp_path / "many").figures["seeds"] == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_evaluating_and_saving_often_or_never_changes_nothing(name, straight, tmp_path, monkeypatch):
    """Caught, when planted: a stretch begun anew at a checkpoint, or at an evaluation."""
    reference, _ = straight(name, monkeypatch)
    without = ["evaluation"]
    for number, (every, episodes, saved) in enumerate([(1, 2, None), (1000, 3, 2)]):
        evaluation = {"every_updates": every, "episodes": episodes, "sampled": number == 0}
        ran(case(name, evaluation=evaluation, checkpoint={"every_updates": saved}), tmp_path / str(number))
        assert records(tmp_path / str(number), without) == records(reference, without)
        one, other = (checkpoints.newest(folder / "checkpoints") for folder in (reference, tmp_path / str(number)))
        assert_equal_states(one.state, other.state)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_a_raised_budget_goes_on(name, straight, tmp_path, monkeypatch):
    reference, _ = straight(name, monkeypatch)
    ran(case(name, budget={"updates": 3}), tmp_path / "run")
    resumed(tmp_path / "run", "budget.updates=6")
    assert_equal_runs(reference, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_solved_run_that_goes_on_is_the_one_that_never_stopped(name, straight, tmp_path, monkeypatch):
    """Its last checkpoint has the episodes that were open as it was solved. Caught, when planted: those of the update
    before."""
    ran(case(name, solved={"threshold": -1e9}), tmp_path / "run")
    assert result(tmp_path / "run")["status"] == "solved"
    resumed(tmp_path / "run", "solved.stop=false")
    ran(case(name, solved={"threshold": -1e9, "stop": False}), tmp_path / "straight")
    assert result(tmp_path / "run")["updates"] == 6
    assert records(tmp_path / "run") == records(tmp_path / "straight")
    one, other = (checkpoints.newest(tmp_path / folder / "checkpoints") for folder in ("run", "straight"))
    assert_equal_states(one.state, other.state)


@pytest.mark.parametrize("name", QUICK)
def test_what_a_checkpoint_holds_of_open_episodes(name, straight, monkeypatch):
    """Environments in the middle of an episode, or nothing where they are begun anew."""
    reference, _ = straight(name, monkeypatch)
    _, carried = collecting.parted(checkpoints.newest(reference / "checkpoints").state)
    if name == "does not replay":
        assert all(array.size == 0 for array in carried.values())
        return
    lengths = carried["open/lengths" if name == "ppo, compiled" else "open/length"]
    assert lengths.shape == (3,)
    assert (lengths > 0).any()
    if name == "ppo, compiled":
        assert carried["open/env_state"].shape == (4, 3)
        assert np.array_equal(carried["open/returns"], lengths)  # CartPole pays 1 a step
    else:
        assert len(carried["open/actions"]) == lengths.sum()


def test_an_environment_that_does_not_replay_is_named_once(tmp_path):
    """Caught, when planted: said after each update; of one that replays."""
    said = []

    class Told(display.Plain):
        def event(self, text):
            said.append(text)

        def update(self, record, budget):
            pass

    for name in QUICK:
        said.clear()
        pg_theano.run(
            case(name),
            run_dir=tmp_path / re.sub(r"[, ]+", "-", name),
            plot=False,
            display=lambda title: Told(io.StringIO()),
        )
        found = [text for text in said if "does not replay (" in text]
        assert len(found) == (name == "does not replay")
        assert all("WildLater-v0 does not replay" in text for text in found)


@pytest.mark.slow
def test_two_seeds_have_a_folder_each_and_the_set_goes_on(tmp_path, monkeypatch):
    whole = ran(case("ppo, compiled", runs=2), tmp_path / "whole")
    assert whole.figures["seeds"] == [0, 1]
    assert records(tmp_path / "whole" / "seed-0") != records(tmp_path / "whole" / "seed-1")
    with monkeypatch.context() as patch:
        original, calls = looking.check_finite, []

        def interrupted(*given):
            calls.append(1)
            if len(calls) == 9:  # in the second of the two
                raise KeyboardInterrupt
            return original(*given)

        patch.setattr(looking, "check_finite", interrupted)
        ran(case("ppo, compiled", runs=2), tmp_path / "many")
    assert not (tmp_path / "many" / "seed-1" / "result.json").exists() or (
        result(tmp_path / "many" / "seed-1")["status"] == "interrupted"
    )
    again = resumed(tmp_path / "many")
    assert runs.read_result(tmp_path / "many" / "seed-1")["updates"] == 6
    for seed in ("seed-0", "seed-1"):
        assert_equal_runs(tmp_path / "whole" / seed, tmp_path / "many" / seed)
    assert again.figures["evaluation"] == whole.figures["evaluation"]


# -- where no episode ends


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """Episodes of 30 steps in stretches of 12: all end in every third update or so, none in the others."""
    folder = tmp_path_factory.mktemp("endless") / "run"
    ran(
        merged(
            case("ppo, compiled"),
            {"environment": {"id": "MountainCar-v0"}, "solved": {"stop": False}},
        ),
        folder,
    )
    return folder


@pytest.mark.slow
def test_figures_are_null_where_no_episode_ended(endless):
    """And not NaN, which is no JSON; counted where one did. Caught, when planted: 0 for a mean of none."""
    found = records(endless)
    ended = [after["episodes"] - before["episodes"] for before, after in zip([{"episodes": 0}, *found], found)]  # noqa: B905
    assert ended == [0, 0, 3, 0, 3, 0]  # 30 and 60 of 12, 24, 36, 48, 60, 72
    for number, record in zip(ended, found, strict=True):
        keys = ("return_mean", "return_std", "return_min", "return_max", "length_mean", "length_max")
        assert [record[key] for key in keys] == ([None] * 6 if number == 0 else [-30, 0, -30, -30, 30, 30])
        assert "episodes_per_update" not in record
    assert "NaN" not in (endless / "metrics.jsonl").read_text()
    assert [record["env_steps"] for record in found] == [36 * (k + 1) for k in range(6)]


@pytest.mark.slow
def test_a_run_with_updates_in_which_no_episode_ended_is_drawn(endless, tmp_path):
    drawn = plots.draw([endless], tmp_path / "drawn.png")
    assert drawn.read_bytes().startswith(b"\x89PNG")
    figure = plots.figure_of([curves.read_run(endless)])
    (returns,) = [axes for axes in figure.axes if "return" in axes.get_ylabel().lower()]
    shown = np.concatenate([line.get_ydata() for line in returns.lines])
    assert (shown == -30).any()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.slow
def test_the_screen_says_so(endless, tmp_path):
    """On a terminal and in a pipe. Caught, when planted: a null that is formatted as a number."""
    for file in (Terminal(), io.StringIO()):
        shown = screen.make(file, "title")
        assert isinstance(shown, screen.LiveScreen) == file.isatty()
        for line in (endless / "metrics.jsonl").read_text().splitlines():
            shown._last = 0.0  # each, however quickly they come
            shown.update(json.loads(line), 0.5)
        shown.close()
        text = file.getvalue()
        assert "no episode ended" in text
        assert "-30.0" in text
        assert "None" not in text
        assert "episodes 16" not in text


@pytest.mark.slow
def test_what_is_compiled_says_nothing_of_pytensor(tmp_path, monkeypatch, recwarn):
    """In an empty cache. Caught, when planted: the warning of PyTensor's that a check of a shape is skipped."""
    monkeypatch.setenv("PG_THEANO_CACHE", str(tmp_path / "cache"))
    ran(case("ppo, gymnasium", budget={"updates": 1}), tmp_path / "run")
    assert [str(one.message) for one in recwarn] == []


def test_what_a_run_says_of_its_stretches(tmp_path, capsys):
    for name, expected in (("ppo, compiled", "compiled, stretches of 12 steps"), ("ppo, gymnasium", "12 steps")):
        assert train.main([*as_arguments(case(name)), "--run-dir", re.sub(r"[, ]+", "-", name), "--no-plot"]) == 0
        out, err = capsys.readouterr()
        assert expected in next(line for line in out.splitlines() if not line.startswith("imports "))
        assert err == ""


# -- processes


LONG = {"checkpoint": {"every_updates": 3}, "budget": {"updates": 60}, "evaluation": {"every_updates": 20}}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("name", ["ppo, compiled", "ppo, Box, pink"])
def test_a_process_stopped_at_a_random_moment_is_resumed_and_equal(name, how, tmp_path):
    """Three times, in processes of its own."""
    rng = random.Random(f"{name} {how}")
    config = case(name, **LONG)
    # In a process of its own too: what JAX was first used for in this one may change the last bit of a sum.
    assert command("train", *as_arguments(config), "--run-dir", "straight", "--no-plot")[0] == 0
    arguments = [*as_arguments(config), "--run-dir", "run", "--no-plot"]
    for _ in range(3):
        process = started(*arguments)
        until = time.monotonic() + 60
        while not (tmp_path / "run" / "config.yaml").exists() and time.monotonic() < until:  # then it can be resumed
            if process.poll() is not None:
                break
            time.sleep(0.005)
        time.sleep(0.3 * rng.random())
        process.send_signal(how)
        process.communicate(timeout=60)
        arguments = ["--resume", "run", "--no-plot"]
        if (tmp_path / "run" / "result.json").exists() and result(tmp_path / "run")["status"] == "budget":
            break
    else:
        assert command("train", "--resume", "run", "--no-plot")[::2] == (0, "")
    assert_equal_runs(tmp_path / "straight", tmp_path / "run")
