"""The microscope on configs and runs: the compiled scores, what the command prints, and bad input in one line."""

import json

import helpers_actor_critics as actor_critics
import helpers_graphs as by_definition
import numpy as np
import pytest

from pg_theano.config import reading
from pg_theano.microscope import __main__ as command
from pg_theano.microscope import along, examining, watching
from pg_theano.reports import gradients
from pg_theano.types import Rollout

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("functions_kept")


@pytest.mark.parametrize("kind", ["discrete", "epsilon", "multi_discrete", "multi_binary", "gaussian", "squashed"])
def test_scores_are_the_derivatives_of_each_step(kind):
    """Complex steps of log π, for each kind of action. Caught, when planted: the sum over E in place of each."""
    from pg_theano.graphs import scoring

    spec = actor_critics.make_spec("vpg", kind, max_steps=8)
    rng, number = np.random.default_rng(1), 5
    state = {"params": rng.normal(0, 0.7, spec.acting.num_params)}
    block = actor_critics.experience(spec, rng, np.zeros((number, 1), int))
    block = actor_critics.remember(spec, state, block)
    with by_definition.floats(spec.dtype):
        graph = scoring.scores(spec)
        run = by_definition.interpreted(graph.inputs.values(), list(graph.outputs.values()))
    rate = by_definition.KNOBS["exploration_rate"]
    values = state | {"obs": block["obs"][0], "action": block["action"][0], "exploration_rate": rate}
    (found,) = run(*[np.asarray(values[name], v.type.dtype) for name, v in graph.inputs.items()])
    size = spec.acting.num_params - spec.acting.num_value_params
    for t in range(number):
        obs, action = block["obs"][0, t], block["action"][0, t]
        of_step = lambda at, obs=obs, action=action: actor_critics.policy(spec, at, obs).log_prob(action)  # noqa: E731
        expected = actor_critics.derivative(of_step, state["params"], range(size))[:size]
        np.testing.assert_allclose(found[t], expected, rtol=0, atol=1e-10)


def test_what_is_played_is_whole_episodes_from_their_first_step():
    """The compiled task against its own rules: lengths, the reward of each step, the successor of the last one."""
    subject = examining.subject_of(None, ["environment.max_episode_steps=60"])
    watched = watching.Watched(subject.config, subject.spec, subject.environment, subject.folders, 0.0)
    played = watched.play(subject.states[0][2], 48, np.random.SeedSequence(0))
    lengths = played.lengths
    assert played.mask.shape == (48, lengths.max())
    np.testing.assert_array_equal(played.mask, np.arange(lengths.max())[None] < lengths[:, None])
    np.testing.assert_array_equal(played.reward, played.mask)
    fallen = (np.abs(played.last_obs[:, 0]) > 2.4) | (np.abs(played.last_obs[:, 2]) > 0.2095)
    np.testing.assert_array_equal(fallen, played.terminated)
    scores = watched.scores(subject.states[0][2], played)
    assert scores(0, 40).shape == (40, watched.num_params)


def test_gymnasium_gives_what_the_compiled_task_gives():
    """Two looks at one policy, each with episodes of its own: the true gradients agree within their intervals."""
    seen = []
    for engine in ("compiled", "gymnasium"):
        how = [f"environment.engine={engine}", "environment.max_episode_steps=60"]
        report = examining.examine(None, overrides=how, asked=examining.Asked(episodes=512))
        seen.append(report.points[0])
    assert seen[0].mean_return == pytest.approx(seen[1].mean_return, rel=0.15)
    for one, other in zip(*(point.verdicts for point in seen), strict=True):
        for a, b in zip(one.cosines, other.cosines, strict=True):
            assert abs(a.value - b.value) <= 3 * max(a.half + b.half, 0.02)


def test_what_was_learned_from_normalised_rewards_is_told_in_rewards():
    """Caught, when planted: V as the network gives it."""
    knobs = ["algorithm.name=vpg", "normalize.rewards=true", "normalize.observations=true", "policy.hidden=[4]"]
    subject = examining.subject_of(None, [*knobs, "environment.max_episode_steps=60"])
    watched = watching.Watched(subject.config, subject.spec, subject.environment, subject.folders, 0.0)
    state = subject.states[0][2]
    played = watched.play(state, 16, np.random.SeedSequence(0))
    plain = watched.values(state, played)
    scaled = watched.values(state | {"reward_normalizer/variance": np.full(1, 9.0)}, played)
    np.testing.assert_allclose(scaled, 3 * plain)
    assert np.abs(plain).max() > 0


@pytest.fixture
def look():
    subject = examining.subject_of(None, ["environment.max_episode_steps=60"])
    watched = watching.Watched(subject.config, subject.spec, subject.environment, subject.folders, 0.0)
    every = examining.weighing.every(0.95)
    return examining.Look(watched, subject.states[0][2], every, [1, 4, 16], (16, 0), (0.99, 0.99), False)


