"""The random generators of a run: one for each purpose and index, all from its seed."""

import numpy as np

# One child of SeedSequence(seed) for each purpose and index: a generator's state follows from the counters, so that
# the counters are all that a checkpoint must hold, and nothing that one purpose draws shifts another.
INITIAL_WEIGHTS, EPISODE_SEEDS, ACTION_NOISE, MINIBATCHES, EVALUATION, CONFIRMATION, EVALUATE_COMMAND, CANDIDATES = (
    range(8)
)


def child(seed: int, purpose: int, index: int = 0) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(purpose, index))


def generator(seed: int, purpose: int, index: int = 0) -> np.random.Generator:
    return np.random.default_rng(child(seed, purpose, index))
