"""Environments as Python has them: classes, functions, objects, vectors of them, in place of an id."""

import functools
import json
import sys
import threading

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from helpers_runs import small

import pg_theano
from pg_theano.check_env import check_env
from pg_theano.config import knobs, user_code
from pg_theano.environments import given, making
from pg_theano.reports.animation import watch
from pg_theano.training.playing.stretches import Segments
from pg_theano.types import UserError

OPTIMISED = False


class Walk(gymnasium.Env):
    """From -1, 0 or 1 by its seed; one step left or right; over at ±`end`, and cut after 6 steps."""

    observation_space = gymnasium.spaces.Box(-9, 9, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, end=3, render_mode=None):
        self.end, self.render_mode = end, render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = int(self.np_random.integers(-1, 2)), 0
        return self._obs(), {}

    def _obs(self):
        return np.array([self.x, self.t], np.float32)

    def step(self, action):
        self.x, self.t = self.x + (1 if action else -1), self.t + 1
        over = abs(self.x) >= self.end
        return self._obs(), float(self.x), over, self.t >= 6 and not over, {}


class Sour(Walk):
    """Pays what is no number."""

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, float("nan"), *rest


class Locked(Walk):
    """It cannot be copied, nor pickled."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def a_factory():
    return Walk(end=2)


KNOBS = small(
    environment={"id": "CartPole-v1", "num_envs": 4},
    budget={"updates": 2},
    evaluation={"episodes": 5, "every_updates": 1},
)
PPO = {"algorithm": {"name": "ppo", "num_steps": 16, "num_minibatches": 1, "num_epochs": 1}}


def run(environment, *words, config=KNOBS, **options):
    return pg_theano.run(config, *words, environment=environment, plot=False, **options)


def records(result):
    lines = (result.folder / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(one).items() if name != "seconds"} for one in lines]


@pytest.fixture(autouse=True)
def here(elsewhere, functions_kept):
    pass


def test_an_id_a_class_a_function_and_an_object_are_one_task(capfd):
    """The same task in five ways gives the same records, with workers too. Caught, when planted: copies that share a
    generator, kwargs that are dropped, an object that is closed after the first run, workers that make another class."""
    gymnasium.register("Walk-v0", Walk)
    kept = Walk()
    try:
        ways = [Walk, lambda: Walk(), kept, kept, gymnasium.make("Walk-v0")]
        found = [run(way) for way in [*ways, "Walk-v0"]]
        workers = [run(way, "environment.workers=1") for way in (lambda: Walk(), "Walk-v0")]
    finally:
        gymnasium.registry.pop("Walk-v0")
    assert all(records(one) == records(found[0]) for one in [*found, *workers])
    assert capfd.readouterr().err.count("copy.deepcopy") == 2  # once for each run of the object
    assert kept.reset(seed=3)[0].shape == (2,)


def test_kwargs_reach_a_class_and_an_object_refuses_them():
    short, long = run(Walk, "environment.kwargs={end: 1}"), run(Walk)
    assert records(short)[0]["length_mean"] < records(long)[0]["length_mean"]
    with pytest.raises(UserError, match=r"environment.kwargs: got {'end': 1} with an environment that is made already"):
        run(Walk(), "environment.kwargs={end: 1}")


def test_what_gymnasium_can_make_again_becomes_knobs():
    """Nothing of it is held: the shell can read the run. Caught, when planted: wrappers in another order, a time limit
    lost, kwargs that are the registered ones written down."""
    env = gymnasium.make("CartPole-v1", max_episode_steps=40)
    env = gymnasium.wrappers.FrameStackObservation(gymnasium.wrappers.TimeAwareObservation(env), 2)
    stacked = {
        "gymnasium.wrappers.stateful_observation:FrameStackObservation": {"stack_size": 2, "padding_type": "reset"}
    }
    aware = {
        "gymnasium.wrappers.stateful_observation:TimeAwareObservation": {
            "flatten": True,
            "normalize_time": False,
            "dict_time_key": "time",
        }
    }
    with given.given(env) as own:
        assert own["id"] == "CartPole-v1"
        assert own["wrappers"] == [aware, stacked]
        assert own["kwargs"] == {}
        assert own["max_episode_steps"] == 40
    again = making.single(knobs.Environment(**own))
    assert again.observation_space == env.observation_space
    with given.given(gymnasium.make("CartPole-v1")) as own:
        assert own == {"id": "CartPole-v1", "dynamics": None, "kwargs": {}, "wrappers": [], "max_episode_steps": None}


def test_wrappers_that_no_knob_can_say_are_put_on_again():
    """A function as an argument, and a class of this test: by the object's spec, in a worker too."""
    made = gymnasium.make("CartPole-v1")
    env = gymnasium.wrappers.TransformReward(made, lambda reward: 3 * reward)
    plain, tripled = run(gymnasium.make("CartPole-v1"), "environment.engine=gymnasium"), run(env)
    apart = run(env, "environment.workers=1")
    assert records(tripled)[0]["return_mean"] == 3 * records(tripled)[0]["length_mean"]
    assert records(plain)[0]["return_mean"] == records(plain)[0]["length_mean"]
    assert records(apart) == records(tripled)


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_stretches_of_a_vector_env_have_true_successors(mode, kind):
    """Every real step follows the task's own rule, written down here, whatever the mode; what only resets is no step.
    Caught, when planted: the reset's observation as successor (SAME_STEP), the reset row as a step (NEXT_STEP), a row
    that is not reset (DISABLED), one that is reset twice."""
    if kind is AsyncVectorEnv and mode is not AutoresetMode.SAME_STEP:
        pytest.skip("the same code of ours as for SyncVectorEnv; one mode shows that processes make no difference")
    envs = kind([Walk] * 3, autoreset_mode=mode)
    rng = np.random.default_rng(0)
    with given.given(envs) as own:
        environment = making.make(knobs.Environment(**own), num_envs=3, dtype="float32", single_environments=True)
        segments = Segments(environment, dtype="float32")
        for _ in range(2):
            played = segments.collect(
                lambda state, obs, noise, knobs, choice: (rng.integers(0, 2, 3), np.zeros(3)),
                {}, {}, noise=np.zeros((40, 3, 1)), episode_seeds=np.random.default_rng(1),
            )  # fmt: skip
            one = played.rollout
            after = one.obs + np.stack([np.where(one.action, 1, -1), np.ones_like(one.action)], axis=-1)
            real = one.mask == 1
            assert np.array_equal(one.next_obs[real], after[real])
            assert np.array_equal(one.reward[real], after[real][:, 0])
            assert np.array_equal(one.terminated[real], abs(after[real][:, 0]) >= 3)
            assert np.array_equal(one.truncated[real], (after[real][:, 1] >= 6) & ~one.terminated[real])
            ended = (one.terminated | one.truncated) & real
            assert ended.sum() > 10
            assert len(played.returns) == ended.sum()
            fresh = one.obs[:, 1:, 1] == 0
            if mode is AutoresetMode.NEXT_STEP:
                assert np.array_equal(~real[:, 1:], ended[:, :-1])
                assert np.array_equal(fresh[:, 1:], ended[:, :-2])
            else:
                assert real.all()
                assert np.array_equal(fresh, ended[:, :-1])
            assert played.env_steps == real.sum()
    environment.close()
    envs.close()


