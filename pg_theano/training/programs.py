"""From a config and a task to a program: the part of the config that shapes the graph, and the part that does not."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano import parameters
from pg_theano.compiler import building, cached, functions
from pg_theano.compiler import program as compiling
from pg_theano.config import rules, schedules
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.environments import making
from pg_theano.environments.sound import LONGEST_EPISODE
from pg_theano.policies import acting
from pg_theano.system.importing import fingerprint, importable
from pg_theano.training.playing import noise
from pg_theano.training.playing.compiled import chunk_of
from pg_theano.types import NARROW, Problem, Program, Task, UserError

# One child of SeedSequence(seed) for each purpose and index: a generator's state follows from the counters, so that
# the counters are all that a checkpoint must hold, and nothing that one purpose draws shifts another.
INITIAL_WEIGHTS, EPISODE_SEEDS, ACTION_NOISE, MINIBATCHES, EVALUATION, CONFIRMATION, EVALUATE_COMMAND, CANDIDATES = (
    range(8)
)

MANY_EPISODES = 64
"""From as many on, learning from one time step of a record after the other saves more than its graph takes to build."""


def child(seed: int, purpose: int, index: int = 0) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(purpose, index))


def generator(seed: int, purpose: int, index: int = 0) -> np.random.Generator:
    return np.random.default_rng(child(seed, purpose, index))


def environment_of(config: Config, folders: Sequence[Path]) -> Any:
    """The compiled engine, where it is wanted and is the same task; else Gymnasium's environments."""
    knobs, engine = config.environment, None
    if config.gradients == "symbolic":
        engine = making.engine_of(knobs, dtype=config.dtype, backend=config.backend, folders=folders)
    try:
        return engine or making.make(
            knobs,
            num_envs=knobs.num_envs,
            dtype=config.dtype,
            folders=folders,
            squash=config.policy.squash,
            single_environments=config.algorithm.num_steps is not None or ALGORITHMS[config.algorithm.name].searches,
        )
    except UserError as error:
        if error.problem.where != knobs.id:
            raise
        raise UserError(Problem.of(f"environment.{'kwargs' if knobs.kwargs else 'id'}", str(error))) from error


def spec_of(config: Config, task: Task, environment: Any = None, folders: Sequence[Path] = ()) -> dict[str, Any]:
    """All that shapes the graph, as plain data. What is missing here (rates, discounts, schedules) is an input.

    `environment` is the compiled engine, where there is one: its dynamics are part of the graph. What an algorithm does
    not read is left at one value, so that it compiles nothing anew.
    """
    algorithm, policy, space = config.algorithm, config.policy, task.action
    rules.check_actions(config, task)
    record = ALGORITHMS[algorithm.name]
    learns_values, searches = record.learns_values, record.searches
    dynamics = getattr(environment, "dynamics", None)
    chunk = (algorithm.num_steps or chunk_of(task.time_limit)) if dynamics else None
    layout = _layout(config, task, folders)
    size = parameters.count(layout)
    _check_size(size, "policy.hidden")
    minibatches = record.reads("algorithm.num_minibatches")
    return {
        "algorithm": "population" if searches else algorithm.name,
        "obs_size": task.obs_size,
        "action": space._asdict(),
        "squash": policy.squash and space.kind == "box",
        "log_std": policy.log_std if space.kind == "box" else "state_independent",
        "noise": policy.noise if space.kind == "box" else "white",
        "policy": policy.name,
        "policy_kwargs": policy.name_kwargs,
        "policy_source": _source("policy.name", policy.name, folders),
        "objective": None if algorithm.objective == "default" else algorithm.objective,
        "objective_kwargs": algorithm.objective_kwargs,
        "objective_source": _source("algorithm.objective", algorithm.objective, folders),
        "logistic": policy.logistic,
        "shared": policy.shared,
        "num_outputs": parameters.num_outputs(space._asdict(), policy.log_std, policy.logistic),
        "layout": [[name, list(shape), how] for name, shape, how in layout],
        "num_params": size,
        "num_value_params": parameters.count([entry for entry in layout if entry[0].startswith("value/")]),
        "activation": policy.activation,
        "signal": algorithm.signal,
        "baseline": algorithm.baseline if not searches else "none",
        "standardize_advantages": algorithm.standardize_advantages,
        "average": algorithm.average,
        "advantage": algorithm.advantage if learns_values else None,
        "bootstrap_steps": algorithm.bootstrap_steps if algorithm.advantage == "n_step" else None,
        "num_steps": algorithm.num_steps if learns_values else None,
        "num_epochs": algorithm.num_epochs if minibatches else None,
        "num_minibatches": algorithm.num_minibatches if minibatches else None,
        "clips_value": "algorithm.value_clip_range" in record.switches and algorithm.value_clip_range is not None,
        "uses_target_kl": "algorithm.target_kl" in record.switches and algorithm.target_kl is not None,
        "uses_entropy": "algorithm.entropy_coefficient" in record.switches and algorithm.entropy_coefficient > 0,
        "num_cg_iterations": algorithm.num_cg_iterations if record.reads("algorithm.num_cg_iterations") else None,
        "num_line_search_steps": algorithm.num_line_search_steps
        if record.reads("algorithm.num_line_search_steps")
        else None,
        "exploration": config.exploration.name,
        "optimizer": config.optimizer.name if not searches else "sgd",
        "clips_gradient": config.optimizer.max_gradient_norm is not None,
        "normalize_observations": config.normalize.observations,
        "normalize_rewards": config.normalize.rewards,
        "dtype": config.dtype,
        "time_limit": task.time_limit,
        "max_steps": task.time_limit or LONGEST_EPISODE,
        "dynamics": dynamics,
        "dynamics_source": getattr(environment, "source", None),
        "chunk": chunk,
        "step_by_step": dynamics is not None and _learns_step_by_step(config, space.kind, layout),
    }


