"""Choices among those that a mask allows, in NumPy: the same expressions as `graphs/masks.py`; one row an observation.

outputs = masked(outputs, mask)                     # the network's, NEVER for what is ruled out, [E, K]
action, log_prob = CHOOSERS["discrete"](acting, True)(outputs, hidden, log_std, noise, rate, choice)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from pg_theano.environments import masks
from pg_theano.policies import choosing
from pg_theano.spec import Acting
from pg_theano.types import EXPLORE, GREEDY, Array, UserError

NEVER = -1e30


def split(acting: Acting, obs: Array) -> tuple[Array, Array | None]:
    """(what networks see, the mask or None) of rows: [..., F] to [..., F − M] and [..., M]."""
    if not acting.mask_size:
        return obs, None
    return obs[..., : acting.num_features], obs[..., acting.num_features :]


def masked(logits: Array, mask: Array | None) -> Array:
    return logits if mask is None else np.where(mask > 0, logits, logits.dtype.type(NEVER))


def joined(acting: Acting, rows: Array, told: Any, where: str) -> Array:
    """Rows that end with their masks, [N, F], of what is seen and the masks that a user gives. Errors: `UserError`."""
    try:
        if len(told) != len(rows):
            raise masks.Outside(f"got {len(told)} masks; expected {len(rows)}, one for each observation")
        kept = [masks.checked(one, acting.action.choices, "the mask") for one in told]
    except (TypeError, ValueError) as error:  # `Outside` is one
        raise UserError(f"{where}: {error}") from None
    return np.concatenate([rows, np.array(kept)], axis=1, dtype=rows.dtype)


def _sample(logits: Array, uniform: Array) -> Array:
    """The first allowed action whose cumulative weight is over u of the whole; the last allowed, where none is."""
    may = logits > 1e-3 * NEVER
    reached = np.add.accumulate(np.exp(logits), axis=1)
    over = may & (reached > (uniform * reached[:, -1])[:, None])
    last = logits.shape[1] - 1 - may[:, ::-1].argmax(axis=1)
    return np.where(over.any(axis=1), over.argmax(axis=1), last)


def _uniform(logits: Array, uniform: Array) -> Array:
    counted = np.add.accumulate(logits > 1e-3 * NEVER, axis=1, dtype=np.int32)
    place = np.minimum((uniform * counted[:, -1]).astype(np.int32), counted[:, -1] - 1)
    return np.add.reduce(counted <= place[:, None], axis=1)


def _shifted(logits: Array) -> Array:
    """The largest logit of a row is 0; what is ruled out stays `NEVER`, or near it."""
    return logits - np.maximum.reduce(logits, axis=1, keepdims=True)


def _choose_discrete(acting: Acting, with_log_prob: bool) -> Callable[..., tuple[Array, Array | None]]:
    exploration = acting.exploration

    def choose(outputs, hidden, log_std, noise, rate, choice):
        logits = _shifted(outputs)
        if choice == GREEDY or (choice == EXPLORE and exploration.startswith("epsilon_greedy")):
            action = logits.argmax(axis=1)
        else:
            action = _sample(logits, noise[:, 0])
        if choice == EXPLORE and exploration != "softmax":
            of_policy = exploration == "epsilon_greedy_softmax"
            other = _sample(logits, noise[:, 0]) if of_policy else _uniform(logits, noise[:, 2])
            action = np.where(noise[:, 1] < rate, other, action)
        action = action.astype(np.int32)
        if not with_log_prob:
            return action, None
        log_prob = choosing.log_prob_of(logits, action)
        if exploration == "epsilon_softmax" and rate > 0:
            number = np.add.reduce(logits > 1e-3 * NEVER, axis=1, dtype=logits.dtype)
            log_prob = np.log(rate / number + (1 - rate) * np.exp(np.maximum(log_prob, -80.0)))
        return action, log_prob

    return choose


CHOOSERS: dict[str, Any] = {
    "discrete": _choose_discrete,
    "multi_discrete": functools.partial(choosing.multi_discrete, sample=_sample),
}
