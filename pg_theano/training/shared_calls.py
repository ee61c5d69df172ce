"""Calls of compiled functions that serve several agents at once: the arrays of each, as one with an axis of agents.

A call that is not full is filled up with copies of an agent, whose results nobody reads.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

import numpy as np

from pg_theano.compiler.functions import agent_axis
from pg_theano.compiler.program import power_of_two
from pg_theano.training.loop import Trainer
from pg_theano.training.playing.compiled import Playing
from pg_theano.types import Array, Knobs, Played, Record, State

AGENTS_A_CALL = 8
"""Agents of one call. More gain nothing, as what a call works on leaves the cache, and each number that is called is
compiled: so an agent that is finished leaves the number as it is."""

COLUMNS_A_CALL = 2**15
"""Steps of one call that learns, padding included: with more, 16 agents took longer together than one by one."""

Going = dict[int, Trainer]
"""By place: the runs that still train."""


class Asking(Protocol):
    """A collector of a compiled environment: it asks for calls, which may be of several agents at once."""

    def playing(self, update: int) -> Playing: ...


def agents_of_a_call(agents: int, columns: int) -> int:
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


def collect(trainers: Going, knobs: dict[int, Knobs]) -> dict[int, Played]:
    """What every agent plays for its update. An agent whose episodes have ended takes no part in further calls."""
    plays = {place: cast(Asking, one.collector).playing(one.now.counters.updates) for place, one in trainers.items()}
    asked = {place: next(playing) for place, playing in plays.items()}
    first = next(iter(trainers.values()))
    program, number, played = first.program, first.config.agents_per_process, {}
    while asked:
        given, asked = asked, {}
        sizes = {place: values["env_state"].shape for place, values in given.items()}
        for group in _groups(sizes, lambda _: agents_of_a_call(number, 0)):
            states = [_acting(trainers[place].now.state) for place in group]
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


def learn(
    trainers: Going, played: dict[int, Played], orders: dict[int, Any], knobs: dict[int, Knobs]
) -> dict[int, tuple[State, dict[str, float]]]:
    """(State, metrics) of every agent after its update. Those with records of one length learn in one call."""
    first = next(iter(trainers.values()))
    program, number, learned = first.program, first.config.agents_per_process, {}
    sizes = {place: one.rollout.values.shape for place, one in played.items()}
    for group in _groups(sizes, lambda size: agents_of_a_call(number, size[0] * size[-1])):
        rollouts = [played[place].rollout for place in group]
        record = Record(np.stack([one.values for one in rollouts], axis=1), rollouts[0].columns)
        order = _stacked([orders[place] for place in group]) if orders[group[0]] else None
        states = _stacked([trainers[place].now.state for place in group])
        out, of_each = program.train(states, record, [knobs[place] for place in group], order)
        measured = cast(Sequence[dict[str, float]], of_each)  # one for each agent of a call
        out = {name: np.array(value) for name, value in out.items()}
        for slot, place in enumerate(dict.fromkeys(group)):
            learned[place] = {name: value[slot] for name, value in out.items()}, measured[slot]
    return learned
