"""The flat parameter vector: what is where in it, and where it starts."""

import json
import math

import numpy as np
import pytest
from helpers_graphs import dense_layout

from pg_theano import parameters
from pg_theano.types import UserError

LAYOUT = dense_layout([4, 8, 2])


def test_a_layout_of_dense_layers_is_the_table():
    """Caught, when planted: inputs and outputs exchanged; a bias as wide as the inputs."""
    assert LAYOUT == [
        ("policy/w1", (4, 8), "glorot"),
        ("policy/b1", (8,), "zeros"),
        ("policy/w2", (8, 2), "glorot"),
        ("policy/b2", (2,), "zeros"),
    ]
    assert parameters.count(LAYOUT) == 4 * 8 + 8 + 8 * 2 + 2 == 58
    assert dense_layout([3, 2], "value") == [("value/w1", (3, 2), "glorot"), ("value/b1", (2,), "zeros")]


def test_orthogonal_layers_have_their_gains():
    """√2, and of a policy's last layer 0.01, of values 1. Caught, when planted: the last gain on the first layer."""
    layout = dense_layout([4, 8, 8, 2], initialization="orthogonal")
    assert [how for _, shape, how in layout if len(shape) == 2] == [
        ["orthogonal", math.sqrt(2)], ["orthogonal", math.sqrt(2)], ["orthogonal", 0.01],
    ]  # fmt: skip
    assert [how for _, shape, how in layout if len(shape) == 1] == ["zeros"] * 3
    assert dense_layout([4, 2, 1], "value", "orthogonal")[2][2] == ["orthogonal", 1.0]
    assert [entry[:2] for entry in layout] == [e[:2] for e in dense_layout([4, 8, 8, 2])]


def test_views_are_the_vector_in_order_and_share_its_memory():
    """Caught, when planted: a copy; parts that overlap; column-major parts."""
    params = np.arange(58.0)
    views = parameters.views(params, LAYOUT)
    assert list(views) == [name for name, *_ in LAYOUT]
    assert np.concatenate([part.ravel() for part in views.values()]).tolist() == params.tolist()
    assert views["policy/w1"][1].tolist() == list(range(8, 16))
    for part in views.values():
        part += 100
    assert params.tolist() == list(range(100, 158))


def test_views_of_many_vectors_at_once():
    many = np.arange(3 * 58.0).reshape(3, 58)
    views = parameters.views(many, LAYOUT)
    assert views["policy/w2"].shape == (3, 8, 2)
    for name, part in parameters.views(many[2], LAYOUT).items():
        assert np.array_equal(views[name][2], part)


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 8), (300, 100), (1, 1)])
def test_weights_start_within_glorots_bound_and_biases_at_zero(inputs, outputs):
    """±√(6/(inputs+outputs)), Glorot and Bengio 2010, eq. 16: variance 2/(inputs+outputs).

    Caught, when planted: √(6/inputs); a normal; the bound as the width of the interval.
    """
    layout = dense_layout([inputs, outputs])
    draws = [parameters.initial(np.random.default_rng(seed), layout, "float64") for seed in range(200)]
    weights = np.concatenate([parameters.views(p, layout)["policy/w1"].ravel() for p in draws[:200]])
    bound = math.sqrt(6 / (inputs + outputs))
    assert np.abs(weights).max() <= bound
    assert np.abs(weights).max() > 0.95 * bound
    assert weights.var() == pytest.approx(bound**2 / 3, rel=0.2)
    assert abs(weights.mean()) < 0.15 * bound
    assert all((parameters.views(p, layout)["policy/b1"] == 0).all() for p in draws)


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 8), (100, 300), (1, 1)])
def test_fan_in_is_torchs_start(inputs, outputs):
    """Weights and biases within ±1/√inputs, as torch.nn.Linear draws them. Caught, when planted: √(1/outputs) for the
    biases; biases at 0; √3 times as wide."""
    layout = dense_layout([inputs, outputs], initialization="fan_in")
    draws = [parameters.initial(np.random.default_rng(seed), layout, "float64") for seed in range(200)]
    for name in ("policy/w1", "policy/b1"):
        found = np.concatenate([parameters.views(params, layout)[name].ravel() for params in draws])
        bound = 1 / math.sqrt(inputs)
        assert 0.95 * bound < np.abs(found).max() <= bound
        assert found.var() == pytest.approx(bound**2 / 3, rel=0.2)
        assert abs(found.mean()) < 0.15 * bound


