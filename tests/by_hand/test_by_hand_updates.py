"""Whole updates of `by_hand/`, the parity with the graph, and the command."""

import itertools
import json
import sys

import helpers_forking as forking
import helpers_graphs as by_definition
import numpy as np
import pytest

from pg_theano.by_hand import __main__ as command
from pg_theano.by_hand import advantages, optimizers, policies, ppo, vpg
from pg_theano.by_hand.networks import Network
from pg_theano.training.playing.noise import uniforms
from pg_theano.types import Rollout

AGENT = vpg.Agent(policies.SOFTMAX, Network((2, 3, 3)), Network((2, 4, 1)))
COMMON = {
    "discount": 0.9,
    "learning_rate": 0.05,
    "value_learning_rate": 0.05,
    "entropy_coefficient": 0.01,
    "optimizer": "adam",
}
PPO = COMMON | {"clip_range": 0.2, "num_epochs": 3, "num_minibatches": 4}
VPG = COMMON | {"num_value_steps": 3}


def experience(seed=0, lengths=(5, 8, 3), steps=8, garbage=False):
    """A rollout [4, T]: one episode terminates, one is truncated, one is cut; the fourth row never happened."""
    rng = np.random.default_rng(seed)
    wild = np.random.default_rng(1) if garbage else None
    rollout = by_definition.pad(by_definition.random_episodes(rng, lengths), 4, steps, garbage=wild)
    real = rollout.mask > 0
    ends = [np.zeros((4, steps), bool) for _ in range(2)]
    ends[0][0, lengths[0] - 1] = ends[1][1, lengths[1] - 1] = True
    successors = np.zeros((4, steps, 2))
    successors[:, :8] = rng.normal(size=(4, 8, 2))
    successors[:, :-1] = np.where(real[:, 1:, None], rollout.obs[:, 1:], successors[:, :-1])
    state = vpg.init(AGENT, np.random.default_rng(seed + 1))
    log_prob = np.zeros((4, steps))
    outputs, log_std, _ = vpg.outputs_of(AGENT, state["policy"], rollout.obs[real])
    log_prob[real] = AGENT.policy.log_prob(outputs, log_std, rollout.action[real])
    return state, rollout._replace(log_prob=log_prob, next_obs=successors, terminated=ends[0], truncated=ends[1])


def update(algo, state, rollout, **changes):
    settings = {"gae_lambda": 0.9, "baseline": True} | (VPG if algo == "vpg" else PPO) | changes
    if algo == "vpg":
        return vpg.update(AGENT, state, rollout, **settings)
    return ppo.update(AGENT, state, rollout, np.random.default_rng(5), **settings)


@pytest.mark.parametrize("gae_lambda", [None, 0.9])
@pytest.mark.parametrize("algo", ["vpg", "ppo"])
def test_padding_changes_nothing(algo, gae_lambda):
    """More of it, or garbage in it. Caught, when planted: a mean over padding."""
    updated = [
        update(algo, *experience(steps=steps, garbage=garbage), gae_lambda=gae_lambda)[0]
        for steps, garbage in [(8, False), (13, False), (8, True)]
    ]
    for other in updated[1:]:
        for name in updated[0]:
            assert np.allclose(updated[0][name], other[name], rtol=0, atol=1e-13), name


def test_no_value_of_the_successor_after_a_terminal_step():
    """Changing what was seen after `terminated` changes nothing; after `truncated` and at a cut it does.

    Caught, when planted: merged done (then neither does).
    """
    state, rollout = experience()

    def worth(e, t, gae_lambda):
        moved = rollout.next_obs.copy()
        moved[e, t] += 1.0
        options = {"discount": 0.9, "gae_lambda": gae_lambda}
        pair = [vpg.estimate(AGENT, state, r, **options).advantage for r in (rollout, rollout._replace(next_obs=moved))]
        return not np.array_equal(*pair)

    for gae_lambda in (None, 0.9):
        assert [worth(0, 4, gae_lambda), worth(1, 7, gae_lambda), worth(2, 2, gae_lambda)] == [False, True, True]


