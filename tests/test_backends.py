"""The same config and seed, by graph and by hand: the first 20 updates. On Numba: `benchmarks/torture`."""

import helpers_backends as backends
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vpg", "ppo"])
def test_by_hand_learns_the_same(name, tmp_path, monkeypatch):
    """Every number of every record and the State at the end, to 1e-6; the actions it takes follow from them.

    Caught, when planted: the entropy's sign by hand; V(s_t) for V of the successor; Adam's step one too far.
    """
    monkeypatch.chdir(tmp_path)
    symbolic = backends.trained(name, tmp_path / "jax", backends.UPDATES)
    by_hand = backends.trained(name, tmp_path / "by-hand", backends.UPDATES, gradients="by_hand")
    assert backends.difference(symbolic, by_hand) < 1e-6
    assert len(backends.records(by_hand)) == backends.UPDATES


def test_a_difference_is_seen(tmp_path, monkeypatch):
    """Another seed, another rate: what the comparison is worth. Twice the same: nothing."""
    monkeypatch.chdir(tmp_path)
    one, same, slower = (
        backends.trained("vpg", tmp_path / name, 3, gradients="by_hand", **changes)
        for name, changes in (
            ("one", {}),
            ("same", {}),
            ("slower", {"schedules": {"learning_rate": {"initial": 0.0101}}}),
        )
    )
    assert backends.difference(one, same) == 0
    assert backends.difference(one, slower) > 1e-4
