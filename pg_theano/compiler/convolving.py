"""Our Ops as JAX computes them, and what it must know of sizes.

Convolutions are patches and a product, not `jax.lax.conv_general_dilated`: inside a loop XLA's CPU takes 35 times as
long for that (minibatches of 128 images 7 x 7 of the network `minigrid`: 48 and 1.4 ms a gradient step on one core).
Images stay last in all of it, as networks have them, and are not brought first and back (`benchmarks/pixels.md`).
"""

import jax
import jax.numpy as jnp
import numpy as np
from pytensor.graph.basic import Constant
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.scalar.basic import Composite
from pytensor.tensor.basic import MakeVector, ScalarFromTensor, TensorFromScalar
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.subtensor import Subtensor

from pg_theano.graphs.convolution import Convolution
from pg_theano.graphs.folding import Fold, Unfold
from pg_theano.graphs.recurrence import Remembering


@jax_funcify.register(Convolution)
def jax_convolution(op: Convolution, **kwargs):  # type: ignore[no-untyped-def]
    window, filters = op.window, op.filters
    (height, width, channels), (tall, wide) = window.inputs, window.places
    (rows, columns), (down, right) = window.kernel, window.stride
    (top, bottom), (left, right_of) = window.padding

    def patches(x):  # type: ignore[no-untyped-def]
        """The numbers under the window at each place, [kh·kw·C, H'·W'·N]."""
        images = x.reshape(*window.inputs, x.shape[1])
        if any(map(any, window.padding)):
            images = jnp.pad(images, (*window.padding, (0, 0), (0, 0)))
        seen = [
            images[i : i + (tall - 1) * down + 1 : down, j : j + (wide - 1) * right + 1 : right].transpose(2, 0, 1, 3)
            for i in range(rows)
            for j in range(columns)
        ]
        return jnp.concatenate(seen, axis=0).reshape(window.size, -1)

    def by_filter(y):  # type: ignore[no-untyped-def]
        """[H'·W'·G, N] as [G, H', W', N]."""
        return y.reshape(tall, wide, filters, y.shape[1]).transpose(2, 0, 1, 3)

    def output(w, x):  # type: ignore[no-untyped-def]
        y = (w.T @ patches(x)).reshape(filters, tall, wide, x.shape[1])
        return y.transpose(1, 2, 0, 3).reshape(-1, x.shape[1])

    def inputs(w, y):  # type: ignore[no-untyped-def]
        """Each block of stride x stride numbers of an image was under the window at kh/stride x kw/stride places."""
        if rows % down or columns % right:
            like = jax.ShapeDtypeStruct((op.of("inputs").shape(None)[0], y.shape[1]), y.dtype)
            return jax.linear_transpose(lambda x: output(w, x), like)(y)[0]
        m, n, number = rows // down, columns // right, y.shape[1]
        high, broad = tall + m - 1, wide + n - 1  # blocks
        around = jnp.pad(by_filter(y), ((0, 0), (m - 1, m - 1), (n - 1, n - 1), (0, 0)))
        over = [around[:, i : i + high, j : j + broad] for i in reversed(range(m)) for j in reversed(range(n))]
        by_block = w.reshape(m, down, n, right, channels, filters).transpose(1, 3, 4, 0, 2, 5)
        x = by_block.reshape(-1, m * n * filters) @ jnp.concatenate(over, axis=0).reshape(m * n * filters, -1)
        x = x.reshape(down, right, channels, high, broad, number).transpose(3, 0, 4, 1, 2, 5)
        x = x.reshape(high * down, broad * right, channels, number)
        beyond = height + top + bottom - high * down, width + left + right_of - broad * right  # never under it
        x = jnp.pad(x, ((0, beyond[0]), (0, beyond[1]), (0, 0), (0, 0)))
        return x[top : top + height, left : left + width].reshape(-1, number)

    def weights(x, y):  # type: ignore[no-untyped-def]
        return patches(x) @ by_filter(y).reshape(filters, -1).T

    return {"output": output, "inputs": inputs, "weights": weights}[op.role]


@jax_funcify.register(Unfold)
def jax_unfold(op: Unfold, **kwargs):  # type: ignore[no-untyped-def]
    return lambda x, like: x.reshape(x.shape[0], *like.shape).swapaxes(0, 1)


@jax_funcify.register(Fold)
def jax_fold(op: Fold, **kwargs):  # type: ignore[no-untyped-def]
    return lambda x, like: x.swapaxes(0, 1).reshape(x.shape[1], -1)


@jax_funcify.register(Remembering)
def jax_remembering(op: Remembering, **kwargs):  # type: ignore[no-untyped-def]
    return lambda after, *_: after


# -- sizes


def _of_sizes(kind: type) -> None:
    """What is computed of sizes alone is a number while a function is traced, as JAX wants lengths and shapes.

    PyTensor's gradient of a scan has such (of a recurrent layer's the second): zeros of one step more than there are.
    """
    original = jax_funcify.dispatch(kind)

    def funcified(op, node=None, **kwargs):  # type: ignore[no-untyped-def]
        plain = original(op, node=node, **kwargs)
        if node is None or any(v.type.dtype[:3] not in ("int", "boo") or v.type.ndim > 1 for v in node.outputs):
            return plain

        def computed(*values):  # type: ignore[no-untyped-def]
            if any(isinstance(value, jax.core.Tracer) for value in values):
                return plain(*values)
            if any(map(jax.export.is_symbolic_dim, values)):  # an unknown size, of which Python makes another
                return _by_python(op.scalar_op, values) if kind is Elemwise else plain(*values)
            with jax.ensure_compile_time_eval():
                found = plain(*values)
            return [*map(np.asarray, found)] if len(node.outputs) > 1 else np.asarray(found)

        return computed

    jax_funcify.register(kind)(funcified)


def _by_python(op, values):  # type: ignore[no-untyped-def]
    """A scalar expression of sizes, some of which are unknown: `Composite` would have each as a number."""
    if not isinstance(op, Composite):
        return op.impl(*values)
    known = dict(zip(op.fgraph.inputs, values, strict=True))

    def of(variable):  # type: ignore[no-untyped-def]
        return variable.data if isinstance(variable, Constant) else known[variable]

    for node in op.fgraph.toposort():
        found = _by_python(node.op, [of(one) for one in node.inputs])
        known |= zip(node.outputs, found if len(node.outputs) > 1 else [found], strict=True)
    outputs = [of(one) for one in op.fgraph.outputs]
    return outputs if len(outputs) > 1 else outputs[0]


for kind in (Elemwise, MakeVector, ScalarFromTensor, Subtensor, TensorFromScalar):
    _of_sizes(kind)
