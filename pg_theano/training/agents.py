"""Several agents trained together: one process, one set of compiled functions, a run of its own for each.

    for places, environment, why_not in batches(configs, folders): ...     # all that shapes the graph is the same
    programs = load(settings, folders, report)                             # one program, a collector for each
    figures = train(trainers, say)                                         # the result of each run, in order

What collects and learns is the function of a single run under `jax.vmap`, with the agents as a further axis. Each agent
has its own seed, schedules, counters, run folder and end. One that is finished is left out of later calls.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pg_theano.config import batches as minibatch_rules
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.config.reading import to_dict
from pg_theano.environments import making
from pg_theano.system import stopping
from pg_theano.training import minibatches, programs, seeding, shared_calls, shared_evaluation, specs
from pg_theano.training.loop import Trainer
from pg_theano.training.playing.collecting import Collector, collector_of
from pg_theano.training.setting import Environment, Setting
from pg_theano.training.shared_calls import Going
from pg_theano.types import GREEDY, SAMPLE, Program, UserError

Figures = dict[int, dict[str, Any]]
"""By place: the results of the runs that do not."""
Say = Callable[[str], None]


def hindrance(config: Config, environment: Environment) -> str | None:
    """Why agents of a config cannot train together; None where they can."""
    if ALGORITHMS[config.algorithm.name].searches:
        return f"algorithm.name: {config.algorithm.name} is a population already, and trains one agent at a time"
    if config.gradients == "by_hand":
        return "gradients: by_hand trains one agent at a time"
    if config.backend != "jax":
        return f"backend: {config.backend} trains one agent at a time; jax trains several"
    if minibatch_rules.remembers(config):
        return "policy.network: a policy that remembers trains one agent at a time"
    if not isinstance(environment, making.Compiled):
        return f"{config.environment.id} is stepped by Gymnasium, for one agent at a time; compiled ones train together"
    return None


def batches(configs: Sequence[Config], folders: Sequence[Path]) -> list[tuple[list[int], Environment, str | None]]:
    """(places of the configs, their environment, why they cannot train together) of every batch.

    Those of a batch share all that shapes the graph, their environment and how they are evaluated; a batch is not
    larger than `agents_per_process`. One that cannot train together is a batch of its own.
    """
    shared: dict[str, Environment] = {}
    groups: dict[str, list[int]] = {}
    found: dict[str, Environment] = {}
    for place, config in enumerate(configs):
        data = to_dict(config)
        where = json.dumps([data[name] for name in ("environment", "backend", "dtype", "gradients")])
        if where not in shared:
            shared[where] = specs.environment_of(config, folders)
        environment = shared[where]
        if hindrance(config, environment):
            groups[f"alone {place}"], found[f"alone {place}"] = [place], environment
            continue
        spec = specs.spec_of(config, environment.task, environment, folders)
        what = (where, spec.plain(), data["policy"], data["evaluation"], config.agents_per_process)
        name = json.dumps(what, sort_keys=True)
        groups.setdefault(name, []).append(place)
        found[name] = environment
    result: list[tuple[list[int], Environment, str | None]] = []
    for name, places in groups.items():
        first, environment = configs[places[0]], found[name]
        size = first.agents_per_process
        for start in range(0, len(places), size):
            result.append((places[start : start + size], environment, hindrance(first, environment)))
    return result


def load(
    settings: Sequence[Setting], folders: Sequence[Path], report: Callable[[str, float], None]
) -> list[tuple[Program, Collector]]:
    """One program for all runs, its first functions compiled, and a collector for each."""

    def shared_report(what: str, seconds: float) -> None:
        for setting in settings:
            setting.parts.seconds["compile"] += seconds / len(settings)
        report(what, seconds)

    first, began = settings[0], time.perf_counter()
    program = programs.load(first.config, first.spec, shared_report, folders, agents=True)
    loaded = [_of_agent(setting, program) for setting in settings]
    wanted = []
    for function, rows, steps, *batch in loaded[0][1].first_calls():
        number = shared_calls.agents_of_a_call(first.config.agents_per_process, rows * (steps or 0))
        wanted.append((function, rows, steps, *(batch or [None]), number))
    program.prepare(wanted)
    # As in a run alone: importing JAX or PyTensor is no part of compiling, nor of training.
    rest = time.perf_counter() - began - len(settings) * first.parts.seconds["compile"]
    for setting in settings:
        setting.parts.seconds["import"] += max(rest, 0.0) / len(settings)
    return loaded


def _of_agent(setting: Setting, shared: Program) -> tuple[Program, Collector]:
    program = shared._replace(act=programs.acting_for(setting.config, setting.spec, shared))
    return program, collector_of(setting.config, setting.spec, setting.environment, program)


def train(trainers: Sequence[Trainer], say: Say) -> list[dict[str, Any]]:
    """Train until each is solved, has spent its budget or has failed; the result of each, as a run alone has it.

    On Ctrl-C all that still train are left whole, as "interrupted". A budget in seconds is of the common clock.
    """
    figures: Figures = {}
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
                over = stopped or [place for place, one in going.items() if one.budget_spent()]
                if over:
                    evaluator.play((going[place], seeding.CONFIRMATION, GREEDY, "best") for place in over)
                    _leave(going, figures, over, "stopped" if stopped else "budget", say)
                    continue
                solved = _update(going, figures, evaluator, say)
                _leave(going, figures, solved, "solved", say)
        except KeyboardInterrupt:
            for trainer in going.values():
                trainer.go_back()
            _leave(going, figures, list(going), "interrupted", say)
    finally:
        evaluator.close()
    return [figures[place] for place in range(len(trainers))]


def _leave(going: Going, figures: Figures, places: Iterable[int], status: str, say: Say) -> None:
    """Those agents are done: their results are written, and they take part no more."""
    for place in list(places):
        trainer = going[place]
        figures[place] = trainer.finish(status)
        del going[place]
        name, counters = trainer.setting.folder.path.name, trainer.now.counters
        say(
            f"{name}: {status} after {counters.updates:,} updates, {counters.env_steps:,} steps; "
            f"{len(going)} of {len(figures) + len(going)} go on"
        )


def _fail(going: Going, figures: Figures, place: int, error: UserError, say: Say) -> None:
    """One agent's fault is its own: it is recorded as failed, with its reason, and the others go on."""
    trainer = going.pop(place)
    figures[place] = trainer.give_up("failed", str(error))
    say(f"{trainer.setting.folder.path.name}: failed: {error}; {len(going)} of {len(figures) + len(going)} go on")


