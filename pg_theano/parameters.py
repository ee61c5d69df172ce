"""Names, shapes and initial values of what is learned. NumPy only.

All parameters live in one flat vector [D]; a layout says which part of it is which array, and how that array starts.
One vector means one update for the optimiser, one array in a checkpoint, and few nodes in the graph.

An initialiser is plain data, so that it can stand in a file:

    "zeros", "ones"
    ["constant", 0.5]
    0.1                     normal around 0, with this standard deviation
    ["uniform", 0.1]        uniform within ±0.1
    "glorot"                uniform within ±√(6 / (inputs + outputs))           Glorot and Bengio 2010, eq. 16
    "orthogonal"            orthonormal columns, or rows where there are more columns; that times a gain is
    ["orthogonal", 1.41]                                                        Saxe et al. 2014
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pg_theano.types import ActionSpace, Array, Problem, UserError

Layout = list[tuple[str, tuple[int, ...], Any]]
"""(name, shape, initialiser) of each array, in order."""


def dense_layout(
    sizes: Sequence[int], prefix: str = "policy", *, initialization: str = "glorot", last_gain: float = 1.0
) -> Layout:
    """Weights [inputs, outputs] and biases [outputs] of a chain of dense layers, first to last. Biases start at 0.

    `initialization` is "glorot", "orthogonal" or "fan_in". Orthogonal weights have gain √2, and those of the last layer
    `last_gain`: 0.01 for a policy, which then starts out nearly uniform or around 0, and 1 for values
    (Engstrom et al. 2020; Andrychowicz et al. 2021, section 3.2). Glorot's have none. "fan_in" is uniform within
    ±1/√inputs, biases too (after LeCun et al. 1998, section 4.6; torch's default).
    """
    layout: Layout = []
    last = len(sizes) - 1
    for number, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True), start=1):
        gain = last_gain if number == last else math.sqrt(2.0)
        weights, biases = {
            "glorot": ("glorot", "zeros"),
            "orthogonal": (["orthogonal", gain], "zeros"),
            "fan_in": (["uniform", 1 / math.sqrt(inputs)],) * 2,
        }[initialization]
        layout += [(f"{prefix}/w{number}", (inputs, outputs), weights), (f"{prefix}/b{number}", (outputs,), biases)]
    return layout


def num_outputs(action: ActionSpace, log_std: str, logistic: bool = False) -> int:
    """K, how many numbers a policy network gives: a logit for each choice, a mean for each number of a box.

    Where `log_std` is "state_dependent" the network of a box gives the log-stds too, after the means. A `logistic`
    policy of two actions has one logit for both.
    """
    if logistic:
        return 1
    if action.kind in ("discrete", "multi_discrete"):
        return sum(action.choices)
    return action.size * (2 if action.kind == "box" and log_std == "state_dependent" else 1)


def path_of(names: Iterable[str], head: str) -> list[str]:
    """The names of the dense layers from the observation to a head, "policy" or "value": w1, b1, w2, b2, ..."""
    return [name for name in names if name.startswith(("shared/", f"{head}/")) and not name.endswith("/log_std")]


def is_value(name: str) -> bool:
    """Whether a layout's entry is the value network's alone."""
    return name.startswith("value/")


def count(layout: Layout) -> int:
    """D, the length of the flat vector."""
    return sum(math.prod(shape) for _, shape, _ in layout)


def views(params: Array, layout: Layout) -> dict[str, Array]:
    """The arrays of a layout as views of the flat vector [..., D]; nothing is copied."""
    named, start = {}, 0
    for name, shape, *_ in layout:  # run folders of before layouts had initialisers have pairs
        size = math.prod(shape)
        named[name] = params[..., start : start + size].reshape(*params.shape[:-1], *shape)
        start += size
    return named


def initial(rng: np.random.Generator, layout: Layout, dtype: str) -> Array:
    """A fresh flat vector [D], each array by its initialiser.

    Drawn in float64 and rounded, so that both dtypes start at the same point. Errors: `UserError` for an initialiser
    that does not exist, or does not suit the array.
    """
    return np.concatenate([_drawn(rng, *entry).ravel() for entry in layout]).astype(dtype)


def _drawn(rng: np.random.Generator, name: str, shape: Sequence[int], initializer: Any) -> Array:
    """One array, float64."""
    match initializer:
        case "zeros":
            return np.zeros(shape)
        case "ones":
            return np.ones(shape)
        case ["constant", float() | int() as value]:
            return np.full(shape, float(value))
        case float() | int() as std if std >= 0:
            return rng.normal(0.0, std, shape)
        case ["uniform", float() | int() as bound] if bound >= 0:
            return rng.uniform(-bound, bound, shape)
        case "glorot" if len(shape) == 2:
            bound = math.sqrt(6.0 / sum(shape))
            return rng.uniform(-bound, bound, shape)
        case "orthogonal" if len(shape) == 2:
            return _orthonormal(rng, *shape)
        case ["orthogonal", float() | int() as gain] if len(shape) == 2:
            return gain * _orthonormal(rng, *shape)
    raise UserError(
        Problem(
            f"{name} of shape {list(shape)}",
            f"got the initialiser {initializer!r}",
            "zeros, ones, a number (the standard deviation of a normal), [uniform, bound] or, for weights "
            "[inputs, outputs], glorot or orthogonal",
            "zeros",
        )
    )


def _orthonormal(rng: np.random.Generator, inputs: int, outputs: int) -> Array:
    """The orthogonal factor of a Gaussian matrix, [inputs, outputs]; uniform among all there are.

    The diagonal of R must be positive for that (Mezzadri 2007): LAPACK's signs are not random.
    """
    q, r = np.linalg.qr(rng.normal(size=(max(inputs, outputs), min(inputs, outputs))))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return q if inputs >= outputs else q.T


def pooled(number: Any, mean: Any, squares: Any, more: Any, delta: Any, more_squares: Any, *, bounded: Any) -> Any:
    """(μ', S') of two sets of observations together: the running normaliser's, of arrays and of expressions alike.

        μ' = μ + δ·n/N',   S' = S + S_b + δ²·N·n/N'         Chan, Golub and LeVeque 1979, eq. 2.1

    `number` N, `mean` μ and `squares` S = Σ (o − μ)² are the first set's; `more` n and `more_squares` S_b the second's,
    whose mean is μ + `delta`. `bounded` is N' = N + n, or 1 where that is 0.
    """
    share = more / bounded
    return mean + delta * share, squares + more_squares + delta * delta * (number * share)