def test_what_is_estimated():
    """Without λ: G − V, target G; with λ: target Â + V; without a baseline: G. And λ = 1 is none."""
    state, rollout = experience()
    plain = vpg.estimate(AGENT, state, rollout, discount=0.9, gae_lambda=None)
    one = vpg.estimate(AGENT, state, rollout, discount=0.9, gae_lambda=1.0)
    bare = vpg.estimate(AGENT, state, rollout, discount=0.9, gae_lambda=None, baseline=False)
    value = vpg.value_of(AGENT, state["value"], plain.obs)
    assert len(value) == 16
    assert np.allclose(plain.advantage, plain.target - value, atol=1e-14)
    assert np.allclose(one.advantage, plain.advantage, atol=1e-12)
    assert np.allclose(one.target, plain.target, atol=1e-12)
    assert np.array_equal(bare.advantage, plain.target)


def test_an_update_goes_downhill():
    """A small step of plain descent lowers the loss by about η·‖∇L‖²: the sign, and the size."""
    state, rollout = experience()
    steps = vpg.estimate(AGENT, state, rollout, discount=0.9, gae_lambda=0.9)
    arguments = (steps.obs, steps.action, advantages.standardize(steps.advantage))
    before, gradient = vpg.policy_loss(AGENT, state["policy"], *arguments)
    moved, _ = update("vpg", state, rollout, optimizer="sgd", learning_rate=1e-4, entropy_coefficient=0.0)
    after, _ = vpg.policy_loss(AGENT, moved["policy"], *arguments)
    assert after - before == pytest.approx(-1e-4 * gradient @ gradient, rel=1e-2)


@pytest.mark.parametrize("algo", ["vpg", "ppo"])
def test_the_entropy_bonus_keeps_the_policy_undecided(algo):
    """Caught, when planted: the entropy with the other sign."""
    state, rollout = experience()

    def entropy(coefficient):
        moved = state
        for _ in range(20):
            moved, _ = update(algo, moved, rollout, entropy_coefficient=coefficient)
        return AGENT.policy.entropy(*vpg.outputs_of(AGENT, moved["policy"], rollout.obs[rollout.mask > 0])[:2]).mean()

    assert entropy(10.0) > entropy(0.0) + 0.05
    assert entropy(10.0) == pytest.approx(np.log(3), abs=0.02)


def test_the_ratio_is_to_the_policy_that_acted():
    """After one minibatch of one epoch the second already sees r ≠ 1; in the end many steps are outside the range, and
    the clip holds them near it. Caught, when planted: log π_old taken anew for every minibatch, with which r is always
    1 and nothing holds the policy."""
    state, rollout = experience()

    def farthest(clip_range):
        moved, metrics = update("ppo", state, rollout, clip_range=clip_range, num_epochs=50, entropy_coefficient=0.0)
        real = rollout.mask > 0
        outputs, log_std, _ = vpg.outputs_of(AGENT, moved["policy"], rollout.obs[real])
        log_prob = AGENT.policy.log_prob(outputs, log_std, rollout.action[real])
        return np.abs(log_prob - rollout.log_prob[real]).mean(), metrics["ratio_outside"]

    held, free = farthest(0.2), farthest(0.999)
    assert held[0] < 0.5 * free[0]
    assert 0 < held[1] < 1


def test_one_epoch_of_one_minibatch_is_the_policy_gradient():
    """The first step of PPO is VPG's."""
    state, rollout = experience()
    ours, _ = update("ppo", state, rollout, num_epochs=1, num_minibatches=1)
    plain, _ = update("vpg", state, rollout, num_value_steps=1)
    for name in ours:
        assert np.allclose(ours[name], plain[name], rtol=0, atol=1e-9), name


def test_the_figures_are_means_over_gradient_steps():
    """With rates of 0 nothing moves, and each of three epochs finds the same. Caught, when planted: sums."""
    state, rollout = experience()
    still = {"num_minibatches": 1, "learning_rate": 0.0, "value_learning_rate": 0.0}
    once, thrice = (update("ppo", state, rollout, num_epochs=number, **still)[1] for number in (1, 3))
    assert once == pytest.approx(thrice, rel=1e-12)
    assert once["value_loss"] > 0 and once["cost"] != 0


