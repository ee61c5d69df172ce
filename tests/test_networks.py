"""Networks that a config writes: layers of any kind, by name, and for each part of an observation."""

import gymnasium
import helpers_graphs as by_definition
import jax
import jax.export
import numpy as np
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_runs import assert_equal_runs, ran, small, whole_and_resumed

import pg_theano
from pg_theano.by_hand import convolution
from pg_theano.environments import rows
from pg_theano.environments.rows import Outside, observation_of
from pg_theano.environments.spaces import observed
from pg_theano.graphs.convolution import Convolution, output_of
from pg_theano.layers import Conv, Dense, Image, window_of
from pg_theano.policies import onnx
from pg_theano.runs import checkpoints, exported
from pg_theano.training import checking, networks, programs
from pg_theano.training.playing.block import Block
from pg_theano.types import ActionSpace, Task, UserError

OPTIMISED = False  # see conftest.machine_code

WINDOWS = {
    "valid": window_of((5, 6, 2), 3, 1, "valid"),
    "same, steps of two": window_of((5, 6, 2), 3, 2, "same"),
    "an even kernel": window_of((4, 5, 3), 2, 2, "same"),
    "the whole image": window_of((4, 4, 1), 4, 1, "valid"),
}


def by_loops(window, filters, w, x):
    """The definition, one number after the other."""
    height, width, channels = window.inputs
    images, kernel = x.reshape(height, width, channels, -1), w.reshape(*window.kernel, channels, filters)
    y = np.zeros((*window.places, filters, x.shape[1]))
    for p in range(window.places[0]):
        for q in range(window.places[1]):
            for i in range(window.kernel[0]):
                for j in range(window.kernel[1]):
                    row = p * window.stride[0] + i - window.padding[0][0]
                    column = q * window.stride[1] + j - window.padding[1][0]
                    if 0 <= row < height and 0 <= column < width:
                        y[p, q] += np.einsum("cn,cg->gn", images[row, column], kernel[i, j])
    return y.reshape(-1, x.shape[1])


@pytest.mark.parametrize("name", WINDOWS)
def test_a_convolution_and_its_derivatives(name):
    """Against the definition, and the first two derivatives against differences, in NumPy and as JAX computes them.

    Caught, when planted: a flipped kernel, zeros on the wrong side of an odd padding, a stride forgotten in the gradient
    by the input, the roles of two gradients exchanged.
    """
    window, filters, rng = WINDOWS[name], 3, np.random.default_rng(0)
    w, x = rng.normal(size=(window.size, filters)), rng.normal(size=(np.prod(window.inputs), 2))
    dw, dx = rng.normal(size=w.shape), rng.normal(size=x.shape)
    np.testing.assert_allclose(output_of(window, filters, w, x), by_loops(window, filters, w, x), rtol=0, atol=1e-12)

    weights, pixels = pt.dmatrix("w"), pt.dmatrix("x")
    loss = (Convolution(window, filters)(weights, pixels) ** 3).sum()
    first = pytensor.grad(loss, [weights, pixels])
    along = (first[0] * dw).sum() + (first[1] * dx).sum()
    second = pytensor.grad(along, [weights, pixels])
    found = by_definition.interpreted([weights, pixels], [loss, *first, *second])(w, x)

    def cubes(w, x):
        return (by_loops(window, filters, w, x) ** 3).sum()

    step = 1e-5
    numerical = (cubes(w + step * dw, x + step * dx) - cubes(w - step * dw, x - step * dx)) / (2 * step)
    np.testing.assert_allclose((found[1] * dw).sum() + (found[2] * dx).sum(), numerical, rtol=1e-7)
    ahead, behind = (
        by_definition.interpreted([weights, pixels], list(first))(w + sign * step * dw, x + sign * step * dx)
        for sign in (1, -1)
    )
    for exact, high, low in zip(found[3:], ahead, behind, strict=True):
        np.testing.assert_allclose(exact, (high - low) / (2 * step), rtol=1e-6, atol=1e-6)

    from pg_theano.compiler import building

    building.import_pytensor()
    import jax

    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        by_jax = pytensor.function([weights, pixels], [loss, *first, *second], mode="JAX")(w, x)
    for ours, theirs in zip(found, by_jax, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-9)


PIXELS = small(
    environment={"id": "probe_environments:Spot-v0", "num_envs": 4},
    algorithm={"name": "ppo", "num_steps": 8, "num_minibatches": 2},
    policy={"network": [{"conv": {"filters": 4, "kernel": 3}}, {"max_pool": 2}, {"dense": 8}]},
    seed=3,
) | {"budget": {"updates": 4}}


