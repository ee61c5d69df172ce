"""Whatever an environment observes: training, a loaded policy, files and callbacks make the same row of it."""

import collections
import json
from types import SimpleNamespace

import gymnasium
import numpy as np
import onnxruntime
import probe_environments as probes
import pytest
from gymnasium import spaces
from helpers_runs import merged, ran, small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import pg_theano
from pg_theano.config import reading, user_code
from pg_theano.environments import making
from pg_theano.policies import acting, kept, onnx, policy
from pg_theano.reports.pages import policy_section
from pg_theano.training import callbacks, evaluating, specs
from pg_theano.types import GREEDY, UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere")

FLOATS, WHOLE = (
    ("float16", "float32", "float64"),
    ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
SHAPES = some.sampled_from([(), (1,), (3,), (2, 2)])
KEYS = some.one_of(
    some.sampled_from(["zeta", "alpha", "a b", "", "1", "ö", "spaces"]),
    some.integers(-3, 12), some.booleans(), some.none(), some.sampled_from([0.5, -1.5]), some.tuples(some.integers(0, 2), some.sampled_from("xy")),
)  # fmt: skip


@some.composite
def boxes(draw, bounded=False):
    dtype, shape = draw(some.sampled_from([*FLOATS, *WHOLE, "bool"])), draw(SHAPES)
    if dtype in FLOATS and not bounded and draw(some.booleans()):
        return spaces.Box(-np.inf, draw(some.sampled_from([1, np.inf])), shape, dtype)
    low = 0 if dtype == "bool" or dtype.startswith("u") else -2
    return spaces.Box(low, 1 if dtype == "bool" else draw(some.integers(low + 1, 90)), shape, dtype)


@some.composite
def counted(draw):
    shape = draw(some.sampled_from([(1,), (3,), (2, 2)]))
    sizes = np.array(draw(some.lists(some.integers(2, 4), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))))
    start = draw(some.integers(-2, 2)) + np.arange(sizes.size)
    return spaces.MultiDiscrete(sizes.reshape(shape), start=start.reshape(shape))


DISCRETE = some.builds(
    lambda n, start: spaces.Discrete(n, start=start), some.sampled_from([1, 2, 5, 70]), some.integers(-7, 7)
)
BITS = some.sampled_from([1, 4, (2, 3)]).map(spaces.MultiBinary)
TEXTS = some.builds(
    lambda n, chars: spaces.Text(n, charset=chars), some.integers(1, 4), some.sampled_from(["ba", "xyzö", "0"])
)
ACTIONS = some.one_of(
    some.builds(lambda n, start: spaces.Discrete(n, start=start), some.integers(2, 5), some.integers(-7, 7)),
    counted(),
    BITS,
    boxes(),
)


def joined(parts):
    def dict_of(pairs, how):
        return {
            "pairs": lambda: spaces.Dict(pairs),
            "ordered": lambda: spaces.Dict(collections.OrderedDict(pairs)),
            "plain": lambda: spaces.Dict(dict(pairs)),
            "unsorted": lambda: spaces.Dict(dict(pairs), sort_keys=False),
        }[how]()

    pairs = some.lists(some.tuples(KEYS, parts), min_size=1, max_size=3, unique_by=lambda pair: pair[0])
    several = some.lists(parts, min_size=1, max_size=3)
    ways = some.sampled_from(["pairs", "ordered", "plain", "unsorted"])
    return some.one_of(some.builds(dict_of, pairs, ways), several.map(spaces.Tuple), several.map(spaces.OneOf))


OBSERVATIONS = some.recursive(some.one_of(boxes(), DISCRETE, counted(), BITS, TEXTS), joined, max_leaves=6)


NEAR = collections.defaultdict(int, f=2e-3)
"""Actions of real numbers, some of them in float16."""


def environment(observation, action, **changes):
    """(config, environment) of what observes samples of a space."""
    probes.AnySpaces.observation_space, probes.AnySpaces.action_space = observation, action
    data = merged(small(environment={"id": "probe_environments:AnySpaces-v0", "num_envs": 3}), changes)
    config = reading.from_dict(data, {}, "any spaces")
    return config, specs.environment_of(config, [])


def acts_of(config, made, dtype):
    """(spec, a state of random parameters, observations and their rows, actions [N, ...] as training gives them)."""
    probes.AnySpaces.seen = []
    rows = made.begin(np.ones(3, bool), np.arange(3), all_over=True)
    spec = specs.spec_of(config, made.task, made, [])
    state = {"params": np.random.default_rng(0).normal(0, 0.5, spec.acting.num_params).astype(dtype)}
    act = acting.numpy_act(spec.acting, with_log_prob=False)
    chosen = act(state, rows, None, {"exploration_rate": 0.0}, GREEDY)[0]
    return spec, state, [*probes.AnySpaces.seen], rows, made.given(chosen)


