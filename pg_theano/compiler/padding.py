"""Sizes that arrays are padded to, so that few of them are compiled for."""

from __future__ import annotations

FIRST_BUCKET = 64


def bucket(steps: int, limit: int | None) -> int:
    """T of the ladder 64, 128, ... up to the time limit, that holds an episode of `steps`."""
    size = FIRST_BUCKET
    while size < steps:
        size *= 2
    return min(size, limit) if limit and limit >= steps else size


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below `number`."""
    return 1 << max(number - 1, 0).bit_length()
