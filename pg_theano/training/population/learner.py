"""A search of the policy's parameters as a `Program`: the loop cannot tell it from one that learns by gradients.

State is the search's memory, and `params`, the point where it stands: the policy that is evaluated, saved and watched.
The loop's rollout is a `Generation`: candidates, and the fitness of each.

    params [D]                   the search's mean, in the config's dtype
    search/...                   the search's own state, float64
    normalizer/...               running mean and variance of observations, where they are normalised
"""

import contextlib
from typing import Any, NamedTuple

import numpy as np

from pg_theano import parameters
from pg_theano.compiler import building, program
from pg_theano.compiler import functions as backends
from pg_theano.config.knobs import Config
from pg_theano.policies import acting
from pg_theano.spec import Spec
from pg_theano.training.population import searchers
from pg_theano.types import Array, Knobs, Program, Searcher, State, UserError

METRICS = ["cost", "gradient_norm", "fitness_best", "fitness_elites", "spread", "finite"]
NORMALIZER = ("normalizer/mean", "normalizer/variance", "normalizer/count")
SEARCH = "search/"


class Moments(NamedTuple):
    """The observations of each of N columns: their number, and the mean and Σ (o − mean)² of every feature."""

    number: Array  # [N, 1]
    mean: Array  # [N, F]
    squares: Array  # [N, F]


class Generation(NamedTuple):
    """A population after its episodes; the fitness of a candidate is its mean return."""

    candidates: Array  # [P, D]
    fitness: Array  # [P]
    seen: Moments | None


def load(
    config: Config, spec: Spec, report: backends.Report, around: building.Around = contextlib.nullcontext
) -> Program:
    """The program of an algorithm that searches. `around`: see `compiling.functions`."""
    algorithm, search = config.algorithm, _searcher_of(config, spec, report)
    dtype, features = spec.dtype, spec.acting.num_features
    compiled = _Compiled(config, spec, report, around)
    rows = algorithm.population_size * algorithm.episodes_per_candidate
    how = config.policy.act
    in_numpy = spec.acting.in_numpy and (
        how == "numpy" or (how == "auto" and acting.quicker_in_numpy(spec.acting, rows))
    )

    def init(rng: np.random.Generator) -> State:
        start = parameters.initial(rng, spec.acting.layout, "float64")
        state = _state_of(search.init(start), dtype)
        if spec.acting.normalize_observations:
            fresh = (np.zeros(features), np.ones(features), np.zeros(()))
            state |= dict(zip(NORMALIZER, (part.astype(dtype) for part in fresh), strict=True))
        return state

    def ask(state: State, rng: np.random.Generator, knobs: Knobs) -> Array:
        return search.ask(_search_of(state), rng, knobs)

    def train(state: State, generation: Generation, knobs: Knobs, minibatches: None) -> tuple[State, dict[str, float]]:
        if config.optimizer.max_gradient_norm is None:
            knobs = {name: value for name, value in knobs.items() if name != "max_gradient_norm"}
        told = search.tell(_search_of(state), generation.candidates, generation.fitness, knobs)
        new = state | _state_of(told, dtype)
        if generation.seen is not None:
            new |= normalizer_after(state, generation.seen, dtype)
        metrics = measured(generation, told["mean"] - state[f"{SEARCH}mean"], new)
        return (new if metrics["finite"] else state), metrics

    def gradient(*arguments: Any) -> Any:
        raise UserError(f"algorithm.name: {algorithm.name} follows no gradient of a loss; there is none to give")

    def act_alone(state: State, obs: Array, noise: Array, knobs: Knobs, choice: int, *memory: Array) -> Any:
        columns = np.repeat(np.asarray(state["params"])[:, None], len(obs), axis=1)
        action, *after = compiled.act(state | {"params": columns}, obs, *memory)
        return action, np.zeros(len(obs), dtype), *after

    act: Any = acting.numpy_act(spec.acting, with_log_prob=False) if spec.acting.in_numpy else act_alone
    example = init(np.random.default_rng(0))
    manifest = {
        "state": [[name, list(np.shape(value)), "search"] for name, value in example.items()],
        "takes": spec.learning.takes,
        "metrics": METRICS,
    }
    if spec.engine:
        manifest["environment"] = compiled.functions("rollout").manifest["environment"]
    return Program(
        init=init,
        act=act,
        train=train,
        gradient=gradient,
        rollout=compiled.rollout,
        prepare=compiled.prepare,
        manifest=manifest,
        ask=ask,
        act_all=acting.numpy_population_act(spec.acting) if in_numpy else compiled.act,
    )


