"""A layer of the user's own: in every algorithm, held to its contract, found again, refused in one line."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytensor.tensor as pt
import pytest
from helpers_graphs import interpreted
from helpers_runs import command, ran, resumed, small, whole_and_resumed

import pg_theano
from pg_theano.config import reading, user_code
from pg_theano.graphs.layers import own as by_graph
from pg_theano.runs import exported
from pg_theano.system import importing
from pg_theano.training import checking, own
from pg_theano.training.evaluating import evaluate
from pg_theano.training.explaining import explain
from pg_theano.types import UserError

OPTIMISED = False

SWISH = (Path(__file__).parents[1] / "docs" / "examples" / "swish.py").read_text()
NETWORK = [{"dense": 5}, {"swish:swish_dense": {"width": 4}}, "layer_norm"]


@pytest.fixture
def mine(elsewhere, monkeypatch):
    """Writes `swish.py` with some of it replaced; the test runs in that folder."""
    monkeypatch.syspath_prepend(str(elsewhere))

    def write(old="", new=""):
        assert old in SWISH
        (elsewhere / "swish.py").write_text(SWISH.replace(old, new) if old else SWISH)
        return elsewhere

    write()
    return write


def config_of(**changes):
    base = {"environment": {"id": "CartPole-v1"}, "policy": {"network": NETWORK}, "budget": {"updates": 4}}
    return small(**base | changes)


VALUES = {"name": "a2c", "num_steps": 8}


def test_it_is_trained_stopped_resumed_and_handed_over(mine, tmp_path, functions_kept):
    """With a value network that has it too, inside another layer; bit for bit as if never stopped."""
    residual = [{"dense": 4}, {"residual": [{"swish:swish_dense": {"width": 4}}]}]
    own = config_of(policy={"network": NETWORK, "value_network": residual}, algorithm=VALUES)
    run = whole_and_resumed(own, tmp_path)
    facts = json.loads((run / "run.json").read_text())
    assert facts["code"]["swish"]["file"].endswith("swish.py")
    assert evaluate(run, episodes=3)["environment"] == "CartPole-v1"
    assert explain(run, episodes=1).slopes.any()
    assert exported.export(run, "stablehlo", tmp_path / "it.stablehlo").stat().st_size > 1000
    for hand_over in (lambda: pg_theano.load(run), lambda: exported.export(run, "onnx", tmp_path / "it.onnx")):
        with pytest.raises(UserError, match=r"policy.network swish:swish_dense is a graph of your own, which NumPy"):
            hand_over()


@pytest.mark.parametrize(
    "words", [["algorithm.name=reinforce"], ["algorithm.name=vpg", "policy.value_network=[swish:gate]"]]
)
def test_its_gradient_is_that_of_differences(mine, words):
    """Compiled, array by array. `gate` learns without keywords. Caught, when planted: arrays in another order."""
    mine("def swish_dense", "gate = lambda params, x: swish_dense(params, x, width=None)\n\n\ndef swish_dense")
    text = (Path.cwd() / "swish.py").read_text().replace("*, width):\n    return [", "*, width=3):\n    return [")
    (Path.cwd() / "swish.py").write_text(
        text.replace(
            "inputs, *, width):\n    return width", "inputs, *, width=3):\n    return 3 if width is None else width"
        )
    )
    found = checking.check(config_of(dtype="float64"), overrides=words)
    assert found.passed, found


def test_a_changed_file_is_told_of(mine, tmp_path, functions_kept):
    """And the functions of the old one are not taken for it. Caught, when planted: the layer's file left out of the key."""
    ran(config_of(), tmp_path / "run")
    mine("y * pt.sigmoid", "0 * y * pt.sigmoid")
    with pytest.raises(
        UserError, match=r"policy.network: got swish:swish_dense from .* expected what the run recorded"
    ):
        resumed(tmp_path / "run", "budget.updates=6")
    with pytest.raises(UserError, match=r"does not depend on its parameters"):
        ran(config_of(), tmp_path / "other")


