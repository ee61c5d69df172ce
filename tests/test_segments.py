"""Stretches of a fixed length: what stands in their rows, and episodes that stay open between them."""

from types import SimpleNamespace

import numpy as np
import probe_environments as probes
import pytensor.tensor as pt
import pytest
from helpers_graphs import interpreted
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_theano.config import knobs as sections
from pg_theano.environments import making
from pg_theano.graphs import estimates
from pg_theano.training.playing.block import FEWEST_LAST
from pg_theano.training.playing.stretches import Segments
from pg_theano.types import OF_EVERY_POLICY, Rollout, UserError


def segments(id, num_envs=3, *, dtype="float32", keep=OF_EVERY_POLICY, **knobs):
    config = sections.Environment(id=id, **knobs)
    env = making.make(config, num_envs=num_envs, dtype=dtype, single_environments=True)
    return Segments(env, dtype=dtype, keep=keep)


def random_act(task):
    """Actions from the noise; the log-probability is minus the second feature: the step, in `Lengths` and its kin."""
    space = task.action

    def act(state, obs, noise, knobs, choice):
        if space.kind == "box":  # depends on what is seen, so that a fault spreads; some are out of bounds
            action = 3 * noise[:, : space.size] - 1.5 + 0.1 * obs[:, :1]
        elif space.kind == "discrete":
            action = (noise[:, 0] * space.choices[0]).astype(np.int32)
        else:
            action = (noise[:, : space.size] * space.choices).astype(np.int32)
        return action, -obs[:, min(1, obs.shape[1] - 1)]

    return act


def collect(one, steps, block, seed=0, act=None):
    """(the seeds drawn for the stretch [T+1, N], what was played)"""
    num_envs = one.environment.num_envs
    drawn = np.random.default_rng([seed, block]).integers(0, 2**31 - 1, size=(steps + 1, num_envs))
    played = one.collect(
        act or random_act(one.environment.task),
        {},
        {},
        noise=np.random.default_rng([seed, block, 1]).random((steps, num_envs, 6), one.kind),
        episode_seeds=np.random.default_rng([seed, block]),
    )
    return drawn, played


# -- what stands in the rows


@settings(max_examples=40, deadline=None)
@given(
    num_envs=st.integers(1, 4),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    seed=st.integers(0, 2**20),
)
def test_rows_are_what_the_environments_said(num_envs, sizes, seed):
    """Against `EitherEnd`, whose steps follow from seed and time. Caught, when planted: the observation of the reset in
    place of the true successor, `obs` after an end that is not the fresh episode's, terminated and truncated merged,
    the seed of the row before, sums that begin anew with a stretch, action and reward one row apart."""
    one, current, time, total = segments("EitherEnd-v0", num_envs), None, [0] * num_envs, [0.0] * num_envs
    for block, steps in enumerate(sizes):
        drawn, played = collect(one, steps, block, seed)
        current = list(drawn[0]) if current is None else current
        returns, lengths, rollout = [], [], played.rollout
        for step in range(steps):
            for e in range(num_envs):
                who, now, end = current[e] % 10_000, time[e], time[e] + 1 == probes.length_of(current[e])
                assert rollout.obs[e, step].tolist() == [who, now, 0]
                assert rollout.next_obs[e, step].tolist() == [who, now + 1, 0]
                assert rollout.log_prob[e, step] == -now
                assert rollout.reward[e, step] == 100 * rollout.action[e, step] + now + 1
                assert rollout.terminated[e, step] == (end and current[e] % 2 == 1)
                assert rollout.truncated[e, step] == (end and current[e] % 2 == 0)
                time[e], total[e] = now + 1, total[e] + float(rollout.reward[e, step])
                if end:
                    returns.append(total[e])
                    lengths.append(time[e])
                    current[e], time[e], total[e] = drawn[step + 1, e], 0, 0.0
        assert played.returns.tolist() == returns
        assert played.lengths.tolist() == lengths
        assert played.env_steps == num_envs * steps
        assert rollout.mask.shape == (num_envs, steps) and rollout.mask.all()