def _searcher_of(config: Config, spec: Spec, report: backends.Report) -> Searcher:
    algorithm = config.algorithm
    return searchers.make(
        algorithm.name,
        size=spec.acting.num_params,
        population_size=algorithm.population_size,
        initial_std=algorithm.initial_std,
        covariance=algorithm.covariance,
        optimizer=config.optimizer.name,
        backend=config.backend,
        report=report,
    )


def measured(generation: Generation, step: Array, new: State) -> dict[str, float]:
    """The metrics of an update that moved the mean by `step` [D]."""
    fitness = np.sort(generation.fitness[np.isfinite(generation.fitness)])[::-1]  # NaN would stand first
    best = fitness[: max(1, len(fitness) // 4)]
    return {
        "cost": float(-fitness.mean()),
        "gradient_norm": float(np.linalg.norm(step)),
        "fitness_best": float(fitness[0]),
        "fitness_elites": float(best.mean()),
        "spread": float(np.std(generation.candidates, axis=0).mean()),
        "finite": float(all(np.isfinite(value).all() for value in new.values())),
    }


def _search_of(state: State) -> dict[str, Any]:
    return {name.removeprefix(SEARCH): value for name, value in state.items() if name.startswith(SEARCH)}


def _state_of(searching: dict[str, Any], dtype: str) -> State:
    named = {f"{SEARCH}{name}": np.asarray(value) for name, value in searching.items()}
    return {"params": np.asarray(searching["mean"], dtype)} | named


class _Compiled:
    """The compiled functions of a population, built at the first call: a run on Gymnasium may need none."""

    def __init__(self, config: Config, spec: Spec, report: backends.Report, around: building.Around):
        self._make = lambda first: program.functions(
            spec.module, spec, first, report=report, backend=config.backend, around=around
        )
        self._functions: Any = None

    def functions(self, first: str) -> Any:
        if self._functions is None:
            self._functions = self._make(first)
        return self._functions

    def rollout(self, state: State, values: dict[str, Any]) -> dict[str, Any]:
        return self.functions("rollout").call("rollout", {"E": values["env_state"].shape[1]}, state, values)

    def act(self, state: State, obs: Array, *memory: Array) -> tuple[Array, ...]:
        values = {"obs": obs} | dict(zip(("memory",), memory, strict=False))
        out = self.functions("act").call("act", {"E": len(obs)}, state, values)
        return np.asarray(out["action"]), *(np.array(out["memory"]) for _ in memory)

    def prepare(self, wanted: list[tuple]) -> None:
        if wanted:
            self.functions(wanted[0][0]).prepare(wanted)


# -- the observation normaliser


def moments_of(obs: Array, mask: Array) -> Moments:
    """Moments of each column's observations with mask 1. `obs` [T, N, F], `mask` [T, N]; in float64.

    Column by column, so that they do not depend on how workers share the columns.
    """
    real = np.asarray(mask, np.float64)[..., None]  # [T, N, 1]
    count = real.sum(axis=0)
    values = np.asarray(obs, np.float64) * real
    mean = values.sum(axis=0) / np.maximum(count, 1.0)
    deviations = (values - mean) * real
    return Moments(count, mean, (deviations * deviations).sum(axis=0))


def joined(a: Moments, b: Moments) -> Moments:
    """Moments of both together, column by column."""
    count = a.number + b.number
    bounded = np.maximum(count, 1.0)
    return Moments(count, *parameters.pooled(*a, b.number, b.mean - a.mean, b.squares, bounded=bounded))


def all_columns(seen: Moments) -> Moments:
    """Moments of all columns together.

    n = Σ n_e,   μ = Σ n_e·μ_e / n,   S = Σ [S_e + n_e·(μ_e − μ)²]
    """
    count = seen.number.sum(axis=0)
    mean = (seen.number * seen.mean).sum(axis=0) / count
    return Moments(count, mean, (seen.squares + seen.number * (seen.mean - mean) ** 2).sum(axis=0))


def normalizer_after(state: State, seen: Moments, dtype: str) -> State:
    """The normaliser's entries with a generation's observations in them; as they are where there are none."""
    if not seen.number.any():
        return {name: state[name] for name in NORMALIZER}
    mean, variance, count = (np.asarray(state[name], np.float64) for name in NORMALIZER)
    after = joined(Moments(count, mean, variance * count), all_columns(seen))
    values = (after.mean, after.squares / after.number, after.number.reshape(()))
    return {name: value.astype(dtype) for name, value in zip(NORMALIZER, values, strict=True)}
