"""Which episodes make a block of experience, and what stands in its rows."""

import gymnasium
import numpy as np
import probe_environments as probes
import pytest

from pg_theano.config import knobs as sections
from pg_theano.environments import making
from pg_theano.training.playing.episodes import collect
from pg_theano.training.playing.noise import uniforms
from pg_theano.types import OF_EVERY_POLICY, UserError


def environment(id, num_envs, dtype="float32", **knobs):
    return making.make(sections.Environment(id=id, **knobs), num_envs=num_envs, dtype=dtype)


def random_act(num_actions):
    """Actions from the noise; the log-probability names the step of the observation that was seen."""

    def act(state, obs, noise, knobs, choice):
        return (noise[:, 0] * num_actions).astype(np.int32), -obs[:, min(1, obs.shape[1] - 1)]

    return act


def play(env, num_episodes, *, seed=0, act=None, keep=True, dtype="float32"):
    """(the seeds that were drawn, what was played)"""
    drawn = np.random.default_rng(seed).integers(0, 2**31 - 1, size=num_episodes)
    played = collect(
        env,
        act or random_act(env.task.action.choices[0]),
        {},
        {},
        num_episodes=num_episodes,
        draw=uniforms(1, dtype),
        episode_seeds=np.random.default_rng(seed),
        action_noise=np.random.default_rng([seed, 1]),
        dtype=dtype,
        keep=OF_EVERY_POLICY if keep else (),
    )
    return drawn, played


SIZES = [(1, 1), (1, 5), (4, 4), (4, 3), (4, 10), (3, 16), (8, 1), (5, 33)]


@pytest.mark.parametrize(("num_envs", "num_episodes"), SIZES)
def test_every_drawn_episode_is_played_to_its_end(num_envs, num_episodes):
    """Caught, when planted: the first E to finish instead of the E drawn (short-episode bias), the last round dropped."""
    seeds, played = play(environment("Lengths-v0", num_envs), num_episodes)
    assert played.lengths.tolist() == [probes.length_of(seed) for seed in seeds]


def test_short_episodes_are_not_favoured():
    """The mean length is that of the seeds drawn, exactly. Caught, when planted: the first E to finish make the block."""
    env = environment("Lengths-v0", 16)
    for block in range(5):
        seeds, played = play(env, 24, seed=block, keep=False)
        assert played.lengths.mean() == np.mean([probes.length_of(seed) for seed in seeds])
        assert played.rollout is None


@pytest.mark.parametrize(("num_envs", "num_episodes"), SIZES)
def test_environment_i_plays_episodes_i_and_i_plus_n(num_envs, num_episodes):
    """Caught, when planted: whichever environment is free plays the next episode."""
    probes.Lengths.made.clear()
    env = environment("Lengths-v0", num_envs)
    made = list(probes.Lengths.made)
    for block in range(3):  # parked ones of a block play again in the next
        for one in made:
            one.seeds.clear()
        seeds, _ = play(env, num_episodes, seed=block)
        for number, one in enumerate(made):
            own = seeds[number::num_envs].tolist()
            if own:
                assert one.seeds[-len(own) :] == own
            assert set(one.seeds) - set(own) <= {0}  # parked before their first reset ever: any seed will do


def test_rows_are_what_the_environment_said():
    """obs encodes (seed, step), reward (action, step). Caught, when planted: next_obs paired with obs, reward one row
    late, action of the row before, the observation of the reset in place of the true successor."""
    seeds, played = play(environment("Lengths-v0", 4), 10)
    rollout = played.rollout
    for number, seed in enumerate(seeds):
        steps = probes.length_of(seed)
        time = np.arange(steps)
        who = np.full(steps, seed % 10_000)
        assert np.array_equal(rollout.obs[number, :steps], np.stack([who, time, 0 * time], axis=1))
        assert np.array_equal(rollout.next_obs[number, :steps], np.stack([who, time + 1, 0 * time], axis=1))
        assert np.array_equal(rollout.reward[number, :steps], 100 * rollout.action[number, :steps] + time + 1)
        assert np.array_equal(rollout.log_prob[number, :steps], -time)
        assert np.array_equal(rollout.terminated[number, :steps], time == steps - 1)
        assert not rollout.truncated[number].any()
        assert played.returns[number] == rollout.reward[number].sum()
    assert set(np.unique(rollout.action)) == {0, 1, 2}


@pytest.mark.parametrize(("num_envs", "num_episodes"), SIZES)
def test_padding_is_masked_and_empty(num_envs, num_episodes):
    """Idle rows have mask 0 and count as no step. Caught, when planted: a mask of ones, lengths counted while idle."""
    _, played = play(environment("Lengths-v0", num_envs), num_episodes)
    mask = played.rollout.mask
    assert mask.sum() == played.lengths.sum()
    assert np.array_equal(mask.sum(axis=1)[:num_episodes], played.lengths)
    assert np.array_equal(mask, np.sort(mask, axis=1)[:, ::-1])  # real steps first, then padding
    for column in played.rollout._replace(mask=mask)[:-2]:
        assert not column[mask == 0].any()


@pytest.mark.parametrize(("num_envs", "num_episodes"), SIZES)
def test_e_is_a_power_of_two_and_t_is_on_the_ladder(num_envs, num_episodes):
    """Caught, when planted: E as it comes, T of the longest episode."""
    _, played = play(environment("Lengths-v0", num_envs), num_episodes)
    rows, steps = played.rollout.mask.shape
    assert rows == next(2**k for k in range(10) if 2**k >= num_episodes)
    assert steps == 50  # one rung of 64, held down by the time limit
    _, played = play(environment("CartPole-v1", 8), 8, act=balancing)
    assert played.rollout.mask.shape[1] in (128, 256, 500)


