"""Agents trained together: each has the run that it has alone."""

import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers_runs import as_arguments, assert_equal_runs, command, merged, ran, records, result

import pg_theano
from pg_theano.compiler import functions
from pg_theano.config.reading import from_dict
from pg_theano.runs import checkpoints
from pg_theano.training import agents, evaluating, run

pytestmark = pytest.mark.usefixtures("functions_kept")

# float64: a rounding error of 1e-16 flips no action in so few steps, and so the curves can be compared number by number.
BASE = {
    "agents_per_process": 4,
    "dtype": "float64",
    # One chunk, which no episode here fills: a second one would be built ahead for nothing.
    "environment": {"id": "CartPole-v1", "num_envs": 4, "max_episode_steps": 125},
    "policy": {"hidden": [4]},
    "schedules": {"episodes_per_update": {"initial": 4}},
    "evaluation": {"episodes": 5, "every_updates": 2, "sampled": True},
    "solved": {"stop": False},
    "budget": {"updates": 6},
}
PPO = {
    "algorithm": {"name": "ppo", "num_steps": 16, "num_epochs": 2, "num_minibatches": 2, "baseline": "value"},
    "policy": {"hidden": [8], "activation": "tanh"},
}
DIFFERENT = [  # in nothing that shapes the graph
    {"seed": 3},
    {"seed": 4, "schedules": {"learning_rate": {"initial": 0.2}}},
    {"seed": 3, "algorithm": {"discount": 0.9}, "budget": {"updates": 3}},
    {"seed": 5, "schedules": {"learning_rate": {"kind": "exponential_decay", "initial": 0.1, "decay_rate": 0.1}}},
]
FAILING = {"seed": 6, "schedules": {"learning_rate": {"initial": 1e308}}}
TOLERANCE = 1e-9
"""Relative, of every number of every record, in float64."""


def trained(folder, settings, base=BASE):
    """(results, folders) of configs trained together."""
    configs = [from_dict(merged(base, changes)) for changes in settings]
    paths = [folder / f"agent-{number}" for number in range(len(configs))]
    for path in paths:
        path.mkdir(exist_ok=True)
    return run.train_group(list(zip(configs, paths, strict=True)), folder), paths


