"""The compiled environments as Gymnasium knows them: `gymnasium.make("pg_theano/CartPole-v1")` and its kin."""

import copy
import multiprocessing
import os
import pickle
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode

import pg_theano.environments
from pg_theano.environments import drawing, symbolic
from pg_theano.graphs.environments import load
from pg_theano.types import BUILT_IN_DYNAMICS, UserError

assert pg_theano.environments  # importing it registers them
TWO = ["CartPole-v1", "Pendulum-v1"]
TWINS = [id for id in BUILT_IN_DYNAMICS if "/" not in id]
OWN = [id for id in BUILT_IN_DYNAMICS if "/" in id]  # those that Gymnasium lacks
ALL = [*TWO, *(pytest.param(id, marks=pytest.mark.slow) for id in TWINS if id not in TWO)]
AND_OWN = [*ALL, OWN[2], *(pytest.param(id, marks=pytest.mark.slow) for id in OWN if id != OWN[2])]


def name_of(id):
    return id if "/" in id else f"pg_theano/{id}"


def single(id, **kwargs):
    return gymnasium.make(name_of(id), **kwargs)


def several(id, number=3, **kwargs):
    return gymnasium.make_vec(name_of(id), num_envs=number, **kwargs)


@pytest.mark.parametrize("id", ALL)
def test_they_pass_gymnasiums_checks(id):
    env = single(id)
    check_env(env.unwrapped, skip_render_check=True)  # which a test below does better
    assert env.spec.max_episode_steps == gymnasium.spec(id).max_episode_steps
    assert env.spec.reward_threshold == gymnasium.spec(id).reward_threshold


@pytest.mark.parametrize("id", OWN)
def test_those_that_gymnasium_lacks_pass_its_checks(id, recwarn):
    """Spaces, limits and numbers are those of the class. Caught, when planted: another limit in `LIMITS`."""
    env, task = single(id, render_mode="rgb_array"), load(id)
    check_env(env.unwrapped)
    told = [one for one in recwarn if "infinity" not in str(one.message) and "symmetric" not in str(one.message)]
    assert told == []
    assert env.spec.max_episode_steps == task.max_steps
    assert env.spec.reward_threshold == task.reward_threshold
    np.testing.assert_array_equal(env.observation_space.low, np.float32(task.obs_low))
    np.testing.assert_array_equal(env.action_space.high, np.float32(task.action_high))
    assert not np.array_equal(env.reset(seed=1)[0], env.reset(seed=2)[0])
    low, high = (env.unwrapped.dynamics.reset(np.full((task.num_initial_noise, 1), end))[0] for end in (0.0, 1.0))
    assert abs(high - low).max() <= 4.0


@pytest.mark.parametrize("id", OWN)
def test_those_that_gymnasium_lacks_begin_where_they_are_told(id):
    """Alone and side by side; what is no state is refused. Caught, when planted: the option ignored."""
    env, envs, size = single(id), several(id), load(id).state_size
    state = np.linspace(0.1, 0.6, size)
    seen = env.reset(options={"state": state})[0]
    np.testing.assert_allclose(env.unwrapped.state, state, rtol=0, atol=1e-6)
    before = envs.reset(seed=1)[0]
    obs = envs.reset(options={"state": list(state), "reset_mask": np.array([False, True, False])})[0]
    np.testing.assert_array_equal(obs[1], seen)
    np.testing.assert_array_equal(obs[[0, 2]], before[[0, 2]])
    for wrong in ([0.1] * (size + 1), [np.nan] * size):
        with pytest.raises(UserError, match=rf"options: got state .*; expected {size} finite numbers"):
            env.reset(options={"state": wrong})
    with pytest.raises(UserError, match=r"options: got 'low'; expected one of \['state'\]"):
        env.reset(options={"low": 0.1})


