"""jaxlib 0.11.1 makes scans quadratic: it is left out, and the jaxlib that is installed does not."""

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import scans

ROOT = Path(__file__).parents[1]


def test_the_range_of_jaxlib_leaves_out_the_one_that_is_quadratic():
    """As `benchmarks/scans.md` has them. Caught, when planted: jax alone in `pyproject.toml`, as it was: pip took 0.11.1."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    allowed = {one.name: one.specifier for one in map(Requirement, asked)}["jaxlib"]
    assert [version for version in ("0.9.2", "0.11.1", "0.13.0") if version in allowed] == []
    assert all(version in allowed for version in ("0.10.0", "0.10.2", "0.11.0", "0.11.2", "0.12.0", "0.12.0.1"))


def test_a_scan_is_linear_in_its_length():
    """With the jaxlib that is installed. Caught: jaxlib 0.11.1, with an exponent of 2.2 to 2.8."""
    assert scans.exponent([scans.seconds(4, length) for length in scans.LENGTHS]) <= scans.MOST


def test_the_exponent_is_the_slope_of_the_logarithms():
    for power in (1.0, 2.0):
        assert scans.exponent([3e-6 * length**power for length in scans.LENGTHS]) == pytest.approx(power)