def assert_same_curve(together, alone):
    """All records agree, number by number, up to rounding."""
    ours, theirs = records(together), records(alone)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            same = value == other[name] or math.isclose(value, other[name], rel_tol=TOLERANCE, abs_tol=1e-12)
            assert same, (one["update"], name, value, other[name])


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Five agents, four at a time, one of which ends early and one of which fails."""
    calls = []
    own = evaluating.Evaluator.__call__

    def counted(self, *arguments, **options):
        calls.append(self.config.seed)
        return own(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluating.Evaluator, "__call__", counted)
        figures, paths = trained(tmp_path_factory.mktemp("together"), [FAILING, *DIFFERENT])
    return figures, paths, calls


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_a_curve_is_the_one_that_the_agent_has_alone(together, tmp_path, number):
    """Learning rates, discounts, seeds and ends differ within the batch.

    Caught, when planted: every agent gets the knobs of the first of its call, results of a call given to the next
    agent, episodes drawn by the first agent's seed.
    """
    figures, paths, _ = together
    alone = tmp_path / "alone"
    ran(from_dict(merged(BASE, DIFFERENT[number])), alone)
    assert_same_curve(paths[number + 1], alone)
    for key in ("status", "updates", "env_steps", "episodes", "evaluation", "best_update", "seed", "stop_reason"):
        assert figures[number + 1][key] == result(alone)[key], key
    first, second = (checkpoints.newest(path / "checkpoints").state for path in (paths[number + 1], alone))
    assert all(np.allclose(first[name], second[name], rtol=1e-8) for name in first | second)


@pytest.mark.slow
def test_one_that_fails_fails_alone(together):
    """Caught, when planted: the error of one is raised for all."""
    figures, paths, _ = together
    assert [one["status"] for one in figures] == ["failed", "budget", "budget", "budget", "budget"]
    assert "not finite" in figures[0]["stop_reason"]
    assert result(paths[0]) == figures[0]


@pytest.mark.slow
def test_evaluations_are_shared(together):
    """Were they not, the curves would be the same, and slow.

    Seed 5 is alone in its batch. One evaluation is to see whether the pass can be trusted, one is the last of an agent
    that ends before the others. Caught, when planted: rows not copied, so that the pass is given up.
    """
    assert [seed for seed in together[2] if seed != 5] == [3, 3]


@pytest.mark.slow
def test_stretches_are_the_ones_that_the_agent_has_alone(tmp_path):
    """PPO: open episodes and minibatches are each agent's own. Caught, when planted: either is the first's."""
    settings = [{"seed": 1}, {"seed": 2, "algorithm": {"clip_range": 0.1}}, {"seed": 3}]
    base = merged(BASE, PPO)
    _, paths = trained(tmp_path, settings, base)
    for number, changes in enumerate(settings):
        ran(from_dict(merged(base, changes)), tmp_path / f"alone-{number}")
        assert_same_curve(paths[number], tmp_path / f"alone-{number}")


@pytest.mark.slow
def test_ctrl_c_leaves_all_whole_and_they_go_on(tmp_path, monkeypatch):
    """At different updates, too. Caught, when planted: the interrupted update is not taken back."""
    _, straight = trained(tmp_path / "straight", DIFFERENT[:2]) if (tmp_path / "straight").mkdir() is None else None
    (tmp_path / "broken").mkdir()
    calls, own = [], agents._evaluate

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return own(*arguments)

    monkeypatch.setattr(agents, "_evaluate", interrupted)  # when the fourth update was learned, and not yet recorded
    figures, paths = trained(tmp_path / "broken", DIFFERENT[:2])
    assert [one["status"] for one in figures] == ["interrupted"] * 2
    assert [one["updates"] for one in figures] == [3, 3]
    monkeypatch.undo()
    configs = [from_dict(merged(BASE, changes)) for changes in DIFFERENT[:1]]
    run.train_group(list(zip(configs, paths[:1], strict=False)), tmp_path)  # one of them alone first
    figures, _ = trained(tmp_path / "broken", DIFFERENT[:2])
    assert [one["status"] for one in figures] == ["budget"] * 2
    for path, other in zip(paths, straight, strict=True):
        assert_equal_runs(path, other)


@pytest.mark.slow
def test_a_set_that_was_killed_goes_on(tmp_path, together):
    """SIGKILL in the middle, with checkpoints after every update; bit for bit what an undisturbed set gives.

    And on a cache that has all it needs no process imports PyTensor. Caught, when planted: metrics not cut back.
    """
    config = merged(BASE, {"runs": 3, "budget": {"updates": 60}, "checkpoint": {"every_updates": 1}})
    words = [*as_arguments(config), "--no-plot"]
    script = (
        "import sys; from pg_theano import train; code = train.main(sys.argv[1:]); "
        "assert 'pytensor' not in sys.modules; sys.exit(code)"
    )
    pg_theano.run(from_dict(config), run_dir=tmp_path / "straight", plot=False)
    process = subprocess.Popen([sys.executable, "-c", script, *words, "--run-dir", "set"], cwd=tmp_path)
    for _ in range(6000):
        if any((tmp_path / "set").glob("seed-*/checkpoints/update-*[2-9].json")) or process.poll() is not None:
            break
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = subprocess.run(
        [sys.executable, "-c", script, "--resume", "set", "--no-plot", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seeds"] == [0, 1, 2]
    for seed in range(3):
        assert_equal_runs(tmp_path / "straight" / f"seed-{seed}", tmp_path / "set" / f"seed-{seed}")
    code, said, _ = command("evaluate", "set/seed-1", "--episodes", "3", "--json", cwd=tmp_path)
    assert code == 0 and json.loads(said)["n"] == 3


def test_batches_share_all_that_shapes_the_graph(tmp_path):
    """Caught, when planted: the spec left out of what is compared."""
    changes = [
        {},
        {"seed": 9},
        {"algorithm": {"average": "episodes"}},
        {"algorithm": {"discount": 0.5}},
        {"seed": 7},
        {"seed": 8},
    ]
    configs = [from_dict(merged(BASE, one)) for one in changes]
    assert [places for places, *_ in agents.batches(configs, [tmp_path])] == [[0, 1, 3, 4], [5], [2]]


def test_what_cannot_train_together_is_said(tmp_path):
    for changes, said in (
        ({"environment": {"engine": "gymnasium"}}, "stepped by Gymnasium"),
        ({"backend": "numba"}, "backend: numba"),
    ):
        ((places, _, why),) = agents.batches([from_dict(merged(BASE, changes))], [tmp_path])
        assert places == [0]
        assert said in why


def test_the_axis_of_agents_stands_after_time():
    assert functions.agent_axis("record", ["T", 7, "E"]) == 1
    assert functions.agent_axis("initial_noise", [4, "E"]) == 0
    assert functions.agent_axis("initial_noise", [17, 4, "E"]) == 1
    assert functions.agent_axis("params", [58]) == 0