def _learns_step_by_step(config: Config, kind: str, layout: parameters.Layout) -> bool:
    """Whether one time step after the other is quicker: many episodes, narrow layers, the plain loss of a softmax."""
    algorithm, widths = config.algorithm, [shape[0] for _, shape, *_ in layout if len(shape) == 2]
    plain = algorithm.objective == "default" and algorithm.entropy_coefficient == 0
    of_a_softmax = config.policy.name == "dense" and kind == "discrete" and max(widths) <= NARROW
    return (
        ALGORITHMS[algorithm.name].step_by_step
        and plain
        and of_a_softmax
        and schedules.episodes_at(config, 0) >= MANY_EPISODES
    )


def _layout(config: Config, task: Task, folders: Sequence[Path]) -> parameters.Layout:
    """Names, shapes and initial values of the policy's parameters, then of the value network's."""
    policy, how = config.policy, config.policy.initialization
    inputs, space = task.obs_size, task.action
    record = ALGORITHMS[config.algorithm.name]
    outputs = parameters.num_outputs(space._asdict(), policy.log_std, policy.logistic)
    value_hidden = policy.hidden if policy.value_hidden is None else policy.value_hidden

    def dense(sizes: list[int], prefix: str, last_gain: float) -> parameters.Layout:
        return parameters.dense_layout(sizes, prefix, initialization=how, last_gain=last_gain)

    layout: parameters.Layout = []
    if policy.name != "dense":
        layout += own_parameters(policy.name, inputs, outputs, policy.name_kwargs, folders)
    elif policy.shared and policy.hidden:
        layout += dense([inputs, *policy.hidden], "shared", 2**0.5)
        layout += dense([policy.hidden[-1], outputs], "policy", 0.01)
    else:
        layout += dense([inputs, *policy.hidden, outputs], "policy", 0.01)
    chance = not record.searches  # a search's policy has none, and so no log σ
    if chance and space.kind == "box" and policy.log_std == "state_independent":
        shape = (policy.hidden[-1], space.size) if policy.noise == "state_dependent" else (space.size,)
        layout.append(("policy/log_std", shape, ["constant", policy.initial_log_std]))
    if record.learns_values:
        if policy.shared and policy.hidden:
            layout += dense([policy.hidden[-1], 1], "value", 1.0)
        else:
            layout += dense([inputs, *value_hidden, 1], "value", 1.0)
    return layout


def own_parameters(
    name: str, obs_size: int, num_outputs: int, kwargs: Mapping[str, Any], folders: Sequence[Path] = ()
) -> parameters.Layout:
    """What the `parameters` beside a user's policy says: (name, shape, initialiser), checked.

    Kept in the cache folder under the fingerprint of its sources, so that the next run need not import them, nor
    PyTensor with them.
    """
    facts = {
        "parameters": name,
        "source": _source("policy.name", name, folders),
        "sizes": [obs_size, num_outputs],
        "kwargs": kwargs,
    }

    def asked() -> list[Any]:
        with importable(folders, [name]):
            return _asked_for_parameters(name, obs_size, num_outputs, kwargs)

    return [(key, tuple(shape), how) for key, shape, how in cached.remembered(facts, asked)]


def _asked_for_parameters(name: str, obs_size: int, num_outputs: int, kwargs: Mapping[str, Any]) -> parameters.Layout:
    module, _, function = name.partition(":")
    where = f"parameters() of {module}"
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise UserError(
            Problem.of(
                "policy.name",
                f"{module} cannot be imported ({type(error).__name__}: {error})",
                "a module of this Python",
                f"python -c 'import {module}'",
            )
        ) from error
    for wanted in (function, "parameters"):
        if not callable(getattr(found, wanted, None)):
            raise UserError(Problem.of("policy.name", f"{module} has no function {wanted!r}"))
    try:
        entries = [*found.parameters(obs_size, num_outputs, **kwargs)]
    except Exception as error:
        raise UserError(Problem.of("policy.name", f"{where} raised {type(error).__name__}: {error}")) from error
    layout: parameters.Layout = []
    for entry in entries:
        match entry:
            case [str() as key, [*sizes], how] if all(isinstance(size, int) and size > 0 for size in sizes):
                layout.append((f"policy/{key}", tuple(sizes), how))
            case _:
                expected = "(name, shape, initialiser), sizes from 1"
                raise UserError(Problem.of("policy.name", f"{where} gave {entry!r:.80}", expected))
    if not layout:
        raise UserError(Problem.of("policy.name", f"{where} gave nothing; {function} has nothing to learn"))
    names = [key for key, *_ in layout]
    twice = next((key for key in names if names.count(key) > 1), None)
    if twice or "policy/log_std" in names:
        which = f"two arrays {twice[7:]!r}" if twice else "an array 'log_std', which a Box gets from us"
        raise UserError(Problem.of("policy.name", f"{where} gave {which}", "another name"))
    _check_size(parameters.count(layout), "policy.name", f"{where}: ")
    try:
        parameters.initial(np.random.default_rng(0), layout, "float32")
    except UserError as error:
        array = error.problem.where.removeprefix("policy/")
        raise UserError(Problem.of("policy.name", str(error.problem._replace(where=f"{where}: {array}")))) from None
    return layout


