"""Several agents, by PettingZoo's parallel API: whose rows are whose, who waits, what is learned, and what is refused."""

import json

import numpy as np
import parallel_environments as several
import pytest
from helpers_runs import command, ran, resumed, small

import pg_theano
from pg_theano import check, report, watch
from pg_theano.check_env import check_env
from pg_theano.config import knobs as sections
from pg_theano.environments import making
from pg_theano.evaluate import evaluate
from pg_theano.policies.acting import numpy_act
from pg_theano.runs import checkpoints
from pg_theano.training import explaining
from pg_theano.training.evaluating import figures_of_agents
from pg_theano.training.playing import episodes, stretches
from pg_theano.types import GREEDY, Rollout, UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

AGENTS = [*several.WEIGHTS]
TEAM = {"api": "pettingzoo", "id": "parallel_environments:Team", "num_envs": 3}
BY_HAND = {"gradients": "by_hand", "algorithm": {"name": "ppo", "num_steps": 7}, "solved": {"stop": False}}


def environments(num_envs=3, **knobs):
    return making.make(sections.Environment(**TEAM | knobs), num_envs=num_envs, dtype="float32")


def act(state, obs, noise, knobs, choice):
    """Actions that follow from the noise and from what is seen, so that an exchange of rows shows."""
    return ((noise[:, 0] + 0.2 * obs[:, 0]) > 0.5).astype(np.int32), -obs[:, 1]


def stretch(segments, steps, block):
    rng = np.random.default_rng([5, block])
    noise = rng.random((steps, segments.environment.num_envs, 1), np.float32)
    return segments.collect(act, {}, {}, noise=noise, episode_seeds=np.random.default_rng([6, block]))


class ByDefinition:
    """One environment, played from its seed by the joint actions: what each agent's row must hold."""

    def __init__(self, seed, **kwargs):
        self.env = several.Team(**kwargs)
        self.obs = self.env.reset(seed=int(seed))[0]

    def step(self, actions):
        """(obs, reward, next_obs, terminated, truncated) of each agent that is there; who is not is left out."""
        there, before = [*self.env.agents], self.obs
        found, reward, terminated, truncated, _ = self.env.step({agent: actions[agent] for agent in there})
        self.obs = found
        return {a: (before[a], reward[a], found[a], terminated[a], truncated[a]) for a in there}


@pytest.mark.parametrize("limit", [None, 4], ids=["ends", "time limits"])
def test_each_row_of_a_stretch_is_its_own_agents(limit):
    """Three stretches of three environments, against each one played alone. Caught, when planted: mask 1 for an agent
    that is gone; rewards in another order; the first observation of the next episode as a successor; a new seed for an
    agent that leaves before the others; an environment that begins while one of its agents is there."""
    segments = stretches.Segments(environments(kwargs={"limit": limit}), dtype="float32")
    alone, counted, lengths, returns = [None] * 3, 0, [], []
    for block in range(3):
        played = stretch(segments, 9, block)
        rollout, drawn = played.rollout, np.random.default_rng([6, block]).integers(0, 2**31 - 1, size=(10, 9))
        for env in range(3):
            rows = dict(zip(AGENTS, range(3 * env, 3 * env + 3), strict=True))
            alone[env] = alone[env] or ByDefinition(drawn[0, 3 * env], limit=limit)
            for step in range(9):
                expected = alone[env].step({agent: rollout.action[row, step] for agent, row in rows.items()})
                for agent, row in rows.items():
                    assert rollout.mask[row, step] == (agent in expected)
                    if agent not in expected:
                        continue
                    obs, reward, following, terminated, truncated = expected[agent]
                    assert np.array_equal(rollout.obs[row, step], obs) and rollout.reward[row, step] == reward
                    assert np.array_equal(rollout.next_obs[row, step], following)
                    assert (rollout.terminated[row, step], rollout.truncated[row, step]) == (terminated, truncated)
                    lengths += [following[1]] if terminated or truncated else []
                if not alone[env].env.agents:
                    alone[env] = ByDefinition(drawn[step + 1, 3 * env], limit=limit)
        counted += played.env_steps
        returns += played.returns.tolist()
        assert played.env_steps == rollout.mask.sum() and sorted(played.lengths) == sorted(lengths), block
        lengths = []
    assert 0 < counted < 3 * 9 * 9 and len(returns) > 20


