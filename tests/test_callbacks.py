"""Callbacks: what they see, what they cannot change, how they stop a run, and the tools that they log to."""

import csv
import json
import shutil
import struct
import sys
import types

import numpy as np
import pytest
from helpers_runs import assert_equal_runs, command, ran, resumed, small

import pg_theano
from pg_theano import train
from pg_theano.runs import checkpoints
from pg_theano.training import callbacks
from pg_theano.training.display import Quiet
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

BY_HAND = {"gradients": "by_hand", "algorithm": {"name": "vpg"}}


def records(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def quiet(config, folder, *given, **options):
    return pg_theano.run(config, run_dir=folder, plot=False, display=Quiet, callbacks=given, **options)


def test_it_sees_every_update_its_record_and_the_policy_as_it_is(tmp_path):
    """Caught, when planted: the policy of the update before; the record without the evaluation."""
    seen = []

    def look(update, metrics, policy):
        seen.append((update, metrics, policy))

    result = quiet(small(**BY_HAND), tmp_path / "r", look)
    assert [update for update, *_ in seen] == list(range(6))
    written = records(tmp_path / "r")
    assert [{key: value for key, value in metrics.items() if key != "seconds"} for _, metrics, _ in seen] == written
    newest = checkpoints.newest(result.folder / "checkpoints").state["params"]
    last, first = seen[-1][2], seen[0][2]
    assert last.state["params"].tobytes() == newest[: last.state["params"].size].tobytes()
    assert first.state["params"].tobytes() != last.state["params"].tobytes()  # one that is kept stays as it was
    assert last(np.zeros(3)) in (0, 1, 2)


CEM = {key: value for key, value in small().items() if key != "schedules"} | {
    "algorithm": {"name": "cem", "population_size": 8}
}


@pytest.mark.slow
@pytest.mark.parametrize("config", [small(**BY_HAND), small(), CEM], ids=["by hand", "compiled", "a search"])
def test_what_it_does_changes_nothing_that_is_learned(config, tmp_path):
    """Bit for bit. Caught, when planted: the policy's arrays those of the run, which can be written to."""

    def spoil(update, metrics, policy):
        metrics.clear()
        np.random.seed(update)
        with pytest.raises(ValueError, match="read-only"):
            policy.state["params"][:] = 0

    ran(config, tmp_path / "alone")
    quiet(config, tmp_path / "watched", spoil)
    assert records(tmp_path / "watched") == records(tmp_path / "alone")


def test_it_can_stop_the_run_which_goes_on_when_it_is_resumed(tmp_path):
    """Goes on: the rest of it is as if it had never stopped."""
    result = quiet(small(**BY_HAND), tmp_path / "r", lambda update, metrics, policy: update == 3)
    assert (result.figures["status"], result.figures["updates"]) == ("stopped", 4)
    assert result.figures["stop_reason"] == "a callback asked for it" and result.figures["evaluation"]["n"] == 5
    resumed(tmp_path / "r")
    ran(small(**BY_HAND), tmp_path / "alone")
    assert records(tmp_path / "r") == records(tmp_path / "alone")


def test_one_that_raises_is_named_and_the_run_is_whole(tmp_path):
    def broken(update, metrics, policy):
        if update == 2:
            raise KeyError("reward")

    with pytest.raises(UserError, match="callback broken raised at update 2: KeyError: 'reward'"):
        quiet(small(**BY_HAND), tmp_path / "r", broken)
    assert json.loads((tmp_path / "r" / "result.json").read_text())["status"] == "failed"
    assert len(records(tmp_path / "r")) == 2
    resumed(tmp_path / "r")
    ran(small(**BY_HAND), tmp_path / "alone")
    assert records(tmp_path / "r") == records(tmp_path / "alone")


class Whole:
    """A callback with a beginning and an end."""

    def __init__(self):
        self.said = []

    def begin(self, config, folder):
        self.said.append(("begin", config.seed, folder.name))

    def __call__(self, update, metrics, policy):
        self.said.append(update)
        return update == 1

    def finish(self, result):
        self.said.append(("finish", result["status"]))


@pytest.mark.parametrize("together", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_of_several_runs_it_is_told_of_each(together, tmp_path):
    """In turn or at once. Caught, when planted: agents that train together going on when they were asked to stop."""
    whole = Whole()
    id = {"environment": {"id": "CartPole-v1", "num_envs": 4}} if together > 1 else {}
    quiet(small(runs=2, agents_per_process=together, **(id or BY_HAND)), tmp_path / "r", whole)
    begun = [one for one in whole.said if isinstance(one, tuple) and one[0] == "begin"]
    assert begun == [("begin", 0, "seed-0"), ("begin", 1, "seed-1")]
    assert [one for one in whole.said if isinstance(one, tuple) and one[0] == "finish"] == [("finish", "stopped")] * 2
    assert sorted(one for one in whole.said if isinstance(one, int)) == [0, 0, 1, 1]


# -- the tools


def events(folder):
    """(tag, value, step) of a TensorBoard file, from the format: length, CRC, record, CRC."""
    from tensorboardX.proto import event_pb2

    (path,) = folder.glob("events*")
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        event = event_pb2.Event.FromString(content[at + 12 : at + 12 + size])
        found += [
            (value.tag, value.simple_value, event.step)
            for value in event.summary.value
            if value.WhichOneof("value") == "simple_value"
        ]
        at += 16 + size
    return found


def test_tensorboard_has_the_figures_by_the_names_of_stable_baselines(tmp_path):
    """x is env steps. Caught, when planted: x the update; the entropy for its loss."""
    code, _, error = command(
        "train", "gradients=by_hand", "algorithm.name=vpg", "budget.updates=3", "solved.stop=false", "--no-plot",
        "--run-dir", tmp_path / "r", "--log", "tensorboard",
    )  # fmt: skip
    assert (code, error) == (0, "")
    found = events(tmp_path / "r" / "tensorboard")
    written = records(tmp_path / "r")
    for name, theirs, sign in (
        ("return_mean", "rollout/ep_rew_mean", 1),
        ("length_mean", "rollout/ep_len_mean", 1),
        ("entropy", "train/entropy_loss", -1),
        ("learning_rate", "train/learning_rate", 1),
        ("env_steps", "time/total_timesteps", 1),
    ):
        expected = [(sign * record[name], record["env_steps"]) for record in written]
        there = [(value, step) for tag, value, step in found if tag == theirs]
        assert [step for _, step in there] == [step for _, step in expected]
        np.testing.assert_allclose([v for v, _ in there], [v for v, _ in expected], rtol=1e-5)


@pytest.mark.parametrize("library", ["wandb", "trackio"])
def test_a_tracker_is_called_as_it_wants_to_be(library, tmp_path, monkeypatch):
    """With a stand-in that has their three functions."""
    said = []
    fake = types.ModuleType(library)
    fake.init = lambda **words: said.append(("init", words["project"], words["name"], words["config"]["seed"]))
    fake.log = lambda figures: said.append(("log", figures["time/total_timesteps"]))
    fake.finish = lambda: said.append(("finish",))
    monkeypatch.setitem(sys.modules, library, fake)
    quiet(small(**BY_HAND), tmp_path / "r", *callbacks.of_logs([library]))
    steps = [("log", record["env_steps"]) for record in records(tmp_path / "r")]
    assert said == [("init", "pg_theano", "r", 0), *steps, ("finish",)]


def test_a_log_that_is_none_and_one_that_is_not_installed_are_said(monkeypatch, capsys):
    assert train.main(["--log", "paper"]) == 2
    assert "--log: got paper; expected tensorboard, wandb, trackio" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert train.main(["--log", "tensorboard"]) == 2
    assert 'pip install "pg_theano[tensorboard]"' in capsys.readouterr().err


def test_metrics_as_csv(tmp_path):
    """Every record, every figure, empty where it was not measured. Caught, when planted: columns of the first record."""
    ran(small(**BY_HAND), tmp_path / "r")
    code, _, error = command("export", tmp_path / "r", "--to", "csv", "--out", tmp_path / "m.csv")
    assert (code, error) == (0, "")
    with open(tmp_path / "m.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    written = records(tmp_path / "r")
    assert len(rows) == len(written) == 6
    for row, record in zip(rows, written, strict=True):
        there = {key: float(value) for key, value in row.items() if value and key != "seconds"}
        assert there == {key: value for key, value in record.items() if value is not None}
    assert "evaluation_mean" in rows[0] and pg_theano.load


def adaptive(update, metrics, policy):
    """The example of docs/going-on.md: the rate follows the KL divergence of an update."""
    if metrics["kl"] > 2 * TARGET:
        return {"learning_rate": metrics["learning_rate"] / 1.5}
    if metrics["kl"] < TARGET / 2:
        return {"learning_rate": metrics["learning_rate"] * 1.5}
    return None


TARGET = 0.01
PPO = small(gradients="by_hand", algorithm={"name": "ppo", "num_steps": 8, "num_minibatches": 2, "num_epochs": 2})
PPO.pop("schedules")


def test_knobs_that_it_returns_hold_from_the_next_update_on_and_are_recorded(tmp_path):
    """Also once it returns none. Caught, when planted: knobs that are in force for one update only; those of the
    update that they were returned after."""

    def halve(update, metrics, policy):
        return {1: {"learning_rate": 0.001, "clip_range": np.float64(0.1)}, 3: {"clip_range": 0.3}}.get(update)

    quiet(PPO, tmp_path / "r", halve)
    assert [one["learning_rate"] for one in records(tmp_path / "r")] == [0.0005] * 2 + [0.001] * 4
    assert [one.get("clip_range") for one in records(tmp_path / "r")] == [None] * 2 + [0.1] * 2 + [0.3] * 2
    words = ["schedules.learning_rate.initial=0.001", "algorithm.clip_range=0.1"]
    quiet(PPO, tmp_path / "s", overrides=["budget.updates=2"])
    pg_theano.run(resume=tmp_path / "s", overrides=["budget.updates=4", *words], change=True, plot=False, display=Quiet)
    assert [one["policy_loss"] for one in records(tmp_path / "s")] == [
        one["policy_loss"] for one in records(tmp_path / "r")[:4]
    ]


def test_an_adaptive_rate_is_the_same_bit_for_bit_after_a_resume(tmp_path):
    """Without the callback, too, what it returned last holds; a change of the knob takes its place. Caught, when
    planted: a checkpoint without what was given."""
    quiet(PPO, tmp_path / "whole", adaptive)
    rates = [one["learning_rate"] for one in records(tmp_path / "whole")]
    assert len(set(rates)) > 2
    quiet(PPO, tmp_path / "parts", adaptive, overrides=["budget.updates=3"])
    for folder in ("alone", "changed"):
        shutil.copytree(tmp_path / "parts", tmp_path / folder)
    resumed(tmp_path / "parts", "budget.updates=6", callbacks=[adaptive])
    assert_equal_runs(tmp_path / "parts", tmp_path / "whole")
    resumed(tmp_path / "alone", "budget.updates=6")
    assert [one["learning_rate"] for one in records(tmp_path / "alone")] == rates[:3] + [rates[3]] * 3
    words = ("budget.updates=6", "schedules.learning_rate.initial=0.01")
    resumed(tmp_path / "changed", *words, change=True)
    assert [one["learning_rate"] for one in records(tmp_path / "changed")] == rates[:3] + [0.01] * 3


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"learning_rte": 1}, "learning_rte: unknown knob of an update; did you mean learning_rate"),
        ({3: 1}, "3: unknown knob of an update; known here: learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate: got nan; expected a finite number"),
        ({"learning_rate": "fast"}, "learning_rate: got 'fast'; expected a finite number"),
        ({"learning_rate": True}, "learning_rate: got True; expected a finite number"),
        ({"learning_rate": -1}, "schedules.learning_rate.initial: got -1; expected 0 to inf"),
        ({"discount": 1.5}, "algorithm.discount: got 1.5; expected a number from 0 to 1"),
        ({"elite_fraction": 0.5}, "schedules.elite_fraction: got a schedule, which ppo does not read"),
        ({"target_kl": 0.1}, "algorithm.target_kl: 0.1 has no twin"),
    ],
)
def test_a_knob_that_it_cannot_return_is_one_line_and_costs_that_update(given, line, tmp_path):
    with pytest.raises(UserError) as raised:
        quiet(PPO, tmp_path / "r", lambda update, metrics, policy: given if update == 1 else None)
    message = str(raised.value)
    assert f"the callback <lambda> at update 1: {line}" in message.replace("a change of ", "") and "\n" not in message
    assert len(records(tmp_path / "r")) == 1
    resumed(tmp_path / "r")


def test_a_strangers_checkpoint_gives_no_knob_that_is_none(tmp_path):
    quiet(PPO, tmp_path / "r", adaptive, overrides=["budget.updates=2"])
    newest = checkpoints.newest(tmp_path / "r" / "checkpoints")
    for given in ({"nothing": 1.0}, {"learning_rate": -1.0}, {"learning_rate": "a"}, 3):
        checkpoints.save(newest.path.parent, newest.path.stem, newest.state, newest.facts | {"given": given})
        with pytest.raises(UserError) as raised:
            resumed(tmp_path / "r", "budget.updates=3")
        assert "\n" not in str(raised.value)