def test_a_vector_env_learns_as_single_ones_do():
    """In mode DISABLED each row begins by its own seed, so the records are those of a class, bit for bit."""
    envs = SyncVectorEnv([Walk] * 4, autoreset_mode=AutoresetMode.DISABLED)
    words = ["evaluation.environment=training", "evaluation.share=null"]
    config = KNOBS | PPO
    rows = [run(way, *words, config=config) for way in (envs, Walk)]
    told = [{name: records(one)[0][name] for name in ("return_mean", "env_steps")} for one in rows]
    assert told[0] == told[1]
    whole = [records(run(way))[0]["return_mean"] for way in (envs, Walk)]
    assert whole[0] == whole[1]


def test_evaluation_on_the_environment_of_the_training():
    """One that can neither be copied nor made again is trained and evaluated all the same, in stretches and in whole
    episodes; the open episodes are over after it. Caught, when planted: the open observation is taken to be there
    still."""
    with pytest.raises(UserError, match=r"Locked cannot be copied.*try environment.num_envs=1 with evaluation.env"):
        run(Locked())
    for config in (KNOBS, KNOBS | PPO):
        result = run(Locked(), "environment.num_envs=1", "evaluation.environment=training", config=config)
        assert result.figures["evaluation"]["n"] == 5


def test_the_open_episodes_are_dropped_after_an_evaluation_on_them():
    environment = making.make(
        knobs.Environment(id="CartPole-v1", num_envs=2), num_envs=2, dtype="float32", single_environments=True
    )
    segments = Segments(environment, dtype="float32")
    act = lambda state, obs, noise, knobs, choice: (np.zeros(2, int), np.zeros(2))  # noqa: E731
    rows = {"noise": np.zeros((3, 2, 1)), "episode_seeds": np.random.default_rng(1)}
    first = segments.collect(act, {}, {}, **rows)
    environment.begin(np.ones(2, bool), np.array([8, 9]), all_over=True)
    environment.player = None
    second = segments.collect(act, {}, {}, **rows)
    third = segments.collect(act, {}, {}, **rows)
    assert list(first.dropped) == list(third.dropped) == []
    assert list(second.dropped) == [0, 1]
    assert np.abs(second.rollout.obs[:, 0]).max() < 0.05  # CartPole begins there


