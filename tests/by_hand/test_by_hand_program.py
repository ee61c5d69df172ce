"""The twin behind the trainer's loop: step for step the graph's, and a run like any other."""

import helpers_graphs as by_definition
import numpy as np
import pytensor.tensor as pt
import pytest
from helpers_graphs import KNOBS
from helpers_runs import as_arguments, assert_equal_runs, assert_equal_states, ran, records, result, resumed, small

from pg_theano import evaluate, train
from pg_theano.by_hand import optimizers, program
from pg_theano.compiler import program as compiling
from pg_theano.config import knobs as sections
from pg_theano.config import reading, tables
from pg_theano.environments import making
from pg_theano.graphs import estimates
from pg_theano.graphs.algorithms import ppo, vpg
from pg_theano.training import minibatches, specs
from pg_theano.training.setting import Setting, described
from pg_theano.types import EXPLORE, GREEDY, SAMPLE, ActionSpace, Rollout, UserError

OPTIMISED = False  # see conftest.machine_code; what users run is held to it in tests/test_backends.py

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

ROWS, STEPS = 4, 8
BOX = ActionSpace("box", 2, [], [-1.0, -1.0], [1.0, 1.0])._asdict()
POLICIES = {"softmax": {}, "logistic": {"num_actions": 2, "logistic": True}, "gaussian": {"action": BOX}}
WHOLE, STRETCHES = {}, {"num_steps": STEPS}
ADAM, CLIPPED = {"optimizer": "adam"}, {"clips_gradient": True}
CASES = {  # (algorithm, policy, how it is played, what else)
    "vpg, gae, adam": ("vpg", "softmax", WHOLE, ADAM),
    "vpg, monte carlo, sgd, clipped": ("vpg", "logistic", STRETCHES, CLIPPED | {"advantage": "monte_carlo"}),
    "vpg, no baseline": ("vpg", "gaussian", WHOLE, ADAM | {"advantage": "monte_carlo", "baseline": "none"}),
    "ppo, gae, adam, clipped": ("ppo", "softmax", STRETCHES, ADAM | CLIPPED),
    "ppo, as it comes": ("ppo", "logistic", WHOLE, {"standardize_advantages": False}),
    "ppo, no baseline": ("ppo", "gaussian", STRETCHES, CLIPPED | {"advantage": "monte_carlo", "baseline": "none"}),
    "ppo, linear": ("ppo", "gaussian", WHOLE, ADAM | {"hidden": (), "value_hidden": (), "num_minibatches": 1}),
}


def spec_of(algorithm, policy, played, changes):
    """Three minibatches, which divide neither 32 steps nor most numbers of real ones."""
    common = {
        "hidden": (4, 3),
        "value_hidden": (5,),
        "activation": "tanh",
        "baseline": "value",
        "advantage": "gae",
        "standardize_advantages": True,
        "num_epochs": 2,
        "num_minibatches": 3,
    }
    return by_definition.make_spec(algorithm=algorithm, **(common | POLICIES[policy] | played | changes))


def experience(spec, rng):
    """A rollout [E, T] of random numbers. Whole episodes: padding full of garbage. Stretches: ends of both kinds at
    any place, and steps that only reset. The last step of a row may be a cut."""
    shape = (ROWS, STEPS)
    mask = rng.random(shape) > 0.1
    terminated, truncated = (rng.random(shape) < 0.15 for _ in range(2))
    if not spec.learning.num_steps:
        lengths = rng.integers(1, STEPS + 1, (ROWS, 1))
        mask = np.arange(STEPS) < lengths
        last = np.arange(STEPS) == lengths - 1
        terminated, truncated = last & (rng.random((ROWS, 1)) < 0.4), last & (rng.random((ROWS, 1)) < 0.4)
    wild = np.where(mask, 1.0, 1e6)
    box = spec.acting.action.kind == "box"
    choices = 2 if spec.acting.logistic else 3
    return Rollout(
        obs=wild[..., None] * rng.normal(size=(*shape, 2)),
        action=rng.normal(size=(*shape, 2)) if box else rng.integers(0, choices, shape).astype(np.int32),
        log_prob=rng.normal(-3.0 if box else -0.9, 0.3, shape),
        reward=wild * rng.normal(size=shape),
        next_obs=wild[..., None] * rng.normal(size=(*shape, 2)),
        terminated=terminated,
        truncated=truncated,
        mask=mask.astype(np.float64),
    )


