"""Stretches and whole episodes on compiled environments, as an actor-critic learns from them: each row again in
Gymnasium's own environment, and the sums over episodes against a plain loop."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
from helpers_runs import played_compiled
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_theano.config import reading, schedules
from pg_theano.environments import making
from pg_theano.policies import acting
from pg_theano.training import programs, specs
from pg_theano.training.playing.compiled import CompiledSegments
from pg_theano.types import EXPLORE

NUM_ENVS, NUM_STEPS = 5, 40
BASE = [
    "algorithm.name=a2c",
    "policy.hidden=[4]",
    "policy.initialization=glorot",
    f"algorithm.num_steps={NUM_STEPS}",
    f"environment.num_envs={NUM_ENVS}",
    "environment.engine=compiled",
    "dtype=float64",
]


class Case(NamedTuple):
    """A task of Gymnasium, and how its state follows from an observation."""

    id: str
    limit: int
    overrides: list
    state_of: Any  # obs [F] -> env.unwrapped.state
    obs_of: Any  # env.unwrapped.state -> obs [F]
    starts: Any  # obs [F] -> whether an episode may begin there
    near_the_end: list  # a state whose next step terminates; [] where only time ends an episode
    tolerance: float = 1e-9


def pendulum_state(obs):
    return np.array([np.arctan2(obs[1], obs[0]), obs[2]])


def pendulum_obs(state):
    return [np.cos(state[0]), np.sin(state[0]), state[1]]


def acrobot_state(obs):
    return np.array([np.arctan2(obs[1], obs[0]), np.arctan2(obs[3], obs[2]), *obs[4:]])


def acrobot_obs(state):
    return [np.cos(state[0]), np.sin(state[0]), np.cos(state[1]), np.sin(state[1]), *state[2:]]


def within(low, high, of=np.asarray):
    return lambda obs: bool((of(obs) >= np.array(low)).all() and (of(obs) <= np.array(high)).all())


CASES = {
    "cartpole": Case("CartPole-v1", 23, [], np.array, np.array, within([-0.05] * 4, [0.05] * 4), [2.39, 1.0, 0.0, 0.0]),
    "pendulum": Case(
        "Pendulum-v1",
        33,
        ["policy.initial_log_std=1.0", "policy.noise=pink", "normalize.observations=true"],
        pendulum_state,
        pendulum_obs,
        within([-1, -1, -1], [1, 1, 1]),
        [],
    ),
    "pendulum, squashed": Case(
        "Pendulum-v1",
        33,
        ["policy.squash=true"],
        pendulum_state,
        pendulum_obs,
        within([-1, -1, -1], [1, 1, 1]),
        [],
    ),
    "mountaincar": Case(
        "MountainCarContinuous-v0",
        31,
        ["policy.noise=state_dependent", "policy.noise_every=8"],
        np.array,
        np.array,
        within([-0.6, 0], [-0.4, 0]),
        [0.4, 0.06],
        1e-7,  # Gymnasium keeps the state in float32
    ),
    "acrobot": Case(
        "Acrobot-v1",
        37,
        ["policy.shared=true"],
        acrobot_state,
        acrobot_obs,
        within([-0.1] * 4, [0.1] * 4, of=acrobot_state),
        [3.0, 0.0, 1.0, 0.0],
    ),
}


def compiled(case, *overrides):
    made = reading.read_config(
        None,
        [
            *BASE,
            f"environment.id={case.id}",
            f"environment.max_episode_steps={case.limit}",
            *case.overrides,
            *overrides,
        ],
    )
    environment = making.engine_of(made.environment, dtype=made.dtype, backend=made.backend)
    spec = specs.spec_of(made, environment.task, environment)
    return made, spec, programs.load(made, spec, lambda what, seconds: None)


def started(program, spec, seed=0):
    """A State in which nothing is 0 or 1 by chance: the normaliser's moments too."""
    state = program.init(np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    for name in ("normalizer/mean", "normalizer/variance"):
        if name in state:
            state[name] = rng.uniform(0.2, 0.6, state[name].shape)
    return state


def segments_of(program, num_steps=NUM_STEPS):
    return CompiledSegments(program, num_envs=NUM_ENVS, num_steps=num_steps, dtype="float64")


def stretches(case, number=3):
    """(config, spec, state, the noise and what was played of each stretch).

    Environments 1 and 2 begin near their end; that of 2 is also the last step that its time limit allows.
    """
    made, spec, program = compiled(case)
    state, one = started(program, spec), segments_of(program)
    if case.near_the_end:
        arrays = one.arrays(one.settle())
        arrays["open/env_state"][:, 1:3] = np.array(case.near_the_end)[:, None]
        arrays["open/begins"][1:3] = 0
        arrays["open/lengths"][1:3] = 7, case.limit - 1
        one.restore(arrays)
    draw, parts = programs.noise_of(made, spec), []
    for block in range(number):
        noise = draw(np.random.default_rng([3, block]), NUM_STEPS, NUM_ENVS)
        played = one.collect(
            state, schedules.knobs_at(made, 0), noise=noise, episode_seeds=np.random.default_rng([4, block])
        )
        parts.append((noise, played))
    return made, spec, state, parts


def flags(record, name):
    values = record.field(name)
    assert np.isin(values, [0, 1]).all()
    return values.astype(bool)


def rows(record, name):
    """[T, E, ...], whatever a record makes of a field of one row."""
    values = record.field(name)
    return values[:, :, None] if values.ndim == 2 else values.swapaxes(1, 2)


SLOW = ("pendulum", "pendulum, squashed", "mountaincar", "acrobot")  # to compile
EVERY = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CASES]


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_row_is_what_gymnasium_would_have_played(name):
    """From the observation recorded and the action recorded, one step at a time.

    Caught, when planted: the reset's observation in place of the successor, a time limit one step late, the steps of
    an open episode forgotten at a border, truncated where the task ended it at its limit, the action recorded as it was
    clipped, the dynamics given the action unclipped, or clipped where it should be squashed.
    """
    case = CASES[name]
    _, spec, _, parts = stretches(case)
    env = gymnasium.make(case.id).unwrapped
    low, high = np.array(spec.acting.action.low), np.array(spec.acting.action.high)
    elapsed, expected, starts, outside = np.zeros(NUM_ENVS, int), [None] * NUM_ENVS, [], 0
    terminations = truncations = 0
    if case.near_the_end:
        elapsed[1:3], expected[1:3] = (7, case.limit - 1), [np.array(case.obs_of(case.near_the_end))] * 2
    for _, played in parts:
        record = played.rollout
        obs, following, reward = rows(record, "obs"), rows(record, "next_obs"), record.field("reward")
        action, ends = rows(record, "action"), {key: flags(record, key) for key in ("terminated", "truncated")}
        assert played.env_steps == NUM_STEPS * NUM_ENVS
        for step in range(NUM_STEPS):
            for e in range(NUM_ENVS):
                seen = obs[step, e]
                if expected[e] is None:
                    assert case.starts(seen)
                    starts.append(tuple(seen))
                else:
                    np.testing.assert_allclose(seen, expected[e], rtol=0, atol=case.tolerance)
                env.reset(seed=0)
                env.state = case.state_of(seen)
                if spec.acting.action.kind == "discrete":
                    own = int(action[step, e, 0])
                elif spec.acting.squash:
                    own = low + (high - low) * (np.tanh(action[step, e]) + 1) / 2
                else:
                    outside += bool((action[step, e] < low).any() or (action[step, e] > high).any())
                    own = np.clip(action[step, e], low, high)
                _, paid, over, _, _ = env.step(own)
                np.testing.assert_allclose(following[step, e], case.obs_of(env.state), rtol=0, atol=10 * case.tolerance)
                assert reward[step, e] == pytest.approx(paid, abs=10 * case.tolerance)
                elapsed[e] += 1
                late = elapsed[e] == case.limit and not over
                assert ends["terminated"][step, e] == over
                assert ends["truncated"][step, e] == late
                terminations, truncations = terminations + over, truncations + late
                expected[e] = None if over or late else following[step, e]
                if over or late:
                    elapsed[e] = 0
    assert len(set(starts)) == len(starts) >= 2 * NUM_ENVS
    assert truncations > 0
    assert terminations > 0 or not case.near_the_end
    assert outside > 0 or spec.acting.squash or spec.acting.action.kind == "discrete"


