"""Several agents trained together: one process, one set of compiled functions, a run of its own for each.

    for places in batches(configs, folders): ...      # which may: all that shapes the graph is the same
    figures = train(trainers, report)                 # the result of each run, in order

What collects and learns is the function of a single run under `jax.vmap`, with the agents as a further axis. Each agent
has its own seed, schedules, counters, run folder and end. One that is finished is left out of later calls, or masked:
a call that is not full is filled up with copies of an agent, whose results nobody reads.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.compiler.functions import agent_axis
from pg_theano.compiler.padding import power_of_two
from pg_theano.config.knobs import Config
from pg_theano.config.reading import to_dict
from pg_theano.config.rules import SEARCHES
from pg_theano.environments import making
from pg_theano.system import stopping
from pg_theano.training import programs, shared_evaluation
from pg_theano.types import GREEDY, SAMPLE, Array, Knobs, Played, Record, State, UserError

AGENTS_A_CALL = 8
"""Agents of one call. More gain nothing, as what a call works on leaves the cache, and each number that is called is
compiled: so an agent that is finished leaves the number as it is."""

COLUMNS_A_CALL = 2**15
"""Steps of one call that learns, padding included: with more, 16 agents took longer together than one by one."""


def hindrance(config: Config, environment: Any) -> str | None:
    """Why agents of a config cannot train together; None where they can."""
    if config.algorithm.name in SEARCHES:
        return f"algorithm.name: {config.algorithm.name} is a population already, and trains one agent at a time"
    if config.gradients == "by_hand":
        return "gradients: by_hand trains one agent at a time"
    if config.backend != "jax":
        return f"backend: {config.backend} trains one agent at a time; jax trains several"
    if not isinstance(environment, making.Compiled):
        return f"{config.environment.id} is stepped by Gymnasium, for one agent at a time; compiled ones train together"
    return None


def batches(configs: Sequence[Config], folders: Sequence[Path]) -> list[tuple[list[int], Any, str | None]]:
    """(places of the configs, their environment, why they cannot train together) of every batch.

    Those of a batch share all that shapes the graph, their environment and how they are evaluated; a batch is not
    larger than `agents_per_process`. One that cannot train together is a batch of its own.
    """
    shared: dict[str, Any] = {}
    groups: dict[str, list[int]] = {}
    found: dict[str, Any] = {}
    for place, config in enumerate(configs):
        data = to_dict(config)
        where = json.dumps([data[name] for name in ("environment", "backend", "dtype", "gradients")])
        if where not in shared:
            shared[where] = programs.environment_of(config, folders)
        environment = shared[where]
        if hindrance(config, environment):
            groups[f"alone {place}"], found[f"alone {place}"] = [place], environment
            continue
        spec = programs.spec_of(config, environment.task, environment, folders)
        what = (where, spec, data["policy"], data["evaluation"], config.agents_per_process)
        name = json.dumps(what, sort_keys=True)
        groups.setdefault(name, []).append(place)
        found[name] = environment
    result: list[tuple[list[int], Any, str | None]] = []
    for name, places in groups.items():
        first, environment = configs[places[0]], found[name]
        size = first.agents_per_process
        for start in range(0, len(places), size):
            result.append((places[start : start + size], environment, hindrance(first, environment)))
    return result


def load(trainers: Sequence[Any], folders: Sequence[Path], report: Callable[[str, float], None]) -> None:
    """Give all trainers one program, and have its first functions compiled."""

    def shared_report(what: str, seconds: float) -> None:
        for trainer in trainers:
            trainer.parts.seconds["compile"] += seconds / len(trainers)
        report(what, seconds)

    first, began = trainers[0], time.perf_counter()
    program = programs.load(first.config, first.spec, shared_report, folders, agents=True)
    for trainer in trainers:
        trainer.share(program)
    wanted = []
    for function, rows, steps, *batch in first.collector.first_calls():
        number = _a_call(first.config.agents_per_process, rows * (steps or 0))
        wanted.append((function, rows, steps, *(batch or [None]), number))
    first.program.prepare(wanted)
    # As in a run alone: importing JAX or PyTensor is no part of compiling, nor of training.
    rest = time.perf_counter() - began - len(trainers) * first.parts.seconds["compile"]
    for trainer in trainers:
        trainer.parts.seconds["import"] += max(rest, 0.0) / len(trainers)


def train(trainers: Sequence[Any], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Train until each is solved, has spent its budget or has failed; the result of each, as a run alone has it.

    On Ctrl-C all that still train are left whole, as "interrupted". A budget in seconds is of the common clock.
    """
    figures: dict[int, dict[str, Any]] = {}
    going = dict(enumerate(trainers))
    evaluator = shared_evaluation.Evaluator(trainers[0])
    try:
        try:
            for trainer in trainers:
                trainer.begin()
            _leave(going, figures, [place for place, one in going.items() if one.solved_before()], "solved", say)
            while going:
                stopping.check()
                stopped = [place for place, one in going.items() if one.stop_asked]
                if stopped:
                    evaluator.play((going[place], programs.CONFIRMATION, GREEDY, "best") for place in stopped)
                    _leave(going, figures, stopped, "stopped", say)
                    continue
                spent = [place for place, one in going.items() if one.budget_spent()]
                if spent:
                    evaluator.play((going[place], programs.CONFIRMATION, GREEDY, "best") for place in spent)
                    _leave(going, figures, spent, "budget", say)
                    continue
                solved = _update(going, figures, evaluator, say)
                _leave(going, figures, solved, "solved", say)
        except KeyboardInterrupt:
            for place in list(going):
                going[place].go_back()
            _leave(going, figures, list(going), "interrupted", say)
    finally:
        evaluator.close()
    return [figures[place] for place in range(len(trainers))]


