"""A network as plain data, and names, shapes and initial values of what is learned. NumPy only.

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
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pg_theano.layers import Activation, Dense, Layer, Layout, Placed
from pg_theano.types import ActionSpace, Array, Problem, UserError

LOG_STD = "policy/log_std"
"""The array of a box's log σ, where it is a parameter."""


LAST_GAINS = {"policy": 0.01, "value": 1.0}
"""Gain of the last orthogonal weights: a policy then starts nearly uniform, or around 0 (Engstrom et al. 2020;
Andrychowicz et al. 2021, section 3.2). All others have √2."""


class Network(NamedTuple):
    """Layers of the policy and of the value network, from the observation on; `shared` ones come before both."""

    shared: tuple[Layer, ...] = ()
    policy: tuple[Layer, ...] = ()  # () for a policy of the user's own
    value: tuple[Layer, ...] = ()

    def placed(self, obs_size: int, initialization: str = "glorot") -> dict[str, list[Placed]]:
        """The layers of each part, "shared", "policy" and "value", in their places."""
        found: dict[str, list[Placed]] = {}
        for part, layers in self._asdict().items():
            before = found["shared"][-1] if found and found["shared"] else None
            shape = before.layer.output(before.inputs) if before else (obs_size,)
            found[part] = []
            for number, layer in enumerate(layers, start=1):
                gain = LAST_GAINS.get(part, math.sqrt(2.0)) if number == len(layers) else math.sqrt(2.0)
                own = layer.arrays(shape, initialization, gain)
                found[part].append(Placed(layer, shape, [(f"{part}/{name}{number}", *how) for name, *how in own]))
                shape = layer.output(shape)
        return found


def dense_layers(widths: Sequence[int], activation: Activation, head: int | None = None) -> tuple[Layer, ...]:
    """Hidden layers of these widths; after them, if there is one, a `head` of so many outputs."""
    hidden = [Dense(width, activation) for width in widths]
    return tuple(hidden if head is None else [*hidden, Dense(head)])


def dense_network(layout: Layout, activation: Activation, own: bool = False) -> Network:
    """The network of a layout that is all of dense layers, but for the policy of a user's `own`."""

    def widths(part: str) -> list[int]:
        names = [(name, shape) for name, shape, *_ in layout if name.startswith(f"{part}/") and name != LOG_STD]
        return [shape[1] for _, shape in names if len(shape) == 2]

    def ending(part: str) -> tuple[Layer, ...]:
        return dense_layers(found[:-1], activation, found[-1]) if (found := widths(part)) else ()

    return Network(dense_layers(widths("shared"), activation), () if own else ending("policy"), ending("value"))


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
