"""A population in the loop: who plays it, what it saw, and that nobody can tell afterwards who played."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from helpers_graphs import dense_layout, make_spec
from helpers_runs import assert_equal_runs, command, ran, records, result, resumed
from scipy.special import expit

from pg_theano import parameters
from pg_theano.compiler import program as compiling
from pg_theano.config import reading, schedules
from pg_theano.graphs import normalizers
from pg_theano.policies import acting
from pg_theano.training import programs, seeding, specs
from pg_theano.training.playing import generations
from pg_theano.training.population import learner
from pg_theano.types import GREEDY, ActionSpace, UserError

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

SEARCHES = ["cem", "pgpe", "es", "cmaes"]
ACTIONS = {
    "discrete": ActionSpace("discrete", 1, [3], [], []),
    "multi_discrete": ActionSpace("multi_discrete", 2, [3, 2], [], []),
    "multi_binary": ActionSpace("multi_binary", 3, [2, 2, 2], [], []),
    "box": ActionSpace("box", 2, [], [-1.0, -2.0], [1.0, 2.0]),
}


def player_of(chosen, dtype="float64"):
    """(config, spec, Player) of a config's changes over the defaults of cem."""
    plain = {"algorithm": {"name": "cem", "population_size": 4}, "normalize": {"observations": False}}
    made = reading.from_dict(plain | {"dtype": dtype} | chosen)
    environment = specs.environment_of(made, [])
    spec = specs.spec_of(made, environment.task, environment)
    program = programs.load(made, spec, lambda what, seconds: None)
    return made, spec, generations.Player(made, spec, environment, program)


def forward(spec, params, obs):
    """The network's outputs for one observation, from the layout: a loop over layers."""
    named = list(parameters.views(params, spec.acting.layout).values())
    x = obs
    for place in range(0, len(named), 2):
        x = x @ named[place] + named[place + 1]
        if place < len(named) - 2:
            x = {"sigmoid": expit, "tanh": np.tanh, "relu": lambda y: np.maximum(y, 0)}[spec.acting.activation](x)
    return x


def likeliest(spec, outputs):
    kind = spec.acting.action.kind
    if kind == "discrete":
        return np.argmax(outputs)
    if kind == "multi_discrete":
        ends = np.cumsum(spec.acting.action.choices)
        return np.array([np.argmax(part) for part in np.split(outputs, ends[:-1])])
    return (outputs > 0).astype(int) if kind == "multi_binary" else outputs


@pytest.mark.parametrize("how", ["numpy", "compiled"])
@pytest.mark.parametrize(("kind", "hidden", "activation"), [
    ("discrete", (), "tanh"), ("discrete", (20, 5), "sigmoid"), ("multi_discrete", (4,), "relu"),
    ("multi_binary", (4,), "sigmoid"), ("box", (4, 3), "tanh"),
])  # fmt: skip
def test_each_column_acts_by_its_own_parameters(kind, hidden, activation, how):
    """Against a loop over rows. Caught, when planted: candidates shifted by one; the sigmoid's halves folded
    into the wrong bias; the first column's observation given to all."""
    if how == "compiled" and (kind, hidden) not in [("discrete", (20, 5)), ("box", (4, 3))]:
        pytest.skip("two graphs are enough: the outputs differ in nothing but the mode")
    changes = {"action": ACTIONS[kind]._asdict(), "hidden": hidden, "activation": activation, "algorithm": "population"}
    spec = make_spec(
        **changes, normalize_observations=True, log_std="state_dependent" if kind == "box" else "state_independent"
    )
    spec = dense(spec, hidden)
    rng = np.random.default_rng(0)
    columns, obs = rng.normal(size=(spec.acting.num_params, 7)), rng.normal(size=(7, spec.acting.obs_size))
    state = {"params": columns, "normalizer/mean": np.array([0.5, -1.0]), "normalizer/variance": np.array([2.0, 0.3])}
    if how == "numpy":
        (actions,) = acting.numpy_population_act(spec.acting)(state, obs)
    else:
        functions = compiling.functions(spec.module, spec, "act", report=lambda what, seconds: None)
        actions = np.asarray(functions.call("act", {"E": 7}, state, {"obs": obs})["action"])
    seen = np.clip((obs - state["normalizer/mean"]) / np.sqrt(state["normalizer/variance"] + 1e-8), -10, 10)
    expected = [likeliest(spec, forward(spec, columns[:, i], seen[i])) for i in range(7)]
    assert np.allclose(actions, expected, rtol=0, atol=1e-12)
    assert len({str(action) for action in np.asarray(actions)}) > 1


