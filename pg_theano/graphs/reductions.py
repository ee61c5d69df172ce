"""Sums in the dtype of what is summed: PyTensor would sum float32 in float64, which XLA then cannot vectorise."""

from __future__ import annotations

import pytensor.tensor as pt


def total(x, axis=None, keepdims=False):
    """Σ x over `axis`, accumulated in x's own dtype."""
    return pt.sum(x, axis=axis, keepdims=keepdims, acc_dtype=x.dtype)