def test_those_that_gymnasium_lacks_are_drawn():
    """Where their state is, and so is what has gone far away. Caught, when planted: the second link's angle from the
    ground, z downwards, a picture that does not follow."""
    for id in OWN:
        env, many = single(id, render_mode="rgb_array"), several(id, 2, render_mode="rgb_array")
        assert env.unwrapped.render() is None  # nothing has begun
        env.reset(seed=5)
        many.reset(seed=5)
        np.testing.assert_array_equal(env.render(), many.render()[0])
        before = env.render()
        for _ in range(3):
            env.step(env.action_space.high)
        assert (env.render() != before).any()
        assert env.metadata["render_fps"] * load(id).constants["dt"] in (1.0, 2.0)
        if "Reacher" not in id:
            env.reset(options={"state": [99.0, 50.0, *[0.3] * (load(id).state_size - 2)]})
            assert (env.render() == drawing.BLUE).all(axis=2).sum() > 30
        assert single(id).unwrapped.render() is None
        with pytest.raises(UserError, match="got render_mode human; expected rgb_array"):
            symbolic.SymbolicEnv(BUILT_IN_DYNAMICS[id], "human")
    arm = single(OWN[2])
    state = np.array([0.4, 1.3, 0.0, 0.0, 0.2, -0.5])
    obs = arm.reset(options={"state": state})[0]
    strokes = drawing.TASKS[BUILT_IN_DYNAMICS[OWN[2]]](*state).strokes
    np.testing.assert_allclose(strokes[1].end, obs[6:8] + obs[8:], atol=1e-6)
    np.testing.assert_allclose(strokes[-1].start, obs[6:8], atol=1e-6)
    above = drawing.picture(BUILT_IN_DYNAMICS[OWN[1]], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    assert np.flatnonzero((above == drawing.BLUE).all(axis=2).any(axis=1)).max() < drawing.ROWS / 2


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("id", AND_OWN)
def test_the_vectorised_class_equals_single_ones_side_by_side(id, mode):
    """Bit for bit, over several episodes, resets included, from the same seeds, in each autoreset mode.

    Caught, when planted: the generator of a neighbour, the reward of a reset row, a time limit off by one, an episode
    alone compiled as one row instead of two (Pendulum: 0.0035), a mask that resets all, `final_obs` after the reset.
    """
    vector = several(id, autoreset_mode=mode, max_episode_steps=150)
    options = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": mode}}
    apart = several(id, max_episode_steps=150, **options)
    seen = [envs.reset(seed=[4, 9, 2]) for envs in (vector, apart)]
    vector.action_space.seed(0)
    ends = 0
    for _ in range(310):
        assert_same(*seen)
        action = vector.action_space.sample()
        seen = [envs.step(action) for envs in (vector, apart)]
        over = seen[1][2] | seen[1][3]
        ends += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            assert_same(*seen)
            seen = [envs.reset(options={"reset_mask": over}) for envs in (vector, apart)]
    assert ends >= 3
    assert vector.metadata["autoreset_mode"] is mode


def assert_same(ours, theirs):
    assert data_equivalence(ours[-1], theirs[-1], exact=True)  # infos
    for one, other in zip(ours[:-1], theirs[:-1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "twin",
    [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))],  # noqa: S301
    ids=["copied", "pickled"],
)
@pytest.mark.parametrize("id", AND_OWN)
def test_they_are_copied_and_pickled_in_the_middle_of_an_episode(id, twin):
    """And go on as the one they come from. Was: "cannot pickle '_thread.lock'", in 0 of 5."""
    for env in (single(id, render_mode="rgb_array"), several(id)):
        env.reset(seed=3)
        env.action_space.seed(0)
        env.step(env.action_space.sample())
        if env.render_mode:
            env.render()
        other, action = twin(env), env.action_space.sample()
        assert_same(env.step(action), other.step(action))
        assert_same(env.reset(), other.reset())  # the generators have gone on alike


@pytest.mark.parametrize("id", ALL)
def test_they_are_drawn_as_gymnasium_draws(id):
    """The same pixels, from the same state. Was: accepted, and NotImplementedError in `render`.

    Caught, when planted: the state before the step, Pendulum's arrow left out.
    """
    ours, theirs = (gymnasium.make(name, render_mode="rgb_array") for name in (f"pg_theano/{id}", id))
    many = several(id, 2, render_mode="rgb_array")
    for env in (ours, theirs, many):
        env.reset(seed=5)
    action = theirs.action_space.sample()
    for _ in range(3):
        for env in (ours, theirs):
            env.step(action)
        many.step(np.stack([action, action]))
    theirs.unwrapped.state = np.array(ours.unwrapped.state, np.float64)  # ours is of float32
    np.testing.assert_array_equal(ours.render(), theirs.render())
    assert ours.metadata == theirs.metadata
    lists = several(id, 2, render_mode="rgb_array_list")  # caught: given to the class, which draws nothing
    lists.reset(seed=5)
    assert all(isinstance(one, np.ndarray) for one in lists.render())
    pictures = many.render()
    assert len(pictures) == 2
    np.testing.assert_array_equal(pictures[0], ours.render())