WAYS = {
    "ppo": {},
    "shared a2c": {"algorithm": {"name": "a2c"}, "policy": {"shared": True}},
    "trpo": {"algorithm": {"name": "trpo"}},
    "cem": {"algorithm": {"name": "cem", "population_size": 4}},
}


@pytest.mark.parametrize("way", ["cem", *(pytest.param(way, marks=pytest.mark.slow) for way in WAYS if way != "cem")])
def test_pixels_are_learned_from_by_convolutions(way, tmp_path, functions_kept):
    """Trained, resumed bit for bit, checked against differences, loaded, exported: all is there for every kind."""
    data = {key: dict(value) if isinstance(value, dict) else value for key, value in PIXELS.items()}
    for section, knobs in WAYS[way].items():
        data[section] = {**data[section], **knobs}
    if way == "cem":
        data["algorithm"], _ = WAYS[way]["algorithm"], data.pop("schedules")
    if way in ("shared a2c", "trpo"):
        data["algorithm"] = {name: value for name, value in data["algorithm"].items() if name != "num_minibatches"}
    whole = whole_and_resumed(data, tmp_path)
    policy = pg_theano.load(whole)
    layers = policy.acting.network.shared + policy.acting.network.policy
    assert layers[:2] == (Image(8, 8, 1, False, 255.0), Conv(4, 3))
    obs = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    action, said = onnxruntime.InferenceSession(onnx.model_of(policy)).run(None, {"obs": obs})
    assert np.array_equal(action, policy(obs))
    np.testing.assert_allclose(said, policy.probs(obs), rtol=1e-4, atol=1e-6)
    if way in ("ppo", "trpo"):
        assert checking.check(data, points=3).passed


@pytest.mark.parametrize("how", ["conv, stretches", "dense, whole episodes"])
def test_pixels_stay_bytes_and_learn_the_same(how, tmp_path, monkeypatch):
    """As bytes, and as float32 numbers all the way: the same parameters, up to rounding. Floats have `next_obs` beside
    them, which bytes that a convolution learns from do without, and XLA fuses the two graphs in its own ways.

    Caught, when planted: rows that are cast as they are recorded; bytes divided as bytes; pixels of another row of the
    minibatch.
    """
    seen, load = [], programs.load

    def noticed(*arguments, **options):
        made = load(*arguments, **options)

        def train(state, rollout, *rest):
            after = rollout.last_obs if rollout.next_obs is None else rollout.next_obs
            seen.append((rollout.obs.dtype, after.dtype))
            return made.train(state, rollout, *rest)

        return made._replace(train=train)

    monkeypatch.setattr(programs, "load", noticed)
    data = PIXELS | {"budget": {"updates": 2}}
    if how.startswith("dense"):
        data = small(environment=PIXELS["environment"], algorithm={"name": "vpg"}, seed=3) | {"budget": {"updates": 2}}
    data["environment"] = data["environment"] | {"wrappers": ["probe_environments:Grey"]}
    ran(data, tmp_path / "bytes")
    assert seen == [(np.uint8, np.uint8)] * 2
    if how.startswith("conv"):
        monkeypatch.setattr(rows, "dtype_of", lambda described, dtype: np.dtype(dtype))
        ran(data, tmp_path / "floats")
        assert seen[2:] == [(np.float32, np.float32)] * 2
        params = [checkpoints.newest(tmp_path / name / "checkpoints").state["params"] for name in ("bytes", "floats")]
        np.testing.assert_allclose(*params, rtol=1e-5, atol=1e-6)


def test_pixels_by_workers_are_the_same_and_handed_over_as_bytes(tmp_path, functions_kept):
    """Workers 0 and 2, bit for bit; the NumPy policy and StableHLO choose the same of bytes.

    Caught, when planted: rows of workers as floats in the shared memory; a policy that divides bytes as bytes.
    """
    data = PIXELS | {"budget": {"updates": 2}}
    # wrapped, so that evaluations have no vectorised class
    data["environment"] = data["environment"] | {"wrappers": ["gymnasium.wrappers:RecordEpisodeStatistics"]}
    alone = ran(data, tmp_path / "alone").folder
    ran(data | {"environment": data["environment"] | {"workers": 2}}, tmp_path / "workers")
    assert_equal_runs(alone, tmp_path / "workers")
    rng = np.random.default_rng(0)
    obs = rng.integers(0, 256, (64, 8, 8, 1), np.uint8) * (rng.random((64, 8, 8, 1)) < 0.05)
    policy = pg_theano.load(alone)
    hlo = jax.export.deserialize(exported.export(alone, "stablehlo", tmp_path / "it.stablehlo").read_bytes())
    actions = np.asarray(hlo.call(obs.reshape(64, -1)))
    assert np.array_equal(actions, policy(obs)) and len({*actions.tolist()}) == 2


