"""Two-dimensional convolution, which PyTensor has not: one Op in three roles, each the gradient of the others.

    y[p, g, n] = Σ_{i,j,c} w[(i, j, c), g] · x[(p·stride + (i, j), c), n]           cross-correlation, as everywhere

is linear in w and in x, so that ⟨ȳ, y(w, x)⟩ = ⟨w̄(x, ȳ), w⟩ = ⟨x̄(w, ȳ), x⟩, and the gradient of each of the three by
each of its arguments is another of them: all derivatives are these three. LeCun et al. 1989.

Shapes: x [H·W·C, N] with channels last, one column an image; w [kh·kw·C, G]; y [H'·W'·G, N]. In NumPy, and on the
backends `numba` and `c`, it is patches and a product; for JAX see `compiler/convolving.py`.
"""

from __future__ import annotations

import math

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from pg_theano.layers import Window


class Convolution(Op):
    """`role`: "output" of (w, x), "inputs" x̄ of (w, ȳ), or "weights" w̄ of (x, ȳ)."""

    __props__ = ("window", "filters", "role")

    def __init__(self, window: Window, filters: int, role: str = "output"):
        self.window, self.filters, self.role = window, filters, role

    def make_node(self, *inputs):
        first, second = map(pt.as_tensor_variable, inputs)
        return Apply(self, [first, second], [pt.tensor(dtype=first.dtype, shape=self.shape(second.type.shape[1]))])

    def shape(self, columns):
        """Of the result."""
        window = self.window
        if self.role == "weights":
            return window.size, self.filters
        rows = math.prod(window.inputs) if self.role == "inputs" else math.prod(window.places) * self.filters
        return rows, columns

    def infer_shape(self, fgraph, node, shapes):
        return [self.shape(shapes[1][1])]

    def of(self, role):
        return Convolution(self.window, self.filters, role)

    def pullback(self, inputs, outputs, gradients):
        """Of ⟨out̄, out(a, b)⟩ by a and by b."""
        (first, second), (upstream,) = inputs, gradients
        if self.role == "output":  # y(w, x)
            return [self.of("weights")(second, upstream), self.of("inputs")(first, upstream)]
        if self.role == "inputs":  # x̄(w, ȳ)
            return [self.of("weights")(upstream, second), self.of("output")(first, upstream)]
        return [self.of("inputs")(upstream, second), self.of("output")(upstream, first)]  # w̄(x, ȳ)

    def perform(self, node, inputs, outputs):
        outputs[0][0] = _COMPUTED[self.role](self.window, self.filters, *inputs)


def _patches(window, x):
    """The numbers under the window at each place, [kh·kw·C, H'·W'·N]."""
    (top, bottom), (left, right) = window.padding
    images = np.pad(x.reshape(*window.inputs, -1), ((top, bottom), (left, right), (0, 0), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(images, window.kernel, axis=(0, 1))
    seen = seen[:: window.stride[0], :: window.stride[1]]  # [H', W', C, N, kh, kw]
    return seen.transpose(4, 5, 2, 0, 1, 3).reshape(window.size, -1)


def _by_filter(window, filters, y):
    """y [H'·W'·G, N] as [G, H'·W'·N]."""
    return y.reshape(-1, filters, y.shape[1]).swapaxes(0, 1).reshape(filters, -1)


def output_of(window, filters, w, x):
    y = w.T @ _patches(window, x)
    return y.reshape(filters, -1, x.shape[1]).swapaxes(0, 1).reshape(-1, x.shape[1])


def _weights_of(window, filters, x, y):
    return _patches(window, x) @ _by_filter(window, filters, y).T


def _inputs_of(window, filters, w, y):
    (top, bottom), (left, right) = window.padding
    height, width, channels = window.inputs
    parts = (w @ _by_filter(window, filters, y)).reshape(*window.kernel, channels, *window.places, y.shape[1])
    images = np.zeros((height + top + bottom, width + left + right, channels, y.shape[1]), y.dtype)
    rows, columns = ((window.places[axis] - 1) * window.stride[axis] + 1 for axis in (0, 1))
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            place = images[i : i + rows : window.stride[0], j : j + columns : window.stride[1]]
            place += parts[i, j].transpose(1, 2, 0, 3)
    return images[top : top + height, left : left + width].reshape(-1, y.shape[1])


_COMPUTED = {"output": output_of, "weights": _weights_of, "inputs": _inputs_of}


def rows_under(window):
    """Which rows of [H·W·C, N] lie under each of the kh·kw numbers of a window: arrays [H'·W'·C] of indices; H·W·C
    itself is what lies beside the image.

    Rows are picked by constant indices and not by reshapes: the gradient of one asks for the number of columns, which
    JAX does not know inside a scan.
    """
    (top, bottom), (left, right) = window.padding
    height, width, channels = window.inputs
    beside = height * width * channels
    rows = np.arange(beside).reshape(window.inputs)
    rows = np.pad(rows, ((top, bottom), (left, right), (0, 0)), constant_values=beside)
    tall, wide = ((window.places[axis] - 1) * window.stride[axis] + 1 for axis in (0, 1))
    return [
        rows[i : i + tall : window.stride[0], j : j + wide : window.stride[1]].ravel()
        for i in range(window.kernel[0])
        for j in range(window.kernel[1])
    ]


def parts_of(window, x, filling=0.0):
    """What lies under each of the numbers of a window, as expressions [H'·W'·C, N]; beside the image is `filling`."""
    if any(map(any, window.padding)):
        x = pt.concatenate([x, pt.full_like(x[:1], filling)], axis=0)
    return [x[rows] for rows in rows_under(window)]