def dense(spec, hidden):
    """The spec with the layout of a policy without chance: no log-std, and one output a number of a box."""
    outputs = parameters.num_outputs(spec.acting.action, "none")
    layout = dense_layout([spec.acting.obs_size, *hidden, outputs])
    network = parameters.dense_network(layout, spec.acting.activation)
    acting = dataclasses.replace(spec.acting, layout=layout, network=network, log_std="state_independent")
    return spec._replace(acting=acting)


@pytest.mark.parametrize(("id", "hidden"), [("CartPole-v1", []), ("Pendulum-v1", [3])])
def test_the_compiled_population_plays_what_gymnasium_would(id, hidden):
    """Every candidate's episodes again in Gymnasium, from the same state. Caught, when planted: candidates tiled where
    they must be repeated; initial noise repeated where it must be tiled; every chunk a beginning."""
    made, spec, player = player_of({
        "environment": {"id": id, "max_episode_steps": 150},
        "policy": {"hidden": hidden},
        "algorithm": {"name": "cem", "population_size": 3, "episodes_per_candidate": 2},
    })  # fmt: skip
    candidates = np.random.default_rng(1).normal(size=(3, spec.acting.num_params))
    tried = player.play(candidates, {}, update=5)
    noise = seeding.generator(made.seed, seeding.EPISODE_SEEDS, 5).random(
        (player.program.manifest["environment"]["num_initial_noise"], 2)
    )
    env = gymnasium.make(id).unwrapped
    for index, candidate in enumerate(candidates):
        for episode in range(2):
            env.reset(seed=0)
            if id == "CartPole-v1":
                env.state = np.array(-0.05 + 0.1 * noise[:, episode])
                obs = np.array(env.state)
            else:
                env.state = np.array([np.pi, 1.0]) * (2 * noise[:, episode] - 1)
                obs = np.array([np.cos(env.state[0]), np.sin(env.state[0]), env.state[1]])
            total, steps, over = 0.0, 0, False
            while not over and steps < 150:
                action = likeliest(spec, forward(spec, candidate, obs))
                _, reward, over, *_ = env.step(int(action) if id == "CartPole-v1" else np.clip(action, -2, 2))
                obs = np.array(env.state)
                if id == "Pendulum-v1":
                    obs = np.array([np.cos(env.state[0]), np.sin(env.state[0]), env.state[1]])
                total, steps = total + float(reward), steps + 1
            assert tried.lengths[index, episode] == steps
            assert tried.returns[index, episode] == pytest.approx(total, rel=1e-9)
    assert len(np.unique(tried.returns)) > 3


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["compiled", "gymnasium"])
def test_all_candidates_meet_the_same_episodes(engine):
    """The same candidate twice has the same returns; another update brings other episodes."""
    _, spec, player = player_of({
        "environment": {"id": "CartPole-v1", "engine": engine},
        "algorithm": {"name": "cem", "population_size": 4, "episodes_per_candidate": 3},
    })  # fmt: skip
    one, other = np.random.default_rng(0).normal(size=(2, spec.acting.num_params))
    tried = player.play(np.stack([one, other, one]), {}, update=0)
    again = player.play(np.stack([one, other, one]), {}, update=1)
    player.close()
    assert np.array_equal(tried.returns[0], tried.returns[2])
    assert not np.array_equal(tried.returns[0], tried.returns[1])
    assert not np.array_equal(tried.returns[0], again.returns[0])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["compiled", "gymnasium"])