def test_successors_that_are_held_once_are_the_same():
    """What V sees of `last_obs` and of the next step is `next_obs`, wherever it counts: an observation for its own V.

    Caught, when planted: the first observation of the next episode for the last of this one, at the end of a stretch
    and within; slots counted from 1, and for terminated episodes too; another row's; ends of both kinds merged.
    """
    value, last = pt.dmatrix(), pt.dmatrix()
    ends = [pt.dmatrix(), pt.dmatrix()]
    block = SimpleNamespace(terminated=ends[0], truncated=ends[1])
    found = interpreted([value, last, *ends], estimates.of_successors(value, last, block))
    one, sizes = segments("EitherEnd-v0", 3, keep=[*OF_EVERY_POLICY, "last_obs"]), set()
    for number, steps in enumerate((1, 40, 7, 64)):
        played = collect(one, steps, number)[1].rollout
        sizes.add(played.last_obs.shape[1])
        observed = (played.obs, played.next_obs, played.last_obs)
        obs, following, last_obs = (part.astype(float) @ [1000.0, 1.0, 0.0] for part in observed)
        flags = played.terminated.T.astype(float), played.truncated.T.astype(float)
        counts = ~played.terminated.T
        assert np.array_equal(found(obs.T, last_obs.T, *flags)[counts], following.T[counts])
    assert min(sizes) == FEWEST_LAST and max(sizes) >= 4


def test_pixels_kept_as_floats_are_read_as_bytes():
    """A checkpoint of before pixels stayed bytes goes on. Caught, when planted: the cast left out."""
    first, again = (segments("Spot-v0", 2, keep=["obs", "mask"]) for _ in range(2))
    collect(first, 7, 0)
    saved = first.arrays(first.settle())
    assert saved["open/obs"].dtype == np.uint8
    again.restore(saved | {"open/obs": saved["open/obs"].astype(np.float32)})
    one, other = (collect(part, 7, 1)[1].rollout.obs for part in (first, again))
    assert one.dtype == other.dtype == np.uint8 and np.array_equal(one, other)


def test_v_in_pieces_is_v_of_the_whole():
    """Caught, when planted: columns in another order; a piece that is left out."""
    obs = pt.tensor("obs", shape=(3, None), dtype="uint8")
    found = interpreted([obs], estimates.in_pieces(lambda part: part[0] + 10.0 * part[2], obs, 4))
    seen = np.random.default_rng(0).integers(0, 256, (3, 24), np.uint8)
    assert np.array_equal(found(seen), seen[0] + 10.0 * seen[2])
    learning = SimpleNamespace(num_steps=60, passes=SimpleNamespace(num_minibatches=8))
    assert estimates.pieces_of(learning) == 4 and estimates.pieces_of(SimpleNamespace(num_steps=60, passes=None)) == 1


def test_environments_go_on_where_they_stopped():
    """Begun once an episode, stepped once a step. Caught, when planted: all begun anew with a stretch."""
    probes.Lengths.made.clear()
    one = segments("EitherEnd-v0", 2)
    made = list(probes.Lengths.made)
    drawn, _ = collect(one, 30, 0)
    before = [env.steps_taken for env in made]
    seeds = [list(env.seeds) for env in made]
    _, again = collect(one, 30, 1)
    assert [env.steps_taken - n for env, n in zip(made, before, strict=True)] == [30, 30]
    for e, env in enumerate(made):
        assert len(env.seeds) - len(seeds[e]) == again.rollout.terminated[e].sum() + again.rollout.truncated[e].sum()
        assert env.seeds[: len(seeds[e])] == seeds[e]
        assert drawn[0, e] in seeds[e]


def test_the_rollout_has_what_the_policy_drew_and_the_environment_what_it_takes():
    """ "Clipped action stored" is a classic bug; caught, when planted."""
    for squash in (False, True):
        config = sections.Environment(id="BoxActions-v0")
        env = making.make(config, num_envs=2, dtype="float32", squash=squash, single_environments=True)
        one = Segments(env, dtype="float32")
        collect(one, 1, 0)  # the trial is over
        probes.BoxActions.told.clear()
        _, played = collect(one, 4, 1)
        raw = played.rollout.action.swapaxes(0, 1).reshape(8, 2)  # step by step, as they were told
        low, high = np.array([-1, 0]), np.array([1, 10])
        expected = low + (high - low) * (np.tanh(raw) + 1) / 2 if squash else np.clip(raw, low, high)
        assert np.allclose(probes.BoxActions.told, expected, rtol=0, atol=1e-6)
        assert (np.abs(raw) > 1).any() and played.rollout.action.dtype == np.float32


@pytest.mark.parametrize(
    ("id", "shape", "dtype"),
    [
        ("Lengths-v0", (3, 5), np.int32),
        ("MultiDiscreteActions-v0", (3, 5, 2), np.int32),
        ("MultiBinaryActions-v0", (3, 5, 4), np.int32),
        ("MatrixActions-v0", (3, 5, 6), np.float64),
    ],
)
def test_actions_of_every_kind(id, shape, dtype):
    _, played = collect(segments(id, dtype="float64"), 5, 0)
    assert played.rollout.action.shape == shape and played.rollout.action.dtype == dtype
    assert played.rollout.obs.dtype == played.rollout.reward.dtype == played.rollout.mask.dtype == np.float64


