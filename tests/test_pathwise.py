"""Gradients through the dynamics: against the NumPy twin, differences of definitions, and linear-quadratic tasks."""

from pathlib import Path

import numpy as np
import pytensor.tensor as pt
import pytest
from helpers_runs import played_compiled, ran, whole_and_resumed

from pg_theano.by_hand import pathwise as by_hand
from pg_theano.config import reading
from pg_theano.environments import making
from pg_theano.graphs import pathwise
from pg_theano.graphs.environments.double_integrator import COSTS, optimum
from pg_theano.microscope import estimators
from pg_theano.microscope.examining import own_of
from pg_theano.runs import checkpoints
from pg_theano.training import checking, programs, specs
from pg_theano.training.playing import compiled
from pg_theano.types import UserError

OPTIMISED = False
CONFIGS = Path(__file__).parents[1] / "configs"
T, E = 12, 4
DISCOUNT = 0.9
SMALL = [
    f"algorithm.num_steps={T}",
    f"environment.num_envs={E}",
    "policy.hidden=[]",
    "policy.initialization=glorot",
    "dtype=float64",
    f"algorithm.discount={DISCOUNT}",
]


class Integrator:
    """A point mass that is pushed; an episode may end by leaving ±2. Quadratic cost: linear-quadratic within."""

    obs_low, obs_high = (-9.0, -9.0), (9.0, 9.0)
    action_kind, num_actions = "box", 1
    action_low, action_high = (-50.0,), (50.0,)
    max_steps = 9
    state_size, num_initial_noise = 2, 2

    def initial(noise):
        return 2.0 * noise[0] - 1.0, 2.0 * noise[1] - 1.0

    def transition(state, action):
        x, v = state
        return x + 0.1 * v, v + 0.1 * action[0]

    def observation(state):
        return state

    def reward(state, action, next_state):
        x, v = state
        return -(x * x + 0.1 * v * v + 0.05 * action[0] * action[0])

    def terminated(next_state):
        return pt.abs(next_state[0]) > 1.0


class Free(Integrator):
    """The same without an end but its time limit."""

    max_steps = 40

    def terminated(next_state):
        return pt.zeros_like(next_state[0], dtype="bool")


OWN = [f"environment.dynamics={__name__}:Integrator", "policy.squash=false"]


def made(*overrides):
    config = reading.read_config(None, [*SMALL, *overrides])
    environment = making.engine_of(config.environment, dtype=config.dtype, backend=config.backend)
    spec = specs.spec_of(config, environment.task, environment)
    return config, spec, programs.load(config, spec, lambda what, seconds: None)


KNOBS = {"discount": DISCOUNT, "gae_lambda": 0.8, "exploration_rate": 0.0, "learning_rate": 1e-3}
KNOBS |= {"value_learning_rate": 1e-3, "target_rate": 0.25, "momentum": 0.9, "rmsprop_decay": 0.9, "beta1": 0.9}
KNOBS |= {"beta2": 0.99, "epsilon": 1e-8, "max_gradient_norm": 1e9}


def knobs_for(program):
    return {name: KNOBS.get(name, 0.0) for name in program.manifest["knobs"]}


def played(program, state, lengths=None, seed=3):
    """A stretch of T steps of E environments, of which the first have been going on for `lengths` steps."""
    rng, one = np.random.default_rng(seed), compiled.CompiledSegments(program, num_envs=E, num_steps=T, dtype="float64")
    size = program.manifest["noise"]["size"]
    if lengths is not None:
        one.collect(state, knobs_for(program), noise=np.zeros((T, E, size)), episode_seeds=rng)
        one.restore(one.arrays(one.settle()) | {"open/lengths": np.array(lengths, float)})
    noise = rng.normal(size=(T, E, size))
    return one.collect(state, knobs_for(program), noise=noise, episode_seeds=rng).rollout


