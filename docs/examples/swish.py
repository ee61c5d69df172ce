"""A layer of one's own: dense, with an activation that learns its slope (Ramachandran et al. 2017)."""

import pytensor.tensor as pt


def parameters(inputs, *, width):
    return [("w", (inputs, width), "orthogonal"), ("b", (width,), "zeros"), ("beta", (width,), "ones")]


def output(inputs, *, width):
    return width


def swish_dense(params, x, *, width):
    """y·σ(β·y) of y = x·W + b."""
    y = x @ params["w"] + params["b"]
    return y * pt.sigmoid(params["beta"] * y)