def test_a_rollout_is_not_written_to_by_the_next():
    """Caught, when planted: buffers kept from one stretch to the next."""
    one = segments("Drift-v0")
    rollouts = [collect(one, 8, block)[1].rollout for block in range(2)]
    copies = [[np.copy(column) for column in rollout] for rollout in rollouts]
    collect(one, 8, 2)
    for rollout, copied in zip(rollouts, copies, strict=True):
        assert all(np.array_equal(*columns) for columns in zip(rollout, copied, strict=True))


def test_fields_that_nobody_wants_are_not_kept():
    one = segments("Lengths-v0", keep=("obs", "reward"))
    rollout = collect(one, 8, 0)[1].rollout
    assert [name for name in Rollout._fields if getattr(rollout, name) is not None] == ["obs", "reward"]


# -- open episodes

CASES = [
    ("Drift-v0", {}),
    ("EitherEnd-v0", {}),
    ("MultiBinaryActions-v0", {}),
    ("Pendulum-v1", {"max_episode_steps": 45}),
    ("Acrobot-v1", {"max_episode_steps": 25}),
    ("FrozenLake-v1", {}),
    ("Pendulum-v1", {"wrappers": ["gymnasium.wrappers:TimeAwareObservation"]}),
]


@pytest.mark.parametrize("sizes", [(20, 20, 20), (1, 30, 7)])
@pytest.mark.parametrize(("id", "knobs"), CASES)
def test_what_was_open_goes_on_bit_for_bit(id, knobs, sizes):
    """Three stretches, or one, a checkpoint, and two in new environments. Caught, when planted: actions recorded as the
    environment left them, sums and lengths that begin anew, the actions of a neighbour, the policy's actions replayed."""
    whole = segments(id, **knobs)
    played = [collect(whole, steps, block)[1] for block, steps in enumerate(sizes)]
    for stop in (1, 2):
        first = segments(id, **knobs)
        for block in range(stop):
            collect(first, sizes[block], block)
        saved = first.arrays(first.settle())
        assert all(isinstance(array, np.ndarray) and array.dtype != object for array in saved.values())
        resumed = segments(id, **knobs)
        resumed.restore(saved)
        again = resumed.arrays(resumed.settle())  # a checkpoint straight after a resume is the same one
        assert all(np.array_equal(saved[name], again[name]) for name in saved)
        for block in range(stop, 3):
            _, theirs = collect(resumed, sizes[block], block)
            for ours, other in zip(played[block].rollout[:-2], theirs.rollout[:-2], strict=True):
                assert ours.tobytes() == other.tobytes()
            assert played[block].returns.tobytes() == theirs.returns.tobytes()
            assert played[block].lengths.tobytes() == theirs.lengths.tobytes()
        ours, theirs = (one.arrays(one.settle()) for one in (whole, resumed))
        assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)


def test_a_picture_is_not_changed_by_later_stretches():
    """Caught, when planted: lengths or sums that are written to in place."""
    one = segments("Drift-v0")
    collect(one, 7, 0)
    picture = one.settle()
    before = {name: array.copy() for name, array in one.arrays(picture).items()}
    for block in range(1, 6):
        collect(one, 7, block)
    after = one.arrays(picture)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    other = segments("Drift-v0")
    other.restore(after)
    _, expected = collect(other, 7, 1)
    fresh = segments("Drift-v0")
    collect(fresh, 7, 0)
    assert collect(fresh, 7, 1)[1].rollout.obs.tobytes() == expected.rollout.obs.tobytes()


def test_only_the_actions_of_open_episodes_are_kept():
    """Caught, when planted: blocks never dropped; blocks copied for each picture."""
    one = segments("EitherEnd-v0", 2)
    for block in range(60):
        collect(one, 4, block)
        picture = one.settle()
        assert sum(map(len, picture.blocks)) < picture.lengths.max() + 4
        assert len(one.arrays(picture)["open/actions"]) == picture.lengths.sum()
    endless = segments("Endless-v0", 1)
    pictures = []
    for block in range(3):
        collect(endless, 4, block)
        pictures.append(endless.settle())
    assert [len(picture.blocks) for picture in pictures] == [1, 2, 3]
    assert pictures[2].blocks[0] is pictures[0].blocks[0]


