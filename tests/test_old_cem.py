"""The legacy cross-entropy method: it solves CartPole, repeats itself, and selects and spreads as its equations say."""

import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

SCRIPT = Path(__file__).parents[1] / "old" / "cem.py"
spec = importlib.util.spec_from_file_location("old_cem", SCRIPT)
cem = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cem)


def run(*arguments, cwd=None):
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=cwd)


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_solves_cartpole(seed):
    """Caught, when planted: the worst as elites."""
    finished = run("--seed", seed, "--no-plot")
    assert finished.returncode == 0
    assert finished.stdout.splitlines()[-1].startswith("solved (threshold 475): mean return")


def test_output_is_a_function_of_the_seed():
    """Caught, when planted: a sampling generator without the seed, and one whose seed is always 0."""
    first, again, other = (run("--seed", seed, "--generations", "2", "--no-plot").stdout for seed in "778")
    assert first.count("\n") == 3  # a line for each generation and the evaluation's
    assert first == again
    assert first != other


def test_learning_curve_is_saved_in_plots(tmp_path):
    small = ("--generations", "2", "--population", "4")
    finished = run(*small, cwd=tmp_path)
    picture = Path("plots") / "old-cem-CartPole-v1.png"
    assert finished.stdout.splitlines()[-1] == f"learning curve: {picture}"
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--env", "NoSuchThing-v0"), "NoSuchThing"),
        (("--env", "no_such_module:Thing-v0"), "no_such_module"),
        (("--env", "Blackjack-v1"), "expected a Box"),
        (("--elite-fraction", "0"), "got 0; expected a number above 0 and not above 1"),
        (("--elite-fraction", "1.5"), "got 1.5"),
        (("--elite-fraction", "nan"), "got nan"),
        (("--population", "1"), "2 or more"),
        (("--extra-std", "-1"), "0 or more"),
        (("--seed", "-1"), "0 or more"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, said):
    finished = run(*arguments, "--no-plot")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1
    assert said in finished.stderr


def test_elites_are_the_best_first_drawn_first():
    """Caught, when planted: the worst rather than the best, and elites in ascending order."""
    assert cem.best_of(np.array([3.0, -1.0, 9.0, 3.0, 7.0]), 4).tolist() == [2, 4, 0, 3]


def test_update_fits_mean_and_standard_deviation():
    """By hand: the variances of {0, 6} and {1, 3} are 9 and 1. Caught, when planted: variance returned as std."""
    gaussian = cem.update(np.array([[0.0, 1.0], [6.0, 3.0]]), extra_std=0.0)
    assert gaussian.mean.tolist() == [3.0, 2.0]
    assert gaussian.std.tolist() == [3.0, 1.0]


def test_extra_noise_adds_as_a_variance():
    """3² + 4² = 5². Caught, when planted: extra_std added to the std (7), or added to the variance unsquared (√13)."""
    gaussian = cem.update(np.array([[0.0], [6.0]]), extra_std=4.0)
    assert gaussian.std.tolist() == [5.0]


def test_exponential_decay():
    """A rate of ln 2 halves at every generation. Caught, when planted: no decay, and a first step already decayed."""
    values = [cem.exponential_decay(8.0, math.log(2.0), k) for k in range(4)]
    assert np.allclose(values, [8.0, 4.0, 2.0, 1.0], rtol=1e-12)


def test_search_decays_the_elites_and_the_extra_noise(monkeypatch):
    """Caught, when planted: either decay left out of the search, or printed only."""
    seen = []

    def update(elites, extra_std):
        seen.append((len(elites), round(extra_std, 9)))
        return cem.Gaussian(elites.mean(axis=0), elites.std(axis=0))

    monkeypatch.setattr(cem, "update", update)
    halve = str(math.log(2.0))
    options = cem.parse_options(
        ["--generations", "3", "--population", "16", "--elite-fraction", "0.5", "--elite-decay", halve]
        + ["--extra-std", "4", "--extra-std-decay", halve]
    )
    cem.search(cem.make("CartPole-v1"), options)
    assert seen == [(8, 4.0), (4, 2.0), (2, 1.0)]


def test_elite_count_is_never_below_two():
    assert [cem.elite_count(50, fraction) for fraction in (1.0, 0.2, 0.01, 1e-9)] == [50, 10, 2, 2]


def test_discrete_policy_takes_the_largest_output_and_minds_where_the_space_starts():
    """obs (1, 2): outputs 1·1 + 2·0 + 0 and 1·0 + 2·1 − 1.5 and 0. Caught, when planted: bias or start left out."""
    params = np.array([1, 0, 0, 0, 1, 0, 0, -1.5, 0], dtype=float)
    assert cem.linear_policy(params, Discrete(3, start=5))(np.array([1.0, 2.0])) == 5


def test_box_policy_is_clipped_to_the_bounds():
    space = Box(np.float32([[-1.0, -1.0]]), np.float32([[1.0, 5.0]]))
    action = cem.linear_policy(np.array([4.0, 4.0, 0.0, -1.0]), space)(np.array([[1.0]]))
    assert action.tolist() == [[1.0, 3.0]]
    assert action.dtype == np.float32
