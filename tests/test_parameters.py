"""The flat parameter vector: what is where in it, and where it starts."""

import math

import numpy as np
import pytest

from pg_theano import parameters

LAYOUT = parameters.dense_layout([4, 8, 2])


def test_a_layout_of_dense_layers_is_the_table():
    """Caught, when planted: inputs and outputs exchanged; a bias as wide as the inputs."""
    assert LAYOUT == [
        ("policy/w1", (4, 8)),
        ("policy/b1", (8,)),
        ("policy/w2", (8, 2)),
        ("policy/b2", (2,)),
    ]
    assert parameters.count(LAYOUT) == 4 * 8 + 8 + 8 * 2 + 2 == 58
    assert parameters.dense_layout([3, 2], "value") == [("value/w1", (3, 2)), ("value/b1", (2,))]


def test_views_are_the_vector_in_order_and_share_its_memory():
    """Caught, when planted: a copy; parts that overlap; column-major parts."""
    params = np.arange(58.0)
    views = parameters.views(params, LAYOUT)
    assert list(views) == [name for name, _ in LAYOUT]
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
    layout = parameters.dense_layout([inputs, outputs])
    draws = [parameters.initial(np.random.default_rng(seed), layout, "float64") for seed in range(200)]
    weights = np.concatenate([parameters.views(p, layout)["policy/w1"].ravel() for p in draws[:200]])
    bound = math.sqrt(6 / (inputs + outputs))
    assert np.abs(weights).max() <= bound
    assert np.abs(weights).max() > 0.95 * bound
    assert weights.var() == pytest.approx(bound**2 / 3, rel=0.2)
    assert abs(weights.mean()) < 0.15 * bound
    assert all((parameters.views(p, layout)["policy/b1"] == 0).all() for p in draws)


def test_a_seed_gives_one_start_in_both_dtypes():
    """Caught, when planted: float32 drawn as float32; a generator of the module's own."""
    wide, narrow, again = (
        parameters.initial(np.random.default_rng(7), LAYOUT, dtype) for dtype in ("float64", "float32", "float64")
    )
    assert narrow.dtype == np.float32
    assert np.array_equal(wide, again)
    assert np.array_equal(wide.astype(np.float32), narrow)
    assert not np.array_equal(wide, parameters.initial(np.random.default_rng(8), LAYOUT, "float64"))
