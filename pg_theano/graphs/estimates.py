"""What each step of a rollout was worth: advantages and targets from rewards and values, by the spec's estimator."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import actors, advantages, networks, normalizers
from pg_theano.graphs.algorithms import blocks
from pg_theano.graphs.common import total
from pg_theano.spec import Spec
from pg_theano.types import RETURN_SO_FAR

ROUNDING = 8
"""Targets that are this many rounding units apart, or fewer, are equal."""


class Estimates(NamedTuple):
    """What each step was worth, and what the value network should have said. Constants to every gradient."""

    value: Any  # [T, E]
    advantage: Any  # [T, E]
    target: Any  # [T, E]


def estimates(spec: Spec, state, knobs, block):
    """Advantages and targets of a rollout, and the reward normaliser's entries after it.

    The network that predicts is the one before this update. Shapes: [T, E].
    """
    acting, learning = spec.acting, spec.learning
    reward, updated = block.reward, {}
    if learning.normalize_rewards:
        reward, updated = normalized_reward(spec, state, knobs, block)
    layers, shape = networks.views(state["params"], acting.layout), reward.shape

    def of_columns(obs):
        return actors.value(acting, layers, normalizers.observed(acting, state, obs))

    def valued(obs):
        return of_columns(obs).reshape(shape)

    if acting.memory_size:
        following = normalizers.observed(acting, state, block.next_obs)
        both = actors.values(acting, layers, blocks.seen(spec, state, block), following)
        value, next_value = (one.reshape(shape) for one in both)
    elif block.last_obs is None:
        value, next_value = valued(block.obs), valued(block.next_obs)
    else:
        value = in_pieces(of_columns, block.obs, pieces_of(learning)).reshape(shape)
        next_value = of_successors(value, of_columns(block.last_obs).reshape((-1, shape[1])), block)
    ends = (block.terminated, block.truncated, block.mask)
    common = {"discount": knobs["discount"], "max_steps": learning.num_steps or learning.max_steps}
    if learning.advantage == "monte_carlo":
        target = advantages.bootstrapped_reward_to_go(reward, next_value, *ends, **common)
        advantage = (target - value if learning.baseline == "value" else target) * block.mask
        return Estimates(value, advantage, target), updated
    if learning.advantage in ("gae", "expected"):  # of which the second takes the targets alone
        advantage = advantages.gae(reward, value, next_value, *ends, gae_lambda=knobs["gae_lambda"], **common)
    elif learning.advantage == "n_step":
        advantage = advantages.n_step(reward, value, next_value, *ends, num_steps=learning.bootstrap_steps, **common)
    else:
        advantage = advantages.td_error(
            reward, value, next_value, block.terminated, block.mask, discount=knobs["discount"]
        )
    return Estimates(value, advantage, advantage + value), updated


def pieces_of(learning):
    """How many pieces of a stretch V is computed of in turn: each as large as a minibatch, where T allows."""
    return math.gcd(learning.num_steps, learning.passes.num_minibatches) if learning.passes else 1


def in_pieces(valued, obs, number):
    """V of each column of `obs` [F, N], with what layers give held for N / `number` columns at a time. [N]"""
    if number == 1:
        return valued(obs)
    rows = obs.T.reshape((number, -1, obs.type.shape[0]))
    values = pytensor.scan(lambda part: valued(part.T), sequences=[rows], n_steps=number, return_updates=False)
    return values.reshape((-1,))


def of_successors(value, last_value, block):
    """V of what followed each step: of the next step, but where an episode was cut off, and at the last step.

    There it is the next row of `last_value` [S, E]; after an episode's end any number will do. Shapes: [T, E].
    """
    cut = (block.truncated * (1 - block.terminated))[:-1]
    slot = pt.cumsum(pt.concatenate([pt.zeros_like(value[:1]), cut], axis=0), axis=0).astype("int32")
    row = pt.cumsum(pt.ones_like(value), axis=1).astype("int32") - 1
    last = last_value[slot, row]
    return pt.concatenate([pt.switch(cut > 0, last[:-1], value[1:]), last[-1:]], axis=0)


def normalized_reward(spec: Spec, state, knobs, block):
    """Rewards over the running standard deviation of the discounted return, this rollout's included; and that."""
    begins = state.get(RETURN_SO_FAR, pt.zeros_like(block.reward[0]))
    so_far, carry = normalizers.discounted_return_so_far(
        block.reward,
        begins,
        block.terminated,
        block.truncated,
        block.mask,
        discount=knobs["discount"],
        max_steps=spec.learning.num_steps or spec.learning.max_steps,
    )
    mask = block.mask.reshape((-1,))
    moments = normalizers.updated(*(state[name] for name in normalizers.REWARDS), so_far.reshape((1, -1)), mask)
    updated = dict(zip(normalizers.REWARDS, moments, strict=True))
    if RETURN_SO_FAR in state:
        updated[RETURN_SO_FAR] = carry
    return normalizers.normalize_reward(block.reward, moments[1][0]), updated


def explained_variance(value, target, mask):
    """1 − Var[target − V] / Var[target] over real steps: 1 predicts perfectly, 0 as well as the mean would.

    0 where the targets are all equal, up to rounding of what they are. Shapes: all [T, E]; the result a scalar.
    """
    number = pt.maximum(total(mask), 1.0)
    lowest, highest = (sign * pt.max(pt.switch(mask > 0, sign * target, -np.inf)) for sign in (-1, 1))

    def variance(x):
        centred = (x - total(x * mask) / number) * mask
        return total(centred * centred) / number

    spread = variance(target)
    differ = (highest - lowest > ROUNDING * np.finfo(target.dtype).eps * pt.maximum(highest, -lowest)) & (spread > 0)
    return pt.switch(differ, 1.0 - variance(target - value) / pt.switch(differ, spread, 1.0), 0.0)