@pytest.mark.parametrize("number", [1, 3, 5, 16, 100])
def test_minibatches_that_do_not_divide(number):
    """16 steps; with 100 minibatches each has one step, whose standardised advantage is 0, and nothing is NaN."""
    state, rollout = experience()
    moved, metrics = update("ppo", state, rollout, num_minibatches=number, num_epochs=1, entropy_coefficient=0.0)
    assert moved["policy/step"] == min(number, 16)
    assert all(np.isfinite(value).all() for value in itertools.chain(moved.values(), metrics.values()))
    assert np.array_equal(moved["policy"], state["policy"]) == (number >= 16)


def test_an_update_leaves_what_it_was_given_alone():
    state, rollout = experience()
    before = {name: value.copy() for name, value in state.items()}
    fields = Rollout(*(np.copy(field) for field in rollout))
    for algo in ("vpg", "ppo"):
        update(algo, state, rollout)
    assert state.keys() == before.keys() and all(np.array_equal(state[name], before[name]) for name in state)
    assert all(np.array_equal(a, b) for a, b in zip(rollout, fields, strict=True))


def test_adam_by_hand():
    """Two steps with g = 1, then g = −1; η = 0.1.

    k = 1: m = 0.1, v = 0.001, m/(1 − 0.9) = 1, v/(1 − 0.999) = 1, θ = 0 − 0.1·1/(1 + 1e-8)
    k = 2: m = 0.09 − 0.1 = −0.01, m/(1 − 0.81) = −1/19; v = 0.000999 + 0.001 = 0.001999, v/0.001999 = 1, θ += 0.1/19
    """
    state = {"x": np.zeros(1)}
    state = optimizers.adam(state, "x", np.ones(1), learning_rate=0.1)
    assert state["x"][0] == pytest.approx(-0.1, rel=1e-7)
    state = optimizers.adam(state, "x", -np.ones(1), learning_rate=0.1)
    assert state["x"][0] == pytest.approx(-0.1 + 0.1 / 19, rel=1e-7)
    assert optimizers.sgd({"x": np.ones(1)}, "x", np.full(1, 2.0), learning_rate=0.1)["x"][0] == pytest.approx(0.8)


# -- by hand and by graph


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("hidden", [(), (3,), (4, 3)])
def test_the_softmax_policy_gradient_is_the_graphs(hidden, activation):
    """REINFORCE without a baseline on one batch, in float64: loss and gradient. Caught, when planted: a gradient of
    softmax without −π, an activation's gradient taken one layer off."""
    spec = by_definition.make_spec(hidden=hidden, activation=activation)
    rng = np.random.default_rng(len(hidden))
    state = by_definition.initial_state(spec, rng)
    rollout = by_definition.pad(by_definition.random_episodes(rng, [8, 3, 5]), 4, 8, garbage=rng)
    knobs = {"knobs": by_definition.KNOBS}
    theirs = by_definition.interpreted_graph(spec, "gradient")(state | rollout._asdict() | knobs)

    agent = vpg.Agent(policies.SOFTMAX, Network((2, *hidden, 3), activation), Network((2, 1)))
    # The graph's reward-to-go knows nothing of what comes after a cut: every episode ends for good here.
    ends = rollout.mask - np.pad(rollout.mask[:, 1:], ((0, 0), (0, 1))) > 0
    steps = vpg.estimate(
        agent,
        {"value": np.zeros(3)},
        rollout._replace(terminated=ends),
        discount=by_definition.KNOBS["discount"],
        gae_lambda=None,
        baseline=False,
    )
    loss, gradient = vpg.policy_loss(agent, state["params"], steps.obs, steps.action, steps.advantage)
    assert loss == pytest.approx(float(theirs["loss"]), rel=1e-9)
    assert np.abs(gradient - theirs["gradient"]).max() < 1e-9


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_twenty_updates_agree_with_the_graphs(optimizer):
    spec = by_definition.make_spec(optimizer=optimizer)
    rng = np.random.default_rng(2)
    state = by_definition.initial_state(spec, rng)
    train = by_definition.interpreted_graph(spec, "train")
    knobs = {"knobs": by_definition.KNOBS}
    agent = vpg.Agent(policies.SOFTMAX, Network((2, 3, 3), "sigmoid"), Network((2, 1)))
    ours = {"policy": state["params"], "value": np.zeros(3)}
    for _ in range(20):
        rollout = by_definition.pad(by_definition.random_episodes(rng, [8, 3, 5]), 4, 8)
        updated = train(state | rollout._asdict() | knobs)
        state = {name: updated[name] for name in state}
        ends = rollout.mask - np.pad(rollout.mask[:, 1:], ((0, 0), (0, 1))) > 0
        settings = VPG | {
            "learning_rate": 0.1,
            "num_value_steps": 0,
            "entropy_coefficient": 0.0,
            "optimizer": optimizer,
        }
        ours, _ = vpg.update(
            agent, ours, rollout._replace(terminated=ends), gae_lambda=None, baseline=False, **settings
        )
    assert np.abs(ours["policy"] - state["params"]).max() < 1e-9


