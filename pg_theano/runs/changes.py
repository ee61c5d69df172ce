"""What was changed of a run's config while it trained: "changes" of its run.json, in their order.

    {"update": 40, "knob": "schedules.learning_rate.initial", "before": 0.05, "value": 0.0001}

The config.yaml of the run and this list repeat it: a change holds from the update on that it names, counted from 0.
Those of the budget stand in config.yaml too, which they have always been written to; here they are for the reader.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pg_theano.config import changing
from pg_theano.config.changing import ALWAYS, changed, may_change, value_of
from pg_theano.config.knobs import Config
from pg_theano.types import UserError


class Change(NamedTuple):
    """Another value of a knob, from an update on."""

    update: int
    knob: str
    before: Any
    value: Any

    def __str__(self) -> str:
        return f"{self.knob}: {self.before} -> {self.value} after update {self.update}"


def of(facts: Mapping[str, Any]) -> list[Change]:
    """The changes that a run recorded."""
    return [Change(**one) for one in facts.get("changes", ())]


def config_after(config: Config, reached: Iterable[Change]) -> Config:
    """The config once these changes are made to it; those of the budget it has already."""
    knobs = {one.knob: one.value for one in reached if not one.knob.startswith(ALWAYS)}
    return changed(config, knobs) if knobs else config


def config_at(config: Config, changes: Iterable[Change], update: int) -> Config:
    """The config of config.yaml as it holds at an update."""
    return config_after(config, [one for one in changes if one.update <= update])


def joined(now: Config, changes: Sequence[Change], knobs: Mapping[str, Any], update: int) -> list[Change]:
    """The changes with others, of `knobs`, that begin at an update, before which the config is `now`.

    A knob that was to change there, or later, does so no more. Errors: `UserError` where a knob may not change.
    """
    after = changed(now, knobs)
    kept = [one for one in changes if one.knob not in knobs or one.update < update]
    before = {knob: value_of(now, knob) for knob in knobs} | {
        one.knob: one.before for one in changes if one.update == update
    }
    made = [Change(update, knob, before[knob], value_of(after, knob)) for knob in knobs]
    return sorted([*kept, *(one for one in made if one.before != one.value)], key=lambda one: one.update)


def check(overrides: Sequence[str], change: bool) -> None:
    """Errors: `UserError` for a `knob=value` that a resumed run keeps; with `change` it keeps what shapes the graph."""
    for override in overrides:
        knob, _, value = override.partition("=")
        if change:
            changing.check(knob.strip(), value)
        elif not override.startswith(ALWAYS):
            raise UserError(
                f"{override}: a resumed run keeps its config; expected knobs of budget, solved and checkpoint; try "
                + ("--change, which records it" if may_change(knob) else "--from RUN, a new run with its parameters")
            )