@pytest.mark.parametrize("name", EVERY)
def test_actions_and_log_probs_are_those_of_act_on_the_same_noise(name):
    """Caught, when planted: the noise of the row before; observations that are not normalised; log π of the action as
    it was clipped."""
    case = CASES[name]
    made, spec, state, parts = stretches(case)
    act = acting.numpy_act(spec.acting)
    for noise, played in parts:
        obs, action = rows(played.rollout, "obs"), rows(played.rollout, "action")
        log_prob = played.rollout.field("log_prob")
        for step in range(NUM_STEPS):
            expected, its = act(state, obs[step], noise[step], schedules.knobs_at(made, 0), EXPLORE)
            np.testing.assert_allclose(action[step], expected.reshape(NUM_ENVS, -1), rtol=0, atol=1e-9)
            np.testing.assert_allclose(log_prob[step], its, rtol=0, atol=1e-9)


class Given:
    """A generator whose next numbers are known."""

    def __init__(self, numbers):
        self.numbers = numbers

    def random(self, shape, kind):
        assert self.numbers.shape == shape
        return self.numbers.astype(kind)


@pytest.mark.slow
def test_two_stretches_are_one_of_twice_the_length():
    """With the same parameters and the same noise. Caught, when planted: an episode begun anew at the border, sums that
    are, the noise of a border's episode taken from the other end."""
    case = CASES["cartpole"]
    made, spec, program = compiled(case)
    _, _, longer = compiled(case, f"algorithm.num_steps={2 * NUM_STEPS}")
    rng, state = np.random.default_rng(5), started(program, spec)
    noise, fresh = rng.random((2 * NUM_STEPS, NUM_ENVS, 1)), rng.random((2 * NUM_STEPS + 1, 4, NUM_ENVS))
    knobs = schedules.knobs_at(made, 0)
    whole, halves = segments_of(longer, 2 * NUM_STEPS), segments_of(program)
    expected = whole.collect(state, knobs, noise=noise, episode_seeds=Given(fresh))
    parts = []
    for start in (0, NUM_STEPS):
        now = slice(start, start + NUM_STEPS)
        given_here = Given(np.concatenate([fresh[now], fresh[-1:]]))
        parts.append(halves.collect(state, knobs, noise=noise[now], episode_seeds=given_here))
    values = np.concatenate([np.asarray(part.rollout.values) for part in parts])
    np.testing.assert_allclose(values, np.asarray(expected.rollout.values), rtol=0, atol=1e-12)
    assert np.concatenate([part.lengths for part in parts]).tolist() == expected.lengths.tolist()
    assert np.concatenate([part.returns for part in parts]).tolist() == expected.returns.tolist()
    assert len(expected.lengths) > 2 * NUM_ENVS


