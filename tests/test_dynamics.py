"""Compiled environments: the same task as Gymnasium's, whoever steps it, and one's own beside them."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from helpers_runs import played_compiled

from pg_theano.config import reading, schedules
from pg_theano.environments import making, symbolic
from pg_theano.policies import acting
from pg_theano.system import importing
from pg_theano.training import programs, specs
from pg_theano.training.playing import noise
from pg_theano.types import EXPLORE, ActionSpace, UserError

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"


def compiled_program(*overrides):
    made = reading.read_config(None, overrides)
    environment = making.engine_of(made.environment, dtype=made.dtype, backend=made.backend)
    spec = specs.spec_of(made, environment.task, environment)
    return made, environment, spec, programs.load(made, spec, lambda what, seconds: None)


def play(made, environment, program, num_episodes, seed=0):
    return played_compiled(
        program,
        program.init(np.random.default_rng(seed)),
        schedules.knobs_at(made, 0),
        num_episodes=num_episodes,
        time_limit=environment.task.time_limit,
        episode_seeds=np.random.default_rng(seed + 1),
        action_noise=np.random.default_rng(seed + 2),
        draw=noise.uniforms(program.manifest["noise"]["size"], made.dtype),
        dtype=made.dtype,
    )


@pytest.fixture(scope="module")
def cartpole():
    return compiled_program("dtype=float64")


@pytest.fixture(scope="module")
def played(cartpole):
    made, environment, _, program = cartpole
    return play(made, environment, program, 13)


def test_a_compiled_rollout_is_what_gymnasium_would_have_played(played):
    """Each episode again in Gymnasium's own CartPole, from the same state with the same actions: the observations,
    the rewards and the step at which it ends.

    Caught, when planted: the successor recorded in place of the observation, reward after the end, the step that
    ends the episode masked out.
    """
    obs, action, reward, mask = (played.rollout.field(name) for name in ("obs", "action", "reward", "mask"))
    env = gymnasium.make("CartPole-v1").unwrapped
    for e, length in enumerate(played.lengths):
        env.reset(seed=0)
        env.state = obs[0, :, e].astype(np.float64)
        for t in range(length):
            assert mask[t, e] == 1
            np.testing.assert_allclose(obs[t, :, e], env.state, rtol=0, atol=1e-9)
            _, paid, terminated, _, _ = env.step(int(action[t, e]))
            assert reward[t, e] == paid
            assert terminated == (t == length - 1)
        assert mask[length:, e].sum() == 0
        assert reward[length:, e].sum() == 0
        assert played.returns[e] == length
    assert np.abs(obs[0][:, :13]).max() <= 0.05
    assert len(np.unique(obs[0, 0, :13])) == 13


def test_actions_of_a_compiled_rollout_are_those_of_act_on_the_same_noise(cartpole, played):
    """The scan's own policy and sampling against the NumPy ones. Caught, when planted: the noise of
    another step."""
    made, _, spec, program = cartpole
    noise_of_chunk = np.random.default_rng(2).random((spec.engine.chunk, 1, 16))
    state = program.init(np.random.default_rng(0))
    act = acting.numpy_act(spec.acting)
    obs, action, mask = (played.rollout.field(name) for name in ("obs", "action", "mask"))
    for t in range(20):
        expected, _ = act(state, obs[t].T, noise_of_chunk[t].T, schedules.knobs_at(made, 0), EXPLORE)
        real = mask[t] == 1
        assert np.array_equal(expected[real], action[t][real])


@pytest.mark.slow
@pytest.mark.usefixtures("in_haste")
@pytest.mark.parametrize(
    "words",
    [
        [],
        pytest.param(
            [
                "normalize.observations=true",
                "exploration.name=epsilon_softmax",
                "schedules.exploration_rate.initial=0.3",
            ],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["softmax", "epsilon_softmax, normalised"],
)
def test_an_update_step_by_step_is_the_update_at_once(words):
    """Both on two chunks of MountainCar, of three actions. Caught, when planted: the rows of the gradient
    in another order, mean and variance of the normaliser exchanged."""
    made, environment, spec, at_once = compiled_program("environment.id=MountainCar-v0", "dtype=float64", *words)
    assert not spec.engine.step_by_step
    in_turn = programs.load(
        made, spec._replace(engine=dataclasses.replace(spec.engine, step_by_step=True)), lambda what, seconds: None
    )
    rollout = play(made, environment, at_once, 13).rollout
    state, knobs = at_once.init(np.random.default_rng(0)), schedules.knobs_at(made, 0)
    if spec.acting.normalize_observations:
        state |= {"normalizer/mean": np.array([-0.4, 0.01]), "normalizer/variance": np.array([0.04, 0.0004])}
    for name, expected in at_once.gradient(state, rollout, knobs).items():
        found = in_turn.gradient(state, rollout, knobs)[name]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
        assert np.abs(expected).max() > 1e-3
    (one, first), (other, second) = (program.train(state, rollout, knobs) for program in (at_once, in_turn))
    assert first == pytest.approx(second, rel=1e-10)
    for name in one:
        np.testing.assert_allclose(np.asarray(one[name]), np.asarray(other[name]), rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.usefixtures("in_haste")
def test_many_episodes_are_learned_from_in_turn():
    words = ["environment.id=MountainCar-v0", "schedules.episodes_per_update.initial=64"]
    assert compiled_program(*words)[2].engine.step_by_step


def test_rows_that_are_no_episode_never_count(played):
    assert played.rollout.field("mask")[:, 13:].sum() == 0
    assert len(played.returns) == len(played.lengths) == 13


@pytest.mark.slow
@pytest.mark.usefixtures("in_haste")
def test_the_time_limit_ends_an_episode(cartpole):
    """And ends the playing: no chunk is played after it. Caught, when planted: a limit one step late, elapsed not carried
    over to the next chunk (the rows beyond the limit are cut off, so that only the number of calls shows it).
    """
    calls = []

    def counted(program):
        return program._replace(rollout=lambda *given: calls.append(1) or program.rollout(*given))

    made, environment, _, program = compiled_program("environment.max_episode_steps=7")
    assert play(made, environment, counted(program), 4).lengths.max() == 7
    assert len(calls) == 1
    made, environment, spec, program = compiled_program("environment.id=MountainCar-v0")
    lengths = play(made, environment, counted(program), 4).lengths
    assert len(calls) == 3
    assert spec.engine.chunk == 100
    assert lengths.tolist() == [200] * 4


def test_the_same_generators_play_the_same_episodes(cartpole, played):
    made, environment, _, program = cartpole
    again = play(made, environment, program, 13)
    assert np.array_equal(np.asarray(again.rollout.values), np.asarray(played.rollout.values))
    other = play(made, environment, program, 13, seed=50)
    assert not np.array_equal(other.lengths, played.lengths)


@pytest.mark.slow
@pytest.mark.usefixtures("in_haste")
def test_an_update_from_a_record_is_the_update_from_its_episodes(cartpole, played):
    """The same experience as [T, K, E] and as [E, T, F], through two compiled graphs. Caught, when planted:
    T and E of the observations exchanged."""
    made, _, spec, program = cartpole
    plain = programs.load(made, spec._replace(engine=None), lambda what, seconds: None)
    field = played.rollout.field
    block = {name: np.ascontiguousarray(field(name).T) for name in ("reward", "mask")}
    obs = np.ascontiguousarray(field("obs").transpose(2, 0, 1))
    empty = np.zeros_like(block["mask"])
    episodes = environments_rollout(obs, field("action").T, block, empty)
    state = program.init(np.random.default_rng(0))
    knobs = schedules.knobs_at(made, 0)
    one, first = program.train(state, played.rollout, knobs)
    other, second = plain.train(state, episodes, knobs)
    for name in one:
        np.testing.assert_allclose(np.asarray(one[name]), np.asarray(other[name]), rtol=0, atol=1e-12)
    assert first["cost"] == pytest.approx(second["cost"], abs=1e-12)


def environments_rollout(obs, action, block, empty):
    from pg_theano.types import Rollout

    action = np.ascontiguousarray(action, np.int32)
    return Rollout(obs, action, empty, block["reward"], obs, empty, empty, block["mask"])


# -- which engine


def engine(*overrides):
    made = reading.read_config(None, overrides)
    return making.engine_of(made.environment, dtype=made.dtype, backend=made.backend)


def test_auto_takes_the_compiled_engine_only_for_the_same_task():
    assert engine().dynamics.endswith("cartpole:CartPole")
    three, torque = ActionSpace("discrete", 1, [3], [], []), ActionSpace("box", 1, [], [-2.0], [2.0])
    assert engine("environment.id=Acrobot-v1").task[:5] == ("Acrobot-v1", 6, three, 500, -100.0)
    pendulum = engine("environment.id=Pendulum-v1").task
    assert pendulum[:5] == ("Pendulum-v1", 3, torque, 200, None)
    assert pendulum.spaces["observation"] == {"kind": "Box", "dtype": "<f4", "shape": [3]}
    assert engine("environment.id=MountainCarContinuous-v0").task.action.kind == "box"
    assert engine("environment.dynamics=pg_theano.graphs.environments.pendulum:Pendulum").task.action == torque
    assert engine("environment.engine=gymnasium") is None
    assert engine("environment.kwargs={sutton_barto_reward: true}") is None
    assert engine("environment.wrappers=[gymnasium.wrappers:FlattenObservation]") is None
    assert engine("environment.id=FrozenLake-v1") is None
    assert engine("backend=numba") is None


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("environment.kwargs={sutton_barto_reward: true}", "kwargs and .wrappers change the task"),
        ("environment.id=FrozenLake-v1", "there are compiled dynamics of CartPole-v1"),
        ("backend=numba", "backend numba has no artifacts"),
    ],
)
def test_compiled_where_it_cannot_be_is_an_error(override, why):
    with pytest.raises(UserError, match=why):
        engine("environment.engine=compiled", override)


# -- one's own

CORRIDOR = """
import pytensor.tensor as pt
from corridor_parts import STEP

