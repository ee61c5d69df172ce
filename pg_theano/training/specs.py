"""From a config and a task to a spec: the part of the config that shapes the graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pg_theano import parameters
from pg_theano.config import actions, schedules
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.declared import declared
from pg_theano.config.knobs import Config
from pg_theano.environments import making
from pg_theano.environments.rows import dtype_in
from pg_theano.environments.singles import Slots
from pg_theano.environments.sound import LONGEST_EPISODE
from pg_theano.layers import Dense, Layer, Layout, layout_of
from pg_theano.parameters import Network, dense_layers
from pg_theano.spec import Acting, Engine, Learning, Own, Passes, Spec
from pg_theano.training import networks, own
from pg_theano.training.playing.compiled import chunk_of
from pg_theano.types import NARROW, Problem, Task, UserError

MANY_EPISODES = 64
"""From as many on, learning from one time step of a record after the other saves more than its graph takes to build."""


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


def trained_in(config: Config, folders: Sequence[Path]) -> Any:
    """The same for a run that trains: spread over processes, where that pays for as many steps as the budget allows."""
    return on_all_cores(environment_of(config, folders), config, folders, steps=budget_steps(config))


def on_all_cores(made: Any, config: Config, folders: Sequence[Path], *, steps: int | None, ours: int = 1) -> Any:
    """Environments that are spread over processes where that pays, of at most so many `steps`; see `spreading`."""
    if config.environment.workers != "auto" or not isinstance(made, Slots):
        return made
    from pg_theano.environments.spreading import spread

    knobs, squash = config.environment, config.policy.squash
    return spread(made, knobs, dtype=config.dtype, squash=squash, folders=folders, steps=steps, ours=ours)


def budget_steps(config: Config) -> int | None:
    """How many steps the budget allows; None where it does not say."""
    budget, stretch = config.budget, config.algorithm.num_steps
    by_updates = budget.updates and stretch and budget.updates * stretch * config.environment.num_envs
    return min(filter(None, (budget.env_steps, by_updates)), default=None)


def spec_of(config: Config, task: Task, environment: object = None, folders: Sequence[Path] = ()) -> Spec:
    """All that shapes the graph. What is missing here (rates, discounts, schedules) is an input of it.

    `environment` is the compiled engine, where there is one: its dynamics are part of the graph. What an algorithm does
    not read is left at one value, so that it compiles nothing anew.
    """
    algorithm, policy = config.algorithm, config.policy
    actions.check_actions(config, task)
    record = ALGORITHMS[algorithm.name]
    learns_values, searches = record.learns_values, record.searches
    acting = _acting(config, task, folders)

    def switched_on(knob: str, on: bool) -> bool:
        return f"algorithm.{knob}" in record.switches and on

    def read(knob: str) -> int | None:
        return getattr(algorithm, knob) if record.reads(f"algorithm.{knob}") else None

    minibatches = record.reads("algorithm.num_minibatches")
    cut = minibatches and acting.memory_size and algorithm.sequence_length != algorithm.num_steps
    learning = Learning(
        algorithm="population" if searches else algorithm.name,
        objective=_own("algorithm.objective", algorithm.objective, algorithm.objective_kwargs, folders),
        shared=policy.shared,
        signal=algorithm.signal,
        baseline=algorithm.baseline if not searches else "none",
        standardize_advantages=algorithm.standardize_advantages,
        average=algorithm.average,
        advantage=algorithm.advantage if learns_values else None,
        bootstrap_steps=algorithm.bootstrap_steps if algorithm.advantage == "n_step" else None,
        num_steps=algorithm.num_steps if learns_values else None,
        sequence_length=algorithm.sequence_length if cut else None,
        passes=Passes(algorithm.num_epochs, algorithm.num_minibatches) if minibatches else None,
        clips_value=switched_on("value_clip_range", algorithm.value_clip_range is not None),
        uses_target_kl=switched_on("target_kl", algorithm.target_kl is not None),
        uses_entropy=switched_on("entropy_coefficient", algorithm.entropy_coefficient > 0),
        num_cg_iterations=read("num_cg_iterations"),
        num_line_search_steps=read("num_line_search_steps"),
        optimizer=config.optimizer.name if not searches else "sgd",
        clips_gradient=config.optimizer.max_gradient_norm is not None,
        normalize_rewards=config.normalize.rewards,
        time_limit=task.time_limit,
        max_steps=task.time_limit or LONGEST_EPISODE,
    )
    dynamics, engine = getattr(environment, "dynamics", None), None
    if not dynamics and learning.advantage == "expected":
        got = f"got expected, which tries every action in each state, and {task.id} is stepped here, not compiled"
        raise UserError.of("algorithm.advantage", got, "a task that is an expression", "gae")
    if record.pathwise:
        actions.check_path(config, task, dynamics, acting.memory_size)
    if dynamics:
        chunk = algorithm.num_steps or chunk_of(task.time_limit)
        by_step = _learns_step_by_step(config, acting)
        seen = (task.spaces or {}).get("observation", {}).get("observe")
        engine = Engine(dynamics, getattr(environment, "source", None), chunk, by_step, seen and tuple(seen))
    return declared(config, Spec(acting, learning, engine))


def _acting(config: Config, task: Task, folders: Sequence[Path]) -> Acting:
    policy, box = config.policy, task.action.kind == "box"
    network = _network(config, task, folders)
    layout = _layout(config, task, network, folders)
    own.check_size(parameters.count(layout), "policy.hidden")
    return Acting(
        obs_size=task.obs_size,
        action=task.action,
        layout=layout,
        network=network,
        activation=policy.activation,
        exploration=config.exploration.name,
        squash=policy.squash and box,
        log_std=policy.log_std if box else "state_independent",
        noise=policy.noise if box else "white",
        logistic=policy.logistic,
        normalize_observations=config.normalize.observations,
        dtype=config.dtype,
        pixels=dtype_in(task, config.dtype) == "uint8",
        own=_own("policy.name", policy.name, policy.name_kwargs, folders),
        mask_size=task.mask_size,
    )


def _own(knob: str, name: str, kwargs: Mapping[str, Any], folders: Sequence[Path]) -> Own | None:
    """The user's function that a knob names; None where it names one of ours."""
    return None if name in ("dense", "default") else Own(name, kwargs, own.source_of(knob, name, folders))