def test_a_window_is_drawn_into_at_every_step(monkeypatch):
    """As render_mode="human" promises. Caught, when planted: drawn at no step."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env, drawn = single("CartPole-v1", render_mode="human").unwrapped, []
    monkeypatch.setattr(env.original, "picture", lambda state, *others: drawn.append(state))
    env.reset(seed=0)
    env.step(1)
    assert len(drawn) == 2
    assert not np.array_equal(*drawn)


@pytest.mark.parametrize("action", [5, -1, 1.7, np.float32(1.0), [1], None, "1", 2**32])
def test_an_action_that_is_none_is_refused(action):
    """Alone and side by side. Was: stepped in silence (5 pushed to the left, 1.7 to the right)."""
    env, envs = single("CartPole-v1", disable_env_checker=True), several("CartPole-v1")
    env.reset(seed=0)
    envs.reset(seed=0)
    with pytest.raises(
        InvalidAction, match=r"CartPole: got action .*; expected whole numbers from 0 to 1 of shape \(1,\)"
    ):
        env.step(action)
    with pytest.raises(InvalidAction, match=r"of shape \(3,\)$"):
        envs.step([1, 0, action] if np.ndim(action) == 0 else [action] * 3)
    assert env.step(True)[1] == env.step(np.int64(0))[1] == 1.0


def test_a_wrong_number_of_actions_is_refused():
    """Was: a raw TypeError of JAX. Numbers beyond the bounds of a box are clipped, as Gymnasium's are."""
    for id, wrong in (
        ("CartPole-v1", [[1, 0], 1, [1, 0, 1, 0]]),
        ("Pendulum-v1", [[[0.1], [0.2]], [0.1, 0.2, 0.3], 0.1]),
    ):
        envs = several(id)
        envs.reset(seed=0)
        for actions in wrong:
            with pytest.raises(InvalidAction, match=r"expected .* of shape \(3,"):
                envs.step(actions)
    most, beyond = (np.full((3, 1), value, np.float32) for value in (2, 100))
    other = copy.deepcopy(envs)
    assert_same(envs.step(most), other.step(beyond))


def test_seeds_and_masks_of_the_wrong_size_are_refused():
    """Was: seeds for two of three environments were taken, a mask was not read."""
    envs = several("CartPole-v1")
    with pytest.raises(ValueError, match="got 2 seeds; expected 3"):
        envs.reset(seed=[1, 2])
    with pytest.raises(ResetNeeded, match="got a reset of some before that of all"):
        envs.reset(options={"reset_mask": np.array([True, False, False])})
    assert envs.reset(seed=np.int64(7))
    assert envs.np_random_seed == [7, 8, 9]
    for mask, error in (([True, False, False], TypeError), (np.ones(3), TypeError), (np.zeros(3, bool), ValueError)):
        with pytest.raises(error, match=r"options\['reset_mask'\]: got"):
            envs.reset(options={"reset_mask": mask})