# -- on CartPole


def test_every_episode_is_whole_and_its_successors_are_true():
    """What the tutorial had wrong: stepping an environment that is over, and bootstrapping from that. A step's successor
    is the next step's observation, inside an episode; one end an episode, at its last step, and never both kinds."""
    learner = command.Learner("vpg", seed=0, gae=False, baseline=True)
    try:
        played = command.episodes.collect(
            learner.environment, learner.act, learner.state, {}, num_episodes=16, draw=uniforms(1, "float64"),
            episode_seeds=learner.episode_seeds, action_noise=learner.noise, dtype="float64",
        )  # fmt: skip
    finally:
        learner.environment.close()
    rollout = played.rollout
    real = rollout.mask > 0
    inside = real[:, :-1] & real[:, 1:]
    assert np.array_equal(rollout.next_obs[:, :-1][inside], rollout.obs[:, 1:][inside])
    ended = (rollout.terminated | rollout.truncated) & real
    assert np.array_equal(ended.sum(axis=1), np.ones(16))
    assert np.array_equal(ended.argmax(axis=1) + 1, real.sum(axis=1))
    outside = (np.abs(rollout.next_obs[..., 0]) > 2.4) | (np.abs(rollout.next_obs[..., 2]) > 12 * np.pi / 180)
    assert np.array_equal(outside & real, rollout.terminated & real)
    outputs, log_std, _ = vpg.outputs_of(command.AGENT, learner.state["policy"], rollout.obs[real])
    log_prob = command.AGENT.policy.log_prob(outputs, log_std, rollout.action[real])
    assert np.allclose(rollout.log_prob[real], log_prob, rtol=0, atol=1e-12)


def test_the_last_update_plays_only_what_is_left():
    learner, result = command.learn("ppo", seed=3, max_episodes=21)
    assert result["episodes"] == 21 and learner.updates == 2
    assert result["steps"] == learner.records[-1]["env_steps"]


