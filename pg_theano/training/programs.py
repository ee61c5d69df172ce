"""The program of a spec, and who acts by it: the compiled graph, or NumPy."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.compiler import functions
from pg_theano.compiler import program as compiling
from pg_theano.compiler.building import around
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.declared import declared
from pg_theano.config.knobs import Config
from pg_theano.policies import acting
from pg_theano.spec import Spec
from pg_theano.training.playing import noise
from pg_theano.types import Program


def load(
    config: Config,
    spec: Spec,
    report: functions.Report,
    folders: Sequence[Path] = (),
    *,
    first: str = "train",
    agents: bool = False,
) -> Program:
    """The program of a spec: compiled, or the NumPy twin. `first` and `agents`: see `compiling.load`."""
    spec = declared(config, spec)
    if config.gradients == "by_hand":
        from pg_theano.by_hand import program as twin

        return twin.load(spec)
    if ALGORITHMS[config.algorithm.name].searches:
        from pg_theano.training.population import learner

        return learner.load(config, spec, report, around(spec, folders))
    program = compiling.load(
        spec,
        backend=config.backend,
        report=report,
        around=around(spec, folders),
        rows=config.environment.num_envs,
        first=first,
        agents=agents,
    )
    return program._replace(act=acting_for(config, spec, program))


def acting_for(config: Config, spec: Spec, program: Program | None) -> Callable[..., Any]:
    """Who chooses actions: the compiled graph, or NumPy where it is quicker, asked for, or all there is."""
    if spec.acting.in_numpy and (program is None or acts_in_numpy(config, spec)):
        return acting.numpy_act(
            spec.acting, with_log_prob=program is not None and "log_prob" in program.manifest["takes"]
        )
    assert program is not None  # noqa: S101  a policy of one's own has no NumPy twin: see `acting_alone`
    return program.act


def acts_in_numpy(config: Config, spec: Spec) -> bool:
    """Whether a dense policy's actions are NumPy's while it is trained."""
    how, rows = config.policy.act, config.environment.num_envs
    return spec.acting.in_numpy and (how == "numpy" or (how == "auto" and acting.quicker_in_numpy(spec.acting, rows)))


def acting_alone(config: Config, spec: Spec, folders: Sequence[Path]) -> Callable[..., Any]:
    """The function that chooses actions outside of training: NumPy's, or the compiled graph of a user's own policy."""
    if spec.acting.in_numpy:
        return acting_for(config, spec, None)
    return load(config, spec, lambda what, seconds: None, folders, first="act").act


def noise_of(config: Config, spec: Spec) -> Callable[..., Any]:
    """draw(rng, steps, rows) -> noise [steps, rows, U] that the policy's samples are made of."""
    kind, size = spec.acting.noise_kind
    color: Any = {"white": "white", "pink": "pink", "state_dependent": "held"}[spec.acting.noise]
    every, dtype = config.policy.noise_every, spec.dtype

    def draw(rng: np.random.Generator, steps: int, rows: int) -> Any:
        return noise.draw(rng, (steps, rows, size), kind=kind, color=color, every=every, dtype=dtype)

    return draw
