"""Any Gymnasium environment: spaces, limits, wrappers, and faults that name where they happened."""

import math
import sys
import textwrap

import gymnasium
import numpy as np
import probe_environments as probes
import pytest
from gymnasium import spaces

from pg_theano.config import knobs as sections
from pg_theano.environments import making
from pg_theano.environments.frames import FrameStack
from pg_theano.environments.rows import observation_of
from pg_theano.training.playing.episodes import collect
from pg_theano.training.playing.noise import uniforms
from pg_theano.types import ActionSpace, UserError


def made(id, num_envs=3, folders=(), squash=False, **knobs):
    config = sections.Environment(id=id, **knobs)
    return making.make(config, num_envs=num_envs, dtype="float32", folders=folders, squash=squash)


def play(env, num_episodes=6, action=0):
    def act(state, obs, noise, knobs, choice):
        return np.full(len(obs), action, np.int32), np.zeros(len(obs), np.float32)

    return collect(
        env,
        act,
        {},
        {},
        num_episodes=num_episodes,
        draw=uniforms(1, "float32"),
        episode_seeds=np.random.default_rng(0),
        action_noise=np.random.default_rng(1),
        dtype="float32",
    )


# -- spaces


def test_what_was_observed_is_not_written_over():
    """An environment may reuse its buffer. Caught, when planted: rows that are a view of what the environment returned."""
    for space, dtype in ((spaces.Box(-1, 1, (3,)), "float32"), (spaces.Box(-1, 1, (3, 2), np.float64), "float64")):
        buffer = np.ones((4, *space.shape), dtype)
        rows = observation_of(space, "any", dtype).convert(buffer)
        buffer[:] = 2
        assert rows.shape == (4, math.prod(space.shape)) and (rows == 1).all()


def test_a_box_of_any_shape_is_flattened():
    env = made("Matrix-v0")
    assert env.task.obs_size == 6
    played = play(env)
    assert np.array_equal(played.rollout.obs[0, 0], [0, 1, 2, 3, 4, 5])
    assert np.array_equal(played.rollout.next_obs[0, 0], [1, 2, 3, 4, 5, 6])


def test_a_discrete_observation_is_one_hot_from_its_start():
    """Caught, when planted: `start` forgotten (5 is then out of the table)."""
    env = made("DiscreteObs-v0")
    played = play(env)
    assert env.task.obs_size == 3
    assert played.rollout.obs[0, :2].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert played.rollout.next_obs[0, :2].tolist() == [[0, 1, 0], [0, 0, 1]]


def test_a_multi_discrete_observation_is_one_hot_each():
    env = made("MultiDiscreteObs-v0")
    assert env.task.obs_size == 5
    assert play(env).rollout.obs[0, :2].tolist() == [[0, 1, 1, 0, 0], [0, 1, 0, 1, 0]]


def test_bits_are_a_row_of_numbers():
    """Caught, when planted: a space that the documentation lists, refused."""
    env = made("BinaryObs-v0")
    assert env.task.obs_size == 4
    assert play(env).rollout.obs[0, :2].tolist() == [[1, 0, 0, 1], [1, 0, 1, 1]]


def test_actions_start_where_their_space_starts():
    """Caught, when planted: actions from 0 (the probe raises at 0)."""
    env = made("ActionsFromOne-v0")
    assert env.task.action.choices == [3]
    assert play(env, action=2).returns.tolist() == [1.0] * 6
    assert play(env, action=0).returns.tolist() == [0.0] * 6


@pytest.mark.parametrize(
    ("id", "rows"),
    [
        ("DictObs-v0", [[1, 0, 0, 10, 20], [0, 1, 0, 10, 21]]),
        ("TupleObs-v0", [[1, 0, 0, 10, 20], [0, 1, 0, 10, 21]]),
        ("VectorDict-v0", [[1, 0, 0, 10, 20], [0, 1, 0, 10, 21]]),  # and its own class is left aside
    ],
)
def test_a_dict_or_tuple_of_observations_is_one_row(id, rows):
    env = made(id)
    assert isinstance(env, making.Slots)
    assert env.task.obs_size == 5
    assert play(env).rollout.obs[0, :2].tolist() == rows