def test_a_run_says_what_it_was_given_and_is_read_with_it():
    """run.json has module, name and SHA-256; another source is refused, and so is nothing. Caught, when planted: the
    source is not compared, another environment is taken for it."""
    local = type("Local", (Walk,), {"__module__": "__main__", "__qualname__": "Local"})
    result = run(local, "budget.updates=1")
    facts = json.loads((result.folder / "run.json").read_text())["code"]["__main__:Local"]
    assert facts["given"] == "in Python"
    assert facts["name"] == "Local"
    went_on = pg_theano.run(None, "budget.updates=2", resume=result.folder, environment=local, plot=False)
    assert went_on.figures["updates"] == 2
    with pytest.raises(UserError, match=r"__main__:Local was given in Python; expected it once more"):
        pg_theano.run(None, "budget.updates=3", resume=result.folder, plot=False)
    with pytest.raises(UserError, match=r"environment: got .*Walk; expected that of the run, __main__:Local"):
        pg_theano.run(None, "budget.updates=3", resume=result.folder, environment=Walk, plot=False)


def test_another_source_of_the_same_name_is_refused(monkeypatch):
    def a_class(source):
        monkeypatch.setattr(given, "_source", lambda kind: source)
        return type("A", (Walk,), {"__module__": "__main__", "__qualname__": "A"})

    folder = run(a_class("class A: 1"), "budget.updates=1").folder
    local = a_class("class A: 2")
    with pytest.raises(UserError, match=r"__main__:A has another source, SHA-256 \w{12}; expected that of the run"):
        pg_theano.run(None, "budget.updates=2", resume=folder, environment=local, plot=False)
    monkeypatch.setenv("PG_THEANO_ALLOW_IMPORT", "1")
    assert pg_theano.run(None, "budget.updates=2", resume=folder, environment=local, plot=False).figures


HEREDOC = """class Mine(Walk):
    PAYS = {pays}

    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, self.PAYS * reward * (action in {{"a", 0, 1}}), *rest
"""


def test_a_class_without_a_source_is_told_by_its_code(capsys):
    """As `python - <<E` defines it: nothing can be read again. Caught, when planted: constants of the class left out;
    the order of a set in its code, which may be another one in every process."""

    def a_class(pays):
        names = {"Walk": Walk, "__name__": "__main__"}
        exec(HEREDOC.format(pays=pays), names)  # noqa: S102
        return names["Mine"]

    folder = run(a_class(1), "budget.updates=1").folder
    said = capsys.readouterr().out
    assert said.startswith(
        "__main__:Mine: its source is in no file and no cell; the run records its compiled code instead\n"
    )
    facts = json.loads((folder / "run.json").read_text())["code"]["__main__:Mine"]
    assert facts["sha256"] is None
    assert facts["compiled"].split()[0] == "{}.{}".format(*sys.version_info)
    assert pg_theano.run(None, "budget.updates=2", resume=folder, environment=a_class(1), plot=False).figures
    with pytest.raises(
        UserError, match=r"has another code, compiled by Python 3\.\d+ \w{12}; expected that of the run"
    ):
        pg_theano.run(None, "budget.updates=3", resume=folder, environment=a_class(2), plot=False)
    facts["compiled"] = "3.9 " + facts["compiled"].split()[1][::-1]  # by another Python, which compiles otherwise
    user_code._compare_given("__main__:Mine", given._facts_of(a_class(1)), {"__main__:Mine": facts})
    sets = frozenset([0, 8]), frozenset([8, 0])
    assert [*sets[0]] != [*sets[1]]
    assert given._words(sets[0]) == given._words(sets[1])


def test_a_class_of_a_module_is_a_knob(tmp_path):
    """`module:Class` in YAML and on the command line too, where no id of that name is registered."""
    (tmp_path / "corridor.py").write_text("from test_given import Walk\nclass Corridor(Walk):\n    pass\n")
    result = pg_theano.run(KNOBS, "environment.id=corridor:Corridor", "environment.kwargs={end: 2}", plot=False)
    assert json.loads((result.folder / "run.json").read_text())["code"]["corridor"]["file"].endswith("corridor.py")
    went_on = pg_theano.run(None, "budget.updates=3", resume=result.folder, plot=False)
    assert went_on.figures["updates"] == 3
    assert pg_theano.load(result.folder)(np.zeros(2, np.float32)) in (0, 1)