def order_of(spec, rollout, seed):
    return minibatches.draw(
        np.random.default_rng(seed),
        np.asarray(rollout.mask).T.ravel(),
        rollout.mask.size,
        num_epochs=spec.learning.passes.num_epochs,
        num_minibatches=spec.learning.passes.num_minibatches,
        dtype=spec.dtype,
    )


def compiled(spec):
    return compiling.load(spec, backend="jax", report=lambda *_: None)


def starts(spec, seed):
    """A State whose parameters are all random, biases and log-std too."""
    rng = np.random.default_rng(seed)
    state = program.load(spec).init(rng)
    return state | {"params": 0.5 * rng.normal(size=spec.acting.num_params)}


# -- the same numbers as the graph


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_fifty_updates_agree_with_the_graphs(name):
    """Parameters, optimisers and metrics after each, to 1e-9, in float64.

    Caught, when planted: columns counted e·T + t; the clip of each network by itself in ppo; no value_coefficient;
    the entropy with the other sign, in the loss or in the gradient; beta2 for beta1; Adam's step forgotten; the policy
    moved at the value network's rate.
    """
    spec = spec_of(*CASES[name])
    rng = np.random.default_rng(list(CASES).index(name))
    ours = theirs = starts(spec, 1)
    knobs = KNOBS | {"learning_rate": 0.02, "value_learning_rate": 0.03, "beta1": 0.85, "epsilon": 1e-5}
    by_hand, by_graph = program.load(spec).train, compiled(spec).train
    for update in range(50):
        rollout = experience(spec, rng)
        order = order_of(spec, rollout, update)
        ours, measured = by_hand(ours, rollout, knobs, order)
        theirs, expected = by_graph(theirs, rollout, knobs, order)
        assert ours.keys() == theirs.keys()
        for entry in theirs:
            np.testing.assert_allclose(ours[entry], theirs[entry], rtol=0, atol=1e-9, err_msg=entry)
        assert measured == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert list(measured) == list(expected)
        assert measured["finite"] == 1
    assert np.abs(ours["params"] - starts(spec, 1)["params"]).max() > 0.1


def test_explained_variance_of_worked_examples():
    """Targets of variance 2/3·10⁻⁴, off by nothing, by as much as the mean, by twice as much; and targets all equal."""
    target = np.array([0.01, 0.02, 0.03])
    assert program.explained_variance(target, target) == 1.0
    assert program.explained_variance(np.zeros(3), target) == pytest.approx(0.0, abs=1e-12)
    assert program.explained_variance(-target, target) == pytest.approx(-3.0)
    assert program.explained_variance(np.array([1.0, 2.0]), np.array([5.0, 5.0])) == 0.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_explained_variance_does_not_depend_on_the_unit(dtype):
    """By hand and by graph, of targets of 1 and of 1e-9; 0 where targets are equal, however large and many.

    Caught, when planted: 0 below a spread of 1e-12, whatever the unit: the value network of tiny rewards was said to
    explain nothing; a spread that is rounding alone (-6e7 for 20,000 equal targets of 200.1 in float32); padding that
    counts.
    """
    with by_definition.floats(dtype):
        symbols = [pt.matrix(dtype=dtype) for _ in range(3)]
        graph = by_definition.interpreted(symbols, estimates.explained_variance(*symbols))

    def by_hand(value, target):
        return program.explained_variance(value.astype(dtype), target.astype(dtype))

    def by_graph(value, target):  # with a row of padding below
        rows = np.append(value, 7e6), np.append(target, 7e6), np.append(np.ones(len(value)), 0)
        return graph(*(row[:, None].astype(dtype) for row in rows))

    target = np.array([1.0, 2.0, 6.0])
    for explained in (by_hand, by_graph):
        for unit in (1.0, 1e-9):
            np.testing.assert_allclose(explained(0.9 * unit * target, unit * target), 0.99, rtol=1e-5)
        assert explained(np.arange(20_000.0), np.full(20_000, 200.1)) == 0
        assert explained(np.arange(3.0), np.zeros(3)) == 0


