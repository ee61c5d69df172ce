"""Convolution as JAX computes it: the three roles of `graphs/convolution.py` by patches and a product.

Not by `jax.lax.conv_general_dilated`: inside a loop XLA's CPU takes 35 times as long for it (minibatches of 128 images
7 x 7 of the network `minigrid`: 48 and 1.4 ms a gradient step on one core).
"""

import jax
import jax.numpy as jnp
from pytensor.link.jax.dispatch import jax_funcify

from pg_theano.graphs.convolution import Convolution


@jax_funcify.register(Convolution)
def jax_convolution(op: Convolution, **kwargs):  # type: ignore[no-untyped-def]
    window, filters = op.window, op.filters
    tall, wide = window.places

    def patches(x):  # type: ignore[no-untyped-def]
        """The numbers under the window at each place, [N·H'·W', kh·kw·C]."""
        images = jnp.moveaxis(x.reshape(*window.inputs, x.shape[1]), 3, 0)
        if any(map(any, window.padding)):
            images = jnp.pad(images, ((0, 0), *window.padding, (0, 0)))
        down, right = window.stride
        seen = [
            images[:, i : i + (tall - 1) * down + 1 : down, j : j + (wide - 1) * right + 1 : right]
            for i in range(window.kernel[0])
            for j in range(window.kernel[1])
        ]
        return jnp.concatenate(seen, axis=3).reshape(-1, window.size)

    def output(w, x):  # type: ignore[no-untyped-def]
        y = (patches(x) @ w).reshape(-1, tall, wide, filters)
        return jnp.moveaxis(y, 0, 3).reshape(-1, x.shape[1])

    def inputs(w, y):  # type: ignore[no-untyped-def]
        like = jax.ShapeDtypeStruct((op.of("inputs").shape(None)[0], y.shape[1]), y.dtype)
        return jax.linear_transpose(lambda x: output(w, x), like)(y)[0]

    def weights(x, y):  # type: ignore[no-untyped-def]
        y = jnp.moveaxis(y.reshape(tall, wide, filters, y.shape[1]), 3, 0).reshape(-1, filters)
        return patches(x).T @ y

    return {"output": output, "inputs": inputs, "weights": weights}[op.role]
