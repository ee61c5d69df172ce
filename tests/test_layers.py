"""Kinds of layers: each has all its faces, which agree; and one more kind is its faces and nothing else."""

import math
import sys
from dataclasses import dataclass
from types import ModuleType

import helpers_graphs as by_definition
import numpy as np
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_runs import small, whole_and_resumed

import pg_theano
from pg_theano import parameters
from pg_theano.graphs import networks as expressions
from pg_theano.graphs.layers import dense as products
from pg_theano.layers import LAYERS, Conv, Dense, Embed, Image, Join, LayerNorm, MaxPool, Residual, layout_of
from pg_theano.parameters import Network
from pg_theano.policies import networks, onnx
from pg_theano.report import report
from pg_theano.runs import exported
from pg_theano.spec import Acting, reading
from pg_theano.spec.entries import Unreadable
from pg_theano.training import checking, specs
from pg_theano.types import ActionSpace

OPTIMISED = False  # see conftest.machine_code

PIXELS = Image(4, 5, 2)
SAMPLES = {
    "dense": [[Dense(5, "sigmoid")], [Dense(3, "tanh")], [Dense(19, "relu")], [Dense(4)]],
    "image": [
        [Image(2, 3, 1, scale=255.0)],
        [Image(1, 2, 3, channels_first=True)],
        [Image(3, 1, 2, True, 2.0), Dense(2)],
    ],
    "conv": [
        [PIXELS, Conv(3, 3)],
        [PIXELS, Conv(2, 2, 2, "same", "tanh"), Conv(3, 2, 1, "valid", "sigmoid")],
        [PIXELS, Conv(2, 3, 2, "same", None)],
        [PIXELS, Conv(2, 4, 1)],
    ],
    "max_pool": [[PIXELS, MaxPool()], [PIXELS, Conv(2, 2), MaxPool(3, 2, "same")]],
    "layer_norm": [[LayerNorm()], [Dense(4), LayerNorm(1e-3, "tanh")]],
    "residual": [
        [Residual((Dense(4, "tanh"), Dense(6)))],
        [PIXELS, Residual((Conv(2, 3, 1, "same"), Conv(2, 3, 1, "same", None)), "relu")],
    ],
    "embed": [[Embed((2, 4), 3)], [Embed((6,), 2), Dense(3)]],
    "join": [
        [Join((4, 2), ((Image(2, 2, 1), Conv(2, 2, 1)), (Dense(3, "sigmoid"), Dense(2, "sigmoid"))))],
        [Join((2, 4), ((), (Residual((Dense(4),)),)))],
    ],
}
"""Layers of each kind, one after the other, for six numbers or the 40 of an image."""

INPUTS = 6


def acting_of(*layers, dtype="float64", inputs=INPUTS):
    """A policy of these layers and a head of two."""
    network = Network(policy=(*layers, Dense(2)))
    layout = layout_of(network.placed(inputs)["policy"])
    return Acting(inputs, ActionSpace("discrete", 1, [2], [], []), layout, network, "tanh", dtype=dtype)


def test_every_kind_has_samples():
    assert set(SAMPLES) == set(LAYERS) - {"gru", "lstm", "own"}  # see test_remembering.py, test_own_layer.py


def of_choices(layers, x):
    """Rows for an embedding: a 1 at a choice of each component."""
    if not isinstance(layers[0], Embed):
        return x
    parts = np.split(x, np.cumsum(layers[0].sizes)[:-1], axis=1)
    return np.concatenate([np.eye(part.shape[1])[part.argmax(1)] for part in parts], axis=1)


