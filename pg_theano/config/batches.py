"""Which minibatches there can be: too many of too few steps, or sequences of a policy that remembers."""

from collections.abc import Iterator
from typing import Any

from pg_theano.config.algorithms import ALGORITHMS

Wrong = tuple[str, str]
"""A knob, and what is wrong with it."""


def too_small(config: Any) -> Iterator[Wrong]:
    """More minibatches than steps, or minibatches of one step, whose standardised advantage is 0."""
    algorithm = config.algorithm
    if not ALGORITHMS[algorithm.name].reads("algorithm.num_minibatches"):
        return
    if algorithm.num_steps is None:
        if algorithm.sequence_length is not None:
            got = f"got {algorithm.sequence_length} with algorithm.num_steps=null"
            yield "algorithm.sequence_length", f"{got}: whole episodes are not cut; try algorithm.num_steps=64"
        return
    if remembers(config):
        yield from _sequences(config)
        return
    if algorithm.sequence_length is not None:
        got = f"got {algorithm.sequence_length} of a policy that does not remember"
        yield "algorithm.sequence_length", f"{got}; expected null; try policy.network=[{{dense: 64}}, {{gru: 64}}]"
    steps, number = config.environment.num_envs * algorithm.num_steps, algorithm.num_minibatches
    rollout = f"{config.environment.num_envs:,} environments x {algorithm.num_steps:,} steps"
    if number > steps:
        yield (
            "algorithm.num_minibatches",
            f"got {number:,} of a rollout of {steps:,} steps ({rollout}); expected at most "
            f"as many as there are steps; try {max(1, min(4, steps // 2))}",
        )
    if number > steps // 2 and number > 1 and algorithm.standardize_advantages:
        yield (
            "algorithm.num_minibatches",
            f"got {number:,} of a rollout of {steps:,} steps ({rollout}): a minibatch of "
            "one step, whose standardised advantage is 0; expected minibatches of two steps or more; try "
            f"{max(1, min(4, steps // 2))}, or algorithm.standardize_advantages=false",
        )


def remembers(config: Any) -> bool:
    """Whether the networks of a config have layers that remember."""
    written = (config.policy.network, config.policy.value_network)
    kinds = [kind for layers in written if isinstance(layers, list) for one in layers for kind in _kinds(one)]
    return not {"gru", "lstm"}.isdisjoint(kinds)


def _kinds(layer: Any) -> list[str]:
    return list(layer) if isinstance(layer, dict) else [str(layer)]


def _sequences(config: Any) -> Iterator[Wrong]:
    """Sequences that are no part of a stretch, or too few of them for the minibatches."""
    algorithm, length = config.algorithm, config.algorithm.sequence_length or config.algorithm.num_steps
    if algorithm.num_steps % length:
        yield (
            "algorithm.sequence_length",
            f"got {length}, which does not divide algorithm.num_steps={algorithm.num_steps}; expected a divisor of it",
        )
    sequences = config.environment.num_envs * max(algorithm.num_steps // length, 1)
    if algorithm.num_minibatches > sequences:
        yield (
            "algorithm.num_minibatches",
            f"got {algorithm.num_minibatches:,} of {sequences:,} sequences, which is what a policy that remembers is "
            f"learned from; expected at most as many; try {max(1, sequences // 4)}, or algorithm.sequence_length",
        )