def test_the_normaliser_counts_what_was_seen_and_nothing_else(engine):
    """Moments of all real observations, from the parts of columns. Caught, when planted: padding counted; the spread of
    the columns' means left out."""
    _, spec, player = player_of({
        "environment": {"id": "CartPole-v1", "engine": engine},
        "normalize": {"observations": True},
        "algorithm": {"name": "cem", "population_size": 5, "episodes_per_candidate": 1},
    })  # fmt: skip
    candidates = np.random.default_rng(0).normal(size=(5, spec.acting.num_params))
    fresh = {"normalizer/mean": np.zeros(4), "normalizer/variance": np.ones(4), "normalizer/count": np.zeros(())}
    tried = player.play(candidates, fresh, update=0)
    player.close()
    assert tried.seen.number.sum() == tried.lengths.sum()
    once = learner.normalizer_after(fresh, tried.seen, "float64")
    assert once["normalizer/count"] == tried.lengths.sum()
    # Two generations of the same observations: the same moments, twice the count.
    twice = learner.normalizer_after(once, tried.seen, "float64")
    for name in ("normalizer/mean", "normalizer/variance"):
        assert np.allclose(once[name], twice[name], rtol=1e-10)
    assert np.all(once["normalizer/variance"] > 0)
    assert twice["normalizer/count"] == 2 * tried.lengths.sum()


def test_a_candidate_whose_fitness_is_not_finite_is_not_the_best_of_its_generation():
    """Nor in what is recorded. Caught, when planted: all of them sorted, with NaN first when it is turned round."""
    _, _, player = player_of({"algorithm": {"name": "cem", "population_size": 16}})
    state, rng = player.program.init(np.random.default_rng(0)), np.random.default_rng(1)
    knobs = {"elite_fraction": 0.2, "extra_std": 0.0}
    candidates = player.program.ask(state, rng, knobs)
    values = np.arange(float(len(candidates)))
    values[:3] = np.nan, np.inf, -np.inf
    _, metrics = player.program.train(state, learner.Generation(candidates, values, None), knobs, None)
    assert metrics["fitness_best"] == len(candidates) - 1
    assert all(np.isfinite(value) for value in metrics.values())


def test_moments_are_those_of_the_graph():
    """The host's arithmetic against `graphs/normalizers.updated` and against NumPy, from columns of unequal length."""
    import pytensor.tensor as pt

    rng = np.random.default_rng(3)
    obs, mask = rng.normal(3, 2, size=(9, 4, 2)), (rng.random((9, 4)) < 0.6).astype(float)
    before = {"normalizer/mean": np.ones(2), "normalizer/variance": np.full(2, 0.5), "normalizer/count": np.array(7.0)}
    after = learner.normalizer_after(before, learner.moments_of(obs, mask), "float64")
    given = [pt.as_tensor(before[name]) for name in learner.NORMALIZER]
    graph = normalizers.updated(*given, pt.as_tensor(obs.reshape(-1, 2).T.copy()), pt.as_tensor(mask.ravel()))
    for name, value in zip(learner.NORMALIZER, graph, strict=True):
        assert np.allclose(after[name], value.eval(mode="FAST_COMPILE"), rtol=1e-12), name
    fresh = {"normalizer/mean": np.zeros(2), "normalizer/variance": np.ones(2), "normalizer/count": np.zeros(())}
    real = obs[mask > 0]
    of_real = learner.normalizer_after(fresh, learner.moments_of(obs, mask), "float64")
    assert np.allclose(of_real["normalizer/mean"], real.mean(axis=0), rtol=1e-12)
    assert np.allclose(of_real["normalizer/variance"], real.var(axis=0), rtol=1e-12)


@pytest.mark.slow
def test_every_generation_is_drawn_anew():
    """From the same state, another update asks for other candidates; the same update for the same ones. Caught, when
    planted: the generator of the first update for all of them."""
    made, spec, player = player_of({"environment": {"id": "CartPole-v1", "max_episode_steps": 20}})
    collector = generations.Population(made, spec, player.environment, player.program)
    state = player.program.init(np.random.default_rng(0))
    knobs = schedules.knobs_at(made, 0)
    first, second, again = (collector.collect(state, knobs, update).rollout.candidates for update in (0, 1, 0))
    assert np.array_equal(first, again)
    assert not np.isclose(first, second).any()