@pytest.mark.parametrize("layers", [layers for each in SAMPLES.values() for layers in each], ids=str)
def test_the_faces_of_a_layer_agree(layers):
    """Expression, NumPy pass and ONNX nodes, between two sigmoid layers whose halves go into their neighbours; each
    column with a layer of its own; and its gradient against differences.

    Caught, when planted: another activation in one face; the halves of a sigmoid taken in twice, or handed to a layer
    that does not take them; biases of a population's columns exchanged.
    """
    first = () if isinstance(layers[0], Image | Embed) else (Dense(INPUTS, "sigmoid"),)
    inputs, rng = 40 if PIXELS in layers else INPUTS, np.random.default_rng(0)
    acting = acting_of(*first, *layers, Dense(3, "sigmoid"), inputs=inputs)
    x, params = of_choices(layers, rng.normal(size=(7, inputs))), rng.normal(0, 0.7, acting.num_params)
    path, flat, obs = acting.path("policy"), pt.dvector(), pt.dmatrix()
    ways = [
        expressions.through(path, expressions.views(flat, acting.layout), obs, multiply=multiply)
        for multiply in (products.product, products.in_scan)
    ]
    expected, in_scan, gradient = by_definition.interpreted([flat, obs], [*ways, pytensor.grad(ways[0].sum(), flat)])(
        params, x.T
    )
    np.testing.assert_allclose(in_scan, expected, rtol=0, atol=1e-13)

    forward = networks.forward(acting, parameters.views(params, acting.layout))
    np.testing.assert_allclose(forward(x)[0], expected.T, rtol=0, atol=1e-13)
    steps = 1e-6 * np.eye(acting.num_params)
    numerical = [
        (of(step)[0].sum() - of(-step)[0].sum()) / 2e-6
        for step in steps
        for of in [lambda d: networks.forward(acting, parameters.views(params + d, acting.layout))(x)]
    ]
    np.testing.assert_allclose(gradient, numerical, rtol=0, atol=1e-7)

    each = rng.normal(0, 0.7, (7, acting.num_params))
    columns = pt.dmatrix()
    of_each = expressions.through(path, expressions.views(columns, acting.layout), obs, multiply=products.columnwise)
    found = by_definition.interpreted([columns, obs], of_each)(each.T, x.T)
    blocks = networks.forward(acting, parameters.views(each, acting.layout))(x[:, None])[0][:, 0]
    alone = [
        networks.forward(acting, parameters.views(own, acting.layout))(row[None])[0][0]
        for own, row in zip(each, x, strict=True)
    ]
    np.testing.assert_allclose(found.T, alone, rtol=0, atol=1e-13)
    np.testing.assert_allclose(blocks, alone, rtol=0, atol=1e-13)


def test_sigmoid_layers_before_another_kind_give_their_sigmoid(norm):
    """Caught, when planted: tanh handed on to a layer that takes in no halves; features of the last layer as tanh."""
    acting, rng = acting_of(Dense(4, "sigmoid"), Norm()), np.random.default_rng(0)
    params, x = rng.normal(size=acting.num_params), rng.normal(size=(9, INPUTS))
    named = parameters.views(params, acting.layout)
    y = 1 / (1 + np.exp(-(x @ named["policy/w1"] + named["policy/b1"])))
    y = named["policy/g2"] * y / np.sqrt((y**2).mean(1, keepdims=True) + 1e-5)
    outputs, handed = networks.forward(acting, named)(x)
    np.testing.assert_allclose(networks.features(acting)(handed), y, rtol=0, atol=1e-12)
    np.testing.assert_allclose(outputs, y @ named["policy/w3"] + named["policy/b3"], rtol=0, atol=1e-12)


# -- one more kind: y = g·x/√(mean x² + 10⁻⁵)


@dataclass(frozen=True, slots=True)
class Norm:
    least: float = 1e-5

    def arrays(self, inputs, initialization, gain):
        return [("g", (math.prod(inputs),), "ones")]

    def output(self, inputs):
        return inputs


def expression(placed, arrays, x, *, multiply):
    (gain,) = arrays
    return (
        x
        / pt.sqrt((x**2).mean(axis=0, keepdims=True) + placed.layer.least)
        * (gain[:, None] if gain.type.ndim == 1 else gain)
    )


def forward(placed, arrays, before, after):
    layer = placed.layer
    gain = arrays[0] if arrays[0].ndim == 1 else arrays[0][..., None, :]

    def apply(x):
        return gain * (x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + x.dtype.type(layer.least)))

    return apply


def nodes(placed, arrays, graph, x):
    layer = placed.layer
    squares = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[1])
    root = graph.add("Sqrt", graph.add("Add", squares, graph.constant(layer.least)))
    return graph.add("Mul", graph.add("Div", x, root), graph.constant(arrays[0]))


@pytest.fixture
def norm(monkeypatch):
    """The kind, declared as a file of its own would be."""
    monkeypatch.setitem(LAYERS, "norm", Norm)
    for room, faces in (("graphs", (expression,)), ("policies", (forward, nodes))):
        module = ModuleType(f"pg_theano.{room}.layers.norm")
        for face in faces:
            setattr(module, face.__name__, face)
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def normed(norm, monkeypatch, elsewhere, functions_kept):
    """Every network of a run has one after its first layer."""
    before = specs._network

    def network(config, task, folders):
        parts = before(config, task, folders)._asdict()
        return Network(**{name: (*layers[:1], Norm(), *layers[1:]) if layers else () for name, layers in parts.items()})

    monkeypatch.setattr(specs, "_network", network)


