"""Which knobs go together: what an algorithm does not read, and what contradicts itself. What a task rules out is in
`actions.py`.

These are checks of a whole config. The bounds of each knob by itself stand in `knobs.py`.
"""

import re
from collections.abc import Iterator
from typing import Any

from pg_theano.config import batches
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.batches import Wrong
from pg_theano.types import Problem

WITH_TWIN = " or ".join(name for name, record in ALGORITHMS.items() if record.twin)


def foreign_knobs(config: Any) -> Iterator[Problem]:
    """Knobs that the algorithm does not read, and that are not at their defaults."""
    record = ALGORITHMS[config.algorithm.name]
    for section, part in config:
        for key, field in getattr(type(part), "model_fields", {}).items():
            knob, value = f"{section}.{key}", getattr(part, key)
            if not record.reads(knob) and value != record.defaults.get(section, {}).get(key, field.default):
                readers = ", ".join(one.name for one in ALGORITHMS.values() if one.reads(knob))
                yield Problem.of(
                    knob,
                    f"got {_named(value)}, which {record.name} does not read; expected algorithm.name to be "
                    f"one of {readers}; try leaving it out",
                )


def _named(value: Any) -> str:
    return shown(value) if isinstance(value, (bool, int, float, str, list, type(None))) else "a schedule"


def contradictions(config: Any) -> Iterator[Problem]:
    """Knobs that exclude each other."""
    checks = [_beyond_workers]
    if ALGORITHMS[config.algorithm.name].searches:
        checks += [_beyond_a_search]
    else:
        checks += [_beyond_the_algorithm, _beyond_the_policy, batches.too_small, _beyond_the_twin]
    return (Problem.of(*wrong) for check in checks for wrong in check(config))


def _beyond_the_algorithm(config: Any) -> Iterator[Wrong]:
    """Knobs that the algorithm, which learns by gradient, cannot work with."""
    algorithm, record = config.algorithm, ALGORITHMS[config.algorithm.name]
    if not record.learns_values and algorithm.baseline == "value":
        yield (
            "algorithm.baseline",
            f"got value, and {record.name} has no value network; expected none, running_mean, "
            "mean_so_far, per_timestep or leave_one_out; try algorithm.name=vpg, or mean_so_far",
        )
    if record.learns_values and algorithm.baseline not in ("value", "none"):
        yield "algorithm.baseline", f"got {algorithm.baseline}; expected value or none with {record.name}; try value"
    if record.learns_values and algorithm.baseline == "none" and algorithm.advantage != "monte_carlo":
        yield (
            "algorithm.baseline",
            f"got none with algorithm.advantage={algorithm.advantage}, which needs V; expected "
            "value; try value, or algorithm.advantage=monte_carlo",
        )
    if "log_prob" in record.takes and config.exploration.name not in ("softmax", "epsilon_softmax"):
        yield (
            "exploration.name",
            f"got {config.exploration.name}; expected softmax or epsilon_softmax with "
            f"{record.name}, which needs the exact log-probability of what was done; try softmax",
        )
    if "algorithm.target_kl" in record.knobs - record.switches and algorithm.target_kl is None:
        yield "algorithm.target_kl", f"got null with {record.name}; expected the length of a step, in KL; try 0.01"


def _beyond_the_policy(config: Any) -> Iterator[Wrong]:
    """Knobs of the policy and its noise that exclude each other."""
    algorithm, policy = config.algorithm, config.policy
    if policy.name != "dense":
        for key, plain in (
            ("shared", False),
            ("logistic", False),
            ("noise", "white"),
            ("log_std", "state_independent"),
            ("act", "auto"),
        ):
            value = getattr(policy, key)
            if value != plain and (key, value) != ("act", "compiled"):
                word, other = (shown(one) if isinstance(one, bool) else one for one in (value, plain))
                yield (
                    f"policy.{key}",
                    f"{word} needs policy.name=dense; got {policy.name}; expected {other}; try {other}",
                )
    if policy.name == "dense" and policy.name_kwargs:
        yield "policy.name_kwargs", "policy.name is dense, which takes none; expected {}; try leaving it out"
    if algorithm.objective == "default" and algorithm.objective_kwargs:
        yield (
            "algorithm.objective_kwargs",
            "algorithm.objective is default, which takes none; expected {}; try leaving it out",
        )
    if policy.noise != "white" and algorithm.num_steps is None:
        yield (
            "policy.noise",
            f"got {policy.noise}, which is drawn for a stretch, with algorithm.num_steps=null; expected "
            "white; try algorithm.num_steps=64 with ppo, or white",
        )
    if policy.noise_every is not None and policy.noise != "state_dependent":
        yield "policy.noise_every", f"needs policy.noise=state_dependent; got {policy.noise}; try leaving it out"
    if policy.noise == "state_dependent" and policy.log_std != "state_independent":
        yield "policy.log_std", "state_dependent noise has a log σ for every feature; set state_independent"
    if policy.noise == "state_dependent" and policy.squash:
        yield "policy.squash", "not with policy.noise=state_dependent"
    written = next((knob for knob in ("network", "encoders") if getattr(policy, knob) is not None), None)
    if written and policy.name != "dense":
        yield (
            f"policy.{written}",
            f"got layers of ours with policy.name={policy.name}; expected dense; try leaving it out",
        )
    if policy.value_network is not None and policy.network is None and policy.encoders is None:
        yield "policy.value_network", "needs policy.network; got none; try policy.value_hidden for dense layers"
    if policy.value_network is not None and policy.shared:
        yield "policy.value_network", "policy.shared has one network for both; expected null; try leaving it out"
    if policy.noise == "state_dependent" and not policy.hidden:
        yield (
            "policy.noise",
            "got state_dependent with policy.hidden=[]; expected a hidden layer, of whose features it is "
            "a function; try policy.hidden=[64, 64], or white",
        )