def _check_size(size: int, knob: str, whose: str = "") -> None:
    if size > 200_000_000:
        got = f"{whose}got {size:,} parameters, which need {size * 12 / 1e9:,.0f} GB of memory with their optimiser"
        raise UserError(Problem.of(knob, got, "at most 200,000,000", "smaller layers"))


def _source(knob: str, name: str, folders: Sequence[Path]) -> str | None:
    """The fingerprint of a user's own function: its file, and all that it imports from beside it."""
    if ":" not in name:
        return None
    return fingerprint(name, folders, knob=knob)


def declared(config: Config, spec: dict[str, Any]) -> dict[str, Any]:
    """The spec with what graphs must know of the algorithm's declaration, which is no part of a run's file.

    takes        fields of a rollout that it learns from
    optimizers   see `Algorithm.optimizers`
    knobs        names of the inputs of graphs
    """
    record = ALGORITHMS[config.algorithm.name]
    seen = ["obs"] if record.searches and spec["normalize_observations"] else []
    of_graphs = [one for one in ALGORITHMS.values() if not one.searches]
    knobs = [name for name, section in schedules.INPUTS.items() if any(r.reads(f"{section}.{name}") for r in of_graphs)]
    return spec | {"takes": [*seen, *record.takes], "optimizers": list(record.optimizers), "knobs": knobs}


def load(
    config: Config,
    spec: dict[str, Any],
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


def around(spec: dict[str, Any], folders: Sequence[Path]) -> building.Around:
    """A context in which the user's own parts of a spec can be imported.

    Raises `UserError` where one of them is no longer what the spec was made of: what is built now would be kept under
    the old one's key, and a run would be evaluated with another policy than it trained.
    """
    knobs = {"policy": "policy.name", "objective": "algorithm.objective", "dynamics": "environment.dynamics"}

    @contextlib.contextmanager
    def entered() -> Iterator[None]:
        for part, knob in knobs.items():
            recorded = spec[f"{part}_source"]
            if spec[part] and recorded is not None and fingerprint(spec[part], folders, knob=knob) != recorded:
                raise UserError(
                    Problem.of(knob, f"{spec[part]} has changed since, and what was compiled of it is not kept here")
                )
        with importable(folders, [spec[part] for part in knobs]):
            yield

    return entered


def acting_for(config: Config, spec: dict[str, Any], program: Program | None) -> Callable[..., Any]:
    """Who chooses actions: the compiled graph, or NumPy where it is quicker, asked for, or all there is."""
    if spec["policy"] == "dense" and (program is None or acts_in_numpy(config, spec)):
        return acting.numpy_act(spec, with_log_prob=program is not None and "log_prob" in program.manifest["takes"])
    assert program is not None  # noqa: S101  a policy of one's own has no NumPy twin: see `acting_alone`
    return program.act


def acts_in_numpy(config: Config, spec: dict[str, Any]) -> bool:
    """Whether a dense policy's actions are NumPy's while it is trained."""
    how, rows = config.policy.act, config.environment.num_envs
    return spec["policy"] == "dense" and (how == "numpy" or (how == "auto" and acting.quicker_in_numpy(spec, rows)))


def acting_alone(config: Config, spec: dict[str, Any], folders: Sequence[Path]) -> Callable[..., Any]:
    """Who chooses actions where nothing is trained: NumPy; the compiled graph for a policy of one's own."""
    if spec["policy"] == "dense":
        return acting_for(config, spec, None)
    return load(config, spec, lambda what, seconds: None, folders, first="act").act


def noise_of(config: Config, spec: dict[str, Any]) -> Callable[..., Any]:
    """draw(rng, steps, rows) -> noise [steps, rows, U] that the policy's samples are made of."""
    kind: Any
    kind, size = parameters.noise_of(spec)
    color: Any = {"white": "white", "pink": "pink", "state_dependent": "held"}[spec["noise"]]
    every, dtype = config.policy.noise_every, spec["dtype"]

    def draw(rng: np.random.Generator, steps: int, rows: int) -> Any:
        return noise.draw(rng, (steps, rows, size), kind=kind, color=color, every=every, dtype=dtype)

    return draw
