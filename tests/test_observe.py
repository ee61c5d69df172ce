"""Only some features of an observation are seen: `environment.observe`, whoever steps, and in what is handed over."""

import dataclasses

import helpers_graphs as by_definition
import numpy as np
import pytest
from gymnasium import spaces
from helpers_runs import ran, small, whole_and_resumed

import pg_theano
from pg_theano.config import knobs, reading
from pg_theano.environments import features, making
from pg_theano.environments.rows import rows_of
from pg_theano.environments.spaces import spaces_of
from pg_theano.graphs.algorithms import common
from pg_theano.graphs.rollout import columns
from pg_theano.policies import kept
from pg_theano.runs import exported, folder
from pg_theano.spec.reading import spec_of
from pg_theano.training import specs
from pg_theano.training.evaluating import evaluate
from pg_theano.training.explaining import explain
from pg_theano.types import UserError

OPTIMISED = False

ENGINES = {
    "single": ({"id": "probe_environments:Lengths-v0"}, [2, 0], [2, 0]),
    "workers": ({"id": "probe_environments:Lengths-v0", "workers": 1}, [2, 0], [2, 0]),
    "vector class": ({"id": "CartPole-v1"}, [0, 2], [0, 2]),
    "agents": ({"id": "parallel_environments:Team", "api": "pettingzoo"}, [1], [1]),
    "parts": ({"id": "probe_environments:DictObs-v0"}, ["where", 0], [3, 4, 0]),
}


@pytest.mark.parametrize("name", ENGINES)
def test_whoever_steps_gives_the_features_that_are_seen(name):
    """Caught, when planted: the places of the first ones, whichever are asked for; all features after a reset."""
    own, observe, places = ENGINES[name]
    told = []
    for seen in (None, observe):
        config = knobs.Environment(**own, observe=seen)
        env = making.make(config, num_envs=2, dtype="float32", single_environments=name != "vector class")
        rows = np.ones(env.num_envs, bool)
        story = [env.begin(rows, np.arange(env.num_envs), all_over=True)]
        for action in np.random.default_rng(0).integers(0, 2, (2, env.num_envs)):
            story.append(env.step(action.astype(np.int32))[0])
        env.close()
        assert {one.shape for one in story} == {(env.num_envs, env.task.obs_size)}
        told.append(np.array(story))
    assert np.array_equal(told[1], told[0][..., places])
    assert told[1].any()


EPISODES = ["algorithm.name=reinforce", "algorithm.baseline=none"]
STRETCHES = ["algorithm.name=a2c", "algorithm.num_steps=6"]


@pytest.mark.parametrize("words", [EPISODES, STRETCHES], ids=["episodes", "stretches"])
def test_the_compiled_engine_equals_itself_where_all_is_seen_and_weighs_nothing(words):
    """A policy that sees two features, and the same that sees all with weights of 0 for the others. Caught, when
    planted: `obs` of all features in a stretch's record, `next_obs` of other places than `obs`."""
    records, found = [], None
    for observe in ([2, 0], None):
        given = [*words, "dtype=float64", "policy.hidden=[3]", "environment.max_episode_steps=6"]
        config = reading.resolved({"environment": {"observe": observe, "engine": "compiled"}}, given).config
        engine = specs.environment_of(config, [])
        spec = specs.spec_of(config, engine.task, engine)
        assert spec_of(spec.plain()).plain() == spec.plain()
        rng = np.random.default_rng(0)
        if found is None:
            found = {name: rng.normal(size=shape) for name, shape, *_ in spec.acting.layout}
        else:
            for name in [name for name, shape, *_ in spec.acting.layout if shape[0] == 4 and len(shape) == 2]:
                whole = np.zeros((4, 3))
                whole[[2, 0]] = found[name]
                found[name] = whole
        spec, chunk = spec._replace(engine=dataclasses.replace(spec.engine, chunk=6)), 6
        play = by_definition.interpreted_graph(spec, "rollout")
        values = {
            "params": np.concatenate([found[name].ravel() for name, *_ in spec.acting.layout]),
            "knobs": dict.fromkeys(common.knobs_of(spec), 0.0),
            "env_state": np.zeros((4, 2)),
            "noise": np.random.default_rng(1).random((chunk, 1, 2)),
            "alive": np.ones(2),
        }
        stretches = spec.learning.num_steps is not None
        begins = np.ones(2) if stretches else 1.0
        initial = np.random.default_rng(2).random((chunk + 1, 4, 2) if stretches else (4, 2))
        values |= {"begins": begins, "elapsed": 0 * begins, "initial_noise": initial}
        record = play(values)["record"]  # [C, K, E]
        records.append({name: record[:, at : at + size] for name, (at, size) in columns(spec).items()})
    some, whole = records
    assert some.keys() == whole.keys()
    for name, rows in some.items():
        of_whole = whole[name][:, [2, 0]] if name in ("obs", "next_obs") else whole[name]
        assert np.allclose(rows, of_whole, rtol=0, atol=1e-12), name


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    place = tmp_path_factory.mktemp("observed")
    config = small(environment={"id": "CartPole-v1", "observe": [2, 0], "engine": "compiled"})
    return whole_and_resumed(config, place)  # which are equal bit for bit


