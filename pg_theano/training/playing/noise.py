"""The noise that a rollout consumes, drawn on the host: one array for all its steps.

white    independent from step to step
pink     correlated in time, with power spectral density 1/f: slow swings, which explore further (Eberhard et al. 2023)
held     one draw for some steps, or for the whole rollout (state-dependent exploration, Raffin et al. 2022)

Whatever the color, each single number is distributed as `kind` says: uniform on [0, 1), or N(0, 1). So the
log-probability of an action, given its observation, is that of white noise.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from pg_theano.types import Array

Kind = Literal["uniform", "normal"]
Color = Literal["white", "pink", "held"]


def draw(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    *,
    kind: Kind,
    color: Color,
    dtype: str,
    every: int | None = None,
) -> Array:
    """Noise of a `shape`: steps, rows (environments), and numbers for one action.

    White noise is one call of the generator, in the order of the array. Held noise is drawn anew after `every` steps;
    without `every` it is a read-only view of one draw [rows, size]. Errors: `ValueError` for pink uniform noise, which
    does not exist here.
    """
    steps, rows, size = shape
    if color == "pink":
        if kind != "normal":
            raise ValueError(f"pink noise is normal; got kind {kind!r}")
        return pink(rng, shape, dtype)
    if color == "held" and every is not None:
        return np.repeat(_white(rng, kind, (-(-steps // every), rows, size), dtype), every, axis=0)[:steps]
    if color == "held":
        return np.broadcast_to(_white(rng, kind, (rows, size), dtype), (steps, rows, size))
    return _white(rng, kind, shape, dtype)


def _white(rng: np.random.Generator, kind: Kind, shape: tuple[int, ...], dtype: Any) -> Array:
    return rng.random(shape, dtype) if kind == "uniform" else rng.standard_normal(shape, dtype)


def pink(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """Gaussian sequences along the first axis whose power falls as 1/f, each one independent of the others.

        y = irfft(√P·rfft(x)),   x ~ N(0, 1) white,   P_k ∝ 1/k,   P_0 = P_1        Timmer and König 1995

    The Fourier coefficients of white noise are independent and Gaussian, so scaling them is drawing them with power
    P. The variance of y_t is the mean of P over all T frequencies, negative ones too; divided by it, every y_t is
    N(0, 1) exactly. A mean that differs from sequence to sequence is part of it: the frequency 0, which has no 1/f,
    has the power of the lowest one (as in the code of Eberhard et al. 2023). Shapes: [T, ...]; a single step is white.
    """
    steps = shape[0]
    power = 1.0 / np.maximum(np.arange(steps // 2 + 1), 1)  # of frequency k/T
    of_all = power[np.abs(np.fft.fftfreq(steps, 1 / steps)).round().astype(int)]
    scale = np.sqrt(power / of_all.mean()).astype(dtype).reshape(-1, *[1] * (len(shape) - 1))
    spectrum = np.fft.rfft(rng.standard_normal(shape, dtype), axis=0)
    return np.fft.irfft(scale * spectrum, steps, axis=0)


def normals(size: int, dtype: str) -> Callable[[np.random.Generator, int, int], Array]:
    """draw(rng, steps, rows) -> white normal noise [steps, rows, size]."""
    return lambda rng, steps, rows: _white(rng, "normal", (steps, rows, size), dtype)


def uniforms(size: int, dtype: str) -> Callable[[np.random.Generator, int, int], Array]:
    """draw(rng, steps, rows) -> white uniform noise [steps, rows, size]."""
    return lambda rng, steps, rows: _white(rng, "uniform", (steps, rows, size), dtype)