def _leave(going: dict[int, Any], figures: dict[int, Any], places: Iterable[int], status: str, say: Any) -> None:
    """Those agents are done: their results are written, and they take part no more."""
    for place in list(places):
        trainer = going[place]
        figures[place] = trainer.finish(status)
        del going[place]
        counters = trainer.counters
        say(
            f"{trainer.folder.path.name}: {status} after {counters.updates:,} updates, {counters.env_steps:,} steps; "
            f"{len(going)} of {len(figures) + len(going)} go on"
        )


def _fail(going: dict[int, Any], figures: dict[int, Any], place: int, error: UserError, say: Any) -> None:
    """One agent's fault is its own: it is recorded as failed, with its reason, and the others go on."""
    trainer = going.pop(place)
    trainer.go_back()
    figures[place] = trainer.finish("failed", str(error))
    say(f"{trainer.folder.path.name}: failed: {error}; {len(going)} of {len(figures) + len(going)} go on")


def _update(going: dict[int, Any], figures: dict[int, Any], evaluator: Any, say: Any) -> list[int]:
    """One update of every agent; returns the places of those that it solved."""
    trainers = going.copy()
    knobs = {place: programs.knobs_at(one.config, one.counters.updates) for place, one in trainers.items()}
    with _shared(trainers.values(), "collect"):
        played = _collect(trainers, knobs)
        orders = {place: one.minibatches(played[place]) for place, one in trainers.items()}
    with _shared(trainers.values(), "update"):
        learned = _learn(trainers, played, orders, knobs)
    records = {}
    for place, trainer in trainers.items():
        try:
            records[place] = trainer.learned(played[place], *learned[place], knobs[place])
        except UserError as error:
            _fail(going, figures, place, error, say)
    _evaluate(
        [trainers[place] for place, record in records.items() if trainers[place].evaluation_due(record)], evaluator
    )
    solved = []
    for place, record in records.items():
        try:
            if trainers[place].finish_update(record):
                solved.append(place)
        except UserError as error:
            _fail(going, figures, place, error, say)
    return solved


def _evaluate(due: Sequence[Any], evaluator: Any) -> None:
    """Play beforehand what `finish_update` is going to ask for, of all agents that are due at once."""
    evaluator.play((one, programs.EVALUATION, GREEDY, "newest") for one in due)
    evaluator.play((one, programs.EVALUATION, SAMPLE, "newest") for one in due if one.config.evaluation.sampled)
    likely = []
    for trainer in due:
        greedy = trainer.evaluated.get((programs.EVALUATION, GREEDY))
        if greedy and trainer.config.solved.stop and trainer.threshold is not None:
            likely += [trainer] if greedy["mean"] >= trainer.threshold else []
    evaluator.play((one, programs.CONFIRMATION, GREEDY, "newest") for one in likely)