def test_a_seed_gives_one_start_in_both_dtypes():
    """Caught, when planted: float32 drawn as float32; a generator of the module's own."""
    wide, narrow, again = (
        parameters.initial(np.random.default_rng(7), LAYOUT, dtype) for dtype in ("float64", "float32", "float64")
    )
    assert narrow.dtype == np.float32
    assert np.array_equal(wide, again)
    assert np.array_equal(wide.astype(np.float32), narrow)
    assert not np.array_equal(wide, parameters.initial(np.random.default_rng(8), LAYOUT, "float64"))


def test_glorots_numbers_are_those_of_every_run_so_far():
    """Recorded before there was a choice of initialisers: a run's seed gives the same start as ever."""
    params = parameters.initial(np.random.default_rng(0), dense_layout([3, 2, 2]), "float64")
    assert params.tolist() == [
        0.30006802263971943, -0.5043720396356872, -1.0056766217290054, -1.0592348798055353, 0.6863407064201135,
        0.9043021616442999, 0.0, 0.0, 0.26120323895543396, 0.5621494721343181, 0.10685896912355708, 1.0657054394359542,
        0.0, 0.0,
    ]  # fmt: skip


def drawn(shape, how, seed=0):
    layout = [("one", shape, how)]
    return parameters.views(parameters.initial(np.random.default_rng(seed), layout, "float64"), layout)["one"]


@pytest.mark.parametrize("shape", [(4, 8), (8, 4), (5, 5), (1, 3), (3, 1), (1, 1), (64, 64)])
@pytest.mark.parametrize(("how", "gain"), [("orthogonal", 1.0), (["orthogonal", 0.01], 0.01), (["orthogonal", 2], 2.0)])
def test_orthogonal_weights_are_orthogonal(shape, how, gain):
    """WᵀW = gain²·I, or W·Wᵀ where there are more outputs than inputs. Saxe et al. 2014.

    Caught, when planted: gain² for gain; a Gaussian matrix; Q of the wide orientation.
    """
    weight = drawn(shape, how)
    product = weight.T @ weight if shape[0] >= shape[1] else weight @ weight.T
    np.testing.assert_allclose(product, gain**2 * np.eye(min(shape)), rtol=0, atol=1e-13 * gain**2)


def test_orthogonal_weights_prefer_no_direction():
    """Every entry is as often positive as negative, and a product with any vector too. Caught, when planted: LAPACK's
    signs left as they are, which make all first entries negative.
    """
    draws = np.array([drawn((3, 2), "orthogonal", seed) for seed in range(600)])
    assert np.abs(draws.mean(axis=0)).max() < 5 * math.sqrt(1 / 3 / 600)
    np.testing.assert_allclose((draws**2).mean(axis=0), np.full((3, 2), 1 / 3), atol=0.06)


def test_other_initialisers():
    """Caught, when planted: the variance of a normal for its standard deviation; a constant of 1."""
    assert drawn((2,), "zeros").tolist() == [0, 0]
    assert drawn((2, 3), "ones").tolist() == [[1, 1, 1], [1, 1, 1]]
    assert drawn((2,), ["constant", -0.5]).tolist() == [-0.5, -0.5]
    assert drawn((10_000,), 0.1).std() == pytest.approx(0.1, rel=0.05)
    assert drawn((3,), 0).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(drawn((4, 8), "glorot"), drawn((4, 8), "glorot"))


def test_a_layout_survives_a_file():
    layout = dense_layout([4, 8, 2], initialization="orthogonal") + [("policy/log_std", (2,), ["constant", -1])]
    again = json.loads(json.dumps(layout))
    starts = [parameters.initial(np.random.default_rng(0), one, "float32") for one in (layout, again)]
    assert np.array_equal(*starts)
    assert parameters.count(again) == parameters.count(layout) == 60


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((2, 2), "glort"), ((3,), "glorot"), ((2, 2, 2), "orthogonal"), ((3,), ["orthogonal", 1.0]), ((2,), -1.0),
        ((2,), float("nan")), ((2,), None), ((2,), ["constant"]), ((2,), ["uniform", -1.0]), ((2, 2), ["orthogonal", "2"]), ((2,), {}),
    ],
)  # fmt: skip
def test_an_initialiser_that_does_not_exist_or_does_not_fit_is_named(shape, how):
    with pytest.raises(UserError, match=r"^one of shape .* expected zeros, ones, a number"):
        drawn(shape, how)
