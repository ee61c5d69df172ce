"""Pixels as an image, channels last, within [0, 1]."""

import numpy as np
from pytensor import config


def expression(placed, arrays, x, *, multiply):
    """x / scale, channels last. Shapes: `x` [height·width·channels, N], and so the result."""
    layer = placed.layer
    if layer.channels_first:
        shape = layer.channels, layer.height, layer.width
        x = x[np.arange(np.prod(shape)).reshape(shape).transpose(1, 2, 0).ravel()]
    x = x.astype(config.floatX) if x.dtype == "uint8" else x  # exact
    return x if layer.scale == 1 else x / layer.scale