def test_a_rollout_of_ataris_frames_takes_29_megabytes():
    """128 steps of 8 environments, 84 x 84 x 4, and what follows them. Caught, when planted: float32 rows, which are
    116 MB; `next_obs`, another 29; frames that are moved again once they are all there."""
    space = gymnasium.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    first = observation_of(space, "Frames", "float32").convert(np.zeros((8, *space.shape), np.uint8))
    task = Task("Frames", first.shape[1], ActionSpace("discrete", 1, [3], [], []), None, None)
    block = Block(128, first, task, np.dtype("float32"))
    block.truncated[:] = block.terminated[:] = False
    rollout = block.played(["obs", "mask", "last_obs"]).rollout
    assert rollout.obs.shape == (8, 128, 28224) and rollout.obs.nbytes == 28_901_376
    assert rollout.last_obs.nbytes == 451_584 and np.shares_memory(rollout.obs, block.rows)


def test_a_space_of_bytes_is_held_to_it():
    """Caught, when planted: 0.5 that becomes 0 without a word."""
    convert = observation_of(gymnasium.spaces.Box(0, 255, (2,), np.uint8), "Frames", "float32").convert
    assert convert(np.array([[0, 255.0]])).dtype == np.uint8
    for wrong in (0.5, -1, 256, np.nan):
        with pytest.raises(Outside, match="no whole ones from 0 to 255"):
            convert(np.array([[0, wrong]]))


def test_a_dense_network_of_pixels_is_warned_of(tmp_path, capsys, functions_kept):
    data = PIXELS | {"policy": {"hidden": [4]}, "budget": {"updates": 1}}
    pg_theano.run(data, run_dir=tmp_path / "run", plot=False)
    assert "8 x 8 x 1 pixels and a dense network, of " in (out := capsys.readouterr().out)
    assert "try policy.network=minatar" in out
    pg_theano.run(PIXELS | {"budget": {"updates": 1}}, run_dir=tmp_path / "other", plot=False)
    assert "warning" not in capsys.readouterr().out


@pytest.mark.slow
def test_what_a_convolution_sees_is_learned(functions_kept):
    """Three seeds reach what is to be had; chance is 2.5."""
    data = PIXELS | {
        "budget": {"updates": 150},
        "solved": {"threshold": 4.9},
        "schedules": {"learning_rate": {"initial": 0.005}},
    }
    data |= {"evaluation": {"episodes": 30, "every_updates": 10}}
    for seed in range(3):
        result = pg_theano.run(data | {"seed": seed}, plot=False)
        assert result.figures["status"] == "solved"


def described(space):
    return observed(space, "here")


IMAGE = gymnasium.spaces.Box(0, 255, (84, 84, 4), np.uint8)
PARTS = gymnasium.spaces.Dict(
    image=gymnasium.spaces.Box(0, 255, (3, 12, 10), np.uint8),
    where=gymnasium.spaces.Box(-1, 1, (2,)),
    kind=gymnasium.spaces.MultiDiscrete([3, 4]),
)


def test_networks_with_names_fit_the_images_that_they_are_for():
    layers = networks.layers_of("nature", described(IMAGE), "tanh", "policy.network")
    shapes, shape = [], (84 * 84 * 4,)
    for layer in layers:
        shape = layer.output(shape)
        shapes.append(shape)
    assert shapes == [(84, 84, 4), (20, 20, 32), (9, 9, 64), (7, 7, 64), (512,)]
    for name, size in (("impala", 64), ("minatar", 10), ("minigrid", 7)):
        space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        assert networks.layers_of(name, described(space), "tanh", "policy.network")[0] == Image(
            size, size, 3, False, 255.0
        )


def test_channels_are_recognised_and_bytes_scaled():
    first = networks.entrance(described(gymnasium.spaces.Box(0, 255, (3, 84, 84), np.uint8)), networks.Images())
    last = networks.entrance(described(gymnasium.spaces.Box(0, 1, (10, 10, 4), np.float32)), networks.Images())
    grey = networks.entrance(described(gymnasium.spaces.Box(0, 255, (9, 8), np.uint8)), networks.Images(scale=False))
    said = networks.entrance(described(gymnasium.spaces.Box(0, 1, (3, 8, 9))), networks.Images(channels="last"))
    assert first == (Image(84, 84, 3, True, 255.0),)
    assert said == (Image(3, 8, 9),)
    assert last == (Image(10, 10, 4),)
    assert grey == (Image(9, 8, 1),)
    assert networks.entrance(described(gymnasium.spaces.Box(0, 1, (7,))), networks.Images()) == ()