@pytest.mark.parametrize(
    ("id", "options"), [("CartPole-v1", {"low": -0.2, "high": 0.3}), ("Pendulum-v1", {"x_init": 0.3, "y_init": 0.1})]
)
def test_options_of_a_reset_are_those_of_gymnasiums_task(id, options):
    """The same first observation from the same seed, alone and side by side; others are refused. Was: ignored."""
    expected = gymnasium.make(id).reset(seed=4, options=options)[0]
    np.testing.assert_allclose(single(id).reset(seed=4, options=options)[0], expected, rtol=0, atol=1e-7)
    envs = several(id)
    before = envs.reset(seed=1)[0]
    obs = envs.reset(seed=3, options=options | {"reset_mask": np.array([False, True, False])})[0]
    np.testing.assert_allclose(obs[1], expected, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(obs[[0, 2]], before[[0, 2]])
    for env in (single(id), envs):
        with pytest.raises(UserError, match="options: got 'lwo'; expected one of"):
            env.reset(options={"lwo": 0.1})
    with pytest.raises(ValueError, match="could not be converted"):
        envs.reset(options=dict.fromkeys(options, "x"))


@pytest.mark.parametrize(
    ("id", "kwargs", "number"),
    [
        ("CartPole-v1", {"sutton_barto_reward": True}, ("gravity", 20.0)),
        ("CartPole-v1", {}, ("force_mag", 20.0)),
        ("Pendulum-v1", {"g": 5.0}, ("max_torque", 1.0)),
        pytest.param("Acrobot-v1", {}, ("LINK_MASS_1", 2.0), marks=pytest.mark.slow),
        pytest.param("MountainCar-v0", {"goal_velocity": 0.01}, ("force", 0.002), marks=pytest.mark.slow),
        pytest.param("MountainCarContinuous-v0", {"goal_velocity": 0.01}, ("power", 0.003), marks=pytest.mark.slow),
    ],
)
def test_another_gravity_or_reward_is_that_of_gymnasiums_task(id, kwargs, number):
    """Arguments of `make`, and numbers that are set or read by name, alone and side by side. Was: a TypeError; ignored.

    Caught, when planted: the number not set anew in a copy; the compiled graph stepped after it was set; CartPole told
    of no new episode, whose reward is then 0.
    """
    ours, theirs = single(id, **kwargs), gymnasium.make(id, **kwargs)
    envs = several(id, 2, **kwargs)
    name, value = number
    assert ours.get_wrapper_attr(name) == getattr(envs, name) == getattr(theirs.unwrapped, name)
    theirs.action_space.seed(0)
    for episode in range(2):
        first = theirs.reset(seed=4)[0]
        for seen in (ours.reset(seed=4)[0], envs.reset(seed=4)[0][0]):
            np.testing.assert_allclose(seen, first, rtol=0, atol=1e-6)
        for step in range(30):
            if (episode, step) == (0, 3):
                for env in (ours.unwrapped, envs, theirs.unwrapped):
                    setattr(env, name, value)
                ours = pickle.loads(pickle.dumps(copy.deepcopy(ours)))  # noqa: S301
            action = theirs.action_space.sample()
            obs, reward, terminated, *_ = theirs.step(action)
            for seen in (ours.step(action), [one[0] for one in envs.step(np.stack([action] * 2))[:4]]):
                np.testing.assert_allclose(seen[0], obs, rtol=0, atol=2e-5)
                assert seen[1] == pytest.approx(reward, abs=2e-5)
                assert seen[2] == terminated
            if terminated:
                break
    assert ours.get_wrapper_attr(name) == value


def test_the_numbers_of_every_task_can_be_read():
    """Each that its graph has. Others are unknown, as those of Gymnasium's are; a task of one's own takes none."""
    for id in TWINS:
        env = single(id)
        for name, value in load(id).constants.items():
            assert env.get_wrapper_attr(name) == pytest.approx(value)
        assert not env.has_wrapper_attr("unknown")
    assert not single("Pendulum-v1").has_wrapper_attr("gravity")
    with pytest.raises(TypeError, match="unexpected keyword argument 'sutton'"):
        single("CartPole-v1", sutton=True)
    folder = Path(__file__).parent
    own = symbolic.SymbolicEnv(symbolic.Dynamics("masked_environments:GatesAsDynamics", folders=[folder]))
    assert not own.has_wrapper_attr("gravity")
    with pytest.raises(UserError, match=r"got arguments \['gravity'\]; expected none"):
        symbolic.SymbolicEnv(own.dynamics, gravity=1.0)


def test_a_step_before_the_first_reset_is_refused():
    """Was: AttributeError: 'NoneType' object has no attribute 'shape'. A step of what has ended, too, where nothing resets."""
    for env, action in ((single("CartPole-v1").unwrapped, 1), (several("CartPole-v1"), [1, 1, 1])):
        with pytest.raises(ResetNeeded, match="got a step before the first reset"):
            env.step(action)
    envs = several("CartPole-v1", autoreset_mode="Disabled", max_episode_steps=1)
    envs.reset()
    envs.step([1, 1, 1])
    with pytest.raises(ResetNeeded, match=r"got a step of environments \[0, 1, 2\], which have ended"):
        envs.step([1, 1, 1])


def test_without_a_time_limit_nothing_is_cut_off():
    """max_episode_steps=-1 means none, as for `gymnasium.make`. Was: every step an end."""
    envs = several("Pendulum-v1", max_episode_steps=-1)
    envs.reset(seed=0)
    assert not any(envs.step(envs.action_space.sample())[3].any() for _ in range(201))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:os.fork")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_steps_after_its_parent_has_stepped():
    """In `AsyncVectorEnv`, with an environment of the child's own and with its parent's. Was: it hung, and left two workers.

    Caught, when planted: JAX's threads not begun anew; functions of before the fork used after it; the parent's client
    freed in the child, which waits for threads that are not there.
    """
    first, alone = single("CartPole-v1"), single("CartPole-v1")
    expected = [alone.reset(seed=seed)[0] for seed in (3, 4)]
    alone.step(1)
    first.reset(seed=3)
    makers = [lambda: single("CartPole-v1"), lambda: first]
    envs = gymnasium.vector.AsyncVectorEnv(makers, context="fork")
    try:
        envs.reset_async(seed=3)
        np.testing.assert_array_equal(envs.reset_wait(timeout=60)[0], expected)
        for _ in range(30):
            envs.step_async([1, 1])
            obs, _, terminated, *_ = envs.step_wait(timeout=60)
    finally:
        envs.close(timeout=60, terminate=True)
    assert not multiprocessing.active_children()
    assert np.isfinite(obs).all()
    assert terminated.shape == (2,)


def test_a_jax_that_cannot_begin_again_says_so(monkeypatch):
    """One line, and no hang. Caught, when planted: nothing, and the first step waited for ever."""
    from jax._src.interpreters import mlir

    from pg_theano.compiler import lowering, starting

    monkeypatch.setattr(starting, "_stale", True)
    monkeypatch.delattr(mlir, "global_thread_pool")
    with pytest.raises(UserError, match=r"was forked after JAX had begun, .*; try the start method spawn"):
        lowering.begun()