@pytest.mark.parametrize(
    "arguments", [["--algo", "vpg"], ["--algo", "ppo", "--gae"], ["--algo", "vpg", "--no-baseline"]]
)
def test_the_same_seed_gives_the_same_figures(arguments, elsewhere, capsys):
    def printed(seed):
        assert command.main([*arguments, "--seed", seed, "--max-episodes", "40", "--json", "--no-plot"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result.pop("seconds") > 0
        return result

    one = printed("4")
    assert one == printed("4")
    assert one != printed("5") | {"seed": 4}
    assert set(one) == {
        "algo",
        "seed",
        "gae",
        "baseline",
        "mean",
        "min",
        "training_mean",
        "solved",
        "episodes",
        "steps",
    }
    assert not list(elsewhere.iterdir())


def test_the_command_draws_and_tells(elsewhere, capsys):
    assert command.main(["--algo", "ppo", "--max-episodes", "32"]) == 0
    out = capsys.readouterr().out
    assert "not solved after 32 episodes" in out
    assert "the last update's own episodes: mean" in out and "actions are drawn" in out
    assert (elsewhere / "plots" / "by-hand-ppo.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algo", "reinforce"], "invalid choice"),
        (["--seed", "-1"], "whole number from 0"),
        (["--max-episodes", "0"], "whole number from 1"),
        (["--gae", "--no-baseline"], "leave one of them out"),
        (["--watch"], "no display"),
        (["--lambda", "1"], "unrecognized"),
        (["--discount", "2"], "got 2; expected a number from 0 to 1"),
        (["--gae-lambda", "0.5"], "add --gae"),
        (["--clip-range", "0.1"], "try --algo ppo"),
        (["--environment", "CartPole-v7"], "CartPole-v7"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(arguments, message, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert command.main(arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_help_explains(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["-h"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("--gae", "--no-baseline", "--max-episodes", "example:"))
    assert "algorithm." not in out and "knobs" not in out  # a config's, which this command takes none of


@pytest.mark.parametrize(
    ("arguments", "sizes", "policy"),
    [
        (["--environment", "Acrobot-v1", "--width", "4"], (6, 4, 3), "softmax"),
        (["--environment", "Pendulum-v1", "--algo", "ppo", "--clip-range", "0.3"], (3, 1), "gaussian"),
        (["--optimizer", "sgd", "--learning-rate", "3", "--discount", "1"], (4, 1), "logistic"),
        (["--gae-lambda", "0.5", "--width", "3", "--gae"], (4, 3, 1), "logistic"),
    ],
)
def test_what_the_command_is_told_is_what_learns(arguments, sizes, policy, monkeypatch, capsys):
    """Caught, when planted: `--optimizer sgd` read but not handed on; λ of the default."""
    made = []
    learn = command.learn
    monkeypatch.setattr(command, "learn", lambda *words, **how: made.append(learn(*words, **how)) or made[-1])
    assert command.main([*arguments, "--max-episodes", "16", "--json", "--no-plot"]) == 0
    learner, result = made[0]
    assert learner.agent.policy_network.sizes == sizes and learner.agent.policy.name == policy
    for option, value in zip(arguments[::2], arguments[1::2], strict=False):
        name = option.removeprefix("--").replace("-", "_")
        if name in learner.settings:
            assert str(learner.settings[name]).removesuffix(".0") == value
    assert np.isfinite(learner.records[-1]["cost"]) and result["episodes"] == 16
    wanted = {"value_loss", "gradient_norm"} | ({"ratio_outside"} if "ppo" in arguments else set())
    assert wanted <= set(learner.records[0])


def test_the_plot_shows_what_was_computed(monkeypatch):
    """Loss of V, norm of the gradient, ratios outside the clip; no panel for what stays constant."""
    from pg_theano.reports import plots

    learner, _ = command.learn("ppo", seed=0, max_episodes=32)
    columns = {name: np.array([record[name] for record in learner.records]) for name in learner.records[0]}
    run = plots.Run("ppo", [columns], [{"threshold": 475.0}], False)
    labels = [axes.get_ylabel() for axes in plots.figure_of([run], "a", command.DRAWN).axes]
    assert labels[-3:] == list(command.DRAWN.values())
    assert "learning_rate" not in learner.records[0]


def test_watching_plays_one_episode(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    learner, _ = command.learn("ppo", seed=0, max_episodes=16)
    assert 5 <= command.watch(learner) <= 500


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["vpg"], ["vpg", "--gae"], ["ppo"], ["ppo", "--gae"]], ids=" ".join)
def test_the_command_solves_cartpole(arguments, elsewhere):
    """In a process of its own, for two seeds, within 2,000 episodes."""
    for seed in ("0", "1"):
        done = forking.run(
            [sys.executable, "-m", "pg_theano.by_hand", "--algo", *arguments, "--seed", seed, "--json", "--no-plot"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        result = json.loads(done.stdout)
        assert result["solved"] and result["mean"] >= 475, result
        assert result["episodes"] <= 2000


@pytest.mark.parametrize(("log_ratio", "bounded"), [(19.9, False), (20.5, True), (90.0, True)])
def test_a_log_ratio_is_bounded_at_20(log_ratio, bounded):
    """What went wrong is never clipped on that side; beyond the bound the objective is constant. Caught, when planted: 21."""
    found = ppo.clipped_surrogate(np.array([log_ratio]), np.zeros(1), np.array([-1.0]), clip_range=0.2)
    worth = -np.exp(min(log_ratio, 20.0))
    assert np.concatenate(found) == pytest.approx([worth, 0.0 if bounded else worth])