@pytest.mark.parametrize(
    ("id", "space"),
    [("TupleActions-v0", r"action space Tuple\(Discrete"), ("GraphObs-v0", "observation space Graph")],
)
def test_any_other_space_is_refused_by_name(id, space):
    with pytest.raises(UserError, match=rf"{id}: its {space}.* is not supported; expected "):
        made(id)


def test_environments_that_differ_are_refused():
    with pytest.raises(UserError, match="Differing-v0: the spaces of environment 1 are not those of environment 0"):
        made("Differing-v0")


# -- actions


def told(id, actions, squash=False):
    """(what the environments took for actions [N, ...], one each; the task's action space)"""
    probe = getattr(probes, id)
    probe.told.clear()
    env, before = made(f"{id}-v0", num_envs=len(actions), squash=squash), actions.copy()
    env.begin(np.ones(len(actions), bool), np.arange(len(actions)), all_over=True)
    env.step(actions)
    assert np.array_equal(actions, before)
    assert {action.dtype for action in probe.told} == {probe.action_space.dtype}
    assert all(probe.action_space.contains(action) for action in probe.told)
    return np.array(probe.told), env.task.action


def test_a_box_is_given_what_was_drawn_clipped_to_each_components_bounds():
    """Caught, when planted: one bound for all, the policy's array clipped in place, the policy's dtype."""
    given, space = told("BoxActions", np.float32([[-3, -3], [0.25, 0.5], [3, 30]]))
    assert given.tolist() == [[-1, 0], [0.25, 0.5], [1, 10]]
    assert space == ActionSpace("box", 2, [], [-1, 0], [1, 10])
    given, space = told("UnboundedActions", np.float32([[-3e9, -3e9], [3e9, 3]]))
    assert given.tolist() == [[-3e9, -3e9], [3e9, 1]]
    assert space.low == [-np.inf, -np.inf] and space.high == [np.inf, 1]


def test_a_box_of_two_dimensions_is_given_rows_back_in_its_shape():
    """Caught, when planted: the columns first; bounds of the first row for both."""
    given, space = told("MatrixActions", np.float32([[9, 9, 9, 5, 5, 5], [0, 1, 2, 3, 4, 50]]))
    assert given.tolist() == [[[1, 2, 3], [5, 5, 5]], [[0, 1, 2], [3, 4, 12]]]
    assert space.size == 6 and space.low == [-1, -2, -3, 0, 1, 2]


def test_a_box_of_whole_numbers_is_given_the_nearest():
    given, _ = told("WholeActions", np.float32([[-3, 7.6], [7.4, 300]]))
    assert given.tolist() == [[0, 8], [7, 255]]


def test_squashed_actions_fill_the_box():
    """tanh u = ±0.5 at u = ±ln(3)/2. Caught, when planted: low + (high − low)·tanh u, clipping in its place."""
    u = np.log(3) / 2
    given, _ = told("BoxActions", np.float32([[0, 0], [u, u], [-u, -u], [99, 99], [-99, -99]]), squash=True)
    assert np.allclose(given, [[0, 5], [0.5, 7.5], [-0.5, 2.5], [1, 10], [-1, 0]], rtol=0, atol=1e-6)


@pytest.mark.parametrize("id", ["UnboundedActions-v0", "CartPole-v1"])
def test_squashing_needs_a_box_with_bounds(id):
    with pytest.raises(
        UserError, match=rf"policy.squash: got true, and {id} has the action space .*; expected a Box with finite"
    ):
        made(id, squash=True)


def test_components_start_where_their_space_starts():
    """Caught, when planted: counted from 0; the first component's start for all."""
    given, space = told("MultiDiscreteActions", np.int32([[0, 0], [1, 2]]))
    assert given.tolist() == [[5, -1], [6, 1]]
    assert space == ActionSpace("multi_discrete", 2, [2, 3], [], [])


def test_multi_binary_actions_keep_the_shape_of_their_space():
    given, space = told("MultiBinaryActions", np.int32([[0, 1, 1, 1], [1, 0, 0, 0]]))
    assert given.tolist() == [[[0, 1], [1, 1]], [[1, 0], [0, 0]]]
    assert space == ActionSpace("multi_binary", 4, [2, 2, 2, 2], [], [])


