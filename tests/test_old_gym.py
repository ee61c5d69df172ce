"""Environments of the API of Gym before 0.26: each old form, next to the same task written to Gymnasium's."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from helpers_runs import command, ran, records, resumed, small
from old_gym_environments import FourValues, Space, box

import pg_theano
from pg_theano import card, watch
from pg_theano.check_env import check_env
from pg_theano.config import reading as configs
from pg_theano.environments import making, old_gym
from pg_theano.evaluate import evaluate
from pg_theano.runs import checkpoints
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

FORMS = ("FourValues", "SeededReset", "FiveValues", "Wrapped")


def old(name, **more):
    return {"id": f"old_gym_environments:{name}", "api": "gym", "num_envs": 4, **more}


NEW = {"id": "old_gym_environments:NewWalk-v0", "num_envs": 4}


def single(environment):
    return making.single(configs.from_dict({"environment": environment}).environment)


def story(env, seed):
    obs, info = env.reset(seed=seed)
    told = [obs]
    for action in (1, 0, 1, 1, 1):
        told.append(env.step(action))
        assert isinstance(info, dict)
    return told


@pytest.mark.parametrize("limit", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_each_old_form_plays_what_gymnasiums_does(name, limit):
    """Observations, rewards and both kinds of end, twice with one seed. Caught, when planted: the seed after the reset,
    or not at all; `done` taken for terminated where its time was up; truncated before it is done; a wrapper's reset
    given a seed that what it wraps does not take."""
    expected = story(single(NEW | {"kwargs": {"limit": limit}}), 3)
    env = single(old(name, kwargs={"limit": limit}))
    for _ in range(2):
        found = story(env, 3)
        assert np.array_equal(found[0], expected[0])
        for (obs, *one, info), (other, *two, _) in zip(found[1:], expected[1:], strict=True):
            assert np.array_equal(obs, other) and one == two and isinstance(info, dict)
    assert expected[-1][2:4] == (not limit, limit)
    assert not np.array_equal(story(env, 4)[0], expected[0])


def test_options_and_information_reach_who_takes_them():
    env = single(old("SeededReset"))
    assert env.reset(seed=0, options={"a": 1})[1] == {"begun": True}
    assert env.unwrapped.env.options == {"a": 1}
    assert single(old("FourValues")).reset(seed=0, options={"a": 1})[1] == {}


def test_spaces_are_read_by_their_attributes():
    """Caught, when planted: bounds of another dtype; a start forgotten; MultiBinary taken for Discrete."""
    spaces = gymnasium.spaces
    pairs = [
        (Space(n=3), spaces.Discrete(3)),
        (Space(n=3, start=-1, shape=()), spaces.Discrete(3, start=-1)),
        (Space(n=4, shape=(4,)), spaces.MultiBinary(4)),
        (Space(nvec=np.array([2, 3])), spaces.MultiDiscrete([2, 3])),
        (
            box([0, -1], [255, np.inf], np.float64),
            spaces.Box(np.array([0.0, -1]), np.array([255, np.inf]), dtype=np.float64),
        ),
        (Space(low=0, high=255, shape=(2, 2), dtype=np.dtype("uint8")), spaces.Box(0, 255, (2, 2), np.uint8)),
        (Space(spaces=[Space(n=2), box([0.0], [1.0])]), spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (1,))])),
        (Space(spaces={"a": Space(n=2)}), spaces.Dict({"a": spaces.Discrete(2)})),
        (spaces.Discrete(2), spaces.Discrete(2)),
        (spaces.Text(3), spaces.Text(3)),
    ]
    for given, expected in pairs:
        assert old_gym.space_of(given, "observation_space") == expected
    with pytest.raises(UserError, match=r"observation_space\['b'\] is .*; expected one with n, nvec, low and high"):
        old_gym.space_of(Space(spaces={"b": Space(size=2)}), "observation_space")


def test_a_pair_that_is_an_observation_is_no_information():
    """Of a Tuple space whose second part is a Dict. Caught, when planted: every pair taken for (obs, info)."""

    class Pair(FourValues):
        def __init__(self):
            super().__init__()
            self.observation_space = Space(spaces=[Space(n=2), Space(spaces={"a": Space(n=2)})])

        def reset(self):
            return (1, {"a": 0})

    assert old_gym.OldGym(Pair()).reset(seed=0) == ((1, {"a": 0}), {})


def test_time_is_up_where_the_episode_is_done_alone_and_closing_closes():
    """Caught, when planted: `TimeLimit.truncated` believed while `done` is False; an environment without `close`."""

    class Early(FourValues):
        def step(self, action):
            return self.begin(), 0.0, False, {"TimeLimit.truncated": True}

    env = old_gym.OldGym(Early())
    env.reset(seed=0)
    assert env.step(0)[2:4] == (False, False)
    env.close()
    assert env.env.closed
    bare = Space(observation_space=Space(n=2), action_space=Space(n=2))
    old_gym.OldGym(bare).close()


def learned(folder):
    state = checkpoints.newest(folder / "checkpoints").state
    return {name: array.tobytes() for name, array in state.items()}


def without_seconds(folder):
    return records(folder, ["seconds"])


@pytest.mark.parametrize("limit", [False, True], ids=["ends", "time limits"])
@pytest.mark.parametrize("stretches", [False, True], ids=["episodes", "stretches"])
def test_what_is_learned_is_what_is_learned_of_gymnasiums(stretches, limit, tmp_path):
    """PPO by hand: V of the true successor stands for the rest where time was up, and for nothing where it ended. In this
    process and in workers; stopped after two updates and resumed. Caught, when planted: truncated always False."""
    name, steps = ("ppo", 8) if stretches else ("vpg", None)
    common = {"algorithm": {"name": name} | ({"num_steps": steps} if steps else {}), "gradients": "by_hand"}
    common |= {"solved": {"stop": False}, "budget": {"updates": 4}, "evaluation": {"every_updates": 2}}
    kwargs = {"kwargs": {"limit": limit}}
    ran(small(environment=NEW | kwargs, **common), tmp_path / "new")
    expected = learned(tmp_path / "new"), without_seconds(tmp_path / "new")
    for number, more in enumerate([{}, {"workers": 2}]):
        folder = tmp_path / f"old-{number}"
        ran(small(environment=old("FourValues", **kwargs, **more), **common | {"budget": {"updates": 2}}), folder)
        resumed(folder, "budget.updates=4")
        assert (learned(folder), without_seconds(folder)) == expected
    found = [evaluate(tmp_path / one, episodes=5)["mean"] for one in ("new", "old-0", "old-1")]
    assert found[0] == found[1] == found[2]
    assert pg_theano.load(tmp_path / "old-0")(np.zeros((1, 1), np.float32)).shape == (1,)


def test_max_episode_steps_is_a_time_limit():
    env = single(old("FourValues", max_episode_steps=3))
    assert [step[2:4] for step in story(env, 0)[1:4]] == [(False, False), (False, False), (False, True)]


def test_a_population_and_several_seeds_play_it(tmp_path):
    config = {"environment": old("SeededReset"), "algorithm": {"name": "cem", "population_size": 6}}
    config |= {"budget": {"updates": 2}, "evaluation": {"episodes": 2}}
    assert ran(config, tmp_path / "cem").figures["updates"] == 2
    config = small(
        environment=old("SeededReset"), gradients="by_hand", algorithm={"name": "vpg"}, runs=2, budget={"updates": 2}
    )
    assert ran(config, tmp_path / "seeds").figures["runs"] == 2


def test_it_is_watched_and_has_a_card(tmp_path):
    """By `render(mode=)`, as it was; the card says how to make it. Caught, when planted: `render()` of the adapter."""
    config = small(environment=old("FourValues"), gradients="by_hand", algorithm={"name": "vpg"}, budget={"updates": 1})
    ran(config, tmp_path / "run")
    (played,) = watch.watch(tmp_path / "run", gif=tmp_path / "a.gif", seed=0)
    assert played.steps == 5 and (tmp_path / "a.gif").read_bytes()[:3] == b"GIF"
    text = (card.card(tmp_path / "run", tmp_path / "card", episodes=2) / "README.md").read_text()
    assert "env = OldGym(old_gym_environments.FourValues(**{}))" in text and "gymnasium.make" not in text


def test_check_env_plays_it_and_finds_what_is_wrong():
    """Caught, when planted: `check_env` making it by Gymnasium."""
    for name in FORMS:
        assert check_env(old(name)["id"], overrides=["environment.api=gym"]).healthy, name
    lines = check_env(old("Unseeded")["id"], overrides=["environment.api=gym"]).lines()
    assert any("seed" in line for line in lines)
    (line, *_) = check_env("old_gym_environments:FourValuesNew-v0").lines()
    assert "four values" in line and "environment.api=gym" in line


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"id": "CartPole-v1", "api": "gym"},
            "environment.id: got CartPole-v1; environment.api=gym expected module:Class",
        ),
        ({"id": "a:B", "api": "gym", "engine": "compiled"}, "environment.engine: got compiled"),
        ({"id": "a:B", "api": "gym", "dynamics": "a:B"}, "environment.api: got gym; environment.dynamics is symbolic"),
        ({"id": "a:B", "api": "old"}, "environment.api: got 'old'; expected one of gymnasium, gym"),
        (old("Nothing"), "environment.id: old_gym_environments:Nothing cannot be imported (AttributeError"),
        (old("NoSpaces"), "action_space is <old_gym_environments.Space"),
        (old("FourValues", kwargs={"colour": 1}), "cannot be made: TypeError"),
        (old("ThreeValues"), "step returns 3 values; expected (observation, reward, terminated"),
    ],
    ids=["no class", "compiled", "dynamics", "api", "not there", "spaces", "kwargs", "three values"],
)
def test_what_cannot_be_wrapped_is_one_line(environment, said, tmp_path):
    with pytest.raises(UserError) as refused:
        ran(small(environment=environment, gradients="by_hand", algorithm={"name": "vpg"}), tmp_path / "run")
    line = str(refused.value)
    assert said.replace(" ", "") in line.replace(" ", "") and "\n" not in line and "try" in line


def test_an_environment_that_takes_no_seed_is_one_line_of_check_env_and_still_plays(tmp_path):
    config = small(environment=old("Unseeded"), gradients="by_hand", algorithm={"name": "vpg"}, budget={"updates": 1})
    assert ran(config, tmp_path / "run").figures["updates"] == 1


def test_a_module_that_imports_gym_is_told_what_to_import(tmp_path, monkeypatch):
    (tmp_path / "needs_gym.py").write_text("import gym\n\nclass Old(gym.Env): pass\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"No module named 'gym'.*try import gymnasium as gym in it"):
        pg_theano.run({"environment": {"id": "needs_gym:Old", "api": "gym"}})


@pytest.mark.slow
def test_consent_is_asked_for_as_of_any_code():
    """Caught, when planted: `environment.id` of this API left out of what is said and recorded."""
    words = [
        "environment.id=old_gym_environments:FourValues",
        "environment.api=gym",
        "budget.updates=1",
        "gradients=by_hand",
    ]
    words += ["algorithm.name=vpg", "evaluation.episodes=2", "--no-plot", "--run-dir", "runs/a"]
    code, _, said = command("train", *words, "--no-user-code")
    assert code == 2 and "environment.id: got old_gym_environments:FourValues, which runs code" in said
    code, said, _ = command("train", *words)
    assert code == 0 and "imports old_gym_environments:FourValues from" in said
    code, _, said = command("evaluate", "runs/a", "--episodes", "2")
    assert code == 0, said


def test_nothing_of_gym_is_imported():
    """Nor is it there to be: `import gym` fails beside NumPy 2. Caught, when planted: `import gym` in the adapter."""
    script = (
        "import sys; sys.modules['gym'] = None\n"
        "from pg_theano import environments, config\n"
        "env = environments.single(config.from_dict({'environment': {'id': 'old_gym_environments:FourValues', 'api': 'gym'}}).environment)\n"
        "env.reset(seed=0); env.step(1)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'gym' and sys.modules[name]]\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_cartpole_behind_the_old_api_learns_what_cartpole_does(tmp_path):
    """Equal bit for bit: the dynamics are. Two seeds of REINFORCE, symbolic, on Gymnasium's engine."""
    for seed in range(2):
        made = {}
        for name, environment in (
            ("old", old("OldCartPole", max_episode_steps=500)),
            (
                "new",
                {
                    "id": "CartPole-v1",
                    "engine": "gymnasium",
                    "num_envs": 4,
                    "wrappers": ["gymnasium.wrappers:OrderEnforcing"],
                },
            ),
        ):
            config = {
                "environment": environment,
                "seed": seed,
                "budget": {"updates": 12},
                "evaluation": {"episodes": 5},
            }
            ran(config, tmp_path / f"{name}-{seed}")
            made[name] = learned(tmp_path / f"{name}-{seed}")
        assert made["old"] == made["new"]