def _beyond_workers(config: Any) -> Iterator[Wrong]:
    """Knobs of the environment that exclude each other, or that need worker processes."""
    knobs = config.environment
    if (api := knobs.api) != "gymnasium":
        named = "module:Class; try mine:MyEnv" if api == "gym" else "module:factory; try mine:parallel_env"
        if knobs.dynamics is not None:
            got = f"got {api}; environment.dynamics is symbolic: expected gymnasium; try leaving it out"
            yield "environment.api", got
        elif not re.fullmatch(r"[\w.]+:\w+", knobs.id):
            yield "environment.id", f"got {knobs.id}; environment.api={api} expected {named}"
        if knobs.engine in ("compiled", "vector"):
            got = f"got {knobs.engine}; environment.api={api} expected auto, as it has a step; try auto"
            yield "environment.engine", got
    if knobs.api == "pettingzoo":
        if knobs.separate:
            got = (
                f"got {knobs.workers}; environment.api=pettingzoo steps in this process; expected 0; try leaving it out"
            )
            yield "environment.workers", got
        if ALGORITHMS[config.algorithm.name].searches:
            got = f"got {config.algorithm.name}, which tries another policy in each environment"
            yield "algorithm.name", f"{got}; environment.api=pettingzoo expected a gradient's; try ppo"
    if knobs.dynamics is not None:
        for knob, value in (("kwargs", knobs.kwargs), ("wrappers", knobs.wrappers)):
            if value:
                yield (
                    f"environment.{knob}",
                    f"got {value}; environment.dynamics is a graph, which takes none; expected "
                    "none; try leaving it out",
                )
        if knobs.engine in ("gymnasium", "vector"):
            got = f"got {knobs.engine}; environment.dynamics is a graph: expected auto; try auto"
            yield "environment.engine", got
    if knobs.separate and knobs.dynamics is not None:
        yield "environment.workers", "environment.dynamics is stepped by a compiled graph; expected 0"
    if knobs.separate and knobs.engine in ("compiled", "vector"):
        got = f"got {knobs.engine}; environment.workers step Gymnasium's: expected auto or gymnasium"
        yield "environment.engine", got
    if knobs.on_fault != "stop" and not knobs.separate:
        yield "environment.on_fault", f"{knobs.on_fault} needs environment.workers, such as 2; got {knobs.workers}"


def _beyond_a_search(config: Any) -> Iterator[Wrong]:
    """Knobs that a search of parameters cannot have."""
    algorithm = config.algorithm
    if ALGORITHMS[algorithm.name].mirrored and algorithm.population_size % 2:
        yield (
            "algorithm.population_size",
            f"got {algorithm.population_size}; expected an even number, as {algorithm.name} "
            f"samples in mirrored pairs; try {algorithm.population_size + 1}",
        )
    if config.gradients == "by_hand":
        yield _no_twin(algorithm.name)
    if config.policy.name_kwargs:
        yield "policy.name_kwargs", "policy.name is dense, which takes none; expected {}; try leaving it out"
    if config.policy.noise_every is not None:
        yield "policy.noise_every", f"needs policy.noise=state_dependent; got {config.policy.noise}"


def _no_twin(name: str) -> Wrong:
    return "gradients", f"by_hand has no twin of {name}; expected algorithm.name={WITH_TWIN}; try symbolic"


def _beyond_the_twin(config: Any) -> Iterator[Wrong]:
    """Knobs that the NumPy twin does not cover."""
    if config.gradients != "by_hand":
        return
    twin = "gradients=by_hand covers"
    if not ALGORITHMS[config.algorithm.name].twin:
        yield _no_twin(config.algorithm.name)
    for knob, plain, covered in (
        ("policy.name", "dense", "dense networks"),
        ("policy.shared", False, "separate networks"),
        ("policy.squash", False, "the Gaussian without squashing"),
        ("policy.log_std", "state_independent", "a log σ that does not depend on the observation"),
        ("policy.noise", "white", "white noise"),
        ("algorithm.objective", "default", "the algorithm's own objective"),
        ("algorithm.value_clip_range", None, "the plain value loss"),
        ("algorithm.target_kl", None, "a fixed number of epochs"),
        ("exploration.name", "softmax", "samples of the policy itself"),
        ("normalize.observations", False, "observations as they come"),
        ("normalize.rewards", False, "rewards as they come"),
        ("environment.dynamics", None, "environments that Gymnasium steps"),
    ):
        section, _, key = knob.partition(".")
        value = getattr(getattr(config, section), key)
        if value != plain:
            yield knob, f"{shown(value)} has no twin; {twin} {covered}; try gradients=symbolic"
    if config.algorithm.advantage not in ("gae", "monte_carlo"):
        yield "algorithm.advantage", f"{config.algorithm.advantage} has no twin; {twin} gae and monte_carlo"
    if config.optimizer.name not in ("sgd", "adam"):
        yield "optimizer.name", f"{config.optimizer.name} has no twin; {twin} sgd and adam"
    if config.environment.engine == "compiled":
        yield "environment.engine", f"compiled has no twin; {twin} environments that Gymnasium steps"
    if config.policy.act == "compiled" or config.backend != "jax":
        knob, value = ("policy.act", "compiled") if config.policy.act == "compiled" else ("backend", config.backend)
        yield knob, f"{value} is for gradients=symbolic; by_hand compiles nothing"


def shown(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) if isinstance(value, (int, list)) else repr(value)
