"""A policy or an objective of the user's own: found, held to its contract, compiled once, trained."""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers_graphs import changed, floats, interpreted, make_spec
from helpers_runs import assert_equal_runs, command

from pg_theano import evaluate, train
from pg_theano.compiler import building, cached
from pg_theano.config import reading
from pg_theano.environments import making
from pg_theano.runs import checkpoints
from pg_theano.system.importing import fingerprint, importable
from pg_theano.training import own, specs
from pg_theano.types import ActionSpace, UserError

OPTIMISED = False  # see conftest.machine_code

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"

GOOD = """
import numpy as np
import pytensor
import pytensor.tensor as pt
from own_numbers import SCALE

def parameters(obs_size, action_size, *, gain=0.5):
    return [("w", (obs_size, action_size), gain), ("b", (action_size,), "zeros")]

def policy(params, obs, *, gain=0.5):
    return SCALE * (obs @ params["w"]) + params["b"]

def objective(log_prob, old_log_prob, advantage, value, mask, *, power=1.0):
    return pt.sum(log_prob * advantage * mask) / pt.sum(mask)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes `mine.py` with some of it replaced; the test runs in that folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_numbers.py").write_text("SCALE = 1.0\n")

    def write(old="", new=""):
        assert old in GOOD
        (tmp_path / "mine.py").write_text(GOOD.replace(old, new) if old else GOOD)

    write()
    return write


def a_spec(**changes):
    """A spec of the policy above: 2 features, 3 actions."""
    layout = [["policy/w", [2, 3], 0.5], ["policy/b", [3], "zeros"]]
    own = {"policy": "mine:policy", "layout": layout, "num_params": 9}
    return changed(make_spec(dtype="float32"), **own | changes)


def policy_graph(spec):
    """(symbols, the policy's outputs [K, N]), as the algorithms build it."""
    import pytensor.tensor as pt

    from pg_theano.graphs import networks, own

    with floats(spec.dtype), importable([], [spec.acting.own.name]):
        params = pt.tensor("params", shape=(spec.acting.num_params,), dtype=spec.dtype)
        obs = pt.tensor("obs", shape=(spec.acting.obs_size, None), dtype=spec.dtype)
        return (params, obs), own.policy_outputs(spec.acting, networks.views(params, spec.acting.layout), obs)


def objective_graph(spec):
    import pytensor.tensor as pt

    from pg_theano.graphs import own

    with floats(spec.dtype), importable([], [spec.learning.objective.name]):
        given = [pt.vector(name, dtype=spec.dtype) for name in own.ARGUMENTS]
        return given, own.objective(spec.learning.objective, spec.dtype, *given)


# -- what it computes


def test_a_policy_is_given_rows_of_observations_and_its_parameters_by_name(mine):
    """Caught, when planted: observations handed over feature-major; w and b exchanged in the flat vector."""
    spec = a_spec()
    inputs, outputs = policy_graph(spec)
    rng = np.random.default_rng(0)
    params, obs = rng.normal(size=9).astype("float32"), rng.normal(size=(2, 5)).astype("float32")
    found = interpreted(inputs, outputs)(params, obs)
    np.testing.assert_allclose(found, (obs.T @ params[:6].reshape(2, 3) + params[6:]).T, rtol=1e-5)


def test_an_objective_is_given_each_argument_under_its_name(mine):
    """Caught, when planted: log_prob and old_log_prob exchanged; kwargs dropped."""
    mine("pt.sum(log_prob * advantage * mask) / pt.sum(mask)", "power * pt.sum(log_prob + 2 * old_log_prob + 3 * advantage + 4 * value + 5 * mask)")  # fmt: skip
    given, result = objective_graph(a_spec(objective="mine:objective", objective_kwargs={"power": 7.0}))
    numbers = [np.full(2, 10.0**place, "float32") for place in range(5)]
    assert interpreted(given, result)(*numbers) == 7 * 2 * 54321


def test_the_mirrored_policy_of_the_documentation_is_mirrored():
    """Whatever the parameters: π(left|o) = π(right|−o)."""
    import pytensor.tensor as pt

    sys.path.insert(0, str(EXAMPLES))
    try:
        import mirror
    finally:
        sys.path.remove(str(EXAMPLES))
    rng = np.random.default_rng(0)
    shapes = {name: shape for name, shape, _ in mirror.parameters(4, 2, hidden=5)}
    params = {name: pt.constant(rng.normal(size=shape)) for name, shape in shapes.items()}
    obs = pt.dmatrix("obs")
    logits = interpreted([obs], mirror.policy(params, obs, hidden=5))
    some = rng.normal(size=(7, 4))
    np.testing.assert_allclose(logits(some), logits(-some)[:, ::-1], rtol=1e-12)


def test_a_box_gets_its_log_std_beside_the_users_parameters(mine):
    made = reading.from_dict(
        {"environment": {"id": "Pendulum-v1"}, "policy": {"name": "mine:policy", "initial_log_std": -0.5}}
    )
    task = making.Task("P", 3, ActionSpace("box", 1, [], [-2.0], [2.0]), 200, None)
    layout = specs.spec_of(made, task).plain()["layout"]
    assert layout == [
        ["policy/w", [3, 1], 0.5],
        ["policy/b", [1], "zeros"],
        ["policy/log_std", [1], ["constant", -0.5]],
    ]


# -- what is wrong with it

W, SUM = 'SCALE * (obs @ params["w"]) + params["b"]', "pt.sum(log_prob * advantage * mask) / pt.sum(mask)"

POLICIES = [
    (W, "obs", r"mine:policy returned float32 \[N, 2\]; expected float32 \[N, 3\]"),
    (W, f"({W}).T", r"returned float32 \[3, N\]; expected float32 \[N, 3\]"),
    (W, 'params["b"]', r"returned float32 \[3\]; expected float32 \[N, 3\]"),
    (W, f"({W}).mean(axis=0, keepdims=True)", r"returned float32 \[1, 3\]; expected"),
    (W, f'({W}).astype("float64")', r"returned float64 \[N, 3\]; expected float32"),
    (W, f"np.float64(1.5) * np.ones(3) * ({W})", r"returned float64 \[N, 3\]; expected float32"),
    (W, "None", r"returned None \(NoneType\); expected float32"),
    (W, "pt.zeros((obs.shape[0], 3), dtype=obs.dtype)", "does not depend on its parameters: it cannot learn"),
    (W, f"pytensor.gradient.disconnected_grad({W})", "does not depend on its parameters"),
    (W, f"pt.gt({W}, 0).astype(obs.dtype)", "does not depend on its parameters"),
    (W, 'obs @ params["x"]', "raised KeyError: 'x'"),
    (W, "1 / 0", "raised ZeroDivisionError"),
    (W, f"{W} + pt.random.normal(size=(3,))", "draws random numbers"),
    (W, f"{W} + pytensor.shared(np.float32(1.0), name='s')", "reads the shared variable s"),
    (W, f"{W} + np.random.normal()", "gave another expression when called again"),
    ("def policy", "def another", "mine has no function 'policy'"),
    ("import numpy as np", "import numpy as np, no_such_library", "mine cannot be imported .ModuleNotFoundError"),
]


@pytest.mark.parametrize(("old", "new", "message"), POLICIES, ids=[new[:40] for _, new, _ in POLICIES])
def test_a_policy_that_cannot_be(mine, old, new, message):
    mine(old, new)
    with pytest.raises(UserError, match=message) as caught:
        policy_graph(a_spec())
    assert str(caught.value).startswith("policy.name: ")


OBJECTIVES = [
    (SUM, "log_prob * advantage", r"mine:objective returned float32 \[N\]; expected a scalar"),
    (SUM, "0.5", r"returned 0.5 \(float\); expected a scalar"),
    (SUM, "pt.sum(advantage * value)", "does not depend on log_prob"),
    (SUM, "pt.sum(old_log_prob * advantage)", "does not depend on log_prob"),
    (SUM, "pt.sum(pytensor.gradient.disconnected_grad(log_prob))", "does not depend on log_prob"),
    (SUM, "pt.sum(pt.gt(log_prob, old_log_prob).astype(mask.dtype))", "does not depend on log_prob"),
    (SUM, "pt.sum(log_prob > 0)", r"returned int64 \[\]; expected float32"),
    (SUM, "log_prob.no_such_thing", "raised AttributeError"),
    ("power=1.0", "strength", r"raised TypeError: objective\(\) missing 1 required keyword-only argument: 'strength'"),
    ("def objective", "def another", "mine has no function 'objective'"),
]


@pytest.mark.parametrize(("old", "new", "message"), OBJECTIVES, ids=[new[:40] for _, new, _ in OBJECTIVES])
def test_an_objective_that_cannot_be(mine, old, new, message):
    mine(old, new)
    with pytest.raises(UserError, match=message) as caught:
        objective_graph(a_spec(objective="mine:objective"))
    assert str(caught.value).startswith("algorithm.objective: ")


LIST = '[("w", (obs_size, action_size), gain), ("b", (action_size,), "zeros")]'
PARAMETERS = [
    ("def parameters", "def params", {}, "mine has no function 'parameters'"),
    ("", "", {"gian": 1.0}, r"parameters\(\) of mine raised TypeError: .*unexpected keyword argument 'gian'"),
    (LIST, "[]", {}, "gave nothing; policy has nothing to learn"),
    (LIST, "None", {}, "raised TypeError: "),
    (LIST, '[("w", (obs_size, action_size))]', {}, r"gave \('w', \(4, 2\)\); expected \(name, shape, initialiser\)"),
    (LIST, '[("w", (obs_size, 2.5), "zeros")]', {}, r"gave \('w', \(4, 2.5\), 'zeros'\); expected"),
    (LIST, '[("w", (obs_size, 0), "zeros")]', {}, "sizes from 1"),
    (LIST, '[("w", 4, "zeros")]', {}, r"expected \(name, shape, initialiser\)"),
    (LIST, '[("w", (4,), "zeroes")]', {}, "w of shape .4.: got the initialiser 'zeroes'; expected zeros, ones"),
    (LIST, '[("w", (4,), "glorot")]', {}, "got the initialiser 'glorot'"),
    (LIST, '[("w", (4,), "zeros"), ("w", (4,), "ones")]', {}, "two arrays 'w'; expected another name"),
    (LIST, '[("log_std", (4,), "zeros")]', {}, "an array 'log_std', which a Box gets from us"),
    (LIST, '[("w", (10**6, 10**6), "zeros")]', {}, "1,000,000,000,000 parameters, which need 12,000 GB"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "kwargs", "message"), PARAMETERS, ids=[str(row[1:3])[:40] for row in PARAMETERS]
)
def test_parameters_that_cannot_be(mine, old, new, kwargs, message):
    mine(old, new)
    with pytest.raises(UserError, match=message) as caught:
        own.own_parameters("mine:policy", 4, 2, kwargs)
    assert str(caught.value).startswith("policy.name: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["policy.name=nowhere:policy"], "error: command line policy.name: no file nowhere.py in "),
        (["policy.name=mine"], "policy.name: got 'mine'; expected dense, or module:name, such as my_file:my_name"),
        (["policy.name=mine:policy", "policy.act=numpy"], "policy.act: numpy needs policy.name=dense"),
        (["policy.name=mine:policy", "policy.shared=true", "algorithm.name=ppo"], "policy.shared: true needs policy.name"),
        (["policy.name_kwargs={a: 1}"], "policy.name_kwargs: policy.name is dense, which takes none"),
        (["algorithm.objective_kwargs={a: 1}"], "algorithm.objective_kwargs: algorithm.objective is default"),
        (["algorithm.objective=mine:objective", "algorithm.name=trpo"], "which trpo does not read; expected algorithm.name to be one of reinforce, vpg, a2c, ppo; try"),
        (["algorithm.objective=mine:per_step"], "algorithm.objective: mine:per_step returned float32 [N]; expected a sc"),
        (["policy.name=mine:wrong"], "policy.name: mine:wrong returned float32 [N, 4]; expected float32 [N, 2]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_nothing_is_compiled(mine, words, message, monkeypatch, capsys):
    with Path("mine.py").open("a") as file:
        file.write("\ndef wrong(params, obs): return obs + params['w'].sum()\n")
        file.write("\ndef per_step(log_prob, old_log_prob, advantage, value, mask): return log_prob\n")
    monkeypatch.setattr(building, "pytensor_function", lambda *_: pytest.fail("compiled"))
    assert train.main([*words, "--no-plot", "--run-dir", "run"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err


# -- what is on disk is what is built


def test_a_file_is_read_anew_whatever_the_process_has_imported(mine):
    """The user's own import of it stays as it is. Caught, when planted: sys.modules not cleared (the old file's graph,
    kept in the cache under the new file's key)."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        import own_numbers as imported

        (params, obs), outputs = policy_graph(a_spec())
        ones = np.ones(9, "float32"), np.ones((2, 1), "float32")
        assert interpreted([params, obs], outputs)(*ones).tolist() == [[3]] * 3
        Path("own_numbers.py").write_text("SCALE = 2.0\n")
        inputs, outputs = policy_graph(a_spec())
        assert interpreted(inputs, outputs)(*ones).tolist() == [[5]] * 3
        assert sys.modules["own_numbers"] is imported
        assert "mine" not in sys.modules
    finally:
        sys.path.pop(0)
        sys.modules.pop("own_numbers", None)


def key_of(**policy):
    made = reading.from_dict({"policy": {"name": "mine:policy", **policy}})
    task = making.Task("CartPole-v1", 4, ActionSpace("discrete", 1, [2], [], []), 500, 475.0)
    spec = specs.spec_of(made, task)
    return cached.key_of(spec.module, spec)


def test_a_changed_line_or_keyword_changes_the_key_and_nothing_else_does(mine):
    """Caught, when planted: kwargs or the imported file left out of it."""
    first = key_of()
    assert key_of() == first
    assert key_of(name_kwargs={"gain": 0.1}) != first
    Path("own_numbers.py").write_text("SCALE = 2.0\n")
    assert key_of() != first
    Path("own_numbers.py").write_text("SCALE = 1.0\n")
    assert key_of() == first


def test_what_a_run_was_trained_with_is_not_replaced_by_what_the_file_is_now(mine):
    """Where nothing compiled is left of it. Caught, when planted: no comparison (the new policy, kept under the old
    one's key)."""
    spec = a_spec(policy_source=fingerprint("mine:policy", []))
    with building.around(spec, [])():
        assert importlib.import_module("mine").SCALE == 1.0
    Path("own_numbers.py").write_text("SCALE = 2.0\n")
    with pytest.raises(UserError, match="mine:policy has changed since"), building.around(spec, [])():
        pass


def test_the_layout_is_asked_for_once(mine):
    """And kept, so that a warm start runs no code of the user's."""
    first = own.own_parameters("mine:policy", 4, 2, {})
    text = Path("mine.py").read_text()
    Path("mine.py").write_text(text.replace("import numpy as np", "raise SystemExit"))
    with pytest.raises(SystemExit):
        own.own_parameters("mine:policy", 4, 2, {})
    Path("mine.py").write_text(text)
    assert own.own_parameters("mine:policy", 4, 2, {}) == first
    assert first == [("policy/w", (4, 2), 0.5), ("policy/b", (2,), "zeros")]


# -- trained


def test_the_documentation_shows_the_examples_that_run():
    """Line for line the ones that the tests train."""
    page = (EXAMPLES.parent / "own-policy.md").read_text()
    for name in ("mirror", "swish", "spo"):
        example = (EXAMPLES / f"{name}.py").read_text()
        assert example[example.index("import pytensor") :] in page


def trained(folder, *words):
    """`pg_theano.train` in this process, from a folder."""
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert train.main([*words, "--no-plot"]) == 0


def evaluated(folder, *words):
    """(exit code, stdout, stderr) of `pg_theano.evaluate` in this process, from a folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = evaluate.main([*words])
    return code, out.getvalue(), err.getvalue()


def trained_apart(folder, *words):
    """`pg_theano.train` in a process of its own; returns (its result, what heavy or of the user's was imported)."""
    code = (
        "import sys, json; from pg_theano.train import main; status = main(sys.argv[1:]);"
        "print(json.dumps([n for n in sys.modules if n.partition('.')[0] in ('pytensor', 'mine', 'mirror', 'spo')]), "
        "file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--json", "--no-plot"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout), json.loads(done.stderr.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mirror", "spo"])
def test_the_worked_examples_of_the_documentation_solve_cartpole(name, tmp_path):
    """The second run imports neither PyTensor nor the user's file, and is the same run."""
    first, _ = trained_apart(tmp_path, str(EXAMPLES / f"{name}.yaml"), "--run-dir", "first")
    assert first["status"] == "solved"
    again, heavy = trained_apart(tmp_path, str(EXAMPLES / f"{name}.yaml"), "--run-dir", "again")
    assert heavy == []
    assert_equal_runs(tmp_path / "first", tmp_path / "again")
    assert again["seconds"]["total"] < first["seconds"]["total"] + 1


SHORT = "environment.max_episode_steps=50"  # one length of a graph for all episodes
FEW = [SHORT, "budget.updates=4", "evaluation.every_updates=2", "evaluation.episodes=3", "policy.value_hidden=[4]"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "engine", "id"),
    [
        ("vpg", "gymnasium", "CartPole-v1"),
        ("a2c", "compiled", "Pendulum-v1"),
        ("ppo", "gymnasium", "Pendulum-v1"),
        ("trpo", "compiled", "CartPole-v1"),
    ],
)
def test_every_algorithm_trains_ones_own_policy_resumes_it_and_evaluates_it(algorithm, engine, id, mine, tmp_path):
    """One of them by processes, which know nothing of the user's module but what the run's folder says."""
    apart = algorithm == "vpg"
    train_by = trained_apart if apart else trained
    Path("mine.yaml").write_text("policy: {name: 'mine:policy'}\n")
    words = ["mine.yaml", f"algorithm.name={algorithm}", f"environment.engine={engine}", f"environment.id={id}", *FEW]
    often = ["checkpoint.every_updates=2", "checkpoint.keep=9"]
    train_by(tmp_path, *words, *often, "--run-dir", "whole")
    train_by(tmp_path, *words, *often, "budget.updates=2", "--run-dir", "half")
    train_by(tmp_path, "--resume", "half", "budget.updates=4")
    states = [checkpoints.newest(tmp_path / run / "checkpoints").state for run in ("whole", "half")]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
    asked = ["whole", "--episodes", "3", "--json"]
    code, out, err = command("evaluate", *asked, cwd=tmp_path) if apart else evaluated(tmp_path, *asked)
    assert code == 0 and all(line.startswith("imports mine:") for line in err.splitlines())
    assert json.loads(out)["n"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["reinforce", "vpg", "a2c"])
def test_the_default_objective_written_by_hand_learns_what_the_default_does(algorithm, mine, tmp_path):
    """`objective` above is that of the policy gradient. Caught, when planted: its sign."""
    words = [f"algorithm.name={algorithm}", *FEW[:4], "environment.engine=gymnasium"]
    trained(tmp_path, *words, "--run-dir", "default")
    trained(tmp_path, *words, "algorithm.objective=mine:objective", "--run-dir", "own")
    states = [checkpoints.newest(tmp_path / run / "checkpoints").state for run in ("default", "own")]
    np.testing.assert_allclose(states[0]["params"], states[1]["params"], rtol=0, atol=2e-4)