def balancing(state, obs, noise, knobs, choice):
    """A policy that balances for a while; now and then it does not."""
    action = (obs[:, 2] + 0.3 * obs[:, 3] > 0).astype(np.int32)
    return np.where(noise[:, 0] < 0.25, 1 - action, action).astype(np.int32), np.zeros(len(obs), np.float32)


def test_parked_environments_are_not_stepped():
    """Caught, when planted: a parked slot steps on (and an ended Gymnasium environment is stepped past its end)."""
    probes.Lengths.made.clear()
    env = environment("Lengths-v0", 4)
    made, expected = list(probes.Lengths.made), np.zeros(4, int)
    for block, num_episodes in enumerate((6, 2, 1, 4)):
        seeds, _ = play(env, num_episodes, seed=block)
        for number, seed in enumerate(seeds):
            expected[number % 4] += probes.length_of(seed)
        assert [one.steps_taken for one in made] == expected.tolist()


def test_a_time_limit_truncates_and_does_not_terminate():
    """Caught, when planted: terminated | truncated stored in both columns."""
    for env, limit in ((environment("Capped-v0", 3), 7), (environment("CartPole-v1", 3, max_episode_steps=5), 5)):
        _, played = play(env, 5)
        ends = np.zeros_like(played.rollout.truncated)
        ends[:5, limit - 1] = True
        assert np.array_equal(played.rollout.truncated, ends)
        assert not played.rollout.terminated.any()
        assert env.task.time_limit == limit


def test_an_environment_without_a_time_limit():
    env = environment("EndlessEnds-v0", 3)
    assert env.task.time_limit is None
    seeds, played = play(env, 7)
    assert played.lengths.tolist() == [probes.length_of(seed) for seed in seeds]
    assert played.rollout.mask.shape == (8, 64)


def test_an_episode_without_an_end_is_an_error(monkeypatch):
    monkeypatch.setattr("pg_theano.environments.sound.LONGEST_EPISODE", 300)
    with pytest.raises(
        UserError, match=r"has not ended after 300 steps; expected an end; try environment.max_episode_steps"
    ):
        play(environment("Endless-v0", 2), 2)
    _, played = play(environment("Endless-v0", 2, max_episode_steps=11), 2)
    assert played.lengths.tolist() == [11, 11]


# -- Gymnasium's vectorised CartPole


@pytest.fixture(scope="module")
def cartpole():
    env = environment("CartPole-v1", 8)
    assert isinstance(env, making.VectorClass)
    return env


@pytest.mark.parametrize("num_episodes", [1, 5, 8, 21])
def test_vectorised_cartpole_gives_whole_consistent_episodes(cartpole, num_episodes):
    """Each row replayed with a single CartPole. Caught, when planted: NEXT_STEP's reset rows taken for steps, the reset
    observation as the successor, the action of another row."""
    _, played = play(cartpole, num_episodes)
    rollout, single = played.rollout, gymnasium.make("CartPole-v1").unwrapped
    single.reset(seed=0)
    for episode, length in enumerate(played.lengths):
        assert np.abs(rollout.obs[episode, 0]).max() <= 0.05
        for time in range(length):
            single.state, single.steps_beyond_terminated = rollout.obs[episode, time].astype(float), None
            expected, _, terminated, _, _ = single.step(int(rollout.action[episode, time]))
            assert np.allclose(rollout.next_obs[episode, time], expected, rtol=0, atol=2e-6)
            assert rollout.terminated[episode, time] == terminated == (time == length - 1)
        assert np.array_equal(rollout.obs[episode, 1:length], rollout.next_obs[episode, : length - 1])
    assert np.array_equal(rollout.reward, rollout.mask)
    assert np.array_equal(played.returns, played.lengths)
    assert rollout.mask.sum() == played.lengths.sum()


def test_a_block_of_vectorised_cartpole_follows_from_its_first_seed(cartpole):
    """Caught, when planted: no reset at the start of a block (a resumed run would differ)."""
    _, first = play(cartpole, 21, seed=5)
    play(cartpole, 3, seed=6)
    _, again = play(environment("CartPole-v1", 8), 21, seed=5)
    _, other = play(cartpole, 21, seed=7)
    for column, same, different in zip(first.rollout[:-2], again.rollout[:-2], other.rollout[:-2], strict=True):
        assert np.array_equal(column, same)
        assert column.shape != different.shape or not np.array_equal(column, different) or not column.any()


def test_episodes_of_vectorised_cartpole_are_not_all_the_same(cartpole):
    _, played = play(cartpole, 21)
    assert len(np.unique(played.rollout.obs[:21, 0], axis=0)) == 21


def test_slots_and_the_vectorised_class_play_the_same_task():
    """Same policy, same task: mean length of 150 episodes each, four standard errors."""
    lengths = [
        play(environment("CartPole-v1", 16, wrappers=wrappers), 150, act=balancing, keep=False)[1].lengths
        for wrappers in ([], ["gymnasium.wrappers:FlattenObservation"])
    ]
    error = np.sqrt(sum(one.var() / len(one) for one in lengths))
    assert abs(lengths[0].mean() - lengths[1].mean()) < 4 * error


def test_float64_reaches_the_rollout():
    _, played = play(environment("Lengths-v0", 2, "float64"), 3, dtype="float64")
    assert played.rollout.obs.dtype == played.rollout.reward.dtype == played.rollout.mask.dtype == np.float64