@pytest.mark.parametrize(("number", "num_envs"), [(1, 3), (9, 3), (14, 3), (23, 3), (4, 1)])
def test_whole_episodes_are_those_of_agents(number, num_envs):
    """Environments of which only some agents are asked for play on with all. Caught, when planted: a row whose agent is
    gone counted on; an environment (the last case, in which ann leaves first and is asked for again alone) that begins
    no further episode because its last agents are not asked for, which plays for ever."""
    drawn = np.random.default_rng(0).integers(0, 2**31 - 1, size=number)
    if num_envs == 1:
        first = ByDefinition(drawn[0]).env.lengths
        assert first["ann"] < min(first["bob"], first["cas"])
    played = episodes.collect(
        environments(num_envs), act, {}, {}, num_episodes=number, episode_seeds=drawn, dtype="float32",
        action_noise=np.random.default_rng(4), draw=lambda rng, steps, rows: rng.random((steps, rows, 1), np.float32),
    )  # fmt: skip
    rollout = played.rollout
    assert rollout.mask.sum() == played.env_steps == played.lengths.sum()
    for episode in range(number):
        length, agent = int(played.lengths[episode]), AGENTS[episode % 3]
        first = ByDefinition(drawn[episode - episode % 3])
        assert length == first.env.lengths[agent] and np.array_equal(rollout.obs[episode, 0], first.obs[agent])
        assert rollout.mask[episode, :length].all() and not rollout.mask[episode, length:].any()
        assert rollout.obs[episode, :length, 1].tolist() == [*range(length)]
        assert rollout.next_obs[episode, :length, 1].tolist() == [*range(1, length + 1)]
        agrees = (rollout.action[episode, :length] == 1) == (rollout.obs[episode, :length, 0] > 0)
        assert np.array_equal(rollout.reward[episode, :length], several.WEIGHTS[agent] * np.where(agrees, 1.0, -1.0))


@pytest.mark.parametrize("draws", [False, True], ids=["replays", "does not"])
def test_open_episodes_of_a_checkpoint_go_on(draws):
    """After each of three stretches: what another opens again plays the next one as the first does. Caught, when planted:
    an agent that is gone replayed by no action; one that waits opened as if it were there."""
    segments = stretches.Segments(environments(kwargs={"draws": draws}), dtype="float32")
    waited = False
    for block in range(3):
        stretch(segments, 5, block)
        saved = segments.arrays(segments.settle())
        assert segments.replays is not draws
        if draws:
            assert not saved["open/seed"].size
            continue
        waited |= bool(segments.environment.waiting.any())
        again = stretches.Segments(environments(), dtype="float32")
        again.restore(saved)
        expected, found = (stretch(one, 5, block + 1) for one in (segments, again))
        for name in Rollout._fields:
            assert np.array_equal(getattr(expected.rollout, name), getattr(found.rollout, name)), name
        assert np.array_equal(expected.returns, found.returns) and np.array_equal(expected.lengths, found.lengths)
    assert waited or draws


def test_another_environment_does_not_go_on_with_the_episodes_of_this_one():
    segments = stretches.Segments(environments(), dtype="float32")
    stretch(segments, 5, 0)
    saved = segments.arrays(segments.settle())
    with pytest.raises(stretches.OtherEpisode, match="does not replay"):
        stretches.Segments(environments(kwargs={"limit": 1}), dtype="float32").restore(saved)


def test_a_wrapper_parts_of_observations_and_a_function_that_makes_it():
    assert environments().task.spaces == environments(id="parallel_environments:parallel_env").task.spaces
    parts = environments(id="parallel_environments:InParts")
    assert parts.task.obs_size == 4 and parts.task.spaces["observation"]["kind"] == "Dict"
    one, two = environments(), environments(wrappers=["parallel_environments:Doubled"])
    for env in (one, two):
        env.begin(np.ones(9, bool), np.arange(9), all_over=True)
    assert np.array_equal(2 * one.step(np.ones(9, int))[1], two.step(np.ones(9, int))[1])