def test_what_is_handed_over_takes_the_whole_observation_or_what_is_seen(a_run, tmp_path):
    """Caught, when planted: an ONNX model that takes the first features; StableHLO that takes two numbers."""
    import jax
    import onnxruntime

    obs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    found = pg_theano.load(a_run)
    action, probs = found(obs), found.probs(obs)
    assert np.array_equal(found.probs(obs[:, [2, 0]]), probs) and found.observation_space.shape == (4,)
    assert found(obs[0]) == found(obs[0, [2, 0]]) == action[0]
    kept = pg_theano.load(exported.export(a_run, "npz", tmp_path / "one.npz"))
    assert np.array_equal(kept.probs(obs), probs)
    session = onnxruntime.InferenceSession(exported.export(a_run, "onnx", tmp_path / "one.onnx").read_bytes())
    assert np.allclose(session.run(["probs"], {"obs": obs})[0], probs, atol=1e-6)
    hlo = jax.export.deserialize(exported.export(a_run, "stablehlo", tmp_path / "one.stablehlo").read_bytes())
    assert np.array_equal(hlo.call(obs), action)


def test_a_run_names_what_it_sees_and_goes_on_elsewhere(a_run):
    """In the record, in words, on another task of the same spaces, in one episode at a time."""
    _, facts, spec, _ = folder.trained(a_run)
    assert facts["task"]["spaces"]["observation"]["observe"] == [2, 0] and spec.engine.observe == (2, 0)
    assert sorted(explain(a_run, episodes=2).names) == ["cart position", "pole angle"]
    assert features.names_of("CartPole-v1", 2, facts["task"]["spaces"]["observation"]) == [
        "pole angle",
        "cart position",
    ]
    assert evaluate(a_run, episodes=2, environment="CartPole-v0")["environment"] == "CartPole-v0"


def test_parts_are_named_by_their_keys_or_their_places():
    """All numbers of a key, in the order that is asked for."""
    space = spaces.Dict({"what": spaces.Discrete(3), "where": spaces.Box(-9, 9, (2,))})
    described = spaces_of(space, spaces.Discrete(2), "it", ["where", 1])["observation"]
    batch = {"what": np.array([1, 0]), "where": np.array([[5, 6], [7, 8]], np.float32)}
    assert rows_of(described, "float32").convert(batch).tolist() == [[5, 6, 1], [7, 8, 0]]
    wanted = "places from 0 to 4: an observation of it is a row of 5 numbers, or a key of it: what, where"
    with pytest.raises(UserError, match=f"environment.observe: got 'whose'; expected {wanted}"):
        spaces_of(space, spaces.Discrete(2), "it", ["whose"])


LINES = {
    "observe=[0,4]": "got 4; expected places from 0 to 3: an observation of CartPole-v1 is a row of 4 numbers",
    "observe=[0,0]": "got place 0 twice; expected each once",
    "observe=[]": "got []; expected places, counted from 0, as in [0, 2]; try null",
    "observe=[-1]": "got [-1]; expected places, counted from 0",
    "observe=[1.5]": "got [1.5]; expected places, counted from 0",
    "observe=[pole]": "got 'pole'; expected places from 0 to 3",
    "observe=2": "got 2; expected a list; try [2]",
}


@pytest.mark.parametrize("engine", ["compiled", "gymnasium"])
@pytest.mark.parametrize("word", LINES)
def test_what_is_no_feature_is_one_line(word, engine, tmp_path):
    with pytest.raises(UserError) as found:
        ran(
            small(environment={"id": "CartPole-v1", "engine": engine}),
            tmp_path / "run",
            overrides=[f"environment.{word}"],
        )
    assert f"environment.observe: {LINES[word]}" in str(found.value) and not (tmp_path / "run").exists()


def test_a_row_is_no_image(tmp_path):
    """A convolution where only some pixels are seen: the layer is named, with what reaches it."""
    own = {
        "environment": {"id": "CartPole-v1", "observe": [0, 2]},
        "policy": {"network": [{"conv": {"filters": 2, "kernel": 2}}]},
    }
    with pytest.raises(UserError, match=r"policy.network.0: got conv: .* and \[2\] reaches it"):
        ran(small(**own), tmp_path / "run")


def test_a_strangers_file_sees_no_place_that_there_is_not(a_run):
    """Caught, when planted: places unchecked, an IndexError at the first observation."""
    found = pg_theano.load(a_run)
    described = found.described | {"observation": found.described["observation"] | {"observe": [2, 9]}}
    assert kept.sound(found.acting, found.state, found.described, found.about)
    with pytest.raises(ValueError, match="sees places of an observation that has 4"):
        kept.sound(found.acting, found.state, described, found.about)