def _update(going: Going, figures: Figures, evaluator: shared_evaluation.Evaluator, say: Say) -> list[int]:
    """One update of every agent; returns the places of those that it solved."""
    trainers = going.copy()
    knobs = {place: one.knobs() for place, one in trainers.items()}
    with _shared(trainers.values(), "collect"):
        played = shared_calls.collect(trainers, knobs)
        orders = {
            place: minibatches.of_update(one.setting, played[place], one.now.counters.updates)
            for place, one in trainers.items()
        }
    with _shared(trainers.values(), "update"):
        learned = shared_calls.learn(trainers, played, orders, knobs)
    records = {}
    for place, trainer in trainers.items():
        try:
            records[place] = trainer.learned(played[place], *learned[place], knobs[place])
        except UserError as error:
            _fail(going, figures, place, error, say)
    due = [trainers[place] for place in records if trainers[place].evaluation_due(records[place])]
    _evaluate(due, evaluator)
    solved = []
    for place, record in records.items():
        try:
            if trainers[place].finish_update(record):
                solved.append(place)
        except UserError as error:
            _fail(going, figures, place, error, say)
    return solved


def _evaluate(due: Sequence[Trainer], evaluator: shared_evaluation.Evaluator) -> None:
    """Play beforehand what `finish_update` is going to ask for, of all agents that are due at once."""
    evaluator.play((one, seeding.EVALUATION, GREEDY, "newest") for one in due)
    evaluator.play((one, seeding.EVALUATION, SAMPLE, "newest") for one in due if one.config.evaluation.sampled)
    found = ((one, one.judge.beforehand.get((seeding.EVALUATION, GREEDY))) for one in due)
    likely = [one for one, greedy in found if greedy and one.judge.solves(greedy)]
    evaluator.play((one, seeding.CONFIRMATION, GREEDY, "newest") for one in likely)


@contextlib.contextmanager
def _shared(trainers: Iterable[Trainer], part: str) -> Iterator[None]:
    """Count the seconds of a part as all agents' in equal shares."""
    with contextlib.ExitStack() as stack:
        parts = [trainer.setting.parts for trainer in trainers]
        before = [one.seconds[part] for one in parts]
        for one in parts:
            stack.enter_context(one.of(part))
        yield
    for one, old in zip(parts, before, strict=True):
        one.seconds[part] = old + (one.seconds[part] - old) / len(parts)
