"""A convolution: dense layers that share their weights over the places of an image, and how a gradient goes back.

Images are [N, H, W, C] here, channels last; `stride` is how far the window moves. There are no zeros around the image:
`padding: same` is this of an image that they are around already.
"""

import numpy as np

from pg_theano.types import Array


def seen(x: Array, i: int, j: int, places: tuple[int, int], stride: int) -> Array:
    """What lies under number (i, j) of the window, at each place: x_{n, p·s+i, q·s+j, c}, [N, P, Q, C]. A view of x."""
    rows, columns = ((number - 1) * stride + 1 for number in places)
    return x[:, i : i + rows : stride, j : j + columns : stride]


def places_of(x: Array, kernel: int, stride: int) -> tuple[int, int]:
    """(P, Q): P = ⌊(H − K)/s⌋ + 1, how many places the window takes."""
    return (x.shape[1] - kernel) // stride + 1, (x.shape[2] - kernel) // stride + 1


def convolution(x: Array, weight: Array, bias: Array, stride: int = 1) -> Array:
    """At each place a weighted sum of what lies under the window, with the same weights everywhere.

        y_{n,p,q,g} = Σ_{i,j,c} x_{n, p·s+i, q·s+j, c}·w_{i,j,c,g} + b_g

    Shapes: `x` [N, H, W, C], `weight` [K, K, C, G], `bias` [G]; the result [N, P, Q, G].
    """
    kernel, places = len(weight), places_of(x, len(weight), stride)
    y = np.zeros((len(x), *places, weight.shape[3])) + bias
    for i in range(kernel):
        for j in range(kernel):
            y += seen(x, i, j, places, stride) @ weight[i, j]  # [N, P, Q, C]·[C, G]
    return y


def convolution_backward(d_y: Array, x: Array, weight: Array, stride: int = 1) -> tuple[Array, Array, Array]:
    """The gradient of `convolution`, for its three arguments.

    From y_{n,p,q,g} = Σ_{i,j,c} x_{n, p·s+i, q·s+j, c}·w_{i,j,c,g} + b_g:

        ∂y_{n,p,q,g}/∂w_{i,j,c,g} = x_{n, p·s+i, q·s+j, c}     w touches y at every place of every image:
        ∂L/∂w_{i,j,c,g} = Σ_{n,p,q} x_{n, p·s+i, q·s+j, c}·∂L/∂y_{n,p,q,g}

        ∂y_{n,p,q,g}/∂x_{n,h,v,c} = w_{i,j,c,g} where h = p·s + i and v = q·s + j, else 0
        ∂L/∂x_{n,h,v,c} = Σ_{(p,i): p·s+i = h} Σ_{(q,j): q·s+j = v} Σ_g w_{i,j,c,g}·∂L/∂y_{n,p,q,g}

    A pixel has a term for each place at which the window lies over it: each (i, j) adds to the pixels that it saw.

        ∂L/∂b_g = Σ_{n,p,q} ∂L/∂y_{n,p,q,g}

    Shapes: `d_y` [N, P, Q, G], `x` [N, H, W, C], `weight` [K, K, C, G]; the result as x, weight and [G].
    """
    kernel, places = len(weight), (d_y.shape[1], d_y.shape[2])
    d_x, d_weight = np.zeros(x.shape), np.zeros(weight.shape)
    for i in range(kernel):
        for j in range(kernel):
            under = seen(x, i, j, places, stride)
            d_weight[i, j] = np.einsum("npqc,npqg->cg", under, d_y)
            seen(d_x, i, j, places, stride)[...] += d_y @ weight[i, j].T  # [N, P, Q, G]·[G, C]
    return d_x, d_weight, d_y.sum(axis=(0, 1, 2))