def test_no_user_code_refuses_it_and_a_strangers_run_names_no_other(mine, tmp_path, monkeypatch, functions_kept):
    """Caught, when planted: layers left out of what a config names; a spec that names what its config does not."""
    ran(config_of(), tmp_path / "run")
    config = reading.read_config(tmp_path / "run" / "config.yaml")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert user_code.named(config) == [("policy.network", "swish:swish_dense")]
    facts["spec"]["network"]["policy"][1][1]["name"] = "evil:layer"
    with pytest.raises(UserError, match=r"run.json: got evil:layer as a layer; expected its config's"):
        user_code.check_run(config, facts)
    code, _, error = command("train", "--no-user-code", "policy.network=[{swish:swish_dense: {width: 4}}]")
    assert code == 2 and "policy.network: got swish:swish_dense, which runs code" in error
    assert not importing.refused()


WRONG = {
    "nowhere:layer": ({}, "policy.network.1: no file nowhere.py in "),
    "swish:other": ({}, "policy.network.1: swish has no function 'other'"),
    "swish:swish_dense": ({"widht": 3}, "policy.network.1: parameters() of swish raised TypeError"),
    "swish:output": ({"width": 0}, "policy.network.1: parameters() of swish gave ('w', (5, 0), 'orthogonal')"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_none_is_named_by_its_place(name, mine, tmp_path):
    kwargs, line = WRONG[name]
    with pytest.raises(UserError) as found:
        ran(config_of(policy={"network": [{"dense": 5}, {name: kwargs}]}), tmp_path / "run")
    assert line in str(found.value) and "\n" not in str(found.value)


BROKEN = {
    (
        "return width",
        "return width + 1",
    ): "returned float32 [N, 4]; expected float32 [N, 5], as output() says, of [N, 5]",
    (
        "return width",
        "return (2, 2)",
    ): "policy.network.1: output() of swish gave (2, 2); expected how many numbers it gives of [5]",
    ('"ones"', '"twos"'): "policy.network.1: parameters() of swish: beta of shape [4]: got the initialiser 'twos'",
    ("y = x @", "y = pt.random.normal() * x @"): "draws random numbers",
    ("y = x @", "y = x @ x @"): "raised",
}


@pytest.mark.parametrize("change", BROKEN, ids=lambda c: c[1])
def test_a_layer_that_breaks_its_contract_is_one_line(change, mine, tmp_path):
    mine(*change)
    with pytest.raises(UserError) as found:
        ran(config_of(), tmp_path / "run")
    assert BROKEN[change] in str(found.value) and "policy.network" in str(found.value)


def test_each_candidate_of_a_search_has_a_layer_of_its_own(mine):
    """Columns with arrays of their own are each what the layer gives alone. Caught, when planted: arrays of another
    column; axes moved the wrong way."""
    layer = own.own_layer("swish:swish_dense", {"width": 4}, (3,), "policy.network", [Path.cwd()])
    placed, rng = SimpleNamespace(layer=layer), np.random.default_rng(0)
    values = [rng.normal(size=(*shape, 5)) for shape, _ in layer.learned.values()]
    seen, x = rng.normal(size=(3, 5)), pt.tensor("x", shape=(3, None), dtype="float64")
    alone = [pt.tensor(shape=value.shape[:-1], dtype="float64") for value in values]
    many = [pt.tensor(shape=(*value.shape[:-1], None), dtype="float64") for value in values]
    one, together = (
        interpreted([*arrays, x], by_graph.expression(placed, arrays, x, multiply=None)) for arrays in (alone, many)
    )
    expected = [one(*(value[..., n] for value in values), seen[:, n : n + 1])[:, 0] for n in range(5)]
    np.testing.assert_allclose(together(*values, seen), np.transpose(expected), rtol=0, atol=1e-14)


@pytest.mark.parametrize("engine", ["gymnasium", "compiled"])
def test_a_search_takes_it(engine, mine, tmp_path, functions_kept):
    """Trained, judged, shown and handed over; refused by all that has NumPy alone."""
    environment = {"id": "CartPole-v1", "engine": engine}
    data = {"algorithm": {"name": "cem", "population_size": 4}, "policy": {"network": NETWORK}, "seed": 3}
    run = ran(data | {"environment": environment, "budget": {"updates": 2}}, tmp_path / "run").folder
    assert evaluate(run, episodes=2)["environment"] == "CartPole-v1"
    assert exported.export(run, "stablehlo", tmp_path / "it.stablehlo").stat().st_size > 1000
    with pytest.raises(UserError, match=r"policy.network swish:swish_dense is a graph of your own, which NumPy"):
        pg_theano.load(run)
