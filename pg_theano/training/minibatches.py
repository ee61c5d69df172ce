"""Minibatches: which steps of a rollout are learned from together, and in which order."""

import numpy as np

from pg_theano.training import seeding
from pg_theano.training.playing.collecting import mask_of
from pg_theano.training.setting import Setting
from pg_theano.types import Array, Played


def draw(
    rng: np.random.Generator, mask: Array | None, columns: int, *, num_epochs: int, num_minibatches: int, dtype: str
) -> dict[str, Array]:
    """An order of all real steps for each epoch, cut into minibatches whose sizes differ by one at most.

    `mask` [N] says which of N columns (column t·E + e is step t of environment e) are real; None: all `columns` are.
    Where the number of minibatches does not divide the number of steps, the first ones get one more. Fewer real steps
    than minibatches are learned from more than once an epoch.

    Returns index [G, B] and weight [G, B], G = num_epochs·num_minibatches gradient steps; B is that of a rollout with
    no padding, so that one compiled update serves every length of the episodes in it. Weight 0 fills a minibatch up.
    """
    real = np.arange(columns, dtype=np.int32) if mask is None else np.flatnonzero(mask).astype(np.int32)
    size = -(-columns // num_minibatches)
    number = max(len(real), num_minibatches)
    per, extra = divmod(number, num_minibatches)
    orders = rng.permuted(np.broadcast_to(np.resize(real, number), (num_epochs, number)), axis=1)
    index = np.zeros((num_epochs, num_minibatches, size), np.int32)
    weight = np.zeros((num_epochs, num_minibatches, size), dtype)
    longer = extra * (per + 1)
    if extra:
        index[:, :extra, : per + 1] = orders[:, :longer].reshape(num_epochs, extra, per + 1)
        weight[:, :extra, : per + 1] = 1
    index[:, extra:, :per] = orders[:, longer:].reshape(num_epochs, num_minibatches - extra, per)
    weight[:, extra:, :per] = 1
    shape = (num_epochs * num_minibatches, size)
    return {"index": index.reshape(shape), "weight": weight.reshape(shape)}


def of_update(setting: Setting, played: Played, update: int) -> dict[str, Array] | None:
    """The minibatches of an update of this run; None for an algorithm that takes one gradient step."""
    spec = setting.spec
    if spec.learning.passes is None:
        return None
    mask, columns = mask_of(played.rollout, spec.num_sequences if spec.acting.memory_size else 0)
    return draw(
        setting.generator(seeding.MINIBATCHES, update),
        mask,
        columns,
        num_epochs=spec.learning.passes.num_epochs,
        num_minibatches=spec.learning.passes.num_minibatches,
        dtype=setting.config.dtype,
    )