def learned(folder):
    state = checkpoints.newest(folder / "checkpoints").state
    return {name: array.tobytes() for name, array in state.items()}


def test_a_run_that_was_stopped_is_equal_to_one_that_was_not(tmp_path):
    """PPO by hand. Steps are those of agents. Caught, when planted: rows counted as environments."""
    config = small(environment=TEAM, **BY_HAND)
    ran(config, tmp_path / "whole")
    ran(config | {"budget": {"updates": 3}}, tmp_path / "parts")
    result = resumed(tmp_path / "parts", "budget.updates=6")
    assert learned(tmp_path / "whole") == learned(tmp_path / "parts")
    assert 6 * 7 * 3 < result.figures["env_steps"] < 6 * 7 * 9


@pytest.mark.parametrize("name", ["ppo", "vpg"])
def test_it_learns_what_each_agent_is_paid_for(name, tmp_path):
    """An agent that does right is paid its weight at each step, 1, 2 or 3 for 3.5 of them: 7 over all. By hand, which
    compiles nothing. Caught, when planted: rewards swapped between agents (8 % of it with a sign of their own)."""
    config = {"environment": TEAM | {"num_envs": 8}, **BY_HAND, "policy": {"hidden": []}, "seed": 1}
    config |= {"schedules": {"learning_rate": {"initial": 0.03}}, "budget": {"env_steps": 12_000}}
    config |= {"evaluation": {"every_updates": 1000, "episodes": 50}}
    config["algorithm"] = {"name": "ppo", "num_steps": 16, "num_epochs": 4} if name == "ppo" else {"name": "vpg"}
    found = ran(config, tmp_path / "run").figures["evaluation"]
    assert found["mean"] > 6 and found["agents"]["ann"] < found["agents"]["bob"] < found["agents"]["cas"]
    assert found["n"] == 50 and np.isclose(np.mean([*found["agents"].values()]), found["mean"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reinforce", "a2c", "ppo", "npg", "trpo"])
def test_every_algorithm_by_gradient_learns(name, tmp_path):
    """Compiled, in stretches where it has them."""
    steps = {} if name in ("reinforce", "npg", "trpo") else {"num_steps": 16}
    config = {"environment": TEAM | {"num_envs": 8}, "algorithm": {"name": name} | steps, "policy": {"hidden": []}}
    config |= {"budget": {"env_steps": 40_000}, "evaluation": {"every_updates": 1000, "episodes": 50}}
    config |= {"schedules": {"learning_rate": {"initial": 0.03}}, "solved": {"stop": False}}
    assert ran(config, tmp_path / "run").figures["evaluation"]["mean"] > 6


@pytest.mark.slow
def test_the_gradient_of_a_rollout_in_which_agents_wait_is_exact():
    """Against differences and the twin, with rewards normalised by row. Caught, when planted: rows counted as
    environments."""
    config = {"environment": TEAM, "algorithm": {"name": "ppo", "num_steps": 7}, "policy": {"hidden": [3]}}
    report = check.check(config | {"normalize": {"rewards": True}})
    assert report.passed and 0 < report.steps < 3 * 3 * 7


def test_an_evaluation_is_the_mean_over_agents_of_each_episode():
    """Caught, when planted: a standard deviation over agents."""
    found = figures_of_agents(np.array([1.0, 3.0, 5.0, 2.0, 4.0, 9.0]), AGENTS)
    assert (found["mean"], found["std"], found["min"], found["max"], found["n"]) == (4.0, 1.0, 3.0, 5.0, 2)
    assert found["agents"] == {"ann": 1.5, "bob": 3.5, "cas": 7.0}


def test_it_is_evaluated_watched_reported_loaded_and_described(tmp_path):
    config = small(environment=TEAM, budget={"updates": 1}, **BY_HAND)
    ran(config, tmp_path / "run")
    code, out, _ = command("evaluate", tmp_path / "run", "--episodes", "4", "--json")
    found = json.loads(out)
    assert code == 0 and found["n"] == 4 and [*found["agents"]] == AGENTS
    assert found["mean"] == evaluate(tmp_path / "run", episodes=4)["mean"]
    code, out, _ = command("evaluate", tmp_path / "run", "--episodes", "4")
    assert "mean return by agent: ann " in out
    (played,) = watch.watch(tmp_path / "run", gif=tmp_path / "a.gif", seed=0)
    assert played.steps <= several.LONGEST and (tmp_path / "a.gif").read_bytes()[:3] == b"GIF"
    assert pg_theano.load(tmp_path / "run")(np.zeros((3, 3), np.float32)).shape == (3,)
    report.report([tmp_path / "run"], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "A greedy episode: " in page and "could not be played" not in page


def test_what_it_reacts_to_is_over_the_states_of_agents_that_are_there(tmp_path, monkeypatch):
    """By `explain` and by the report, with what each agent remembered. Caught, when planted: an agent that is gone
    counted on; an agent's memory beside another's state.
    """
    config = small(environment=TEAM, budget={"updates": 1}) | {"policy": {"network": [{"gru": 4}]}}
    ran(config, tmp_path / "run")
    seen = []
    of_states = explaining.of_states
    monkeypatch.setattr(
        explaining, "of_states", lambda *given, **named: seen.append(given) or of_states(*given, **named)
    )
    explaining.explain(tmp_path / "run", episodes=3)
    report.report([tmp_path / "run"], tmp_path / "report.html")
    assert len(seen) == 2
    for acting, state, obs, actions, memory in seen:
        remember = numpy_act(acting, with_log_prob=False)
        assert len(obs) == len(actions) == len(memory) > 10
        begins = np.flatnonzero((obs[:, 1] == 0) & (obs[:, 2] == 0))  # of episodes, by ann's first row
        for episode in np.split(np.arange(len(obs)), begins[1:]):
            for who in range(len(AGENTS)):
                own = episode[obs[episode, 2] == who]
                assert obs[own, 1].tolist() == list(range(len(own)))  # each step once, and none after the last
                known = np.zeros((1, memory.shape[1]), np.float32)
                for row in own:
                    np.testing.assert_allclose(memory[row], known[0], atol=1e-5)
                    known = remember(state, obs[row : row + 1], None, {"exploration_rate": 0.0}, GREEDY, known)[2]


@pytest.mark.parametrize("how", ["class", "function", "object"])
def test_one_that_is_given_in_python_learns_what_its_name_does(how, tmp_path):
    """In `run`, after a stop, and in `check_env`. Caught, when planted: a parallel environment taken for one of Gym's."""
    found = {"class": several.Team, "object": several.Team(), "function": lambda **kwargs: several.Team(**kwargs)}
    config = small(environment={"num_envs": 3}, budget={"updates": 2}, **BY_HAND)
    ran(config, tmp_path / "given", environment=found[how])
    ran(config | {"environment": TEAM}, tmp_path / "named")
    assert learned(tmp_path / "given") == learned(tmp_path / "named")
    resumed(tmp_path / "given", "budget.updates=3", environment=found[how])
    resumed(tmp_path / "named", "budget.updates=3")
    assert learned(tmp_path / "given") == learned(tmp_path / "named")


# -- what is wrong with it


def one_line(environment, tmp_path, **more):
    with pytest.raises(UserError) as refused:
        ran(small(environment=TEAM | environment, **BY_HAND | more), tmp_path / "run")
    line = str(refused.value)
    assert "\n" not in line and "expected" in line and "try" in line, line
    return line


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"id": "CartPole-v1"}, "environment.id: got CartPole-v1; environment.api=pettingzoo expected module:factory"),
        ({"workers": 2}, "environment.workers: got 2; environment.api=pettingzoo steps in this process"),
        ({"engine": "compiled"}, "environment.engine: got compiled; environment.api=pettingzoo expected auto"),
        ({"id": "parallel_environments:Absent"}, "cannot be imported (AttributeError"),
        ({"id": "no_such_module:parallel_env"}, "cannot be imported (ModuleNotFoundError"),
        ({"id": "parallel_environments:helper"}, "got <function helper at"),
        ({"id": "parallel_environments:NOTHING"}, "which is no environment; expected a class with reset and step, or"),
        (
            {"id": "parallel_environments:Doubled", "kwargs": {"env": None}},
            "is no parallel environment; expected possible_",
        ),
        ({"kwargs": {"colour": 1}}, "cannot be made: TypeError"),
        ({"id": "parallel_environments:InTurn"}, "is an AEC environment, whose agents act in turn; expected one of"),
        (
            {"id": "parallel_environments:Unlike"},
            "the observations of ann are Box(-10.0, 10.0, (3,), float32), those of cas are",
        ),
        (
            {"id": "parallel_environments:UnlikeActions"},
            "the actions of ann are Discrete(2), those of bob are Discrete(3)",
        ),
        ({"id": "parallel_environments:NoSpace"}, "action_space('ann') raises KeyError"),
    ],
)
def test_what_cannot_be_played_is_one_line(environment, said, tmp_path):
    assert said in one_line(environment, tmp_path)


