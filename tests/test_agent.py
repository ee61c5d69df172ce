"""`pg_theano.Agent`: a hand on runs, equal to the commands."""

import copy
import json
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from helpers_runs import small
from test_given import Walk

import pg_theano
from pg_theano.config.tables import knob_named
from pg_theano.evaluate import main as evaluate
from pg_theano.train import main as train
from pg_theano.types import UserError

OPTIMISED = False
KNOBS = small(environment={"id": "CartPole-v1", "num_envs": 4}, evaluation={"episodes": 5, "every_updates": 1})
PPO = {"algorithm": {"name": "ppo", "num_steps": 16, "num_minibatches": 2, "num_epochs": 1}}


@pytest.fixture(autouse=True)
def here(elsewhere, functions_kept):
    pass


def left(folder):
    """What a run left, without its seconds: its records and the arrays of its last checkpoint."""
    lines = [json.loads(one) for one in (folder / "metrics.jsonl").read_text().splitlines()]
    last = sorted((folder / "checkpoints").glob("update-*.npz"))[-1]
    with np.load(last) as arrays:
        state = {name: arrays[name].tobytes() for name in arrays}
    return [{name: value for name, value in one.items() if name != "seconds"} for one in lines], last.name, state


CONFIGS = {
    "reinforce": {},
    "whole episodes": {"algorithm": {"name": "ppo"}},
    "compiled stretches": PPO,
    "gymnasium stretches": PPO | {"environment": {"id": "CartPole-v1", "num_envs": 4, "engine": "gymnasium"}},
    "normalised": PPO | {"normalize": {"observations": True, "rewards": True}},
    "box": {"environment": {"id": "Pendulum-v1", "max_episode_steps": 20}, "algorithm": {"name": "vpg"}},
    "search": {"algorithm": {"name": "cem", "population_size": 4}},
    "schedule": {"schedules": {"learning_rate": {"kind": "linear", "initial": 0.1, "final": 0.0, "over_updates": 5}}},
    "sampled": {"evaluation": {"sampled": True, "episodes": 3}, "seed": 7},
    "by hand": {"algorithm": {"name": "vpg"}, "gradients": "by_hand"},
}


COMPILED_ANEW = ["whole episodes", "compiled stretches", "gymnasium stretches", "normalised", "box"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in COMPILED_ANEW else ()) for name in CONFIGS]
)
def test_an_agent_equals_the_command(name, tmp_path):
    """Bit for bit: begun, looked at before it has learned, and trained in two parts; the command in one. Caught, when
    planted: the budget counted from zero the second time, schedules begun anew, a best policy that is forgotten."""
    config = small(**{"environment": {"id": "CartPole-v1", "num_envs": 4}} | CONFIGS[name])
    if name == "search":  # which has generations in place of minibatches
        del config["schedules"]
    agent = pg_theano.Agent(config=config)
    agent.evaluate(episodes=2)
    agent.learn(updates=2).learn(updates=2)
    words = [f"{section}={json.dumps(value)}" for section, value in config.items() if section != "budget"]
    assert train([*words, "budget.updates=4", "--run-dir", "command", "--no-plot"]) == 0
    ours, theirs = left(agent.run_folder), left(tmp_path / "command")
    assert ours == theirs


def test_it_goes_on_after_it_has_solved():
    agent = pg_theano.Agent(config=KNOBS, threshold=1.0)
    assert agent.learn(updates=5).result.figures["status"] == "solved"
    before = agent.result.figures["updates"]
    agent.learn(updates=2)
    assert agent.result.figures["updates"] == before + 2


