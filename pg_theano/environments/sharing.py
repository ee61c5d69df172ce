"""The memory that environments in worker processes share with the process that trains: two bells for each, and rows."""

from typing import Any, NamedTuple

import numpy as np

from pg_theano.system import bells
from pg_theano.system.children import Memory
from pg_theano.types import Array

NOBODY = -1
BELLS = 2 * bells.SIZE
"""Bytes of a worker's two, at the beginning of the memory: how both processes say that the rows are ready."""


class Shared(NamedTuple):
    """The memory that parent and workers share, for N environments of W workers."""

    place: Array  # [W, 4] calls so far, environment (or NOBODY), step, seed: where each worker stands
    which: Array  # [N] to be begun
    seeds: Array  # [N] of the episodes
    real: Array  # [N] to be stepped
    given: Array  # [N, ...] actions as the environments have them
    obs: Array  # [N, F]
    reward: Array  # [N]
    terminated: Array  # [N]
    truncated: Array  # [N]
    following: Array  # [N] seeds of the episodes that are begun as soon as others end; -1: none is
    first: Array  # [N, F] what that began with


def shared(memory: Memory, layout: dict[str, Any]) -> Shared:
    """The arrays in a shared memory, by a description that can be sent as JSON."""
    number, kind, action = layout["num_envs"], layout["dtype"], layout["action"]
    sizes: list[tuple[Any, tuple[int, ...]]] = [
        (np.int64, (layout["workers"], 4)),
        (bool, (number,)),
        (np.int64, (number,)),
        (bool, (number,)),
        (action["dtype"], (number, *action["shape"])),
        (kind, (number, layout["obs_size"])),
        (np.float64, (number,)),
        (bool, (number,)),
        (bool, (number,)),
        (np.int64, (number,)),
        (kind, (number, layout["obs_size"])),
    ]
    starts, end = [], BELLS * layout["workers"]
    for dtype, shape in sizes:
        starts.append(end)
        end += -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // 64) * 64
    view = memory.map(end)
    return Shared(
        *(
            np.frombuffer(view, dtype, int(np.prod(shape)), start).reshape(shape)
            for (dtype, shape), start in zip(sizes, starts, strict=True)
        )
    )