def _learns_step_by_step(config: Config, acting: Acting) -> bool:
    """Whether one time step after the other is quicker: many episodes, narrow layers, the plain loss of a softmax."""
    algorithm = config.algorithm
    plain = algorithm.objective == "default" and algorithm.entropy_coefficient == 0
    of_a_softmax = acting.in_numpy and acting.action.kind == "discrete" and max(acting.widths) <= NARROW
    return (
        ALGORITHMS[algorithm.name].step_by_step
        and not acting.memory_size
        and plain
        and of_a_softmax
        and schedules.episodes_at(config, 0) >= MANY_EPISODES
    )


def _network(config: Config, task: Task, folders: Sequence[Path]) -> Network:
    """The layers that the knobs of `policy` say; a policy of the user's own has none of ours."""
    policy, learns_values = config.policy, ALGORITHMS[config.algorithm.name].learns_values
    outputs = parameters.num_outputs(task.action, policy.log_std, policy.logistic)
    if policy.network is not None or policy.encoders is not None:
        return _written(config, task, learns_values, folders)
    shared = policy.hidden if policy.shared and policy.name == "dense" else []
    own_hidden, value_hidden = policy.hidden, policy.hidden if policy.value_hidden is None else policy.value_hidden
    if shared:
        own_hidden = value_hidden = []
    return Network(
        shared=dense_layers(shared, policy.activation),
        policy=dense_layers(own_hidden, policy.activation, outputs) if policy.name == "dense" else (),
        value=dense_layers(value_hidden, policy.activation, 1) if learns_values else (),
    )


def _written(config: Config, task: Task, learns_values: bool, folders: Sequence[Path]) -> Network:
    """The layers of `policy.network` and `policy.encoders`, with the heads."""
    policy, seen = config.policy, networks.seen_of(task)
    outputs = parameters.num_outputs(task.action, policy.log_std, policy.logistic)
    images = networks.Images(config.normalize.images, policy.channels)

    def hidden(written: Any, knob: str) -> tuple[Layer, ...]:
        if policy.encoders is None:
            return networks.layers_of(written, seen, policy.activation, knob, images, folders)
        joined = networks.encoders_of(policy.encoders, seen, policy.activation, images, folders)
        return (*joined, *networks.dense_after(joined, task.num_features, written, policy.activation, knob, folders))

    layers = hidden(policy.network, "policy.network")
    other = policy.network if policy.value_network is None else policy.value_network
    of_value = () if policy.shared or not learns_values else hidden(other, "policy.value_network")
    return Network(
        shared=layers if policy.shared else (),
        policy=(*(() if policy.shared else layers), Dense(outputs)),
        value=(*of_value, Dense(1)) if learns_values else (),
    )


def _layout(config: Config, task: Task, network: Network, folders: Sequence[Path]) -> Layout:
    """Names, shapes and initial values of the policy's parameters, then of the value network's."""
    policy, space = config.policy, task.action
    placed = network.placed(task.num_features, policy.initialization)
    layout = layout_of(placed["shared"] + placed["policy"])
    if policy.name != "dense":
        outputs = parameters.num_outputs(space, policy.log_std, policy.logistic)
        layout = own.own_parameters(policy.name, task.num_features, outputs, policy.name_kwargs, folders)
    chance = not ALGORITHMS[config.algorithm.name].searches  # a search's policy has none, and so no log σ
    if chance and space.kind == "box" and policy.log_std == "state_independent":
        features = math.prod(placed["policy"][-1].inputs) if policy.noise == "state_dependent" else None
        shape = (space.size,) if features is None else (features, space.size)
        layout.append((parameters.LOG_STD, shape, ["constant", policy.initial_log_std]))
    return layout + layout_of(placed["value"])