@settings(max_examples=80, suppress_health_check=[*HealthCheck])
@given(OBSERVATIONS, ACTIONS)
def test_one_row_is_made_of_an_observation_everywhere(observation, action):
    """Against Gymnasium's own `flatten`. Found: a Dict in its own order permuted by `load`, keys that are numbers
    refused as text, bool, Text and OneOf that trained and could not be loaded."""
    config, made = environment(observation, action)
    spec, state, seen, rows, expected = acts_of(config, made, "float32")
    for obs, row in zip(seen, rows, strict=True):
        np.testing.assert_allclose(row, np.asarray(spaces.flatten(observation, obs), float), rtol=1e-6)
    about = policy.About("any", "reinforce", {}, "run", "best-1")
    described = json.loads(json.dumps(made.task.spaces))  # as run.json, and a worker, tell it
    loaded = kept.sound(*policy.acting_part(spec, state), described, about)
    np.savez("policy.npz", **kept.arrays_of(loaded))
    setting = SimpleNamespace(spec=spec, task=made.task, config=config, folder=SimpleNamespace(path=making.Path("run")))
    for ours in (loaded, pg_theano.load("policy.npz"), callbacks.Told([], setting)._policy_at(state)):
        for obs, one in zip(seen, expected, strict=True):
            np.testing.assert_allclose(ours(obs), one, rtol=NEAR[action.dtype.kind], atol=1e-6)  # one row, or three
            assert action.contains(ours(obs))
        np.testing.assert_array_equal(ours(rows), expected)
        assert ours.observation_space.contains(seen[0])
        np.testing.assert_allclose(
            np.asarray(spaces.flatten(ours.observation_space, seen[0]), float), rows[0], rtol=1e-6
        )
    single = making.single(config.environment)
    to_row, _ = making.converters(single, config.environment, "float32")
    np.testing.assert_array_equal(to_row(single.reset(seed=0)[0])[0], rows[0])
    np.testing.assert_array_equal(policy_section.played(loaded, config.environment, [])[0][0], rows[0])
    session = onnxruntime.InferenceSession(onnx.model_of(loaded))
    given_obs = np.stack(seen) if isinstance(observation, spaces.Box) else rows
    (found,) = session.run(["action"], {"obs": given_obs})
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if np.issubdtype(found.dtype, np.floating):
        np.testing.assert_allclose(found, expected, rtol=NEAR["f"], atol=1e-4)
    else:  # a tie within rounding may fall either way
        assert np.abs(found.astype(float) - expected).max() <= (1 if isinstance(action, spaces.Box) else 0)


PLACED = collections.OrderedDict(zeta=spaces.Box(-1, 1, (2,)), alpha=spaces.Discrete(4, start=3))


def test_a_run_trains_is_told_of_loaded_and_exported(tmp_path, functions_kept):
    """Of the worst at once. Caught, when planted: parts in the order of their names; keys made text."""
    parts = collections.OrderedDict({"zeta": PLACED["zeta"], 10: spaces.Box(0, 1, (2, 2), bool), 2: spaces.Text(3)})
    observation = spaces.Dict(
        parts | {"in": spaces.Tuple([spaces.Discrete(3, start=1), spaces.Dict([("b", BIT), ("a", BIT)])])}
    )
    environment(observation, spaces.Box(np.float32([-1, 2]), np.float32([1, 2])))
    told = []
    config = small(
        environment={"id": "probe_environments:AnySpaces-v0"}, budget={"updates": 1}, policy={"squash": True}
    )
    ran(config, tmp_path / "run", callbacks=[lambda update, metrics, policy: told.append((metrics["cost"], policy))])
    loaded = pg_theano.load(tmp_path / "run")
    assert np.isfinite(told[0][0])  # the second component of an action has no room
    observation.seed(3)
    for _ in range(5):
        obs = observation.sample()
        row = np.asarray(spaces.flatten(observation, obs), np.float32)
        np.testing.assert_allclose(loaded(obs), loaded(row), rtol=1e-6)
        np.testing.assert_allclose(told[0][1](obs), told[0][1](row), rtol=1e-6)
        assert loaded(obs)[1] == 2
    assert evaluating.evaluate(tmp_path / "run", episodes=2)["n"] == 2


BIT = spaces.MultiBinary(1)


def test_what_an_older_version_recorded_of_a_dict_is_in_its_own_order():
    """It was an object of JSON. Caught, when planted: its parts in the order of their names."""
    config, made = environment(spaces.Dict(PLACED), spaces.Discrete(3))
    spec, state, seen, _, expected = acts_of(config, made, "float32")
    recorded = made.task.spaces["observation"]
    older = {"kind": "Dict", "spaces": dict(zip(recorded["keys"], recorded["spaces"], strict=True))}
    about = policy.About("any", "reinforce", {}, "run", "best-1")
    loaded = kept.sound(*policy.acting_part(spec, state), made.task.spaces | {"observation": older}, about)
    assert [loaded(obs) for obs in seen] == expected.tolist()


