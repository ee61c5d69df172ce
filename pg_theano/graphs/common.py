"""What all graphs share: a sum in the dtype of what is summed, and a graph with its names."""

from __future__ import annotations

from typing import NamedTuple

import pytensor.tensor as pt


class Graph(NamedTuple):
    """Symbolic inputs and outputs, in order, each with its name; a dimension is a number, "E" or "T"."""

    inputs: dict
    outputs: dict
    dims: dict


def total(x, axis=None, keepdims=False):
    """Σ x over `axis`, accumulated in x's own dtype: PyTensor would sum float32 in float64, which is slow."""
    return pt.sum(x, axis=axis, keepdims=keepdims, acc_dtype=x.dtype)