# -- calls of several agents


def _a_call(agents: int, columns: int) -> int:
    """How many agents a call takes, a power of two: of `columns` steps each, padding included."""
    fits = max(COLUMNS_A_CALL // columns, 1) if columns else AGENTS_A_CALL
    return min(AGENTS_A_CALL, power_of_two(agents), power_of_two(fits + 1) // 2)


def _groups(sizes: dict[int, tuple[int, ...]], a_call: Callable[[tuple[int, ...]], int]) -> Iterator[list[int]]:
    """The places whose arrays have the same sizes, as many at a time as a call takes; the last is filled up."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, size in sizes.items():
        alike.setdefault(size, []).append(place)
    for size, members in alike.items():
        number = a_call(size)
        for start in range(0, len(members), number):
            part = members[start : start + number]
            yield part + part[-1:] * (number - len(part))


def _stacked(parts: Sequence[dict[str, Any]]) -> dict[str, Array]:
    """The arrays of several agents as one, each name's with its axis of agents."""
    return {
        name: np.stack([part[name] for part in parts], axis=agent_axis(name, np.shape(value)))
        for name, value in parts[0].items()
    }


def _of(out: dict[str, Array], slot: int) -> dict[str, Array]:
    """One agent's part of what came out."""
    return {name: value[:, slot] if agent_axis(name, ()) else value[slot] for name, value in out.items()}


def _collect(trainers: dict[int, Any], knobs: dict[int, Knobs]) -> dict[int, Played]:
    """What every agent plays for its update. An agent whose episodes have ended takes no part in further calls."""
    plays = {place: one.collector.playing(one.counters.updates) for place, one in trainers.items()}
    asked = {place: next(playing) for place, playing in plays.items()}
    first = next(iter(trainers.values()))
    program, number, played = first.program, first.config.agents_per_process, {}
    while asked:
        given, asked = asked, {}
        sizes = {place: values["env_state"].shape for place, values in given.items()}
        for group in _groups(sizes, lambda _: _a_call(number, 0)):
            states = [_acting(trainers[place].state) for place in group]
            values = _stacked([given[place] for place in group])
            out = program.rollout(_stacked(states), [knobs[place] for place in group], values)
            out = {name: np.asarray(value) for name, value in out.items()}
            for slot, place in enumerate(dict.fromkeys(group)):
                try:
                    asked[place] = plays[place].send(_of(out, slot))
                except StopIteration as end:
                    played[place] = end.value
    return played


def _acting(state: State) -> State:
    """The part of State that a rollout reads."""
    return {name: state[name] for name in ("params", "normalizer/mean", "normalizer/variance") if name in state}


def _learn(
    trainers: dict[int, Any], played: dict[int, Played], orders: dict[int, Any], knobs: dict[int, Knobs]
) -> dict[int, tuple[State, dict[str, float]]]:
    """(State, metrics) of every agent after its update. Those with records of one length learn in one call."""
    first = next(iter(trainers.values()))
    program, number, learned = first.program, first.config.agents_per_process, {}
    sizes = {place: one.rollout.values.shape for place, one in played.items()}
    for group in _groups(sizes, lambda size: _a_call(number, size[0] * size[-1])):
        rollouts = [played[place].rollout for place in group]
        record = Record(np.stack([one.values for one in rollouts], axis=1), rollouts[0].columns)
        order = _stacked([orders[place] for place in group]) if orders[group[0]] else None
        states = _stacked([trainers[place].state for place in group])
        out, measured = program.train(states, record, [knobs[place] for place in group], order)
        out = {name: np.array(value) for name, value in out.items()}
        for slot, place in enumerate(dict.fromkeys(group)):
            learned[place] = {name: value[slot] for name, value in out.items()}, measured[slot]
    return learned


@contextlib.contextmanager
def _shared(trainers: Iterable[Any], part: str) -> Iterator[None]:
    """Count the seconds of a part as all agents' in equal shares."""
    with contextlib.ExitStack() as stack:
        parts = [trainer.parts for trainer in trainers]
        before = [one.seconds[part] for one in parts]
        for one in parts:
            stack.enter_context(one.of(part))
        yield
    for one, old in zip(parts, before, strict=True):
        one.seconds[part] = old + (one.seconds[part] - old) / len(parts)
