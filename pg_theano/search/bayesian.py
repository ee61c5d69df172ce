"""Bayesian optimisation as an Optuna sampler: a Gaussian process and expected improvement; alone imports sklearn.

    k(u, u') = σ²·Matérn_{5/2}(|(u − u')/ℓ|) + σ_n²·[u = u']        one length scale ℓ_d a dimension
    EI(u)    = (y* − μ(u))·Φ(z) + s(u)·φ(z),   z = (y* − μ(u))/s(u)      Jones et al. 1998, eq. 15

for outcomes y that are minimised, y* the least of them, μ and s the process's mean and standard deviation at u. Points
are rows in [0, 1]^D (`spaces.encoded`), outcomes standardised. The candidates of a batch that have no outcome yet are
given the mean that the process expects there (the kriging believer of Ginsbourger et al. 2010), so that the next one
lies elsewhere. What failed counts as the worst outcome seen; what was pruned as its last rung's.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.search.axes import Axis, encoded, label, rows_of, uniform
from pg_theano.types import Array, UserError

FIRST = 10  # trials drawn uniformly before there is a process
CANDIDATES = 1000  # drawn uniformly, among which EI is maximised first
SPREADS = (0.2, 0.1, 0.05, 0.02, 0.005)  # then around the best: std of 100 more at each, in unit intervals


def expected_improvement(mean: Array, std: Array, best: float) -> Array:
    """E[max(best − Y, 0)] for Y ~ N(mean, std²). [N]; where std is 0, max(best − mean, 0)."""
    from scipy.special import erf

    gain = best - mean
    z = gain / np.maximum(std, 1e-300)
    cdf = 0.5 * (1.0 + erf(z / np.sqrt(2.0)))
    density = np.exp(-0.5 * np.clip(z, -38.0, 38.0) ** 2) / np.sqrt(2.0 * np.pi)
    return np.where(std > 0, gain * cdf + std * density, np.maximum(gain, 0.0))


class Process:
    """A Gaussian process fitted to outcomes [N] at points [N, D]; `believe` adds points without another fit."""

    def __init__(self, points: Array, outcomes: Array, seed: int):
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self._regressor = GaussianProcessRegressor
        spread = float(outcomes.std())
        self.mean, self.scale = float(outcomes.mean()), spread if spread > 0 else 1.0
        self.points, self.outcomes = points, (outcomes - self.mean) / self.scale
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.full(points.shape[1], 0.3), (3e-2, 10.0), nu=2.5)
        kernel += WhiteKernel(1e-2, (1e-6, 1.0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length scale at its bound is an axis that does not matter
            self.fitted = GaussianProcessRegressor(kernel, alpha=1e-8, random_state=seed).fit(points, self.outcomes)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """(mean [M], std [M]) of the standardised outcome itself, without its noise."""
        mean, std = self.fitted.predict(points, return_std=True)
        noise = float(self.fitted.kernel_.k2.noise_level)
        return mean, np.sqrt(np.maximum(std**2 - noise, 0.0))

    def believe(self, points: Array) -> None:
        """Take it that `points` [M, D] turn out as expected."""
        outcomes = self.fitted.predict(points)
        self.points = np.concatenate([self.points, points])
        self.outcomes = np.concatenate([self.outcomes, outcomes])
        self.fitted = self._regressor(self.fitted.kernel_, alpha=1e-8, optimizer=None).fit(self.points, self.outcomes)


def best_point(process: Process, axes: Sequence[Axis], rng: np.random.Generator) -> dict[str, Any]:
    """The point of the greatest expected improvement among many drawn, and among more around the best of them."""
    best = float(process.outcomes.min())

    def improvements(units: Array) -> Array:
        return expected_improvement(*process.predict(rows_of(axes, units)), best)

    units = rng.random((CANDIDATES, len(axes)))
    gains = improvements(units)
    top, gain = units[int(np.argmax(gains))], float(gains.max())
    chosen = np.array([axis.choices is not None for axis in axes])
    for spread in SPREADS:  # a number moves a little, a choice is drawn anew one time in five
        moved = np.clip(top + spread * rng.normal(size=(100, len(axes))), 0.0, 1.0)
        drawn = np.where(rng.random(moved.shape) < 0.2, rng.random(moved.shape), top)
        near = np.where(chosen, drawn, moved)
        gains = improvements(near)
        if gains.max() > gain:
            top, gain = near[int(np.argmax(gains))], float(gains.max())
    return {axis.name: axis.value(unit) for axis, unit in zip(axes, top, strict=True)}


def sampler_class(base: type, axes: Sequence[Axis], maximise: bool, generator: Callable[[int], Any]) -> type:
    """The sampler, as a class derived from Optuna's `BaseSampler`, which is given (only storage.py imports Optuna).

    `generator` (trial number) -> numpy Generator. One instance serves a batch: the process is fitted once for it.
    """
    try:
        import sklearn.gaussian_process  # noqa: F401
    except ImportError:
        raise UserError('search.method: bayesian needs scikit-learn: pip install "pg_theano[search]"') from None

    class ExpectedImprovement(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            self.process: Process | None = None
            self.believed: set[int] = set()

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}  # the trial's own distributions come one by one, in `sample_independent`

        def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
            return {}

        def before_trial(self, study: Any, trial: Any) -> None:
            self.point = self._point(study, trial.number)

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return label(self.point[param_name])

        def _point(self, study: Any, number: int) -> dict[str, Any]:
            before = [one for one in study.get_trials(deepcopy=False) if one.number < number]
            ended = [one for one in before if one.state.is_finished()]
            rng = generator(number)
            known = [one.value for one in ended if one.value is not None]
            if len(ended) < FIRST or not known:
                return uniform(axes, rng)
            sign = -1.0 if maximise else 1.0
            worst = max(sign * value for value in known)
            if self.process is None:
                outcomes = [worst if one.value is None else sign * one.value for one in ended]
                self.process = Process(self._rows(ended), np.array(outcomes), seed=len(ended))
            running = [one for one in before if not one.state.is_finished() and one.number not in self.believed]
            for one in running:  # one by one, as they were asked: the same to the last bit in a search resumed
                self.process.believe(self._rows([one]))
                self.believed.add(one.number)
            return best_point(self.process, axes, rng)

        def _rows(self, trials: list[Any]) -> Array:
            values = {axis.name: {label(choice): choice for choice in axis.choices or ()} for axis in axes}
            points = [{name: values[name].get(v, v) for name, v in one.params.items()} for one in trials]
            return encoded(axes, points)

    return ExpectedImprovement
