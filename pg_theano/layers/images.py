"""Kinds of layers that take an image, as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pg_theano.layers.plain import Activation, Dense, Layout, Shape


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
