"""Our Ops as JAX computes them: `graphs/convolution.py` by `jax.lax.conv_general_dilated`, and `graphs/folding.py`."""

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

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


@jax_funcify.register(Convolution)
def jax_convolution(op: Convolution, **kwargs):  # type: ignore[no-untyped-def]
    window, filters = op.window, op.filters
    channels = window.inputs[2]

    def output(w, x):  # type: ignore[no-untyped-def]
        images = jnp.moveaxis(x.reshape(*window.inputs, x.shape[1]), 3, 0)
        kernel = w.reshape(*window.kernel, channels, filters)
        y = jax.lax.conv_general_dilated(images, kernel, window.stride, window.padding, dimension_numbers=DIMENSIONS)
        return jnp.moveaxis(y, 0, 3).reshape(-1, x.shape[1])

    def inputs(w, y):  # type: ignore[no-untyped-def]
        like = jax.ShapeDtypeStruct((op.of("inputs").shape(None)[0], y.shape[1]), y.dtype)
        return jax.linear_transpose(lambda x: output(w, x), like)(y)[0]

    def weights(x, y):  # type: ignore[no-untyped-def]
        like = jax.ShapeDtypeStruct((window.size, filters), y.dtype)
        return jax.linear_transpose(lambda w: output(w, x), like)(y)[0]

    return {"output": output, "inputs": inputs, "weights": weights}[op.role]


@jax_funcify.register(Unfold)
def jax_unfold(op: Unfold, **kwargs):  # type: ignore[no-untyped-def]
    return lambda x, like: x.reshape(x.shape[0], *like.shape).swapaxes(0, 1)


@jax_funcify.register(Fold)
def jax_fold(op: Fold, **kwargs):  # type: ignore[no-untyped-def]
    return lambda x, like: x.swapaxes(0, 1).reshape(x.shape[1], -1)


# -- sizes


def _of_sizes(kind: type) -> None:
    """What is computed of sizes alone is a number while a function is traced, as JAX wants lengths and shapes.

    PyTensor's gradient of a scan has such: the length of the trace, and zeros of one step more.
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
