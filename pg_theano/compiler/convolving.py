"""Convolution as JAX computes it: the three roles of `graphs/convolution.py` by `jax.lax.conv_general_dilated`."""

import jax
import jax.numpy as jnp
from pytensor.link.jax.dispatch import jax_funcify

from pg_theano.graphs.convolution import Convolution

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
