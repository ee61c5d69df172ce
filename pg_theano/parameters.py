"""Layers of a network as plain data, and names, shapes and initial values of what is learned. NumPy only.

All parameters live in one flat vector [D]; a layout says which part of it is which array, and how that array starts.
One vector means one update for the optimiser, one array in a checkpoint, and few nodes in the graph.

An initialiser is plain data, so that it can stand in a file:

    "zeros", "ones"
    ["constant", 0.5]
    0.1                     normal around 0, with this standard deviation
    ["uniform", 0.1]        uniform within ±0.1
    "glorot"                uniform within ±√(6 / (inputs + outputs))           Glorot and Bengio 2010, eq. 16
    "orthogonal"            orthonormal columns, or rows where there are more columns; that times a gain is
    ["orthogonal", 1.41]                                                        Saxe et al. 2014
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from pg_theano.types import ActionSpace, Array, Problem, UserError

Layout = list[tuple[str, tuple[int, ...], Any]]
"""(name, shape, initialiser) of each array, in order."""

LOG_STD = "policy/log_std"
"""The array of a box's log σ, where it is a parameter."""


Shape = tuple[int, ...]
Activation = Literal["sigmoid", "tanh", "relu"]


class Layer(Protocol):
    """A layer of a network as plain data. Between layers an observation is flat: ∏ `inputs` numbers.

    The other faces of a kind stand under its name: its expression in `graphs/layers/`, NumPy and ONNX in
    `policies/layers/`.
    """

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        """What it learns, in order."""

    def output(self, inputs: Shape) -> Shape:
        """The shape of what it gives."""


@dataclass(frozen=True, slots=True)
class Dense:
    """f(Wᵀ·x + b) of all inputs; Wᵀ·x + b where there is no activation: the last layer of a policy or of values."""

    width: int
    activation: Activation | None = None

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        """Weights [inputs, outputs] and biases [outputs], which start at 0 but for "fan_in".

        `initialization` is "glorot", "orthogonal" or "fan_in". Orthogonal weights have a `gain`, Glorot's have none.
        "fan_in" is uniform within ±1/√inputs, biases too (after LeCun et al. 1998, section 4.6; torch's default).
        """
        size = math.prod(inputs)
        weights, biases = {
            "glorot": ("glorot", "zeros"),
            "orthogonal": (["orthogonal", gain], "zeros"),
            "fan_in": (["uniform", 1 / math.sqrt(size)],) * 2,
        }[initialization]
        return [("w", (size, self.width), weights), ("b", (self.width,), biases)]

    def output(self, inputs: Shape) -> Shape:
        return (self.width,)


class Window(NamedTuple):
    """A window of `kernel` numbers over an image of `inputs` (height, width, channels), in steps of `stride`."""

    inputs: Shape
    kernel: Shape
    stride: Shape
    padding: tuple[tuple[int, int], tuple[int, int]]  # zeros above and below, left and right

    @property
    def size(self) -> int:
        """How many numbers it sees."""
        return math.prod(self.kernel) * self.inputs[2]

    @property
    def places(self) -> tuple[int, int]:
        """(H', W'): how many places it takes."""
        tall, wide = (
            (self.inputs[axis] + sum(self.padding[axis]) - self.kernel[axis]) // self.stride[axis] + 1
            for axis in (0, 1)
        )
        return tall, wide


Padding = Literal["valid", "same"]