# -- returns and lengths, across borders


def told_by(records, num_envs):
    """A `CompiledSegments` whose environment plays what the records [T, 3, E] say: reward, terminated, truncated."""
    columns = {"reward": (0, 1), "terminated": (1, 1), "truncated": (2, 1)}
    left = iter(records)

    def rollout(state, knobs, values):
        record, elapsed = next(left), np.where(values["begins"] > 0, 0, values["elapsed"])
        for row in record:
            elapsed = np.where(row[1] + row[2] > 0, 0, elapsed + 1)
        return {"record": record, "env_state": values["env_state"], "elapsed": elapsed.astype(np.float64)}

    facts = {"columns": columns, "num_initial_noise": 1, "state_size": 1, "memory": 0}
    program = SimpleNamespace(manifest={"environment": facts}, rollout=rollout)
    return CompiledSegments(program, num_envs=num_envs, num_steps=len(records[0]), dtype="float64")


@settings(max_examples=200, deadline=None)
@given(
    num_envs=st.integers(1, 4),
    num_steps=st.integers(1, 7),
    blocks=st.integers(1, 5),
    often=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 2**20),
)
def test_returns_and_lengths_are_those_of_a_plain_loop(num_envs, num_steps, blocks, often, seed):
    """Ends of both kinds anywhere, also none at all and one at each step; every third time through a checkpoint.

    Caught, when planted: the sum of an open episode dropped at a border, a length one short there, the rest of a
    stretch without an end taken for a new episode's, ends of one environment after those of another.
    """
    rng = np.random.default_rng(seed)
    records = rng.normal(size=(blocks, num_steps, 3, num_envs))
    kinds = np.where(rng.random((blocks, num_steps, num_envs)) < often, rng.integers(1, 3, size=num_envs), 0)
    records[:, :, 1], records[:, :, 2] = kinds == 1, kinds == 2
    one, total, length = told_by(records, num_envs), np.zeros(num_envs), np.zeros(num_envs, int)
    for block, record in enumerate(records):
        noise = np.zeros((num_steps, num_envs, 1))
        played = one.collect({}, {}, noise=noise, episode_seeds=np.random.default_rng(0))
        returns, lengths = [], []
        for row in record:
            total, length = total + row[0], length + 1
            for e in np.flatnonzero(row[1] + row[2]):
                returns.append(total[e])
                lengths.append(length[e])
                total[e], length[e] = 0.0, 0
        np.testing.assert_allclose(played.returns, returns, rtol=0, atol=1e-12)
        assert played.lengths.tolist() == lengths
        picture = one.settle()
        np.testing.assert_allclose(picture.returns, total, rtol=0, atol=1e-12)
        if seed % 3 == 0 and block + 1 < blocks:
            other = told_by(records[block + 1 :], num_envs)
            other.restore(one.arrays(picture))
            one = other