def small(name, **changes):
    chosen = {
        "environment": {"id": "CartPole-v1", "max_episode_steps": 40},
        "algorithm": {"name": name, "population_size": 8},
        "normalize": {"observations": True},
        "evaluation": {"episodes": 3, "every_updates": 2},
        "solved": {"stop": False},
        "budget": {"updates": 5},
    }
    return chosen | changes


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_that_was_stopped_goes_on_bit_for_bit(name, tmp_path):
    """Stopped by its budget after two of five generations. Caught, when planted: the normaliser kept beside the
    State, and so out of the checkpoint."""
    ran(small(name), tmp_path / "whole")
    ran(small(name, budget={"updates": 2}), tmp_path / "parts")
    resumed(tmp_path / "parts", "budget.updates=5")
    assert records(tmp_path / "whole") == records(tmp_path / "parts")
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["compiled", "gymnasium"])
def test_workers_change_nothing(engine, tmp_path):
    """Two processes, five parts, against this process alone: bit for bit. Caught, when planted: parts put together in
    another order; the workers' episodes those of the first update."""
    chosen = small("pgpe", environment={"id": "CartPole-v1", "engine": engine, "max_episode_steps": 40})
    ran(chosen, tmp_path / "alone")
    ran(chosen | {"distribute": {"workers": 2, "tasks": 5}}, tmp_path / "two")
    assert_equal_runs(tmp_path / "alone", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_each_search_solves_cartpole(name, tmp_path):
    for seed in range(5):
        ran({"algorithm": {"name": name}, "seed": seed}, tmp_path / str(seed))
        assert result(tmp_path / str(seed))["status"] == "solved", seed


def test_a_promising_generation_is_evaluated_at_once(tmp_path):
    """And not only when an evaluation is due by the count."""
    chosen = small("cem", solved={"threshold": 9.0}, evaluation={"episodes": 3, "every_updates": 1000})
    ran(chosen, tmp_path / "run")
    assert result(tmp_path / "run")["status"] == "solved"
    assert result(tmp_path / "run")["updates"] == 1


@pytest.mark.parametrize(("chosen", "says"), [
    ({"algorithm": {"name": "pgpe", "population_size": 7}}, "population_size: got 7; expected an even number"),
    ({"algorithm": {"name": "es", "population_size": 9}}, "population_size: got 9; expected an even number"),
    ({"algorithm": {"name": "cem", "discount": 0.5}}, "algorithm.discount: got 0.5, which cem does not read; expected algorithm.name to be one of reinforce"),
    ({"algorithm": {"name": "es", "covariance": "full"}}, "algorithm.covariance: got 'full', which es does not read; expected algorithm.name to be one of cem"),
    ({"algorithm": {"name": "cem"}, "schedules": {"learning_rate": {"initial": 0.2}}}, "learning_rate: got a schedule, which cem does not read"),
    ({"algorithm": {"name": "cem"}, "gradients": "by_hand"}, "gradients: by_hand has no twin of cem"),
    ({"algorithm": {"name": "cem"}, "policy": {"noise": "pink"}}, "policy.noise: got 'pink', which cem does not read"),
    ({"algorithm": {"population_size": 8}}, "which reinforce does not read; expected algorithm.name to be one of cem, pgpe, es, cmaes"),
    ({"distribute": {"workers": 2}}, "distribute.workers: got 2, which reinforce does not read"),
    ({"algorithm": {"name": "cem"}, "schedules": {"elite_fraction": {"initial": 1.5}}}, "elite_fraction.initial"),
])  # fmt: skip
def test_what_a_search_cannot_have_is_refused(chosen, says):
    with pytest.raises(UserError, match=says):
        reading.from_dict(chosen)


@pytest.mark.slow
def test_the_command_trains_evaluates_and_plots_a_search(tmp_path):
    """As a gradient learner's: one command each."""
    code, out, error = command(
        "train", "algorithm.name=cem", "--run-dir", tmp_path / "cem", "budget.updates=2", "solved.stop=false"
    )
    assert code == 0, error
    assert "best" in out and "spread" in out
    assert (tmp_path / "plots" / "cem.png").exists() or "plot:" in out
    code, out, error = command("evaluate", tmp_path / "cem", "--episodes", "5", "--json")
    assert code == 0, error


def test_greedy_of_the_mean_is_what_is_evaluated():
    """The policy that `evaluate` plays is the mean, by the same NumPy pass as everywhere."""
    _, _spec, player = player_of({"policy": {"hidden": [3]}})
    state = player.program.init(np.random.default_rng(0))
    obs = np.random.default_rng(1).normal(size=(6, 4))
    one = player.program.act(state, obs, np.zeros((6, 1)), {"exploration_rate": 0.0}, GREEDY)[0]
    columns = {"params": np.repeat(state["params"][:, None], 6, axis=1)}
    assert np.array_equal(one, player.program.act_all(columns, obs)[0])