WAYS = {
    "ppo, compiled": {
        "environment": {"id": "CartPole-v1", "num_envs": 4},
        "algorithm": {"name": "ppo", "num_steps": 16},
        "policy": {"hidden": [5, 4], "activation": "sigmoid"},
    },
    "trpo, box": {
        "environment": {"id": "probe_environments:BoxActions-v0", "num_envs": 4},
        "algorithm": {"name": "trpo", "num_steps": 8},
        "policy": {"hidden": [5], "activation": "tanh"},
    },
    "noise of the state": {
        "environment": {"id": "probe_environments:Drift-v0", "num_envs": 4},
        "algorithm": {"name": "a2c", "num_steps": 8},
        "policy": {"hidden": [5], "noise": "state_dependent", "shared": True},
    },
    "cem, compiled": {
        "environment": {"id": "CartPole-v1", "max_episode_steps": 50},
        "algorithm": {"name": "cem", "population_size": 4},
        "policy": {"hidden": [5]},
    },
}


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=pytest.mark.slow if "box" in way or "ppo" in way else ()) for way in WAYS]
)
def test_a_new_kind_is_its_faces(way, normed, tmp_path):
    """Trained, checked against differences, resumed, loaded, exported, shown: nothing else must know of it.

    Caught, when planted: the network left out of run.json; of a policy's file; dense layers taken for granted by the
    memory's estimate, the exporter, a search's columns, the report.
    """
    data = small(**WAYS[way]) | {"seed": 3}
    if way == "cem, compiled":
        del data["schedules"]
    whole = whole_and_resumed(data, tmp_path)

    policy = pg_theano.load(whole)
    assert any(isinstance(layer, Norm) for layer in policy.acting.network.policy)
    assert policy.acting.network.value == ()
    read = pg_theano.load(exported.export(whole, "npz", tmp_path / "policy.npz"))
    assert read.acting == policy.acting
    obs = np.random.default_rng(0).normal(size=(50, policy.acting.obs_size)).astype(policy.acting.dtype)
    given = obs.reshape(50, *policy.observation_space.shape)
    np.testing.assert_array_equal(read(given), policy(given))
    session = onnxruntime.InferenceSession(onnx.model_of(policy))
    action, *others = session.run(None, {"obs": given})
    np.testing.assert_allclose(action, policy(given), rtol=1e-4, atol=1e-5)
    said = policy.probs(given)
    for ours, theirs in zip([said] if isinstance(said, np.ndarray) else said, others, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)
    assert "The page cannot compute its layers" in report([whole], tmp_path / "page.html").read_text()
    if way in ("ppo, compiled", "trpo, box"):
        found = checking.check(data, points=4)
        assert found.passed
        assert found.not_by_hand


def test_a_network_that_does_not_fit_its_layout_is_not_read(norm):
    """Caught, when planted: the layout of a file believed in."""
    acting = acting_of(Dense(4, "tanh"), Norm())
    plain = acting.plain()
    assert reading.acting_of(plain) == acting
    for network, said in [
        ({"policy": [["dense", {"width": 5, "activation": "tanh"}], ["dense", {"width": 2, "activation": None}]]}, "layout"),
        ({"policy": [["dense", {"width": 0, "activation": "tanh"}]]}, "width"),
        ({"policy": [["dense", {"width": 4}]]}, "activation"),
        ({"policy": [["convolution", {}]]}, r"network.policy.0: got a list: Input should be \[dense or image or conv"),
        ({"policy": [["norm", {"least": "x"}]]}, "least"),
        ([], "network"),
    ]:  # fmt: skip
        with pytest.raises(Unreadable, match=said):
            reading.acting_of(plain | {"network": network})


def test_dense_layers_are_written_as_they_ever_were():
    """Without a network, which follows from layout and activation. Caught, when planted: always with one."""
    acting = acting_of(Dense(4, "tanh"))
    assert "network" not in acting.plain()
    assert reading.acting_of(acting.plain()) == acting
    mixed = acting_of(Dense(4, "tanh"), Dense(3, "relu"))
    assert mixed.plain()["network"]["policy"][1] == ["dense", {"width": 3, "activation": "relu"}]
    assert reading.acting_of(mixed.plain()) == mixed