class Corridor:
    obs_low, obs_high = (-1.0,), (1.0,)
    action_kind, num_actions = "discrete", 2
    max_steps, reward_threshold = 20, 0.5
    state_size, num_initial_noise = 1, 1

    def initial(noise):
        return (0.2 * noise[0] - 0.1,)

    def transition(state, action):
        return (pt.clip(state[0] + pt.switch(pt.eq(action, 1), STEP, -STEP), -1.0, 1.0),)

    def observation(state):
        return state

    def reward(state, action, next_state):
        return next_state[0] - state[0]

    def terminated(next_state):
        return next_state[0] >= 1.0
"""


def train_in(folder, *words):
    """`pg_theano.train` in a process of its own; returns (its result, whether it imported PyTensor or the user's file)."""
    code = (
        "import sys, json; from pg_theano.train import main; status = main(sys.argv[1:]);"
        "print(json.dumps({'status': status, 'heavy': [n for n in sys.modules if n.partition('.')[0] in "
        "('pytensor', 'corridor', 'corridor_parts', 'numba') or n.startswith('pg_theano.graphs')]}), file=sys.stderr)"
    )
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--json", "--no-plot"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    facts = json.loads(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout) if done.stdout else done.stderr, facts["heavy"]


@pytest.mark.slow
@pytest.mark.usefixtures("in_haste")
def test_ones_own_environment_trains_and_is_compiled_once(tmp_path):
    """The first run builds; the second imports neither PyTensor nor the user's file; a changed line in a file that the
    user's file imports builds again.
    """
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "corridor.py").write_text(CORRIDOR)
    (folder / "corridor_parts.py").write_text("STEP = 0.1\n")
    (folder / "mine.yaml").write_text(
        "environment: {dynamics: 'corridor:Corridor'}\nbudget: {updates: 3}\nevaluation: {episodes: 4, every_updates: 2}\n"
    )
    result, heavy = train_in(tmp_path, "own/mine.yaml")
    assert result["environment"] == "corridor:Corridor"
    assert "pytensor" in heavy
    again, heavy = train_in(tmp_path, "own/mine.yaml")
    assert heavy == []
    assert again["evaluation"] == result["evaluation"]
    _, heavy = train_in(tmp_path, "own/mine.yaml", "schedules.learning_rate.initial=0.01", "algorithm.discount=0.5")
    assert heavy == []
    (folder / "corridor_parts.py").write_text("STEP = 0.2\n")
    changed, heavy = train_in(tmp_path, "own/mine.yaml")
    assert "pytensor" in heavy
    assert changed["env_steps"] != result["env_steps"]