def test_a_search_is_refused(tmp_path):
    config = {"environment": TEAM, "algorithm": {"name": "cem"}}
    with pytest.raises(UserError, match=r"algorithm.name: got cem.*environment.api=pettingzoo expected.*try ppo"):
        ran(config, tmp_path / "run")


FAULTS = {
    "reset of one": ("environment 0, bob, step 0 (seed ", "reset gives no observation of it"),
    "reset alone": ("environment 0, step 0 (seed ", "reset returns one dict; expected (observations, infos)"),
    "reset raises": ("environment 0, step 0 (seed ", "reset raises ValueError: no board"),
    "absent": ("environment 0, cas, step 0 (seed ", "agents leaves it out at a reset"),
    "no observation": ("environment 0, bob, step 2 (seed ", "step gives no observation of it"),
    "no reward": ("environment 0, cas, step 2 (seed ", "step gives no reward of it"),
    "no termination": ("environment 0, ann, step 2 (seed ", "step gives no termination of it"),
    "not finite": ("environment 0, bob, step 2 (seed ", "the observation has nan"),
    "text": ("environment 0, cas, step 2 (seed ", "reward is 'one'"),
    "shape": ("environment 0, ann, step 2 (seed ", "the observation has shape (2,); its space says (3,)"),
    "four values": ("environment 0, step 2 (seed ", "step returns 4 values; expected (observations, rewards,"),
    "raises": ("environment 0, step 2 (seed ", "step raises RuntimeError: the board fell; its actions were ["),
    "left out": ("environment 0, bob, step 2 (seed ", "agents leaves it out, and its episode goes on"),
    "kept": ("environment 0, cas, step 2 (seed ", "agents still has it, and its episode is over"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_environment_agent_step_and_seed(fault, tmp_path):
    where, what = FAULTS[fault]
    line = one_line({"id": "parallel_environments:Faulty", "kwargs": {"fault": fault}, "look": False}, tmp_path)
    assert line.startswith("parallel_environments:Faulty, " + where) and what in line, line


def test_a_glance_before_training_says_that_it_does_not_replay(tmp_path, capsys):
    """And stretches then begin anew. Caught, when planted: the glance at one agent's seat, which cannot be played."""
    config = small(environment=TEAM | {"id": "parallel_environments:Unseen"}, **BY_HAND | {"budget": {"updates": 1}})
    pg_theano.run(config, run_dir=tmp_path / "run", plot=False)
    said = capsys.readouterr().out
    assert "warning: parallel_environments:Unseen, step" in said and "gave another" in said
    assert "check_env parallel_environments:Unseen environment.api=pettingzoo" in said


def test_check_env_finds_them_and_has_nothing_to_say_of_a_sound_one():
    words = ["environment.api=pettingzoo"]
    assert check_env("parallel_environments:Team", overrides=words).healthy and check_env(several.Team()).healthy
    for fault, what in (("left out", "leaves it out"), ("no observation", "no observation of it")):
        found = check_env("parallel_environments:Faulty", overrides=[*words, f"environment.kwargs.fault={fault}"])
        assert not found.healthy and what in found.lines()[0], found.lines()
    found = check_env("parallel_environments:Team", overrides=[*words, "environment.kwargs.draws=true"])
    assert any("the same seed and actions gave another" in line for line in found.lines())
