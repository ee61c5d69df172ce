"""What all graphs share: a sum in the dtype of what is summed, a graph with its names, what a function may read."""

from typing import NamedTuple

import pytensor.tensor as pt
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.type import RandomType


class Graph(NamedTuple):
    """Symbolic inputs and outputs, in order, each with its name; a dimension is a number, "E" or "T"."""

    inputs: dict
    outputs: dict
    dims: dict


def total(x, axis=None, keepdims=False):
    """Σ x over `axis`, accumulated in x's own dtype: PyTensor would sum float32 in float64, which is slow."""
    return pt.sum(x, axis=axis, keepdims=keepdims, acc_dtype=x.dtype)


def impurity(outputs, given):
    """What a user's function did that a pure function of `given` does not, in words; None where all is well."""
    for variable in ancestors(outputs):
        if isinstance(variable.type, RandomType):
            return "draws random numbers"
        if isinstance(variable, SharedVariable):
            return f"reads the shared variable {variable}; it may read its arguments and constants"
        if variable.owner is None and not isinstance(variable, Constant) and variable not in given:
            return f"reads {variable}, which is not one of its arguments"
    return None