def window_of(inputs: Shape, kernel: int, stride: int, padding: Padding) -> Window:
    """A square window over an image.

    valid: no zeros around it. same: H' = ⌈H/stride⌉, of an odd number of zeros one more at the end, as TensorFlow and
    JAX have it. Errors: `ValueError` where the input is no image, or smaller than the kernel.
    """
    if len(inputs) != 3:
        raise ValueError(f"an image [height, width, channels] is needed, and {list(inputs)} reaches it")
    around = []
    for size in inputs[:2]:
        missing = max((-(-size // stride) - 1) * stride + kernel - size, 0) if padding == "same" else 0
        around.append((missing // 2, missing - missing // 2))
    if min(inputs[0] + sum(around[0]), inputs[1] + sum(around[1])) < kernel:
        raise ValueError(f"a window of {kernel} x {kernel} is larger than the image {list(inputs)} that reaches it")
    return Window(inputs, (kernel, kernel), (stride, stride), (around[0], around[1]))


@dataclass(frozen=True, slots=True)
class Image:
    """Numbers as an image [height, width, channels], divided by `scale`: the first layer of pixels."""

    height: int
    width: int
    channels: int
    channels_first: bool = False  # as the observation has them
    scale: float = 1.0

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        return []

    def output(self, inputs: Shape) -> Shape:
        return (self.height, self.width, self.channels)


@dataclass(frozen=True, slots=True)
class Conv:
    """f of a two-dimensional convolution with a square kernel, and a bias for each filter."""

    filters: int
    kernel: int
    stride: int = 1
    padding: Padding = "valid"
    activation: Activation | None = "relu"

    def window(self, inputs: Shape) -> Window:
        return window_of(inputs, self.kernel, self.stride, self.padding)

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        """Weights [kernel·kernel·channels, filters] and biases [filters]: a dense layer's of what the window sees."""
        return Dense(self.filters).arrays((self.window(inputs).size,), initialization, gain)

    def output(self, inputs: Shape) -> Shape:
        return (*self.window(inputs).places, self.filters)


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The largest number of each channel under a square window."""

    kernel: int = 2
    stride: int = 2
    padding: Padding = "valid"

    def window(self, inputs: Shape) -> Window:
        return window_of(inputs, self.kernel, self.stride, self.padding)

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        self.window(inputs)
        return []

    def output(self, inputs: Shape) -> Shape:
        return (*self.window(inputs).places, inputs[2])


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """g·(x − μ)/√(σ² + ε) + b over all numbers of a layer (Ba et al. 2016, eq. 3), then f."""

    epsilon: float = 1e-5
    activation: Activation | None = None

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        size = math.prod(inputs)
        return [("g", (size,), "ones"), ("b", (size,), "zeros")]

    def output(self, inputs: Shape) -> Shape:
        return inputs


@dataclass(frozen=True, slots=True)
class Residual:
    """x + layers(x) (He et al. 2016), then f."""

    layers: tuple[Layer, ...]
    activation: Activation | None = None

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        return layout_of(inner(self.layers, inputs, initialization, gain))

    def output(self, inputs: Shape) -> Shape:
        shape = inputs
        for layer in self.layers:
            shape = layer.output(shape)
        if shape != inputs:
            raise ValueError(f"its layers make {list(shape)} of {list(inputs)}, and both are added")
        return inputs


def inner(layers: Sequence[Layer], inputs: Shape, initialization: str = "glorot", gain: float = 1.0) -> list[Placed]:
    """The layers inside another, in their places; arrays are named by a layer's number and their own names."""
    found, shape = [], inputs
    for number, layer in enumerate(layers, start=1):
        own = [(f"{number}{name}", size, how) for name, size, how in layer.arrays(shape, initialization, gain)]
        found.append(Placed(layer, shape, own))
        shape = layer.output(shape)
    return found


@dataclass(frozen=True, slots=True)
class Embed:
    """A learned vector of `width` numbers for each choice of a Discrete or MultiDiscrete observation."""

    sizes: tuple[int, ...]
    width: int

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        """A table [choices, width] of all components, standard normal as torch's."""
        return [("t", (sum(self.sizes), self.width), 1.0)]

    def output(self, inputs: Shape) -> Shape:
        if math.prod(inputs) != sum(self.sizes):
            raise ValueError(f"{sum(self.sizes)} choices are needed, and {list(inputs)} reaches it")
        return (len(self.sizes) * self.width,)


@dataclass(frozen=True, slots=True)
class Join:
    """The parts of an observation, each through layers of its own, one after the other."""

    sizes: tuple[int, ...]  # of each part, in the order of the observation's row
    branches: tuple[tuple[Layer, ...], ...]

    def parts(self, initialization: str = "glorot", gain: float = 1.0) -> list[list[Placed]]:
        """The layers of each branch in their places, arrays named by the branch's number as well."""
        found = []
        for place, (size, layers) in enumerate(zip(self.sizes, self.branches, strict=True), start=1):
            placed = inner(layers, (size,), initialization, gain)
            named = [[(f"{place}_{name}", *how) for name, *how in one.arrays] for one in placed]
            found.append([one._replace(arrays=own) for one, own in zip(placed, named, strict=True)])
        return found

    def arrays(self, inputs: Shape, initialization: str, gain: float) -> Layout:
        return [entry for placed in self.parts(initialization, gain) for entry in layout_of(placed)]

    def output(self, inputs: Shape) -> Shape:
        if math.prod(inputs) != sum(self.sizes):
            raise ValueError(f"parts of {list(self.sizes)} numbers are needed, and {list(inputs)} reaches it")
        given = zip(self.parts(), self.sizes, strict=True)
        ends = [placed[-1].layer.output(placed[-1].inputs) if placed else (size,) for placed, size in given]
        return (sum(math.prod(shape) for shape in ends),)


LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "image": Image,
    "conv": Conv,
    "max_pool": MaxPool,
    "layer_norm": LayerNorm,
    "residual": Residual,
    "embed": Embed,
    "join": Join,
}
"""Each kind of layer by its name, which is that of its modules too."""


def kind_of(layer: Layer) -> str:
    return next(kind for kind, made in LAYERS.items() if type(layer) is made)


LAST_GAINS = {"policy": 0.01, "value": 1.0}
"""Gain of the last orthogonal weights: a policy then starts nearly uniform, or around 0 (Engstrom et al. 2020;
Andrychowicz et al. 2021, section 3.2). All others have √2."""


class Placed(NamedTuple):
    """A layer where it stands in a network."""

    layer: Layer
    inputs: Shape  # of what it is given
    arrays: Layout  # what it learns, under its names in the whole layout: policy/w1, policy/b1, ...


class Network(NamedTuple):
    """Layers of the policy and of the value network, from the observation on; `shared` ones come before both."""

    shared: tuple[Layer, ...] = ()
    policy: tuple[Layer, ...] = ()  # () for a policy of the user's own
    value: tuple[Layer, ...] = ()

    def placed(self, obs_size: int, initialization: str = "glorot") -> dict[str, list[Placed]]:
        """The layers of each part, "shared", "policy" and "value", in their places."""
        found: dict[str, list[Placed]] = {}
        for part, layers in self._asdict().items():
            before = found["shared"][-1] if found and found["shared"] else None
            shape = before.layer.output(before.inputs) if before else (obs_size,)
            found[part] = []
            for number, layer in enumerate(layers, start=1):
                gain = LAST_GAINS.get(part, math.sqrt(2.0)) if number == len(layers) else math.sqrt(2.0)
                own = layer.arrays(shape, initialization, gain)
                found[part].append(Placed(layer, shape, [(f"{part}/{name}{number}", *how) for name, *how in own]))
                shape = layer.output(shape)
        return found


def dense_layers(widths: Sequence[int], activation: Activation, head: int | None = None) -> tuple[Layer, ...]:
    """Hidden layers of these widths; after them, if there is one, a `head` of so many outputs."""
    hidden = [Dense(width, activation) for width in widths]
    return tuple(hidden if head is None else [*hidden, Dense(head)])


def dense_network(layout: Layout, activation: Activation, own: bool = False) -> Network:
    """The network of a layout that is all of dense layers, but for the policy of a user's `own`."""

    def widths(part: str) -> list[int]:
        names = [(name, shape) for name, shape, *_ in layout if name.startswith(f"{part}/") and name != LOG_STD]
        return [shape[1] for _, shape in names if len(shape) == 2]

    def ending(part: str) -> tuple[Layer, ...]:
        return dense_layers(found[:-1], activation, found[-1]) if (found := widths(part)) else ()

    return Network(dense_layers(widths("shared"), activation), () if own else ending("policy"), ending("value"))


def layout_of(placed: Iterable[Placed]) -> Layout:
    """What layers learn, one after the other."""
    return [entry for one in placed for entry in one.arrays]


def num_outputs(action: ActionSpace, log_std: str, logistic: bool = False) -> int:
    """K, how many numbers a policy network gives: a logit for each choice, a mean for each number of a box.

    Where `log_std` is "state_dependent" the network of a box gives the log-stds too, after the means. A `logistic`
    policy of two actions has one logit for both.
    """
    if logistic:
        return 1
    if action.kind in ("discrete", "multi_discrete"):
        return sum(action.choices)
    return action.size * (2 if action.kind == "box" and log_std == "state_dependent" else 1)


def is_value(name: str) -> bool:
    """Whether a layout's entry is the value network's alone."""
    return name.startswith("value/")


def count(layout: Layout) -> int:
    """D, the length of the flat vector."""
    return sum(math.prod(shape) for _, shape, _ in layout)


def views(params: Array, layout: Layout) -> dict[str, Array]:
    """The arrays of a layout as views of the flat vector [..., D]; nothing is copied."""
    named, start = {}, 0
    for name, shape, *_ in layout:  # run folders of before layouts had initialisers have pairs
        size = math.prod(shape)
        named[name] = params[..., start : start + size].reshape(*params.shape[:-1], *shape)
        start += size
    return named


def initial(rng: np.random.Generator, layout: Layout, dtype: str) -> Array:
    """A fresh flat vector [D], each array by its initialiser.

    Drawn in float64 and rounded, so that both dtypes start at the same point. Errors: `UserError` for an initialiser
    that does not exist, or does not suit the array.
    """
    return np.concatenate([_drawn(rng, *entry).ravel() for entry in layout]).astype(dtype)


def _drawn(rng: np.random.Generator, name: str, shape: Sequence[int], initializer: Any) -> Array:
    """One array, float64."""
    match initializer:
        case "zeros":
            return np.zeros(shape)
        case "ones":
            return np.ones(shape)
        case ["constant", float() | int() as value]:
            return np.full(shape, float(value))
        case float() | int() as std if std >= 0:
            return rng.normal(0.0, std, shape)
        case ["uniform", float() | int() as bound] if bound >= 0:
            return rng.uniform(-bound, bound, shape)
        case "glorot" if len(shape) == 2:
            bound = math.sqrt(6.0 / sum(shape))
            return rng.uniform(-bound, bound, shape)
        case "orthogonal" if len(shape) == 2:
            return _orthonormal(rng, *shape)
        case ["orthogonal", float() | int() as gain] if len(shape) == 2:
            return gain * _orthonormal(rng, *shape)
    raise UserError(
        Problem(
            f"{name} of shape {list(shape)}",
            f"got the initialiser {initializer!r}",
            "zeros, ones, a number (the standard deviation of a normal), [uniform, bound] or, for weights "
            "[inputs, outputs], glorot or orthogonal",
            "zeros",
        )
    )


def _orthonormal(rng: np.random.Generator, inputs: int, outputs: int) -> Array:
    """The orthogonal factor of a Gaussian matrix, [inputs, outputs]; uniform among all there are.

    The diagonal of R must be positive for that (Mezzadri 2007): LAPACK's signs are not random.
    """
    q, r = np.linalg.qr(rng.normal(size=(max(inputs, outputs), min(inputs, outputs))))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return q if inputs >= outputs else q.T


def pooled(number: Any, mean: Any, squares: Any, more: Any, delta: Any, more_squares: Any, *, bounded: Any) -> Any:
    """(μ', S') of two sets of observations together: the running normaliser's, of arrays and of expressions alike.

        μ' = μ + δ·n/N',   S' = S + S_b + δ²·N·n/N'         Chan, Golub and LeVeque 1979, eq. 2.1

    `number` N, `mean` μ and `squares` S = Σ (o − μ)² are the first set's; `more` n and `more_squares` S_b the second's,
    whose mean is μ + `delta`. `bounded` is N' = N + n, or 1 where that is 0.
    """
    share = more / bounded
    return mean + delta * share, squares + more_squares + delta * delta * (number * share)