@pytest.mark.parametrize(
    ("id", "action"),
    [("BoxActions-v0", [0.0, np.nan]), ("UnboundedActions-v0", [np.inf, 0.0])],
)
def test_an_action_that_is_no_number_does_not_reach_the_environment(id, action):
    """Clipping hides nothing: max(nan, low) is nan."""
    env = made(id)
    env.begin(np.ones(3, bool), np.arange(3), all_over=True)
    message = rf"{id}, environment 1: the policy's action is \[.*(nan|inf).*\]; expected a finite one; try"
    with pytest.raises(UserError, match=message):
        env.step(np.float32([[0, 0], action, [0, 0]]))


@pytest.mark.parametrize("squash", [False, True])
def test_whoever_watches_gives_the_same_actions(squash):
    actions = np.float32([[0.3, 12]])
    env = making.single(sections.Environment(id="BoxActions-v0"))
    _, given = making.converters(env, sections.Environment(id="BoxActions-v0"), "float32", squash)
    assert np.array_equal(given(actions), told("BoxActions", actions, squash)[0])


def test_an_unknown_autoreset_mode_is_refused():
    """Caught, when planted: the mode is not looked at."""
    with pytest.raises(
        UserError, match=r"NoMode-v0: its vectorised class resets in mode None; expected one of gymnasium"
    ):
        made("NoMode-v0")


# -- which engine, limits, kwargs, wrappers


@pytest.mark.parametrize(
    ("id", "knobs", "engine"),
    [
        ("CartPole-v1", {}, making.VectorClass),
        ("CartPole-v1", {"max_episode_steps": 20}, making.VectorClass),
        ("CartPole-v1", {"kwargs": {"sutton_barto_reward": True}}, making.Slots),
        ("CartPole-v1", {"wrappers": ["gymnasium.wrappers:FlattenObservation"]}, making.Slots),
        ("Acrobot-v1", {}, making.Slots),
    ],
)
def test_the_vectorised_class_is_used_only_for_the_task_as_registered(id, knobs, engine):
    assert isinstance(made(id, **knobs), engine)


def test_an_id_is_one_task():
    """That of `gymnasium.make`: with whole episodes, as with stretches. Caught, with the code before: the class that the
    package registers beside it was taken, whatever its spaces, and `watch` met observations of another size."""
    env = made("TwoTasks-v0")
    assert isinstance(env, making.Slots)
    assert (
        env.task
        == making.make(
            sections.Environment(id="TwoTasks-v0"), num_envs=2, dtype="float32", single_environments=True
        ).task
    )
    asked = made("TwoTasks-v0", engine="vector")
    assert isinstance(asked, making.VectorClass)
    assert (asked.task.obs_size, asked.task.action.choices) == (2, [3])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("text", r"returns array\(\['1.0', '1.0', .* for reward; expected an array of 3 numbers"),
        ("one", r"returns array\(\[1\.\]\) for reward; expected an array of 3 numbers"),
        ("list", r"returns \[1.0, 1.0, 1.0\] for reward; expected an array of 3 numbers"),
        ("text flags", r"returns array\(\['no', .* for terminated; expected an array of 3 flags"),
        ("narrow", r"step raises Outside: shape \(1,\) in place of \(2,\)"),
    ],
)
def test_what_a_vectorised_class_returns_is_looked_at(how, message, monkeypatch):
    """Caught, with the code before: a traceback for each of them but the list and the one reward, which were taken for
    as many as there are."""
    monkeypatch.setattr(probes.OtherTask, "how", how)
    with pytest.raises(UserError, match=rf"TwoTasks-v0 \(seed \d+\): .*{message}"):
        play(made("TwoTasks-v0", engine="vector"))


@pytest.mark.parametrize(
    ("id", "knobs", "single"),
    [
        ("Lengths-v0", {}, False),
        ("TwoTasks-v0", {"wrappers": ["gymnasium.wrappers:FlattenObservation"]}, False),
        ("TwoTasks-v0", {}, True),
    ],
)
def test_a_vectorised_class_that_cannot_be_taken_is_said_to_be_none(id, knobs, single):
    config = sections.Environment(id=id, engine="vector", **knobs)
    with pytest.raises(UserError, match=r"environment\.engine: got vector, and there is no vectorised class for this"):
        making.make(config, num_envs=2, dtype="float32", single_environments=single)
    if single:
        with pytest.raises(UserError, match=r"environment\.engine: got vector, and one environment has other spaces"):
            making.single(config)