@pytest.mark.parametrize("number", [4, 200])  # compared with each, and looked up in a table
@pytest.mark.parametrize("obs", [2, 0, -1, 203, 3.5, "a", None, [3, 2]])
def test_a_cell_outside_of_its_space_is_refused_by_a_loaded_policy(obs, number):
    """Found: one below the start was taken for the last, counted from the end of a table."""
    config, made = environment(spaces.Discrete(number, start=3), spaces.Discrete(3))
    spec, state, *_ = acts_of(config, made, "float32")
    loaded = callbacks.Told(
        [], SimpleNamespace(spec=spec, task=made.task, config=config, folder=SimpleNamespace(path=making.Path("run")))
    )
    with pytest.raises(UserError, match="got an observation that is none"):
        loaded._policy_at(state)(obs)


@pytest.mark.parametrize("cell", [2, 7])
def test_a_cell_outside_of_its_space_inside_a_dict_names_environment_and_step(cell, monkeypatch):
    """Found: 2 was taken for 6, in silence."""
    _, made = environment(spaces.Dict(PLACED), spaces.Discrete(2))
    made.begin(np.ones(3, bool), np.arange(3), all_over=True)
    monkeypatch.setattr(probes.AnySpaces, "observe", lambda self: {"zeta": np.zeros(2, np.float32), "alpha": cell})
    with pytest.raises(
        UserError, match=rf"AnySpaces-v0, environment 0, step 1 \(seed 0\): the observation is .*{cell}"
    ):
        made.step(np.zeros(3, int))


class Words(gymnasium.Space):
    """A space of a package's own."""


class Key:
    """Not text, not a number."""


NUMBER = spaces.Box(-1, 1, (1,))


@pytest.mark.parametrize(
    ("observation", "said"),
    [
        (spaces.Dict(picture=NUMBER, mission=Words()), r"its observation\['mission'\] is of Words, which is not supported; expected Box, .*; try environment.wrappers=\[pg_theano.environments:OnlyNumbers\]"),
        (spaces.Dict(a=spaces.Tuple([NUMBER, spaces.Sequence(NUMBER)])), r"its observation\['a'\]\[1\] is of Sequence"),
        (spaces.Tuple([spaces.Graph(NUMBER, None)]), r"its observation\[0\] is of Graph"),
        (Words(), "its observation space .*Words.* is not supported"),
        (spaces.Dict({}), "its observation space .* is not supported"),
        (spaces.Dict([(Key(), NUMBER)]), "a key of its observation space is .*Key object.*; expected text, a number"),
        (spaces.Box(-1, 1, (0,)), "an observation is 0 numbers; expected 1 to"),
        (spaces.Dict(a=spaces.Discrete(10**11)), "an observation is 100,000,000,000 numbers"),
    ],
)  # fmt: skip
def test_what_no_row_can_be_made_of_is_refused_before_training(observation, said):
    with pytest.raises(UserError, match=f"AnySpaces-v0: {said}"):
        environment(observation, spaces.Discrete(2))


@pytest.mark.parametrize("action", [spaces.Text(3), spaces.Box(-1, 1, (0,)), spaces.Dict(a=spaces.Discrete(2))])
def test_actions_that_are_no_numbers_are_refused_before_training(action):
    with pytest.raises(UserError, match=r"AnySpaces-v0: its action space .* is not supported"):
        environment(NUMBER, action)


def test_a_wrapper_of_ours_leaves_out_what_is_not_supported():
    inner = spaces.Dict([("z", NUMBER), ("words", Words()), ("a", spaces.Discrete(2))])
    observation = spaces.Dict([("mission", Words()), ("in", inner), ("only", spaces.Dict(words=Words()))])
    wrapped = {"wrappers": ["pg_theano.environments:OnlyNumbers"]}
    sampled = {"mission": "go", "in": {"z": np.float32([0.5]), "words": "?", "a": 1}, "only": {"words": ""}}
    observation.sample = lambda: sampled
    config, made = environment(observation, spaces.Discrete(2), environment=wrapped)
    spec, state, _, rows, expected = acts_of(config, made, "float32")
    assert rows.tolist() == [[0.5, 0, 1]] * 3
    loaded = kept.sound(*policy.acting_part(spec, state), made.task.spaces, policy.About("any", "", {}, "run", ""))
    assert loaded(sampled) == expected[0]  # as the environment gives it, with all that it has
    assert user_code.named(config) == [("environment.id", "probe_environments:AnySpaces-v0")]  # no code of the user's
    with pytest.raises(UserError, match=r"its observation\['m'\] is of Words"):
        environment(spaces.Dict(m=Words()), spaces.Discrete(2), environment=wrapped)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trpo", "ppo"])
def test_many_components_are_learned_inside_a_scan_too(name, tmp_path):
    """Found: JAX takes no reshape inside the scan of conjugate gradients."""
    environment(NUMBER, spaces.MultiDiscrete([3] * 20))
    config = small(
        environment={"id": "probe_environments:AnySpaces-v0"}, budget={"updates": 1}, algorithm={"name": name}
    )
    del config["schedules"]
    ran(config, tmp_path / "run")
    assert (tmp_path / "run" / "result.json").is_file()