def test_shac_of_pendulum_is_the_twins_gradient(functions_kept):
    """Through resets too. Caught, when planted: a gradient through the reset; V one step early; γ^H forgotten; σ·ε
    as a constant."""
    _, spec, program = made("algorithm.name=shac", "environment.id=Pendulum-v1", "environment.max_episode_steps=20")
    state = program.init(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    state["params"] = rng.normal(size=state["params"].shape) * 0.5
    state["target"] = rng.normal(size=state["target"].shape) * 0.5
    record = played(program, state, lengths=[0, 12, 15, 19])
    ended = np.maximum(record.field("terminated"), record.field("truncated"))
    assert ended.sum() == 3
    arrays = arrays_of(spec, state["params"])
    policy = {"weight": arrays["policy/w1"][:, 0], "bias": arrays["policy/b1"][0]}
    policy["log_std"] = arrays["policy/log_std"][0]
    value = {"weight": state["target"][:3], "bias": state["target"][3]}
    stretch = {"env_state": record.field("env_state"), "noise": record.field("noise"), "ended": ended}
    worth, expected = by_hand.stretch(policy, value, stretch, DISCOUNT)
    found = program.gradient(state, record, knobs_for(program))
    gradient = arrays_of(spec, found["gradient"])
    for name, key in (("weight", "policy/w1"), ("bias", "policy/b1"), ("log_std", "policy/log_std")):
        assert np.allclose(-gradient[key].ravel(), np.ravel(expected[name]), rtol=1e-9, atol=1e-11), name
    assert np.isfinite(worth)


def arrays_of(spec, vector):
    named, start = {}, 0
    for name, shape, *_ in spec.acting.layout:
        size = int(np.prod(shape))
        named[name], start = np.asarray(vector[start : start + size]).reshape(shape), start + size
    return named


def simulated(policy, value, record, discount):
    """The worth of a stretch of `Integrator`, by its definition: a loop over environments, then over time."""
    states, noise = record.field("env_state"), record.field("noise")
    terminated, truncated = record.field("terminated"), record.field("truncated")
    worth = 0.0
    for e in range(E):
        x, power = states[0, :, e], 1.0
        for t in range(T):
            action = policy["w1"][:, 0] @ x + policy["b1"][0] + np.exp(policy["log_std"][0]) * noise[t, e]
            worth -= power * (x[0] ** 2 + 0.1 * x[1] ** 2 + 0.05 * action**2)
            x, power = np.array([x[0] + 0.1 * x[1], x[1] + 0.1 * action]), power * discount
            ended = terminated[t, e] or truncated[t, e]
            if not terminated[t, e] and (truncated[t, e] or t == T - 1):
                worth += power * (value[:2] @ x + value[2])
            if ended and t < T - 1:
                x, power = states[t + 1, :, e], 1.0
    return worth / (T * E)


def test_shac_is_the_derivative_of_the_definition_with_both_ends(functions_kept):
    """By central differences. Caught, when planted: V of a terminated step; a termination differentiated through; γ
    that goes on over a reset; the target network differentiated."""
    _, spec, program = made("algorithm.name=shac", *OWN)
    state = program.init(np.random.default_rng(0))
    rng = np.random.default_rng(2)
    state["params"], state["target"] = rng.normal(size=7), rng.normal(size=3)
    record = played(program, state, lengths=[0, 3, 5, 8])
    assert record.field("terminated").sum() and record.field("truncated").sum()

    def worth(params):
        policy = {name.removeprefix("policy/"): one for name, one in arrays_of(spec, params).items()}
        return simulated(policy, state["target"], record, DISCOUNT)

    gradient = program.gradient(state, record, knobs_for(program))["gradient"]
    for place in range(4):
        step = np.eye(7)[place] * 1e-5
        expected = (worth(state["params"] + step) - worth(state["params"] - step)) / 2e-5
        assert np.isclose(-gradient[place], expected, rtol=1e-7, atol=1e-9), place


def test_target_network_takes_over_its_share_and_is_not_learned(functions_kept):
    """θ′ ← τ·θ_V + (1 − τ)·θ′. Caught, when planted: the policy's part taken for the target's."""
    _, _spec, program = made("algorithm.name=shac", *OWN)
    state = program.init(np.random.default_rng(0))
    assert np.array_equal(state["target"], state["params"][-3:])
    record = played(program, state)
    order = {"index": np.tile(np.arange(T * E, dtype=np.int32), (8, 1)), "weight": np.ones((8, T * E))}
    after, metrics = program.train(state, record, knobs_for(program), order)
    value = np.asarray(after["params"])[-3:]
    assert np.allclose(after["target"], 0.25 * value + 0.75 * state["target"], rtol=1e-12)
    assert metrics["finite"] and not np.allclose(value, state["target"])


A, B, Q, R = np.array([[1, 0.1], [0, 1]]), np.array([[0], [0.1]]), np.diag([1, 0.1]), np.array([[0.05]])


def lqr_gradient(gain, starts, steps):
    """∇_K of the mean cost of `steps` steps, u = K·x: Fazel et al. 2018, lemma 1, of a finite horizon, discounted."""
    closed, cost = A + B @ gain, [np.zeros((2, 2))]
    for _ in range(steps):
        cost.insert(0, Q + gain.T @ R @ gain + DISCOUNT * closed.T @ cost[0] @ closed)
    total, x = np.zeros((1, 2)), starts
    for t in range(steps):
        of_gain = R @ gain + DISCOUNT * B.T @ cost[t + 1] @ closed
        total += DISCOUNT**t * 2 * of_gain @ (x @ x.T) / x.shape[1]
        x = closed @ x
    return total


def whole(program, state):
    def draw(rng, steps, rows):
        return np.zeros((steps, rows, 1))

    how = {"num_episodes": E, "time_limit": 40, "draw": draw, "dtype": "float64"}
    seeds = {"episode_seeds": np.random.default_rng(5), "action_noise": np.random.default_rng(6)}
    return played_compiled(program, state, knobs_for(program), **how, **seeds).rollout


APG = ["algorithm.name=apg", f"environment.dynamics={__name__}:Free", "policy.squash=false"]
OF_WHOLE = ["policy.hidden=[]", "policy.initialization=glorot", "dtype=float64", f"algorithm.discount={DISCOUNT}"]


def test_apg_of_a_linear_quadratic_task_is_the_closed_form(functions_kept):
    """To 1e-8. Caught, when planted: γᵗ left out; a mean over steps instead of episodes."""
    config = reading.read_config(None, [*APG, *OF_WHOLE])
    environment = making.engine_of(config.environment, dtype=config.dtype, backend=config.backend)
    program = programs.load(config, specs.spec_of(config, environment.task, environment), lambda what, seconds: None)
    state = program.init(np.random.default_rng(0))
    state["params"] = np.array([-1.2, -0.7, 0.0, -1.0])
    record = whole(program, state)
    starts = record.field("env_state")[0]
    found = program.gradient(state, record, knobs_for(program))["gradient"]
    assert np.allclose(found[:2], lqr_gradient(np.array([[-1.2, -0.7]]), starts, 40)[0], rtol=1e-8, atol=1e-10)


SHORT = {
    "algorithm": {"name": "shac", "num_steps": 8},
    "environment": {"id": "Pendulum-v1", "num_envs": 2},
    "policy": {"hidden": [4]},
    "evaluation": {"episodes": 2, "every_updates": 2},
}


def test_a_resumed_run_is_the_whole_one(tmp_path, functions_kept):
    """Bit for bit, target network and optimisers with it. Caught, when planted: a target network begun anew from V."""
    whole = whole_and_resumed(SHORT, tmp_path)
    state = checkpoints.newest(whole / "checkpoints").state
    assert {"target", "optimizer/first_moment"} <= set(state)
    assert not np.array_equal(state["target"], state["params"][-len(state["target"]) :])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["algorithm.name=shac"], "algorithm.name: got shac, which differentiates through the action, and CartPole-v1"),
        (["algorithm.name=apg", "environment.id=Pendulum-v1", "environment.engine=gymnasium"], "no expressions"),
        (["algorithm.name=shac", "environment.id=Pendulum-v1", "policy.network=[{gru: 4}]"], "remembers"),
    ],
)
def test_what_cannot_be_differentiated_is_said_in_one_line(overrides, said):
    config = reading.read_config(None, overrides)
    environment = specs.environment_of(config, [])
    with pytest.raises(UserError, match=said) as error:
        specs.spec_of(config, environment.task, environment)
    assert "\n" not in str(error.value)