def test_single_environments_can_be_asked_for():
    config = sections.Environment(id="CartPole-v1")
    env = making.make(config, num_envs=2, dtype="float32", single_environments=True)
    assert isinstance(env, making.Slots)
    assert env.task == made("CartPole-v1").task


def test_time_limit_and_threshold_are_the_registered_ones_unless_changed():
    """Caught, when planted: the default limit of the class (500) for CartPole-v0, whose own is 200."""
    assert made("CartPole-v1").task[3:5] == (500, 475.0)
    assert made("CartPole-v0").task[3:5] == (200, 195.0)
    assert made("CartPole-v0").envs.max_episode_steps == 200
    assert made("CartPole-v1", max_episode_steps=20).task.time_limit == 20
    assert made("Capped-v0").task[3:5] == (7, 7)
    assert made("Capped-v0", max_episode_steps=4).task.time_limit == 4
    assert set(play(made("Capped-v0", max_episode_steps=4)).lengths) == {4}
    assert made("Endless-v0").task[3:5] == (None, None)


def test_kwargs_and_wrappers_reach_the_environment():
    """Caught, when planted: wrappers dropped, kwargs dropped."""
    assert play(made("Weighty-v0", kwargs={"weight": 3.0})).returns.tolist() == [3.0] * 6
    twice = made(
        "Weighty-v0", kwargs={"weight": 3.0}, wrappers=["probe_environments:Double", "probe_environments:Double"]
    )
    assert play(twice).returns.tolist() == [12.0] * 6


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"wrappers": ["probe_environments:Dubble"]}, "wrappers: probe_environments:Dubble cannot be imported"),
        ({"wrappers": ["no_such_module:X"]}, "wrappers: no_such_module:X cannot be imported"),
        ({"wrappers": ["gymnasium.wrappers"]}, "expected module:Class"),
        ({"wrappers": ["gymnasium.wrappers:RescaleAction"]}, "Weighty-v0: cannot be made: "),
        ({"kwargs": {"wieght": 3}}, "Weighty-v0: cannot be made: TypeError.*wieght"),
    ],
)
def test_kwargs_and_wrappers_that_do_not_fit(knobs, message):
    with pytest.raises(UserError, match=message):
        made("Weighty-v0", **knobs)


@pytest.mark.parametrize(
    ("id", "hint"),
    [
        ("CartPole-v9", "did you mean CartPole-v1"),
        ("CartPol-v1", "did you mean CartPole-v1"),
        ("Cartpole", "did you mean CartPole"),
        ("probe_environments:Lenths-v0", "did you mean probe_environments:Lengths-v0"),
        ("no_such_module_here:Env-v0", "the module no_such_module_here of .* cannot be imported"),
        ("probe_environments:FlappyBird-v0", "probe_environments registers ConstantValue-v0, ValueFromObs-v0, "),
        ("zzzzzzzzzz", "try python -c .import gymnasium; gymnasium.pprint_registry"),
        ("Cart-Pole-v3", "did you mean CartPole-v1"),
        (":", "environment.id"),
        ("probe_environments:", "environment.id"),
    ],
)
def test_an_unknown_environment_names_the_nearest(id, hint):
    with pytest.raises(UserError, match=hint):
        made(id)