def test_parts_of_an_observation_have_layers_of_their_own():
    (join,) = networks.encoders_of({"where": [{"dense": 5}]}, described(PARTS), "tanh")
    assert join.sizes == (360, 2, 7)
    kinds = [[type(layer).__name__ for layer in branch] for branch in join.branches]
    assert kinds == [["Image", "Conv", "Dense"], ["Dense"], ["Embed"]]
    assert join.branches[1] == (Dense(5, "tanh"),)
    assert join.output((369,)) == (128 + 2 * 16 + 5,)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([{"conv": {"filters": 4, "kernel": 99}}], r"policy.network.0: got conv: a window of 99 x 99 is larger than the image \[84, 84, 4\]"),
        ([{"dense": 3}, {"conv": {"filters": 4, "kernel": 3}}], r"policy.network.1: got conv: an image .* is needed, and \[3\] reaches it"),
        ([{"conf": 3}], r"policy.network.0: got {'conf': 3}; expected one of dense, conv, .*did you mean conv\?"),
        ([{"conv": {"filters": 4}}], r"policy.network.0.conv.kernel: missing"),
        ([{"conv": {"filters": 4, "kernel": 0}}], r"policy.network.0.conv.kernel: got 0; expected a whole number above 0"),
        ([{"conv": {"filters": 4, "kernel": 3, "padding": "full"}}], r"padding: got 'full'; expected valid or same"),
        ([{"conv": {"filters": 4, "kernel": 3, "strides": 2}}], r"policy.network.0.conv: got strides; expected its fields"),
        ([{"dense": -3}], r"policy.network.0.dense.width: got -3"),
        ([{"dense": {"width": 3, "activation": "gelu"}}], r"activation: got 'gelu'; expected sigmoid, tanh, relu or null"),
        ([{"residual": [{"dense": 3}]}], r"policy.network.0: got residual: its layers make \[3\] of \[28224\]"),
        ([{"residual": []}], r"policy.network.0.residual: got \[\]; expected a list of layers"),
        ([{"embed": 8}], r"policy.network.0: got embed: 0 choices are needed, and \[28224\] reaches it"),
        ([], r"policy.network: got \[\]; expected a list of layers"),
        ("natur", r"policy.network: got 'natur'; expected a list of layers, or one of nature"),
        ([{"layer_norm": 3}], r"got 3 for layer_norm"),
    ],
)  # fmt: skip
def test_a_network_that_does_not_fit_names_its_layer(written, said):
    with pytest.raises(UserError, match=said):
        networks.layers_of(written, described(IMAGE), "tanh", "policy.network")


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(
        UserError, match=r"policy.encoders: got wher; expected parts of the observation: image, where, kind"
    ):
        networks.encoders_of({"wher": [{"dense": 5}]}, described(PARTS), "tanh")
    with pytest.raises(UserError, match=r"policy.encoders: got x; expected none: the observation has no parts"):
        networks.encoders_of({"x": [{"dense": 5}]}, described(IMAGE), "tanh")


@pytest.mark.parametrize("stride", [1, 2])
def test_the_convolution_derived_by_hand_is_that_of_the_graph(stride):
    """Caught, when planted: a sum over places left out, a pixel that only its last place adds to."""
    rng, window = np.random.default_rng(1), window_of((6, 5, 2), 3, stride, "valid")
    x, w, b = rng.normal(size=(4, 6, 5, 2)), rng.normal(size=(3, 3, 2, 3)), rng.normal(size=3)
    d_y = rng.normal(size=(4, *window.places, 3))
    weights, pixels, upstream = pt.dmatrix(), pt.dmatrix(), pt.dmatrix()
    y = Convolution(window, 3)(weights, pixels)
    outputs = [y, *pytensor.grad((y * upstream).sum(), [pixels, weights])]

    def columns(images):
        return images.reshape(4, -1).T

    found = by_definition.interpreted([weights, pixels, upstream], outputs)(w.reshape(-1, 3), columns(x), columns(d_y))
    by_hand = convolution.convolution(x, w, b, stride)
    d_x, d_w, d_b = convolution.convolution_backward(d_y, x, w, stride)
    np.testing.assert_allclose(columns(by_hand - b), found[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(columns(d_x), found[1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(d_w.reshape(-1, 3), found[2], rtol=0, atol=1e-9)
    np.testing.assert_allclose(d_b, d_y.sum(axis=(0, 1, 2)))