def test_wrappers_take_arguments():
    """In a config and on the command line. Caught, when planted: the arguments dropped."""
    word = 'environment.wrappers=[{"gymnasium.wrappers:FrameStackObservation": {stack_size: 3}}]'
    one = run(Walk, word)
    assert json.loads((one.folder / "run.json").read_text())["task"]["obs_size"] == 6
    with pytest.raises(
        UserError, match=r"environment.wrappers: got {'a:B': {}, 'c:D': {}}; expected one wrapper in each"
    ):
        pg_theano.run(KNOBS, "environment.wrappers=[{'a:B': {}, 'c:D': {}}]", plot=False)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (3, "got int, which is none; expected an id, a class"),
        (dict, "got dict, which is none"),
        (lambda: [], "got <lambda>, which returns list, which is none"),
        (object(), "got object, which is none"),
        (lambda: 1 / 0, "lambda: cannot be made: ZeroDivisionError: division by zero"),
        (lambda size: Walk(), "lambda: cannot be made: TypeError: .* missing 1 required positional argument: 'size'"),
    ],
)
def test_what_is_no_environment_is_one_line(what, said):
    with pytest.raises(UserError, match=said):
        run(what)
    with pytest.raises(UserError, match=said):
        check_env(what)


def test_one_object_for_all_is_told_of():
    """A function that gives the same environment each time would have all of them step it."""
    same = Walk()
    with pytest.raises(UserError, match="what makes it gives the same object twice; expected a new one at each call"):
        run(lambda: same)


def test_check_env_takes_the_same():
    """In a process of its own. Caught, when planted: nothing handed to it."""

    class Faulty(Walk):  # fmt: skip
        def step(self, action):
            return super().step(action)[:4]

    assert check_env(Walk).healthy
    assert "step returns four values" in " ".join(check_env(lambda: Faulty()).lines())


@pytest.mark.parametrize("mode", AutoresetMode)
def test_check_env_takes_a_vector_env(mode):
    """It looks at its first environment. Caught, when planted: its rewards of all rows taken for a reward; the next
    episode's first observation taken for the last one of this; rows of other seeds, which end at other times."""

    def envs(kind=Walk):
        return SyncVectorEnv([kind] * 2, autoreset_mode=mode)

    looked, alone = making.FirstRow(envs(lambda: Walk(end=9))), Walk(end=9)
    for seed in (3, 4):
        assert looked.reset(seed=seed)[0].tolist() == alone.reset(seed=seed)[0].tolist()
        for action in (1, 0, 1, 1, 0, 1):
            expected = alone.step(action)
            seen, *rest = looked.step(action)
            assert (seen.tolist(), *rest) == (expected[0].tolist(), *expected[1:])
        assert rest[2]
    if mode == AutoresetMode.SAME_STEP:
        assert check_env(envs()).findings == []
        assert "the reward is nan" in " ".join(check_env(envs(Sour)).lines())


def test_a_vector_env_takes_no_wrappers_and_no_limit():
    envs = SyncVectorEnv([Walk] * 4)
    with pytest.raises(UserError, match=r"environment.max_episode_steps: got 5 with a gymnasium.vector.VectorEnv"):
        run(envs, "environment.max_episode_steps=5")
    with pytest.raises(UserError, match=r"environment.workers: got 2 with .*; try a gymnasium.vector.AsyncVectorEnv"):
        run(envs, "environment.workers=2")


def test_a_partial_call_is_a_function():
    """Recorded by what it calls. Caught, when planted: `functools:partial`, which is refused as Python's own."""
    with given.given(functools.partial(Walk, end=1)) as own:
        assert own["id"] == f"{Walk.__module__}:Walk"
    one, other = run(functools.partial(Walk, end=1)), run(Walk, "environment.kwargs={end: 1}")
    assert records(one) == records(other)


def test_it_is_watched_with_what_it_was_given(tmp_path):
    class Drawn(Walk):
        metadata = {"render_modes": ["rgb_array"], "render_fps": 50}

        def render(self):
            return np.zeros((8, 8, 3), np.uint8)

    folder = run(Drawn, "budget.updates=1").folder
    with pytest.raises(UserError, match="was given in Python"):
        list(watch(folder, gif="a.gif"))
    (episode,) = watch(folder, gif="a.gif", environment=Drawn)
    assert episode.ended
    assert (tmp_path / "a.gif").stat().st_size > 0