def test_weights_are_those_of_the_definition_whatever_ends_where():
    """Also of a termination at the last step. Caught, when planted: V of a terminated step; γ^H forgotten."""
    rng = np.random.default_rng(0)
    terminated, truncated = (rng.random((7, 6)) < 0.3).astype(float), (rng.random((7, 6)) < 0.2).astype(float)
    terminated[-1, :2], truncated[-1] = [1, 0], 0
    truncated *= 1 - terminated
    tensors = pathwise.weights(*map(pt.as_tensor, (terminated, truncated, np.ones((7, 6)))), discount=0.9, max_steps=7)
    of_reward, of_value = (one.eval(mode="FAST_COMPILE") for one in tensors)
    for e in range(6):
        age = 0
        for t in range(7):
            assert np.isclose(of_reward[t, e], 0.9**age)
            cut = not terminated[t, e] and (truncated[t, e] or t == 6)
            assert np.isclose(of_value[t, e], 0.9 ** (age + 1) if cut else 0)
            age = 0 if terminated[t, e] or truncated[t, e] else age + 1


def test_apg_reaches_riccatis_optimum(tmp_path, functions_kept):
    """Within a thousandth of its cost, which is that of the linear policy learned, in closed form."""
    config = reading.to_dict(reading.read_config(CONFIGS / "apg-doubleintegrator.yaml", ["seed=3"]))
    ran(config, tmp_path / "run")
    state = np.load(tmp_path / "run/checkpoints/update-00000300.npz")
    gain, bias = state["params"][:2], state["params"][2]
    closed = np.array([[1 + 0.005 * gain[0], 0.1 + 0.005 * gain[1]], [0.1 * gain[0], 1 + 0.1 * gain[1]]])
    step = np.block([[closed, bias * np.array([[0.005], [0.1]])], [np.zeros((1, 2)), np.ones((1, 1))]])
    paid, moments, cost = np.append(gain, bias), np.diag([1 / 3, 1 / 3, 1.0]), 0.0
    for _ in range(100):
        cost += np.trace((np.diag([*COSTS[:2], 0]) + COSTS[2] * np.outer(paid, paid)) @ moments)
        moments = step @ moments @ step.T
    assert 1 - 1e-9 <= cost / (np.trace(optimum(100)[1]) / 3) <= 1.001


def test_what_looks_at_scores_says_that_a_path_has_none():
    """Caught, when planted: the microscope marks GAE as what shac learns by."""
    overrides = ["algorithm.name=shac", "environment.id=Pendulum-v1"]
    with pytest.raises(UserError, match="got shac, whose loss is of a task's own expressions"):
        checking.check(overrides=overrides)
    config = reading.read_config(None, overrides)
    assert own_of(config, estimators.every(0.95)) == ""