@pytest.mark.parametrize("algorithm", ["vpg", "ppo"])
def test_values_are_fitted_to_the_rewards_and_not_to_themselves(algorithm):
    """Episodes of one step that terminates, paid 1 or −1 for what was seen: V goes there from wherever it starts.

    Caught, when planted: the value network fitted to what it said already.
    """
    spec = spec_of(algorithm, "softmax", WHOLE, ADAM | {"value_hidden": (), "num_epochs": 5})
    obs = np.tile([[1.0, 0.0], [0.0, 1.0]], (ROWS // 2, 1))[:, None]  # [E, 1, 2]
    flags = np.ones((ROWS, 1), bool)
    one = Rollout(
        obs=obs,
        action=np.zeros((ROWS, 1), np.int32),
        log_prob=np.full((ROWS, 1), -np.log(3.0)),
        reward=obs[..., 0] - obs[..., 1],
        next_obs=1e3 * obs,
        terminated=flags,
        truncated=~flags,
        mask=flags.astype(np.float64),
    )
    state, twin = starts(spec, 1), program.load(spec)
    for update in range(60):
        state, _ = twin.train(state, one, KNOBS | {"learning_rate": 0.03}, order_of(spec, one, update))
    weight, bias = np.split(program.halves(spec, state["params"])[1], [2])
    assert weight + bias == pytest.approx([1.0, -1.0], abs=0.05)


def test_a_few_updates_agree_with_the_graphs():
    """The same, three of them, for the quick suite."""
    spec = spec_of(*CASES["ppo, as it comes"])
    ours = theirs = starts(spec, 1)
    by_hand, by_graph = program.load(spec).train, compiled(spec).train
    for update in range(3):
        rollout = experience(spec, np.random.default_rng(update))
        order = order_of(spec, rollout, update)
        (ours, measured), (theirs, expected) = (
            f(s, rollout, KNOBS, order) for f, s in ((by_hand, ours), (by_graph, theirs))
        )
        np.testing.assert_allclose(ours["params"], theirs["params"], rtol=0, atol=1e-9)
        assert measured == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_differences(name):
    """At other parameters than the State's, whose advantages stay constants. To 1e-6 of the largest entry.

    Caught, when planted: advantages of `at`; the value network's part not weighed.
    """
    spec = spec_of(*CASES[name])
    state, twin = starts(spec, 2), program.load(spec)
    rollout = experience(spec, np.random.default_rng(3))
    at = state["params"] + 0.1 * np.random.default_rng(4).normal(size=spec.acting.num_params)
    found = twin.gradient(state, rollout, KNOBS, at)
    numerical, step = np.zeros(len(at)), 1e-5
    for i in range(len(at)):
        above, below = (
            twin.gradient(state, rollout, KNOBS, at + sign * step * (np.arange(len(at)) == i)) for sign in (1, -1)
        )
        numerical[i] = (above["loss"] - below["loss"]) / (2 * step)
    assert np.abs(found["gradient"] - numerical).max() <= 1e-6 * np.abs(numerical).max()
    now = twin.gradient(state, rollout, KNOBS)
    assert now["loss"] == twin.gradient(state, rollout, KNOBS, state["params"])["loss"] != found["loss"]


@pytest.mark.parametrize("name", ["vpg, monte carlo, sgd, clipped", "ppo, no baseline"])
def test_the_gradient_is_the_graphs(name):
    spec = spec_of(*CASES[name])
    state, rollout = starts(spec, 2), experience(spec, np.random.default_rng(3))
    at = starts(spec, 5)["params"]
    found = program.load(spec).gradient(state, rollout, KNOBS, at)
    theirs = by_definition.interpreted_graph(spec, "gradient")(state | rollout._asdict() | {"at": at, "knobs": KNOBS})
    assert found["loss"] == pytest.approx(float(theirs["loss"]), rel=1e-12)
    np.testing.assert_allclose(found["gradient"], theirs["gradient"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
def test_actions_are_the_graphs(policy):
    """The same noise, the same actions, the same log-probabilities; also after learning has begun."""
    spec = spec_of("ppo", policy, WHOLE, {})
    twin, graph = program.load(spec), by_definition.interpreted_graph(spec, "act")
    state, rng = starts(spec, 6), np.random.default_rng(7)
    state["params"] *= 4
    obs = rng.normal(size=(64, 2))
    noise = rng.normal(size=(64, 2)) if policy == "gaussian" else rng.random((64, 1))
    for choice in (EXPLORE, SAMPLE, GREEDY):
        action, log_prob = twin.act(state, obs, noise, KNOBS, choice)
        values = {"obs": obs, "noise": noise, "knobs": KNOBS, "choice": choice}
        theirs = graph(state | values)
        assert action.dtype == theirs["action"].dtype
        np.testing.assert_allclose(action, theirs["action"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(log_prob, theirs["log_prob"], rtol=0, atol=1e-12)
        assert len(np.unique(action)) > 1


@pytest.mark.parametrize("name", CASES)
def test_the_host_is_told_the_same(name):
    """Caught, when planted: an entry of State in another order, a metric missing."""
    spec = spec_of(*CASES[name])
    ours = program.load(spec).manifest
    theirs = {"vpg": vpg, "ppo": ppo}[spec.learning.algorithm].describe(spec)
    assert set(ours.pop("knobs")) <= set(theirs.pop("knobs"))
    assert ours == theirs


@pytest.mark.slow
def test_it_begins_where_the_compiled_program_does():
    spec = spec_of("ppo", "gaussian", WHOLE, ADAM | {"dtype": "float32"})
    both = [one.init(np.random.default_rng(8)) for one in (program.load(spec), compiled(spec))]
    assert list(both[0]) == list(both[1])
    assert_equal_states(*both)


# -- what must not happen


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("algorithm", ["vpg", "ppo"])
@pytest.mark.parametrize("what", ["reward", "rate"])
def test_what_is_not_finite_changes_nothing(algorithm, what):
    """Without a warning of NumPy's. Caught, when planted: a check of the cost alone."""
    spec = spec_of(algorithm, "softmax", STRETCHES, {"optimizer": "sgd", "standardize_advantages": False})
    state, rollout = starts(spec, 1), experience(spec, np.random.default_rng(0))
    knobs, order = dict(KNOBS), order_of(spec, rollout, 0)
    if what == "reward":
        rollout.reward[np.unravel_index(np.argmax(rollout.mask), rollout.mask.shape)] = np.inf
    else:
        knobs |= {"learning_rate": np.inf}
    after, measured = program.load(spec).train(state, rollout, knobs, order)
    assert measured["finite"] == 0
    assert_equal_states(after, state)


@pytest.mark.parametrize("name", ["vpg, no baseline", "ppo, gae, adam, clipped"])
def test_what_it_is_given_stays_as_it_is_and_its_type_too(name):
    """float32 in, float32 out, all of it arrays. Caught, when planted: Adam's step left a scalar of NumPy's."""
    spec = by_definition.changed(spec_of(*CASES[name]), dtype="float32")
    state = {key: value.astype(np.float32) for key, value in starts(spec, 1).items()}
    rollout = Rollout(
        *(f.astype(np.float32) if f.dtype == np.float64 else f for f in experience(spec, np.random.default_rng(0))[:-2])
    )
    kept = {key: value.copy() for key, value in state.items()}, Rollout(*(np.copy(field) for field in rollout[:-2]))
    after, _ = program.load(spec).train(state, rollout, KNOBS, order_of(spec, rollout, 0))
    assert {(type(value), value.dtype) for value in after.values()} == {(np.ndarray, np.dtype(np.float32))}
    assert {key: value.shape for key, value in after.items()} == {key: value.shape for key, value in state.items()}
    assert_equal_states(state, kept[0])
    assert all(np.array_equal(a, b) for a, b in zip(rollout[:-2], kept[1][:-2], strict=True))


def test_a_gradient_is_clipped_by_the_norm_of_all_parts():
    """(3, 4) and (12): norm 13; to 6.5 all are halved. Caught, when planted: each by its own norm; each number."""
    parts, norm = optimizers.clip_by_global_norm([np.array([3.0, 4.0]), np.array([[12.0]])], 6.5)
    assert norm == 13
    assert [part.tolist() for part in parts] == [[1.5, 2.0], [[6.0]]]
    for most in (13.0, 20.0, None):
        parts, norm = optimizers.clip_by_global_norm([np.array([3.0, 4.0]), np.array([[12.0]])], most)
        assert norm == 13 and [part.tolist() for part in parts] == [[3.0, 4.0], [[12.0]]]
    assert optimizers.clip_by_global_norm([np.zeros(2)], 1.0)[0][0].tolist() == [0, 0]


# -- in the loop

RUN = {
    "vpg": {"algorithm": {"name": "vpg"}},
    "ppo": {"algorithm": {"name": "ppo", "num_steps": 7, "num_minibatches": 3, "num_epochs": 2}},
    "ppo, logistic": {"algorithm": {"name": "ppo", "num_steps": None}, "policy": {"logistic": True}}
    | {"environment": {"id": "CartPole-v1"}},
}


@pytest.mark.parametrize("name", RUN)
def test_a_resumed_run_equals_one_that_never_stopped(name, tmp_path):
    """Bit for bit. Caught, when planted: an optimiser's entry that is not in the State."""

    def changes(updates):
        return small(gradients="by_hand", **RUN[name]) | {"budget": {"updates": updates}}

    ran(changes(6), tmp_path / "straight")
    ran(changes(3), tmp_path / "run")
    resumed(tmp_path / "run", "budget.updates=6")
    assert_equal_runs(tmp_path / "straight", tmp_path / "run")
    assert len(records(tmp_path / "run")) == 6
    assert result(tmp_path / "run")["backend"] == "numpy"
    assert evaluate.evaluate(tmp_path / "run", episodes=3)["n"] == 3


def test_gymnasium_steps_and_the_screen_says_whose_gradients_they_are():
    """Though the task has a compiled twin. Caught, when planted: the compiled engine for both."""
    lines = []
    for gradients in ("by_hand", "symbolic"):
        chosen = reading.from_dict({"algorithm": {"name": "vpg"}, "gradients": gradients})
        environment = specs.environment_of(chosen, [])
        spec = specs.spec_of(chosen, environment.task, environment)
        lines.append(described(Setting(chosen, None, [], None, environment, spec, None)))
        environment.close()
    assert "engine gymnasium, 16 environments" in lines[0] and lines[0].endswith("; gradients by hand")
    assert "engine compiled" in lines[1] and "by hand" not in lines[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "policy"), [("ppo", {}), ("vpg", {"logistic": True})], ids=["ppo-softmax", "vpg-logistic"]
)
def test_both_learn_the_same_from_the_same_seed(algorithm, policy, tmp_path):
    """CartPole stepped by Gymnasium, float64: what is recorded agrees to 1e-6, as long as rounding has not grown into
    another action: for four updates it has not."""
    both = []
    for gradients in ("by_hand", "symbolic"):
        ran(
            {
                "gradients": gradients,
                "dtype": "float64",
                "environment": {"id": "CartPole-v1", "engine": "gymnasium"},
                "algorithm": {"name": algorithm, "entropy_coefficient": 0.01},
                "policy": policy,
                "budget": {"updates": 4},
                "evaluation": {"episodes": 5, "every_updates": 2},
            },
            tmp_path / gradients,
        )
        both.append(records(tmp_path / gradients))
    assert len(both[0]) == 4
    for one, other in zip(*both, strict=True):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["vpg", "ppo"])
def test_it_solves_cartpole_with_the_defaults(algorithm, tmp_path):
    ran({"gradients": "by_hand", "algorithm": {"name": algorithm}}, tmp_path / "run")
    assert result(tmp_path / "run")["status"] == "solved"
    assert evaluate.evaluate(tmp_path / "run", episodes=50, seed=1)["mean"] >= 475


# -- what it does not cover

VPG, PPO = {"name": "vpg"}, {"name": "ppo"}
REFUSED = [
    ({}, "gradients: by_hand has no twin of reinforce; expected algorithm.name=vpg or ppo"),
    ({"algorithm": {"name": "a2c"}}, "gradients: by_hand has no twin of a2c"),
    ({"algorithm": {"name": "trpo"}}, "gradients: by_hand has no twin of trpo"),
    ({"algorithm": VPG, "policy": {"name": "mine:policy"}}, "policy.name: 'mine:policy' has no twin"),
    ({"algorithm": PPO, "policy": {"shared": True}}, "policy.shared: true has no twin; "),
    ({"algorithm": PPO, "policy": {"squash": True}}, "policy.squash: true has no twin; "),
    ({"algorithm": PPO, "policy": {"log_std": "state_dependent"}}, "policy.log_std: 'state_dependent' has no twin; "),
    ({"algorithm": PPO, "policy": {"noise": "pink"}}, "policy.noise: 'pink' has no twin; "),
    ({"algorithm": PPO, "policy": {"act": "compiled"}}, "policy.act: compiled is for gradients=symbolic"),
    ({"algorithm": VPG, "backend": "numba"}, "backend: numba is for gradients=symbolic"),
    ({"algorithm": PPO | {"objective": "mine:loss"}}, "algorithm.objective: 'mine:loss' has no twin; "),
    ({"algorithm": PPO | {"value_clip_range": 0.2}}, "algorithm.value_clip_range: 0.2 has no twin; "),
    ({"algorithm": PPO | {"target_kl": 0.02}}, "algorithm.target_kl: 0.02 has no twin; "),
    ({"algorithm": VPG | {"advantage": "td"}}, "algorithm.advantage: td has no twin; "),
    ({"algorithm": VPG | {"advantage": "n_step"}}, "algorithm.advantage: n_step has no twin; "),
    ({"algorithm": VPG, "exploration": {"name": "epsilon_softmax"}}, "exploration.name: 'epsilon_softmax' has no twin"),
    ({"algorithm": VPG, "normalize": {"observations": True}}, "normalize.observations: true has no twin; "),
    ({"algorithm": VPG, "normalize": {"rewards": True}}, "normalize.rewards: true has no twin; "),
    ({"algorithm": VPG, "optimizer": {"name": "rmsprop"}}, "optimizer.name: rmsprop has no twin; "),
    ({"algorithm": VPG, "environment": {"engine": "compiled"}}, "environment.engine: compiled has no twin; "),
    (
        {"algorithm": VPG, "environment": {"dynamics": "mine:Dynamics"}},
        "environment.dynamics: 'mine:Dynamics' has no twin",
    ),
    (
        {"algorithm": VPG, "environment": {"id": "probe_environments:MultiBinaryActions-v0"}},
        "gradients: by_hand has no multi_binary actions, which probe_environments:MultiBinaryActions-v0 has; expected Discrete or Box",
    ),
]


def message_of(words, capsys):
    assert train.main([*words, "--no-plot"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert "Traceback" not in out + err
    return err.removeprefix("error: ").removeprefix("command line ")


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message.partition(";")[0] for _, message in REFUSED])
def test_what_has_no_twin_is_refused_by_name(changes, message, capsys):
    assert message in message_of(as_arguments({"gradients": "by_hand"} | changes), capsys)


class Read:
    """A spec, or a part of one, that remembers which of its entries were read."""

    def __init__(self, what, names):
        self.what, self.names = what, names

    def __getattr__(self, name):
        found = getattr(self.what, name)
        if name in ("acting", "learning", "passes"):
            return found and Read(found, self.names)
        self.names.add(name)
        return found


LOOP = {"num_epochs", "num_minibatches", "num_steps", "chunk", "time_limit", "max_steps", "num_outputs"}
"""What the host makes true: minibatches arrive as arrays, rollouts in their shape; and what the layout says too."""


def other_values(kind):
    """Something else than the default, for a knob of this type."""
    if "|" in kind:
        return kind.split(" or ")[0].split("|")
    return {"bool": [False, True], "float": [0.3], "int": [3], "list": [[2]]}.get(kind.partition(" or ")[0], [])


@pytest.mark.parametrize("id", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("algorithm", ["vpg", "ppo"])
def test_every_knob_that_shapes_the_graph_is_covered_or_refused(algorithm, id):
    """Each knob set to something else: refused, or no change of the spec that the twin does not read.

    Caught, when planted: policy.noise, algorithm.target_kl or normalize.rewards left out of what is refused.
    """
    environment = making.make(sections.Environment(id=id), num_envs=1, dtype="float64")
    environment.close()
    task = environment.task

    def spec_with(key=None, value=None):
        data = {"gradients": "by_hand", "algorithm": {"name": algorithm}}
        if key is not None:
            *path, last = key.split(".")
            inner = data
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = value
        return specs.spec_of(reading.from_dict(data), task)

    names_read = set()
    read = Read(spec_of(algorithm, "softmax", WHOLE, ADAM), names_read)
    twin, rollout = program.load(read), experience(read, np.random.default_rng(0))
    twin.train(twin.init(np.random.default_rng(0)), rollout, KNOBS, order_of(read, rollout, 0))
    plain, taken, refused = spec_with().plain(), 0, 0
    for key, kind, *_ in tables.knobs():
        for value in other_values(kind):
            try:
                spec = spec_with(key, value).plain()
            except UserError:
                refused += 1
                continue
            taken += 1
            assert {name for name in spec if spec[name] != plain[name]} <= names_read | LOOP, (key, value)
    assert taken > 40 and refused > 15


@pytest.mark.parametrize(
    ("id", "has"),
    [("Acrobot-v1", "3 actions"), ("Pendulum-v1", "a box action space")],
)
def test_one_logit_is_for_two_actions(id, has, capsys):
    for gradients in ("symbolic", "by_hand"):
        words = ["algorithm.name=ppo", "policy.logistic=true", f"environment.id={id}", f"gradients={gradients}"]
        expected = f"policy.logistic: got true, which is for two actions, and {id} has {has}; expected false; try false"
        assert expected in message_of(words, capsys)