def test_knobs_by_their_own_names():
    agent = pg_theano.Agent("Acrobot-v1", "ppo", learning_rate=1e-3, hidden=[4], **{"evaluation.every_updates": 3})
    config = agent.config
    assert (config.environment.id, config.algorithm.name, config.policy.hidden) == ("Acrobot-v1", "ppo", [4])
    assert (config.schedules.learning_rate.initial, config.evaluation.every_updates) == (1e-3, 3)
    assert agent.learning_rate == 1e-3
    assert agent.num_minibatches == 8  # ppo's default, and not that of all
    agent.learning_rate = 2e-3
    assert agent.config.schedules.learning_rate.initial == 2e-3
    assert pg_theano.Agent(config=KNOBS, policy={"hidden": [3]}).hidden == [3]
    assert knob_named("discount") == "algorithm.discount"
    below = {"algorithm": {"num_steps": 8}}  # which the default algorithm has not
    assert pg_theano.Agent("CartPole-v1", "ppo", config=below).num_steps == 8
    sections = pg_theano.Agent({"id": "Acrobot-v1", "workers": 2}, {"name": "ppo", "num_steps": 8}).config
    assert (sections.environment.id, sections.environment.workers) == ("Acrobot-v1", 2)
    assert (sections.algorithm.name, sections.algorithm.num_steps) == ("ppo", 8)


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"gamma": 0.9}, r"gamma: unknown knob; did you mean discount \(algorithm.discount\)\?"),
        ({"n_steps": 8}, r"did you mean num_steps \(algorithm.num_steps\)"),
        ({"leraning_rate": 1}, r"did you mean learning_rate \(schedules.learning_rate\)"),
        (
            {"every_updates": 1},
            r"every_updates: several knobs have this name; expected evaluation.every_updates or check",
        ),
        ({"total_timesteps": 10}, r"total_timesteps: is no knob; try agent.learn\(env_steps=...\)"),
        ({"policy_kwargs": {}}, r"policy_kwargs: is no knob; try hidden=\[64, 64\], activation=\"tanh\""),
        ({"runs": 3}, r"runs: got 3; expected 1: an agent is one run; try pg_theano.run, or several agents"),
        ({"num_envs": -1}, r"environment.num_envs: got -1; expected a whole number from 1"),
        ({"algorithm": "pppo"}, r"algorithm.name: got 'pppo'"),
        ({"environment": 7}, r"environment: got int, which is none"),
        ({"environment": {"num_env": 7}}, r"environment.num_env: unknown knob; did you mean environment.num_envs"),
        ({"algorithm": {"name": 7}}, r"algorithm.name: got 7"),
        ({"config": 7}, r"config: got 7; expected a file, a dict or a Config"),
    ],
)
def test_what_is_wrong_is_said_as_it_is_made(knobs, said):
    with pytest.raises(UserError, match=said):
        pg_theano.Agent(**knobs)


def test_a_knob_that_is_no_part_of_the_graph_may_change_between_two_calls(tmp_path):
    """As `--resume RUN --change` does, bit for bit, and recorded as there. Caught, when planted: the change lost at the
    next call, one of the graph taken."""
    agent = pg_theano.Agent(config=KNOBS).learn(updates=2)
    agent.save("other")
    agent.learning_rate = 1e-4
    assert agent.learning_rate == 1e-4
    agent.learn(updates=2).learn(updates=1)
    constant = {"kind": "constant", "initial": 1e-4, "final": None, "over_updates": None}
    word = f"schedules.learning_rate={json.dumps(constant | dict.fromkeys(['decay_rate', 'minimum', 'maximum']))}"
    assert train(["--resume", "other", "--change", word, "budget.updates=5", "--no-plot"]) == 0
    assert left(agent.run_folder) == left(tmp_path / "other")
    made = json.loads((agent.run_folder / "run.json").read_text())["changes"]
    assert [(one["knob"], one["update"]) for one in made if "rate" in one["knob"]] == [("schedules.learning_rate", 2)]
    with pytest.raises(UserError, match=r"policy.hidden=\[3\]: shapes the graph"):
        agent.hidden = [3]
    assert agent.hidden == [4]