def test_a_short_step_keeps_the_promise_and_its_slope(look, monkeypatch):
    """Of a step h the surrogate promises h·‖ĝ‖, and J moves by h·ĝ·∇J/‖ĝ‖, where h is short.

    Caught, when planted: the ratio upside down; J before and after of other random numbers (nothing is told from 0).
    """
    monkeypatch.setattr(along, "LENGTHS", [0.02, 0.5])
    monkeypatch.setattr(along, "BATCHES", 12)
    point = look.point("start", 0, look.blocks(np.random.SeedSequence(0), 512, lambda line: None), 1.0)
    told = along.along(look, "fitted V(s, t)", np.random.SeedSequence(1), point, 4096, 0.4)
    (promised, further), (own, _), (true, _) = told.promised, told.own, told.true
    assert further.value > 10 * promised.value
    assert promised.value == pytest.approx(0.008 * 18.5, rel=0.4)  # 𝔼‖ĝ‖; ‖∇J‖ is 17.1 ± 0.2 by differences of J
    assert true.low > 0
    assert own.half < 0.15
    assert own.value == pytest.approx(true.value, abs=0.15)


# -- the command


SMALL = ["environment.max_episode_steps=60", "--episodes", "256"]


def test_a_config_is_examined_and_its_own_estimator_is_marked(capsys):
    assert command.main([*SMALL, "algorithm.baseline=leave_one_out", "--along"]) == 0
    out, err = capsys.readouterr()
    assert "* leave_one_out" in out
    assert "as the surrogate of those promises" in out
    assert "* what this config learns by" in out
    assert "at most 288 episodes, which take about" in err


def test_json_and_the_figure_say_the_same(capsys, tmp_path):
    assert command.main([*SMALL, "--json", "--figure", str(tmp_path / "f.png")]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["own"] == "mean_so_far"
    assert seen["sizes"] == [1, 4, 16]
    point = seen["points"][0]
    assert point["episodes"] == 256
    for one in point["estimators"]:
        for value, low, high in one["cosines"]:
            assert low <= value <= high
    assert (tmp_path / "f.png").stat().st_size > 20_000
    panels = gradients.figure_of(seen).axes
    assert len(panels) == 4
    lines = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    given = next(one for one in point["estimators"] if one["name"] == "reward_to_go")
    np.testing.assert_allclose(lines["reward_to_go"].get_ydata(), [cosine[0] for cosine in given["cosines"]])


def test_the_same_seed_sees_the_same(capsys):
    told = []
    for _ in range(2):
        command.main([*SMALL, "--json", "--seed", "3"])
        told.append(json.loads(capsys.readouterr().out)["points"][0])
    assert told[0]["estimators"] == told[1]["estimators"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algorithm.name=cem"], "cem follows no gradient"),
        (["exploration.name=epsilon_greedy"], "no gradient of what it does"),
        (["policy.network=[{gru: {width: 4}}]"], "a policy that remembers"),
        (["--episodes", "3"], "--episodes: got 3; expected at least 16"),
        (["--precision", "2"], "--precision: got 2"),
        (["--discount", "1.5"], "--discount: got 1.5"),
        (["nothing.yaml"], "nothing.yaml: no such file"),
        (["--figure", "f.txt"], "unknown kind of figure"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(capsys, words, said):
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_the_estimator_that_a_config_learns_by_is_found():
    def own(*knobs):
        config, *_ = reading.resolved(None, knobs)
        return examining.own_of(config, examining.weighing.every(config.algorithm.gae_lambda))

    assert own() == "mean_so_far"
    assert own("algorithm.baseline=none", "algorithm.signal=episode_return") == "episode_return"
    assert own("algorithm.name=ppo").startswith("ppo's first step")
    assert own("algorithm.name=npg").startswith("npg")
    assert own("algorithm.name=vpg", "algorithm.advantage=td") == "gae, λ = 0"
    assert own("algorithm.name=ppo", "algorithm.advantage=expected") == ""


def test_a_rollout_is_cut_to_its_longest_episode():
    mask = np.array([[1.0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]])
    obs = np.arange(24.0).reshape(3, 4, 2)
    ends = np.array([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    rollout = Rollout(obs, mask, None, np.ones((3, 4)), obs + 100, ends, 1 - ends, mask)
    played = watching.of_rollout(rollout, 2)
    assert played.obs.shape == (2, 3, 2)
    np.testing.assert_array_equal(played.last_obs, obs[[0, 1], [1, 2]] + 100)
    np.testing.assert_array_equal(played.terminated, [True, False])
