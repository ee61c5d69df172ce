"""What a rollout draws: its shape, its distribution, and how it hangs together in time."""

import numpy as np
import pytest
from scipy import stats

from pg_theano.training import seeding
from pg_theano.training.playing import noise


def drawn(seed=0, **changes):
    wanted = {"kind": "normal", "color": "white", "steps": 6, "rows": 4, "size": 2, "dtype": "float64"} | changes
    shape = tuple(wanted.pop(name) for name in ("steps", "rows", "size"))
    return noise.draw(np.random.default_rng(seed), shape, **wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kind", "color"),
    [("uniform", "white"), ("normal", "white"), ("normal", "pink"), ("uniform", "held"), ("normal", "held")],
)
def test_noise_has_its_shape_and_dtype_and_is_its_seeds(kind, color, dtype):
    """Caught, when planted: float64 amid float32; a generator of the module's own."""
    one, again, other = (drawn(seed, kind=kind, color=color, dtype=dtype) for seed in (0, 0, 1))
    assert one.shape == (6, 4, 2) and one.dtype == dtype
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_white_noise_is_one_call_of_the_generator():
    """As rollouts have always drawn it. Caught, when planted: rows drawn one by one."""
    uniform = drawn(kind="uniform", dtype="float32")
    assert np.array_equal(uniform, np.random.default_rng(0).random((6, 4, 2), "float32"))
    normal = drawn(dtype="float32")
    assert np.array_equal(normal, np.random.default_rng(0).standard_normal((6, 4, 2), "float32"))


def test_held_noise_is_one_draw_for_every_step():
    """Caught, when planted: one draw for every row too."""
    held = drawn(color="held")
    assert np.array_equal(held, np.broadcast_to(held[0], held.shape))
    assert len(np.unique(held[0])) == 8
    assert not held.flags.writeable


@pytest.mark.parametrize(("every", "draws"), [(1, 6), (2, 3), (4, 2), (6, 1), (9, 1)])
def test_held_noise_is_drawn_anew_as_often_as_asked(every, draws):
    """Caught, when planted: one draw held for the whole rollout; a last draw that is not cut off."""
    held = drawn(color="held", every=every)
    assert held.shape == (6, 4, 2)
    assert all(np.array_equal(held[step], held[step // every * every]) for step in range(6))
    assert len({row.tobytes() for row in held}) == draws


def test_every_purpose_and_every_update_has_noise_of_its_own():
    """Caught, when planted: the update left out of the key; the purpose left out; a seed that is added to them."""
    keys = [(seed, purpose, update) for seed in range(4) for purpose in range(8) for update in range(40)]
    assert len({seeding.generator(*key).integers(2**62) for key in keys}) == len(keys)
    assert seeding.generator(1, 2, 3).random() == seeding.generator(1, 2, 3).random()


def test_pink_noise_is_not_uniform():
    with pytest.raises(ValueError, match="pink noise is normal"):
        drawn(color="pink", kind="uniform")


# -- pink


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 9, 100, 101])
def test_pink_noise_is_standard_normal_at_every_step(steps):
    """Even lengths and odd ones. Caught, when planted: negative frequencies forgotten in the variance, or the highest one
    of an even length counted twice; the frequency 0 without power (a single step would be 0).
    """
    pink = drawn(color="pink", steps=steps, rows=5000, size=4)
    error = 5 * np.sqrt(2 / 20_000)  # five standard deviations of a variance of 20,000 draws
    assert np.abs(pink.var(axis=(1, 2)) - 1).max() < error
    assert np.abs(pink.mean(axis=(1, 2))).max() < 5 / np.sqrt(20_000)
    assert stats.kstest(pink[steps // 2].ravel(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("steps", [512, 501])
def test_the_power_of_pink_noise_falls_as_one_over_the_frequency(steps):
    """The slope of log power over log frequency, mean of 2,000 sequences: −1. Timmer and König 1995.

    Caught, when planted: amplitudes that fall as 1/f (slope −2); white noise (0).
    """
    pink = drawn(color="pink", steps=steps, rows=500, size=4)
    power = (np.abs(np.fft.rfft(pink, axis=0)) ** 2).mean(axis=(1, 2))[1 : steps // 2]
    slope, _ = np.polyfit(np.log(np.arange(1, steps // 2)), np.log(power), 1)
    assert slope == pytest.approx(-1, abs=0.03)


def test_pink_noise_hangs_together_in_time_and_in_time_alone():
    """Neighbours are alike, the less so the further apart; rows and components have nothing to do with one another.

    Caught, when planted: the transform along the rows; one sequence for all components.
    """
    pink = drawn(color="pink", steps=128, rows=500, size=4)
    alike = [(pink[lag:] * pink[:-lag]).mean() for lag in (1, 4, 16)]
    assert alike[0] > alike[1] > alike[2] > 0.05
    assert alike[0] > 0.6
    sequences = pink.reshape(128, -1)
    between = np.corrcoef(sequences[:, :1000].ravel(), sequences[:, 1000:].ravel())[0, 1]
    assert abs(between) < 0.06
    assert abs((pink[:, :, 0] * pink[:, :, 1]).mean()) < 0.12
    assert abs((pink[:, 1:] * pink[:, :-1]).mean()) < 0.06