# -- whole episodes, with what an actor-critic takes of them


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cartpole", pytest.param("pendulum", marks=pytest.mark.slow)])
def test_whole_episodes_say_how_they_ended(name):
    """Truncated by the limit alone, else terminated; frozen after either. Pendulum in two calls.

    Caught, when planted: no truncation at the limit; the flag on the row after; next_obs of the frozen state; reward
    after the end.
    """
    case = CASES[name]._replace(limit={"cartpole": 23, "pendulum": 200}[name], overrides=[])
    made, spec, program = compiled(case, "algorithm.num_steps=null")
    state = started(program, spec)
    played = played_compiled(
        program,
        state,
        schedules.knobs_at(made, 0),
        num_episodes=13,
        time_limit=case.limit,
        episode_seeds=np.random.default_rng(1),
        action_noise=np.random.default_rng(2),
        draw=programs.noise_of(made, spec),
        dtype=made.dtype,
    )
    record = played.rollout
    obs, following, mask = rows(record, "obs"), rows(record, "next_obs"), record.field("mask")
    terminated, truncated = flags(record, "terminated"), flags(record, "truncated")
    act = acting.numpy_act(spec.acting)
    env = gymnasium.make(case.id).unwrapped
    for e, length in enumerate(played.lengths):
        last = length - 1
        assert mask[:, e].tolist() == [1.0] * length + [0.0] * (len(mask) - length)
        assert not (terminated[:last, e] | truncated[:last, e]).any()
        assert terminated[last, e] != truncated[last, e]
        assert not truncated[last, e] or length == case.limit
        assert not record.field("reward")[length:, e].any()
        np.testing.assert_allclose(following[:last, e], obs[1:length, e], rtol=0, atol=1e-12)
        env.reset(seed=0)
        env.state = case.state_of(obs[last, e])
        action = rows(record, "action")[last, e]
        over = env.step(int(action[0]) if name == "cartpole" else np.clip(action, -2, 2))[2]
        np.testing.assert_allclose(following[last, e], case.obs_of(env.state), rtol=0, atol=1e-9)
        assert over == terminated[last, e]
    assert not mask[:, 13:].any()
    assert truncated[mask > 0].any()
    assert terminated[mask > 0].any() == (name == "cartpole")
    noise = programs.noise_of(made, spec)(np.random.default_rng(2), spec.engine.chunk, 16)
    for t in range(10):
        _, its = act(state, obs[t], noise[t], schedules.knobs_at(made, 0), EXPLORE)
        real = mask[t] > 0
        np.testing.assert_allclose(record.field("log_prob")[t][real], its[real], rtol=0, atol=1e-9)
