"""Symbolic, by hand, numerical: every layer, distribution and objective, over random shapes. More: `torture`."""

import helpers_derivations as derivations
import pytest

from pg_theano.by_hand import layers
from pg_theano.graphs import distributions, objectives
from pg_theano.graphs.layers import dense


@pytest.mark.parametrize("name", derivations.EVERYTHING)
def test_three_derivations_agree(name):
    """To 1e-12 between graph and paper, values too where there is a twin; to 1e-8 against differences.

    Caught, when planted: y·(1 + y) for the sigmoid by hand; old and new exchanged in the Gaussian's KL; the entropy of a
    squashed box without its slope; other features in the noise; ε left out of the mixture; by hand the clip on the wrong
    side; the smaller value loss; padding in the policy gradient's loss.
    """
    by_hand, numerical = derivations.worst(name, seed=0, number=4)
    assert by_hand <= derivations.BY_HAND
    assert numerical <= derivations.NUMERICAL


def test_nothing_is_left_out():
    """A layer, distribution or loss that is new must be derived three times too."""
    assert set(dense.ACTIVATIONS) == set(layers.ACTIVATIONS) <= set(derivations.LAYERS)
    laws = {name.lower() for name, law in vars(distributions).items() if isinstance(law, distributions.Distribution)}
    assert laws | {"squashed"} <= set(derivations.DISTRIBUTIONS)
    losses = {name for name in vars(objectives) if name.endswith("_loss")} | {"kl_of_samples"}
    assert {name.removesuffix("_loss") for name in losses} == set(derivations.OBJECTIVES) - {"searched"}