def test_what_is_no_knob_cannot_be_set():
    agent = pg_theano.Agent(config=KNOBS)
    with pytest.raises(UserError, match="result: is no knob"):
        agent.result = 3
    with pytest.raises(UserError, match="hiden: unknown knob; did you mean hidden"):
        agent.hiden = [3]
    with pytest.raises(AttributeError, match="unknown knob"):
        _ = agent.hiden


def test_the_page_of_a_command_reads_what_it_saved(tmp_path, capsys):
    """Saved, loaded, gone on with; the copy is a run of its own. Caught, when planted: the config copied first, the
    original trained on."""
    agent = pg_theano.Agent(config=KNOBS).learn(updates=2)
    saved = agent.save("lander")
    with pytest.raises(UserError, match="lander: is there already; expected a new folder"):
        agent.save("lander")
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="mine: is there already"):
        agent.save("mine", overwrite=True)
    agent.save("lander", overwrite=True)
    capsys.readouterr()
    assert evaluate(["lander", "--episodes", "4", "--json"]) == 0
    command = json.loads(capsys.readouterr().out)
    assert command.pop("diagnosis")["learned"] is None  # two updates are too few to say
    again = pg_theano.Agent.load("lander")
    assert again.evaluate(episodes=4) == command
    again.learn(updates=1)
    assert len(again.curve["env_steps"]) == 3
    assert len(agent.curve["env_steps"]) == 2
    assert left(agent.run_folder)[0] == left(saved)[0][:2]


def test_it_predicts_as_stable_baselines3_does():
    agent = pg_theano.Agent(config=KNOBS)
    obs = np.zeros(4, np.float32)
    action, state = agent.predict(obs, deterministic=True)
    assert action in (0, 1)
    assert state is None
    assert agent.predict(np.zeros((3, 4), np.float32))[0].shape == (3,)
    assert agent.policy.probs(obs).shape == (2,)
    agent.learn(updates=2)
    assert np.array_equal(agent.policy.probs(obs), pg_theano.load(agent.run_folder).probs(obs))


TWIN = {"config": KNOBS, "gradients": "by_hand", "algorithm": "vpg"}
WRONG = [
    (lambda a: a.learn(0), r"learn: budget.env_steps: got 0; expected a whole number from 1"),
    (lambda a: a.learn(-5), r"budget.env_steps: got -5"),
    (lambda a: a.learn("x"), r"budget.env_steps: got 'x'"),
    (lambda a: a.learn(1.5), r"budget.env_steps: got 1.5"),
    (lambda a: a.learn([3]), r"budget.env_steps: got a list"),
    (lambda a: a.learn(updates="3"), r"budget.updates: got '3'"),
    (lambda a: a.learn(seconds=-1), r"budget.seconds: got -1; expected a number above 0"),
    (
        lambda a: a.learn(total_timesteps=9),
        r"total_timesteps: is nothing that learn takes; expected env_steps, .*; try env_steps=",
    ),
    (lambda a: a.learn(callback=print), r"callback: is nothing that learn takes; .*; try callbacks="),
    (lambda a: a.learn(progress_bar=True), r"progress_bar: is nothing that learn takes; expected .*live$"),
    (
        lambda a: a.learn(learning_rate=1),
        r"learning_rate: is nothing that learn takes; .*; try agent.learning_rate = ... before it",
    ),
    (lambda a: a.learn(9, live=3), r"live: got 3; expected a path"),
    (lambda a: a.evaluate(0), r"play: evaluation.episodes: got 0; expected a whole number from 1"),
    (lambda a: a.evaluate("x"), r"evaluation.episodes: got 'x'"),
    (lambda a: a.evaluate(2, seed=-1), r"seed: got -1; expected a whole number from 0"),
    (lambda a: a.watch(3), r"watch: got 3; expected a path"),
    (lambda a: a.watch("a.gif", episodes=0), r"evaluation.episodes: got 0"),
    (lambda a: a.predict("abc"), r"got an observation of shape \[\]"),
    (lambda a: a.predict([1, 2, 3]), r"got an observation of shape \[3\]"),
    (lambda a: a.save(None), r"save: got None; expected a path"),
    (lambda a: a.save("a\0b"), r"save: got 'a\\x00b'; expected a path"),
    (lambda a: a.save("."), r"is there already"),
    (lambda a: a.save("taken/x"), r"taken/x: cannot be written \(.*\); expected another folder"),
    (lambda a: a.save("/proc/x"), r"/proc/x: cannot be written"),
    (lambda a: a.save(a.run_folder, overwrite=True), r"is there already"),
    (lambda a: a.save(a.run_folder / "x"), r"x: lies in .*; expected a folder of its own"),
    (lambda a: a.save(a.run_folder.parent, overwrite=True), r"is there already"),
    (lambda a: a.load(3), r"load: got 3; expected a path"),
    (lambda a: a.load(a.run_folder, hidden=print), r"hidden: got <built-in function print>; expected plain data"),
    (lambda a: a.load(a.run_folder, gamma=1), r"gamma: unknown knob; did you mean discount"),
    (lambda a: a.load(a.run_folder, runs=2), r"runs: got 2; expected 1"),
    (lambda a: a.evaluate(2, environment=3), r"environment: got int, which is none"),
    (lambda a: a.load("nowhere"), r"nowhere: no run folder"),
]


