"""What the functions beside a user's policy, or beside a layer of one, say: the arrays it learns, the shape it gives.

Kept in the cache folder under the fingerprint of its sources, so that the next run need not import them, nor PyTensor
with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano import parameters
from pg_theano.compiler import cached
from pg_theano.layers import Layout, Own, Shape
from pg_theano.system.importing import fingerprint, importable, module_named
from pg_theano.types import Problem, UserError


def own_parameters(
    name: str, obs_size: int, num_outputs: int, kwargs: Mapping[str, Any], folders: Sequence[Path] = ()
) -> Layout:
    """What the `parameters` beside a user's policy says: (name, shape, initialiser), checked."""
    facts = {
        "parameters": name,
        "source": source_of("policy.name", name, folders),
        "sizes": [obs_size, num_outputs],
        "kwargs": kwargs,
    }

    def asked() -> list[Any]:
        with importable(folders, [name]):
            found = _module("policy.name", name, ("parameters",))
            entries = _called("policy.name", name, found.parameters, (obs_size, num_outputs), kwargs)
            return _checked("policy.name", name, entries, "policy/")

    found = [(key, tuple(shape), how) for key, shape, how in cached.remembered(facts, asked)]
    if not found:
        module, _, function = name.partition(":")
        raise _wrong("policy.name", f"parameters() of {module} gave nothing; {function} has nothing to learn")
    return found


def own_layer(name: str, kwargs: Mapping[str, Any], inputs: Shape, knob: str, folders: Sequence[Path]) -> Own:
    """A layer of the user's for what reaches it: what `parameters` and `output` beside it say, checked."""
    source, size = source_of(knob, name, folders), math.prod(inputs)
    facts = {"layer": name, "source": source, "inputs": size, "kwargs": kwargs}

    def asked() -> list[Any]:
        with importable(folders, [name]):
            module = _module(knob, name, ("parameters", "output"))
            learned = _checked(knob, name, _called(knob, name, module.parameters, (size,), kwargs), "")
            gives = _called(knob, name, module.output, (size,), kwargs, "output")
            if not _is_size(gives):
                where = f"output() of {name.partition(':')[0]}"
                raise _wrong(knob, f"{where} gave {gives!r:.60}", f"how many numbers it gives of {list(inputs)}")
            return [[list(entry) for entry in learned], gives]

    learned, gives = cached.remembered(facts, asked)
    return Own(name, dict(kwargs), source, size, {key: [list(shape), how] for key, shape, how in learned}, gives)


def source_of(knob: str, name: str, folders: Sequence[Path]) -> str | None:
    """The fingerprint of a user's own function: its file, and all that it imports from beside it."""
    if ":" not in name:
        return None
    return fingerprint(name, folders, knob=knob)


def check_size(size: int, knob: str, whose: str = "") -> None:
    if size > 200_000_000:
        got = f"{whose}got {size:,} parameters, which need {size * 12 / 1e9:,.0f} GB of memory with their optimiser"
        raise _wrong(knob, got, "at most 200,000,000", "smaller layers")


def _wrong(knob: str, got: str, expected: str = "", advice: str = "") -> UserError:
    return UserError(Problem.of(knob, got, expected, advice))


def _is_size(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size > 0


def _module(knob: str, name: str, beside: Sequence[str]) -> Any:
    module, _, function = name.partition(":")
    try:
        found = module_named(module)
    except Exception as error:
        got = f"{module} cannot be imported ({type(error).__name__}: {error})"
        raise _wrong(knob, got, "a module of this Python", f"python -c 'import {module}'") from error
    for wanted in (function, *beside):
        if not callable(getattr(found, wanted, None)):
            raise _wrong(knob, f"{module} has no function {wanted!r}")
    return found


def _called(
    knob: str,
    name: str,
    function: Callable[..., Any],
    sizes: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    what: str = "parameters",
) -> Any:
    try:
        found = function(*sizes, **kwargs)
        return [*found] if what == "parameters" else found
    except Exception as error:
        where = f"{what}() of {name.partition(':')[0]}"
        raise _wrong(knob, f"{where} raised {type(error).__name__}: {error}") from error


def _checked(knob: str, name: str, entries: Sequence[Any], prefix: str) -> Layout:
    """The (name, shape, initialiser) of each array. Errors: `UserError` for the first that is none."""
    where, layout = f"parameters() of {name.partition(':')[0]}", []
    for entry in entries:
        match entry:
            case [str() as key, [*sizes], how] if all(_is_size(size) for size in sizes):
                layout.append((f"{prefix}{key}", tuple(sizes), how))
            case _:
                raise _wrong(knob, f"{where} gave {entry!r:.80}", "(name, shape, initialiser), sizes from 1")
    names = [key for key, *_ in layout]
    twice = next((key for key in names if names.count(key) > 1), None)
    if twice or parameters.LOG_STD in names:
        of_box = "an array 'log_std', which a Box gets from us"
        which = f"two arrays {twice.removeprefix(prefix)!r}" if twice else of_box
        raise _wrong(knob, f"{where} gave {which}", "another name")
    check_size(sum(math.prod(shape) for _, shape, _ in layout), knob, f"{where}: ")
    try:
        if layout:
            parameters.initial(np.random.default_rng(0), layout, "float32")
    except UserError as error:
        array = error.problem.where.removeprefix(prefix)
        raise _wrong(knob, str(error.problem._replace(where=f"{where}: {array}"))) from None
    return layout
