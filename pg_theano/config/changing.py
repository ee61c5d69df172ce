"""Knobs that change while a run trains: which may, and the config that follows.

    config = changed(config, {"schedules.learning_rate.initial": 1e-4})

A knob may change where it is no part of the graph: the inputs of the graph, schedules, the evaluation, and what decides
when a run stops, what it keeps and who works.
"""

import difflib
import math
from collections.abc import Mapping
from functools import reduce
from numbers import Real
from typing import Any

from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.config.reading import from_dict, laid_over, to_dict
from pg_theano.config.schedules import INPUTS
from pg_theano.types import Knobs, UserError

ALWAYS = ("budget.", "solved.", "checkpoint.", "distribute.")
"""Knobs of when a run stops, what it keeps, who works: nothing that it learns from."""


def may_change(knob: str) -> bool:
    """Whether a knob, or a part of one such as `schedules.learning_rate.initial`, is no part of the graph."""
    section, _, rest = knob.partition(".")
    inner = rest.partition(".")[0]
    whole = section in ("schedules", "evaluation") and rest > ""
    return knob.startswith(ALWAYS) or whole or INPUTS.get(inner) == section


def changed(config: Config, knobs: Mapping[str, Any]) -> Config:
    """The config with other values of these knobs, named by their paths. Errors: `UserError`: a part of the graph, a
    value that the knob cannot have, or one that takes a part of the graph in or out."""
    for knob, value in knobs.items():
        check(knob, value)
    data = to_dict(config)
    for knob, value in knobs.items():
        laid_over(data, nested(knob, value))
    after = from_dict(data, name="a change of")
    _check_graph(config, after)
    return after


def inputs(config: Config, given: Mapping[str, Any]) -> Knobs:
    """Values of inputs of the graph, by the names that `knobs` of an update have, as numbers.

    Errors: `UserError` for a name that is none, or none that the algorithm reads, and for a value that it cannot have.
    """
    paths = {}
    for name, value in given.items():
        if name not in INPUTS:
            near = difflib.get_close_matches(str(name), INPUTS, 1, 0.5)
            guess = f"did you mean {near[0]}?" if near else f"known here: {', '.join(INPUTS)}"
            raise UserError.at(str(name)[:60], "unknown knob of an update", hint=guess)
        if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
            raise UserError.at(name, f"got {value!r:.60}", "a finite number", "leaving it out")
        part = ".initial" if INPUTS[name] == "schedules" else ""
        paths[f"{INPUTS[name]}.{name}{part}"] = float(value)
    if paths:
        changed(config, paths)
    return {name: float(value) for name, value in given.items()}


def check(knob: str, value: Any) -> None:
    """Errors: `UserError` for a knob that a run keeps."""
    if not may_change(knob):
        raise UserError.at(
            f"{knob}={value}",
            "shapes the graph, or what is played, and a run keeps it",
            "a knob of schedules, evaluation or budget, a coefficient of the algorithm or of the optimiser",
            "--from RUN, a new run with its parameters",
        )


def nested(knob: str, value: Any) -> dict[str, Any]:
    """`a.b` and a value as {"a": {"b": value}}."""
    return reduce(lambda inner, part: {part: inner}, reversed(knob.split(".")), value)


def value_of(config: Config, knob: str) -> Any:
    """The plain value at a path; None where there is none."""
    try:
        return reduce(lambda data, part: data[part], knob.split("."), to_dict(config))
    except (KeyError, TypeError):
        return None


def _check_graph(before: Config, after: Config) -> None:
    """Errors: `UserError` where a knob is set at whose default a part of the graph is left out, or no longer is."""
    for knob in sorted(ALGORITHMS[before.algorithm.name].switches | {"optimizer.max_gradient_norm"}):
        was, now = value_of(before, knob), value_of(after, knob)
        if (now and not was) or (now is None and was is not None):
            raise UserError.at(
                f"{knob}={'null' if now is None else now}",
                f"takes a part of the graph {'in' if now else 'out'}",
                "a number above 0" if was else f"{'null' if was is None else was}, as this run has it",
                "--from RUN, a new run with its parameters",
            )