def test_what_is_wrong_at_its_doors_is_one_line_and_nothing_is_lost():
    """Caught, when planted: a TypeError of `learn('x')`; a run that is no more after `save(..., overwrite=True)` of it
    into itself; a budget that is less than what was done, told as "finished"."""
    agent = pg_theano.Agent(**TWIN).learn(updates=1)
    Path("taken").write_text("")
    before = left(agent.run_folder), sorted(Path().rglob("*"))
    for call, said in WRONG:
        with pytest.raises(UserError, match=said) as raised:
            call(agent)
        assert "\n" not in str(raised.value)
    assert (left(agent.run_folder), sorted(Path().rglob("*"))) == before


def test_what_is_saved_over_another_run_is_whole_or_not_at_all(monkeypatch):
    """Caught, when planted: the other one deleted before the copy is there."""
    agent = pg_theano.Agent(**TWIN).learn(updates=1)
    agent.save("kept")
    before = left(Path("kept"))
    agent.learn(updates=1)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copytree", full)
        with pytest.raises(UserError, match=r"kept: cannot be written \(No space left"):
            agent.save("kept", overwrite=True)
    assert left(Path("kept")) == before
    agent.save("kept", overwrite=True)
    assert left(Path("kept")) == left(agent.run_folder)
    assert not list(Path().glob(".*"))


def test_numbers_of_numpy_are_numbers():
    """As knobs, in a section, between two calls, as a budget. Caught, when planted: `json.dumps` of a float32."""
    numbers = {"hidden": np.array([4, 3]), "seed": np.int64(3), "learning_rate": np.float32(0.5)}
    agent = pg_theano.Agent(**TWIN, **numbers, evaluation={"episodes": np.int32(2)})
    assert (agent.hidden, agent.seed, agent.learning_rate, agent.episodes) == ([4, 3], 3, 0.5, 2)
    agent.learn(updates=np.int64(1))
    agent.learning_rate = np.float32(0.25)
    assert agent.learn(np.float64(10)).learning_rate == 0.25


def test_a_budget_may_be_a_knob():
    """Of each call from then on, as the config's is. Caught, when planted: it is counted from the first update."""
    agent = pg_theano.Agent(**TWIN, updates=2).learn().learn()
    assert agent.result.figures["updates"] == 4
    agent.updates = 1
    assert agent.learn().result.figures["updates"] == 5
    assert agent.updates == 1


def test_a_copy_is_another_hand_on_the_same_run():
    """Caught, when planted: a `UserError` for `__deepcopy__`, which is no knob."""
    agent = pg_theano.Agent(**TWIN).learn(updates=1)
    other = copy.deepcopy(agent)
    assert other.run_folder == agent.run_folder
    assert other.evaluate(2) == agent.evaluate(2)