def test_sources_are_found_by_reading_them(tmp_path):
    """Those beside it, through relative and absolute imports; not those of installed packages."""
    (tmp_path / "a.py").write_text("import numpy\nfrom b import X\nimport c.d\n")
    (tmp_path / "b.py").write_text("raise SystemExit('never run')\n")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "__init__.py").write_text("")
    (tmp_path / "c" / "d.py").write_text("from . import e\n")
    (tmp_path / "c" / "e.py").write_text("")
    names = {path.relative_to(tmp_path).as_posix() for path in importing.sources_of("a:A", [tmp_path])}
    assert {"a.py", "b.py", "c/d.py", "c/e.py"} <= names
    assert not any("numpy" in name for name in names)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "return state\n",
            "return (state[0], state[0])\n",
            "observation: returned a tuple of 2; expected a tuple of 1",
        ),
        ("    def terminated", "    def ended", "terminated is missing"),
        ("max_steps, reward", "max_stepz, reward", "max_steps is missing; did you mean it by 'max_stepz'?"),
        ("next_state[0] >= 1.0", "next_state[0]", r"terminated: returned float32 \[E\]; expected bool"),
        ("from corridor_parts", "from nowhere", "cannot be imported"),
        ("import pytensor.tensor as pt", "import pytensor.tensor as pt\nraise ValueError('no')", "cannot be imported"),
    ],
)
def test_a_broken_environment_is_named_before_anything_is_compiled(tmp_path, monkeypatch, old, new, message):
    text = CORRIDOR.replace(old, new)
    assert text != CORRIDOR
    (tmp_path / "broken.py").write_text(text)
    (tmp_path / "corridor_parts.py").write_text("STEP = 0.1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    compiled = []
    with pytest.raises(UserError, match=message):
        symbolic.Dynamics("broken:Corridor", report=lambda what, seconds: compiled.append(seconds))
    assert sum(compiled) == 0


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"no file nowhere_at_all\.py"):
        symbolic.Dynamics("nowhere_at_all:X")


@pytest.mark.slow
@pytest.mark.usefixtures("in_haste")
def test_the_worked_example_of_the_documentation_is_solved(tmp_path):
    result, _ = train_in(tmp_path, str(EXAMPLES / "soft_landing.yaml"))
    assert result["status"] == "solved"
    assert result["evaluation"]["mean"] >= 0.8


def test_the_documentation_shows_the_example_that_runs():
    """The class in docs/own-environment.md is, line for line, the one that the tests train."""
    page = (EXAMPLES.parent / "own-environment.md").read_text()
    example = (EXAMPLES / "soft_landing.py").read_text()
    assert example[example.index("import pytensor") :] in page


@pytest.mark.parametrize(
    "override", ["environment.kwargs={a: 1}", "environment.wrappers=[a:B]", "environment.engine=gymnasium"]
)
def test_what_a_graph_does_not_read_is_refused(override):
    """Caught, when planted: a wrapper that nobody looked for."""
    with pytest.raises(UserError, match=r"environment\.dynamics is a graph"):
        reading.resolved(None, ["environment.dynamics=own:Point", override])