@pytest.mark.parametrize(
    ("id", "package"),
    [
        ("FlappyBird-v0", "flappy_bird_gymnasium"),
        ("MiniGrid-Empty-5x5-v0", "minigrid"),
        ("ALE/Pong-v5", "ale_py"),
        ("BreakoutNoFrameskip-v4", "ale_py"),
        ("PandaReach-v3", "panda_gym"),
        ("highway-v0", "highway_env"),
        ("CoolRobot-v0", "gym_coolrobot"),
        ("MinAtar/Breakout-v1", "minatar.gym"),
    ],
)
@pytest.mark.parametrize("installed", [True, False])
def test_an_id_that_nobody_registered_names_the_package_that_may(id, package, installed, tmp_path, monkeypatch):
    """Only what is likely is asked about. Caught, with the code before: "did you mean Hopper-v5?" of FlappyBird,
    MountainCar of MiniGrid, Pendulum of Pong."""
    bare = package.partition(".")[0]  # the name to install
    facts = tmp_path / f"{bare}-1.0.dist-info/METADATA"
    facts.parent.mkdir()
    facts.write_text(f"Name: {bare.replace('_', '-')}\nVersion: 1.0\nRequires-Dist: gymnasium>=1.0\n")
    if installed:
        (tmp_path / f"{bare}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=f"{id} is not registered with Gymnasium") as caught:
        made(id)
    told = str(caught.value)
    assert "did you mean" not in told
    pip = f"try pip install {bare.replace('_', '-')}, then {package}:{id}"
    assert told.endswith(f"its package must be named: try {package}:{id}" if installed else pip)


def test_what_cannot_be_made_and_says_nothing_is_given_its_line_and_what_was_done():
    """Caught, with the code before: "NotImplementedError:", and nothing after it."""
    with pytest.raises(
        UserError,
        match=r"Wordless-v0: cannot be made: NotImplementedError at test_environments.py:\d+, in __init__; .* try --debug, which shows",
    ):
        made("Wordless-v0")


@pytest.mark.parametrize("kind", [SystemExit, BaseException])
def test_whatever_is_raised_while_it_is_made_or_imported_is_told(kind, tmp_path, monkeypatch):
    """Caught, with the code before: `SystemExit` in a constructor, or as a module is imported, ended the process."""
    monkeypatch.setattr(gymnasium.spec("Wordless-v0").entry_point, "kind", kind)
    with pytest.raises(UserError, match=rf"Wordless-v0: cannot be made: {kind.__name__} at "):
        made("Wordless-v0")
    (tmp_path / "leaves_at_once.py").write_text(f"raise {kind.__name__}(0)\n")
    for knobs in ({"id": "leaves_at_once:Any-v0"}, {"id": "Weighty-v0", "wrappers": ["leaves_at_once:Any"]}):
        with pytest.raises(UserError, match=rf"leaves_at_once.* cannot be imported \({kind.__name__}: 0\)"):
            made(folders=[tmp_path], **knobs)


class Wordless(probes.Probe):
    kind = NotImplementedError

    def __init__(self):
        raise self.kind()


gymnasium.register("Wordless-v0", Wordless)
MODULE = """
import gymnasium, numpy as np
class Env(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None): return np.zeros(1, np.float32), {{}}
    def step(self, action): return np.zeros(1, np.float32), {reward}, True, False, {{}}
gymnasium.register({id!r}, Env)
"""


def test_a_users_module_is_found_beside_the_yaml_then_in_the_current_folder(tmp_path, monkeypatch):
    """Caught, when planted: the current folder first. sys.path is left as it was."""
    beside, current = tmp_path / "beside", tmp_path / "current"
    for folder, names in ((beside, ("both_here", "only_beside")), (current, ("both_here", "only_current"))):
        folder.mkdir()
        for name in names:
            text = MODULE.format(reward=2.0 if folder is beside else 3.0, id=f"{name}-v0")
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.chdir(current)
    before = list(sys.path)
    for name, reward in (("both_here", 2.0), ("only_beside", 2.0), ("only_current", 3.0)):
        env = made(f"{name}:{name}-v0", folders=[beside])
        assert play(env).returns.tolist() == [reward] * 6
        del sys.modules[name], gymnasium.registry[f"{name}-v0"]
    assert sys.path == before


def test_a_module_that_registers_by_a_function_is_asked_to(tmp_path):
    """`register_envs()`, as MinAtar and bluesky-gym have it, called once. Caught, with the code before: "is not
    registered with Gymnasium", whatever was named."""
    text = textwrap.dedent(MODULE.format(reward=2.0, id="ByFunction-v0"))
    body, _, call = text.rpartition("gymnasium.register(")
    (tmp_path / "by_function.py").write_text(f"{body}def register_envs(): gymnasium.register({call}")
    for _ in range(2):
        assert play(made("by_function:ByFunction-v0", folders=[tmp_path])).returns.tolist() == [2.0] * 6
    del gymnasium.registry["ByFunction-v0"]


# -- faults of an environment

FAULTS = [
    ("nan", 4, "the observation has nan; an observation must be finite"),
    ("inf", 4, "the observation has inf; an observation must be finite"),
    ("shape", 4, r"the observation has shape \(2, 1\); its space says \(2,\)"),
    ("ragged", 4, r"the observation is \[0.0, \[1.0, 2.0\]\]; its space is Box"),
    ("text", 4, r"the observation is \['a', 'b'\]; its space is Box"),
    ("raises", 4, "step raises RuntimeError: the motor is stuck; its action was 0"),
    ("reward nan", 4, "reward is nan; a reward must be finite"),
    ("reward inf", 4, "reward is inf; a reward must be finite"),
    ("reward text", 4, "reward is 'much'; expected a number"),
    ("reward array", 4, r"reward is array\(\[0., 0.\]\); expected a number"),
    ("huge", 4, r"reward is 1e\+300; expected at most 1e\+15 in size; try rewards of about 1"),
    ("four values", 4, "step returns four values|step returns 4 values"),
    ("raises at reset", 0, "reset raises RuntimeError: no sensor"),
    ("shape at reset", 0, r"the observation has shape \(3,\); its space says \(2,\)"),
    ("nan at reset", 0, "the observation has nan; an observation must be finite"),
    ("one value at reset", 0, "reset returns one ndarray; expected"),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("how", "step", "message"), FAULTS, ids=[how for how, *_ in FAULTS])
def test_a_fault_names_environment_step_and_seed(how, step, message):
    """And there is no warning beside it. Caught, when planted: observations of discrete spaces unchecked."""
    env = made("Failing-v0", num_envs=2, kwargs={"how": how})
    seed = np.random.default_rng(0).integers(0, 2**31 - 1, size=6)[0]
    with pytest.raises(UserError, match=rf"Failing-v0, environment 0, step {step} \(seed {seed}\): (?:{message})"):
        play(env)


def test_a_fault_in_a_later_episode_names_that_episode():
    """Caught, when planted: step counted over episodes; the seed of the first one."""
    env = made("Failing-v0", num_envs=2, kwargs={"how": "raises", "first_episode": 2})
    seed = np.random.default_rng(0).integers(0, 2**31 - 1, size=6)[2]
    with pytest.raises(UserError, match=rf"environment 0, step 4 \(seed {seed}\): step raises"):
        play(env)


def test_the_probe_that_fails_is_sound_when_told_to_be():
    assert play(made("Failing-v0")).lengths.tolist() == [9] * 6


def test_a_discrete_observation_outside_its_space_is_refused():
    """Caught, when planted: the table is indexed with whatever comes (−1 would silently be the last)."""
    with pytest.raises(
        UserError, match=r"environment 0, step 2 .*: the observation is 10; its space is Discrete\(3, start=5\)"
    ):
        play(made("DiscreteObsOutside-v0"))


def test_a_reset_that_takes_no_seed_is_refused():
    with pytest.raises(UserError, match=r"NoSeed-v0, environment 0, step 0 .*: reset raises TypeError: .*seed"):
        play(made("NoSeed-v0"))


def test_a_single_environment_for_watching_has_the_same_wrappers_and_kwargs():
    config = sections.Environment(id="Weighty-v0", kwargs={"weight": 3.0}, wrappers=["probe_environments:Double"])
    env = making.single(config)
    env.reset(seed=0)
    assert env.step(0)[1] == 6.0


def test_frames_are_stacked_as_gymnasium_does():
    """Over two episodes that outlast the memory of the frames. Caught, when planted: the stack of the frame before, one
    that is written over later, a new memory without the last frames, frames of the episode before."""

    class Frames(gymnasium.Env):
        observation_space, action_space = spaces.Box(0, 255, (2, 3), np.uint8), spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.np_random.integers(0, 256, (2, 3), np.uint8), {}

        def step(self, action):
            return self.np_random.integers(0, 256, (2, 3), np.uint8), 0.0, False, False, {}

    for padding in ("reset", "zero"):
        ours = FrameStack(Frames(), 4, padding_type=padding)
        theirs = gymnasium.wrappers.FrameStackObservation(Frames(), 4, padding_type=padding)
        assert ours.observation_space == theirs.observation_space
        kept = []
        for seed in (1, 2):
            kept.append((ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]))
            kept += [(ours.step(0)[0], theirs.step(0)[0]) for _ in range(300)]
        assert all(np.array_equal(mine, other) for mine, other in kept)
    for wrong in ({"stack_size": 0}, {"stack_size": 4, "padding_type": "none"}):
        with pytest.raises(UserError, match=r"^FrameStack: "):
            FrameStack(Frames(), **wrong)