def test_it_is_watched():
    """Into a GIF, an environment given as an object too. Caught, when planted: the class not handed to it."""
    agent = pg_theano.Agent(CartPoleEnv, **TWIN, max_episode_steps=3)
    (episode,) = agent.watch(gif="a.gif")
    assert episode.steps == 3
    assert Path("a.gif").stat().st_size > 1000
    with pytest.raises(UserError, match='policy: got 7; expected "greedy" or "sampled"'):
        agent.watch(gif="b.gif", policy=7)


def test_a_callback_may_be_a_name_of_log():
    """Caught, when planted: a name called as a function, letter by letter."""
    seen = []
    agent = pg_theano.Agent(**TWIN)
    agent.learn(updates=1, callbacks=["tensorboard", lambda update, metrics, policy: seen.append(update)])
    assert seen == [0]
    assert list((agent.run_folder / "tensorboard").iterdir())
    with pytest.raises(UserError, match="callbacks: got paper; expected tensorboard, wandb, trackio"):
        agent.learn(updates=1, callbacks="paper")


def test_ctrl_c_keeps_what_was_learned():
    agent = pg_theano.Agent(config=KNOBS)

    def interrupts(update, metrics, policy):
        if update == 2:
            raise KeyboardInterrupt

    agent.learn(updates=9, callbacks=interrupts)
    assert agent.result.figures["status"] == "interrupted"
    done = agent.result.figures["updates"]
    assert agent.learn(updates=1).result.figures["updates"] == done + 1


def test_a_class_is_trained_evaluated_saved_and_loaded():
    local = type("Local", (Walk,), {"__module__": "__main__", "__qualname__": "Local"})
    agent = pg_theano.Agent(local, config=KNOBS).learn(updates=1)
    assert agent.evaluate(episodes=2)["n"] == 2
    agent.save("walker")
    with pytest.raises(UserError, match=r"given in Python; expected it once more"):
        pg_theano.Agent.load("walker").evaluate(episodes=2)
    again = pg_theano.Agent.load("walker", environment=local)
    assert again.evaluate(episodes=2)["n"] == 2
    assert again.learn(updates=1).result.figures["updates"] == 2


def test_the_package_names_it():
    assert "Agent" in pg_theano.__all__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("CartPole-v1")
    assert pg_theano.Agent(env).config.environment.id == "CartPole-v1"
    with pytest.raises(AttributeError, match="no attribute 'Agnet'"):
        _ = pg_theano.Agnet


def test_another_agent_begins_with_what_one_has_learned(tmp_path):
    """`load` with other knobs, or in another environment, is `run(start_from=...)`. Caught, when planted: the old run
    gone on with, its parameters left behind."""
    agent = pg_theano.Agent(config=KNOBS).learn(updates=2)
    tuned = pg_theano.Agent.load(agent.run_folder, learning_rate=1e-4, seed=5)
    obs = np.ones(4, np.float32)
    begun = tuned.policy
    assert tuned.run_folder != agent.run_folder
    assert np.array_equal(begun.probs(obs), agent.policy.probs(obs))
    assert (tuned.learning_rate, tuned.seed) == (1e-4, 5)
    tuned.learn(updates=1)
    assert len(agent.curve["update"]) == 2
    longer = pg_theano.Agent.load(agent.run_folder, gymnasium.make("CartPole-v1", max_episode_steps=9))
    assert np.array_equal(longer.policy.probs(obs), agent.policy.probs(obs))
    assert longer.learn(updates=1).curve["length_max"][0] <= 9


def test_it_is_evaluated_elsewhere_and_explained():
    agent = pg_theano.Agent(config=KNOBS)
    assert agent.evaluate(3, environment=gymnasium.make("CartPole-v1", max_episode_steps=7))["max"] <= 7
    with pytest.raises(UserError, match="Acrobot-v1"):
        agent.evaluate(3, environment="Acrobot-v1")
    assert len(agent.explain(episodes=2).names) == 4