@pytest.mark.parametrize(
    ("knobs", "what"),
    [
        ({"scale": 1.0000001}, "the observation is not that of the checkpoint"),
        ({"paid": 0.2}, "the sum of rewards is not that of the checkpoint"),
        ({"latest": 1}, "the episode is over, that of the checkpoint was open after"),
    ],
)
def test_an_environment_that_replays_something_else_is_named(knobs, what):
    """Caught, when planted: observations compared to within rounding; rewards not compared."""
    one = segments("Drift-v0")
    collect(one, 30, 0)
    saved = one.arrays(one.settle())
    assert (saved["open/length"] > 1).any()
    with pytest.raises(UserError, match=rf"Drift-v0, environment \d, step \d+ \(seed \d+\): does not replay: {what}"):
        segments("Drift-v0", kwargs=knobs).restore(saved)
    with pytest.raises(UserError, match=r"environment.num_envs: got 2; the checkpoint has 3 open episodes"):
        segments("Drift-v0", 2).restore(saved)


def test_an_environment_that_does_not_replay_is_begun_anew_each_time():
    """And nothing of it is open at a checkpoint; what is dropped was cut off, so that V stands for the rest of it.

    Caught, when planted: the trial compares lengths only; a dropped episode that is not said to be truncated.
    """
    one = segments("NotAgain-v0")
    for block in range(3):
        drawn, played = collect(one, 6, block)
        assert one.replays is False
        assert np.array_equal(played.rollout.obs[:, 0, 0], drawn[0] % 10_000)
        assert not played.rollout.obs[:, 0, 1].any()
        assert np.logical_xor(played.rollout.terminated, played.rollout.truncated)[:, -1].all()
        assert (played.lengths <= 6).all()
    saved = one.arrays(one.settle())
    assert not any(array.size for array in saved.values())
    other = segments("NotAgain-v0")
    other.restore(saved)
    drawn, played = collect(other, 6, 3)
    assert np.array_equal(played.rollout.obs[:, 0, 0], drawn[0] % 10_000)


@pytest.mark.parametrize("id", ["Lengths-v0", "Drift-v0", "CartPole-v1", "Pendulum-v1", "DictObs-v0"])
def test_an_environment_that_replays_is_found_to(id):
    one = segments(id)
    assert one.replays is None
    collect(one, 2, 0)
    assert one.replays is True


def test_the_trial_whether_an_environment_replays_is_the_same_each_time():
    """The same actions for every run, and the environment's own generator left alone.

    Caught, when planted: an action space that is not seeded; that of the environment itself, seeded.
    """
    tried = []
    for seed in range(2):
        probes.BoxActions.told.clear()
        one = segments("BoxActions-v0", 1)
        one.environment.slots[0].action_space.seed(seed)
        assert one.environment.replays()
        tried.append([action.tolist() for action in probes.BoxActions.told])
        following = one.environment.slots[0].action_space.sample()
        one.environment.slots[0].action_space.seed(seed)
        assert np.array_equal(following, one.environment.slots[0].action_space.sample())
    assert tried[0] == tried[1] and len(tried[0]) == 32
    assert tried[0][:16] == tried[0][16:] and tried[0][0] != tried[0][1]


def test_nothing_is_stepped_before_the_first_stretch():
    probes.Lengths.made.clear()
    one = segments("Lengths-v0")
    assert [(env.steps_taken, env.seeds) for env in probes.Lengths.made] == [(0, [])] * 3
    assert not any(array.size for array in one.arrays(one.settle()).values())


# -- faults


@pytest.mark.parametrize(
    ("how", "step", "message"),
    [
        ("nan", 4, "the observation has nan; an observation must be finite"),
        ("raises", 4, "step raises RuntimeError: the motor"),
        ("reward inf", 4, "reward is inf; a reward must be finite"),
        ("shape", 4, r"the observation has shape \(2, 1\); its space says \(2,\)"),
        ("nan at reset", 0, "the observation has nan; an observation must be finite"),
    ],
)
def test_a_fault_names_environment_step_and_seed(how, step, message):
    one = segments("Failing-v0", 2, kwargs={"how": how, "first_episode": 5})  # four are over after the trial
    seed = np.random.default_rng([0, 0]).integers(0, 2**31 - 1, size=(31, 2))[0, 0]
    with pytest.raises(UserError, match=rf"Failing-v0, environment 0, step {step} \(seed {seed}\): {message}"):
        collect(one, 30, 0)


def test_an_episode_without_an_end_is_an_error(monkeypatch):
    monkeypatch.setattr("pg_theano.environments.sound.LONGEST_EPISODE", 300)
    one = segments("Endless-v0", 2)
    for block in range(2):
        collect(one, 100, block)
    with pytest.raises(
        UserError, match=r"has not ended after 300 steps; expected an end; try environment.max_episode_steps"
    ):
        collect(one, 100, 2)
    _, played = collect(segments("Endless-v0", 2, max_episode_steps=11), 100, 0)
    assert played.lengths.tolist() == [11] * 18
